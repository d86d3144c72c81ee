//! The last fixes of a device with what was decided about each, so that the past can be told anew when a late one comes.
//!
//! They stand in segments of [`SEGMENT`] fixes; each begins with a checkpoint, the fold's memory before it, so that only what
//! follows a late fix is folded again and the oldest segment can be dropped without folding anything. Nothing is unpacked before
//! a late fix comes. What a device needs for it is measured by `benchmarks/src/scale.rs`.

mod bits;
mod bytes;
mod checkpoint;
mod pack;
mod shelf;
mod unpack;

use crate::codec::decode_checkpoint;
use crate::standing::{Entry, Mark, Standing, Step};
use crate::{Fix, Timestamp};
use bits::{End, Reader, Writer};
use pack::{Before, Trend};
use shelf::{Lying, Shelf};

/// Fixes of a segment. A longer one has its checkpoint's bytes for more fixes, but more fixes than wanted are remembered, and more
/// are written with each state.
const SEGMENT: u32 = 64;
/// Late fixes don't push old ones out, so that it doesn't matter how they are batched; but more than this many times the
/// horizon's number is refused, so that memory is bounded.
const MOST: usize = 4;
/// A segment is also closed at this size, and of all of them no more than this is kept, bytes: what is remembered of a device must
/// fit into a record of the log, however many geofences it flutters between.
const SEGMENT_BYTES: usize = 64 << 10;
const MOST_BYTES: usize = 1 << 20;
/// Few entries have more.
const ENTRY_BYTES: usize = 40;
/// The open segment grows by so much: a million devices have a million of them.
const GROWTH_BYTES: usize = 48;

/// How late a fix may be and still correct the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// At least this many of a device's last fixes are remembered; 0: none.
    pub fixes: usize,
    /// Fixes that are older than the newest by more than this, milliseconds, may be forgotten though they are among the last.
    pub age_ms: i64,
    /// What takes more than this may be forgotten though it is among the last, bytes. Of each device for itself: what is told of one
    /// must not depend on which others are in the same process.
    pub bytes: usize,
}

impl Default for Horizon {
    fn default() -> Self {
        Self { fixes: 256, age_ms: 24 * 3_600_000, bytes: MOST_BYTES }
    }
}

impl Horizon {
    fn most_bytes(&self) -> usize {
        self.bytes.min(MOST_BYTES)
    }

    /// Of closed segments; the other half is for the open one.
    fn shelf_bytes(&self) -> usize {
        self.most_bytes() - self.most_bytes() / 2
    }

    /// A segment is closed before it is half of all, if its last entry is not large.
    fn segment_bytes(&self) -> usize {
        SEGMENT_BYTES.min((self.bytes / 2).saturating_sub(ENTRY_BYTES))
    }
}

/// The last fixes of a device.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    /// Closed ones.
    shelf: Shelf,
    /// The one that is being filled, as [`Segment::bytes`].
    open: Vec<u8>,
    /// Entries of that; 0: there is none.
    count: u32,
    /// Some of the last were forgotten for their size since [`Self::take_shortened`].
    shortened: bool,
    /// It was restored, and what follows is not known yet: most devices don't report at once.
    asleep: bool,
    end: End,
    /// Closed segments have changed since [`Self::take_unsaved`].
    unsaved: bool,
    /// Behind the last entry.
    trend: Trend,
}

/// Some fixes that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    /// Time of the fix before; `None`: the device's first fix is in here.
    pub(crate) after: Option<Timestamp>,
    /// Entries.
    pub(crate) count: u32,
    /// Whether there is a fix before, and if, that; the fold's memory before; the entries. See [`pack`] and [`checkpoint`].
    pub(crate) bytes: Vec<u8>,
}

impl Segment {
    /// Of bytes as they were written before entries were packed into bits.
    pub(crate) fn of_whole_bytes(after: Option<Timestamp>, count: u32, packed: &[u8]) -> Option<Self> {
        let mut reader = bytes::Reader(packed);
        let mut previous = None;
        if after.is_some() {
            let Entry::Step(step) = reader.entry(bytes::Before::default())?.0 else { return None };
            previous = Some(step.fix);
        }
        let mut recent = Recent::default();
        // It is needed before the first entry only.
        let standing = decode_checkpoint(reader.bytes()?).ok()?;
        recent.begin(&standing, previous.as_ref());
        let mut trend = bytes::Trend::default();
        for _ in 0..count {
            let (entry, next) = reader.entry(bytes::Before { fix: previous.as_ref(), trend })?;
            recent.put(|out, before| pack::put(out, &entry, before), previous.as_ref());
            trend = next;
            if let Entry::Step(step) = entry {
                previous = Some(step.fix);
            }
        }
        recent.open()
    }
}

