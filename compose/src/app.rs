//! The composition root: each seam's configuration is matched once, here, and the parts are connected.

use crate::config::{Config, Role};
use crate::control::Control;
use crate::folder::DataFolder;
use crate::health::Health;
use crate::history::History;
use crate::log::OpenLog;
use crate::reports::FleetReports;
use crate::store::OpenStore;
use crate::tasks::Tasks;
use anyhow::Context;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use tokio::signal::unix::{SignalKind, signal};
use waystream_connectors::faults::Faults;
use waystream_connectors::ingest::{Ingest, IngestOptions};
use waystream_connectors::quarantine::Quarantine;
use waystream_connectors::{BoundAddress, BoundConnectors, Connectors};
use waystream_dataflow::Dataflow;
use waystream_domain::catalog::{Fleet, Organisation, Role as UserRole, User};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, FleetId, OrganisationId, UserId};
use waystream_gateway::{Gateway, GatewayConfig, GatewayParts, ReadyCheck};
use waystream_log::Log;
use waystream_log::catalog::{CatalogFollower, CatalogHandle};
use waystream_notify::{Notifier, Reports};
use waystream_sql::{SqlEngine, SqlOptions};
use waystream_store::{Archive, Store, erasing};

/// The organisation and the user that a new system begins with.
const ORGANISATION: &str = "default";
const FIRST_USER: &str = "admin";

/// The parts below the listeners, open.
pub struct Core {
    /// Ours as long as the parts are open.
    pub folder: DataFolder,
    /// What happened.
    pub log: Arc<dyn Log>,
    /// What people set up.
    pub catalog: CatalogHandle,
    /// All of it, queryable.
    pub store: Arc<dyn Store>,
    /// Questions about history, and the way into it.
    pub history: History,
    open_log: OpenLog,
    ready: Vec<ReadyCheck>,
}

/// A whole system: its ports are open, nothing is served yet.
pub struct App {
    /// The parts below.
    pub core: Core,
    /// Listeners for trackers; none without the role.
    pub connectors: Option<BoundConnectors>,
    /// The dashboard; none without the role.
    pub gateway: Option<Gateway>,
    /// Where SQL clients find Postgres wire, if it is on.
    pub postgres: Option<SocketAddr>,
    /// Where they find Arrow Flight SQL, if it is on.
    pub flight: Option<SocketAddr>,
    /// Signs in the first user, as long as nobody has a password: there is no other way in.
    sign_in: Option<String>,
    tasks: Tasks,
}

impl Core {
    /// Opens log, catalog and store in the data folder, and starts what the roles ask for of catalog, dataflow and archive.
    pub async fn open(config: &Config, folder: DataFolder, tasks: &mut Tasks) -> anyhow::Result<Self> {
        let open_log = config.log.open(folder.path()).await?;
        let log = open_log.shared();

        let OpenStore { store, archive, ready } = config.store.open(&crate::folder::store(folder.path()), tasks).await?;

        let (catalog, follower) = CatalogFollower::start(Arc::clone(&log)).await.context("could not read the catalog")?;
        tasks.core("catalog", |stop| async move { Ok(follower.run(stop).await?) });
        first_start(&catalog).await.context("could not set up the catalog")?;

        if config.roles.contains(&Role::Dataflow) {
            let (dataflow, log) = (Dataflow::new(config.dataflow.clone()), Arc::clone(&log));
            tasks.core("dataflow", |stop| async move { Ok(dataflow.run(log, stop).await?) });
        }
        if config.roles.contains(&Role::Archive) {
            let archive = Archive::new(archive);
            let (log, store) = (Arc::clone(&log), Arc::clone(&store));
            let (erasures, kept) = (catalog.clone(), Arc::clone(&store));
            tasks.core("archive", |stop| async move { Ok(archive.run(log, store, stop).await?) });
            tasks.core("erasing", |stop| async move { Ok(erasing::run(erasures, kept, stop).await?) });
        }
        let options = SqlOptions { spill_folder: Some(folder.path().join("spill")), ..SqlOptions::from(&config.sql) };
        let sql = SqlEngine::new(Arc::clone(&store), catalog.shared(), options);
        let options = IngestOptions {
            unknown_devices: waystream_connectors::UnknownDevices::Accept,
            fleet: config.connectors.fleet.clone(),
            patience: std::time::Duration::from_secs(config.connectors.limits.patience_s),
            clocks: None,
            quarantine: Quarantine::off(),
        };
        let history = History {
            log: Arc::clone(&log),
            store: Arc::clone(&store),
            sql: Arc::new(sql.context("could not start the SQL engine")?),
            ingest: Ingest::new(Arc::clone(&log), catalog.clone(), options, Faults::default()),
            catalog: catalog.clone(),
            organisation: organisation(),
            alone: false,
            archives: config.roles.contains(&Role::Archive),
        };
        Ok(Self { folder, log, catalog, store, history, open_log, ready: vec![ready] })
    }

