//! Whatever the dataflow is doing with the log when it dies: after the restart every event is there, once.
#![allow(clippy::unwrap_used)]

mod common;

use async_trait::async_trait;
use common::faulty::{Fault, Faulty};
use common::{append, box_of, caught_up, edit, events, fix, open, own, put, remove, snapshots, standing, start};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waystream_dataflow::DataflowError;
use waystream_domain::{Event, Position};
use waystream_log::{Batch, Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Topic};

/// A log that hands out few records at a time, so that there are many epochs.
struct Slow(Arc<dyn Log>);
struct SlowReader(Box<dyn LogReader>);

#[async_trait]
impl Log for Slow {
    fn partitions(&self, topic: Topic) -> u32 {
        self.0.partitions(topic)
    }
    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        self.0.append(topic, records).await
    }
    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        let reader = self.0.read(topic, from).await?;
        Ok(if topic == Topic::Positions { Box::new(SlowReader(reader)) } else { reader })
    }
    async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError> {
        self.0.join(group).await
    }
    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
        self.0.commit(group, records, offsets).await
    }
    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        self.0.committed(group, topic).await
    }
    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
        self.0.bounds(topic).await
    }
    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
        self.0.offsets_at(topic, time_ms).await
    }
}

#[async_trait]
impl LogReader for SlowReader {
    async fn next(&mut self, _: usize) -> Result<Batch, LogError> {
        // The pause stands for a slow source; nothing is concluded from it.
        tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        self.0.next(10).await
    }
    async fn try_next(&mut self, max: usize) -> Result<Option<Batch>, LogError> {
        self.0.try_next(max).await
    }
}

fn trips() -> Vec<Position> {
    let step = |s: i64| (0..6).map(move |t| fix(&format!("truck-{t}"), "north", s * 10, 1.0, (9 - (s % 18 - 9).abs()) as f64));
    (0..36).flat_map(step).collect()
}

/// In which order positions come.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Arrival {
    InOrder,
    OutOfOrder,
}

async fn prepare(dir: &std::path::Path, arrival: Arrival) -> Arc<dyn Log> {
    let log = open(dir);
    edit(&*log, vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0)), put("b", 1, box_of(3.0, 0.0, 6.0, 2.0))]).await;
    let positions = match arrival {
        Arrival::InOrder => trips(),
        Arrival::OutOfOrder => common::out_of_order(&trips()),
    };
    append(&*log, &positions).await;
    log
}

fn by_id(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| a.id.cmp(&b.id));
    events
}

/// Kills (or fails) the dataflow at every call in turn, until it gets through without meeting the chosen one.
async fn at_every_call(fault: Fault, workers: usize, arrival: Arrival) {
    let dir = tempfile::tempdir().unwrap();
    let log = prepare(dir.path(), Arrival::InOrder).await;
    let running = start(log.clone(), 1);
    caught_up(&*log).await;
    running.stop().await.unwrap();
    let wanted = by_id(events(&*log).await);
    assert_eq!(wanted.len(), 6 * 2 * 2 * 4);

    for at in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let log = prepare(dir.path(), arrival).await;
        let faulty = Arc::new(Faulty { inner: Arc::new(Slow(log.clone())), calls: AtomicU64::new(0), at, fault });
        let mut running = start(faulty.clone(), workers);
        let mut met = tokio::select! {
            ended = &mut running.task => {
                assert!(matches!(ended.unwrap(), Err(DataflowError::Log(LogError::Closed(_)))));
                true
            }
            () = caught_up(&*log) => {
                // Stopped in the middle of the trouble it may say so.
                running.token.cancel();
                running.task.await.unwrap().is_err()
            }
        };
        met |= faulty.calls.load(Ordering::SeqCst) > at;
        let running = start(log.clone(), workers);
        // Waiting for something new: the old may have been concluded before the end.
        append(&*log, &[fix("new", "north", 0, 50.0, 50.0)]).await;
        caught_up(&*log).await;
        running.stop().await.unwrap();
        let when = format!("{arrival:?}, {fault:?} at call {at}");
        match arrival {
            Arrival::InOrder => check(&*log, &wanted, &when).await,
            // Which corrections were told on the way depends on where the epochs ended.
            Arrival::OutOfOrder => assert_eq!(standing(events(&*log).await), standing(wanted.clone()), "{when}"),
        }
        if !met {
            break;
        }
    }
}