impl Lying<'_> {
    /// The fix before, the memory before, and what reads the entries.
    fn open(&self) -> Option<(Option<Fix>, Vec<u8>, Reader<'_>)> {
        let mut reader = Reader::new(self.bytes);
        let mut previous = None;
        if reader.bit()? {
            let Entry::Step(step) = unpack::entry(&mut reader, Before::default())?.0 else { return None };
            previous = Some(step.fix);
        }
        let checkpoint = reader.bytes()?;
        Some((previous, checkpoint, reader))
    }

    /// Appends the entries to `out`; answers the trend behind them, and where they end.
    fn read(&self, out: &mut Vec<Entry>) -> Option<(Trend, End)> {
        let (mut previous, _, mut reader) = self.open()?;
        let mut trend = Trend::default();
        for _ in 0..self.count {
            let (entry, next) = unpack::entry(&mut reader, Before { fix: previous.as_ref(), trend })?;
            trend = next;
            if let Entry::Step(step) = &entry {
                previous = Some(step.fix);
            }
            out.push(entry);
        }
        reader.end().map(|end| (trend, end))
    }
}

impl Recent {
    /// Appends a step; `standing` and `previous` are as they were before it.
    pub(crate) fn push_step(&mut self, step: &Step, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) {
        if horizon.fixes == 0 {
            self.clear();
            return;
        }
        if self.make_room(standing, previous, horizon) {
            self.forget(step.fix.fix_time, horizon);
        }
        self.put(|out, before| pack::put_step(out, step, before), previous);
    }

    /// Appends a mark.
    pub(crate) fn push_mark(&mut self, mark: &Mark, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) {
        if horizon.fixes > 0 {
            self.make_room(standing, previous, horizon);
            self.put(|out, before| pack::put_mark(out, mark, before), previous);
        }
    }

    /// Appends anything.
    pub(crate) fn push(&mut self, entry: &Entry, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) {
        self.make_room(standing, previous, horizon);
        self.put(|out, before| pack::put(out, entry, before), previous);
    }

    /// Looks where the open segment ends. One that can't be read is forgotten.
    fn wake(&mut self) {
        let open = Lying { count: self.count, bytes: &self.open };
        match open.read(&mut Vec::new()) {
            Some((trend, end)) => (self.asleep, self.trend, self.end) = (false, trend, end),
            None => *self = Self { unsaved: true, ..Self::default() },
        }
    }

    fn put(&mut self, write: impl FnOnce(&mut Writer<'_>, Before<'_>) -> Trend, previous: Option<&Fix>) {
        // More than most entries need; what needs more makes the room itself.
        if self.open.capacity() - self.open.len() < GROWTH_BYTES / 2 {
            self.open.reserve_exact(GROWTH_BYTES);
        }
        let mut out = Writer::behind(&mut self.open, self.end);
        self.trend = write(&mut out, Before { fix: previous, trend: self.trend });
        self.end = out.finish();
        self.count += 1;
    }

    /// Begins a new segment if there is none or the last one is full. True if a full one was closed.
    fn make_room(&mut self, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) -> bool {
        if self.asleep {
            self.wake();
        }
        let is_full = self.count >= SEGMENT || self.open.len() >= horizon.segment_bytes();
        if self.count > 0 && !is_full {
            return false;
        }
        let closed = self.count > 0;
        if closed {
            self.shelf.renew(0, Some((self.count, &self.open)));
            self.unsaved = true;
        }
        self.begin(standing, previous);
        closed
    }

    /// An open segment without entries.
    fn begin(&mut self, standing: &Standing, previous: Option<&Fix>) {
        let mut checkpoint = Vec::with_capacity(128);
        checkpoint::put(&mut checkpoint, standing, previous);
        self.open = Vec::with_capacity(checkpoint.len() + GROWTH_BYTES);
        let mut out = Writer::behind(&mut self.open, End::default());
        out.bit(previous.is_some());
        if let Some(previous) = previous {
            pack::put_step(&mut out, &Step::bare(*previous), Before::default());
        }
        out.bytes(&checkpoint);
        self.end = out.finish();
        (self.count, self.trend) = (0, Trend::default());
    }

    /// Forgets everything: what was told of it can't be told anew.
    pub(crate) fn clear(&mut self) {
        if !self.is_empty() {
            *self = Self { unsaved: self.unsaved || !self.shelf.is_empty(), ..Self::default() };
        }
    }

    /// Drops the segments that lie beyond the horizon.
    fn forget(&mut self, newest: Timestamp, horizon: &Horizon) {
        let (mut rest, mut bytes) = (self.len(), self.shelf.bytes());
        let (mut beyond, mut shortened) = (0, false);
        let mut all = self.segments().peekable();
        while let (Some(first), Some(second)) = (all.next(), all.peek()) {
            rest -= first.count as usize;
            let too_old = || second.after().is_some_and(|after| newest.millis_since(after) > horizon.age_ms);
            let wanted = rest < horizon.fixes && !too_old();
            if wanted && bytes <= horizon.shelf_bytes() {
                break;
            }
            shortened |= wanted;
            bytes -= first.size();
            beyond += 1;
        }
        drop(all);
        self.shortened |= shortened;
        if beyond > 0 {
            self.shelf.renew(beyond, None);
        }
    }

