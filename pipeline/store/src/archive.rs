//! The archive: reads positions and events from the log, and keeps them in the store.

use crate::{ArchiveBatch, Archived, Store, StoreError, Unflushed, metrics};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waystream_domain::Timestamp;
use waystream_domain::codec::{self, CodecError};
use waystream_log::{Batch, Entry, Group, Log, LogError, LogReader, Offsets, Share, Topic};

/// Name of the consumer group whose offsets say what is archived.
pub const GROUP: &str = "archive";

/// The topics that are archived. Both are keyed by device and have the same partitions.
const TOPICS: [Topic; 2] = [Topic::Positions, Topic::Events];

/// Nothing that the archive waits for takes so long if all is well.
const SLOW: Duration = Duration::from_secs(10);

/// How the archive behaves.
#[derive(Debug, Clone)]
pub struct ArchiveConfig {
    /// Records taken from the log at a time.
    pub batch_records: usize,
    /// Rows are made durable once there are this many, …
    pub flush_rows: usize,
    /// … or they take this much memory, …
    pub flush_bytes: usize,
    /// … or the oldest is this old.
    pub flush_after: Duration,
    /// Compaction and retention run this often.
    pub maintain_every: Duration,
    /// Waiting after a failed attempt doubles from 100 ms up to this.
    pub retry_at_most: Duration,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            batch_records: 5_000,
            flush_rows: 500_000,
            flush_bytes: 128 << 20,
            flush_after: Duration::from_secs(300),
            maintain_every: Duration::from_secs(60),
            // A store that comes back should not be found so much later again.
            retry_at_most: Duration::from_secs(3),
        }
    }
}

/// Either end of a share: of the program, or of the share.
struct Stop<'a> {
    token: &'a CancellationToken,
    ends: CancellationToken,
}

impl Stop<'_> {
    async fn cancelled(&self) {
        tokio::select! {
            () = self.token.cancelled() => {}
            () = self.ends.cancelled() => {}
        }
    }
}

/// How far a flush got.
enum Flushed {
    /// Not into the store.
    Failed,
    /// Into the store, but the log could not be told.
    Stored,
    Committed,
}

