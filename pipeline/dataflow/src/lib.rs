//! The dataflow: positions and catalog edits out of the log; events, device states and fleet snapshots back into it.
//!
//! The way of a position: [`feed`] reads it, [`worker`] gives it to timely, [`graph`] closes its epoch, [`fold`] draws the
//! conclusions, [`commit`] makes them durable together with the offsets they follow from. After a crash [`restore`] begins where
//! the last commit ended, so every conclusion is in the log exactly once. What a position *means* is not decided here but in the
//! domain's fold; who looks at the results is not known here.

mod commit;
mod config;
mod feed;
mod fold;
mod graph;
mod metrics;
mod restore;
mod worker;

pub use config::DataflowConfig;

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waystream_log::metrics::read_lag;
use waystream_log::{Group, Log, LogError, Membership, Offsets, Share, Topic};

/// Name of the consumer group whose offsets say what is done.
pub const GROUP: &str = "dataflow";

/// Pause before beginning again after passing trouble with the log.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Why the dataflow has stopped.
#[derive(Debug, thiserror::Error)]
pub enum DataflowError {
    /// The log can't be used; an operator must look, or it is closing.
    #[error("the dataflow's log failed")]
    Log(#[from] LogError),
    /// A fault in this program.
    #[error("a dataflow worker broke down (number {0:?})")]
    Worker(Option<usize>),
}

/// How many records of `positions` and `catalog` the dataflow has not concluded yet; 0 if it is up to date.
pub async fn lag(log: &dyn Log) -> Result<u64, LogError> {
    Ok(read_lag(log, GROUP, Topic::Positions).await? + read_lag(log, GROUP, Topic::Catalog).await?)
}

/// The dataflow of one process.
#[derive(Debug, Clone, Default)]
pub struct Dataflow {
    config: DataflowConfig,
}

impl Dataflow {
    /// With these settings.
    pub fn new(config: DataflowConfig) -> Self {
        Self { config }
    }

    /// Runs until cancelled; then what has been read is concluded and committed first, if the log takes it.
    ///
    /// Passing trouble with the log is waited for. If a commit may or may not have happened, everything in memory is dropped
    /// and loaded again from the log, which knows. The same when the log gives this process another share of the partitions, but
    /// then what has been read is concluded and committed first.
    ///
    /// # Errors
    /// The log is damaged, refuses or is closed; or a worker has broken down.
    pub async fn run(self, log: Arc<dyn Log>, token: CancellationToken) -> Result<(), DataflowError> {
        let mut membership = None;
        loop {
            let error = match self.run_share(&log, &mut membership, &token).await {
                Err(DataflowError::Log(e @ (LogError::Unavailable(_) | LogError::Indeterminate(_)))) => e,
                Ok(()) if !token.is_cancelled() => continue,
                other => return other,
            };
            if token.is_cancelled() {
                // Not even passing trouble makes a difference now: whoever begins next does it again.
                warn!(%error, "what was read last is left to the next start");
                return Ok(());
            }
            warn!(%error, "dataflow begins again from its last commit");
            metrics::restarted();
            tokio::select! {
                () = token.cancelled() => {}
                () = tokio::time::sleep(RESTART_PAUSE) => {}
            }
        }
    }

    /// The next share, until cancelled, until it ends, or the first error.
    async fn run_share(
        &self,
        log: &Arc<dyn Log>,
        membership: &mut Option<Box<dyn Membership>>,
        token: &CancellationToken,
    ) -> Result<(), DataflowError> {
        let member = match membership {
            Some(member) => member,
            None => membership.insert(log.join(GROUP).await?),
        };
        let Some(share) = token.run_until_cancelled(member.share()).await else { return Ok(()) };
        self.run_once(log, share?, token).await
    }

    /// From the last commit until cancelled, until the share ends, or the first error.
    async fn run_once(&self, log: &Arc<dyn Log>, share: Share, token: &CancellationToken) -> Result<(), DataflowError> {
        let Share { partitions, ends } = share;
        let peers = self.config.workers.clamp(1, partitions.len().max(1)) as u32;
        for member in 0..peers {
            // So that nothing is open of what this process began before it was killed: readers would wait for it.
            log.commit(&Group { name: GROUP.to_owned(), member }, Vec::new(), &Offsets::new()).await?;
        }
        let restore::Restored { index, catalog, catalog_next } = restore::catalog(log).await?;
        info!(workers = peers, ?partitions, geofences = index.len(), "dataflow starts");
        let mut catalog = Some(catalog);
        let rules = self.config.rules();
        let clock = worker::Clock::new(self.config.epoch_ms);
        let (stop, abort) = (token.child_token(), CancellationToken::new());
        // If this future is dropped, the threads must not go on.
        let _abort_when_dropped = abort.clone().drop_guard();
        let mut tasks: JoinSet<Result<(), DataflowError>> = JoinSet::new();
        let mut starts = Vec::new();
        for member in 0..peers {
            let (sink, fed) = mpsc::channel(feed::BATCHES_WAITING);
            let (closed, closing) = mpsc::channel(commit::EPOCHS_WAITING);
            let (thread, started) = oneshot::channel();
            let life = worker::Life { clock, fed, closed, abort: abort.clone() };
            let fold = fold::Fold::new(index.clone(), rules, (member == 0).then_some(catalog_next));
            starts.push(worker::Start { fold, life, thread });
            let (log, stop, catalog) = (log.clone(), stop.clone(), catalog.take());
            let partitions = partitions.iter().copied().filter(|p| p % peers == member).collect();
            tasks.spawn(async move {
                // If it has not started, the supervisor says so.
                let Ok(wake) = started.await else { return Ok(()) };
                let feed = feed::Feed { log: log.clone(), partitions, sink, wake: wake.clone() };
                let committing = commit::run(log, member, closing, wake, stop.clone());
                tokio::try_join!(feed.run(catalog, stop), committing)?;
                Ok(())
            });
        }
        let ended = worker::run_all(starts);
        tasks.spawn(async move { ended.await.unwrap_or(Err(None)).map_err(DataflowError::Worker) });
        let mut first_error = None;
        loop {
            let joined = tokio::select! {
                joined = tasks.join_next() => joined,
                () = ends.cancelled(), if !stop.is_cancelled() => {
                    stop.cancel();
                    continue;
                }
            };
            let Some(joined) = joined else { break };
            let result = joined.unwrap_or_else(|panic| {
                tracing::error!(%panic, "a dataflow task panicked");
                Err(DataflowError::Worker(None))
            });
            if let Err(error) = result {
                first_error.get_or_insert(error);
                stop.cancel();
                abort.cancel();
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}
