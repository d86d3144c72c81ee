//! One socket's side of a view: an acknowledgement window, and what to send when it opens. Pure: time and frames are arguments.
//!
//! While the window is open a socket gets the frames that all sockets of its view share. When it is closed (the client is slow),
//! nothing happens but that the view goes on; when it opens again, one frame tells where everything is that has moved since the last
//! tick that the client was told of, and all who are behind since the same tick share that frame too. So a client that was slow is at
//! the newest state at once, and costs no memory but for who has left meanwhile.

use super::board::Board;
use super::view::{Outgoing, TickFrames, View, encode_some, removed_frames, slots_message};
use super::window::Window;
use crate::wire::frame::{FrameHead, FrameKind, MAX_REMOVED, flags, renumbered};
use std::collections::BTreeSet;
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

/// Vehicles in one frame of a snapshot at most: the longest records of so many fit.
const SNAPSHOT_RECORDS: usize = 2_000;
/// And no fewer, if there are so many.
const FEW_RECORDS: usize = 80;
/// A snapshot is about so many frames, if it can be.
const SNAPSHOT_FRAMES: usize = 12;
/// Views of so many vehicles are small, and thousands of sockets may begin with them at once. What is written to a connection in one go
/// leaves it with a buffer of that size for as long as it lasts, so snapshots go out in small pieces there.
const SMALL_VIEW: usize = 3_000;
/// With so many bytes in flight the next piece waits.
const PIECES_BYTES: usize = 8 * 1024;

/// See the module.
#[derive(Debug)]
pub(crate) struct ClientView {
    window: Window,
    /// Joins of the view that the client knows, but for those that are missing.
    known: usize,
    /// Joins that make up the snapshot; `None` once it is complete.
    snapshot_end: Option<usize>,
    /// After a change of the view: who is in it and has not been told of.
    missing: BTreeSet<u32>,
    /// After a change of the view: whose newest move in the view before has not been told.
    stale: BTreeSet<u32>,
    gone: BTreeSet<u32>,
    /// Every move up to this tick of the view has been told.
    since: u64,
    /// What came after it has been told of the slots before the second number, as of a tick that is the first.
    pass: Option<(u64, u32)>,
}

impl ClientView {
    /// A client that knows nothing of a view yet. It starts with a snapshot of what is in it now.
    pub(crate) fn new(view: &View, now: Now) -> Self {
        Self {
            window: Window::new(now),
            known: 0,
            snapshot_end: Some(view.ticked()),
            missing: BTreeSet::new(),
            stale: BTreeSet::new(),
            gone: BTreeSet::new(),
            since: view.ticks(),
            pass: None,
        }
    }

    /// Starts with a snapshot of another view; what is in flight still counts.
    pub(crate) fn change_view(&mut self, view: &View, now: Now) {
        let window = std::mem::take(&mut self.window);
        *self = Self { window, ..Self::new(view, now) };
    }

    /// Goes on with another view: only what differs is told. Both as they are now; the client has been with `from` until now.
    pub(crate) fn move_to(&mut self, from: &View, to: &View) {
        let told = self.told(from);
        let stays = |slot: &u32| to.is_known(*slot, to.ticked());
        let stale = self.stale.iter().chain(&self.gone).copied();
        let stale = stale.chain(from.moved_since(self.since, self.known)).chain(from.just_left(0..self.known));
        self.stale = stale.filter(|slot| told.contains(slot) && stays(slot)).collect();
        // Whoever has another name since the last tick goes and comes again with it.
        let new = to.joined(0, to.ticked()).filter(|slot| !told.contains(slot) || from.is_renamed(*slot));
        // Who has just left is missing too: when that is told, it is no news for this client.
        self.missing = new.chain(to.just_left(0..to.ticked()).filter(|slot| !told.contains(slot))).collect();
        self.gone = told.into_iter().filter(|slot| !stays(slot) || from.is_renamed(*slot)).collect();
        self.known = to.ticked();
        (self.since, self.pass) = (to.ticks(), None);
        // A snapshot that has begun has to end, or the client waits for it for ever.
        self.snapshot_end = self.snapshot_end.map(|_| to.ticked());
    }

