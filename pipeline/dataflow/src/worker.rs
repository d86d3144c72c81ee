//! One worker thread: takes in what the feed brings, moves the epochs along, hands closed ones to the committer.

use crate::commit::Closed;
use crate::feed::Fed;
use crate::fold::Fold;
use crate::graph::{self, EpochNumber, Graph, InProcess, Work};
use crate::metrics;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::{Mutex, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use timely::communication::initialize_from;
use timely::worker::Worker;
use timely::{CommunicationConfig, WorkerConfig};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use waystream_domain::Timestamp;

/// Epochs that may be open; then no more is taken in.
const OPEN_EPOCHS: u64 = 4;
/// Positions taken into one epoch at most, so that a backlog is worked off in pieces of bounded memory.
const POSITIONS_PER_EPOCH: usize = 200_000;

/// Tells epochs from a clock that never goes back, whatever is done to the system's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    epoch_ms: u64,
    started: Instant,
    started_ms: u64,
}

impl Clock {
    pub(crate) fn new(epoch_ms: u64) -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch_ms: epoch_ms.max(1), started: Instant::now(), started_ms: since_1970.as_millis() as u64 }
    }

    /// The epoch of now, and the time until the next.
    fn now(&self) -> (EpochNumber, Duration) {
        let ms = Duration::from_millis(self.started_ms) + self.started.elapsed();
        let epoch = ms.as_millis() as u64 / self.epoch_ms;
        (epoch, Duration::from_millis((epoch + 1) * self.epoch_ms).saturating_sub(ms))
    }

    /// When an epoch ends.
    fn end(&self, epoch: EpochNumber) -> Timestamp {
        let ms = (epoch + 1).saturating_mul(self.epoch_ms);
        Timestamp::default().plus_millis(i64::try_from(ms).unwrap_or(i64::MAX))
    }
}

/// The time of the system's clock.
pub(crate) fn now() -> Timestamp {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis());
    Timestamp::default().plus_millis(i64::try_from(ms).unwrap_or(i64::MAX))
}

/// A worker's ties to the world.
pub(crate) struct Life {
    pub(crate) clock: Clock,
    pub(crate) fed: mpsc::Receiver<Fed>,
    pub(crate) closed: mpsc::Sender<Closed>,
    /// Another part has failed: end at once.
    pub(crate) abort: CancellationToken,
}

/// A worker that is to be started.
pub(crate) struct Start {
    pub(crate) fold: Fold,
    pub(crate) life: Life,
    /// To be told which thread it is.
    pub(crate) thread: oneshot::Sender<Thread>,
}

/// Runs workers on threads of their own until all have ended. The number of one that broke down, or why there are no threads.
pub(crate) fn run_all(workers: Vec<Start>) -> oneshot::Receiver<Result<(), Option<usize>>> {
    let (done, ended) = oneshot::channel();
    let supervise = move || {
        let (builders, others) = CommunicationConfig::Process(workers.len())
            .try_build()
            .expect("channels within a process need nothing that could be missing");
        let workers = Mutex::new(workers.into_iter().map(Some).collect::<Vec<_>>());
        let threads = initialize_from(builders, others, move |allocator| {
            // Without a timer timely never parks.
            let worker = Worker::new(WorkerConfig::default(), allocator, Some(Instant::now()));
            let mine = workers.lock().unwrap_or_else(PoisonError::into_inner)[worker.index()].take();
            let start = mine.expect("each worker starts once");
            if start.thread.send(std::thread::current()).is_ok() {
                run(worker, start.fold, start.life);
            }
        });
        let result = match threads {
            Ok(threads) => match threads.join().iter().position(Result::is_err) {
                Some(broken) => Err(Some(broken)),
                None => Ok(()),
            },
            Err(_) => Err(None),
        };
        if done.send(result).is_err() {
            tracing::debug!("dataflow workers have ended, nobody waits for them");
        }
    };
    // If there is no thread, `done` is dropped.
    drop(std::thread::Builder::new().name("dataflow".into()).spawn(supervise));
    ended
}

