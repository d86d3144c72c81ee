//! A gateway on a real log, catalog and store, as the tests need it. What the dataflow and the archive would write, tests write.

// Each program of tests uses a part of this.
#![allow(dead_code, unreachable_pub, clippy::unwrap_used)]

pub mod browser;
pub mod raw;
pub mod user;

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waystream_domain::catalog::{Device, Fleet, Organisation, Role, User};
use waystream_domain::codec::{encode_event, encode_snapshot, encode_state};
use waystream_domain::geofence::Shape;
use waystream_domain::{
    CatalogEdit, CatalogEntry, DeviceId, DeviceState, Event, EventId, EventKind, FleetSnapshot, Geofence, LatLon, LivePosition,
    Position, Timestamp, UnknownDevice,
};
use waystream_gateway::{ExportFormat, Gateway, GatewayConfig, GatewayError, GatewayParts, SignInLinks, TrackSink};
use waystream_log::catalog::{CatalogFollower, CatalogHandle};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Record, Topic};
use waystream_sql::{SqlEngine, SqlOptions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{ArchiveBatch, Archived, Store};

pub struct System {
    pub log: Arc<EmbeddedLog>,
    pub catalog: CatalogHandle,
    pub store: Arc<ParquetStore>,
    pub sql: Arc<SqlEngine>,
    pub url: String,
    pub links: SignInLinks,
    cancel: CancellationToken,
    running: JoinHandle<Result<(), GatewayError>>,
    dir: TempDir,
}

/// Another gateway on the same log and store.
pub struct Another {
    pub url: String,
    running: JoinHandle<Result<(), GatewayError>>,
}

impl Another {
    /// Once the first has been stopped or restarted.
    pub async fn ended(self) {
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("ends soon").unwrap().unwrap();
    }
}

impl System {
    /// Two organisations: `ours` with the fleets `north` and `south` and the users `admin` and `viewer`, `theirs` with the
    /// fleet `their` and the user `other`.
    pub async fn start() -> Self {
        Self::start_with(GatewayConfig::default()).await
    }

    pub async fn start_with(config: GatewayConfig) -> Self {
        Self::start_asking(config, SqlOptions::default()).await
    }

    pub async fn start_asking(config: GatewayConfig, limits: SqlOptions) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = EmbeddedLog::open(&dir.path().join("log"), EmbeddedOptions::default()).unwrap();
        let cancel = CancellationToken::new();
        let (catalog, follower) = CatalogFollower::start(log.clone()).await.unwrap();
        tokio::spawn(follower.run(cancel.clone()));
        let mut edits = Vec::new();
        for (organisation, fleets, users) in [
            ("ours", vec!["north", "south"], vec![("admin", Role::Owner), ("viewer", Role::Viewer)]),
            ("theirs", vec!["their"], vec![("other", Role::Owner)]),
        ] {
            edits.push(CatalogEntry::Organisation(Organisation { id: id(organisation), name: organisation.into() }));
            edits.extend(fleets.into_iter().map(|f| {
                CatalogEntry::Fleet(Fleet {
                    id: id(f),
                    organisation: id(organisation),
                    name: f.to_uppercase(),
                    rules: Default::default(),
                })
            }));
            edits.extend(users.into_iter().map(|(user, role)| {
                CatalogEntry::User(User {
                    id: id(user),
                    organisation: id(organisation),
                    role,
                    password_hash: None,
                    preferences: None,
                })
            }));
        }
        catalog.edit(&waystream_domain::Actor::CommandLine, edits.into_iter().map(CatalogEdit::Put).collect()).await.unwrap();
        let store = ParquetStore::open(&dir.path().join("store"), ParquetOptions::default()).unwrap();
        Self::start_on(dir, log, catalog, store, cancel, (config, limits)).await
    }

    async fn start_on(
        dir: TempDir,
        log: Arc<EmbeddedLog>,
        catalog: CatalogHandle,
        store: Arc<ParquetStore>,
        cancel: CancellationToken,
        (config, limits): (GatewayConfig, SqlOptions),
    ) -> Self {
        let sql = Arc::new(SqlEngine::new(store.clone(), catalog.shared(), limits).unwrap());
        let config = GatewayConfig { listen: ([127, 0, 0, 1], 0).into(), ..config };
        let parts = GatewayParts {
            log: log.clone(),
            catalog: catalog.clone(),
            sql: sql.clone(),
            ready: Vec::new(),
            metrics: None,
            exports: vec![lines(), long()],
        };
        let gateway = Gateway::bind(config, parts).await.unwrap();
        let url = format!("http://{}", gateway.local_addr());
        let links = gateway.sign_in_links();
        let running = tokio::spawn(gateway.run(cancel.clone()));
        Self { log, catalog, store, sql, url, links, cancel, running, dir }
    }

    /// Ends the gateway and starts another on the same data, as after a restart.
    pub async fn restart(self, config: GatewayConfig) -> Self {
        self.cancel.cancel();
        self.running.await.unwrap().unwrap();
        let cancel = CancellationToken::new();
        let (catalog, follower) = CatalogFollower::start(self.log.clone()).await.unwrap();
        tokio::spawn(follower.run(cancel.clone()));
        Self::start_on(self.dir, self.log, catalog, self.store, cancel, (config, SqlOptions::default())).await
    }

    /// Starts another gateway beside it, with a catalog of its own, as in another process.
    pub async fn another(&self) -> Another {
        self.another_with(GatewayConfig::default()).await
    }

    pub async fn another_with(&self, config: GatewayConfig) -> Another {
        let (catalog, follower) = CatalogFollower::start(self.log.clone()).await.unwrap();
        tokio::spawn(follower.run(self.cancel.clone()));
        let sql = Arc::new(SqlEngine::new(self.store.clone(), catalog.shared(), SqlOptions::default()).unwrap());
        let config = GatewayConfig { listen: ([127, 0, 0, 1], 0).into(), ..config };
        let (log, ready, exports) = (self.log.clone(), Vec::new(), Vec::new());
        let gateway = Gateway::bind(config, GatewayParts { log, catalog, sql, ready, metrics: None, exports }).await.unwrap();
        let url = format!("http://{}", gateway.local_addr());
        Another { url, running: tokio::spawn(gateway.run(self.cancel.clone())) }
    }

    pub async fn stop(self) {
        self.cancel.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("ends soon").unwrap().unwrap();
    }

    /// The cookie of a signed-in user.
    pub async fn cookie(&self, user: &str) -> String {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let answer = http.get(self.links.link(&id(user)).await.unwrap()).send().await.unwrap();
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    pub async fn edit(&self, entry: CatalogEntry) {
        self.catalog.edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Put(entry)]).await.unwrap();
    }

    /// What the dataflow writes when positions have come.
    pub async fn move_to(&self, fleet: &str, live: Vec<LivePosition>) {
        let snapshot = FleetSnapshot { fleet: id(fleet), closed_at: live[0].position.received_at, live, left: Vec::new() };
        self.append(Topic::Snapshots, fleet, encode_snapshot(&snapshot)).await;
    }

    /// What the dataflow remembers of a device.
    pub async fn remember(&self, live: LivePosition) {
        let p = &live.position;
        let mut state = DeviceState::new(p.device.clone(), p.fleet.clone());
        state.latest = Some(live.clone().into());
        self.append(Topic::States, p.device.as_str(), encode_state(&state)).await;
    }

    pub async fn happen(&self, event: &Event) {
        self.append(Topic::Events, event.device.as_str(), encode_event(event)).await;
    }

    async fn append(&self, topic: Topic, key: &str, value: Vec<u8>) {
        self.log.append(topic, vec![Record::new(key.to_owned(), value)]).await.unwrap();
    }

    /// What the archive would have stored.
    pub async fn archive(&self, positions: Vec<Position>, events: Vec<Event>) {
        fn archived<T>(row: T, offset: usize) -> Archived<T> {
            Archived { partition: 0, offset: offset as u64, row }
        }
        let positions = positions.into_iter().enumerate().map(|(i, p)| archived(p, i)).collect();
        let events: Vec<_> = events.into_iter().enumerate().map(|(i, e)| archived(e, i)).collect();
        let offsets = [((Topic::Events, 0), events.len() as u64)].into_iter().collect();
        self.store.append(Arc::new(ArchiveBatch { positions, events, offsets })).await.unwrap();
    }
}

