//! A running set of connectors on the real embedded log, a gate before the log, and trackers that speak real bytes.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub, reason = "each test file uses a part of this")]

pub mod egts;
pub mod mosquitto;
pub mod teltonika;

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waystream_connectors::quarantine::{self, Kept};
use waystream_connectors::{Connectors, ConnectorsConfig, ConnectorsError, Limits};
use waystream_domain::catalog::Fleet;
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, Position, codec};
use waystream_log::catalog::{CatalogFollower, CatalogHandle};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Topic};

/// A log whose appends of positions can be held up or made to fail, as a decorator of the real one.
pub struct Gate {
    inner: Arc<EmbeddedLog>,
    open: watch::Sender<bool>,
    failures: AtomicU32,
    waiting: watch::Sender<usize>,
}

impl Gate {
    pub fn close(&self) {
        self.open.send_replace(false);
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// The next `count` appends of positions fail as passing trouble.
    pub fn fail(&self, count: u32) {
        self.failures.store(count, Ordering::SeqCst);
    }

    /// Returns when so many appends of positions wait at the closed gate.
    pub async fn held_up(&self, appends: usize) {
        self.waiting.subscribe().wait_for(|waiting| *waiting >= appends).await.unwrap();
    }
}

#[async_trait]
impl Log for Gate {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.partitions(topic)
    }

    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        if topic == Topic::Positions {
            if self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_ok() {
                return Err(LogError::Unavailable("told to fail".into()));
            }
            self.waiting.send_modify(|waiting| *waiting += 1);
            self.open.subscribe().wait_for(|open| *open).await.unwrap();
            self.waiting.send_modify(|waiting| *waiting -= 1);
        }
        self.inner.append(topic, records).await
    }

    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        self.inner.read(topic, from).await
    }

    async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError> {
        self.inner.join(group).await
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

/// Connectors on free ports over a log in a folder of its own.
pub struct System {
    pub gate: Arc<Gate>,
    pub catalog: CatalogHandle,
    addresses: Vec<(&'static str, std::net::SocketAddr)>,
    stop: CancellationToken,
    running: JoinHandle<Result<(), ConnectorsError>>,
    stop_following: CancellationToken,
    folder: TempDir,
}

/// Limits short enough for tests that wait for them.
pub fn short() -> Limits {
    Limits { login_timeout_s: 1, frame_timeout_s: 1, idle_timeout_s: 2, ..Limits::default() }
}

impl System {
    pub async fn start() -> Self {
        Self::start_with(ConnectorsConfig::default()).await
    }

    pub async fn start_with(config: ConnectorsConfig) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let inner = EmbeddedLog::open(folder.path(), EmbeddedOptions::default()).unwrap();
        let gate =
            Arc::new(Gate { inner, open: watch::channel(true).0, failures: AtomicU32::new(0), waiting: watch::channel(0).0 });
        let (catalog, follower) = CatalogFollower::start(gate.clone()).await.unwrap();
        let stop_following = CancellationToken::new();
        tokio::spawn(follower.run(stop_following.clone()));
        let connectors = Connectors::new(config.on_free_ports()).quarantine(folder.path().join("quarantine"));
        let bound = connectors.bind().await.unwrap();
        let addresses = bound.addresses().into_iter().map(|at| (at.listener.as_str(), at.address)).collect();
        let stop = CancellationToken::new();
        let running = tokio::spawn(bound.run(gate.clone(), catalog.clone(), stop.clone()));
        Self { gate, catalog, addresses, stop, running, stop_following, folder }
    }

    pub fn address(&self, protocol: &str) -> std::net::SocketAddr {
        self.addresses.iter().find(|(name, _)| *name == protocol).unwrap().1
    }

    /// Enters fleets of an organisation.
    pub async fn enter_fleets(&self, organisation: &str, fleets: &[&str]) {
        let fleet = |name: &&str| {
            let (id, organisation) = (name.parse().unwrap(), organisation.parse().unwrap());
            CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: name.to_string(), rules: Default::default() }))
        };
        self.catalog.edit(&Actor::CommandLine, fleets.iter().map(fleet).collect()).await.unwrap();
    }

    /// Every position in the log, by partition and offset.
    pub async fn positions(&self) -> Vec<Position> {
        let from = (0..self.gate.partitions(Topic::Positions)).map(|p| ((Topic::Positions, p), 0)).collect();
        let mut reader = self.gate.read(Topic::Positions, &from).await.unwrap();
        let mut all = Vec::new();
        while let Some(batch) = reader.try_next(1000).await.unwrap() {
            all.extend(batch.entries.iter().map(|entry| codec::decode_position(entry.value.as_ref().unwrap()).unwrap()));
        }
        all
    }

    /// Returns when the positions in the log are what `enough` wants.
    pub async fn wait_for_positions(&self, enough: impl Fn(&[Position]) -> bool) {
        let from = (0..self.gate.partitions(Topic::Positions)).map(|p| ((Topic::Positions, p), 0)).collect();
        let mut reader = self.gate.read(Topic::Positions, &from).await.unwrap();
        let mut all = Vec::new();
        while !enough(&all) {
            let batch = in_time(reader.next(1000)).await.unwrap();
            all.extend(batch.entries.iter().map(|entry| codec::decode_position(entry.value.as_ref().unwrap()).unwrap()));
        }
    }

    /// Tells the connectors to stop, without waiting for it.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Stops, and waits for the end.
    pub async fn stop(self) {
        self.stop_and_read_quarantine().await;
    }

    /// Stops, waits for the end, and gives the messages that were not understood.
    pub async fn stop_and_read_quarantine(self) -> Vec<Kept> {
        self.stop.cancel();
        self.running.await.unwrap().unwrap();
        self.stop_following.cancel();
        quarantine::read(&self.folder.path().join("quarantine")).unwrap()
    }
}

/// Fails instead of hanging: far more than anything here takes, also on a busy machine.
pub async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it takes for ever")
}
