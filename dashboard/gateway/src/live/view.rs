//! A view: the vehicles of some fleets of one organisation, what changed in it during a tick, and the frames that say so,
//! encoded once for all sockets that watch it.

use super::board::Board;
use crate::wire::SlotsMessage;
use crate::wire::frame::{FrameBuilder, FrameHead, FrameKind, FrameRecord, MAX_REMOVED, removed_frame};
use bytes::Bytes;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use waystream_domain::{FleetId, OrganisationId, Timestamp};

/// What a view is of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct ViewKey {
    /// Whose.
    pub(crate) organisation: OrganisationId,
    /// Which fleets; `None`: all, also those to come.
    pub(crate) fleets: Option<BTreeSet<FleetId>>,
}

impl ViewKey {
    /// Whether it shows this fleet of this organisation.
    pub(crate) fn shows(&self, organisation: &OrganisationId, fleet: &FleetId) -> bool {
        self.organisation == *organisation && self.fleets.as_ref().is_none_or(|some| some.contains(fleet))
    }
}

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

/// What a row of the slot table takes beside its texts, about.
const ROW_BYTES: usize = 16;

impl Outgoing {
    /// What goes out with it, about.
    pub(crate) fn bytes(&self) -> usize {
        let rows = self.slots.iter().flat_map(|message| &message.slots);
        let texts = rows.map(|(_, device, name, fleet)| device.len() + name.len() + fleet.len() + ROW_BYTES);
        self.frame.len() + texts.sum::<usize>()
    }
}

/// See the module. A vehicle joins at a place in [`View::joins`], which only grows: a socket knows all up to its own place.
#[derive(Debug, Default)]
pub(crate) struct View {
    joins: Vec<u32>,
    /// Of each place, the number of the tick that tells of its vehicle's newest move; zero: none has. So what a socket is behind with
    /// follows from the tick up to which it has been told, and nothing has to be noted for it.
    moved: Vec<u64>,
    place: HashMap<u32, usize>,
    /// Who has moved since the last tick, once; some of them may have left.
    changed: Vec<u32>,
    /// Number of the last tick that had something to tell.
    ticks: u64,
    /// What was encoded since then for whoever is behind, by the tick since when and the first slot.
    late: RefCell<HashMap<(u64, u32), Option<LateFrame>>>,
    renamed: BTreeSet<u32>,
    /// Who left since the last tick, with the place before.
    left: BTreeMap<u32, usize>,
    tick_start: usize,
    flags: u16,
}

/// What one tick brought, ready to send.
#[derive(Debug, Default)]
pub(crate) struct TickFrames {
    /// Rows of the slot table of vehicles that have another name or fleet: for sockets that can't take the frames.
    pub(crate) renamed: Option<Arc<SlotsMessage>>,
    /// Frames in order; with the first go the rows of vehicles that joined or have another name or fleet.
    pub(crate) frames: Vec<Outgoing>,
    /// See [`View::ticks`].
    pub(crate) number: u64,
    /// Vehicles that left, with the places they had.
    pub(crate) left: BTreeMap<u32, usize>,
    /// Joins before this tick: a socket that knows all of them can take the frames.
    pub(crate) start: usize,
}

/// A frame for sockets that are behind. It has no number yet: each gives it one of its own.
#[derive(Debug, Clone)]
pub(crate) struct LateFrame {
    /// The highest slot in it.
    pub(crate) last: u32,
    /// Whether there are more, above that.
    pub(crate) has_more: bool,
    /// The frame.
    pub(crate) frame: Bytes,
}

impl View {
    /// A view that has held these vehicles for a while.
    pub(crate) fn of(slots: impl IntoIterator<Item = u32>) -> Self {
        let mut view = Self::default();
        slots.into_iter().for_each(|slot| view.join(slot));
        view.tick_start = view.joins.len();
        view
    }

    /// Puts a flag on all its frames.
    pub(crate) fn flagged(self, flags: u16) -> Self {
        Self { flags, ..self }
    }

    /// On all its frames.
    pub(crate) fn flags(&self) -> u16 {
        self.flags
    }

    /// Number of joins up to the last tick: what a socket may know. Who joins and leaves in one tick is told to nobody.
    pub(crate) fn ticked(&self) -> usize {
        self.tick_start
    }

    /// Vehicles in it.
    pub(crate) fn count(&self) -> usize {
        self.place.len()
    }

    /// All that are in it.
    pub(crate) fn slots(&self) -> impl Iterator<Item = u32> {
        self.joined(0, self.joins.len())
    }

