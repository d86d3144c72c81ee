//! One socket's side of a view: an acknowledgement window, and what to send when it opens. Pure: time and frames are arguments.
//!
//! While the window is open a socket gets the frames that all sockets of its view share. When it is closed (the client is slow),
//! the vehicles that change are only noted; when it opens again, one frame tells where they are then. So a client that was slow
//! is at the newest state at once, and never costs more memory than a note per vehicle.

use super::board::Board;
use super::view::{TickFrames, View, encode_some, removed_frames, slots_message};
use crate::wire::SlotsMessage;
use crate::wire::frame::{FrameHead, FrameKind, MAX_REMOVED, flags};
use bytes::Bytes;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use waystream_domain::Timestamp;

/// The two clocks of a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    /// What people call the time; may jump.
    pub(crate) wall: Timestamp,
    /// Since the start; never jumps.
    pub(crate) up: Duration,
}

/// Frames in flight at most.
pub(crate) const WINDOW: usize = 3;
/// Vehicles in one frame of a snapshot: the longest records of so many fit.
const SNAPSHOT_RECORDS: usize = 2_000;

/// Something to send: perhaps rows of the slot table, then a frame.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    /// To be sent first.
    pub(crate) slots: Option<Arc<SlotsMessage>>,
    /// The frame's number.
    pub(crate) seq: u32,
    /// The frame.
    pub(crate) frame: Bytes,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct ClientView {
    in_flight: VecDeque<u32>,
    /// Joins of the view that the client knows.
    known: usize,
    /// Joins that make up the snapshot; `None` once it is complete.
    snapshot_end: Option<usize>,
    dirty: BTreeSet<u32>,
    gone: BTreeSet<u32>,
    waiting_since: Duration,
}

impl ClientView {
    /// A client that knows nothing of a view yet. It starts with a snapshot of what is in it now.
    pub(crate) fn new(view: &View, now: Now) -> Self {
        Self {
            in_flight: VecDeque::new(),
            known: 0,
            snapshot_end: Some(view.len()),
            dirty: BTreeSet::new(),
            gone: BTreeSet::new(),
            waiting_since: now.up,
        }
    }

    /// Starts with a snapshot of another view; what is in flight still counts.
    pub(crate) fn change_view(&mut self, view: &View, now: Now) {
        let in_flight = std::mem::take(&mut self.in_flight);
        let waiting_since = self.waiting_since;
        *self = Self { in_flight, waiting_since, ..Self::new(view, now) };
    }

    /// The client has `seq`, and everything sent before it.
    pub(crate) fn acknowledge(&mut self, seq: u32, now: Now) {
        if let Some(at) = self.in_flight.iter().position(|&s| s == seq) {
            self.in_flight.drain(..=at);
            self.waiting_since = now.up;
        }
    }

    /// How long a frame has been waiting for its acknowledgement.
    pub(crate) fn waiting(&self, now: Now) -> Duration {
        if self.in_flight.is_empty() { Duration::ZERO } else { now.up.saturating_sub(self.waiting_since) }
    }

    /// Whether it knows everything that the view has.
    pub(crate) fn is_up_to_date(&self, view: &View) -> bool {
        self.known == view.len() && self.snapshot_end.is_none() && self.dirty.is_empty() && self.gone.is_empty()
    }

    /// After [`View::compact`], which is for clients that are up to date only.
    pub(crate) fn view_compacted(&mut self, view: &View) {
        self.known = view.len();
    }

    /// Takes a tick's frames: to be sent as they are, or, if the client is behind, nothing but notes.
    pub(crate) fn take_tick(&mut self, tick: &TickFrames, view: &View) -> Vec<Outgoing> {
        let behind = self.known < tick.start
            || self.snapshot_end.is_some()
            || !self.dirty.is_empty()
            || !self.gone.is_empty()
            || self.in_flight.len() + tick.frames.len() > WINDOW;
        if behind {
            self.dirty.extend(tick.changed.iter().filter(|&&slot| view.is_known(slot, self.known)));
            self.gone.extend(&tick.left);
            return Vec::new();
        }
        let mut slots = tick.slots.clone();
        tick.frames.iter().map(|(seq, frame)| Outgoing { slots: slots.take(), seq: *seq, frame: frame.clone() }).collect()
    }

    /// The tick's frames have all been sent.
    pub(crate) fn tick_sent(&mut self, tick: &TickFrames, view: &View, now: Now) {
        for (seq, _) in &tick.frames {
            self.sent(*seq, now);
        }
        self.known = view.len();
    }

    /// The tick's frames could not be sent: they become notes.
    pub(crate) fn tick_refused(&mut self, tick: &TickFrames) {
        self.dirty.extend(&tick.changed);
        self.gone.extend(&tick.left);
    }