/// The one format that tracks are exported in here, a line a position: those for people are the composition root's.
fn lines() -> ExportFormat {
    struct Lines(Box<dyn Write + Send>);
    impl TrackSink for Lines {
        fn write(&mut self, position: &Position) -> io::Result<()> {
            writeln!(self.0, "{} {}", position.device, position.fix_time.as_millis())
        }

        fn finish(&mut self) -> io::Result<()> {
            writeln!(self.0, "end")
        }
    }
    fn open(out: Box<dyn Write + Send>) -> io::Result<Box<dyn TrackSink>> {
        Ok(Box::new(Lines(out)))
    }
    ExportFormat { name: "lines", media_type: "text/plain", open }
}

/// A million bytes for every position, so that who takes none holds up the rest.
fn long() -> ExportFormat {
    struct Long(Box<dyn Write + Send>);
    impl TrackSink for Long {
        fn write(&mut self, _: &Position) -> io::Result<()> {
            self.0.write_all(&[b'x'; 1_000_000])
        }

        fn finish(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    fn open(out: Box<dyn Write + Send>) -> io::Result<Box<dyn TrackSink>> {
        Ok(Box::new(Long(out)))
    }
    ExportFormat { name: "long", media_type: "text/plain", open }
}

pub fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

/// So many milliseconds from now, by the wall clock.
pub fn in_ms(ms: i64) -> i64 {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since_1970.as_millis()).unwrap() + ms
}

pub fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).unwrap()
}

