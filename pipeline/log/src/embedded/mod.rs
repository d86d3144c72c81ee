//! The log in this process: all partitions of all topics in one redb database in a folder.
//!
//! Records are stored in *blobs* of many ([`blob`]); one thread does all writing ([`writer`]), so waiting calls share an fsync;
//! readers tail from memory ([`shared`]) and catch up from the database ([`reader`]); old records are dropped in the
//! background ([`maintenance`]). It is *not* for several processes: the folder has one owner at a time.

mod blob;
mod db;
mod layout;
mod maintenance;
mod options;
mod reader;
mod shared;
mod writer;

pub use maintenance::Dropped;
pub use options::EmbeddedOptions;

use crate::membership::Alone;
use crate::{Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Topic, metrics, partition_of};
use async_trait::async_trait;
use db::{Db, closed};
use layout::{Layout, Place};
use maintenance::Thorough;
use reader::Reader;
use shared::Shared;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;
use tokio::sync::{Semaphore, oneshot};
use writer::{Job, Write};

/// The queue is counted in units of this many bytes.
const UNIT: usize = 256;

/// A log in a folder, owned by this process until [`EmbeddedLog::close`] or drop.
#[derive(Debug)]
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    options: EmbeddedOptions,
    /// Bounded by `room`: who has no room can't send.
    jobs: Sender<Job>,
    room: Arc<Semaphore>,
    units: usize,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop_maintenance: Mutex<Option<Sender<()>>>,
}

impl EmbeddedLog {
    /// Opens or creates the log in a folder. Blocks; after a crash without `quick_repair` possibly for long.
    ///
    /// # Errors
    /// `Closed` if another process has it open, `Refused` if partition numbers differ from those it was created with,
    /// `Damaged` if the file can't be read.
    pub fn open(dir: &Path, options: EmbeddedOptions) -> Result<Arc<Self>, LogError> {
        // redb trusts a file that says it was closed properly, and may panic on one that was changed behind its back.
        let opened = std::panic::catch_unwind(|| {
            let layout = Layout::new(&options.partitions);
            Shared::new(Db::open(dir, &layout, &options)?, layout, options.recent_bytes)
        });
        let unreadable = |_| Err(LogError::Damaged(format!("{} can't be read", dir.join(db::FILE).display())));
        let shared = Arc::new(opened.unwrap_or_else(unreadable)?);
        let (jobs, waiting) = channel();
        let units = (options.queue_bytes / UNIT).clamp(1, u32::MAX as usize >> 3);
        let mut threads = vec![writer::start(Arc::clone(&shared), waiting, options.clone())?];
        let (stop_maintenance, stopped) = channel();
        if !options.maintenance_every.is_zero() {
            threads.push(maintenance::start(Arc::clone(&shared), jobs.clone(), options.clone(), stopped)?);
        }
        Ok(Arc::new(Self {
            shared,
            options,
            jobs,
            room: Arc::new(Semaphore::new(units)),
            units,
            threads: Mutex::new(threads),
            stop_maintenance: Mutex::new(Some(stop_maintenance)),
        }))
    }

    /// Everything asked for so far is written and answered, then the file is closed. Later calls and readers get `Closed`.
    pub async fn close(&self) {
        let threads = self.stop();
        let joined = tokio::task::spawn_blocking(move || join(threads)).await;
        if joined.is_err() {
            tracing::error!("the log's threads could not be awaited");
        }
    }

    /// Drops what is too old or overwritten as of a time (milliseconds since the Unix epoch); this also happens by itself
    /// every `maintenance_every`.
    pub async fn maintain(&self, now_ms: i64) -> Result<Dropped, LogError> {
        let (shared, jobs, options) = (Arc::clone(&self.shared), self.jobs.clone(), self.options.clone());
        let run = move || maintenance::pass(&shared, &jobs, &options, now_ms, Thorough::Yes);
        tokio::task::spawn_blocking(run).await.map_err(|e| self.shared.db.unread(&e))?
    }

