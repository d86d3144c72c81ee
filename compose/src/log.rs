//! Which log, from its settings to its parts.

use anyhow::Context;
use rand::RngExt;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::kafka::{KafkaLog, KafkaOptions, Sasl, Security, Tls};
use waystream_log::{Keep, Log, Topic};
use waystream_tls::{Exposed, is_local_host};

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
    /// On a Kafka cluster, for several processes.
    Kafka(Box<KafkaConfig>),
}

/// How to use a Kafka cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KafkaConfig {
    /// At least so many days.
    pub keep_positions_days: u32,
    /// At least so many days.
    pub keep_events_days: u32,
    /// `host:port`, several separated by commas.
    #[serde(default = "default_brokers")]
    pub brokers: String,
    /// Begins the names of topics, groups and transactions.
    #[serde(default = "default_prefix")]
    pub prefix: String,
    /// Name of this process, the same after a restart and no other's. Empty: made up once, kept in the data folder.
    #[serde(default)]
    pub instance: String,
    /// Of the topics that processes share out: the most that can share the work.
    #[serde(default = "default_partitions")]
    pub partitions: u32,
    /// Copies of each record.
    #[serde(default = "default_replication")]
    pub replication: u16,
    /// A process that has not been heard of for so many seconds loses its partitions.
    #[serde(default = "default_session_timeout_s")]
    pub session_timeout_s: u64,
    /// Encrypt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsConfig>,
    /// Sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sasl: Option<SaslConfig>,
}

/// Encryption towards Kafka.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// Who may have signed the cluster's certificate (PEM); otherwise those that the operating system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Own certificate (PEM), if the cluster wants one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Key of the own certificate (PEM).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Sign-in at Kafka.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SaslConfig {
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub mechanism: String,
    /// Who.
    pub user: String,
    /// A file that has nothing but the password.
    pub password_file: PathBuf,
    /// Whether to sign in at another machine without TLS.
    #[serde(default)]
    pub insecure: bool,
}

fn default_brokers() -> String {
    KafkaOptions::default().brokers
}

fn default_prefix() -> String {
    KafkaOptions::default().prefix
}

fn default_partitions() -> u32 {
    Topic::Positions.partitions()
}

fn default_replication() -> u16 {
    KafkaOptions::default().replication
}

fn default_session_timeout_s() -> u64 {
    KafkaOptions::default().session_timeout.as_secs()
}

/// A log, and how to close it.
pub enum OpenLog {
    /// In this process.
    Embedded(Arc<EmbeddedLog>),
    /// On a cluster.
    Kafka(Arc<KafkaLog>),
}

impl OpenLog {
    /// As everybody uses it.
    pub fn shared(&self) -> Arc<dyn Log> {
        match self {
            Self::Embedded(log) => log.clone(),
            Self::Kafka(log) => log.clone(),
        }
    }

    /// What was asked for so far is written.
    pub async fn close(&self) {
        match self {
            Self::Embedded(log) => log.close().await,
            Self::Kafka(log) => log.close().await,
        }
    }
}

impl LogConfig {
    /// Whether other processes can use it at the same time.
    pub fn is_shared(&self) -> bool {
        matches!(self, Self::Kafka(_))
    }

    /// Opens the log of a process with this data folder.
    pub async fn open(&self, folder: &Path) -> anyhow::Result<OpenLog> {
        match self {
            Self::Embedded { keep_positions_days, keep_events_days } => {
                let keep = [(Topic::Positions, days(*keep_positions_days)), (Topic::Events, days(*keep_events_days))].into();
                let options = EmbeddedOptions { keep, ..EmbeddedOptions::default() };
                let folder = folder.join("log");
                let opening = tokio::task::spawn_blocking(move || EmbeddedLog::open(&folder, options));
                Ok(OpenLog::Embedded(opening.await.context("opening failed")?.context("could not open the log")?))
            }
            Self::Kafka(config) => {
                let brokers = &config.brokers;
                let log = KafkaLog::open(config.options(folder)?).await;
                Ok(OpenLog::Kafka(log.with_context(|| format!("could not open the log on Kafka at {brokers}"))?))
            }
        }
    }
}

