//! Which store, from its settings to its parts.

use crate::tasks::Tasks;
use anyhow::Context;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use waystream_gateway::ReadyCheck;
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::questdb::{QuestDbOptions, QuestDbStore, QuestDbTls};
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
    QuestDb(Box<QuestDbConfig>),
}

/// How to reach a QuestDB server.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuestDbConfig {
    /// 0: for ever.
    pub retention_days: u32,
    /// Host and port of its HTTP interface, after `https://` where it speaks TLS.
    #[serde(default = "default_address")]
    pub address: String,
    /// Whose certificate it may have; with this it is spoken to in TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<QuestDbTls>,
    /// Whether password or token may go to another machine without TLS.
    #[serde(default)]
    pub insecure: bool,
    /// Empty: without authentication.
    #[serde(default)]
    pub user: String,
    /// Of the user. Never printed.
    #[serde(default, skip_serializing)]
    pub password: String,
    /// A file that has nothing but the password; instead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Instead of user and password. Never printed.
    #[serde(default, skip_serializing)]
    pub token: String,
    /// A file that has nothing but the token; instead of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
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
            .field("tls", &self.tls)
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
    pub ready: ReadyCheck,
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
                // A command is over before the first housekeeping.
                store.expire(crate::now());
                let ready = ready(store.clone());
                Ok(OpenStore { store, archive: ArchiveConfig::default(), ready })
            }
            Self::QuestDb(config) => {
                let store = QuestDbStore::open(config.options()?).context("could not open the store")?;
                let (watched, ready) = (Arc::clone(&store), ready(store.clone()));
                tasks.core("watch over QuestDB", |stop| async move {
                    watched.watch(stop).await;
                    Ok(())
                });
                Ok(OpenStore { store, archive: QuestDbStore::archive_config(), ready })
            }
        }
    }
}

fn ready(store: Arc<dyn Store>) -> ReadyCheck {
    let check = move || match store.damage().as_slice() {
        [] => Ok(()),
        complaints => Err(complaints.join("; ")),
    };
    ReadyCheck { name: "store", check: Arc::new(check) }
}

impl QuestDbConfig {
    fn options(&self) -> anyhow::Result<QuestDbOptions> {
        let (tls, address) = match (self.address.strip_prefix("https://"), self.address.strip_prefix("http://")) {
            (Some(address), _) => (Some(self.tls.clone().unwrap_or_default()), address),
            (None, Some(address)) => {
                anyhow::ensure!(self.tls.is_none(), "store.tls: {:?} is an address without TLS", self.address);
                (None, address)
            }
            (None, None) => (self.tls.clone(), self.address.as_str()),
        };
        let address = address.trim_end_matches('/').rsplit_once(':').and_then(|(host, port)| {
            // An IPv6 address is in brackets.
            Some((host.trim_start_matches('[').trim_end_matches(']').to_owned(), port.parse().ok()?))
        });
        let address = address.filter(|(host, _)| !host.is_empty() && !host.contains('/'));
        let address = address.with_context(|| format!("store.address: {:?} is not like \"host:9000\"", self.address))?;
        let password = secret(&self.password, self.password_file.as_deref(), "password")?;
        let token = secret(&self.token, self.token_file.as_deref(), "token")?;
        anyhow::ensure!(token.is_none() || self.user.is_empty(), "store: a token is instead of user and password");
        Ok(QuestDbOptions {
            address,
            tls,
            user: (!self.user.is_empty()).then(|| self.user.clone()),
            password,
            token,
            insecure: self.insecure,
            table_prefix: self.table_prefix.clone(),
            ttl_days: days(self.retention_days),
            max_exports: self.max_exports,
        })
    }
}

/// As it stands in the settings, or alone in a file; `None` if it is empty.
fn secret(text: &str, file: Option<&Path>, what: &str) -> anyhow::Result<Option<String>> {
    let text = match file {
        None => text.to_owned(),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            text.with_context(|| format!("could not read the {what} in {}", file.display()))?.trim_end().to_owned()
        }
    };
    Ok((!text.is_empty()).then_some(text))
}

/// 0 stands for no limit.
fn days(retention: u32) -> Option<u32> {
    (retention > 0).then_some(retention)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn options(toml: &str) -> anyhow::Result<QuestDbOptions> {
        let config: QuestDbConfig = toml_edit::de::from_str(&format!("retention_days = 0\n{toml}"))?;
        assert!(!format!("{config:?}{}", toml_edit::ser::to_string(&config)?).contains("secret"));
        config.options()
    }

    #[test]
    fn questdb_is_spoken_to_in_tls_where_its_address_or_its_certificates_say_so() {
        let tls = |ca: Option<&str>| Some(QuestDbTls { ca_file: ca.map(PathBuf::from) });
        for (toml, host, encrypted) in [
            ("address = 'questdb:9000'", "questdb", None),
            ("address = 'http://questdb:9000'", "questdb", None),
            ("address = 'https://questdb:9000/'", "questdb", tls(None)),
            ("address = 'https://[2001:db8::1]:9000'", "2001:db8::1", tls(None)),
            ("address = 'https://questdb:9000'\ntls = { ca_file = 'ca.pem' }", "questdb", tls(Some("ca.pem"))),
            ("address = 'questdb:9000'\ntls = { ca_file = 'ca.pem' }", "questdb", tls(Some("ca.pem"))),
            ("address = 'questdb:9000'\ntls = {}", "questdb", tls(None)),
        ] {
            let options = options(toml).unwrap();
            assert_eq!((options.address, options.tls), ((host.to_owned(), 9000), encrypted), "{toml}");
        }
        for (toml, says) in [
            ("address = 'http://questdb:9000'\ntls = {}", "an address without TLS"),
            ("address = 'https://questdb'", "not like"),
            ("address = 'ftp://questdb:9000'", "not like"),
            ("tls = { key_file = 'key.pem' }", "key_file"),
        ] {
            let told = options(toml).unwrap_err().to_string();
            assert!(told.contains(says), "{toml}: {told}");
        }
    }

    #[test]
    fn what_questdb_asks_for_is_in_the_settings_or_alone_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("one");
        std::fs::write(&file, "secret 1\n").unwrap();
        let file = file.display();
        let told = |toml: &str| options(toml).map(|it| (it.user, it.password, it.token, it.insecure));
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(told("").unwrap(), (None, None, None, false));
        let with_password = (text("me"), text("secret 2"), None, true);
        assert_eq!(told("user = 'me'\npassword = 'secret 2'\ninsecure = true").unwrap(), with_password);
        let from_file = (text("me"), text("secret 1"), None, false);
        assert_eq!(told(&format!("user = 'me'\npassword_file = '{file}'")).unwrap(), from_file);
        assert_eq!(told("token = 'secret 3'").unwrap(), (None, None, text("secret 3"), false));
        assert_eq!(told(&format!("token_file = '{file}'")).unwrap(), (None, None, text("secret 1"), false));
        assert!(told("user = 'me'\ntoken = 'secret 3'").unwrap_err().to_string().contains("instead of user"));
        assert!(told("token_file = 'nowhere'").unwrap_err().to_string().contains("nowhere"));
    }
}
