//! Drops what is too old, and from compacted topics what is overwritten. It only plans: the writer carries the plans out.
//!
//! A plan removes some whole blobs at a partition's old end and puts back what must stay of them, at the same offsets, in
//! one transaction. The newest blob of a partition is never touched: it says where the partition ends.

use super::blob::BlobBuilder;
use super::db::{closed, decode};
use super::layout::Place;
use super::options::EmbeddedOptions;
use super::shared::Shared;
use super::writer::{BLOB_BYTES, Job, Replace, now_ms, unanswered};
use crate::{Entry, Keep, LogError, metrics};
use bytes::Bytes;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use tracing::error;

/// One plan covers about this many bytes, so that appends in between don't wait for long.
const PLAN_BYTES: usize = 4 << 20;
/// Blobs that one plan removes unread.
const PLAN_BLOBS: usize = 1024;

/// What one pass has dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Records older than their topic keeps them.
    pub expired: u64,
    /// Overwritten values and forgotten removals of compacted topics.
    pub compacted: u64,
}

/// Where compaction of each partition stood after its last pass, by slot.
#[derive(Debug, Default)]
pub(super) struct Passes {
    done: HashMap<usize, Done>,
}

#[derive(Debug, Clone, Copy)]
struct Done {
    /// The partition's next offset then: the distance to now is what has been appended since.
    next: u64,
    /// Keys there were.
    keys: u64,
    /// When, milliseconds since the Unix epoch.
    at_ms: i64,
}

/// Whether to compact partitions that have little to drop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thorough {
    Yes,
    /// Only those with as many new records as keys, so that each record is written again about once in its life; and once
    /// in a while those with any, so that removed keys are forgotten.
    No,
}

/// Fewer new records than this are not worth a compaction.
const WORTHWHILE: u64 = 10_000;

/// One pass over all partitions.
pub(super) fn pass(
    shared: &Shared,
    jobs: &Sender<Job>,
    options: &EmbeddedOptions,
    now_ms: i64,
    thorough: Thorough,
) -> Result<Dropped, LogError> {
    let mut passes = shared.passes.lock().unwrap_or_else(PoisonError::into_inner);
    let mut dropped = Dropped::default();
    let mut failed = Ok(());
    for (slot, place) in shared.layout.places().enumerate() {
        let done = match options.keep(place.topic) {
            Keep::For(age) => expire(shared, jobs, place, before(now_ms, age)).map(|gone| dropped.expired += gone),
            Keep::Newest => {
                let next = shared.next(place);
                let forget_ms = before(now_ms, options.remember_removed);
                let worthwhile = |d: &Done| {
                    let new = next.saturating_sub(d.next);
                    new >= WORTHWHILE.max(d.keys) || (new > 0 && d.at_ms <= forget_ms)
                };
                if thorough == Thorough::No && !passes.done.get(&slot).is_none_or(worthwhile) {
                    continue;
                }
                compact(shared, jobs, place, forget_ms).map(|(keys, gone)| {
                    dropped.compacted += gone;
                    passes.done.insert(slot, Done { next, keys, at_ms: now_ms });
                })
            }
        };
        // Damage in one partition keeps no other from being cleaned up.
        failed = failed.and(done);
    }
    failed.map(|()| dropped)
}