    /// Closes the log, once nothing uses it any more.
    pub async fn close(self) {
        self.open_log.close().await;
    }
}

impl App {
    /// Opens everything and binds every port.
    pub async fn open(config: &Config) -> anyhow::Result<Self> {
        let folder = DataFolder::take_alone(&config.data)?;
        // First, so that it hears of everything.
        let metrics = crate::metrics::recorder();
        let mut tasks = Tasks::default();
        tasks.core("metrics", |stop| async move {
            crate::metrics::upkeep(stop).await;
            Ok(())
        });
        let core = Core::open(config, folder, &mut tasks).await?;
        let connectors = match config.roles.contains(&Role::Connect) {
            true => Some(
                Connectors::new(config.connectors.clone())
                    .quarantine(crate::folder::quarantine(core.folder.path()))
                    .bind()
                    .await?,
            ),
            false => None,
        };
        if config.roles.contains(&Role::Notify) {
            let reports = config.has_history().then(|| {
                let (sql, catalog) = (Arc::clone(&core.history.sql), core.catalog.shared());
                Arc::new(FleetReports { sql, catalog }) as Arc<dyn Reports>
            });
            let notifier = Notifier::with_reports(config.notify.clone(), reports)?;
            let (log, catalog) = (Arc::clone(&core.log), core.catalog.shared());
            tasks.edge("notifier", |stop| async move { Ok(notifier.run(log, catalog, stop).await?) });
        }
        let gateway = match config.roles.contains(&Role::Gateway) {
            true => {
                let settings = GatewayConfig { operators: config.health.address.is_none(), ..config.gateway.clone().into() };
                Some(Gateway::bind(settings, gateway_parts(&core, metrics.clone())).await?)
            }
            false => None,
        };
        let health = match config.health.address {
            Some(address) => Some(Health::bind(address, config.health.insecure, core.ready.clone(), metrics).await?),
            None => None,
        };
        let mut control = Control::bind(core.history.clone()).await?;
        let listeners = connectors.iter().flat_map(BoundConnectors::addresses);
        control.contact.listeners = listeners.map(|l| (l.listener.as_str().to_owned(), l.address)).collect();
        if let Some(gateway) = &gateway {
            control.contact.listeners.insert("dashboard".to_owned(), gateway.local_addr());
        }
        if let Some(health) = health {
            control.contact.listeners.insert("health".to_owned(), health.address()?);
            tasks.edge("health port", |stop| health.run(stop));
        }
        let postgres = postgres(config, &core, &mut tasks).await?;
        control.contact.listeners.extend(postgres.map(|address| ("postgres".to_owned(), address)));
        let flight = flight(config, &core, &mut tasks).await?;
        control.contact.listeners.extend(flight.map(|address| ("flight".to_owned(), address)));
        core.folder.announce(&control.contact)?;
        tasks.edge("control port", |stop| control.run(stop));
        let first = user_without_password(&core);
        let sign_in = match (&gateway, first) {
            (Some(gateway), Some(user)) => Some(gateway.sign_in_links().link(&user).await?),
            _ => None,
        };
        Ok(Self { core, connectors, gateway, postgres, flight, sign_in, tasks })
    }

    /// What a user has to know of a system that is ready.
    pub fn introduction(&self) -> String {
        let mut lines = vec!["waystream is running".to_owned()];
        let mut line = |name: &str, value: &dyn std::fmt::Display| lines.push(format!("  {name:<12} {value}"));
        if let Some(gateway) = &self.gateway {
            line("dashboard", &gateway.url());
            if let Some(link) = &self.sign_in {
                line("sign in", &format_args!("{link} (once, within 15 minutes)"));
            }
        }
        for (name, address) in [("postgres", self.postgres), ("flight", self.flight)] {
            if let Some(address) = address {
                line(name, &address);
            }
        }
        // TCP and UDP of a protocol share the number of their port.
        let mut listeners: Vec<BoundAddress> = self.connectors.iter().flat_map(BoundConnectors::addresses).collect();
        listeners.dedup_by_key(|l| (l.listener, l.address));
        for l in listeners {
            line(l.listener.as_str(), &l.address);
        }
        line("data", &self.core.folder.path().display());
        lines.push("Ready. Ctrl-C stops it.".to_owned());
        lines.join("\n")
    }

    /// Serves until `stop` is done.
    pub async fn run(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        if let Some(connectors) = self.connectors {
            let (log, catalog) = (Arc::clone(&self.core.log), self.core.catalog.clone());
            self.tasks.edge("connectors", |stop| async move { Ok(connectors.run(log, catalog, stop).await?) });
        }
        if let Some(gateway) = self.gateway {
            self.tasks.edge("gateway", |stop| async move { Ok(gateway.run(stop).await?) });
        }
        let ended = self.tasks.run_until(stop).await;
        self.core.close().await;
        ended
    }

