//! Settings: compiled-in defaults, then a TOML file, then `WAYSTREAM_…` variables, then flags; each overrides those before.

use crate::log::LogConfig;
use crate::redis::RedisUrl;
use crate::store::StoreConfig;
use anyhow::Context;
use clap::ValueEnum;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toml_edit::{DocumentMut, Item, Table, Value};
use waystream_connectors::ConnectorsConfig;
use waystream_dataflow::DataflowConfig;
use waystream_domain::catalog::SessionLimits;
use waystream_domain::{Network, OrganisationLimits};
use waystream_gateway::wire::TileSource;
use waystream_gateway::{DetailLimits, GatewayConfig, ListenerLimits, OidcConfig, RedisConfig, TILES_PATH};
use waystream_notify::NotifyConfig;
use waystream_sql::SqlOptions;
use waystream_tls::{TlsFiles, TlsTrust};

/// The defaults, commented: what `check-config --defaults` prints.
pub const DEFAULTS: &str = include_str!("../waystream.toml");

/// Variables with the prefix that are not settings: the folder and file of the command line, and the tests' binary.
const NOT_SETTINGS: [&str; 3] = ["data", "config", "bin"];

/// The largest values, by how the name of a setting begins or ends. More is never meant, and could not be counted with: a moment so far
/// ahead does not exist.
const LARGEST: [(&str, u64); 6] = [
    ("max_", 1_000_000_000),
    ("_s", 10 * 365 * 86_400),
    ("_ms", 10 * 365 * 86_400_000),
    ("_hours", 100 * 365 * 24),
    ("_days", 100 * 365),
    ("_mb", 1 << 24),
];

/// Everything that can be set.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Folder of everything that has to survive a restart.
    pub data: PathBuf,
    /// What this process does.
    pub roles: BTreeSet<Role>,
    /// Which log.
    pub log: LogConfig,
    /// Which store.
    pub store: StoreConfig,
    /// Listeners for trackers.
    pub connectors: ConnectorsConfig,
    /// Geofence events, trips, the live map.
    pub dataflow: DataflowConfig,
    /// Notifications by webhook, e-mail and MQTT.
    pub notify: NotifyConfig,
    /// Dashboard and API.
    pub gateway: GatewaySection,
    /// Questions about history.
    pub sql: SqlSection,
    /// Questions about history from clients of PostgreSQL.
    pub postgres: WireSection,
    /// Questions about history from clients of Arrow Flight SQL.
    pub flight: WireSection,
    /// Questions of operators.
    pub health: HealthSection,
}

/// Where operators ask how a process is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthSection {
    /// A port for that alone; none: the dashboard's port answers this machine, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<SocketAddr>,
    /// Whether others than this machine may reach it: it has no TLS.
    pub insecure: bool,
}

/// The dashboard and its API.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    /// Where browsers find it.
    pub address: SocketAddr,
    /// Origins of other pages that may speak to it.
    pub origins: Vec<String>,
    /// TLS of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Whether a proxy in front of it speaks TLS.
    pub behind_tls: bool,
    /// Whether others may reach it without any TLS.
    pub insecure: bool,
    /// Title of the page.
    pub title: String,
    /// Address of map tiles with `{z}`, `{x}`, `{y}`; empty: no tiles.
    pub tiles_url: String,
    /// A PMTiles archive to show instead; empty: none.
    pub tiles_file: PathBuf,
    /// HTML to show on the map.
    pub tiles_attribution: String,
    /// Deepest zoom level of the tiles.
    pub tiles_max_zoom: u8,
    /// Connections at a time.
    pub max_connections: usize,
    /// Of them, from one address.
    pub max_connections_per_address: usize,
    /// Proxies in front of it, which may have all.
    pub trusted_proxies: Vec<Network>,
    /// REST requests a second of one session, token or address.
    pub max_requests_per_s: u32,
    /// Days without use after which somebody is signed out.
    pub session_idle_days: NonZeroU32,
    /// Days after which somebody has to sign in again, however much the session is used.
    pub session_longest_days: NonZeroU32,
    /// Browsers in which one user may be signed in.
    pub max_sessions_per_user: NonZeroUsize,
    /// Devices that an organisation may enter.
    pub max_devices_per_organisation: usize,
    /// Fleets that it may make.
    pub max_fleets_per_organisation: usize,
    /// Geofences that it may draw.
    pub max_geofences_per_organisation: usize,
    /// Vertices of all of them together.
    pub max_geofence_vertices_per_organisation: usize,
    /// Vehicles from which on a browser is told only of what its map shows.
    pub max_fleet_vehicles: usize,
    /// Vehicles on such a map from which on they are counted.
    pub max_view_vehicles: usize,
    /// Redis that several gateways share; empty: this one is alone.
    pub redis: RedisUrl,
    /// A file that has nothing but its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_password_file: Option<PathBuf>,
    /// Whose certificate it may have, and which one we show, where its address begins with `rediss://`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis_tls: Option<TlsTrust>,
    /// Whether its password may go to another machine without TLS.
    pub redis_insecure: bool,
    /// A provider by which people may sign in, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcConfig>,
}

