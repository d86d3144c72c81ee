//! The distributed form as tests run it: a real Kafka, a real QuestDB, and roles as processes of their own.

use crate::common::{System, TruthEvent, fences, fixed, put};
use crate::kafka::Broker;
use crate::recorded::Recorded;
use crate::server::Server;
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use waystream::config::{Config, Overrides, Role};
use waystream_domain::{CatalogEntry, DeviceId, Timestamp, codec};
use waystream_log::Log;
use waystream_store::questdb::QuestDbOptions;

/// A process that is not heard of for so long loses its partitions; the least that Kafka allows.
const SESSION_TIMEOUT_S: u32 = 6;

/// A server of a deployment's own, which lives as long as anybody has it, or one that serves other tests too and is left running.
pub(crate) enum Held<T: 'static> {
    Own(Arc<T>),
    Shared(&'static T),
}

impl<T: 'static> Held<T> {
    fn own(server: T) -> Self {
        Self::Own(Arc::new(server))
    }
}

impl<T: 'static> Clone for Held<T> {
    fn clone(&self) -> Self {
        match *self {
            Self::Own(ref own) => Self::Own(Arc::clone(own)),
            Self::Shared(shared) => Self::Shared(shared),
        }
    }
}

impl<T: 'static> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Own(own) => own.as_ref(),
            Self::Shared(shared) => shared,
        }
    }
}

/// Servers and settings; processes are started by [`Deployment::process`].
pub(crate) struct Deployment {
    pub(crate) broker: Held<Broker>,
    pub(crate) questdb: Held<Server>,
    /// What names of its topics and groups begin with.
    prefix: String,
    tables: QuestDbOptions,
    folder: tempfile::TempDir,
    settings: String,
    /// Where Teltonika trackers report.
    pub(crate) trackers: SocketAddr,
}

impl Deployment {
    /// On servers that other tests use too, which nothing may happen to, and with these fences in the catalog.
    pub(crate) async fn start(sets: &[&str]) -> Self {
        Self::start_on(1, || Held::Shared(Broker::shared()), || Held::Shared(Server::shared()), sets).await
    }

    /// The same with a QuestDB of its own.
    pub(crate) async fn start_with_questdb(sets: &[&str]) -> Self {
        Self::start_on(1, || Held::Shared(Broker::shared()), || Held::own(Server::start()), sets).await
    }

    /// With servers of its own: so many nodes of Kafka, each of which has a copy of everything, and a QuestDB.
    pub(crate) async fn start_with_brokers(nodes: u16, sets: &[&str]) -> Self {
        Self::start_on(nodes, move || Held::own(Broker::start_cluster(nodes)), || Held::own(Server::start()), sets).await
    }

