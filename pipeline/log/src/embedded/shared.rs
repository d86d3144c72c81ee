//! What writer and readers share: where each partition ends, its newest blobs in memory, and the bell that wakes readers.

use super::blob::Blob;
use super::db::Db;
use super::layout::{Layout, Place};
use super::maintenance::Passes;
use crate::{LogError, Topic};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// What a blob in memory takes beside its bytes.
const BLOB_OVERHEAD: usize = 128;

/// Shared by all handles of one open log.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) db: Db,
    pub(super) layout: Layout,
    partitions: Vec<Mutex<Partition>>,
    /// One bell per topic, by position in [`Topic::ALL`]; the value says whether the log is open.
    bells: [watch::Sender<Open>; Topic::ALL.len()],
    recent_bytes: usize,
    /// What maintenance remembers; held during a pass, because two at a time would get into each other's plans.
    pub(super) passes: Mutex<Passes>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Open {
    Yes,
    No,
}

#[derive(Debug, Default)]
struct Partition {
    next: u64,
    recent: VecDeque<Blob>,
    recent_bytes: usize,
}

/// What a reader finds at an offset.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing yet.
    End,
    /// In memory: these blobs.
    Recent(Vec<Blob>),
    /// Only in the database.
    Stored,
}

impl Shared {
    pub(super) fn new(db: Db, layout: Layout, recent_bytes: usize) -> Result<Self, LogError> {
        let partitions = layout.places().map(|_| Mutex::default()).collect::<Vec<_>>();
        let recent_bytes = recent_bytes / partitions.len();
        let bells = std::array::from_fn(|_| watch::Sender::new(Open::Yes));
        let shared = Self { db, layout, partitions, bells, recent_bytes, passes: Mutex::default() };
        shared.recover()?;
        Ok(shared)
    }

    /// Takes over from the database where partitions end.
    pub(super) fn recover(&self) -> Result<(), LogError> {
        for place in self.layout.places() {
            let next = self.db.next(place)?;
            let mut partition = self.partition(place);
            // Records of an undecided write that did happen are not in memory: forget the rest, so that there is no gap.
            if partition.next != next {
                *partition = Partition { next, ..Partition::default() };
            }
        }
        self.ring();
        Ok(())
    }

    fn partition(&self, place: Place) -> MutexGuard<'_, Partition> {
        self.partitions[self.layout.slot(place)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn next(&self, place: Place) -> u64 {
        self.partition(place).next
    }

    /// Makes durable blobs visible to readers, in offset order. Ring afterwards.
    pub(super) fn publish(&self, place: Place, blobs: Vec<Blob>) {
        let mut partition = self.partition(place);
        for blob in blobs {
            partition.next = blob.last + 1;
            partition.recent_bytes += blob.bytes.len() + BLOB_OVERHEAD;
            partition.recent.push_back(blob);
        }
        while partition.recent_bytes > self.recent_bytes && partition.recent.len() > 1 {
            let dropped = partition.recent.pop_front().map_or(0, |b| b.bytes.len() + BLOB_OVERHEAD);
            partition.recent_bytes -= dropped;
        }
    }

    /// Looks for about `max` records from an offset on.
    pub(super) fn find(&self, place: Place, from: u64, max: usize) -> Found {
        let partition = self.partition(place);
        if from >= partition.next {
            return Found::End;
        }
        if partition.recent.front().is_none_or(|b| from < b.first) {
            return Found::Stored;
        }
        let start = partition.recent.partition_point(|b| b.last < from);
        let mut records = 0;
        let enough = |b: &&Blob| {
            let before = records;
            records += b.last.saturating_sub(b.first.max(from)) as usize + 1;
            before < max
        };
        Found::Recent(partition.recent.iter().skip(start).take_while(enough).cloned().collect())
    }

    /// Wakes the readers of a topic.
    pub(super) fn ring_for(&self, topic: Topic) {
        self.bells[usize::from(super::layout::topic_id(topic))].send_modify(|_| {});
    }

    fn ring(&self) {
        Topic::ALL.into_iter().for_each(|t| self.ring_for(t));
    }

    pub(super) fn bell(&self, topic: Topic) -> watch::Receiver<Open> {
        self.bells[usize::from(super::layout::topic_id(topic))].subscribe()
    }

    pub(super) fn is_open(&self) -> bool {
        *self.bells[0].borrow() == Open::Yes
    }

    /// Tells readers and writers that nothing more will come.
    pub(super) fn close(&self) {
        for bell in &self.bells {
            bell.send_modify(|open| *open = Open::No);
        }
    }
}