/// Ends the other workers if this one panics: they would wait for it for ever.
struct AbortOnPanic(CancellationToken);

impl Drop for AbortOnPanic {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.cancel();
        }
    }
}

/// Until the feed ends; then everything taken in is folded and handed over.
fn run(mut worker: Worker, mut fold: Fold, mut life: Life) {
    let _abort_on_panic = AbortOnPanic(life.abort.clone());
    let restored = loop {
        match life.fed.blocking_recv() {
            Some(Fed::States(batch)) => fold.restore(batch.entries),
            Some(Fed::Recent(batch)) => fold.restore_recent(batch.entries),
            Some(_) => break true,
            None => break false,
        }
    };
    let first = restored.then(|| fold.first(life.clock.end(life.clock.now().0)));
    let fold = Rc::new(RefCell::new(fold));
    let clock = life.clock;
    // Also if there is nothing to do any more: the others wait for this worker's inputs to close.
    let mut graph = graph::build(&mut worker, fold.clone(), move |epoch| clock.end(epoch));
    graph.outbox.borrow_mut().extend(first);
    if restored {
        follow(&mut worker, &mut graph, &mut life, &fold);
    }
    let Graph { positions, edits, probe, outbox } = graph;
    positions.close();
    edits.close();
    while !probe.done() && !life.abort.is_cancelled() {
        worker.step_or_park(Some(Duration::from_millis(life.clock.epoch_ms)));
    }
    let rest = std::mem::take(&mut *outbox.borrow_mut());
    for closed in rest.into_iter().filter(|c| !c.is_empty()) {
        if life.abort.is_cancelled() || life.closed.blocking_send(closed).is_err() {
            return;
        }
    }
}

/// Until the feed ends or the committer is gone.
fn follow(worker: &mut Worker, graph: &mut Graph, life: &mut Life, fold: &RefCell<Fold>) {
    let (mut epoch, mut taken) = (0, 0);
    while !life.abort.is_cancelled() {
        let (now, left) = life.clock.now();
        if now > epoch {
            // Idle workers tick too: nobody waits for a quiet partition.
            (epoch, taken) = (now, 0);
            graph.positions.advance_to(epoch);
            graph.edits.advance_to(epoch);
            let (devices, geofences) = fold.borrow().held();
            metrics::held(worker.index(), devices, geofences);
        }
        let behind = graph.probe.less_than(&epoch.saturating_sub(OPEN_EPOCHS)) || graph.outbox.borrow().len() > 1;
        while !behind && taken < POSITIONS_PER_EPOCH {
            match life.fed.try_recv() {
                Ok(Fed::Positions(batch)) => {
                    taken += batch.entries.len();
                    graph.positions.send(InProcess(Work::Positions(batch)));
                }
                Ok(Fed::Clock(partition, now)) => graph.positions.send(InProcess(Work::Clock(partition, now))),
                Ok(Fed::Edits(edits, next)) => graph.edits.send(InProcess((edits, next))),
                Ok(Fed::States(_) | Fed::Recent(_) | Fed::Restored) => {}
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return,
            }
        }
        worker.step_or_park(Some(left));
        if !hand_over(graph, &life.closed) {
            return;
        }
    }
}

/// Gives closed epochs to the committer as far as it has room. False if it is gone.
fn hand_over(graph: &Graph, closed: &mpsc::Sender<Closed>) -> bool {
    let mut outbox = graph.outbox.borrow_mut();
    while let Some(first) = outbox.front() {
        if !first.is_empty() {
            match closed.try_reserve() {
                Ok(room) => room.send(outbox.pop_front().expect("it has a front")),
                Err(TrySendError::Full(())) => return true,
                Err(TrySendError::Closed(())) => return false,
            }
        } else {
            outbox.pop_front();
        }
    }
    true
}