/// 2025-11-01T00:00:00Z.
pub const START_MS: i64 = 1_761_955_200_000;

pub fn position(device: &str, fleet: &str, n: i64, lat: f64) -> Position {
    Position {
        device: id(device),
        fleet: id(fleet),
        fix_time: at(START_MS + 1_000 * n),
        received_at: at(START_MS + 1_000 * n),
        location: LatLon::new(lat, 21.0).unwrap(),
        valid: true,
        altitude_m: Some(110.0),
        speed_mps: Some(12.5),
        course_deg: Some(90.0),
        accuracy_m: None,
        protocol: "test".into(),
        attributes: [("ignition", true)].into_iter().collect(),
    }
}

pub fn live(device: &str, fleet: &str, n: u64, lat: f64) -> LivePosition {
    LivePosition { seq: n, position: position(device, fleet, n as i64, lat) }
}

pub fn event(device: &str, fleet: &str, n: i64) -> Event {
    let (device, fence, time): (DeviceId, _, _) = (id(device), id("yard"), at(START_MS + 1_000 * n));
    let kind = if n % 2 == 0 { EventKind::Enter } else { EventKind::Exit };
    Event {
        id: EventId::of(&device, Some(&fence), kind, time),
        kind,
        device,
        fleet: id(fleet),
        geofence: Some(fence),
        geofence_version: Some(1),
        fix_time: time,
        received_at: time,
        location: LatLon::new(52.0, 21.0).unwrap(),
        revises: None,
        retracted: false,
        attributes: Default::default(),
    }
}

pub fn device(name: &str, device: &str, fleet: &str) -> CatalogEntry {
    CatalogEntry::Device(Device { id: id(device), fleet: id(fleet), name: name.into() })
}

pub fn geofence(name: &str, geofence: &str, organisation: &str) -> CatalogEntry {
    CatalogEntry::Geofence(Geofence {
        id: id(geofence),
        organisation: id(organisation),
        fleet: None,
        group: None,
        name: name.into(),
        version: 1,
        shape: Shape::Circle { centre: LatLon::new(52.0, 21.0).unwrap(), radius_m: 100.0 },
        colour: None,
        rules: Default::default(),
    })
}

pub fn unknown_device(id: &str, protocol: &str, fleet: &str) -> CatalogEntry {
    CatalogEntry::UnknownDevice(UnknownDevice {
        id: self::id(id),
        aliases: Vec::new(),
        fleet: self::id(fleet),
        protocol: protocol.into(),
        address: Some([203, 0, 113, 7].into()),
        first_seen: at(START_MS),
        last_seen: at(START_MS + 600_000),
        times: 12,
        dismissed: false,
    })
}
