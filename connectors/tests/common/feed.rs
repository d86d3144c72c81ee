//! Lets a protocol make of bytes what it will, in every mode: it must not panic, and what comes out must be within range. Also what
//! the fuzz targets run.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

use bytes::BytesMut;
use waystream_connectors::protocol::{Checksums, Context, Framing, HttpRequest, Protocol, Transport};
use waystream_domain::Timestamp;

pub fn context(checksums: Checksums, datagram: bool) -> Context {
    Context { received_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), datagram, checksums }
}

/// Lets a protocol make of it what it will, in every mode.
pub fn feed(protocol: &Protocol, messages: &[Vec<u8>]) {
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

pub fn cut<'a>(
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
            match protocol.next_frame(framing.as_mut(), &mut buffer) {
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
