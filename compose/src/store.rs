//! Which store, from its settings to its parts.

use crate::tasks::Tasks;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use waystream_gateway::ReadyCheck;
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::questdb::{QuestDbOptions, QuestDbStore};
use waystream_store::{ArchiveConfig, Store};

/// Which adapter of the store's seam.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum StoreConfig {
    /// In this process, in the data folder.
    Parquet {
        /// 0: for ever.
        retention_days: u32,
    },
    /// On a server.
    QuestDb(QuestDbConfig),
}

/// How to reach a QuestDB server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestDbConfig {
    /// 0: for ever.
    pub retention_days: u32,
    /// Host and port of its HTTP interface.
    #[serde(default = "default_address")]
    pub address: String,
    /// Empty: without authentication.
    #[serde(default)]
    pub user: String,
    /// Of the user. Never printed.
    #[serde(default, skip_serializing)]
    pub password: String,
    /// A file that has nothing but the password; instead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Begins the name of every table.
    #[serde(default)]
    pub table_prefix: String,
    /// Queries at a time; the server's `http.export.connection.limit` must not be lower.
    #[serde(default = "default_exports")]
    pub max_exports: usize,
}

impl std::fmt::Debug for QuestDbConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuestDbConfig")
            .field("address", &self.address)
            .field("user", &self.user)
            .field("table_prefix", &self.table_prefix)
            .finish_non_exhaustive()
    }
}

fn default_address() -> String {
    "127.0.0.1:9000".into()
}

fn default_exports() -> usize {
    QuestDbOptions::default().max_exports
}

/// A store with what belongs to it.
pub struct OpenStore {
    /// The store.
    pub store: Arc<dyn Store>,
    /// How the archive suits it.
    pub archive: ArchiveConfig,
    /// What `/readyz` asks of it.
    pub ready: Option<ReadyCheck>,
}

impl StoreConfig {
    /// Opens the store; the embedded one in this folder.
    pub async fn open(&self, folder: &Path, tasks: &mut Tasks) -> anyhow::Result<OpenStore> {
        match self {
            Self::Parquet { retention_days } => {
                let options = ParquetOptions { retention_days: days(*retention_days), read_only: false };
                let folder = folder.to_owned();
                let opening = tokio::task::spawn_blocking(move || ParquetStore::open(&folder, options));
                let store = opening.await.context("opening failed")?.context("could not open the store")?;
                Ok(OpenStore { store, archive: ArchiveConfig::default(), ready: None })
            }
            Self::QuestDb(config) => {
                let store = QuestDbStore::open(config.options()?).context("could not open the store")?;
                let (watched, asked) = (Arc::clone(&store), Arc::clone(&store));
                tasks.core("watch over QuestDB", |stop| async move {
                    watched.watch(stop).await;
                    Ok(())
                });
                let check = move || match asked.damage().as_slice() {
                    [] => Ok(()),
                    complaints => Err(complaints.join("; ")),
                };
                let ready = ReadyCheck { name: "store", check: Arc::new(check) };
                Ok(OpenStore { store, archive: QuestDbStore::archive_config(), ready: Some(ready) })
            }
        }
    }
}

impl QuestDbConfig {
    fn options(&self) -> anyhow::Result<QuestDbOptions> {
        let address = self.address.rsplit_once(':').and_then(|(host, port)| {
            // An IPv6 address is in brackets.
            Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port.parse().ok()?))
        });
        let address = address.filter(|(host, _)| !host.is_empty() && !host.contains('/'));
        let address = address.with_context(|| format!("store.address: {:?} is not like \"host:9000\"", self.address))?;
        let password = match &self.password_file {
            None => self.password.clone(),
            Some(file) => {
                let text = std::fs::read_to_string(file);
                text.with_context(|| format!("could not read the password in {}", file.display()))?.trim_end().to_owned()
            }
        };
        Ok(QuestDbOptions {
            address,
            user: (!self.user.is_empty()).then(|| self.user.clone()),
            password: (!password.is_empty()).then_some(password),
            table_prefix: self.table_prefix.clone(),
            ttl_days: days(self.retention_days),
            max_exports: self.max_exports,
        })
    }
}

/// 0 stands for no limit.
fn days(retention: u32) -> Option<u32> {
    (retention > 0).then_some(retention)
}