    fn sent(&mut self, seq: u32, now: Now) {
        if self.in_flight.is_empty() {
            self.waiting_since = now.up;
        }
        self.in_flight.push_back(seq);
    }

    /// Sends what the client is behind with, as far as the window is open. `send` answers whether the socket took it.
    pub(crate) fn catch_up(
        &mut self,
        view: &View,
        board: &Board,
        now: Now,
        next_seq: &mut impl FnMut() -> u32,
        mut send: impl FnMut(&Outgoing) -> bool,
    ) {
        while self.in_flight.len() < WINDOW {
            let Some((outgoing, done)) = self.next(view, board, now, next_seq) else { return };
            if !send(&outgoing) {
                return;
            }
            self.sent(outgoing.seq, now);
            match done {
                Done::Gone(last) => self.gone = self.gone.split_off(&last.saturating_add(1)),
                Done::Known(known) => {
                    self.known = known;
                    if self.snapshot_end.is_some_and(|end| end <= known) {
                        self.snapshot_end = None;
                    }
                }
                Done::Dirty(last) => self.dirty = self.dirty.split_off(&last.saturating_add(1)),
            }
        }
    }

    fn next(&mut self, view: &View, board: &Board, now: Now, next_seq: &mut impl FnMut() -> u32) -> Option<(Outgoing, Done)> {
        let epoch = board.epoch();
        // Leaves first: a vehicle that left and came back joins again after that.
        if !self.gone.is_empty() {
            let some: Vec<u32> = self.gone.iter().copied().take(MAX_REMOVED).collect();
            let last = *some.last()?;
            let (seq, frame) = removed_frames(&some, epoch, now.wall, next_seq).pop()?;
            return Some((Outgoing { slots: None, seq, frame }, Done::Gone(last)));
        }
        if self.snapshot_end.is_some() || self.known < view.len() {
            let end = self.snapshot_end.unwrap_or(view.len());
            let to = (self.known + SNAPSHOT_RECORDS).min(end);
            let some: BTreeSet<u32> = view.joined(self.known, to).collect();
            let (kind, flags) = match self.snapshot_end {
                Some(end) if to == end => (FrameKind::Snapshot, flags::LAST),
                Some(_) => (FrameKind::Snapshot, 0),
                None => (FrameKind::Delta, 0),
            };
            let head = FrameHead { kind, flags, epoch, seq: next_seq() };
            let (_, frame) = encode_some(some.iter().map(|&slot| board.record(slot)), now.wall, &head);
            let slots = (!some.is_empty()).then(|| slots_message(some, board));
            return Some((Outgoing { slots, seq: head.seq, frame }, Done::Known(to)));
        }
        self.dirty.retain(|&slot| view.is_known(slot, self.known));
        if self.dirty.is_empty() {
            return None;
        }
        let head = FrameHead { kind: FrameKind::Delta, flags: 0, epoch, seq: next_seq() };
        let (taken, frame) = encode_some(self.dirty.iter().map(|&slot| board.record(slot)), now.wall, &head);
        let last = *self.dirty.iter().nth(taken.checked_sub(1)?)?;
        Some((Outgoing { slots: None, seq: head.seq, frame }, Done::Dirty(last)))
    }
}

/// What a frame that was sent has done away with.
enum Done {
    Gone(u32),
    Known(usize),
    Dirty(u32),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::board::LinkLimits;
    use crate::live::board::tests::{at, live};
    use crate::wire::frame::decode_frame;
    use std::collections::BTreeMap;
    use waystream_domain::Catalog;

    const NOW: Now = Now { wall: Timestamp::from_millis(0).expect("a time"), up: Duration::ZERO };

    /// A view of `n` vehicles, one socket on it, and what a browser would make of what it gets.
    struct Scene {
        board: Board,
        view: View,
        client: ClientView,
        seq: u32,
        position_seq: u64,
        unacknowledged: Vec<u32>,
        seen: BTreeMap<u32, i32>,
        rows: BTreeSet<u32>,
        last_flags: usize,
        frames: usize,
    }

    impl Scene {
        fn new(n: u64) -> Self {
            let mut view = View::default();
            let mut board = Board::new(1, LinkLimits::default());
            for i in 0..n {
                let (slot, _) = board.apply(live(&format!("d{i}"), "f", 1, 0.0, 0.0), &Catalog::default(), at(0));
                view.join(slot);
            }
            view.tick(&board, at(0), &mut || 0);
            let client = ClientView::new(&view, NOW);
            let (unacknowledged, seen, rows) = (Vec::new(), BTreeMap::new(), BTreeSet::new());
            Self { board, view, client, seq: 0, position_seq: 1, unacknowledged, seen, rows, last_flags: 0, frames: 0 }
        }

