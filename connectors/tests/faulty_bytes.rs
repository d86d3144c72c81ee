//! Random and damaged bytes to every protocol: no panic, no frame above the limit, every fix within range.
#![allow(clippy::unwrap_used)]

use bytes::BytesMut;
use proptest::prelude::*;
use std::path::Path;
use std::sync::LazyLock;
use waystream_connectors::decode::parse_hex;
use waystream_connectors::protocol::{Checksums, Context, FaultKind, Framing, HttpRequest, Protocol, Transport};
use waystream_connectors::protocols::{self, ALL};
use waystream_domain::Timestamp;

/// Messages of each protocol in the order of the table: HTTP ones as URI, a zero byte and the body.
static MESSAGES: LazyLock<Vec<Vec<Vec<u8>>>> = LazyLock::new(|| ALL.iter().map(|protocol| messages(protocol.name)).collect());

fn messages(protocol: &str) -> Vec<Vec<u8>> {
    if protocol == "json" {
        // Ours: nobody else has recorded any.
        let full = r#"{"device":"a","fix_time":"2025-06-10T06:00:00Z","lat":52.1,"lon":21,"speed_mps":1,"course_deg":2,"accuracy_m":3}"#;
        let short =
            r#"{"device":"b","fix_time":1718000000000,"lat":-52.1,"lon":-21,"attributes":{"ignition":true,"fuel_l":4.5}}"#;
        return [full, short].map(|line| format!("/positions\0{line}\n{short}\n").into_bytes()).to_vec();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/vectors").join(format!("{protocol}.jsonl"));
    let cases = std::fs::read_to_string(path).unwrap();
    let cases = cases.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    cases
        .flat_map(|case| case["frames"].as_array().unwrap().clone())
        .map(|frame| match frame["hex"].as_str() {
            Some(digits) => parse_hex(digits).unwrap(),
            None => {
                let part = |key: &str| frame["http"][key].as_str().unwrap_or_default().to_owned();
                [part("uri"), part("body")].join("\0").into_bytes()
            }
        })
        .collect()
}

fn context(checksums: Checksums, datagram: bool) -> Context {
    Context { received_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), datagram, checksums }
}

/// Lets a protocol make of it what it will, in every mode.
fn feed(protocol: &Protocol, messages: &[Vec<u8>]) {
    for checksums in [Checksums::Refuse, Checksums::Count] {
        match protocol.transport {
            Transport::Socket { framing, decoder, .. } => {
                for datagram in [false, true] {
                    let mut decoder = decoder();
                    for message in messages {
                        for fix in decoder.decode(message, &context(checksums, datagram)).fixes {
                            assert!(!(fix.valid && fix.location.is_null_island()));
                            assert!(fix.course_deg.is_none_or(|course| (0.0..360.0).contains(&course)));
                            assert!(fix.speed_mps.is_none_or(|speed| speed >= 0.0));
                        }
                    }
                }
                let stream = messages.concat();
                let mut decoder = decoder();
                for segment in [7, 4096] {
                    cut(protocol, framing(), stream.chunks(segment), |frame| {
                        decoder.decode(frame, &context(checksums, false));
                    });
                }
            }
            Transport::Http { decode } => {
                for message in messages {
                    let (uri, body) = message.split_at(message.iter().position(|byte| *byte == 0).unwrap_or(message.len()));
                    let request = HttpRequest {
                        method: "POST",
                        uri: &String::from_utf8_lossy(uri),
                        headers: &[("X-Limit-U", "u"), ("Content-Type", "application/json")],
                        body: body.get(1..).unwrap_or_default(),
                    };
                    decode(&request, &context(checksums, false));
                }
            }
        }
    }
}

fn cut<'a>(
    protocol: &Protocol,
    mut framing: Box<dyn Framing>,
    segments: impl Iterator<Item = &'a [u8]>,
    mut each: impl FnMut(&[u8]),
) {
    let mut buffer = BytesMut::new();
    for segment in segments {
        buffer.extend_from_slice(segment);
        loop {
            let before = buffer.len();
            match framing.next_frame(&mut buffer) {
                Ok(Some(frame)) => {
                    assert!(frame.len() <= protocol.max_frame_bytes, "{}: a frame above the limit", protocol.name);
                    assert!(buffer.len() < before, "{}: a frame that took nothing", protocol.name);
                    each(&frame);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

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