    /// All, the open one last.
    fn segments(&self) -> impl Iterator<Item = Lying<'_>> {
        let open = Lying { count: self.count, bytes: &self.open };
        self.shelf.iter().chain((!self.open.is_empty()).then_some(open))
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.segments().map(|s| s.count as usize).sum()
    }

    /// Whether nothing is remembered.
    pub const fn is_empty(&self) -> bool {
        self.open.is_empty() && self.shelf.is_empty()
    }

    /// Whether so many late fixes have come that no more are taken in.
    pub(crate) fn is_full(&self, more: usize, horizon: &Horizon) -> bool {
        let bytes = self.shelf.bytes() + self.open.len();
        self.len() + more >= horizon.fixes.saturating_mul(MOST) || bytes > horizon.bytes.saturating_mul(MOST).min(MOST_BYTES)
    }

    /// Memory used beyond the value itself, bytes.
    pub const fn heap_bytes(&self) -> usize {
        self.shelf.bytes() + self.open.capacity()
    }

    /// Whether a fix of this time, older than the newest, lies within what is remembered.
    pub(crate) fn reaches(&self, time: Timestamp) -> bool {
        // A fix at the very time of the one before is a known one.
        self.segments().next().is_some_and(|first| first.after().is_none_or(|after| after <= time))
    }

    /// Takes out everything from the segment on into which a fix of this time belongs: the fold's memory before it, the fix
    /// before it, and what follows. `None` (and nothing is remembered any more) if it can't be read.
    pub(crate) fn take_from(&mut self, time: Timestamp) -> Option<(Standing, Option<Fix>, Vec<Entry>)> {
        let is_before = |s: Lying<'_>| s.after().is_none_or(|after| after < time);
        let before: Vec<bool> = self.segments().map(is_before).collect();
        let from = before.iter().rposition(|b| *b).unwrap_or(0);
        let unsaved = self.unsaved || from + 1 < before.len();
        let read = read_all(self.segments().skip(from));
        let shelf = std::mem::take(&mut self.shelf);
        *self = Self { unsaved, ..Self::default() };
        match &read {
            Some(_) => self.shelf = shelf.first(from),
            None => self.unsaved = true,
        }
        read
    }

    /// The segments that don't change with every fix, if they have changed since the last call.
    pub fn take_unsaved(&mut self) -> Option<ClosedSegments> {
        std::mem::take(&mut self.unsaved).then(|| ClosedSegments(self.shelf.segments()))
    }

    /// Whether fixes were forgotten for their size that the horizon's number and age would have kept, since the last call.
    pub fn take_shortened(&mut self) -> bool {
        std::mem::take(&mut self.shortened)
    }

    pub(crate) fn open(&self) -> Option<Segment> {
        let open = Lying { count: self.count, bytes: &self.open };
        (!self.open.is_empty()).then(|| open.to_segment())
    }

    /// With the segment that was saved with the state.
    pub(crate) fn from_open(open: Option<Segment>) -> Self {
        let asleep = |Segment { count, mut bytes, .. }: Segment| {
            bytes.shrink_to_fit();
            Self { open: bytes, count, asleep: true, ..Self::default() }
        };
        open.filter(|open| open.count > 0).map(asleep).unwrap_or_default()
    }

    /// Puts segments that were saved apart before the one that was saved with the state. They replace those of an earlier call: the
    /// log may still hold values that were overwritten.
    pub fn restore_closed(&mut self, closed: SavedSegments) {
        // Without an open one nothing is remembered: what was saved apart is of a time before.
        if !self.open.is_empty() {
            self.shelf = Shelf::of(closed.0.iter().map(|s| (s.count, &*s.bytes)));
        }
    }

    /// What was saved apart is removed.
    pub fn remove_closed(&mut self) {
        self.shelf = Shelf::default();
    }
}

/// The same is remembered.
impl PartialEq for Recent {
    fn eq(&self, other: &Self) -> bool {
        let Self { shelf, open, count, unsaved, .. } = self;
        (shelf, open, count, unsaved) == (&other.shelf, &other.open, &other.count, &other.unsaved)
    }
}

/// Segments to be saved apart from the state: see [`crate::codec::encode_segments`].
#[derive(Debug)]
pub struct ClosedSegments(pub(crate) Vec<Segment>);

/// Segments as they were saved: see [`crate::codec::decode_segments`].
#[derive(Debug)]
pub struct SavedSegments(pub(crate) Vec<Segment>);

fn read_all<'a>(segments: impl Iterator<Item = Lying<'a>>) -> Option<(Standing, Option<Fix>, Vec<Entry>)> {
    let (mut begin, mut entries) = (None, Vec::new());
    for segment in segments {
        if begin.is_none() {
            let (previous, checkpoint, _) = segment.open()?;
            begin = Some((checkpoint::read(&checkpoint, previous.as_ref())?, previous));
        }
        segment.read(&mut entries)?;
    }
    let (standing, previous) = begin?;
    Some((standing, previous, entries))
}