        fn shift(&mut self, slot: u32, lat: f64) {
            self.position_seq += 1;
            let device = self.board.vehicle(slot).device.to_string();
            self.board.apply(live(&device, "f", self.position_seq, lat, 0.0), &Catalog::default(), at(0));
            self.view.touch(slot);
        }

        fn receive(&mut self, outgoing: Vec<Outgoing>) {
            for o in outgoing {
                if let Some(slots) = &o.slots {
                    self.rows.extend(slots.slots.iter().map(|row| row.0));
                }
                let frame = decode_frame(&o.frame).expect("our own frame");
                self.last_flags += usize::from(frame.head.flags & flags::LAST != 0);
                for r in frame.records {
                    assert!(self.rows.contains(&r.slot), "a row comes before its slot is used");
                    if frame.head.kind == FrameKind::Removed {
                        self.seen.remove(&r.slot);
                    } else {
                        self.seen.insert(r.slot, r.lat_e6);
                    }
                }
                self.unacknowledged.push(o.seq);
                self.frames += 1;
            }
            assert!(self.unacknowledged.len() <= WINDOW);
        }

        fn tick(&mut self, takes: bool) {
            let seq = &mut self.seq;
            let mut next = || {
                *seq += 1;
                *seq
            };
            let mut sent = Vec::new();
            if let Some(tick) = self.view.tick(&self.board, at(0), &mut next) {
                let direct = self.client.take_tick(&tick, &self.view);
                if takes && !direct.is_empty() {
                    self.client.tick_sent(&tick, &self.view, NOW);
                    sent = direct;
                } else if !direct.is_empty() {
                    self.client.tick_refused(&tick);
                }
            }
            if takes {
                self.client.catch_up(&self.view, &self.board, NOW, &mut next, |o| {
                    sent.push(o.clone());
                    true
                });
            }
            self.receive(sent);
        }

        fn acknowledge_all(&mut self) {
            if let Some(&last) = self.unacknowledged.last() {
                self.client.acknowledge(last, NOW);
                self.unacknowledged.clear();
            }
        }

        fn settle(&mut self) {
            for _ in 0..100 {
                self.acknowledge_all();
                self.tick(true);
            }
            self.check();
        }

        fn check(&self) {
            let truth: BTreeMap<u32, i32> =
                self.view.joined(0, self.view.len()).map(|slot| (slot, self.board.record(slot).lat_e6)).collect();
            assert_eq!(self.seen, truth);
            assert!(self.client.is_up_to_date(&self.view));
        }
    }

    #[test]
    fn a_snapshot_comes_first_in_frames_within_the_window() {
        let mut scene = Scene::new(9_000);
        scene.tick(true);
        assert_eq!((scene.frames, scene.seen.len()), (3, 6_000));
        scene.shift(8_999, 5.0);
        scene.shift(0, 6.0);
        scene.tick(true);
        assert_eq!(scene.frames, 3);
        scene.settle();
        assert_eq!(scene.last_flags, 1);
    }

    #[test]
    fn an_empty_view_has_an_empty_snapshot() {
        let mut scene = Scene::new(0);
        scene.tick(true);
        assert_eq!((scene.frames, scene.last_flags), (1, 1));
        scene.settle();
        assert_eq!(scene.frames, 1);
    }

    #[test]
    fn a_slow_client_gets_one_frame_with_the_newest_state() {
        let mut scene = Scene::new(10);
        scene.settle();
        let before = scene.frames;
        for step in 1..=50 {
            scene.shift(1, f64::from(step));
            scene.shift(2, -f64::from(step));
            scene.tick(true);
        }
        assert_eq!(scene.frames, before + WINDOW);
        scene.acknowledge_all();
        scene.tick(true);
        assert_eq!(scene.frames, before + WINDOW + 1);
        scene.check();
    }

    #[test]
    fn whatever_happens_in_whatever_order_a_client_ends_with_the_truth() {
        // A small generator (Knuth's MMIX constants), so that a failure repeats.
        let mut random = 7u64;
        let mut draw = move |n: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % n
        };
        let mut scene = Scene::new(40);
        for step in 0..20_000 {
            let slot = draw(40) as u32;
            match draw(6) {
                0 => scene.view.leave(slot),
                1 => scene.view.join(slot),
                2 | 3 => scene.shift(slot, f64::from(step % 90)),
                4 => scene.tick(draw(4) > 0),
                _ => {
                    if draw(3) == 0 {
                        scene.acknowledge_all();
                    }
                }
            }
            if step % 1_000 == 0 {
                scene.settle();
                if scene.view.compact() {
                    scene.client.view_compacted(&scene.view);
                }
            }
        }
        scene.settle();
    }
}