fn before(now_ms: i64, age: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

/// Drops the oldest blobs whose last record is older than `cutoff_ms`.
fn expire(shared: &Shared, jobs: &Sender<Job>, place: Place, cutoff_ms: i64) -> Result<u64, LogError> {
    let mut records = 0;
    loop {
        let expired = shared.db.expired(place, cutoff_ms, PLAN_BLOBS)?;
        if expired.is_empty() {
            return Ok(records);
        }
        let gone = expired.iter().map(|(_, records)| u64::from(*records)).sum();
        let remove = expired.into_iter().map(|(first, _)| first).collect();
        carry_out(jobs, Replace { place, remove, insert: Vec::new() })?;
        metrics::expired(place.topic, gone);
        records += gone;
    }
}

/// Drops values that a newer one of the same key overwrites, and removals from before `forget_ms`. How many keys there are,
/// and how many records were dropped.
fn compact(shared: &Shared, jobs: &Sender<Job>, place: Place, forget_ms: i64) -> Result<(u64, u64), LogError> {
    let mut newest: HashMap<Bytes, u64> = HashMap::new();
    let mut last_blob = None;
    let mut entries = Vec::new();
    for found in shared.db.blobs_from(place, 0)? {
        let (first, bytes) = found?;
        decode(place, first, &bytes, 0, &mut entries)?;
        for entry in entries.drain(..) {
            match newest.get_mut(&entry.key) {
                Some(offset) => *offset = entry.offset,
                // Copied: a slice would hold its whole blob in memory.
                None => drop(newest.insert(Bytes::copy_from_slice(&entry.key), entry.offset)),
            }
        }
        last_blob = Some(first);
    }
    let Some(last_blob) = last_blob else { return Ok((0, 0)) };

    let stays = |e: &Entry| {
        newest.get(&e.key).is_none_or(|offset| *offset <= e.offset) && (e.value.is_some() || e.appended_at_ms >= forget_ms)
    };
    let mut dropped = 0;
    let mut plan = Plan::new(place);
    for found in shared.db.blobs_from(place, 0)? {
        let (first, bytes) = found?;
        if first >= last_blob {
            break;
        }
        decode(place, first, &bytes, 0, &mut entries)?;
        plan.add(first, bytes.len(), &mut entries, stays);
        if plan.bytes >= PLAN_BYTES {
            dropped += plan.carry_out(jobs)?;
            plan = Plan::new(place);
        }
    }
    dropped += plan.carry_out(jobs)?;
    metrics::compacted(place.topic, dropped);
    Ok((newest.len() as u64, dropped))
}

/// Some consecutive blobs and what is left of them.
struct Plan {
    place: Place,
    remove: Vec<u64>,
    left: BlobBuilder,
    bytes: usize,
    dropped: u64,
}

impl Plan {
    fn new(place: Place) -> Self {
        Self { place, remove: Vec::new(), left: BlobBuilder::new(place, BLOB_BYTES), bytes: 0, dropped: 0 }
    }

    fn add(&mut self, first: u64, bytes: usize, entries: &mut Vec<Entry>, stays: impl Fn(&Entry) -> bool) {
        self.remove.push(first);
        self.bytes += bytes;
        for entry in entries.drain(..) {
            if stays(&entry) {
                self.left.push(entry.offset, entry.appended_at_ms, &entry.key, entry.value.as_deref());
            } else {
                self.dropped += 1;
            }
        }
    }

    fn carry_out(self, jobs: &Sender<Job>) -> Result<u64, LogError> {
        let insert = self.left.finish();
        // Nothing dropped and nothing joined: writing it again would gain nothing.
        if self.dropped > 0 || insert.len() * 2 <= self.remove.len() {
            carry_out(jobs, Replace { place: self.place, remove: self.remove, insert })?;
        }
        Ok(self.dropped)
    }
}

fn carry_out(jobs: &Sender<Job>, plan: Replace) -> Result<(), LogError> {
    let (answer, answered) = oneshot::channel();
    jobs.send(Job::Replace(plan, answer)).map_err(|_| closed())?;
    answered.blocking_recv().map_err(unanswered)?
}

/// Starts the thread that does a pass now and then.
pub(super) fn start(
    shared: Arc<Shared>,
    jobs: Sender<Job>,
    options: EmbeddedOptions,
    stop: Receiver<()>,
) -> Result<JoinHandle<()>, LogError> {
    std::thread::Builder::new()
        .name("log-maintenance".into())
        .spawn(move || {
            while stop.recv_timeout(options.maintenance_every) == Err(RecvTimeoutError::Timeout) {
                // redb panics at some files that were changed behind its back. What is damaged may expire, so the next pass is tried.
                let run = AssertUnwindSafe(|| pass(&shared, &jobs, &options, now_ms(), Thorough::No));
                match catch_unwind(run).unwrap_or_else(|_| Err(shared.db.panicked())) {
                    Ok(_) => {}
                    Err(LogError::Closed(_)) => break,
                    Err(e) => error!(error = %e, "log maintenance failed"),
                }
            }
        })
        .map_err(|e| LogError::Unavailable(format!("could not start the log's maintenance: {e}")))
}
