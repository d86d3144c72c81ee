//! Where a GT06 frame ends: the length says it, except for the makes whose length means something else.

use super::{END, LOGIN, MAX_FRAME_BYTES, WIFI, WIFI_OFFLINE};
use crate::protocol::{Fault, FaultKind, Framing};
use crate::readers::find;
use bytes::{Buf, Bytes, BytesMut};

/// What a frame's end holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Serial number and checksum.
    Checked,
    /// Neither.
    Bare,
    /// Neither; the length counts Wi-Fi stations, each of 7 bytes.
    Stations,
}

/// Tells the shape of a whole frame.
pub(super) fn shape(frame: &[u8]) -> Shape {
    match *frame {
        [b'x', b'x', stations, WIFI | WIFI_OFFLINE, ..] if frame.len() > usize::from(stations) + 6 => Shape::Stations,
        [b'x', b'x', 13, LOGIN, ..] if frame.len() == 15 => Shape::Bare,
        [b'x', b'x', length, 0x10 | 0x11, ..] if frame.len() == usize::from(length) + 6 => Shape::Bare,
        [b'x', b'x', 1, ..] if frame.len() == 6 => Shape::Bare,
        _ => Shape::Checked,
    }
}

pub(super) struct Gt06Framing;

impl Framing for Gt06Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        // What stands before a start mark is noise.
        let start = [b"xx", b"yy"].iter().filter_map(|mark| find(buffer, *mark)).min();
        buffer.advance(start.unwrap_or(buffer.len().saturating_sub(1)));
        match end(buffer) {
            End::At(end) => Ok(Some(buffer.split_to(end).freeze())),
            End::Unknown if buffer.len() >= MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, "no end of the frame within the largest frame"))
            }
            End::Unknown => Ok(None),
        }
    }
}

enum End {
    At(usize),
    Unknown,
}

/// Tries the ends that the length allows, nearest first; each needs only the bytes up to it, so that the answer does not depend
/// on how the stream was cut into segments. If none holds, the frame ends at the first end mark.
fn end(buffer: &[u8]) -> End {
    let candidates = match *buffer {
        [b'x', b'x', length, kind, ..] => {
            let length = usize::from(length);
            match kind {
                LOGIN if length == 13 => vec![15, 18],
                // One make counts two bytes too few.
                0x13 if length == 8 => vec![13, 15],
                0x10 | 0x11 => vec![length + 5, length + 6],
                _ => vec![length + 5],
            }
        }
        [b'y', b'y', high, low, _, ..] => vec![usize::from(u16::from_be_bytes([high, low])) + 6],
        _ => return End::Unknown,
    };
    for candidate in candidates {
        match buffer.get(..candidate) {
            Some(frame) if frame.ends_with(&END) => return End::At(candidate),
            Some(_) => {}
            None if candidate > MAX_FRAME_BYTES => {}
            None => return End::Unknown,
        }
    }
    if let Some(end) = stations_end(buffer) {
        return match buffer.get(..end) {
            Some(_) => End::At(end),
            None => End::Unknown,
        };
    }
    match find(&buffer[4..], &END) {
        Some(at) => End::At(4 + at + END.len()),
        None => End::Unknown,
    }
}

/// Where a list of Wi-Fi and cell stations ends, if the bytes so far say so; `usize::MAX`: more bytes are needed to tell.
fn stations_end(buffer: &[u8]) -> Option<usize> {
    let [b'x', b'x', wifi, WIFI | WIFI_OFFLINE, ..] = *buffer else { return None };
    // Four bytes, the time, the Wi-Fi stations; then the count of cells, country, operator, and the cells of 5 bytes.
    let cells_at = 4 + 6 + 7 * usize::from(wifi);
    let Some(cells) = buffer.get(cells_at) else { return Some(usize::MAX) };
    let end = cells_at + 1 + 3 + 5 * usize::from(*cells) + END.len();
    match buffer.get(..end) {
        Some(frame) => frame.ends_with(&END).then_some(end),
        None => Some(usize::MAX),
    }
}