/// Limits of questions about history.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SqlSection {
    /// Longest time for one query, seconds.
    pub deadline_s: u64,
    /// Most rows that one query gives.
    pub max_rows: usize,
    /// Queries at once.
    pub max_queries: usize,
    /// Memory for sorting, grouping and joining, all queries together, MB.
    pub memory_mb: usize,
    /// Temporary files, all queries together, MB.
    pub spill_mb: u64,
}

/// Where SQL clients of one kind ask: Postgres wire, Arrow Flight SQL.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WireSection {
    /// Where SQL clients find it; none: it is off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// TLS for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsFiles>,
    /// Whether clients elsewhere may do without TLS.
    pub insecure: bool,
    /// Clients at a time.
    pub max_connections: usize,
    /// Seconds until a client has to have signed in.
    pub login_timeout_s: u64,
    /// Seconds of silence after which a client is cut off.
    pub idle_timeout_s: u64,
}

impl From<GatewaySection> for GatewayConfig {
    fn from(section: GatewaySection) -> Self {
        let tiles_file = (!section.tiles_file.as_os_str().is_empty()).then_some(section.tiles_file);
        let url = if tiles_file.is_some() { TILES_PATH.to_owned() } else { section.tiles_url };
        let tiles = (!url.is_empty()).then_some(TileSource {
            url,
            archive: tiles_file.is_some(),
            attribution: section.tiles_attribution,
            max_zoom: section.tiles_max_zoom,
        });
        let redis = (!section.redis.0.is_empty()).then_some(RedisConfig {
            url: section.redis.0,
            password_file: section.redis_password_file,
            tls: section.redis_tls,
            insecure: section.redis_insecure,
        });
        Self {
            listen: section.address,
            origins: section.origins,
            tls: section.tls,
            behind_tls: section.behind_tls,
            insecure: section.insecure,
            title: section.title,
            tiles,
            tiles_file,
            detail: DetailLimits { fleet_vehicles: section.max_fleet_vehicles, view_vehicles: section.max_view_vehicles },
            redis,
            oidc: section.oidc,
            requests_per_s: section.max_requests_per_s,
            sessions: SessionLimits::of_days(
                section.session_idle_days.get(),
                section.session_longest_days.get(),
                section.max_sessions_per_user.get(),
            ),
            most: OrganisationLimits {
                devices: section.max_devices_per_organisation,
                fleets: section.max_fleets_per_organisation,
                geofences: section.max_geofences_per_organisation,
                vertices: section.max_geofence_vertices_per_organisation,
            },
            limits: ListenerLimits {
                connections: section.max_connections,
                per_address: section.max_connections_per_address,
                sockets: section.max_connections.saturating_mul(2),
                proxies: section.trusted_proxies.into(),
                ..ListenerLimits::default()
            },
            ..Self::default()
        }
    }
}

impl From<&SqlSection> for SqlOptions {
    fn from(section: &SqlSection) -> Self {
        Self {
            deadline: Duration::from_secs(section.deadline_s),
            max_rows: section.max_rows,
            queries: section.max_queries,
            memory_bytes: section.memory_mb << 20,
            spill_bytes: section.spill_mb << 20,
            ..Self::default()
        }
    }
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Listens for trackers.
    Connect,
    /// Folds positions into events, states and snapshots.
    Dataflow,
    /// Writes history.
    Archive,
    /// Tells people and programs of events.
    Notify,
    /// Serves the dashboard.
    Gateway,
    /// Answers SQL.
    Sql,
}

/// What the command line says of settings.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// `--roles`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeSet<Role>>,
}

impl Config {
    /// The settings of this process. Errors name the setting and where it comes from.
    pub fn load(file: Option<&Path>, overrides: &Overrides) -> anyhow::Result<Self> {
        let mut figment = Figment::from(Toml::string(DEFAULTS));
        if let Some(file) = file {
            // Figment takes a file that is missing for an empty one.
            anyhow::ensure!(file.is_file(), "there is no settings file {}", file.display());
            figment = figment.merge(Toml::file_exact(file));
        }
        let environment = Env::prefixed("WAYSTREAM_").ignore(&NOT_SETTINGS).split("__");
        figment = figment.merge(environment).merge(Serialized::defaults(overrides));
        let config: Self = figment.extract().map_err(|errors| anyhow::anyhow!(describe(&figment, errors)))?;
        config.check()?;
        Ok(config)
    }

