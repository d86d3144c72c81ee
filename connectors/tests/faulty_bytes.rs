//! Random and damaged bytes to every protocol: no panic, no frame above the limit, every fix within range.
#![allow(clippy::unwrap_used)]

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

/// Begins fuzzing: the recorded messages as inputs of the two targets in `fuzz/`, written where it is said.
#[test]
fn seeds_are_what_the_fuzz_targets_read() {
    let folder = std::env::var_os("WAYSTREAM_WRITE_SEEDS").map(std::path::PathBuf::from);
    for (number, messages) in MESSAGES.iter().enumerate() {
        let first = &messages[0];
        let head = [&[u8::try_from(number).unwrap()][..], &u16::try_from(first.len()).unwrap().to_be_bytes()].concat();
        for (at, message) in messages.iter().enumerate() {
            let input = [&head[..], first, message].concat();
            // As the target takes it apart.
            let long = usize::from(u16::from_be_bytes([input[1], input[2]]));
            assert_eq!(input[3..].split_at(long), (&first[..], &message[..]));
            if let Some(folder) = &folder {
                for (target, bytes) in [("messages", &input), ("recognise", message)] {
                    std::fs::create_dir_all(folder.join(target)).unwrap();
                    std::fs::write(folder.join(target).join(format!("{number}-{at}")), bytes).unwrap();
                }
            }
        }
    }
}
