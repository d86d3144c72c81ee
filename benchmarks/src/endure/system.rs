//! The program under test, as one process or as a process for each role, with what is asked of it from outside.

use super::trackers::Fixes;
use crate::fleet::fleet_id;
use crate::process::Usage;
use crate::processes::{Process, Servers, free_port};
use crate::teltonika::imei;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Command;
use tokio::task::spawn_blocking;
use waystream_connectors::ListenerName;
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::{CatalogEntry, DeviceId, OrganisationId, Timestamp};

/// The organisation that a new system begins with.
const ORGANISATION: &str = "default";
/// Catalog entries at a time.
const BATCH: usize = 5_000;
/// Connections beyond those that are meant to be there.
const SPARE: usize = 1_000;
/// Pause before history is asked again, where it could not be.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// How much of everything.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Trackers.
    pub connections: u32,
    /// Sockets, all gateways together.
    pub sockets: usize,
    /// Fleets that trackers belong to and sockets watch.
    pub fleets: usize,
    /// Seconds that a query may take.
    pub query_s: u64,
}

/// What runs.
pub struct System {
    /// By name. They end before the servers.
    running: BTreeMap<&'static str, Process>,
    plans: BTreeMap<&'static str, Plan>,
    /// What was used in earlier lives.
    spent: BTreeMap<&'static str, Usage>,
    servers: Option<Arc<Servers>>,
    /// Where trackers report.
    pub trackers: SocketAddr,
    /// Where sockets come.
    pub dashboards: Vec<SocketAddr>,
}

/// How a process is started, and started again.
#[derive(Clone)]
struct Plan {
    binary: PathBuf,
    folder: PathBuf,
    settings: PathBuf,
    roles: Option<&'static str>,
}

impl Plan {
    fn start(&self) -> Result<Process> {
        Process::start(&self.binary, &self.folder, &self.settings, self.roles)
    }
}

