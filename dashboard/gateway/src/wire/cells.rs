//! The FT1 frame of counted cells: where many vehicles are, without saying who. Header and flags as in [`super::frame`], kind 3.
//!
//! | offset | type | name | meaning |
//! | --- | --- | --- | --- |
//! | 20 | u32 | n | number of cells |
//! | 24 | i32 | x | westernmost tile column of the viewport that is told of, see [`super::Viewport`] |
//! | 28 | i32 | y | northernmost tile row |
//! | 32 | u8 | zoom | of the tiles |
//! | 33 | u16 | w | tile columns; with h = 0 or w = 0: cells are no longer told, vehicles are |
//! | 35 | u16 | h | tile rows |
//!
//! A tile is 4 x 4 cells. Cells have numbers: row by row from the north-west corner of the viewport, `4 w` in a row. Cells that the
//! receiver has of another viewport of the same zoom, and that lie in this one, stay; others are forgotten; with
//! [`flags::FULL`](super::frame::flags::FULL) all are. Then columns, each `n` long:
//!
//! | column | type | meaning |
//! | --- | --- | --- |
//! | cell | varint | ascending: `cell[k] - cell[k-1] - 1`, the first against -1 |
//! | looks | u8 | bit by number: the [`Look`]s that vehicles in it have; 0: none any more |
//! | counts | varint, one a bit | how many have each, at least 1; that of the lowest number first |
//! | speed | u8 | mean of those that tell it, km/h up to 254; 255: nobody does |
//! | course | u8 | 360/256 degree, of a vehicle that is the only one; else 0 |
//! | place | u8 | mean place in the cell, sixteenths: low nibble from the west, high nibble from the north |

use super::Viewport;
use super::frame::{FrameError, FrameHead, FrameKind, HEADER_BYTES, put_header, status, take_byte, take_varint, varint};
use bytes::{BufMut, Bytes, BytesMut};

/// Cells along the edge of a tile.
pub const CELLS_PER_TILE: u32 = 4;
/// Tiles of a viewport at most: all their cells are told in one frame.
pub const MAX_TILES: u32 = 320;
/// No frame of cells is longer, whatever they hold. It takes millions of vehicles in sight to be longer than frames of vehicles are.
pub const MAX_CELLS_FRAME_BYTES: usize = 192 * 1024;
/// `speed_kmh` where no vehicle tells its speed.
pub const CELL_SPEED_UNKNOWN: u8 = 255;
/// Zoom and size of the viewport, after the header.
const VIEWPORT_BYTES: usize = 5;

/// What a vehicle is drawn and counted as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Look {
    /// It moves.
    Moving = 0,
    /// It stands with its ignition on.
    Idle = 1,
    /// It stands.
    Parked = 2,
    /// No report for a while.
    Late = 3,
    /// No report for long.
    Offline = 4,
    /// It raises an alarm.
    Alarm = 5,
}

impl Look {
    /// In the order of their numbers.
    pub const ALL: [Self; 6] = [Self::Moving, Self::Idle, Self::Parked, Self::Late, Self::Offline, Self::Alarm];
    /// What deserves a dispatcher's eye comes first.
    pub const BY_URGENCY: [Self; 6] = [Self::Alarm, Self::Moving, Self::Idle, Self::Late, Self::Parked, Self::Offline];

    /// Of a status byte, see [`status`].
    pub fn of(bits: u8) -> Self {
        let (late, offline) = (bits & status::LATE != 0, bits & status::OFFLINE != 0);
        match bits {
            _ if bits & status::ALARM != 0 => Self::Alarm,
            _ if offline => Self::Offline,
            _ if late => Self::Late,
            _ if bits & status::MOVING != 0 => Self::Moving,
            _ if bits & status::IGNITION != 0 => Self::Idle,
            _ => Self::Parked,
        }
    }
}

/// One cell in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellRecord {
    /// Number of the cell, see the module.
    pub cell: u32,
    /// What is in it.
    pub sum: CellSum,
}

/// What is in a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CellSum {
    /// Vehicles of each [`Look`], by its number.
    pub looks: [u32; Look::ALL.len()],
    /// See the module.
    pub speed_kmh: u8,
    /// See the module.
    pub course: u8,
    /// See the module.
    pub place: u8,
}

