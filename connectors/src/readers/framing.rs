//! Cutting streams of texts at their delimiters.

use super::malformed;
use crate::protocol::{Fault, FaultKind, Framing};
use bytes::{Bytes, BytesMut};

/// Frames that end with a delimiter; empty ones are left out.
#[derive(Debug)]
pub(crate) struct Delimited {
    delimiters: &'static [&'static [u8]],
    /// Whether the delimiter is part of the frame.
    keep: bool,
    max_frame_bytes: usize,
    /// How far the buffer is known to hold no delimiter.
    searched: usize,
}

impl Delimited {
    /// Frames without their delimiters.
    pub(crate) fn stripping(delimiters: &'static [&'static [u8]], max_frame_bytes: usize) -> Self {
        Self { delimiters, keep: false, max_frame_bytes, searched: 0 }
    }

    /// Frames with their delimiters.
    pub(crate) fn keeping(delimiters: &'static [&'static [u8]], max_frame_bytes: usize) -> Self {
        Self { delimiters, keep: true, max_frame_bytes, searched: 0 }
    }
}

impl Framing for Delimited {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let longest = self.delimiters.iter().map(|d| d.len()).max().unwrap_or(1);
        loop {
            let from = self.searched.min(buffer.len());
            let first = self
                .delimiters
                .iter()
                .filter_map(|delimiter| Some((from + find(&buffer[from..], delimiter)?, delimiter.len())))
                .min_by_key(|(at, length)| (*at, std::cmp::Reverse(*length)));
            let Some((at, length)) = first else {
                if buffer.len() > self.max_frame_bytes {
                    return Err(Fault::new(FaultKind::Oversized, "no delimiter within the largest frame"));
                }
                self.searched = (buffer.len() + 1).saturating_sub(longest);
                return Ok(None);
            };
            self.searched = 0;
            let mut frame = buffer.split_to(at + length).freeze();
            if !self.keep {
                frame.truncate(at);
            }
            // Also when its end has come with it in one segment.
            if frame.len() > self.max_frame_bytes {
                return Err(Fault::new(FaultKind::Oversized, "a delimiter behind the largest frame"));
            }
            if at > 0 {
                return Ok(Some(frame));
            }
        }
    }
}

/// For protocols that come as datagrams only: a stream of them means nothing.
#[derive(Debug)]
pub(crate) struct Datagrams;

impl Framing for Datagrams {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if buffer.is_empty() { Ok(None) } else { Err(malformed("a stream of a protocol of datagrams")) }
    }
}

/// The frames of a message that is complete in itself, and what was wrong behind the last. One without any is a frame that its marks
/// were taken off, or that goes without the one at its end.
pub(crate) fn frames_of(mut framing: Box<dyn Framing>, message: &[u8]) -> (Vec<Bytes>, Option<Fault>) {
    let (mut buffer, mut frames) = (BytesMut::from(message), Vec::new());
    let lost = loop {
        match framing.next_frame(&mut buffer) {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break None,
            Err(fault) => break Some(fault),
        }
    };
    if frames.is_empty() && !message.is_empty() {
        return (vec![Bytes::copy_from_slice(message)], None);
    }
    (frames, lost)
}

/// Where `needle` starts in `haystack`; one without bytes is nowhere. By its first byte: comparing at every byte costs a call each.
pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut at = 0;
    loop {
        at += haystack[at..].iter().position(|byte| byte == first)?;
        if haystack[at + 1..].starts_with(rest) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_searched_for_is_found_where_it_first_stands_whole() {
        assert_eq!(find(b"a\r\r\n\r\n", b"\r\n"), Some(2));
        assert_eq!(find(b"a\r", b"\r\n"), None);
        assert_eq!(find(b"a", b"a"), Some(0));
        assert_eq!((find(b"a", b""), find(b"", b"a")), (None, None));
    }

    #[test]
    fn the_longer_of_two_delimiters_at_one_place_is_taken() {
        let mut buffer = BytesMut::from(&b"a\r\n\r\nbc\nd"[..]);
        let mut framing = Delimited::stripping(&[b"\r\n", b"\r", b"\n"], 8);
        let mut next = || framing.next_frame(&mut buffer).unwrap();
        assert_eq!((next().unwrap(), next().unwrap(), next()), (Bytes::from("a"), Bytes::from("bc"), None));
    }

    #[test]
    fn a_message_is_cut_into_its_frames_or_is_one() {
        let framing = || Box::new(Delimited::stripping(&[b";"], 8));
        assert_eq!(frames_of(framing(), b"a;b;"), (vec![Bytes::from("a"), Bytes::from("b")], None));
        assert_eq!(frames_of(framing(), b"a"), (vec![Bytes::from("a")], None));
        assert_eq!(frames_of(framing(), b""), (vec![], None));
        let (frames, lost) = frames_of(framing(), b"a;123456789");
        assert_eq!((frames, lost.unwrap().kind), (vec![Bytes::from("a")], FaultKind::Oversized));
    }

    #[test]
    fn a_frame_above_the_limit_is_refused() {
        let mut framing = Delimited::keeping(&[b";"], 8);
        assert_eq!(framing.next_frame(&mut BytesMut::from(&b"123456789"[..])).unwrap_err().kind, FaultKind::Oversized);
        let mut framing = Delimited::keeping(&[b";"], 8);
        assert_eq!(framing.next_frame(&mut BytesMut::from(&b"12345678;"[..])).unwrap_err().kind, FaultKind::Oversized);
        assert!(framing.next_frame(&mut BytesMut::from(&b"1234567;"[..])).unwrap().is_some());
    }
}
