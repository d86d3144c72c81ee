//! Partitions go from one dataflow to another in the middle of the work: what is told in the end is what one alone would have told.
#![allow(clippy::unwrap_used)]

use crate::common;

use async_trait::async_trait;
use common::{append, box_of, caught_up, edit, events, fix, open, out_of_order, own, put, standing, start};
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use waystream_domain::{Event, Position};
use waystream_log::{Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Share, Topic};

/// The log as one of several processes sees it: the test hands out the shares.
struct Shared {
    inner: Arc<dyn Log>,
    member: Mutex<Option<Member>>,
}

struct Member {
    /// Told that the share of before has been given back.
    asks: UnboundedSender<()>,
    shares: UnboundedReceiver<Share>,
}

#[async_trait]
impl Membership for Member {
    async fn share(&mut self) -> Result<Share, LogError> {
        self.asks.send(()).unwrap();
        self.shares.recv().await.ok_or_else(|| LogError::Closed("the test is over".into()))
    }
}

#[async_trait]
impl Log for Shared {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.partitions(topic)
    }
    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        self.inner.append(topic, records).await
    }
    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        self.inner.read(topic, from).await
    }
    async fn join(&self, _: &str) -> Result<Box<dyn Membership>, LogError> {
        Ok(Box::new(self.member.lock().await.take().expect("joins once")))
    }
    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
        self.inner.commit(group, records, offsets).await
    }
    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        self.inner.committed(group, topic).await
    }
    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
        self.inner.bounds(topic).await
    }
    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
        self.inner.offsets_at(topic, time_ms).await
    }
}

/// A dataflow and the hand that gives it shares.
struct Process {
    running: common::Running,
    asked: UnboundedReceiver<()>,
    give: UnboundedSender<Share>,
    ends: CancellationToken,
}

impl Process {
    async fn new(log: &Arc<dyn Log>, workers: usize) -> Self {
        let (asks, mut asked) = unbounded_channel();
        let (give, shares) = unbounded_channel();
        let member = Mutex::new(Some(Member { asks, shares }));
        let running = start(Arc::new(Shared { inner: log.clone(), member }), workers);
        asked.recv().await.unwrap();
        Self { running, asked, give, ends: CancellationToken::new() }
    }

    /// Takes the share away and waits until it has been given back.
    async fn take_away(&mut self) {
        self.ends.cancel();
        self.asked.recv().await.unwrap();
    }

    fn give(&mut self, partitions: impl Iterator<Item = u32>) {
        self.ends = CancellationToken::new();
        self.give.send(Share { partitions: partitions.collect(), ends: self.ends.clone() }).unwrap();
    }
}

fn trips() -> Vec<Position> {
    let step = |s: i64| (0..9).map(move |t| fix(&format!("truck-{t}"), "north", s * 10, 1.0, (9 - (s % 18 - 9).abs()) as f64));
    (0..72).flat_map(step).collect()
}

fn by_id(mut events: Vec<Event>) -> Vec<Event> {
    events.sort_by(|a, b| a.id.cmp(&b.id));
    events
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_that_change_hands_in_the_middle_change_nothing() {
    let geofences = || vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0)), put("b", 1, box_of(3.0, 0.0, 6.0, 2.0))];
    let mut wanted: Option<Vec<Event>> = None;
    for (late, workers, handed_over) in [(false, 1, false), (false, 1, true), (false, 2, true), (true, 2, true)] {
        let dir = tempfile::tempdir().unwrap();
        let log: Arc<dyn Log> = open(dir.path());
        edit(&*log, geofences()).await;
        let arrival = if late { out_of_order(&trips()) } else { trips() };
        let count = log.partitions(Topic::Positions);
        let partitions_used: BTreeSet<u32> =
            arrival.iter().map(|p| waystream_log::partition_of(p.device.as_str().as_bytes(), count)).collect();
        assert!(partitions_used.iter().any(|p| p % 2 == 0) && partitions_used.iter().any(|p| p % 2 == 1));
        let (mut one, mut other) = (Process::new(&log, workers).await, Process::new(&log, workers).await);
        one.give(0..count);
        for (n, piece) in (0..).zip(arrival.chunks(arrival.len().div_ceil(7))) {
            append(&*log, piece).await;
            // Nobody waits until it has been concluded.
            if handed_over {
                if n > 0 {
                    other.take_away().await;
                }
                one.take_away().await;
                one.give((0..count).filter(|p| p % 2 == n % 2));
                other.give((0..count).filter(|p| p % 2 != n % 2));
            }
        }
        caught_up(&*log).await;
        one.running.stop().await.unwrap();
        other.running.stop().await.unwrap();
        let told = events(&*log).await;
        let told = if late { standing(told) } else { by_id(told) };
        match &wanted {
            None => {
                assert_eq!(told.len(), 9 * 4 * 2 * 4);
                wanted = Some(told);
            }
            Some(wanted) if late => assert_eq!(told, standing(wanted.clone())),
            Some(wanted) => assert_eq!(&told, wanted, "{workers} workers"),
        }
    }
}