async fn check(log: &dyn Log, wanted: &[Event], when: &str) {
    assert_eq!(by_id(events(log).await), wanted, "{when}");
    // The map shows where everybody is in the end, and never went back.
    let mut seqs: HashMap<String, u64> = HashMap::new();
    for live in snapshots(log).await.into_iter().flat_map(|s| s.live) {
        let seen = seqs.entry(live.position.device.to_string()).or_insert(0);
        assert!(*seen <= live.seq, "{when}: {} goes back", live.position.device);
        *seen = live.seq;
    }
    let bounds = log.bounds(Topic::Positions).await.unwrap();
    for (device, seq) in seqs {
        let partition = waystream_log::partition_of(device.as_bytes(), log.partitions(Topic::Positions));
        // Its last position is followed by those of the six others at most.
        assert!(bounds[partition as usize].next - seq <= 7, "{when}: {device} is not shown where it is");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_before_any_call() {
    at_every_call(Fault::DieBefore, 1, Arrival::InOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_after_any_call() {
    at_every_call(Fault::DieAfter, 2, Arrival::InOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unavailable_at_any_call() {
    at_every_call(Fault::Unavailable, 2, Arrival::InOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_written_and_not_known_at_any_call() {
    at_every_call(Fault::IndeterminateBefore, 1, Arrival::InOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn written_and_not_known_at_any_call() {
    at_every_call(Fault::IndeterminateAfter, 1, Arrival::InOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_while_the_past_is_corrected() {
    at_every_call(Fault::DieBefore, 1, Arrival::OutOfOrder).await;
    at_every_call(Fault::DieAfter, 2, Arrival::OutOfOrder).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_known_at_any_call_while_the_past_is_corrected() {
    at_every_call(Fault::IndeterminateAfter, 1, Arrival::OutOfOrder).await;
}

/// Geofences are removed and drawn round standing vehicles: each hears of it once, with the reason, whenever the dataflow dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_an_edit_is_decided_once() {
    let here = || box_of(0.0, 0.0, 2.0, 2.0);
    let line = |e: &Event| format!("{} {:?}", e.id, e.attributes.get("reason"));
    for (fault, workers) in [(Fault::DieBefore, 1), (Fault::DieAfter, 2), (Fault::IndeterminateAfter, 4)] {
        let mut wanted: Option<Vec<String>> = None;
        for run in 0u64.. {
            // The first run has no fault in it.
            let at = run.checked_sub(1).unwrap_or(u64::MAX);
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path());
            edit(&*log, vec![own("north"), put("a", 1, here())]).await;
            let parked: Vec<_> = (0..6).map(|t| fix(&format!("truck-{t}"), "north", 5, 1.0, 1.0)).collect();
            append(&*log, &parked).await;
            let running = start(log.clone(), workers);
            caught_up(&*log).await;
            running.stop().await.unwrap();
            let faulty = Arc::new(Faulty { inner: log.clone(), calls: AtomicU64::new(0), at, fault });
            let mut running = start(faulty.clone(), workers);
            edit(&*log, vec![remove("a"), put("b", 2, here())]).await;
            tokio::select! {
                ended = &mut running.task => assert!(ended.unwrap().is_err()),
                () = caught_up(&*log) => {
                    running.token.cancel();
                    drop(running.task.await.unwrap());
                }
            }
            let met = faulty.calls.load(Ordering::SeqCst) > at;
            let running = start(log.clone(), workers);
            append(&*log, &[fix("new", "north", 0, 50.0, 50.0)]).await;
            caught_up(&*log).await;
            running.stop().await.unwrap();
            let mut told: Vec<_> = events(&*log).await.iter().map(line).collect();
            told.sort();
            assert_eq!(told.len(), 6 * 3, "{fault:?} at call {at}: {told:?}");
            assert_eq!(wanted.get_or_insert_with(|| told.clone()), &told, "{fault:?} at call {at}");
            if !met && run > 0 {
                break;
            }
        }
    }
}