/// Why the archive stopped.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The log can't be read any more.
    #[error("archive can't go on reading the log")]
    Log(#[from] LogError),
    /// The store can't be written any more.
    #[error("archive can't go on writing the store")]
    Store(#[from] StoreError),
}

/// The loop log → store. Several processes may each run one on the same server; the log says which partitions are whose.
#[derive(Debug, Clone, Default)]
pub struct Archive {
    config: ArchiveConfig,
}

impl Archive {
    /// An archive that is not running yet.
    pub fn new(config: ArchiveConfig) -> Self {
        Self { config }
    }

    /// Runs until cancelled. The store may be down for any time: the archive waits, and goes on where it was. Offsets of the group
    /// `archive` are committed only once the store holds the rows durably.
    pub async fn run(self, log: Arc<dyn Log>, store: Arc<dyn Store>, token: CancellationToken) -> Result<(), ArchiveError> {
        let mut membership = log.join(GROUP).await?;
        let mut first = true;
        while let Some(share) = token.run_until_cancelled(membership.share()).await {
            let Share { partitions, ends } = share?;
            let stop = Stop { token: &token, ends };
            info!(?partitions, "archive starts");
            let Some(mut covered) = self.retrying(&stop, "ask where to go on", || store.covered()).await? else { continue };
            // What the store tells may be from before another process had these partitions. What it has then committed is stored.
            if !first {
                for topic in TOPICS {
                    for (place, offset) in log.committed(GROUP, topic).await? {
                        let known = covered.entry(place).or_insert(0);
                        *known = offset.max(*known);
                    }
                }
            }
            first = false;
            self.run_share(&log, &store, &partitions, covered, &stop).await?;
        }
        Ok(())
    }

    /// Until cancelled, or until the share ends.
    async fn run_share(
        &self,
        log: &Arc<dyn Log>,
        store: &Arc<dyn Store>,
        partitions: &[u32],
        covered: Offsets,
        stop: &Stop<'_>,
    ) -> Result<(), ArchiveError> {
        let mut readers = Readers::open(log.as_ref(), &covered, partitions).await?;
        let mut flushing: Option<BoxFuture<'static, Result<Offsets, StoreError>>> = None;
        let mut maintaining: Option<BoxFuture<'static, Result<(), StoreError>>> = None;
        let every = self.config.maintain_every;
        let mut maintain = tokio::time::interval_at(Instant::now() + every, every);
        maintain.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // At the start for the offsets: an earlier commit may have failed after the rows were stored.
        let mut flush_at = Some(Instant::now() + self.config.flush_after);
        // Since the last flush failed: full memory alone is no reason to try again at once.
        let mut failed = false;
        // Twice the flush limits are in memory: the disk must catch up first.
        let mut full = false;

        loop {
            // Biased: a stop first, then what frees memory, then what fills it.
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                flushed = finished(&mut flushing) => match self.flushed(log.as_ref(), flushed, partitions).await? {
                    Flushed::Committed => (failed, full) = (false, false),
                    Flushed::Stored => {
                        (failed, full) = (false, false);
                        // Perhaps nothing more comes that would be flushed.
                        flush_at.get_or_insert_with(|| Instant::now() + self.config.retry_at_most);
                    }
                    Flushed::Failed => {
                        failed = true;
                        flush_at = Some(Instant::now() + self.config.retry_at_most);
                    }
                },
                done = finished(&mut maintaining) => {
                    if let Err(error) = done {
                        warn!(error = &error as &dyn std::error::Error, "housekeeping of the store failed, will be repeated");
                    }
                }
                _ = maintain.tick(), if maintaining.is_none() => {
                    let store = store.clone();
                    maintaining = Some(async move { store.maintain(now()).await }.boxed());
                }
                () = due(flush_at), if flushing.is_none() => {
                    flush_at = None;
                    flushing = Some(flush(store.clone()).boxed());
                }
                batch = readers.next(self.config.batch_records), if !full => {
                    let batch = Arc::new(batch?);
                    let Some(unflushed) = self.retrying(stop, "append", || store.append(batch.clone())).await? else { break };
                    metrics::archived(Topic::Positions, batch.positions.len());
                    metrics::archived(Topic::Events, batch.events.len());
                    let at = flush_at.get_or_insert_with(|| Instant::now() + self.config.flush_after);
                    if self.exceeded(unflushed, 1) && !failed {
                        *at = Instant::now();
                    }
                    full = self.exceeded(unflushed, 2);
                }
            }
        }
        if let Some(flushed) = flushing {
            self.flushed(log.as_ref(), flushed.await, partitions).await?;
        }
        self.flushed(log.as_ref(), flush(store.clone()).await, partitions).await?;
        Ok(())
    }

    /// Whether this many times the flush limits are in memory.
    fn exceeded(&self, unflushed: Unflushed, times: usize) -> bool {
        unflushed.rows >= self.config.flush_rows.saturating_mul(times)
            || unflushed.bytes >= self.config.flush_bytes.saturating_mul(times)
    }

    /// After a flush: commits what is covered now.
    async fn flushed(
        &self,
        log: &dyn Log,
        flushed: Result<Offsets, StoreError>,
        partitions: &[u32],
    ) -> Result<Flushed, ArchiveError> {
        let mut offsets = match flushed {
            Ok(offsets) => offsets,
            Err(StoreError::Unavailable(reason)) => {
                warn!(reason, "flush failed, will be repeated");
                return Ok(Flushed::Failed);
            }
            Err(error) => return Err(error.into()),
        };
        offsets.retain(|(_, partition), _| partitions.contains(partition));
        // A commit that fails loses nothing: the store itself says what it covers. But others wait for what is committed.
        let group = Group { name: GROUP.into(), member: 0 };
        match told_if_slow("commit", log.commit(&group, Vec::new(), &offsets)).await {
            Ok(()) => Ok(Flushed::Committed),
            Err(error @ (LogError::Unavailable(_) | LogError::Indeterminate(_))) => {
                warn!(error = &error as &dyn std::error::Error, "offsets could not be committed, will be repeated");
                Ok(Flushed::Stored)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Repeats until it succeeds or can't; `None` when cancelled meanwhile.
    async fn retrying<T, F: Future<Output = Result<T, StoreError>>>(
        &self,
        stop: &Stop<'_>,
        what: &'static str,
        call: impl Fn() -> F,
    ) -> Result<Option<T>, ArchiveError> {
        let mut wait = Duration::from_millis(100);
        loop {
            let reason = match told_if_slow(what, call()).await {
                Ok(done) => return Ok(Some(done)),
                Err(StoreError::Unavailable(reason)) => reason,
                Err(error) => return Err(error.into()),
            };
            warn!(what, reason, wait_ms = wait.as_millis() as u64, "store is unavailable");
            metrics::retried();
            tokio::select! {
                () = stop.cancelled() => return Ok(None),
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(self.config.retry_at_most);
        }
    }
}

/// Appends everything that is in the log now and that the store doesn't hold yet; flushes nothing. For reading a data folder
/// whose system is not running. Answers how many rows were appended.
pub async fn catch_up(log: &dyn Log, store: &dyn Store) -> Result<u64, ArchiveError> {
    let all: Vec<u32> = (0..log.partitions(Topic::Positions)).collect();
    let mut readers = Readers::open(log, &store.covered().await?, &all).await?;
    let mut rows = 0;
    while let Some(batch) = readers.try_next(50_000).await? {
        rows += (batch.positions.len() + batch.events.len()) as u64;
        store.append(Arc::new(batch)).await?;
    }
    Ok(rows)
}

/// Writes again what was appended to the log at or after a time (milliseconds since 1970) and is still there, whatever the store
/// says it covers; for a store that has lost some of it. May run beside an archive. Answers how many rows were read.
pub async fn again(log: &dyn Log, store: &dyn Store, from_ms: i64) -> Result<u64, ArchiveError> {
    let mut from = Offsets::new();
    for topic in TOPICS {
        from.extend(log.offsets_at(topic, from_ms).await?);
    }
    let mut readers = Readers::from(log, &from).await?;
    let mut rows = 0;
    while let Some(mut batch) = readers.try_next(50_000).await? {
        rows += (batch.positions.len() + batch.events.len()) as u64;
        // What is covered is not its business: it must not go back.
        batch.offsets.clear();
        store.append(Arc::new(batch)).await?;
        store.flush().await?;
    }
    Ok(rows)
}

async fn flush(store: Arc<dyn Store>) -> Result<Offsets, StoreError> {
    let started = Instant::now();
    let flushed = told_if_slow("flush", store.flush()).await;
    metrics::flushed(started.elapsed());
    flushed
}

/// What it waits for looks like standing still from outside.
async fn told_if_slow<T>(what: &str, work: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let mut work = std::pin::pin!(work);
    loop {
        match tokio::time::timeout(SLOW, &mut work).await {
            Ok(done) => return done,
            Err(_) => warn!(what, for_s = started.elapsed().as_secs(), "the archive still waits"),
        }
    }
}

/// Ends when the future does; never if there is none. Cancel-safe.
async fn finished<T>(future: &mut Option<BoxFuture<'static, T>>) -> T {
    match future {
        Some(running) => {
            let result = running.await;
            *future = None;
            result
        }
        None => std::future::pending().await,
    }
}

/// Ends at that time; never if there is none.
async fn due(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis()).expect("the clock stands between the years 1 and 9999")
}

/// One cursor per archived topic.
struct Readers {
    positions: Box<dyn LogReader>,
    events: Box<dyn LogReader>,
    /// Read but not yet returned.
    taken: ArchiveBatch,
}

impl Readers {
    async fn open(log: &dyn Log, covered: &Offsets, partitions: &[u32]) -> Result<Self, LogError> {
        let mut from = Offsets::new();
        for topic in TOPICS {
            let bounds = log.bounds(topic).await?;
            for (partition, bounds) in (0..).zip(bounds).filter(|(partition, _)| partitions.contains(partition)) {
                let at = (topic, partition);
                let covered = covered.get(&at).copied().unwrap_or(0);
                if covered > bounds.next {
                    // Nobody else writes offsets: this is another log than the one that was archived.
                    warn!(
                        topic = topic.name(),
                        partition,
                        covered,
                        next = bounds.next,
                        "the log is younger than the store: reading all of it"
                    );
                }
                from.insert(at, if covered > bounds.next { bounds.first } else { covered });
            }
        }
        Self::from(log, &from).await
    }

    async fn from(log: &dyn Log, from: &Offsets) -> Result<Self, LogError> {
        Ok(Self {
            positions: log.read(Topic::Positions, from).await?,
            events: log.read(Topic::Events, from).await?,
            taken: ArchiveBatch::default(),
        })
    }

    /// Waits for records, then takes what else is there, up to about `max`. Cancel-safe: what has been taken stays in `taken`, and is
    /// returned the next time even if nothing more comes.
    async fn next(&mut self, max: usize) -> Result<ArchiveBatch, LogError> {
        if self.taken.offsets.is_empty() {
            // Unbiased: neither topic may starve the other.
            tokio::select! {
                batch = self.positions.next(max) => take(Topic::Positions, batch?, &mut self.taken),
                batch = self.events.next(max) => take(Topic::Events, batch?, &mut self.taken),
            }
        }
        while self.taken.positions.len() < max
            && let Some(batch) = self.positions.try_next(max).await?
        {
            take(Topic::Positions, batch, &mut self.taken);
        }
        Ok(std::mem::take(&mut self.taken))
    }

    async fn try_next(&mut self, max: usize) -> Result<Option<ArchiveBatch>, LogError> {
        let mut out = ArchiveBatch::default();
        if let Some(batch) = self.positions.try_next(max).await? {
            take(Topic::Positions, batch, &mut out);
        }
        if let Some(batch) = self.events.try_next(max).await? {
            take(Topic::Events, batch, &mut out);
        }
        Ok((!out.offsets.is_empty()).then_some(out))
    }
}

/// Decodes a batch of one topic into `out`. Faulty records are counted and skipped: nothing downstream can mend them.
fn take(topic: Topic, batch: Batch, out: &mut ArchiveBatch) {
    if let Some(last) = batch.entries.last() {
        metrics::taken(topic, now().as_millis() - last.appended_at_ms);
    }
    match topic {
        Topic::Positions => decode(topic, &batch, codec::decode_position, &mut out.positions),
        _ => decode(topic, &batch, codec::decode_event, &mut out.events),
    }
    out.offsets.insert((topic, batch.partition), batch.next);
}

fn decode<T>(topic: Topic, batch: &Batch, decode: fn(&[u8]) -> Result<T, CodecError>, out: &mut Vec<Archived<T>>) {
    let mut faults = 0;
    out.reserve(batch.entries.len());
    for Entry { offset, value, .. } in &batch.entries {
        // A record without value removes a key; these topics have none to remove.
        let Some(value) = value else { continue };
        match decode(value) {
            Ok(row) => out.push(Archived { partition: batch.partition, offset: *offset, row }),
            Err(error) => {
                if faults == 0 {
                    let (topic, partition) = (topic.name(), batch.partition);
                    warn!(error = &error as &dyn std::error::Error, topic, partition, offset, "undecodable record skipped");
                }
                faults += 1;
            }
        }
    }
    metrics::undecodable(topic, faults);
    if faults > 1 {
        info!(topic = topic.name(), partition = batch.partition, faults, "more undecodable records in the same batch");
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::contract::{at, event, position};
    use async_trait::async_trait;
    use std::task::Poll;
    use waystream_domain::EventKind;
    use waystream_log::Record;
    use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

    /// A cursor that, like those of Kafka, has to ask whether there is more.
    struct Asking(Box<dyn LogReader>);

    #[async_trait]
    impl LogReader for Asking {
        async fn next(&mut self, max: usize) -> Result<Batch, LogError> {
            self.0.next(max).await
        }

        async fn try_next(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
            tokio::task::yield_now().await;
            self.0.try_next(max).await
        }
    }

    #[tokio::test]
    async fn what_was_taken_when_reading_was_given_up_comes_next_though_nothing_more_does() {
        let folder = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap();
        let told = event(&position("a", at("2026-03-04T10:00:00Z")), EventKind::Enter);
        log.append(Topic::Events, vec![Record::new("a".to_owned(), codec::encode_event(&told))]).await.unwrap();
        let places =
            TOPICS.into_iter().flat_map(|topic| (0..log.partitions(topic)).map(move |partition| ((topic, partition), 0)));
        let mut readers = Readers::from(log.as_ref(), &places.collect()).await.unwrap();
        readers.positions = Box::new(Asking(readers.positions));
        {
            let given_up = std::pin::pin!(readers.next(10));
            assert!(matches!(futures::poll!(given_up), Poll::Pending), "it asks for positions");
        }
        let batch = tokio::time::timeout(Duration::from_secs(10), readers.next(10)).await.expect("is there").unwrap();
        assert_eq!(batch.events.len(), 1);
        log.close().await;
    }
}
