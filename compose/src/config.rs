//! Settings: compiled-in defaults, then a TOML file, then `WAYSTREAM_…` variables, then flags; each overrides those before.

use anyhow::Context;
use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use waystream_connectors::ConnectorsConfig;
use waystream_dataflow::DataflowConfig;
use waystream_log::embedded::EmbeddedOptions;
use waystream_log::{Keep, Topic};
use waystream_store::parquet::ParquetOptions;

/// The defaults, commented: what `check-config --defaults` prints.
pub const DEFAULTS: &str = include_str!("../waystream.toml");

/// Variables with the prefix that are not settings: the folder and file of the command line, and the tests' binary.
const NOT_SETTINGS: [&str; 3] = ["data", "config", "bin"];

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
}

/// What a process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Listens for trackers.
    Connect,
    /// Folds positions into events, states and snapshots.
    Dataflow,
    /// Writes history.
    Archive,
    /// Serves the dashboard.
    Gateway,
    /// Answers SQL.
    Sql,
}

/// Which adapter of the log's seam.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum LogConfig {
    /// In this process, in the data folder.
    Embedded {
        /// At least so many days.
        keep_positions_days: u32,
        /// At least so many days.
        keep_events_days: u32,
    },
}

/// Which adapter of the store's seam.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum StoreConfig {
    /// In this process, in the data folder.
    Parquet {
        /// 0: for ever.
        retention_days: u32,
    },
}

/// What the command line says of settings.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Overrides {
    /// `--data`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
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
        figment.extract().map_err(|errors| anyhow::anyhow!(describe(&figment, errors)))
    }

    /// As TOML.
    pub fn to_toml(&self) -> anyhow::Result<String> {
        toml::to_string(self).context("could not write the settings as TOML")
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

impl LogConfig {
    /// Settings of the embedded log.
    pub fn embedded(keep_positions_days: u32, keep_events_days: u32) -> EmbeddedOptions {
        let days = |n: u32| Keep::For(Duration::from_secs(u64::from(n) * 24 * 3600));
        EmbeddedOptions {
            keep: [(Topic::Positions, days(keep_positions_days)), (Topic::Events, days(keep_events_days))].into(),
            ..EmbeddedOptions::default()
        }
    }
}

impl StoreConfig {
    /// Settings of the Parquet store.
    pub fn parquet(retention_days: u32, read_only: bool) -> ParquetOptions {
        ParquetOptions { retention_days: (retention_days > 0).then_some(retention_days), read_only }
    }
}
