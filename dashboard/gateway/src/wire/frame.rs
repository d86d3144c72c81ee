//! FT1, the binary frame that carries many vehicles: stateless, columnar, little-endian, about 12 bytes a vehicle.
//!
//! Every frame decodes without an earlier one, so a frame that is dropped or merged costs freshness only. Layout:
//!
//! | offset | type | name | meaning |
//! | --- | --- | --- | --- |
//! | 0 | u8 | magic | `0x46` |
//! | 1 | u8 | kind_ver | high nibble: version 1; low nibble: kind (0 snapshot, 1 delta, 2 removed, 3 cells) |
//! | 2 | u16 | flags | bit1 dt column, bit2 status column, bit3 last frame of a snapshot, bit4 replay clock, bit5 all cells, bit6 followed vehicles |
//! | 4 | u32 | epoch | of the slot table; another epoch means: forget everything, a snapshot follows |
//! | 8 | u32 | seq | what the receiver acknowledges; differs between any two frames of a connection, gaps are normal |
//! | 12 | f64 | t0 | milliseconds since the Unix epoch: the server's clock, or the replay's if bit4 is set |
//! | 20 | u32 | n | number of records |
//! | 24 | i32 | lat0 | 1e-6 degree |
//! | 28 | i32 | lon0 | 1e-6 degree |
//!
//! Then columns, each `n` long, in this order (varint: LEB128; zz: zigzag first):
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | slot | varint | ascending: `slot[k] - slot[k-1] - 1`, the first against -1 |
//! | lat | zz varint | `lat[k] - lat[k-1]`, the first against lat0; 1e-6 degree |
//! | lon | zz varint | the same for longitude |
//! | speed | u16 | 0.1 km/h; `0xFFFF` unknown |
//! | course | u8 | 360/256 degree clockwise from true north; 0 if unknown |
//! | dt | varint, if bit1 | `(t0 - fix_time) / 10 ms`, at least 0 (a fix from the future is shown as now); may exceed 32 bits |
//! | status | u8, if bit2 | see [`status`] |
//!
//! A `removed` frame has the slot column only. For a frame of cells see [`super::cells`].

use bytes::{BufMut, Bytes, BytesMut};

/// No frame of vehicles is longer: what one WebSocket message of ours may have.
pub const MAX_FRAME_BYTES: usize = 64 * 1024;
/// Bytes before the columns.
pub const HEADER_BYTES: usize = 32;
/// Where a frame has its number.
const SEQ_AT: usize = 8;
const MAGIC: u8 = 0x46;
const VERSION: u8 = 1;
/// `speed` of a vehicle that doesn't report one.
pub const SPEED_UNKNOWN: u16 = 0xFFFF;

/// Bits of the flags field.
pub mod flags {
    /// The dt column is there.
    pub const DT: u16 = 1 << 1;
    /// The status column is there.
    pub const STATUS: u16 = 1 << 2;
    /// Last frame of a snapshot.
    pub const LAST: u16 = 1 << 3;
    /// `t0` is the replay's clock.
    pub const REPLAY: u16 = 1 << 4;
    /// Cells that the frame doesn't tell of are empty.
    pub const FULL: u16 = 1 << 5;
    /// Of vehicles that are followed, whatever the viewport: who is followed and who is in the viewport is told apart, and a
    /// vehicle is on the map as long as it is either.
    pub const FOLLOWED: u16 = 1 << 6;
}

/// Bits of the status column.
pub mod status {
    /// Ignition is on.
    pub const IGNITION: u8 = 1;
    /// The vehicle moves.
    pub const MOVING: u8 = 1 << 1;
    /// The fix is valid.
    pub const VALID: u8 = 1 << 2;
    /// The battery is being charged.
    pub const CHARGING: u8 = 1 << 3;
    /// No report for a while (value 1 of the two link bits).
    pub const LATE: u8 = 1 << 4;
    /// No report for long (value 2 of the two link bits).
    pub const OFFLINE: u8 = 2 << 4;
    /// The device raises an alarm.
    pub const ALARM: u8 = 1 << 6;
}

/// What a frame says about its slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Part of everything there is; [`flags::LAST`] on the last part.
    Snapshot = 0,
    /// What changed.
    Delta = 1,
    /// These are gone.
    Removed = 2,
    /// Counted cells, see [`super::cells`].
    Cells = 3,
}

/// The header fields that the sender chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FrameHead {
    /// What the records mean.
    pub kind: FrameKind,
    /// Any of [`flags`] but those of columns, which are set by the encoder.
    pub flags: u16,
    /// Epoch of the slot table.
    pub epoch: u32,
    /// What the receiver acknowledges.
    pub seq: u32,
}

