//! The last fixes of a device with what was decided about each, so that the past can be told anew when a late one comes.
//!
//! They stand in segments of [`SEGMENT`] fixes; each begins with a checkpoint, the fold's memory before it, so that only what
//! follows a late fix is folded again and the oldest segment can be dropped without folding anything. Nothing is unpacked before
//! a late fix comes. A device with the default horizon needs 2.5 KB on the road, 3.5 KB with an odometer, 1 KB when it is parked.

mod pack;

use crate::codec::{decode_checkpoint, encode_checkpoint};
use crate::standing::{Entry, Mark, Standing, Step};
use crate::{Fix, Timestamp};
use pack::{Before, Trend};
use std::mem::size_of;

/// Fixes of a segment.
const SEGMENT: u32 = 48;
/// Late fixes don't push old ones out, so that it doesn't matter how they are batched; but more than this many times the
/// horizon's number is refused, so that memory is bounded.
const MOST: usize = 4;
/// A segment is also closed at this size, and of all of them no more than this is kept, bytes: what is remembered of a device must
/// fit into a record of the log, however many geofences it flutters between.
const SEGMENT_BYTES: usize = 64 << 10;
const MOST_BYTES: usize = 1 << 20;

/// How late a fix may be and still correct the past.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Horizon {
    /// At least this many of a device's last fixes are remembered; 0: none.
    pub fixes: usize,
    /// Fixes that are older than the newest by more than this, milliseconds, may be forgotten though they are among the last.
    pub age_ms: i64,
}

impl Default for Horizon {
    fn default() -> Self {
        Self { fixes: 256, age_ms: 24 * 3_600_000 }
    }
}

impl Horizon {
    /// Nothing is forgotten: for recorded tracks.
    pub const UNLIMITED: Self = Self { fixes: usize::MAX, age_ms: i64::MAX };
}

/// The last fixes of a device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Recent {
    /// Oldest first; the last one is being filled.
    segments: Vec<Segment>,
    /// Behind the last entry.
    trend: Trend,
    /// Segments other than the last have changed since [`Self::take_unsaved`].
    unsaved: bool,
}

/// Some fixes that follow each other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    /// Time of the fix before; `None`: the device's first fix is in here.
    pub(crate) after: Option<Timestamp>,
    /// Entries.
    pub(crate) count: u32,
    /// The fix before, if there is one; the fold's memory before, encoded; the entries. See [`pack`].
    pub(crate) bytes: Vec<u8>,
}

impl Segment {
    fn begin(standing: &Standing, previous: Option<&Fix>) -> Self {
        let mut bytes = Vec::new();
        if let Some(previous) = previous {
            pack::put_step(&mut bytes, &Step::bare(*previous), Before::default());
        }
        pack::put_bytes(&mut bytes, &encode_checkpoint(standing));
        Self { after: previous.map(|p| p.fix_time), count: 0, bytes }
    }

    /// The fix before, the encoded memory before, and what reads the entries.
    fn open(&self) -> Option<(Option<Fix>, &[u8], pack::Reader<'_>)> {
        let mut reader = pack::Reader(&self.bytes);
        let previous = match self.after {
            Some(_) => match reader.entry(Before::default())?.0 {
                Entry::Step(step) => Some(step.fix),
                Entry::Mark(_) => return None,
            },
            None => None,
        };
        let checkpoint = reader.bytes()?;
        Some((previous, checkpoint, reader))
    }

    /// Appends the entries to `out`; answers the last fix and the trend behind them.
    fn read(&self, out: &mut Vec<Entry>) -> Option<(Option<Fix>, Trend)> {
        let (mut previous, _, mut reader) = self.open()?;
        let mut trend = Trend::default();
        for _ in 0..self.count {
            let (entry, next) = reader.entry(Before { fix: previous.as_ref(), trend })?;
            trend = next;
            if let Entry::Step(step) = &entry {
                previous = Some(step.fix);
            }
            out.push(entry);
        }
        Some((previous, trend))
    }

    fn is_before(&self, time: Timestamp) -> bool {
        self.after.is_none_or(|after| after < time)
    }
}

impl Recent {
    /// Appends a step; `standing` and `previous` are as they were before it.
    pub(crate) fn push_step(&mut self, step: &Step, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) {
        if horizon.fixes == 0 {
            self.clear();
            return;
        }
        if self.make_room(standing, previous) {
            self.forget(step.fix.fix_time, horizon);
        }
        if let Some(last) = self.segments.last_mut() {
            self.trend = pack::put_step(&mut last.bytes, step, Before { fix: previous, trend: self.trend });
            last.count += 1;
        }
    }

    /// Appends a mark.
    pub(crate) fn push_mark(&mut self, mark: Mark, standing: &Standing, previous: Option<&Fix>, horizon: &Horizon) {
        if horizon.fixes > 0 {
            self.push(&Entry::Mark(mark), standing, previous);
        }
    }

    /// Appends anything.
    pub(crate) fn push(&mut self, entry: &Entry, standing: &Standing, previous: Option<&Fix>) {
        self.make_room(standing, previous);
        if let Some(last) = self.segments.last_mut() {
            self.trend = pack::put(&mut last.bytes, entry, Before { fix: previous, trend: self.trend });
            last.count += 1;
        }
    }