    fn stop(&self) -> Vec<JoinHandle<()>> {
        drop(self.stop_maintenance.lock().unwrap_or_else(PoisonError::into_inner).take());
        // If the writer is gone already there is nothing to stop.
        drop(self.jobs.send(Job::Stop));
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn check(&self, record: &Record, topic: Topic) -> Result<(Place, usize), LogError> {
        let bytes = record.key.len() + record.value.as_ref().map_or(0, bytes::Bytes::len);
        if bytes > self.options.max_record_bytes {
            metrics::refused();
            let most = self.options.max_record_bytes;
            return Err(LogError::Refused(format!("a record of {bytes} bytes for {}; at most {most}", topic.name())));
        }
        let partition = partition_of(&record.key, self.shared.layout.partitions(topic));
        Ok((Place { topic, partition }, bytes))
    }

    async fn write(
        &self,
        records: impl Iterator<Item = (Topic, Record)>,
        offsets: Vec<(String, Place, u64)>,
    ) -> Result<(), LogError> {
        let mut placed = Vec::with_capacity(records.size_hint().0);
        let mut bytes = 0;
        for (topic, record) in records {
            let (place, size) = self.check(&record, topic)?;
            bytes += size + 64;
            placed.push((place, record));
        }
        if placed.is_empty() && offsets.is_empty() {
            return Ok(());
        }
        let share = u32::try_from(bytes.div_ceil(UNIT).clamp(1, self.units)).expect("clamped");
        let room = Arc::clone(&self.room).acquire_many_owned(share).await.map_err(|_| closed())?;
        self.tell_queue();
        let (answer, answered) = oneshot::channel();
        // The semaphore is fair and nothing is awaited between it and the queue, so calls keep their order.
        let job = Job::Write(Write { records: placed, offsets, bytes, answer, _room: room });
        if !self.shared.is_open() || self.jobs.send(job).is_err() {
            return Err(closed());
        }
        let written = answered.await.map_err(writer::unanswered)?;
        self.tell_queue();
        written
    }

    fn tell_queue(&self) {
        metrics::queued((self.units - self.room.available_permits()) * UNIT);
    }

    /// Runs a database read on a thread that may block.
    async fn blocking<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let shared = Arc::clone(&self.shared);
        tokio::task::spawn_blocking(move || read(&shared)).await.map_err(|e| self.shared.db.unread(&e))?
    }
}

#[async_trait]
impl Log for EmbeddedLog {
    fn partitions(&self, topic: Topic) -> u32 {
        self.shared.layout.partitions(topic)
    }

    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        let started = Instant::now();
        let written = self.write(records.into_iter().map(|r| (topic, r)), Vec::new()).await;
        metrics::answered("append", started.elapsed());
        written
    }

    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        let places = from
            .iter()
            .filter(|((t, _), _)| *t == topic)
            .map(|((_, partition), offset)| Ok((self.shared.layout.check(topic, *partition)?, *offset)))
            .collect::<Result<Vec<_>, LogError>>()?;
        Ok(Box::new(Reader::new(Arc::clone(&self.shared), topic, places)))
    }

    async fn join(&self, _: &str) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(Alone { partitions: self.partitions(Topic::Positions) }))
    }

    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
        let started = Instant::now();
        let offsets = offsets
            .iter()
            .map(|((topic, partition), offset)| {
                Ok((group.name.clone(), self.shared.layout.check(*topic, *partition)?, *offset))
            })
            .collect::<Result<Vec<_>, LogError>>()?;
        let written = self.write(records.into_iter(), offsets).await;
        metrics::answered("commit", started.elapsed());
        written
    }

    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        let group = group.to_owned();
        let found = self.blocking(move |shared| shared.db.committed(&group, topic)).await?;
        let mut offsets: Offsets = (0..self.partitions(topic)).map(|partition| ((topic, partition), 0)).collect();
        offsets.extend(found.into_iter().map(|(partition, offset)| ((topic, partition), offset)));
        Ok(offsets)
    }

    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
        self.blocking(move |shared| {
            let places = (0..shared.layout.partitions(topic)).map(|partition| Place { topic, partition });
            places.map(|place| shared.db.bounds(place, shared.next(place))).collect()
        })
        .await
    }

    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
        self.blocking(move |shared| {
            let places = (0..shared.layout.partitions(topic)).map(|partition| Place { topic, partition });
            places
                .map(|place| {
                    let offset = shared.db.offset_at(place, shared.next(place), time_ms)?;
                    Ok(((topic, place.partition), offset))
                })
                .collect()
        })
        .await
    }
}

impl Drop for EmbeddedLog {
    /// Waits for the writer, at most for the writes already asked for, so that the folder is free afterwards.
    fn drop(&mut self) {
        join(self.stop());
    }
}

fn join(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.join().is_err() {
            tracing::error!("a thread of the log panicked");
        }
    }
}