impl CellSum {
    /// Of a cell without vehicles.
    pub const EMPTY: Self = Self { looks: [0; Look::ALL.len()], speed_kmh: CELL_SPEED_UNKNOWN, course: 0, place: 0 };

    /// Vehicles.
    pub fn count(&self) -> u64 {
        self.looks.iter().map(|&n| u64::from(n)).sum()
    }

    /// As one byte: which looks there are.
    fn present(&self) -> u8 {
        (0..).zip(self.looks).fold(0, |bits, (look, n)| bits | (u8::from(n > 0) << look))
    }
}

/// A frame of these cells, in ascending order. All of a viewport always fit.
///
/// # Panics
/// If the cells don't ascend: the format can't say it.
pub fn cells_frame(viewport: &Viewport, cells: &[CellRecord], t0_ms: i64, head: &FrameHead) -> Bytes {
    let n = u32::try_from(cells.len()).expect("a viewport has few cells");
    let first = (viewport.x as i32, viewport.y as i32);
    let mut out = BytesMut::with_capacity(HEADER_BYTES + VIEWPORT_BYTES + cells.len() * 8);
    put_header(&mut out, &FrameHead { kind: FrameKind::Cells, ..*head }, t0_ms, n, first);
    out.put_u8(viewport.zoom);
    out.put_u16_le(viewport.w as u16);
    out.put_u16_le(viewport.h as u16);
    let (mut gaps, mut counts) = (Vec::new(), Vec::new());
    let mut next = 0;
    for record in cells {
        varint(&mut gaps, u64::from(record.cell.checked_sub(next).expect("cells of a frame ascend")));
        record.sum.looks.into_iter().filter(|&n| n > 0).for_each(|n| varint(&mut counts, u64::from(n)));
        next = record.cell + 1;
    }
    out.put_slice(&gaps);
    cells.iter().for_each(|record| out.put_u8(record.sum.present()));
    out.put_slice(&counts);
    for column in [|s: &CellSum| s.speed_kmh, |s: &CellSum| s.course, |s: &CellSum| s.place] {
        cells.iter().for_each(|record| out.put_u8(column(&record.sum)));
    }
    out.freeze()
}

/// A frame of cells read back: for tests and load generators.
#[derive(Debug, Clone, PartialEq)]
pub struct CellsFrame {
    /// Kind, flags, epoch and seq.
    pub head: FrameHead,
    /// Milliseconds since the Unix epoch.
    pub t0_ms: i64,
    /// What is told of.
    pub viewport: Viewport,
    /// The cells.
    pub cells: Vec<CellRecord>,
}