/// One vehicle in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameRecord {
    /// Dense number of the vehicle, see [`crate::wire::SlotsMessage`].
    pub slot: u32,
    /// 1e-6 degree.
    pub lat_e6: i32,
    /// 1e-6 degree.
    pub lon_e6: i32,
    /// 0.1 km/h, or [`SPEED_UNKNOWN`].
    pub speed: u16,
    /// 360/256 degree.
    pub course: u8,
    /// Milliseconds since the Unix epoch.
    pub fix_time_ms: i64,
    /// See [`status`].
    pub status: u8,
}

/// Collects records, in ascending order of their slots, until a frame is full.
#[derive(Debug)]
pub struct FrameBuilder {
    t0_ms: i64,
    n: u32,
    first: (i32, i32),
    last: (u32, i32, i32),
    slots: Vec<u8>,
    lats: Vec<u8>,
    lons: Vec<u8>,
    speeds: Vec<u8>,
    courses: Vec<u8>,
    dts: Vec<u8>,
    statuses: Vec<u8>,
}

impl FrameBuilder {
    /// An empty frame whose fix times are told against `t0_ms`.
    pub fn new(t0_ms: i64) -> Self {
        Self {
            t0_ms,
            n: 0,
            first: (0, 0),
            last: (0, 0, 0),
            slots: Vec::new(),
            lats: Vec::new(),
            lons: Vec::new(),
            speeds: Vec::new(),
            courses: Vec::new(),
            dts: Vec::new(),
            statuses: Vec::new(),
        }
    }

    /// Takes a record; `false` if the frame is full and the record belongs into the next one.
    ///
    /// # Panics
    /// If the slot is not above the previous one: the format can't say it.
    pub fn push(&mut self, r: &FrameRecord) -> bool {
        // The longest record: varints of 5 (slot), 5, 5 (coordinates) and 10 (dt), and 4 fixed bytes.
        if self.len_bytes() + 29 > MAX_FRAME_BYTES {
            return false;
        }
        self.push_slot(r.slot);
        if self.n == 1 {
            self.first = (r.lat_e6, r.lon_e6);
            (self.last.1, self.last.2) = self.first;
        }
        varint(&mut self.lats, zigzag(i64::from(r.lat_e6) - i64::from(self.last.1)));
        varint(&mut self.lons, zigzag(i64::from(r.lon_e6) - i64::from(self.last.2)));
        self.speeds.put_u16_le(r.speed);
        self.courses.push(r.course);
        varint(&mut self.dts, self.t0_ms.saturating_sub(r.fix_time_ms).max(0) as u64 / 10);
        self.statuses.push(r.status);
        self.last = (r.slot, r.lat_e6, r.lon_e6);
        true
    }

    fn push_slot(&mut self, slot: u32) {
        let gap = if self.n == 0 { u64::from(slot) } else { u64::from(slot).wrapping_sub(u64::from(self.last.0) + 1) };
        assert!(gap <= u64::from(u32::MAX), "slots of a frame must ascend");
        varint(&mut self.slots, gap);
        self.last.0 = slot;
        self.n += 1;
    }

    fn len_bytes(&self) -> usize {
        HEADER_BYTES + self.slots.len() + self.lats.len() + self.lons.len() + self.dts.len() + 4 * self.statuses.len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// The bytes.
    pub fn finish(self, head: &FrameHead) -> Bytes {
        let mut out = BytesMut::with_capacity(self.len_bytes());
        let columns = if head.kind == FrameKind::Removed { 0 } else { flags::DT | flags::STATUS };
        put_header(&mut out, &FrameHead { flags: head.flags | columns, ..*head }, self.t0_ms, self.n, self.first);
        for column in [&self.slots, &self.lats, &self.lons, &self.speeds, &self.courses, &self.dts, &self.statuses] {
            out.put_slice(column);
        }
        out.freeze()
    }
}

pub(super) fn put_header(out: &mut BytesMut, head: &FrameHead, t0_ms: i64, n: u32, first: (i32, i32)) {
    out.put_u8(MAGIC);
    out.put_u8(VERSION << 4 | head.kind as u8);
    out.put_u16_le(head.flags);
    out.put_u32_le(head.epoch);
    out.put_u32_le(head.seq);
    out.put_f64_le(t0_ms as f64);
    out.put_u32_le(n);
    out.put_i32_le(first.0);
    out.put_i32_le(first.1);
}

/// A frame that says that these slots, ascending, are gone. At most [`MAX_REMOVED`] fit.
pub fn removed_frame(slots: &[u32], t0_ms: i64, head: &FrameHead) -> Bytes {
    let mut builder = FrameBuilder::new(t0_ms);
    slots.iter().for_each(|&slot| builder.push_slot(slot));
    builder.finish(&FrameHead { kind: FrameKind::Removed, ..*head })
}

/// Slots that surely fit into one `removed` frame.
pub const MAX_REMOVED: usize = (MAX_FRAME_BYTES - HEADER_BYTES) / 5;

/// The same frame under another number: for who is told what others are told, among frames of its own.
pub(crate) fn renumbered(frame: &Bytes, seq: u32) -> Bytes {
    let mut copy = BytesMut::from(&frame[..]);
    copy[SEQ_AT..SEQ_AT + 4].copy_from_slice(&seq.to_le_bytes());
    copy.freeze()
}

fn zigzag(v: i64) -> u64 {
    ((v << 1) ^ (v >> 63)) as u64
}

pub(super) fn varint(out: &mut Vec<u8>, mut v: u64) {
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
}

/// A frame read back: for tests and load generators.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// Kind, flags (columns included), epoch and seq.
    pub head: FrameHead,
    /// Milliseconds since the Unix epoch.
    pub t0_ms: i64,
    /// The vehicles; of a `removed` frame only the slot means something.
    pub records: Vec<FrameRecord>,
}

