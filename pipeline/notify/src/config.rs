//! Settings of notifications.

use serde::{Deserialize, Serialize, Serializer};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use waystream_domain::notify::Retries;

/// Settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct NotifyConfig {
    /// Attempts until a notification is given up.
    pub tries: u32,
    /// After the first attempt, milliseconds; doubled after each further one.
    pub first_pause_ms: u32,
    /// At most, seconds.
    pub longest_pause_s: u32,
    /// Longest time of one attempt, seconds.
    pub timeout_s: u32,
    /// Days for which delivered ones are listed.
    pub keep_delivered_days: u32,
    /// Days for which dead ones are listed and can be tried again.
    pub keep_dead_days: u32,
    /// Notifications that may wait for one channel; further ones are dead at once.
    pub max_waiting: usize,
    /// Whether webhooks may go to this machine and to networks that are nobody else's.
    pub allow_private_addresses: bool,
    /// Certificates (PEM) that webhooks may have been signed by, besides those that the operating system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_ca_file: Option<PathBuf>,
    /// For e-mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<SmtpConfig>,
    /// For MQTT.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<MqttConfig>,
}

impl Default for NotifyConfig {
    fn default() -> Self {
        Self {
            tries: 8,
            first_pause_ms: 30_000,
            longest_pause_s: 3_600,
            timeout_s: 10,
            keep_delivered_days: 7,
            keep_dead_days: 30,
            max_waiting: 10_000,
            allow_private_addresses: false,
            webhook_ca_file: None,
            smtp: None,
            mqtt: None,
        }
    }
}

/// The server that sends e-mail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Name or address.
    pub host: String,
    /// Usually 587, or 465 for `tls`, 25 for `none`.
    #[serde(default = "submission_port")]
    pub port: u16,
    /// How the connection is encrypted.
    #[serde(default)]
    pub encryption: Encryption,
    /// Certificates that we trust (PEM), besides those that the operating system trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// Sender: `Waystream <fleet@example.org>`.
    pub from: String,
    /// Who signs in; nobody by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// To go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// A file that has nothing but the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Whether the password may go to another machine without encryption.
    #[serde(default)]
    pub insecure: bool,
}

fn submission_port() -> u16 {
    587
}

/// Of a connection to a mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// Begun after the greeting, and insisted on.
    #[default]
    Starttls,
    /// From the first byte.
    Tls,
    /// Not at all.
    None,
}

/// The broker to which notifications are published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MqttConfig {
    /// Name or address.
    pub host: String,
    /// Usually 1883, or 8883 with TLS.
    #[serde(default = "mqtt_port")]
    pub port: u16,
    /// Begins our names at the broker: each attempt is a client of its own.
    #[serde(default = "client_id")]
    pub client_id: String,
    /// Begins every topic, so that an organisation publishes to its own topics only.
    #[serde(default = "topic_prefix")]
    pub topic_prefix: String,
    /// Who signs in; nobody by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// To go with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
    /// A file that has nothing but the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Encryption; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<MqttTls>,
    /// Whether the password may go to another machine without it.
    #[serde(default)]
    pub insecure: bool,
}

/// Encryption towards the broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MqttTls {
    /// Certificates that we trust (PEM), besides those that the operating system trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
}

fn mqtt_port() -> u16 {
    1883
}

fn client_id() -> String {
    "waystream-notify".into()
}

fn topic_prefix() -> String {
    "waystream/{organisation}/".into()
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Password(pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Password {
    fn serialize<S: Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str("***")
    }
}

/// The password that goes with a user, from its setting or its file.
pub(crate) fn password(
    section: &str,
    setting: Option<&Password>,
    file: Option<&Path>,
) -> Result<Option<Password>, super::NotifyError> {
    let wrong = |why: String| Err(super::NotifyError::Settings(format!("{section}.{why}")));
    match (setting, file) {
        (Some(_), Some(_)) => wrong("password: there is a password_file, too".into()),
        (Some(password), None) => Ok(Some(password.clone())),
        (None, Some(file)) => match std::fs::read_to_string(file) {
            Ok(text) => Ok(Some(Password(text.trim_end().to_owned()))),
            Err(error) => wrong(format!("password_file: could not read {}: {error}", file.display())),
        },
        (None, None) => Ok(None),
    }
}

impl NotifyConfig {
    /// What no setting alone can tell.
    pub(crate) fn check(&self) -> Result<(), super::NotifyError> {
        let positive = [
            ("tries", self.tries > 0),
            ("first_pause_ms", self.first_pause_ms > 0),
            ("longest_pause_s", self.longest_pause_s > 0),
            ("timeout_s", self.timeout_s > 0),
            ("max_waiting", self.max_waiting > 0),
            // What was told lately follows from what is kept.
            ("keep_delivered_days", self.keep_delivered_days > 0),
            ("keep_dead_days", self.keep_dead_days > 0),
        ];
        match positive.into_iter().find(|(_, fine)| !fine) {
            Some((setting, _)) => Err(super::NotifyError::Settings(format!("{setting}: it is at least 1"))),
            None => Ok(()),
        }
    }

    pub(crate) fn retries(&self) -> Retries {
        Retries {
            tries: self.tries,
            first_pause_ms: self.first_pause_ms.into(),
            longest_pause_ms: i64::from(self.longest_pause_s) * 1_000,
        }
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.into())
    }
}