    /// What no setting alone can tell.
    fn check(&self) -> anyhow::Result<()> {
        check_sizes("", &serde_json::to_value(self).context("could not read the settings again")?)?;
        anyhow::ensure!(!self.roles.is_empty(), "roles: a process without a role does nothing");
        anyhow::ensure!(
            cfg!(feature = "postgres") || self.postgres.listen.is_none(),
            "postgres.listen: this program was built without Postgres wire"
        );
        anyhow::ensure!(
            cfg!(feature = "flight") || self.flight.listen.is_none(),
            "flight.listen: this program was built without Arrow Flight SQL"
        );
        let asks = self.roles.contains(&Role::Gateway) || self.roles.contains(&Role::Sql);
        anyhow::ensure!(
            !asks || self.has_history(),
            "roles: history in the data folder can be asked for only by the process that keeps it: \
             add the role archive here, or use a store that several processes share"
        );
        Ok(())
    }

    /// Whether this process can be asked about all of history: that in a data folder is the business of who keeps it.
    pub fn has_history(&self) -> bool {
        let elsewhere = self.log.is_shared() && !self.roles.contains(&Role::Archive);
        !(elsewhere && matches!(self.store, StoreConfig::Parquet { .. }))
    }

    /// As a settings file, with the comments of the defaults.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        let mut document: DocumentMut = DEFAULTS.parse().context("the compiled-in defaults are not TOML")?;
        let ours = toml_edit::ser::to_document(self).context("could not write the settings as TOML")?;
        set_values(document.as_table_mut(), ours.as_table());
        Ok(document.to_string())
    }
}

/// Refuses what is larger than anybody means. `at`: the settings that the value is in, by name.
fn check_sizes(at: &str, value: &serde_json::Value) -> anyhow::Result<()> {
    if let serde_json::Value::Object(settings) = value {
        let inside = |name: &str| if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") };
        return settings.iter().try_for_each(|(name, value)| check_sizes(&inside(name), value));
    }
    let name = at.rsplit('.').next().unwrap_or_default();
    let Some((_, most)) = LARGEST.iter().find(|(part, _)| name.starts_with(part) || name.ends_with(part)) else {
        return Ok(());
    };
    anyhow::ensure!(value.as_u64().is_none_or(|given| given <= *most), "{at}: {value} is too large, it is at most {most}");
    Ok(())
}

/// Puts values into a table and leaves its comments as they are.
fn set_values(table: &mut Table, values: &Table) {
    for (key, item) in values {
        match (table.get_mut(key), item) {
            (Some(Item::Table(inner)), Item::Table(values)) => set_values(inner, values),
            // The serializer writes tables in one line.
            (Some(Item::Table(inner)), Item::Value(Value::InlineTable(values))) => {
                set_values(inner, &values.clone().into_table());
            }
            (Some(Item::Value(old)), Item::Value(new)) => {
                let decor = old.decor().clone();
                *old = new.clone();
                *old.decor_mut() = decor;
            }
            _ => drop(table.insert(key, item.clone())),
        }
    }
}

/// One line an error: `FILE: setting: what is wrong`.
fn describe(figment: &Figment, errors: figment::Error) -> String {
    let lines: Vec<String> = errors
        .into_iter()
        .map(|error| {
            let mut key = error.path.join(".");
            if let figment::error::Kind::UnknownField(field, _) = &error.kind {
                let known = if error.path.last().is_some_and(|last| last == field) { None } else { Some(field) };
                key = error.path.iter().chain(known).cloned().collect::<Vec<_>>().join(".");
            }
            if let [section] = error.path.as_slice()
                && let Some(setting) = setting_of(figment, section, &error.kind)
            {
                key = format!("{section}.{setting}");
            }
            let metadata = error.metadata.as_ref().or_else(|| figment.find_metadata(&key));
            let source = metadata.map_or("settings".to_owned(), |m| match &m.source {
                Some(figment::Source::File(path)) => path.display().to_string(),
                _ => m.name.to_string(),
            });
            let key = if key.is_empty() { String::new() } else { format!("{key}: ") };
            format!("{source}: {key}{}", error.kind)
        })
        .collect();
    lines.join("\n")
}

/// The setting that an error is about. Where the kind of a section decides what may be in it, the error itself knows the section only.
fn setting_of(figment: &Figment, section: &str, error: &figment::error::Kind) -> Option<String> {
    use figment::error::Kind;
    let (Kind::InvalidType(given, _) | Kind::InvalidValue(given, _)) = error else { return None };
    let settings = figment.find_value(section).ok()?.into_dict()?;
    settings.into_iter().find(|(_, value)| value.to_actual() == *given).map(|(name, _)| name)
}
