//! From the log to one worker: states first, then positions and catalog edits as they come.

use crate::restore;
use crate::worker::now;
use std::sync::Arc;
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use waystream_domain::Timestamp;
use waystream_domain::geofence::IndexEdit;
use waystream_log::{Batch, Log, LogError, LogReader};

/// Batches that wait for a busy worker; then the log is read no further.
pub(crate) const BATCHES_WAITING: usize = 16;
/// Most records of a batch.
const BATCH: usize = 4096;
/// How often the worker is told what time it is.
const CLOCK_EVERY: Duration = Duration::from_secs(10);
/// A clock that the log can't confirm within this time is left out.
const CLOCK_WITHIN: Duration = Duration::from_secs(1);
/// Who has more than so many batches to catch up with doesn't know yet who is silent.
const BATCHES_BEHIND: usize = 64;

/// What a worker gets.
pub(crate) enum Fed {
    /// States of its devices.
    States(Batch),
    /// Last fixes of its devices, after all states.
    Recent(Batch),
    /// That were all states.
    Restored,
    /// Positions of one of its partitions.
    Positions(Batch),
    /// All that was received up to this time has been given, of this worker (named by one of its partitions).
    Clock(u32, Timestamp),
    /// Edits of the catalog, for all workers, and where the catalog goes on.
    Edits(Vec<IndexEdit>, u64),
}

/// Reads for one worker.
pub(crate) struct Feed {
    pub(crate) log: Arc<dyn Log>,
    /// The worker's, of `positions` and `states`.
    pub(crate) partitions: Vec<u32>,
    pub(crate) sink: mpsc::Sender<Fed>,
    pub(crate) wake: Thread,
}

impl Feed {
    /// Reads until stopped, or until the worker has ended. One worker's feed also follows the catalog.
    pub(crate) async fn run(self, catalog: Option<Box<dyn LogReader>>, stop: CancellationToken) -> Result<(), LogError> {
        let wake = self.wake.clone();
        let result = tokio::select! {
            () = stop.cancelled() => Ok(()),
            () = self.sink.closed() => Ok(()),
            result = self.follow(catalog) => result,
        };
        // The worker finds the channel closed only if it looks.
        drop(self);
        wake.unpark();
        result
    }

    async fn follow(&self, mut catalog: Option<Box<dyn LogReader>>) -> Result<(), LogError> {
        let Some(mut positions) = restore::states(self).await? else { return Ok(()) };
        let mut clock = tokio::time::interval(CLOCK_EVERY);
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            let edited = async {
                match &mut catalog {
                    Some(reader) => reader.next(BATCH).await,
                    None => std::future::pending().await,
                }
            };
            // Edits first: an area drawn before a position came should hold it.
            let fed = tokio::select! {
                biased;
                batch = edited => edits(batch?).await,
                _ = clock.tick() => match self.catch_up(&mut *positions).await? {
                    Some(clock) => clock,
                    None => continue,
                },
                batch = positions.next(BATCH) => Fed::Positions(batch?),
            };
            if !self.give(fed).await {
                return Ok(());
            }
        }
    }

    /// Gives all that is there, if that is little: then it is known what time it is.
    async fn catch_up(&self, positions: &mut dyn LogReader) -> Result<Option<Fed>, LogError> {
        let Some(partition) = self.partitions.first() else { return Ok(None) };
        for _ in 0..BATCHES_BEHIND {
            let before = now();
            // Whether that was all is a question to the log, and what time it is no reason to wait for a log that has no answer.
            let Ok(batch) = tokio::time::timeout(CLOCK_WITHIN, positions.try_next(BATCH)).await else { break };
            let Some(batch) = batch? else {
                return Ok(Some(Fed::Clock(*partition, before)));
            };
            if !self.give(Fed::Positions(batch)).await {
                break;
            }
        }
        Ok(None)
    }

    /// False if the worker has ended.
    pub(crate) async fn give(&self, fed: Fed) -> bool {
        let given = self.sink.send(fed).await.is_ok();
        self.wake.unpark();
        given
    }
}

async fn edits(batch: Batch) -> Fed {
    let next = batch.next;
    let edits = restore::off_the_runtime(move || restore::index_edits(&batch.entries)).await;
    Fed::Edits(edits, next)
}
