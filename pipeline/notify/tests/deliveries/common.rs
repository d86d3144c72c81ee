//! A notifier on a log of its own, as tests start, stop and kill it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waystream_domain::catalog::{Fleet, Organisation};
use waystream_domain::codec::encode_event;
use waystream_domain::notify::{Channel, Delivery, NotificationRule, Secret, Target};
use waystream_domain::{AttributeValue, CatalogEdit, CatalogEntry, DeviceId, Event, EventId, EventKind, LatLon, Timestamp};
use waystream_log::catalog::{CatalogFollower, CatalogHandle};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Batch, Log, LogError, Record, Topic};
use waystream_notify::{Notifier, NotifyConfig, NotifyError, Reports};

pub(crate) const SECRET: &str = "a secret of 23 characters";

pub(crate) struct System {
    pub(crate) dir: TempDir,
    pub(crate) log: Arc<EmbeddedLog>,
    pub(crate) catalog: CatalogHandle,
    config: NotifyConfig,
    reports: Option<Arc<dyn Reports>>,
    stop: CancellationToken,
    following: JoinHandle<Result<(), LogError>>,
    running: JoinHandle<Result<(), NotifyError>>,
}

/// Retries that take no time, and receivers on this machine.
pub(crate) fn config() -> NotifyConfig {
    NotifyConfig { first_pause_ms: 20, allow_private_addresses: true, ..NotifyConfig::default() }
}

pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), what).await.expect("it takes for ever")
}

pub(crate) fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(since.as_millis() as i64).unwrap()
}

/// An enter that happened so many seconds ago.
pub(crate) fn enter(device: &str, seconds_ago: i64) -> Event {
    let device: DeviceId = device.parse().unwrap();
    let (geofence, fix_time) = ("depot".parse().unwrap(), now().plus_millis(-seconds_ago * 1000));
    Event {
        id: EventId::of(&device, Some(&geofence), EventKind::Enter, fix_time),
        kind: EventKind::Enter,
        device,
        fleet: "north".parse().unwrap(),
        geofence: Some(geofence),
        geofence_version: Some(1),
        fix_time,
        received_at: fix_time,
        location: LatLon::new(52.229676, 21.012229).unwrap(),
        revises: None,
        retracted: false,
        attributes: [("speed_mps", AttributeValue::Float(5.5))].into_iter().collect(),
    }
}

/// A rule for enters over the channel of the same name.
pub(crate) fn rule(name: &str) -> NotificationRule {
    NotificationRule {
        id: name.parse().unwrap(),
        organisation: "o".parse().unwrap(),
        name: format!("Rule {name}"),
        enabled: true,
        kinds: [EventKind::Enter].into(),
        fleets: Default::default(),
        geofences: Default::default(),
        quiet_hours: None,
        at_most_every_min: 0,
        channel: name.parse().unwrap(),
    }
}

pub(crate) fn webhook(url: &str) -> Target {
    Target::Webhook { url: url.into(), secret: Secret(SECRET.into()) }
}

pub(crate) fn channel(name: &str, target: Target) -> CatalogEntry {
    let channel = Channel { id: name.parse().unwrap(), organisation: "o".parse().unwrap(), name: name.to_uppercase(), target };
    channel.check().unwrap();
    CatalogEntry::Channel(channel)
}

fn open(dir: &TempDir) -> Arc<EmbeddedLog> {
    EmbeddedLog::open(&dir.path().join("log"), EmbeddedOptions::default()).unwrap()
}

impl System {
    pub(crate) async fn start(config: NotifyConfig) -> Self {
        Self::start_with(config, None).await
    }

    pub(crate) async fn start_with(config: NotifyConfig, reports: Option<Arc<dyn Reports>>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let system = Self::start_in(dir, config, reports).await;
        let (o, north) = ("o".parse().unwrap(), "north".parse().unwrap());
        system
            .put(vec![
                CatalogEntry::Organisation(Organisation { id: "o".parse().unwrap(), name: "O".into() }),
                CatalogEntry::Fleet(Fleet { id: north, organisation: o, name: "North".into(), rules: Default::default() }),
            ])
            .await;
        system
    }