impl System {
    /// Starts everything, with data below a folder.
    pub async fn start(binary: &Path, dir: &Path, embedded: bool, sizes: Sizes) -> Result<Self> {
        let roles: &[(&str, Option<&str>)] = match embedded {
            true => &[("all", None)],
            false => &[
                ("connect", Some("connect")),
                ("dataflow", Some("dataflow")),
                ("archive", Some("archive")),
                ("gateway-1", Some("gateway,sql")),
                ("gateway-2", Some("gateway,sql")),
            ],
        };
        let servers = match embedded {
            true => None,
            false => {
                let dir = dir.to_owned();
                Some(Arc::new(spawn_blocking(move || Servers::start(&dir, &["kafka", "questdb", "redis"])).await??))
            }
        };
        let trackers = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
        let mut dashboards = Vec::new();
        let (mut running, mut plans) = (BTreeMap::new(), BTreeMap::new());
        for &(name, roles) in roles {
            let dashboard = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()?));
            if roles.is_none_or(|roles| roles.contains("gateway")) {
                dashboards.push(dashboard);
            }
            let settings = dir.join(format!("{name}.toml"));
            std::fs::write(&settings, settings_text(trackers.port(), dashboard, sizes, servers.as_deref()))?;
            let plan = Plan { binary: binary.to_owned(), folder: dir.join(name), settings, roles };
            plans.insert(name, plan.clone());
            running.insert(name, spawn_blocking(move || plan.start()).await??);
        }
        Ok(Self { running, plans, spent: BTreeMap::new(), servers, trackers, dashboards })
    }

    /// Its processes.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.plans.keys().copied()
    }

    /// Signs somebody in, once.
    pub fn link(&self) -> Result<&str> {
        self.running.values().find_map(|process| process.link.as_deref()).context("no dashboard")
    }

    /// kill -9, and started again at once.
    pub async fn kill(&mut self, name: &'static str) -> Result<()> {
        let process = self.running.remove(name).with_context(|| format!("{name} does not run"))?;
        self.bury(name, process.usage()?);
        let plan = self.plans[name].clone();
        let again = move || {
            drop(process);
            plan.start()
        };
        self.running.insert(name, spawn_blocking(again).await??);
        Ok(())
    }

    /// Stopped for some time, and let go on.
    pub async fn freeze(&self, name: &str, time: Duration) -> Result<()> {
        self.running[name].signal("STOP")?;
        tokio::time::sleep(time).await;
        self.running[name].signal("CONT")
    }

    /// kill -9 of Kafka, and started again at once.
    pub async fn kill_kafka(&mut self) -> Result<()> {
        let servers = Arc::clone(self.servers.as_ref().context("there is no Kafka")?);
        self.bury("kafka", servers.usage("kafka")?);
        spawn_blocking(move || servers.kill_kafka()).await?
    }

    /// What each has used, all its lives together.
    pub fn usage(&self) -> Result<BTreeMap<&'static str, Usage>> {
        let mut all = BTreeMap::new();
        for (name, process) in &self.running {
            all.insert(*name, self.with_spent(name, process.usage()?));
        }
        if let Some(servers) = &self.servers {
            for name in ["kafka", "questdb", "redis"] {
                all.insert(name, self.with_spent(name, servers.usage(name)?));
            }
        }
        Ok(all)
    }

    fn bury(&mut self, name: &'static str, usage: Usage) {
        let all = self.with_spent(name, usage);
        self.spent.insert(name, all);
    }

    fn with_spent(&self, name: &str, usage: Usage) -> Usage {
        let spent = self.spent.get(name).copied().unwrap_or_default();
        Usage { cpu: spent.cpu + usage.cpu, peak_rss: spent.peak_rss.max(usage.peak_rss), ..usage }
    }

    /// Puts fleets and trackers into the catalog, tracker i into fleet i modulo fleets.
    pub async fn enrol(&self, sizes: Sizes) -> Result<()> {
        let organisation = OrganisationId::new(ORGANISATION)?;
        let fleet = |n| {
            let (id, name) = (fleet_id(n), format!("Fleet {n}"));
            CatalogEntry::Fleet(Fleet { id, organisation: organisation.clone(), name, rules: Default::default() })
        };
        let mut entries: Vec<CatalogEntry> = (0..sizes.fleets).map(fleet).collect();
        for number in 0..sizes.connections {
            let (id, fleet) = (DeviceId::new(imei(number))?, fleet_id(number as usize % sizes.fleets));
            entries.push(CatalogEntry::Device(Device { id, fleet, name: format!("Vehicle {number}") }));
        }
        for batch in entries.chunks(BATCH) {
            self.ask("/catalog", serde_json::to_string(batch)?).await.context("the catalog")?;
        }
        Ok(())
    }

    /// Every position in history, once all that is in the log is there.
    pub async fn history(&self, deadline: Duration) -> Result<Fixes> {
        let settled = async {
            // Who was killed last may not be ready for it yet.
            while let Err(error) = self.ask("/settle", String::new()).await {
                eprintln!("history is not settled: {error:#}");
                tokio::time::sleep(ASK_AGAIN).await;
            }
        };
        tokio::time::timeout(deadline, settled).await.context("history is not complete in time")?;
        let csv = self.answer("SELECT device, fix_time FROM positions").await.context("history")?;
        let mut fixes = Fixes::new();
        for line in csv.lines().skip(1) {
            let (device, fix_time) = line.split_once(',').with_context(|| format!("no row of history: {line}"))?;
            let fix_time = Timestamp::parse(fix_time).with_context(|| format!("no time: {line}"))?;
            fixes.entry(device.to_owned()).or_default().push(fix_time.as_millis());
        }
        Ok(fixes)
    }

    /// One with a dashboard.
    fn asked(&self) -> Result<&Plan> {
        self.plans.get("all").or_else(|| self.plans.get("gateway-1")).context("no dashboard")
    }

    /// What the command line answers, as CSV.
    async fn answer(&self, sql: &str) -> Result<String> {
        let Plan { binary, folder, settings, .. } = self.asked()?;
        let mut command = Command::new(binary);
        command.arg("sql").arg("--config").arg(settings).arg("--data").arg(folder).args(["--format", "csv", sql]);
        let output = command.stderr(Stdio::inherit()).output().await?;
        ensure!(output.status.success(), "{sql}: {}", output.status);
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Asks as commands on this machine do: by the control port of a process that has a dashboard.
    async fn ask(&self, what: &str, body: String) -> Result<String> {
        let plan = self.asked()?;
        let contact: Value = serde_json::from_slice(&std::fs::read(plan.folder.join("control.json"))?)?;
        let (address, token) = (contact["address"].as_str(), contact["token"].as_str());
        let url = format!("http://{}{what}", address.context("no address")?);
        let request = reqwest::Client::new().post(url).bearer_auth(token.context("no token")?);
        let answer = request.header("content-type", "application/json").body(body).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        ensure!(status.is_success(), "{what} was answered {status}: {text}");
        Ok(text)
    }
}

/// Trackers always find it at the same port, and browsers a dashboard.
fn settings_text(trackers: u16, dashboard: SocketAddr, sizes: Sizes, servers: Option<&Servers>) -> String {
    let others = ListenerName::all().map(ListenerName::as_str).filter(|name| *name != "teltonika");
    let listeners: String = others.map(|name| format!("{name} = false\n")).collect();
    let redis = servers.map(|servers| format!("redis = \"redis://127.0.0.1:{}\"\n", servers.redis));
    let shared = servers.map(|servers| {
        let (kafka, questdb) = (servers.kafka, servers.questdb);
        format!(
            "[log]\nkind = \"kafka\"\nbrokers = \"127.0.0.1:{kafka}\"\n\
             [store]\nkind = \"questdb\"\naddress = \"127.0.0.1:{questdb}\"\n"
        )
    });
    let (devices, browsers) = (sizes.connections as usize + SPARE, sizes.sockets + SPARE);
    format!(
        "[gateway]\naddress = \"{dashboard}\"\nmax_connections = {browsers}\n{}\
         [connectors.limits]\nmax_connections = {devices}\nmax_connections_per_address = {devices}\n\
         [connectors.listeners]\nteltonika = {trackers}\n{listeners}\
         [sql]\nmax_rows = 100000000\ndeadline_s = {}\n{}",
        redis.unwrap_or_default(),
        sizes.query_s,
        shared.unwrap_or_default(),
    )
}