impl KafkaConfig {
    /// Whether nobody else hears the password. That SCRAM does not send it is not enough: what it sends can be guessed at, and who is
    /// between us and the cluster can speak in our name once we have signed in.
    fn keeps_its_secret(&self) -> Result<(), Exposed> {
        let asked = self.sasl.as_ref().is_some_and(|sasl| !sasl.insecure);
        if !asked || self.tls.is_some() {
            return Ok(());
        }
        let host_of = |broker: &str| -> String {
            let place = broker.rsplit("://").next().unwrap_or_default();
            place.rsplit_once(':').map_or(place, |(host, _)| host).to_owned()
        };
        let mut brokers = self.brokers.split(',').map(str::trim).filter(|broker| !broker.is_empty());
        match brokers.find(|broker| !is_local_host(&host_of(broker))) {
            Some(server) => Err(Exposed { server: server.to_owned(), tls: "tls = {}", setting: "sasl.insecure" }),
            None => Ok(()),
        }
    }

    fn options(&self, folder: &Path) -> anyhow::Result<KafkaOptions> {
        let tls = self.tls.as_ref().map(|tls| {
            let identity = match (&tls.certificate, &tls.key) {
                (Some(certificate), Some(key)) => Some((certificate.clone(), key.clone())),
                (None, None) => None,
                _ => anyhow::bail!("log.tls: certificate and key belong together"),
            };
            Ok(Tls { ca: tls.ca.clone(), identity })
        });
        self.keeps_its_secret()?;
        let sasl = self.sasl.as_ref().map(|sasl| {
            let file = &sasl.password_file;
            let password = std::fs::read_to_string(file);
            let password = password.with_context(|| format!("could not read the password in {}", file.display()))?;
            let (mechanism, user) = (sasl.mechanism.clone(), sasl.user.clone());
            anyhow::Ok(Sasl { mechanism, user, password: password.trim_end().to_owned() })
        });
        let devices = Topic::ALL.into_iter().filter(|topic| topic.is_shared_out());
        Ok(KafkaOptions {
            brokers: self.brokers.clone(),
            prefix: self.prefix.clone(),
            instance: if self.instance.is_empty() { instance(folder)? } else { self.instance.clone() },
            partitions: devices.map(|topic| (topic, self.partitions)).collect(),
            keep: [(Topic::Positions, days(self.keep_positions_days)), (Topic::Events, days(self.keep_events_days))].into(),
            replication: self.replication,
            session_timeout: Duration::from_secs(self.session_timeout_s),
            security: Security { tls: tls.transpose()?, sasl: sasl.transpose()? },
            ..KafkaOptions::default()
        })
    }
}

/// The name of the process that uses a data folder.
fn instance(folder: &Path) -> anyhow::Result<String> {
    let file = folder.join("instance");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => Ok(name.trim().to_owned()),
        _ => {
            let name = format!("{:016x}", rand::rng().random::<u64>());
            std::fs::write(&file, &name).with_context(|| format!("could not write {}", file.display()))?;
            Ok(name)
        }
    }
}

fn days(n: u32) -> Keep {
    Keep::For(Duration::from_secs(u64::from(n) * 24 * 3600))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn nobody_signs_in_at_a_kafka_elsewhere_in_the_open_without_an_explicit_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let refused = |brokers: &str, more: &str, insecure: bool| {
            let sasl = format!("mechanism = 'PLAIN', user = 'me', password_file = '{}', insecure = {insecure}", file.display());
            let days = "keep_positions_days = 7\nkeep_events_days = 30";
            let toml = format!("{days}\nbrokers = '{brokers}'\nsasl = {{ {sasl} }}\n{more}");
            let config: KafkaConfig = toml_edit::de::from_str(&toml).unwrap();
            config.options(folder.path()).err().map(|error| error.to_string())
        };
        for (brokers, server) in [
            ("kafka:9092", "kafka:9092"),
            ("127.0.0.1:9092, 192.0.2.1:9092", "192.0.2.1:9092"),
            ("[2001:db8::1]:9092", "[2001:db8::1]:9092"),
        ] {
            let told = refused(brokers, "", false).unwrap();
            assert!(
                told.contains(&format!("on its way to {server}: use TLS")) && told.contains("sasl.insecure = true"),
                "{told}"
            );
            assert!(!told.contains("secret"), "{told}");
            assert_eq!(refused(brokers, "tls = {}", false), None);
            assert_eq!(refused(brokers, "", true), None);
        }
        assert_eq!(refused("localhost:9092,SASL_PLAINTEXT://127.0.0.1:9093,[::1]:9094,", "", false), None);
    }
}
