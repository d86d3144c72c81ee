//! Closed epochs into the log, in order: conclusions, states and offsets in one commit, then the snapshots.

use crate::{GROUP, metrics};
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;
use waystream_domain::Timestamp;
use waystream_log::{Group, Log, LogError, Offsets, Record, Topic};

/// Closed epochs that wait for the log; then the worker reads no further.
pub(crate) const EPOCHS_WAITING: usize = 4;
/// Pauses between attempts. They need not grow long: while a log's servers are away each attempt takes seconds by itself.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// What an epoch has led to.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Events and states.
    pub(crate) records: Vec<(Topic, Record)>,
    /// What they follow from.
    pub(crate) offsets: Offsets,
    /// For the map: may be repeated, so not part of the commit.
    pub(crate) snapshots: Vec<Record>,
    /// The epoch's end.
    pub(crate) ended_at: Timestamp,
}

impl Closed {
    /// Whether there is nothing to write.
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.offsets.is_empty() && self.snapshots.is_empty()
    }
}

/// Commits as this member of the group until the worker has sent its last epoch.
pub(crate) async fn run(
    log: Arc<dyn Log>,
    member: u32,
    mut closing: mpsc::Receiver<Closed>,
    wake: Thread,
    stop: CancellationToken,
) -> Result<(), LogError> {
    let group = Group { name: GROUP.to_owned(), member };
    while let Some(closed) = closing.recv().await {
        // There is room for another epoch.
        wake.unpark();
        let started = Instant::now();
        let mut attempts = Attempts { pause: FIRST_PAUSE, stop: &stop };
        while let Err(error) = log.commit(&group, closed.records.clone(), &closed.offsets).await {
            match error {
                // It surely did not happen: the same again. Whether an indeterminate one did, only the log knows.
                LogError::Unavailable(_) => attempts.wait(error).await?,
                _ => return Err(error),
            }
        }
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        let lag_ms = u64::try_from(now_ms - closed.ended_at.as_millis()).unwrap_or(0);
        metrics::committed(started.elapsed(), Duration::from_millis(lag_ms));
        if closed.snapshots.is_empty() {
            continue;
        }
        let mut attempts = Attempts { pause: FIRST_PAUSE, stop: &stop };
        while let Err(error) = log.append(Topic::Snapshots, closed.snapshots.clone()).await {
            match error {
                LogError::Unavailable(_) | LogError::Indeterminate(_) => attempts.wait(error).await?,
                _ => return Err(error),
            }
        }
    }
    Ok(())
}

/// Growing pauses between attempts.
struct Attempts<'a> {
    pause: Duration,
    stop: &'a CancellationToken,
}

impl Attempts<'_> {
    /// Returns when it is time to try again, or the error if the dataflow is being stopped: what is not committed is folded
    /// again after the next start.
    async fn wait(&mut self, error: LogError) -> Result<(), LogError> {
        if self.stop.is_cancelled() {
            return Err(error);
        }
        warn!(%error, pause_ms = self.pause.as_millis(), "log write failed, trying again");
        metrics::retried();
        // Cut short by a stop: then there is one last attempt.
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = tokio::time::sleep(self.pause) => {}
        }
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}