/// Reads a frame of cells.
pub fn decode_cells(bytes: &[u8]) -> Result<CellsFrame, FrameError> {
    let (head, t0_ms, n, (x, y), mut body) = super::frame::take_header(bytes)?;
    if head.kind != FrameKind::Cells {
        return Err(FrameError::Unknown);
    }
    let body = &mut body;
    let zoom = take_byte(body)?;
    let mut take_u16 = || Ok(u16::from_le_bytes([take_byte(body)?, take_byte(body)?]));
    let (w, h) = (u32::from(take_u16()?), u32::from(take_u16()?));
    let viewport = Viewport { zoom, x: x as u32, y: y as u32, w, h };
    // A cell has at least five bytes.
    if n.saturating_mul(5) > body.len() {
        return Err(FrameError::Length);
    }
    let mut cells = vec![CellRecord { cell: 0, sum: CellSum::EMPTY }; n];
    let mut next = 0u64;
    for record in &mut cells {
        next = next.checked_add(take_varint(body)?).ok_or(FrameError::Range)?;
        record.cell = u32::try_from(next).map_err(|_| FrameError::Range)?;
        next += 1;
    }
    if next > u64::from(w) * u64::from(h) * u64::from(CELLS_PER_TILE.pow(2)) {
        return Err(FrameError::Range);
    }
    let mut present = Vec::with_capacity(n);
    for _ in 0..n {
        present.push(take_byte(body)?);
    }
    for (record, bits) in cells.iter_mut().zip(present) {
        if bits >> Look::ALL.len() != 0 {
            return Err(FrameError::Range);
        }
        for (_, count) in record.sum.looks.iter_mut().enumerate().filter(|(look, _)| (bits >> *look) & 1 != 0) {
            *count = u32::try_from(take_varint(body)?).map_err(|_| FrameError::Range)?;
            if *count == 0 {
                return Err(FrameError::Range);
            }
        }
    }
    for set in [|s: &mut CellSum, v| s.speed_kmh = v, |s: &mut CellSum, v| s.course = v, |s: &mut CellSum, v| s.place = v] {
        for record in &mut cells {
            set(&mut record.sum, take_byte(body)?);
        }
    }
    if body.is_empty() { Ok(CellsFrame { head, t0_ms, viewport, cells }) } else { Err(FrameError::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{decode_frame, flags};

    const HEAD: FrameHead = FrameHead { kind: FrameKind::Cells, flags: flags::FULL, epoch: 9, seq: 77 };
    const VIEWPORT: Viewport = Viewport { zoom: 7, x: 126, y: 30, w: 5, h: 4 };

    fn record(cell: u32, count: u32) -> CellRecord {
        CellRecord { cell, sum: CellSum { looks: [0, count, 0, 0, 0, count / 2], speed_kmh: 50, course: 64, place: 0x7f } }
    }

    #[test]
    fn a_frame_of_cells_is_read_as_it_was_written() {
        let cells = [record(0, 1), record(1, 0), record(200, 300_000), record(319, u32::MAX)];
        let bytes = cells_frame(&VIEWPORT, &cells, 1_700_000_000_000, &HEAD);
        let frame = decode_cells(&bytes).expect("our own frame");
        assert_eq!((frame.head, frame.t0_ms, frame.viewport), (HEAD, 1_700_000_000_000, VIEWPORT));
        assert_eq!(frame.cells, cells);
        assert_eq!(decode_frame(&bytes), Err(FrameError::Unknown));
    }

    #[test]
    fn all_cells_of_the_largest_viewport_fit_into_one_frame() {
        let viewport = Viewport { zoom: 22, x: 0, y: 0, w: MAX_TILES, h: 1 };
        let full = CellSum { looks: [u32::MAX; Look::ALL.len()], ..CellSum::EMPTY };
        assert_eq!(full.count(), 6 * u64::from(u32::MAX));
        let all = 0..MAX_TILES * CELLS_PER_TILE.pow(2);
        let cells: Vec<_> = all.map(|cell| CellRecord { cell, sum: full }).collect();
        let bytes = cells_frame(&viewport, &cells, 0, &HEAD);
        assert!(bytes.len() <= MAX_CELLS_FRAME_BYTES);
        assert_eq!(decode_cells(&bytes).expect("our own frame").cells, cells);
    }

    #[test]
    fn damaged_frames_of_cells_are_refused_without_harm() {
        let good = cells_frame(&VIEWPORT, &[record(3, 7), record(9, 300)], 0, &HEAD);
        for cut in 0..good.len() {
            assert!(decode_cells(&good[..cut]).is_err());
        }
        assert!(decode_cells(&[&good[..], &[0]].concat()).is_err());
        for at in 0..good.len() {
            for byte in [0, 0x7F, 0x80, 0xFF] {
                let mut bad = good.to_vec();
                bad[at] = byte;
                drop(decode_cells(&bad));
            }
        }
        let outside = cells_frame(&VIEWPORT, &[record(320, 1)], 0, &HEAD);
        assert_eq!(decode_cells(&outside), Err(FrameError::Range));
        // A look that there isn't, and one that nobody has.
        let looks = HEADER_BYTES + VIEWPORT_BYTES + 2;
        for (at, byte) in [(looks, 0x42), (looks + 2, 0)] {
            let mut bad = good.to_vec();
            bad[at] = byte;
            assert!(decode_cells(&bad).is_err());
        }
    }

    #[test]
    fn what_is_worse_hides_what_is_better() {
        for (bits, look) in [
            (0, Look::Parked),
            (status::IGNITION, Look::Idle),
            (status::IGNITION | status::MOVING | status::VALID, Look::Moving),
            (status::MOVING | status::LATE, Look::Late),
            (status::MOVING | status::OFFLINE, Look::Offline),
            (status::OFFLINE | status::ALARM, Look::Alarm),
        ] {
            assert_eq!(Look::of(bits), look);
        }
    }
}