    /// Who is on the client's map, up to date or not.
    fn told(&self, view: &View) -> BTreeSet<u32> {
        let known = view.joined(0, self.known).chain(view.just_left(0..self.known));
        known.filter(|slot| !self.missing.contains(slot)).chain(self.gone.iter().copied()).collect()
    }

    /// See [`Window::acknowledge`].
    pub(crate) fn acknowledge(&mut self, seq: u32, now: Now) {
        self.window.acknowledge(seq, now);
    }

    /// See [`Window::waiting`].
    pub(crate) fn waiting(&self, now: Now) -> Duration {
        self.window.waiting(now)
    }

    /// Whether it knows everything that the view has.
    pub(crate) fn is_up_to_date(&self, view: &View) -> bool {
        self.known == view.ticked() && self.since == view.ticks() && !self.has_begun()
    }

    /// Whether there is something that it has been told in part only.
    fn has_begun(&self) -> bool {
        let in_part = self.snapshot_end.is_some() || self.pass.is_some();
        in_part || !self.missing.is_empty() || !self.stale.is_empty() || !self.gone.is_empty()
    }

    /// After [`View::compact`], which is for clients that are up to date only.
    pub(crate) fn view_compacted(&mut self, view: &View) {
        self.known = view.ticked();
    }

    /// A tick's frames, to be sent as they are; none if the client is behind: it is told later.
    pub(crate) fn take_tick<'t>(&mut self, tick: &'t TickFrames) -> &'t [Outgoing] {
        let is_behind = self.known < tick.start || self.since + 1 < tick.number || self.has_begun();
        if is_behind || !self.window.has_room(tick.frames.len()) {
            for (&slot, &place) in &tick.left {
                if place < self.known && !self.missing.remove(&slot) {
                    self.gone.insert(slot);
                }
            }
            return &[];
        }
        &tick.frames
    }

    /// The tick's frames have all been sent.
    pub(crate) fn tick_sent(&mut self, tick: &TickFrames, view: &View, now: Now) {
        for outgoing in &tick.frames {
            self.window.sent(outgoing.seq, outgoing.bytes(), now);
        }
        (self.known, self.since) = (view.ticked(), tick.number);
    }

    /// The tick's frames could not be sent: it is told later.
    pub(crate) fn tick_refused(&mut self, tick: &TickFrames) {
        self.gone.extend(tick.left.keys());
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
        while self.window.has_room(1) {
            let Some((outgoing, done)) = self.next(view, board, now, next_seq) else { return };
            if !send(&outgoing) {
                return;
            }
            self.window.sent(outgoing.seq, outgoing.bytes(), now);
            match done {
                Done::Gone(last) => self.gone = self.gone.split_off(&last.saturating_add(1)),
                Done::Missing(last) => {
                    let known = self.known;
                    self.missing.retain(|&slot| slot > last || !view.is_known(slot, known));
                }
                Done::Known(known) => {
                    self.missing.extend(view.just_left(self.known..known));
                    self.known = known;
                    if self.snapshot_end.is_some_and(|end| end <= known) {
                        self.snapshot_end = None;
                    }
                }
                Done::Stale(last) => self.stale = self.stale.split_off(&last.saturating_add(1)),
                Done::Moved(at, Some(next)) => self.pass = Some((at, next)),
                Done::Moved(at, None) => (self.since, self.pass) = (at, None),
            }
        }
    }

    fn next(&mut self, view: &View, board: &Board, now: Now, next_seq: &mut impl FnMut() -> u32) -> Option<(Outgoing, Done)> {
        let (epoch, flags) = (board.epoch(), view.flags());
        // Leaves first: a vehicle that left and came back joins again after that.
        if !self.gone.is_empty() {
            let some: Vec<u32> = self.gone.iter().copied().take(MAX_REMOVED).collect();
            let last = *some.last()?;
            let (seq, frame) = removed_frames(&some, (epoch, flags), now.wall, next_seq).pop()?;
            return Some((Outgoing { slots: None, seq, frame }, Done::Gone(last)));
        }
        let kind = if self.snapshot_end.is_some() { FrameKind::Snapshot } else { FrameKind::Delta };
        let mut with_rows = |some: BTreeSet<u32>, kind, flags| {
            let head = FrameHead { kind, flags, epoch, seq: next_seq() };
            let (_, frame) = encode_some(some.iter().map(|&slot| board.record(slot)), now.wall, &head);
            let slots = (!some.is_empty()).then(|| slots_message(some, board));
            Outgoing { slots, seq: head.seq, frame }
        };
        // What comes of a snapshot is acknowledged at once, and nothing else is.
        if self.snapshot_end.is_some() && view.ticked() <= SMALL_VIEW && self.window.bytes() >= PIECES_BYTES {
            return None;
        }
        let records = (view.ticked() / SNAPSHOT_FRAMES).clamp(FEW_RECORDS, SNAPSHOT_RECORDS);
        // Whoever has just left stays missing until the tick that tells of it, or it would be taken for somebody who has been told.
        let here = self.missing.iter().copied().filter(|&slot| view.is_known(slot, self.known));
        let some: BTreeSet<u32> = here.take(records).collect();
        if let Some(&last) = some.last() {
            return Some((with_rows(some, kind, flags), Done::Missing(last)));
        }
        if self.snapshot_end.is_some() || self.known < view.ticked() {
            let end = self.snapshot_end.unwrap_or(view.ticked());
            let to = (self.known + records).min(end);
            let last = if self.snapshot_end == Some(to) { flags::LAST } else { 0 };
            return Some((with_rows(view.joined(self.known, to).collect(), kind, flags | last), Done::Known(to)));
        }
        self.stale.retain(|&slot| view.is_known(slot, self.known));
        if !self.stale.is_empty() {
            let head = FrameHead { kind: FrameKind::Delta, flags, epoch, seq: next_seq() };
            let (taken, frame) = encode_some(self.stale.iter().map(|&slot| board.record(slot)), now.wall, &head);
            let last = *self.stale.iter().nth(taken.checked_sub(1)?)?;
            return Some((Outgoing { slots: None, seq: head.seq, frame }, Done::Stale(last)));
        }
        while self.since < view.ticks() {
            let (at, from) = self.pass.unwrap_or((view.ticks(), 0));
            if let Some(late) = view.late(self.since, from, board, now.wall) {
                let seq = next_seq();
                let outgoing = Outgoing { slots: None, seq, frame: renumbered(&late.frame, seq) };
                return Some((outgoing, Done::Moved(at, late.last.checked_add(1).filter(|_| late.has_more))));
            }
            // Whoever has moved has left.
            (self.since, self.pass) = (at, None);
        }
        None
    }
}