    async fn start_on(
        nodes: u16,
        broker: impl FnOnce() -> Held<Broker> + Send + 'static,
        questdb: impl FnOnce() -> Held<Server> + Send + 'static,
        sets: &[&str],
    ) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let prefix = format!("fleet-{}.", NUMBER.fetch_add(1, Ordering::Relaxed));
        let (broker, questdb) = (tokio::task::spawn_blocking(broker), tokio::task::spawn_blocking(questdb));
        let (broker, questdb) = tokio::try_join!(broker, questdb).unwrap();
        let tables = questdb.options();
        let (listening, trackers) = fixed();
        let settings = format!(
            "{listening}[log]\nkind = \"kafka\"\nbrokers = \"{}\"\nprefix = \"{prefix}\"\npartitions = 8\n\
             replication = {nodes}\nsession_timeout_s = {SESSION_TIMEOUT_S}\n\
             [store]\nkind = \"questdb\"\naddress = \"127.0.0.1:{}\"\ntable_prefix = \"{}\"\n",
            broker.address(),
            questdb.http_port(),
            tables.table_prefix,
        );
        let folder = tempfile::tempdir().unwrap();
        let deployment = Self { broker, questdb, prefix, tables, folder, settings, trackers };
        // The log is opened for it, and once takes as long as for all.
        let fences: Vec<_> = sets.iter().flat_map(|set| fences(&format!("data/fences/{set}.geojson"))).collect();
        if !fences.is_empty() {
            deployment.put(fences).await;
        }
        deployment
    }

    /// Puts entries into the catalog, before there is a process.
    pub(crate) async fn put(&self, entries: Vec<CatalogEntry>) {
        put(&self.config("setting-up"), entries).await;
    }

    fn config(&self, name: &str) -> Config {
        let file = self.folder.path().join("settings.toml");
        std::fs::write(&file, &self.settings).unwrap();
        let overrides = Overrides { data: Some(self.folder(name)), roles: Some([Role::Connect].into()) };
        Config::load(Some(&file), &overrides).unwrap()
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts a process; its name is the same after a restart.
    pub(crate) fn process(&self, name: &str, roles: &str) -> System {
        self.start_process(name, roles, &self.settings)
    }

    /// Starts a process with more settings than the others have.
    pub(crate) fn process_with(&self, name: &str, roles: &str, more: &str) -> System {
        self.start_process(name, roles, &format!("{}{more}", self.settings))
    }

    /// Starts a gateway that shares a Redis with others.
    pub(crate) fn gateway_with(&self, name: &str, redis: &str) -> System {
        let settings = self.settings.replacen("[gateway]\n", &format!("[gateway]\nredis = \"{redis}\"\n"), 1);
        self.start_process(name, "gateway,sql", &settings)
    }

    /// What all processes have in their settings.
    pub(crate) fn settings(&self) -> &str {
        &self.settings
    }

    fn start_process(&self, name: &str, roles: &str, settings: &str) -> System {
        System::start_command(&self.folder(name), settings, &["run", "--roles", roles]).unwrap()
    }

    /// The log, as this program sees it.
    pub(crate) async fn log(&self) -> Arc<dyn Log> {
        let folder = self.folder("watching");
        std::fs::create_dir_all(&folder).unwrap();
        self.config("watching").log.open(&folder).await.unwrap().shared()
    }

    /// Panics unless events and history are what must come of these reports, as programs of other makers read them. What strangers have
    /// said may be there too.
    pub(crate) async fn check(&self, recorded: &Recorded) {
        recorded.check(events_in_kafka(&self.broker.address(), &format!("{}events", self.prefix)));

        let prefix = &self.tables.table_prefix;
        let query = format!(
            "SELECT device, fence, kind, time FROM (SELECT device, geofence fence, kind, fix_time time FROM {prefix}events) WHERE fence != null"
        );
        recorded.check(
            self.export(&query).await.into_iter().map(|[device, fence, kind, time]| (device, fence, kind, time)).collect(),
        );

        let odd = self.questdb.sql(&format!("SELECT count() FROM {prefix}positions_odd_times")).await;
        assert_eq!(odd[0].as_u64(), Some(0), "none of these has an odd time");
        let mut rows: Vec<[String; 2]> = self.export(&format!("SELECT device, fix_time FROM {prefix}positions")).await;
        rows.retain(|[device, _]| recorded.has(&DeviceId::new(device).unwrap()));
        let mut expected = recorded.rows();
        assert_eq!(rows.len(), expected.len(), "rows of those who have reported");
        for [device, time] in rows {
            let row = (DeviceId::new(device).unwrap(), Timestamp::parse(&time).unwrap());
            assert!(expected.remove(&row), "{row:?} was never sent, or is in history twice");
        }
        assert!(expected.is_empty());
    }

    /// Rows of a query as QuestDB exports them, as CSV; times in our form.
    async fn export<const N: usize>(&self, query: &str) -> Vec<[String; N]> {
        let url = format!("http://127.0.0.1:{}/exp", self.questdb.http_port());
        let answer = reqwest::Client::new().get(url).query(&[("query", query)]).send().await.unwrap();
        let csv = answer.error_for_status().unwrap().text().await.unwrap();
        let field = |field: &str| {
            let text = field.trim_matches('"');
            Timestamp::parse(text).map_or_else(|| text.to_owned(), |time| time.to_string())
        };
        csv.lines().skip(1).map(|line| line.split(',').map(field).collect::<Vec<_>>().try_into().unwrap()).collect()
    }
}

/// The enters and exits in a topic as kcat, which is not of our making, reads them when it is told to read what is committed.
fn events_in_kafka(brokers: &str, topic: &str) -> Vec<TruthEvent> {
    let arguments = ["-b", brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%S %s\n"];
    let kcat = Command::new("kcat").args(arguments).args(["-X", "isolation.level=read_committed"]).output();
    let kcat = kcat.expect("kcat is installed");
    assert!(kcat.status.success(), "{}", String::from_utf8_lossy(&kcat.stderr));
    let mut bytes = kcat.stdout.as_slice();
    let mut events = Vec::new();
    while let Some(space) = bytes.iter().position(|b| *b == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let (value, rest) = bytes[space + 1..].split_at(length);
        bytes = &rest[1..];
        let event = codec::decode_event(value).unwrap();
        if let Some(geofence) = event.geofence {
            let kind = event.kind.as_str().to_owned();
            events.push((event.device.to_string(), geofence.to_string(), kind, event.fix_time.to_string()));
        }
    }
    events
}
