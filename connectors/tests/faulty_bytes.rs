//! Random and damaged bytes to every protocol: no panic, no frame above the limit, every fix within range.
#![allow(clippy::unwrap_used)]

#[path = "common/families.rs"]
mod families;
#[path = "common/feed.rs"]
mod feed;
#[path = "common/messages.rs"]
mod messages;

use bytes::BytesMut;
use feed::{context, feed};
use messages::MESSAGES;
use proptest::prelude::*;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, FaultKind, Transport};
use waystream_connectors::protocols::{self, ALL};

fn damaged() -> impl Strategy<Value = (usize, Vec<Vec<u8>>)> {
    (
        0..ALL.len(),
        any::<prop::sample::Index>(),
        any::<prop::sample::Index>(),
        prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        any::<Option<prop::sample::Index>>(),
    )
        .prop_map(|(protocol, first, second, changes, end)| {
            let messages = &MESSAGES[protocol];
            let mut damaged = second.get(messages).clone();
            for (at, byte) in changes {
                if !damaged.is_empty() {
                    let at = at.index(damaged.len());
                    damaged[at] = byte;
                }
            }
            if let Some(end) = end {
                damaged.truncate(end.index(damaged.len() + 1));
            }
            (protocol, vec![first.get(messages).clone(), damaged])
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(2000), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_protocol_panics_on_random_bytes(protocol in 0..ALL.len(), message in prop::collection::vec(any::<u8>(), 0..300)) {
        feed(&ALL[protocol], &[message]);
    }

    #[test]
    fn no_protocol_panics_on_damaged_messages((protocol, messages) in damaged()) {
        feed(&ALL[protocol], &messages);
    }
}

#[test]
fn every_beginning_of_every_message_is_survived() {
    for (protocol, messages) in ALL.iter().zip(MESSAGES.iter()) {
        for message in messages.iter().take(12) {
            for end in 0..message.len().min(250) {
                feed(protocol, &[messages[0].clone(), message[..end].to_vec()]);
            }
        }
    }
}

#[test]
fn a_stream_that_never_ends_a_frame_is_refused() {
    for protocol in ALL {
        let Transport::Socket { tcp: true, framing, .. } = protocol.transport else { continue };
        for byte in [0x00, 0x24, 0x28, 0x41, 0x78, 0x7e, 0xff] {
            let mut framing = framing();
            let mut buffer = BytesMut::new();
            for _ in 0..=protocol.max_frame_bytes / 1024 + 2 {
                buffer.extend_from_slice(&[byte; 1024]);
                while let Ok(Some(frame)) = framing.next_frame(&mut buffer) {
                    assert!(frame.len() <= protocol.max_frame_bytes);
                }
            }
            let refused = framing.next_frame(&mut buffer).is_err();
            assert!(
                refused || buffer.len() <= protocol.max_frame_bytes,
                "{} keeps {} bytes of {byte:02x}",
                protocol.name,
                buffer.len()
            );
        }
    }
}

#[test]
fn a_frame_with_a_wrong_checksum_is_neither_kept_nor_answered() {
    let login = "000f313233343536373839303132333435";
    let packet =
        "000000000000002b080100000140d4e3ec6e000cc661d01674a5e0fffc00000900000004020100f0000242322318000000000100007a04";
    for (packet, kept) in [(packet.to_owned(), true), (packet.replace("1674a5e0", "1674a5e1"), false)] {
        let Transport::Socket { decoder, .. } = protocols::by_name("teltonika").unwrap().transport else { panic!() };
        let mut decoder = decoder();
        decoder.decode(&parse_hex(login).unwrap(), &context(Checksums::Refuse, false));
        let decoded = decoder.decode(&parse_hex(&packet).unwrap(), &context(Checksums::Refuse, false));
        assert_eq!((decoded.fixes.len(), decoded.replies.len()), if kept { (1, 1) } else { (0, 0) });
        assert_eq!(decoded.faults.iter().any(|fault| fault.kind == FaultKind::Checksum), !kept);
    }
}

#[test]
fn every_protocol_is_fuzzed_in_one_family() {
    let mut fuzzed = [&families::TEXT[..], &families::BYTES, &families::HTTP].concat();
    let mut all: Vec<&str> = ALL.iter().map(|protocol| protocol.name).collect();
    fuzzed.sort_unstable();
    all.sort_unstable();
    assert_eq!(fuzzed, all);
}