/// Why bytes are not an FT1 frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another magic, version or kind.
    #[error("not a frame of this version")]
    Unknown,
    /// Fewer or more bytes than the header announces.
    #[error("frame has the wrong length")]
    Length,
    /// A number beyond its range.
    #[error("frame holds a number out of range")]
    Range,
}

/// Kind to seq, t0, the number of records, lat0 and lon0, and what comes after the header.
type Header<'a> = (FrameHead, i64, usize, (i32, i32), &'a [u8]);

pub(super) fn take_header(bytes: &[u8]) -> Result<Header<'_>, FrameError> {
    if bytes.len() < HEADER_BYTES {
        return Err(FrameError::Length);
    }
    let (header, body) = bytes.split_at(HEADER_BYTES);
    let u32_at = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("four bytes of the header"));
    let kind = match header[1] {
        0x10 => FrameKind::Snapshot,
        0x11 => FrameKind::Delta,
        0x12 => FrameKind::Removed,
        0x13 => FrameKind::Cells,
        _ => return Err(FrameError::Unknown),
    };
    if header[0] != MAGIC {
        return Err(FrameError::Unknown);
    }
    let head = FrameHead { kind, flags: u16::from_le_bytes([header[2], header[3]]), epoch: u32_at(4), seq: u32_at(SEQ_AT) };
    let t0_ms = f64::from_le_bytes(header[12..20].try_into().expect("eight bytes of the header")) as i64;
    let n = u32_at(20) as usize;
    // A record has at least one byte.
    if n > body.len() {
        return Err(FrameError::Length);
    }
    Ok((head, t0_ms, n, (u32_at(24) as i32, u32_at(28) as i32), body))
}

/// Reads a frame of vehicles.
pub fn decode_frame(bytes: &[u8]) -> Result<Frame, FrameError> {
    let (head, t0_ms, n, first, mut body) = take_header(bytes)?;
    let kind = head.kind;
    if kind == FrameKind::Cells {
        return Err(FrameError::Unknown);
    }
    let empty = FrameRecord { slot: 0, lat_e6: 0, lon_e6: 0, speed: SPEED_UNKNOWN, course: 0, fix_time_ms: t0_ms, status: 0 };
    let mut records = vec![empty; n];
    let mut slot = -1i64;
    for r in &mut records {
        slot += 1 + i64::try_from(take_varint(&mut body)?).map_err(|_| FrameError::Range)?;
        r.slot = u32::try_from(slot).map_err(|_| FrameError::Range)?;
    }
    if kind != FrameKind::Removed {
        let mut lat = i64::from(first.0);
        for r in &mut records {
            lat = lat.wrapping_add(unzigzag(take_varint(&mut body)?));
            r.lat_e6 = i32::try_from(lat).map_err(|_| FrameError::Range)?;
        }
        let mut lon = i64::from(first.1);
        for r in &mut records {
            lon = lon.wrapping_add(unzigzag(take_varint(&mut body)?));
            r.lon_e6 = i32::try_from(lon).map_err(|_| FrameError::Range)?;
        }
        for r in &mut records {
            r.speed = u16::from_le_bytes([take_byte(&mut body)?, take_byte(&mut body)?]);
        }
        for r in &mut records {
            r.course = take_byte(&mut body)?;
        }
        if head.flags & flags::DT != 0 {
            for r in &mut records {
                let dt = i64::try_from(take_varint(&mut body)?).map_err(|_| FrameError::Range)?;
                r.fix_time_ms = t0_ms.saturating_sub(dt.saturating_mul(10));
            }
        }
        if head.flags & flags::STATUS != 0 {
            for r in &mut records {
                r.status = take_byte(&mut body)?;
            }
        }
    }
    if body.is_empty() { Ok(Frame { head, t0_ms, records }) } else { Err(FrameError::Length) }
}

