//! Whatever comes, a message takes no more than its share of memory, and where a stream is split does not matter.
#![allow(clippy::unwrap_used)]

#[path = "common/cases.rs"]
mod cases;
#[path = "common/feed.rs"]
mod feed;
#[path = "common/messages.rs"]
mod messages;

use bytes::{Bytes, BytesMut};
use feed::{Way, context, feed, feed_in};
use messages::MESSAGES;
use peak_alloc::PeakAlloc;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Protocol, Transport};
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
        largest(protocol, messages);
        splits(protocol);
    }
}

/// Messages as long as they may be, of the shortest parts that there are. A place of 20 bytes takes some hundred here, so the largest
/// may take more than others; but not each of their bytes a thousand.
fn largest(protocol: &Protocol, messages: &[Vec<u8>]) {
    const BYTES_PER_BYTE: usize = 16;
    let length = protocol.max_frame_bytes.min(64 * 1024);
    for head in messages.iter().take(3).map(Vec::as_slice).chain([&b"#B#"[..], b"/\0{\"_type\":\"location\",\"a\":[0", b"/\0["])
    {
        for part in [",", ";", "|", "x|", "0,", ",[0]", "{},", "\0", "\u{1}\0", "\0\0\0\u{1}"] {
            let end = part.bytes().cycle().take(length.saturating_sub(head.len()));
            let message: Vec<u8> = head.iter().copied().chain(end).collect();
            let taken = taken(|| feed_in(Way::Messages, Checksums::Count, protocol, &[messages[0].clone(), message.clone()]));
            let most = MAX_MESSAGE_MEMORY_BYTES + BYTES_PER_BYTE * message.len();
            assert!(taken <= most, "{}: {taken} bytes for {part:?} behind {head:02x?}", protocol.name);
        }
    }
}

/// Fails if something takes too much memory at a time.
fn peak(protocol: &str, what: impl FnOnce(), message: &[u8]) {
    let taken = taken(what);
    assert!(taken <= MAX_MESSAGE_MEMORY_BYTES, "{protocol}: {taken} bytes for {message:02x?}");
}

/// How much it takes at a time.
fn taken(what: impl FnOnce()) -> usize {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    what();
    MEMORY.peak_usage().saturating_sub(before)
}

/// A stream in two pieces has the frames that it has in one, and they mean the same, wherever it is split.
fn splits(protocol: &Protocol) {
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
