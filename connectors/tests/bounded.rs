//! Whatever comes, a message takes no more than its share of memory, and where a stream is split does not matter.
#![allow(clippy::unwrap_used)]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/feed.rs"]
mod feed;
#[path = "common/messages.rs"]
mod messages;

use bytes::{Bytes, BytesMut};
use feed::{context, feed};
use messages::MESSAGES;
use peak_alloc::PeakAlloc;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Transport};
use waystream_connectors::protocols::ALL;

/// Counts every byte. This file has one test only, as others at the same time would be counted too.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const MAX_MESSAGE_MEMORY_BYTES: usize = 1024 * 1024;
/// Numbers that say how many, replaced by as many as there can be.
const DAMAGES: usize = 40;

#[test]
fn neither_memory_nor_meaning_depends_on_what_comes_or_how() {
    let mut runner = TestRunner::deterministic();
    let changes = proptest::collection::vec((proptest::num::usize::ANY, proptest::num::u8::ANY), 1..6);
    for (protocol, messages) in ALL.iter().zip(MESSAGES.iter()) {
        for n in 0..messages.len().max(DAMAGES) {
            let mut message = messages[n % messages.len()].clone();
            let whole = n < messages.len();
            if !whole || n % 2 == 0 {
                // The first as it came.
                peak(protocol.name, || feed(protocol, std::slice::from_ref(&message)), &message);
            }
            for (at, byte) in changes.new_tree(&mut runner).unwrap().current() {
                if !message.is_empty() {
                    let at = at % message.len();
                    message[at] = if byte % 3 == 0 { 0xff } else { byte };
                }
            }
            peak(protocol.name, || feed(protocol, &[messages[0].clone(), message.clone()]), &message);
        }
        splits(protocol);
    }
}

/// Fails if something takes too much memory at a time.
fn peak(protocol: &str, what: impl FnOnce(), message: &[u8]) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    what();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken <= MAX_MESSAGE_MEMORY_BYTES, "{protocol}: {taken} bytes for {message:02x?}");
}

/// A stream in two pieces has the frames that it has in one, and they mean the same, wherever it is split.
fn splits(protocol: &waystream_connectors::protocol::Protocol) {
    let Transport::Socket { framing, decoder, tcp: true, .. } = protocol.transport else { return };
    let understood = |pieces: [&[u8]; 2]| {
        let (mut framing, mut decoder, mut buffer) = (framing(), decoder(), BytesMut::new());
        let mut all: Vec<(Bytes, String)> = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Ok(Some(frame)) = framing.next_frame(&mut buffer) {
                let decoded = decoder.decode(&frame, &context(Checksums::Refuse, false));
                all.push((frame, format!("{:?}{:?}{:?}", decoded.fixes, decoded.replies, decoded.faults)));
            }
        }
        all
    };
    let streams = cases::lines(&format!("{}.frames.jsonl", protocol.name));
    let streams = streams.iter().map(|case| parse_hex(cases::text(case, "input_hex")).unwrap());
    for stream in streams.filter(|stream| stream.len() <= 700).take(6) {
        let whole = understood([&stream, &[]]);
        for at in 1..stream.len() {
            let (first, second) = stream.split_at(at);
            assert_eq!(understood([first, second]), whole, "{} split at {at}: {stream:02x?}", protocol.name);
        }
    }
}
