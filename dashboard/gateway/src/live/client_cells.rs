//! One socket's side of counted cells: which it has, as of when, and what to send next. Pure: time and frames are arguments.

use super::area::Area;
use super::client::Now;
use super::tiles::Tiles;
use super::view::Outgoing;
use super::window::Window;
use crate::wire::Viewport;
use crate::wire::cells::{CellRecord, cells_frame};
use crate::wire::frame::{FrameHead, FrameKind, flags};
use bytes::Bytes;
use std::time::Duration;
use waystream_domain::Timestamp;

/// Of a viewport whose cells are over.
const NOWHERE: Viewport = Viewport { zoom: 0, x: 0, y: 0, w: 0, h: 0 };

/// What a socket has.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Has {
    /// No cells.
    #[default]
    Nothing,
    /// Those of a part, as of a state of the area.
    Cells(Tiles, u64),
    /// Some of another area.
    Others,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct ClientCells {
    window: Window,
    has: Has,
}

impl ClientCells {
    /// See [`Window::acknowledge`].
    pub(crate) fn acknowledge(&mut self, seq: u32, now: Now) {
        self.window.acknowledge(seq, now);
    }

    /// See [`Window::waiting`].
    pub(crate) fn waiting(&self, now: Now) -> Duration {
        self.window.waiting(now)
    }

    /// The socket goes on in another area, or in none.
    pub(crate) fn leave_area(&mut self) {
        if self.has != Has::Nothing {
            self.has = Has::Others;
        }
    }

    /// Whether it can take a frame of what is new in a part since a state.
    pub(crate) fn can_take(&self, part: &Tiles, since: u64) -> bool {
        self.window.has_room(1) && matches!(&self.has, Has::Cells(has, state) if has == part && *state >= since)
    }

    /// Such a frame (`None`: nothing was new) has been sent; the socket has a part as of a state.
    pub(crate) fn took(&mut self, part: Tiles, state: u64, frame: Option<&Outgoing>, now: Now) {
        self.has = Has::Cells(part, state);
        if let Some(Outgoing { seq, frame, .. }) = frame {
            self.window.sent(*seq, frame.len(), now);
        }
    }

    /// Sends what the socket is behind with, as far as the window is open. `told` is the state that all who show the part have been
    /// told of; `settled`: whether the socket knows all vehicles that are told one by one: only then cells go away.
    pub(crate) fn catch_up(
        &mut self,
        place: Option<(&Area, Tiles, u64)>,
        settled: bool,
        (epoch, now): (u32, Now),
        next_seq: &mut impl FnMut() -> u32,
        send: impl FnOnce(&Outgoing) -> bool,
    ) {
        if !self.window.has_room(1) {
            return;
        }
        let counted = place.filter(|(area, part, _)| area.is_counted(part));
        let (has, viewport, cells, full) = match (counted, self.has) {
            (None, Has::Nothing) => return,
            (None, _) if !settled => return,
            (None, _) => (Has::Nothing, NOWHERE, Vec::new(), true),
            (Some((_, part, told)), Has::Cells(has, state)) if has == part && state >= told => return,
            (Some((area, part, _)), before) => {
                let known = match &before {
                    Has::Cells(has, state) if has.zoom() == part.zoom() => Some((has, *state)),
                    _ => None,
                };
                let cells = area.cells(&part, known).unwrap_or_default();
                (Has::Cells(part, area.state()), part.viewport(), cells, known.is_none())
            }
        };
        let head = FrameHead { kind: FrameKind::Cells, flags: if full { flags::FULL } else { 0 }, epoch, seq: next_seq() };
        let frame = cells_frame(&viewport, &cells, now.wall.as_millis(), &head);
        let bytes = frame.len();
        if send(&Outgoing { slots: None, seq: head.seq, frame }) {
            self.has = has;
            self.window.sent(head.seq, bytes, now);
        }
    }
}

/// What all who show the same part are told at a beat.
#[derive(Debug, Default)]
pub(crate) struct PartBeat {
    /// The state that they have been told of.
    pub(crate) told: u64,
    next: Duration,
}

/// Time between two frames of cells.
const BEAT: Duration = Duration::from_secs(1);
/// A browser gets no more of cells, with some to spare for what carries them.
const MAX_BYTES_PER_S: f64 = 19_000.0;

impl PartBeat {
    /// Beginning with a state of the area.
    pub(crate) fn new(told: u64) -> Self {
        Self { told, next: Duration::ZERO }
    }

    /// The cells that are new since the last beat, and the state before, if it is time for them.
    pub(crate) fn due(&mut self, area: &Area, part: &Tiles, now: Now) -> Option<(u64, Vec<CellRecord>)> {
        if now.up < self.next {
            return None;
        }
        let cells = area.cells(part, Some((part, self.told)))?;
        Some((std::mem::replace(&mut self.told, area.state()), cells))
    }

    /// A frame for all of them; the next one comes later the longer it is.
    pub(crate) fn frame(
        &mut self,
        part: &Tiles,
        cells: &[CellRecord],
        (wall, up): (Timestamp, Duration),
        (epoch, seq): (u32, u32),
    ) -> Bytes {
        let head = FrameHead { kind: FrameKind::Cells, flags: 0, epoch, seq };
        let frame = cells_frame(&part.viewport(), cells, wall.as_millis(), &head);
        let pause = Duration::from_secs_f64(frame.len() as f64 / MAX_BYTES_PER_S);
        // Beats come every second: one that would be a little too early is not left out, unless it would be too much.
        self.next = up + pause.max(BEAT - BEAT / 10);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::cells::CellSum;

    #[test]
    fn the_longer_a_frame_is_the_later_comes_the_next() {
        let all = Tiles::new(&Viewport { zoom: 6, x: 22, y: 24, w: 20, h: 16 }).expect("a part of the map");
        let sum = CellSum { looks: [1, 1, 0, 0, 0, 0], speed_kmh: 50, course: 0, place: 0x88 };
        let cells: Vec<CellRecord> = (0..5_120).map(|cell| CellRecord { cell, sum }).collect();
        for n in (1..=cells.len()).step_by(9) {
            let mut beat = PartBeat::new(0);
            let bytes = beat.frame(&all, &cells[..n], (Timestamp::default(), Duration::ZERO), (1, 1)).len() as u64;
            let seconds = (1..).find(|&s| Duration::from_secs(s) >= beat.next).expect("it comes");
            assert!(bytes <= 20_000 * seconds, "{bytes} bytes for {seconds} s");
            assert!(seconds == 1 || bytes > 19_000 * (seconds - 1), "{bytes} bytes for {seconds} s");
        }
    }
}