    /// Number of the last tick that had something to tell.
    pub(crate) fn ticks(&self) -> u64 {
        self.ticks
    }

    /// Who has moved since a tick, of the first `known` joins; also what the next tick is to tell.
    pub(crate) fn moved_since(&self, tick: u64, known: usize) -> impl Iterator<Item = u32> {
        let places = (0..).zip(self.joins.iter().zip(&self.moved)).take(known);
        let moved = places.filter(move |(place, (slot, moved))| **moved > tick && self.place.get(slot) == Some(place));
        moved.map(|(_, (&slot, _))| slot)
    }

    /// What a socket that knows all joins has to be told of that has moved since a tick, of the slots from one on: as it was when the
    /// first asked for it, and the same for all who do until the next tick.
    pub(crate) fn late(&self, since: u64, from: u32, board: &Board, now: Timestamp) -> Option<LateFrame> {
        if since >= self.ticks {
            return None;
        }
        let mut late = self.late.borrow_mut();
        late.entry((since, from)).or_insert_with(|| self.encode_late(since, from, board, now)).clone()
    }

    fn encode_late(&self, since: u64, from: u32, board: &Board, now: Timestamp) -> Option<LateFrame> {
        let mut slots: Vec<u32> = self.moved_since(since, self.tick_start).filter(|&slot| slot >= from).collect();
        slots.sort_unstable();
        let head = FrameHead { kind: FrameKind::Delta, flags: self.flags, epoch: board.epoch(), seq: 0 };
        let (taken, frame) = encode_some(slots.iter().map(|&slot| board.record(slot)), now, &head);
        let last = *slots.get(taken.checked_sub(1)?)?;
        Some(LateFrame { last, has_more: taken < slots.len(), frame })
    }

    /// Who has left since the last tick, of these joins.
    pub(crate) fn just_left(&self, joins: Range<usize>) -> impl Iterator<Item = u32> {
        self.left.iter().filter(move |(_, place)| joins.contains(*place)).map(|(&slot, _)| slot)
    }

    /// Whether its name or fleet has changed since the last tick.
    pub(crate) fn is_renamed(&self, slot: u32) -> bool {
        self.renamed.contains(&slot)
    }

    /// Whether the vehicle is in it.
    pub(crate) fn shows(&self, slot: u32) -> bool {
        self.place.contains_key(&slot)
    }

    /// Whether the vehicle is among the first `known` joins.
    pub(crate) fn is_known(&self, slot: u32, known: usize) -> bool {
        self.place.get(&slot).is_some_and(|&place| place < known)
    }

    /// The vehicles of a range of joins that are still in it.
    pub(crate) fn joined(&self, from: usize, to: usize) -> impl Iterator<Item = u32> {
        (from..).zip(&self.joins[from..to]).filter(|(place, slot)| self.place.get(slot) == Some(place)).map(|(_, &slot)| slot)
    }

    /// Puts a vehicle in.
    pub(crate) fn join(&mut self, slot: u32) {
        if !self.shows(slot) {
            self.place.insert(slot, self.joins.len());
            self.joins.push(slot);
            self.moved.push(0);
        }
    }

    /// Takes a vehicle out.
    pub(crate) fn leave(&mut self, slot: u32) {
        if let Some(place) = self.place.remove(&slot).filter(|&place| place < self.tick_start) {
            self.renamed.remove(&slot);
            self.left.insert(slot, place);
            // A socket that has not been told of it yet has no row for it.
            self.late.get_mut().clear();
        }
    }

    /// A vehicle moved or changed its status.
    pub(crate) fn touch(&mut self, slot: u32) {
        let Some(&place) = self.place.get(&slot) else { return };
        if place < self.tick_start && self.moved[place] <= self.ticks {
            self.moved[place] = self.ticks + 1;
            self.changed.push(slot);
        }
    }

    /// A vehicle's name or fleet changed.
    pub(crate) fn rename(&mut self, slot: u32) {
        if self.is_known(slot, self.tick_start) {
            self.renamed.insert(slot);
        }
    }