    /// With a rule over each of these channels.
    pub(crate) async fn telling(config: NotifyConfig, channels: &[(&str, Target)]) -> Self {
        let system = Self::start(config).await;
        for (name, target) in channels {
            system.put(vec![channel(name, target.clone()), CatalogEntry::NotificationRule(rule(name))]).await;
        }
        system
    }

    async fn start_in(dir: TempDir, config: NotifyConfig, reports: Option<Arc<dyn Reports>>) -> Self {
        let log = open(&dir);
        let stop = CancellationToken::new();
        let (catalog, follower) = CatalogFollower::start(log.clone()).await.unwrap();
        let following = tokio::spawn(follower.run(stop.clone()));
        let notifier = Notifier::with_reports(config.clone(), reports.clone()).unwrap();
        let running = tokio::spawn(notifier.run(log.clone(), catalog.shared(), stop.clone()));
        Self { dir, log, catalog, config, reports, stop, following, running }
    }

    pub(crate) async fn put(&self, entries: Vec<CatalogEntry>) {
        self.catalog
            .edit(&waystream_domain::Actor::CommandLine, entries.into_iter().map(CatalogEdit::Put).collect())
            .await
            .unwrap();
    }

    /// Stops in good order and starts again.
    pub(crate) async fn restart(self) -> Self {
        let Self { dir, log, catalog, config, reports, stop, following, running } = self;
        stop.cancel();
        in_time(running).await.unwrap().unwrap();
        in_time(following).await.unwrap().unwrap();
        drop(catalog);
        log.close().await;
        drop(log);
        Self::start_in(dir, config, reports).await
    }

    /// Drops the notifier wherever it is, and starts a new one. The log stays: what it has acknowledged it has.
    pub(crate) async fn kill_notifier(&mut self) {
        self.running.abort();
        assert!(in_time(&mut self.running).await.unwrap_err().is_cancelled());
        let notifier = Notifier::with_reports(self.config.clone(), self.reports.clone()).unwrap();
        self.running = tokio::spawn(notifier.run(self.log.clone(), self.catalog.shared(), self.stop.clone()));
    }

    pub(crate) async fn happen(&self, events: &[Event]) {
        let records = events.iter().map(|e| Record::new(e.device.to_string(), encode_event(e))).collect();
        self.log.append(Topic::Events, records).await.unwrap();
    }

    pub(crate) async fn append(&self, delivery: &Delivery) {
        let record = Record::new(delivery.id.to_string(), delivery.encode());
        self.log.append(Topic::Deliveries, vec![record]).await.unwrap();
    }

    /// Waits until the log says this of all deliveries (the last word on each).
    pub(crate) async fn until(&self, fits: impl Fn(&[Delivery]) -> bool) -> Vec<Delivery> {
        let all = (0..self.log.partitions(Topic::Deliveries)).map(|p| ((Topic::Deliveries, p), 0)).collect();
        let mut reader = self.log.read(Topic::Deliveries, &all).await.unwrap();
        let mut known: HashMap<String, Delivery> = HashMap::new();
        let mut learn = |batch: Batch| {
            for entry in batch.entries {
                let key = String::from_utf8(entry.key.to_vec()).unwrap();
                match entry.value {
                    Some(value) => drop(known.insert(key, Delivery::decode(&value).unwrap())),
                    None => drop(known.remove(&key)),
                }
            }
            let mut now: Vec<Delivery> = known.values().cloned().collect();
            now.sort_by(|a, b| (a.matched_at, &a.id).cmp(&(b.matched_at, &b.id)));
            now
        };
        in_time(async {
            let mut now = Vec::new();
            loop {
                // All of it: what was so once, while partitions are read one after the other, may never have been so.
                while let Some(batch) = reader.try_next(512).await.unwrap() {
                    now = learn(batch);
                }
                if fits(&now) {
                    return now;
                }
                now = learn(reader.next(512).await.unwrap());
            }
        })
        .await
    }

    /// Waits until there are so many deliveries and all are in these states.
    pub(crate) async fn until_all(&self, count: usize, states: &[&str]) -> Vec<Delivery> {
        self.until(|all| all.len() == count && all.iter().all(|d| states.contains(&d.state.name()))).await
    }
}
