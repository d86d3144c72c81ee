//! Lets a protocol make of bytes what it will, in every mode: it must not panic, and what comes out must be within range. Also what
//! the fuzz targets run.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

use bytes::BytesMut;
use waystream_connectors::protocol::{Checksums, Context, Fix, Framing, HttpRequest, Protocol, Transport};
use waystream_domain::Timestamp;

pub fn context(checksums: Checksums, datagram: bool) -> Context {
    Context { received_at: Timestamp::parse("2026-01-01T00:00:00Z").unwrap(), datagram, checksums }
}

/// How messages come.
#[derive(Debug, Clone, Copy)]
pub enum Way {
    /// One after the other on a connection.
    Messages,
    /// As datagrams of one sender.
    Datagrams,
    /// As a stream, in segments of so many bytes.
    Stream(usize),
}

pub const WAYS: [Way; 4] = [Way::Messages, Way::Datagrams, Way::Stream(7), Way::Stream(4096)];
pub const CHECKSUMS: [Checksums; 2] = [Checksums::Refuse, Checksums::Count];

/// Lets a protocol make of it what it will, in every mode.
pub fn feed(protocol: &Protocol, messages: &[Vec<u8>]) {
    for checksums in CHECKSUMS {
        WAYS.iter().for_each(|way| feed_in(*way, checksums, protocol, messages));
    }
}

/// The same in one mode. Requests come in one way only: as URI, a zero byte and the body.
pub fn feed_in(way: Way, checksums: Checksums, protocol: &Protocol, messages: &[Vec<u8>]) {
    match protocol.transport {
        Transport::Socket { framing, decoder, .. } => {
            let mut decoder = decoder();
            let context = context(checksums, matches!(way, Way::Datagrams));
            let mut understand = |frame: &[u8]| check(protocol.name, decoder.decode(frame, &context).fixes);
            match way {
                Way::Messages | Way::Datagrams => messages.iter().for_each(|message| understand(message)),
                Way::Stream(segment) => cut(protocol, framing(), messages.concat().chunks(segment), understand),
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
                check(protocol.name, decode(&request, &context(checksums, false)).decoded.fixes);
            }
        }
    }
}

/// What a fix must be, whatever it was read from.
pub fn check(from: &str, fixes: impl IntoIterator<Item = Fix>) {
    for fix in fixes {
        assert!(!(fix.valid && fix.location.is_null_island()), "{from}: {fix:?}");
        assert!(fix.course_deg.is_none_or(|course| (0.0..360.0).contains(&course)), "{from}: {fix:?}");
        assert!(fix.speed_mps.is_none_or(|speed| speed >= 0.0 && speed.is_finite()), "{from}: {fix:?}");
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