    /// Begins a new segment if there is none or the last one is full. True if a full one was closed.
    fn make_room(&mut self, standing: &Standing, previous: Option<&Fix>) -> bool {
        let closed = match self.segments.last_mut() {
            Some(last) if last.count < SEGMENT && last.bytes.len() < SEGMENT_BYTES => return false,
            Some(last) => {
                last.bytes.shrink_to_fit();
                self.unsaved = true;
                true
            }
            None => false,
        };
        self.segments.push(Segment::begin(standing, previous));
        self.trend = Trend::default();
        closed
    }

    /// Forgets everything: what was told of it can't be told anew.
    pub(crate) fn clear(&mut self) {
        if !self.segments.is_empty() {
            *self = Self { unsaved: self.unsaved || self.segments.len() > 1, ..Self::default() };
        }
    }

    /// Drops the segments that lie beyond the horizon.
    fn forget(&mut self, newest: Timestamp, horizon: &Horizon) {
        let (mut rest, mut bytes) = (self.len(), self.bytes());
        let mut beyond = 0;
        while let [first, second, ..] = &self.segments[beyond..] {
            rest -= first.count as usize;
            let too_old = second.after.is_some_and(|after| newest.millis_since(after) > horizon.age_ms);
            if rest < horizon.fixes && !too_old && bytes <= MOST_BYTES {
                break;
            }
            bytes -= first.bytes.len();
            beyond += 1;
        }
        self.segments.drain(..beyond);
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|s| s.count as usize).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// Whether so many late fixes have come that no more are taken in.
    pub(crate) fn is_full(&self, more: usize, horizon: &Horizon) -> bool {
        self.len() + more >= horizon.fixes.saturating_mul(MOST) || self.bytes() > MOST_BYTES
    }

    fn bytes(&self) -> usize {
        self.segments.iter().map(|s| s.bytes.len()).sum()
    }

    /// Memory used beyond the value itself, bytes.
    pub fn heap_bytes(&self) -> usize {
        self.segments.capacity() * size_of::<Segment>() + self.segments.iter().map(|s| s.bytes.capacity()).sum::<usize>()
    }

    /// Whether a fix of this time, older than the newest, lies within what is remembered.
    pub(crate) fn reaches(&self, time: Timestamp) -> bool {
        // A fix at the very time of the one before is a known one.
        self.segments.first().is_some_and(|first| first.after.is_none_or(|after| after <= time))
    }

    /// Takes out everything from the segment on into which a fix of this time belongs: the fold's memory before it, the fix
    /// before it, and what follows. `None` (and nothing is remembered any more) if it can't be read.
    pub(crate) fn take_from(&mut self, time: Timestamp) -> Option<(Standing, Option<Fix>, Vec<Entry>)> {
        let from = self.segments.iter().rposition(|s| s.is_before(time)).unwrap_or(0);
        self.unsaved |= from + 1 < self.segments.len();
        let taken: Vec<Segment> = self.segments.drain(from..).collect();
        self.trend = Trend::default();
        let read = unpack(&taken);
        if read.is_none() {
            *self = Self { unsaved: true, ..Self::default() };
        }
        read
    }

    /// The segments that don't change with every fix, if they have changed since the last call.
    pub fn take_unsaved(&mut self) -> Option<ClosedSegments<'_>> {
        std::mem::take(&mut self.unsaved).then(|| ClosedSegments(self.closed()))
    }

    pub(crate) fn closed(&self) -> &[Segment] {
        self.segments.split_last().map_or(&[], |(_, closed)| closed)
    }

    pub(crate) fn open(&self) -> Option<&Segment> {
        self.segments.last()
    }

    /// With the segment that was saved with the state. One that can't be read is forgotten.
    pub(crate) fn from_open(open: Option<Segment>) -> Self {
        let read = open.and_then(|open| Some((open.read(&mut Vec::new())?.1, open)));
        let (trend, segments) = read.map_or_else(Default::default, |(trend, open)| (trend, vec![open]));
        Self { segments, trend, unsaved: false }
    }

    /// Puts segments that were saved apart before the one that was saved with the state. They replace those of an earlier call: the
    /// log may still hold values that were overwritten.
    pub fn restore_closed(&mut self, closed: SavedSegments) {
        // Without an open one nothing is remembered: what was saved apart is of a time before.
        if let Some(open) = self.segments.len().checked_sub(1) {
            self.segments.splice(0..open, closed.0);
        }
    }
}

/// Segments to be saved apart from the state: see [`crate::codec::encode_segments`].
#[derive(Debug)]
pub struct ClosedSegments<'a>(pub(crate) &'a [Segment]);

/// Segments as they were saved: see [`crate::codec::decode_segments`].
#[derive(Debug)]
pub struct SavedSegments(pub(crate) Vec<Segment>);

fn unpack(segments: &[Segment]) -> Option<(Standing, Option<Fix>, Vec<Entry>)> {
    let (previous, checkpoint, _) = segments.first()?.open()?;
    let standing = decode_checkpoint(checkpoint).ok()?;
    let mut entries = Vec::new();
    for segment in segments {
        segment.read(&mut entries)?;
    }
    Some((standing, previous, entries))
}