/// What a frame that was sent has done away with.
enum Done {
    Gone(u32),
    Missing(u32),
    Known(usize),
    Stale(u32),
    /// What has moved up to a tick, of the slots before one; none: of all.
    Moved(u64, Option<u32>),
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::board::LinkLimits;
    use crate::live::board::tests::{at, live};
    use crate::live::window::WINDOW;
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
        records: usize,
        bytes: usize,
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
            let (seq, position_seq, last_flags, frames, records, bytes) = (0, 1, 0, 0, 0, 0);
            Self { board, view, client, seq, position_seq, unacknowledged, seen, rows, last_flags, frames, records, bytes }
        }

        fn shift(&mut self, slot: u32, lat: f64) {
            self.position_seq += 1;
            let device = self.board.vehicle(slot).device.to_string();
            self.board.apply(live(&device, "f", self.position_seq, lat, 0.0), &Catalog::default(), at(0));
            self.view.touch(slot);
        }

        fn receive(&mut self, outgoing: Vec<Outgoing>) {
            for o in outgoing {
                self.bytes += o.bytes();
                if let Some(slots) = &o.slots {
                    self.rows.extend(slots.slots.iter().map(|row| row.0));
                }
                let frame = decode_frame(&o.frame).expect("our own frame");
                self.last_flags += usize::from(frame.head.flags & flags::LAST != 0);
                self.records += frame.records.len();
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
                let direct = self.client.take_tick(&tick);
                if takes && !direct.is_empty() {
                    self.client.tick_sent(&tick, &self.view, NOW);
                    sent = direct.to_vec();
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

        /// Between two ticks.
        fn catch_up(&mut self) {
            let Self { client, view, board, seq, .. } = self;
            let mut sent = Vec::new();
            let mut next = || {
                *seq += 1;
                *seq
            };
            client.catch_up(view, board, NOW, &mut next, |o| {
                sent.push(o.clone());
                true
            });
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
            let truth: BTreeMap<u32, i32> = self.view.slots().map(|slot| (slot, self.board.record(slot).lat_e6)).collect();
            assert_eq!(self.seen, truth);
            assert!(self.client.is_up_to_date(&self.view));
        }
    }

    #[test]
    fn a_snapshot_comes_first_in_frames_within_the_window() {
        let mut scene = Scene::new(9_000);
        scene.tick(true);
        assert_eq!((scene.frames, scene.seen.len()), (3, 2_250));
        scene.shift(8_999, 5.0);
        scene.shift(0, 6.0);
        scene.tick(true);
        assert_eq!(scene.frames, 3);
        scene.settle();
        assert_eq!(scene.last_flags, 1);
    }

    #[test]
    fn the_snapshot_of_a_small_view_goes_out_in_small_pieces() {
        let mut scene = Scene::new(1_000);
        let mut turns = 0;
        while !scene.client.is_up_to_date(&scene.view) {
            scene.acknowledge_all();
            let before = scene.bytes;
            scene.tick(true);
            // What was in flight when the last piece went, and that piece.
            assert!(scene.bytes - before <= PIECES_BYTES + 8 * 1024, "{} bytes in one go", scene.bytes - before);
            turns += 1;
        }
        assert!((2..=12).contains(&turns), "{turns} turns");
        scene.check();
    }

    #[test]
    fn who_joins_and_leaves_within_one_tick_is_told_to_nobody() {
        let mut scene = Scene::new(3);
        scene.view.leave(2);
        scene.tick(true);
        scene.settle();
        scene.view.join(2);
        // A client that comes in the midst of a tick, and is sent its snapshot at once.
        scene.client = ClientView::new(&scene.view, NOW);
        scene.catch_up();
        scene.view.leave(2);
        scene.settle();
    }

    #[test]
    fn who_leaves_before_a_client_is_told_of_it_is_not_told_to_be_gone() {
        let mut scene = Scene::new(3);
        scene.settle();
        scene.client = ClientView::new(&scene.view, NOW);
        (scene.rows, scene.seen) = (BTreeSet::new(), BTreeMap::new());
        scene.view.leave(1);
        scene.catch_up();
        scene.settle();
        assert_eq!(scene.rows, BTreeSet::from([0, 2]));
        // The same where it comes from another view.
        let mut to = View::of(0..3);
        to.leave(1);
        scene.client.move_to(&scene.view, &to);
        scene.view = to;
        scene.catch_up();
        scene.settle();
        assert_eq!(scene.rows, BTreeSet::from([0, 2]));
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
    fn a_client_that_is_far_behind_is_told_of_each_vehicle_once_however_many_frames_that_takes() {
        let mut scene = Scene::new(12_000);
        scene.settle();
        // Full, so that what moves from now on waits.
        for step in 1..=WINDOW {
            scene.shift(0, step as f64);
            scene.tick(true);
        }
        for slot in 0..12_000 {
            scene.shift(slot, 20.0);
        }
        scene.tick(true);
        scene.shift(5, 30.0);
        scene.tick(true);
        let told = |scene: &mut Scene| {
            let before = scene.records;
            scene.acknowledge_all();
            scene.tick(true);
            scene.records - before
        };
        let mut all = 0;
        while !scene.client.is_up_to_date(&scene.view) {
            all += told(&mut scene);
        }
        assert_eq!(all, 12_000);
        scene.check();
        // One that moves when the first part has been told is told again, and no other.
        for step in 1..=WINDOW {
            scene.shift(0, step as f64);
            scene.tick(true);
        }
        for slot in 0..12_000 {
            scene.shift(slot, 40.0);
        }
        scene.tick(true);
        let (board, view) = (&scene.board, &scene.view);
        let part = view.late(view.ticks() - 1, 0, board, NOW.wall).expect("all are late");
        scene.client.pass = Some((view.ticks(), part.last + 1));
        scene.seen.extend((0..=part.last).map(|slot| (slot, 40_000_000)));
        scene.shift(1, 50.0);
        let mut all = 0;
        while !scene.client.is_up_to_date(&scene.view) {
            all += told(&mut scene);
        }
        assert_eq!(all, 12_000 - (part.last as usize + 1) + 1);
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
