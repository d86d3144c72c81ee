//! The one thread that writes: it gathers waiting calls and gives all of them one database transaction, one fsync.

use super::blob::{Blob, BlobBuilder};
use super::db::{BLOBS, OFFSETS, closed, trouble};
use super::layout::{Place, topic_id};
use super::options::EmbeddedOptions;
use super::shared::Shared;
use crate::{LogError, Record, metrics};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tracing::{error, warn};

/// Blobs are sealed at this size: with key and page header it fills 16 of redb's 4 KiB pages.
pub(super) const BLOB_BYTES: usize = (64 << 10) - 128;
/// One transaction takes about this many bytes at most; the rest waits for the next.
const GROUP_BYTES: usize = 32 << 20;
/// Until something is written again that has failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(250);

pub(super) type Answer = oneshot::Sender<Result<(), LogError>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Job {
    Write(Write),
    Replace(Replace, Answer),
    /// Answer everything asked before, then stop.
    Stop,
}

/// Records appended and offsets moved, together.
#[derive(Debug)]
pub(super) struct Write {
    pub(super) records: Vec<(Place, Record)>,
    pub(super) offsets: Vec<(String, Place, u64)>,
    pub(super) bytes: usize,
    pub(super) answer: Answer,
    /// The call's share of the bounded queue, given back with the answer.
    pub(super) _room: OwnedSemaphorePermit,
}

/// Old blobs of one partition removed, and what is left of them put instead.
#[derive(Debug)]
pub(super) struct Replace {
    pub(super) place: Place,
    pub(super) remove: Vec<u64>,
    pub(super) insert: Vec<Blob>,
}

#[derive(Debug, Default)]
struct Group {
    writes: Vec<Write>,
    replaces: Vec<(Replace, Answer)>,
    bytes: usize,
    stop: bool,
}

impl Group {
    fn add(&mut self, job: Job) {
        match job {
            Job::Write(write) => {
                self.bytes += write.bytes;
                self.writes.push(write);
            }
            Job::Replace(replace, answer) => {
                self.bytes += replace.insert.iter().map(|b| b.bytes.len()).sum::<usize>();
                self.replaces.push((replace, answer));
            }
            Job::Stop => self.stop = true,
        }
    }

    fn is_full(&self) -> bool {
        self.stop || self.bytes >= GROUP_BYTES
    }
}

/// Writes until told to stop or nobody is left who could ask.
pub(super) fn run(shared: &Shared, jobs: &Receiver<Job>, options: &EmbeddedOptions) {
    let mut company = 0;
    while let Some(group) = gather(jobs, company, options.linger) {
        company = group.writes.len();
        let stop = group.stop;
        if !(group.writes.is_empty() && group.replaces.is_empty()) {
            write_and_answer(shared, group, options.quick_repair);
        }
        if stop {
            break;
        }
    }
}

/// Waits for work, then for company: as many calls as came last time, but not longer than `linger`. A lone caller, who
/// waits for each answer before asking again, so never waits for others; a thousand such callers share one fsync.
fn gather(jobs: &Receiver<Job>, company: usize, linger: Duration) -> Option<Group> {
    let mut group = Group::default();
    group.add(jobs.recv().ok()?);
    let until = Instant::now() + linger;
    while !group.is_full() {
        let job = match jobs.try_recv() {
            Ok(job) => job,
            Err(_) if group.writes.len() >= company => break,
            Err(_) => match jobs.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(job) => job,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            },
        };
        group.add(job);
    }
    Some(group)
}

fn write_and_answer(shared: &Shared, group: Group, quick_repair: bool) {
    let started = Instant::now();
    let Group { mut writes, replaces, .. } = group;
    let mut new = pack(shared, &mut writes);
    let result = write(shared, &writes, &replaces, &new, quick_repair);
    match &result {
        Ok(()) => {
            let records = writes.iter().map(|w| w.records.len()).sum();
            metrics::synced(writes.len(), records, started.elapsed());
            let mut rung = None;
            for (place, packed) in std::mem::take(&mut new) {
                shared.publish(place, packed.blobs);
                metrics::appended(place.topic, packed.records, packed.bytes);
                // Places are in topic order: each topic's readers are woken once, after its last partition.
                if let Some(topic) = rung.replace(place.topic).filter(|t| *t != place.topic) {
                    shared.ring_for(topic);
                }
            }
            if let Some(topic) = rung {
                shared.ring_for(topic);
            }
        }
        Err(e) => {
            warn!(error = %e, calls = writes.len(), "log write failed");
            // Decides whether the write happened. If this fails, the next write comes by here again.
            if let Err(e) = shared.db.reopen().and_then(|()| shared.recover()) {
                error!(error = %e, "log can't be opened again");
            }
            // A disk that is full stays so for a while, and a repair reads the whole log.
            std::thread::sleep(AFTER_A_FAILURE);
        }
    }
    let answers = writes.into_iter().map(|w| w.answer).chain(replaces.into_iter().map(|(_, answer)| answer));
    for answer in answers {
        // A caller that went away does not want its answer.
        drop(answer.send(copy(&result)));
    }
}