pub(super) fn take_byte(body: &mut &[u8]) -> Result<u8, FrameError> {
    let (&first, rest) = body.split_first().ok_or(FrameError::Length)?;
    *body = rest;
    Ok(first)
}

pub(super) fn take_varint(body: &mut &[u8]) -> Result<u64, FrameError> {
    let mut v = 0u64;
    for shift in (0..70).step_by(7) {
        let byte = take_byte(body)?;
        v |= u64::from(byte & 0x7F).checked_shl(shift).ok_or(FrameError::Range)?;
        if byte & 0x80 == 0 {
            return Ok(v);
        }
    }
    Err(FrameError::Range)
}

fn unzigzag(v: u64) -> i64 {
    (v >> 1) as i64 ^ -((v & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn record(slot: u32, lat_e6: i32, lon_e6: i32, age_ms: i64) -> FrameRecord {
        FrameRecord { slot, lat_e6, lon_e6, speed: 543, course: 64, fix_time_ms: 1_700_000_000_000 - age_ms, status: 7 }
    }

    fn encode(records: &[FrameRecord], head: &FrameHead) -> Bytes {
        let mut builder = FrameBuilder::new(1_700_000_000_000);
        assert!(records.iter().all(|r| builder.push(r)));
        builder.finish(head)
    }

    const HEAD: FrameHead = FrameHead { kind: FrameKind::Delta, flags: 0, epoch: 9, seq: 77 };

    #[test]
    fn a_frame_is_read_as_it_was_written() {
        let records = [
            record(0, 52_229_676, 21_012_229, 0),
            record(1, -90_000_000, 180_000_000, 10),
            record(300, 90_000_000, -180_000_000, 123_450),
            // Three years ago: more than 32 bits of dt.
            record(u32::MAX, 0, 0, 94_608_000_000),
        ];
        let frame = decode_frame(&encode(&records, &HEAD)).expect("our own frame");
        assert_eq!(frame.records, records);
        assert_eq!((frame.head.seq, frame.head.epoch, frame.t0_ms), (77, 9, 1_700_000_000_000));
        assert_eq!(frame.head.flags, flags::DT | flags::STATUS);
    }

    #[test]
    fn a_frame_under_another_number_says_the_same() {
        let frame = encode(&[record(5, 1, 2, 30)], &HEAD);
        let (was, is) = (decode_frame(&frame).expect("ours"), decode_frame(&renumbered(&frame, 0xDEAD_BEEF)).expect("ours"));
        assert_eq!((is.head.seq, is.records, is.t0_ms), (0xDEAD_BEEF, was.records, was.t0_ms));
        assert_eq!(is.head, FrameHead { seq: 0xDEAD_BEEF, ..was.head });
    }

    #[test]
    fn a_fix_from_the_future_is_shown_as_now() {
        let frame = decode_frame(&encode(&[record(5, 1, 2, -60_000)], &HEAD)).expect("our own frame");
        assert_eq!(frame.records[0].fix_time_ms, frame.t0_ms);
    }

    #[test]
    fn a_full_frame_refuses_the_next_record_and_stays_within_its_limit() {
        let mut builder = FrameBuilder::new(1_700_000_000_000);
        let taken = (0..100_000u32)
            .take_while(|&i| builder.push(&record(i * 3, (i as i32 % 7) * 12_000_000, -(i as i32 % 5) * 30_000_000, 50_000)))
            .count();
        let bytes = builder.finish(&HEAD);
        assert!(bytes.len() <= MAX_FRAME_BYTES && bytes.len() > MAX_FRAME_BYTES - 64, "{} bytes", bytes.len());
        assert_eq!(decode_frame(&bytes).expect("our own frame").records.len(), taken);
    }

    #[test]
    fn removed_slots_are_read_as_they_were_written() {
        let frame = decode_frame(&removed_frame(&[0, 7, 8, 1_000_000], 5, &HEAD)).expect("our own frame");
        assert_eq!(frame.head.kind, FrameKind::Removed);
        assert_eq!(frame.records.iter().map(|r| r.slot).collect::<Vec<_>>(), [0, 7, 8, 1_000_000]);
        let all: Vec<u32> = (u32::MAX - MAX_REMOVED as u32 + 1..=u32::MAX).collect();
        assert!(removed_frame(&all, 5, &HEAD).len() <= MAX_FRAME_BYTES);
    }

    #[test]
    fn damaged_frames_are_refused_without_harm() {
        let good = encode(&[record(0, 1, 2, 0), record(9, 3, 4, 5)], &HEAD);
        for cut in 0..good.len() {
            assert!(decode_frame(&good[..cut]).is_err());
        }
        // Any byte may be anything: an error or other values, never a panic.
        for at in 0..good.len() {
            for byte in [0, 0x7F, 0x80, 0xFF] {
                let mut bad = good.to_vec();
                bad[at] = byte;
                drop(decode_frame(&bad));
            }
        }
    }
}