    /// Ends a tick: what happened since the last, as frames. `None` if nothing happened.
    pub(crate) fn tick(&mut self, board: &Board, now: Timestamp, next_seq: &mut impl FnMut() -> u32) -> Option<TickFrames> {
        let start = std::mem::replace(&mut self.tick_start, self.joins.len());
        let joined: Vec<u32> = self.joined(start, self.joins.len()).collect();
        let mut changed = std::mem::take(&mut self.changed);
        let renamed = std::mem::take(&mut self.renamed);
        let left = std::mem::take(&mut self.left);
        if joined.is_empty() && changed.is_empty() && renamed.is_empty() && left.is_empty() {
            return None;
        }
        self.ticks += 1;
        self.late.get_mut().clear();
        if !left.is_empty() {
            changed.retain(|&slot| self.is_known(slot, start));
        }
        let rows: BTreeSet<u32> = joined.iter().chain(&renamed).copied().collect();
        let gone: Vec<u32> = left.keys().copied().collect();
        let mut all = changed;
        all.extend(joined);
        all.sort_unstable();
        let mut frames = removed_frames(&gone, (board.epoch(), self.flags), now, next_seq);
        frames.extend(delta_frames(&all, board, self.flags, now, next_seq));
        let mut slots = (!rows.is_empty()).then(|| slots_message(rows, board));
        let renamed = (!renamed.is_empty()).then(|| slots_message(renamed, board));
        let frames = frames.into_iter().map(|(seq, frame)| Outgoing { slots: slots.take(), seq, frame }).collect();
        Some(TickFrames { renamed, frames, number: self.ticks, left, start })
    }

    /// Forgets places of vehicles that have left, once they are the most. Only while every socket knows all joins; their place
    /// is [`Self::ticked`] afterwards.
    pub(crate) fn compact(&mut self) -> bool {
        if self.joins.len() < 1_024 || self.joins.len() < 2 * self.place.len() || self.tick_start != self.joins.len() {
            return false;
        }
        let stays = |place: &usize| self.place.get(&self.joins[*place]) == Some(place);
        (self.joins, self.moved) =
            (0..self.joins.len()).filter(stays).map(|place| (self.joins[place], self.moved[place])).unzip();
        self.place = self.joins.iter().enumerate().map(|(place, &slot)| (slot, place)).collect();
        self.tick_start = self.joins.len();
        true
    }
}

/// Rows of the slot table.
pub(crate) fn slots_message(slots: impl IntoIterator<Item = u32>, board: &Board) -> Arc<SlotsMessage> {
    Arc::new(SlotsMessage { epoch: board.epoch(), slots: slots.into_iter().map(|slot| board.row(slot)).collect() })
}

/// One frame of as many of these vehicles (ascending) as fit, and how many did.
pub(crate) fn encode_some(records: impl IntoIterator<Item = FrameRecord>, t0: Timestamp, head: &FrameHead) -> (usize, Bytes) {
    let mut builder = FrameBuilder::new(t0.as_millis());
    let taken = records.into_iter().take_while(|record| builder.push(record)).count();
    (taken, builder.finish(head))
}

fn delta_frames(
    slots: &[u32],
    board: &Board,
    flags: u16,
    now: Timestamp,
    next_seq: &mut impl FnMut() -> u32,
) -> Vec<(u32, Bytes)> {
    let mut frames = Vec::new();
    let mut rest = slots;
    while !rest.is_empty() {
        let head = FrameHead { kind: FrameKind::Delta, flags, epoch: board.epoch(), seq: next_seq() };
        let (taken, bytes) = encode_some(rest.iter().map(|&slot| board.record(slot)), now, &head);
        frames.push((head.seq, bytes));
        rest = &rest[taken..];
    }
    frames
}