/// The records of one partition, ready to be written.
struct Packed {
    blobs: Vec<Blob>,
    records: u64,
    bytes: u64,
}

/// Gives the records their offsets and packs them, call by call, so that each key keeps the order of the calls.
fn pack(shared: &Shared, writes: &mut [Write]) -> BTreeMap<Place, Packed> {
    let now_ms = now_ms();
    let mut open: BTreeMap<Place, (BlobBuilder, u64, u64, u64)> = BTreeMap::new();
    for write in writes {
        for (place, record) in &write.records {
            let (builder, next, records, bytes) =
                open.entry(*place).or_insert_with(|| (BlobBuilder::new(*place, BLOB_BYTES), shared.next(*place), 0, 0));
            builder.push(*next, now_ms, &record.key, record.value.as_deref());
            *next += 1;
            *records += 1;
            *bytes += (record.key.len() + record.value.as_ref().map_or(0, |v| v.len())) as u64;
        }
    }
    open.into_iter()
        .map(|(place, (builder, _, records, bytes))| (place, Packed { blobs: builder.finish(), records, bytes }))
        .collect()
}

fn write(
    shared: &Shared,
    writes: &[Write],
    replaces: &[(Replace, Answer)],
    new: &BTreeMap<Place, Packed>,
    quick_repair: bool,
) -> Result<(), LogError> {
    let doing = "write";
    shared.db.with(|db| {
        let mut transaction = db.begin_write().map_err(|e| trouble(doing, e))?;
        transaction.set_quick_repair(quick_repair);
        {
            let mut blobs = transaction.open_table(BLOBS).map_err(|e| trouble(doing, e))?;
            for (replace, _) in replaces {
                let key = |first| (topic_id(replace.place.topic), replace.place.partition, first);
                for first in &replace.remove {
                    blobs.remove(key(*first)).map_err(|e| trouble(doing, e))?;
                }
                for blob in &replace.insert {
                    blobs.insert(key(blob.first), &*blob.bytes).map_err(|e| trouble(doing, e))?;
                }
            }
            for (place, packed) in new {
                for blob in &packed.blobs {
                    let key = (topic_id(place.topic), place.partition, blob.first);
                    blobs.insert(key, &*blob.bytes).map_err(|e| trouble(doing, e))?;
                }
            }
            let mut offsets = writes.iter().flat_map(|w| &w.offsets).peekable();
            if offsets.peek().is_some() {
                let mut table = transaction.open_table(OFFSETS).map_err(|e| trouble(doing, e))?;
                for (group, place, offset) in offsets {
                    table
                        .insert((group.as_str(), topic_id(place.topic), place.partition), offset)
                        .map_err(|e| trouble(doing, e))?;
                }
            }
        }
        transaction.commit().map_err(|e| LogError::Indeterminate(format!("{doing}: {e}")))
    })
}

/// One result for many callers.
fn copy(result: &Result<(), LogError>) -> Result<(), LogError> {
    match result {
        Ok(()) => Ok(()),
        Err(LogError::Unavailable(why)) => Err(LogError::Unavailable(why.clone())),
        Err(LogError::Indeterminate(why)) => Err(LogError::Indeterminate(why.clone())),
        Err(LogError::Refused(why)) => Err(LogError::Refused(why.clone())),
        Err(LogError::Damaged(why)) => Err(LogError::Damaged(why.clone())),
        Err(LogError::Closed(why)) => Err(LogError::Closed(why.clone())),
        Err(LogError::Taken(what)) => Err(LogError::Taken(what.clone())),
        Err(LogError::LastOwner) => Err(LogError::LastOwner),
    }
}

/// Milliseconds since the Unix epoch.
pub(super) fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX))
}

/// Starts the thread.
pub(super) fn start(
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    options: EmbeddedOptions,
) -> Result<std::thread::JoinHandle<()>, LogError> {
    std::thread::Builder::new()
        .name("log-writer".into())
        .spawn(move || {
            // Readers and callers must learn of the end also if redb panics.
            if catch_unwind(AssertUnwindSafe(|| run(&shared, &jobs, &options))).is_err() {
                error!("the log's writer panicked; the log is closed");
            }
            drop(jobs);
            shared.close();
            if let Err(e) = shared.db.close() {
                error!(error = %e, "log was not closed properly");
            }
        })
        .map_err(|e| LogError::Unavailable(format!("could not start the log's writer: {e}")))
}

/// What to say when the writer went away without an answer.
pub(super) fn unanswered(_: oneshot::error::RecvError) -> LogError {
    closed()
}
