//! Messages between marks, in which bytes that would be taken for marks are escaped.

use crate::protocol::{Fault, FaultKind};
use bytes::{Buf, Bytes, BytesMut};

/// In brackets: the next byte was XORed with this one.
const XORED: u8 = 0x3d;

/// The message from an opening bracket, which is the first byte, to the closing one, escapes undone.
pub(crate) fn bracketed(buffer: &mut BytesMut, max_frame_bytes: usize) -> Result<Option<Bytes>, Fault> {
    let Some(frame) = up_to(buffer, b')', max_frame_bytes)? else { return Ok(None) };
    let mut plain = Vec::with_capacity(frame.len());
    let mut bytes = frame.iter();
    while let Some(byte) = bytes.next() {
        let escaped = if *byte == XORED { bytes.next().map(|next| next ^ XORED) } else { None };
        plain.push(escaped.unwrap_or(*byte));
    }
    Ok(Some(plain.into()))
}

/// Of a protocol of texts `*…#` and binary messages between two bytes: those bytes, and how they are escaped inside.
pub(crate) struct Marked {
    /// First and last byte.
    pub(crate) mark: u8,
    /// Begins an escape; before a zero it stands for itself.
    pub(crate) escape: u8,
    /// What follows it instead of the mark. No other escape is sent.
    pub(crate) for_mark: u8,
}

impl Marked {
    /// The next text, or the next binary message, escapes undone; what stands before is skipped.
    pub(crate) fn next(&self, buffer: &mut BytesMut, max_frame_bytes: usize) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == self.mark || *byte == b'*').unwrap_or(buffer.len());
        buffer.advance(start);
        let Some(first) = buffer.first().copied() else { return Ok(None) };
        let end = if first == self.mark { self.mark } else { b'#' };
        let Some(frame) = up_to(buffer, end, max_frame_bytes)? else { return Ok(None) };
        Ok(Some(if first == self.mark { self.plain(&frame) } else { frame.freeze() }))
    }

    fn plain(&self, frame: &[u8]) -> Bytes {
        let mut plain = Vec::with_capacity(frame.len());
        let mut bytes = frame.iter();
        while let Some(byte) = bytes.next() {
            if *byte != self.escape {
                plain.push(*byte);
                continue;
            }
            match bytes.next() {
                Some(0x00) => plain.push(self.escape),
                Some(next) if *next == self.for_mark => plain.push(self.mark),
                _ => {}
            }
        }
        plain.into()
    }
}

/// Up to a byte that is not the first, if it has come.
fn up_to(buffer: &mut BytesMut, end: u8, max_frame_bytes: usize) -> Result<Option<BytesMut>, Fault> {
    match buffer.iter().skip(1).position(|byte| *byte == end) {
        Some(at) => Ok(Some(buffer.split_to(at + 2))),
        None if buffer.len() > max_frame_bytes => Err(Fault::new(FaultKind::Oversized, "no end within the largest message")),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn escapes_in_brackets_are_undone_and_half_a_message_waits() {
        let mut buffer = BytesMut::from(&b"(a\x3d\x14\x3d\x00)(b"[..]);
        assert_eq!(bracketed(&mut buffer, 16).unwrap(), Some(Bytes::from(&b"(a\x29\x3d)"[..])));
        assert_eq!(bracketed(&mut buffer, 16).unwrap(), None);
        assert_eq!(&buffer[..], b"(b");
        assert_eq!(bracketed(&mut buffer, 1).unwrap_err().kind, FaultKind::Oversized);
    }

    #[test]
    fn texts_and_binary_messages_come_by_turns() {
        let marked = Marked { mark: 0xf8, escape: 0xf7, for_mark: 0x0f };
        let mut buffer = BytesMut::from(&b"??*TS01,a#\xf8\x01\xf7\x0f\xf7\x00\xf7\x55\xf8*T"[..]);
        let mut next = || marked.next(&mut buffer, 16).unwrap();
        assert_eq!(next(), Some(Bytes::from("*TS01,a#")));
        assert_eq!(next(), Some(Bytes::from(&b"\xf8\x01\xf8\xf7\xf8"[..])));
        assert_eq!(next(), None);
    }
}
