//! JT/T 808's frames: between `7e` (or `e7`, a maker's variant), with those bytes escaped. Locks also send texts in brackets.

use crate::protocol::{Fault, FaultKind, Framing};
use crate::readers::find;
use bytes::{Buf, Bytes, BytesMut};

/// The standard allows 1,023 bytes of body; camera terminals exceed it.
pub(super) const MAX_FRAME_BYTES: usize = 16 * 1024;

const MARK: u8 = 0x7e;
const ESCAPE: u8 = 0x7d;
const OTHER_MARK: u8 = 0xe7;
const OTHER_ESCAPE: u8 = 0xe6;

pub(super) struct Jt808Framing;

impl Framing for Jt808Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            let start = buffer.iter().position(|byte| matches!(byte, &MARK | &OTHER_MARK | b'('));
            buffer.advance(start.unwrap_or(buffer.len()));
            let Some(mark) = buffer.first().copied() else { return Ok(None) };
            let (end, least) = if mark == b'(' { (b')', 0) } else { (mark, 1) };
            let Some(at) = find(&buffer[1..], &[end]) else {
                return if buffer.len() > MAX_FRAME_BYTES {
                    Err(Fault::new(FaultKind::Oversized, "no end mark within the largest message"))
                } else {
                    Ok(None)
                };
            };
            if at < least {
                // Two marks in a row: the second one begins the message.
                buffer.advance(1);
                continue;
            }
            if at + 2 > MAX_FRAME_BYTES {
                return Err(Fault::new(FaultKind::Oversized, "a message above the limit"));
            }
            let frame = buffer.split_to(at + 2);
            return Ok(Some(match mark {
                MARK => unescape(&frame, ESCAPE),
                OTHER_MARK => unescape(&frame, OTHER_ESCAPE),
                _ => frame.freeze(),
            }));
        }
    }
}

/// The escape byte with `01` stands for itself, with `02` for the mark (one above it); with anything else for nothing.
fn unescape(frame: &[u8], escape: u8) -> Bytes {
    let mut plain = Vec::with_capacity(frame.len());
    let mut bytes = frame.iter();
    while let Some(byte) = bytes.next() {
        if *byte != escape {
            plain.push(*byte);
            continue;
        }
        match bytes.next() {
            Some(1) => plain.push(escape),
            Some(2) => plain.push(escape.wrapping_add(1)),
            _ => {}
        }
    }
    plain.into()
}

/// A message as it goes on the wire: checksum, escapes and marks added.
pub(super) fn escape(message: &[u8]) -> Bytes {
    let checksum = message.iter().fold(0, |sum, byte| sum ^ byte);
    let mut frame = vec![MARK];
    for byte in message.iter().chain([&checksum]) {
        match *byte {
            ESCAPE => frame.extend_from_slice(&[ESCAPE, 1]),
            MARK => frame.extend_from_slice(&[ESCAPE, 2]),
            byte => frame.push(byte),
        }
    }
    frame.push(MARK);
    frame.into()
}