    /// Adds a part that runs beside the system.
    pub fn also<F>(&mut self, name: &'static str, part: impl FnOnce(tokio_util::sync::CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.tasks.edge(name, part);
    }
}

/// Opens the port of Postgres wire, if this process has one.
#[cfg(feature = "postgres")]
async fn postgres(config: &Config, core: &Core, tasks: &mut Tasks) -> anyhow::Result<Option<SocketAddr>> {
    let Some(options) = crate::postgres::options(&config.postgres).filter(|_| config.roles.contains(&Role::Sql)) else {
        return Ok(None);
    };
    let postgres = crate::postgres::bind(options, Arc::clone(&core.history.sql), core.catalog.shared()).await?;
    let address = postgres.local_addr();
    tasks.edge("Postgres wire", |stop| async move {
        postgres.run(stop).await;
        Ok(())
    });
    Ok(Some(address))
}

#[cfg(not(feature = "postgres"))]
async fn postgres(_: &Config, _: &Core, _: &mut Tasks) -> anyhow::Result<Option<SocketAddr>> {
    Ok(None)
}

/// Opens the port of Arrow Flight SQL, if this process has one.
#[cfg(feature = "flight")]
async fn flight(config: &Config, core: &Core, tasks: &mut Tasks) -> anyhow::Result<Option<SocketAddr>> {
    let Some(options) = crate::flight::options(&config.flight).filter(|_| config.roles.contains(&Role::Sql)) else {
        return Ok(None);
    };
    let flight = crate::flight::bind(options, Arc::clone(&core.history.sql), core.catalog.shared()).await?;
    let address = flight.local_addr();
    tasks.edge("Flight SQL", |stop| async move {
        flight.run(stop).await;
        Ok(())
    });
    Ok(Some(address))
}

#[cfg(not(feature = "flight"))]
async fn flight(_: &Config, _: &Core, _: &mut Tasks) -> anyhow::Result<Option<SocketAddr>> {
    Ok(None)
}

/// The first owner, as long as nobody has a password.
fn user_without_password(core: &Core) -> Option<UserId> {
    let shared = core.catalog.shared();
    let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
    let anybody = catalog.users.values().any(|user| catalog.password_of(user).is_some());
    catalog.users.values().find(|user| !anybody && user.role == UserRole::Owner).map(|user| user.id.clone())
}

fn gateway_parts(core: &Core, metrics: Option<PrometheusHandle>) -> GatewayParts {
    GatewayParts {
        log: Arc::clone(&core.log),
        catalog: core.catalog.clone(),
        sql: Arc::clone(&core.history.sql),
        ready: core.ready.clone(),
        metrics,
        exports: crate::exports::formats(),
    }
}

/// `waystream run`.
pub async fn run(config: &Config) -> anyhow::Result<()> {
    serve(App::open(config).await?).await
}

/// Says that the system is ready, and serves until this process is asked to stop.
pub async fn serve(app: App) -> anyhow::Result<()> {
    // Asked for before it is said that the system is ready: who reads that may stop it at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    writeln!(std::io::stdout(), "{}", app.introduction())?;
    app.run(async {
        let which = tokio::select! {
            _ = terminate.recv() => "SIGTERM",
            _ = interrupt.recv() => "SIGINT",
        };
        tracing::info!(signal = which, "stopping");
    })
    .await
}

/// The organisation that a new system begins with: what is meant where none is named.
pub fn organisation() -> OrganisationId {
    OrganisationId::new(ORGANISATION).expect("a plain word is an id")
}

/// A new catalog gets an organisation, its first fleet and its first user, who has no password yet.
async fn first_start(catalog: &CatalogHandle) -> anyhow::Result<()> {
    let organisation = organisation();
    let edits: Vec<CatalogEdit> = {
        let shared = catalog.shared();
        let known = shared.read().unwrap_or_else(PoisonError::into_inner);
        let fleet = FleetId::new("default").expect("a plain word is an id");
        let user = UserId::new(FIRST_USER).expect("a plain word is an id");
        let mut missing = Vec::new();
        if !known.organisations.contains_key(&organisation) {
            let name = "Default organisation".to_owned();
            missing.push(CatalogEntry::Organisation(Organisation { id: organisation.clone(), name }));
            missing.push(CatalogEntry::Fleet(Fleet {
                id: fleet,
                organisation: organisation.clone(),
                name: "Default fleet".into(),
                rules: Default::default(),
            }));
        }
        if known.users.is_empty() {
            missing.push(CatalogEntry::User(User {
                id: user,
                organisation,
                role: UserRole::Owner,
                password_hash: None,
                preferences: None,
            }));
        }
        missing.into_iter().map(CatalogEdit::Put).collect()
    };
    if !edits.is_empty() {
        catalog.edit(&Actor::Program { doing: "first start".into() }, edits).await?;
    }
    Ok(())
}