/// Frames of an epoch and with flags that say that these vehicles (ascending) are gone.
pub(crate) fn removed_frames(
    slots: &[u32],
    (epoch, flags): (u32, u16),
    now: Timestamp,
    next_seq: &mut impl FnMut() -> u32,
) -> Vec<(u32, Bytes)> {
    slots
        .chunks(MAX_REMOVED)
        .map(|some| {
            let head = FrameHead { kind: FrameKind::Removed, flags, epoch, seq: next_seq() };
            (head.seq, removed_frame(some, now.as_millis(), &head))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::board::LinkLimits;
    use crate::live::board::tests::{at, live};
    use crate::wire::frame::{Frame, decode_frame};
    use waystream_domain::Catalog;

    fn board(n: u64) -> Board {
        let mut board = Board::new(1, LinkLimits::default());
        for i in 0..n {
            board.apply(live(&format!("d{i}"), "f", 1, i as f64 / 1e5, 0.0), &Catalog::default(), at(1_000));
        }
        board
    }

    fn slots(frame: &Frame) -> Vec<u32> {
        frame.records.iter().map(|r| r.slot).collect()
    }

    #[test]
    fn a_tick_tells_joins_moves_and_leaves_once() {
        let board = board(4);
        let mut seq = 0;
        let mut next = || {
            seq += 1;
            seq
        };
        let mut view = View::default();
        assert!(view.tick(&board, at(1_000), &mut next).is_none());
        [2, 0, 1].into_iter().for_each(|slot| view.join(slot));
        view.touch(1);
        let tick = view.tick(&board, at(1_000), &mut next).expect("vehicles joined");
        assert_eq!(tick.frames[0].slots.as_ref().expect("rows").slots.len(), 3);
        let frames: Vec<Frame> = tick.frames.iter().map(|o| decode_frame(&o.frame).expect("ours")).collect();
        assert_eq!((frames.len(), slots(&frames[0])), (1, vec![0, 1, 2]));
        view.touch(1);
        view.leave(2);
        view.join(3);
        view.leave(3);
        let tick = view.tick(&board, at(1_000), &mut next).expect("one moved");
        let frames: Vec<Frame> = tick.frames.iter().map(|o| decode_frame(&o.frame).expect("ours")).collect();
        assert!(tick.frames.iter().all(|o| o.slots.is_none()));
        assert_eq!(frames[0].head.kind, FrameKind::Removed);
        assert_eq!((slots(&frames[0]), slots(&frames[1])), (vec![2], vec![1]));
        assert!(view.tick(&board, at(1_000), &mut next).is_none());
        view.join(2);
        assert_eq!(view.slots().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_large_tick_becomes_several_frames() {
        let board = board(20_000);
        let mut view = View::default();
        (0..20_000).for_each(|slot| view.join(slot));
        let mut seq = 0;
        let tick = view
            .tick(&board, at(1_000), &mut || {
                seq += 1;
                seq
            })
            .expect("vehicles joined");
        assert!(tick.frames.len() > 1);
        let all: Vec<u32> = tick.frames.iter().flat_map(|o| slots(&decode_frame(&o.frame).expect("ours"))).collect();
        assert_eq!(all, (0..20_000).collect::<Vec<_>>());
    }

    #[test]
    fn all_who_are_behind_since_a_tick_are_told_the_same_which_is_encoded_once() {
        let mut board = board(10_000);
        let mut view = View::of(0..10_000);
        let mut seq = 1;
        let mut drive = |view: &mut View, board: &mut Board, slots: Range<u32>| {
            seq += 1;
            for slot in slots {
                board.apply(live(&format!("d{slot}"), "f", seq, 1.0, seq as f64), &Catalog::default(), at(1_000));
                view.touch(slot);
            }
            view.tick(board, at(1_000), &mut || 0).expect("some moved");
        };
        drive(&mut view, &mut board, 0..10_000);
        drive(&mut view, &mut board, 3..5);
        drive(&mut view, &mut board, 4..6);
        let late = |view: &View, since, from| view.late(since, from, &board, at(1_000));
        let (one, other) = (late(&view, 1, 0).expect("some are late"), late(&view, 1, 0).expect("some are late"));
        assert_eq!(one.frame.as_ptr(), other.frame.as_ptr());
        assert_eq!(slots(&decode_frame(&one.frame).expect("ours")), [3, 4, 5]);
        assert_eq!((one.last, one.has_more), (5, false));
        assert_eq!(slots(&decode_frame(&late(&view, 2, 0).expect("some").frame).expect("ours")), [4, 5]);
        assert!(late(&view, 3, 0).is_none() && late(&view, 1, 6).is_none());
        // More than one frame holds: who comes back for more gets what follows.
        let mut told = Vec::new();
        let mut from = 0;
        loop {
            let part = late(&view, 0, from).expect("there is more");
            told.extend(slots(&decode_frame(&part.frame).expect("ours")));
            from = part.last + 1;
            if !part.has_more {
                break;
            }
        }
        assert_eq!(told, (0..10_000).collect::<Vec<_>>());
        // Who has left since is not told of any more, though that has not been told.
        view.leave(4);
        assert_eq!(slots(&decode_frame(&late(&view, 1, 0).expect("some").frame).expect("ours")), [3, 5]);
        view.tick(&board, at(1_000), &mut || 0).expect("one left");
        assert_eq!(slots(&decode_frame(&late(&view, 1, 0).expect("some").frame).expect("ours")), [3, 5]);
    }

    #[test]
    fn vehicles_that_come_and_go_leave_no_memory_behind() {
        let board = board(2);
        let mut view = View::default();
        view.join(0);
        for _ in 0..2_000 {
            view.join(1);
            view.tick(&board, at(0), &mut || 1);
            view.leave(1);
            view.tick(&board, at(0), &mut || 1);
        }
        assert!(view.compact());
        assert_eq!((view.ticked(), view.joined(0, 1).collect::<Vec<_>>()), (1, vec![0]));
    }
}
