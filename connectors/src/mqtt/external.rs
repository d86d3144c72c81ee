//! Brokers of others (Mosquitto, EMQX, …): we subscribe as a client and acknowledge what the log has.
//!
//! The session at the broker outlives the connection, so what was not acknowledged comes again; any trouble, ours or theirs,
//! ends the connection and begins a new one. Shared subscriptions (`$share/group/…`) spread the load over several of us; order per
//! device is lost then, which the rest of the system does not rely on. Who floods is slowed down by acknowledging later (`held.rs`).

use super::client::{Broken, Client, Events, Heard, Options, Publication, WINDOW};
use super::held::Held;
use super::payload::{Around, Sessions, Subscription, Understood, understand};
use crate::config::ConnectorsConfig;
use crate::connectors::ConnectorsError;
use crate::faults::Source;
use crate::ingest::{Ingest, Message, NotStored, Report};
use crate::metrics;
use crate::now;
use crate::protocol::Decoded;
use crate::shown::Shown;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use waystream_domain::Timestamp;
use waystream_tls::{Exposed, TlsTrust, is_local_host};

/// Label of these connections in metrics.
const LABEL: &str = "mqtt_external";
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// Topics on which trackers speak their own protocols, and how long one of them is remembered: what it told once (a login) is not
/// told again as long as its own connection to the broker lasts.
pub(super) const MAX_SESSIONS: usize = 100_000;
pub(super) const SESSION_IDLE: Duration = Duration::from_secs(24 * 3600);

/// A broker to subscribe to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExternalBroker {
    /// Name or address.
    pub host: String,
    /// Usually 1883, or 8883 with TLS.
    pub port: u16,
    /// Our name at the broker: its session is kept by it, so it has to stay the same, and no other client may have it.
    pub client_id: String,
    /// Version of MQTT: 5 (the default) or 3.1.1.
    #[serde(default)]
    pub version: Version,
    /// Topics, and what is published there; `$share/group/owntracks/+/+` is shared by all who name the group. A publication
    /// counts for the first topic that it is for.
    #[serde(default = "owntracks_topics")]
    pub topics: Vec<Subscription>,
    /// For brokers that ask for one.
    #[serde(default)]
    pub username: Option<String>,
    /// To go with it.
    #[serde(default)]
    pub password: Option<Secret>,
    /// A file that has nothing but the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Encryption; none by default.
    #[serde(default)]
    pub tls: Option<TlsTrust>,
    /// Whether the password may go to another machine without it.
    #[serde(default)]
    pub insecure: bool,
}

impl ExternalBroker {
    /// The password, from its setting or its file; empty if there is neither.
    pub(super) fn password(&self) -> Result<Secret, ConnectorsError> {
        let wrong = |why: String| Err(ConnectorsError::Broker(format!("{}:{}: {why}", self.host, self.port)));
        match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => wrong("password: there is a password_file, too".into()),
            (Some(password), None) => Ok(password.clone()),
            (None, Some(file)) => match std::fs::read_to_string(file) {
                Ok(text) => Ok(Secret(text.trim_end().to_owned())),
                Err(error) => wrong(format!("password_file: could not read {}: {error}", file.display())),
            },
            (None, None) => Ok(Secret(String::new())),
        }
    }

    /// Whether nobody else hears the password.
    pub(super) fn keeps_its_secret(&self, password: &Secret) -> Result<(), ConnectorsError> {
        let has_one = self.username.is_some() && !password.reveal().is_empty();
        if !has_one || self.tls.is_some() || self.insecure || is_local_host(&self.host) {
            return Ok(());
        }
        let server = format!("{}:{}", self.host, self.port);
        Err(ConnectorsError::Broker(Exposed { server, tls: "tls = {}", setting: "insecure" }.to_string()))
    }
}

fn owntracks_topics() -> Vec<Subscription> {
    vec![Subscription::owntracks("owntracks/+/+").expect("it is a topic")]
}

/// Of MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Version {
    /// 5.0.
    #[default]
    #[serde(rename = "5")]
    V5,
    /// 3.1.1, for brokers that know no better.
    #[serde(rename = "3.1.1")]
    V3,
}

/// A text that is not shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Secret {
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }
}

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str("***")
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Connection(#[from] Broken),
    #[error("the broker refused a subscription")]
    Refused,
    #[error(transparent)]
    NotStored(#[from] NotStored),
    #[error("a request could not be sent")]
    Request,
}

/// A client that is ready to connect.
pub(crate) struct Subscriber {
    options: Options,
    topics: Vec<Subscription>,
    /// For logs: host and port.
    name: String,
}

impl Subscriber {
    /// Reads certificates, so that a wrong path is an error at start.
    pub(crate) fn new(broker: &ExternalBroker) -> Result<Self, ConnectorsError> {
        let name = format!("{}:{}", broker.host, broker.port);
        Ok(Self { options: Options::new(broker)?, topics: broker.topics.clone(), name })
    }

    /// Connects, again and again, until `stop`. What is not acknowledged then comes again next time.
    pub(crate) async fn run(self, ingest: Ingest, config: Arc<ConnectorsConfig>, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        let mut forget = false;
        let mut sessions = Sessions::new(MAX_SESSIONS, SESSION_IDLE, Instant::now());
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.connection(&ingest, &config, &mut sessions, forget) => ended,
            };
            // A connection that lasted is no sign of lasting trouble.
            backoff = if begun.elapsed() > MAX_BACKOFF { FIRST_BACKOFF } else { (backoff * 2).min(MAX_BACKOFF) };
            forget = matches!(&ended, Ended::Connection(broken) if broken.too_large);
            if forget {
                error!(broker = self.name, "a publication is too large to be heard: all that waits at the broker is dropped");
            }
            warn!(broker = self.name, error = %ended, retry_in = ?backoff, "connection to the MQTT broker ended");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff) => {}
            }
        }
    }

    /// One connection, with a client of its own: nothing of an earlier one can be acknowledged here.
    async fn connection(&self, ingest: &Ingest, config: &ConnectorsConfig, sessions: &mut Sessions, forget: bool) -> Ended {
        let filters: Vec<String> = self.topics.iter().map(|topic| topic.topic.filter()).collect();
        let Some((client, events)) = self.options.client(&filters, forget) else { return Ended::Request };
        let (sender, receiver) = mpsc::channel(usize::from(WINDOW));
        let ended = tokio::select! {
            ended = self.hear(events, sender) => ended,
            ended = self.store(&client, receiver, ingest, config, sessions) => ended,
        };
        metrics::closed(LABEL, ended.word());
        ended
    }

    async fn hear(&self, mut events: Events, sender: mpsc::Sender<Publication>) -> Ended {
        loop {
            match events.next().await {
                Ok(Heard::Connected) => info!(broker = self.name, "connected to the MQTT broker"),
                Ok(Heard::Subscribed(true) | Heard::Other) => {}
                Ok(Heard::Subscribed(false)) => return Ended::Refused,
                Ok(Heard::Published(publication)) => {
                    if sender.send(publication).await.is_err() {
                        return Ended::Request;
                    }
                }
                Err(broken) => return Ended::Connection(broken),
            }
        }
    }

    /// Stores what has come, as much as there is at a time, then acknowledges it: later, where a device floods.
    async fn store(
        &self,
        client: &Client,
        mut receiver: mpsc::Receiver<Publication>,
        ingest: &Ingest,
        config: &ConnectorsConfig,
        sessions: &mut Sessions,
    ) -> Ended {
        let mut publications = Vec::new();
        let mut held = Held::default();
        loop {
            tokio::select! {
                // What is due makes place.
                biased;
                () = held.until_due() => {}
                heard = receiver.recv_many(&mut publications, held.room()), if held.room() > 0 => {
                    if heard == 0 {
                        return Ended::Request;
                    }
                    let dues = match self.take(&publications, ingest, config, sessions).await {
                        Ok(dues) => dues,
                        Err(error) => return Ended::NotStored(error),
                    };
                    for (publication, due) in publications.drain(..).zip(dues) {
                        held.push(publication, due);
                    }
                }
            }
            for publication in held.take_due(Instant::now()) {
                if !client.acknowledge(&publication) {
                    return Ended::Request;
                }
            }
        }
    }

    /// Everything that is good in these publications is durable when this returns. The rest is told, and not worth sending again.
    /// Gives for each when it may be acknowledged.
    async fn take(
        &self,
        publications: &[Publication],
        ingest: &Ingest,
        config: &ConnectorsConfig,
        sessions: &mut Sessions,
    ) -> Result<Vec<Instant>, NotStored> {
        let (received_at, came) = (now(), Instant::now());
        let mut reports: BTreeMap<&'static str, Vec<Report>> = BTreeMap::new();
        let mut dues = Vec::with_capacity(publications.len());
        for publication in publications {
            let mut around = Around { received_at, config, sessions };
            let mut due = came;
            for understood in understand(&self.topics, &publication.topic(), publication.payload(), None, &mut around) {
                let protocol = understood.protocol;
                due = due.max(came + pause(ingest, nobody(protocol), &understood.decoded, came));
                let read = admitted(ingest, received_at, nobody(protocol), understood).await?;
                reports.entry(protocol).or_default().extend(read.unwrap_or_default());
            }
            dues.push(due);
        }
        for (protocol, reports) in reports {
            ingest.store(nobody(protocol), received_at, reports).await?;
        }
        Ok(dues)
    }
}

/// For how long the answer to a message is held back, because its device floods.
pub(super) fn pause(ingest: &Ingest, source: Source<'_>, decoded: &Decoded, now: Instant) -> Duration {
    let pause = ingest.flow().said_by(ingest.speakers(source, decoded), now);
    if !pause.is_zero() {
        metrics::too_fast(source.protocol, 1);
    }
    pause
}

/// Whom the broker lets publish there, and from where, is the broker's business.
fn nobody(protocol: &'static str) -> Source<'static> {
    Source { protocol, device: None, peer: None, shown: Shown::SignedIn }
}

/// What of a message may be stored; `None`: its device may not report. Faults are told.
pub(super) async fn admitted(
    ingest: &Ingest,
    received_at: Timestamp,
    source: Source<'_>,
    understood: Understood,
) -> Result<Option<Vec<Report>>, NotStored> {
    let Understood { protocol: _, fleet, decoded, frame } = understood;
    let source = Source { device: decoded.device.as_ref(), ..source };
    for fault in &decoded.faults {
        ingest.faults().tell(source, fault);
    }
    if let Some(frame) = &frame {
        let message = Message { bytes: frame, datagram: false, login: None };
        ingest.set_aside(source, received_at, message, &decoded);
    }
    let ingest = ingest.for_fleet(fleet);
    let session = match &decoded.device {
        Some(device) => match ingest.admit(source, device, &decoded.aliases, decoded.fixes.len()).await? {
            Some(admitted) => Some(admitted),
            None => return Ok(None),
        },
        None => None,
    };
    ingest.reports(source, session.as_ref(), decoded.fixes).await.map(Some)
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Self::Connection(_) => "broken",
            Self::Refused => "refused",
            Self::NotStored(_) => "not_stored",
            Self::Request => "stopping",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_password_for_a_broker_goes_to_other_machines_only_encrypted_or_by_an_explicit_word() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("password");
        std::fs::write(&file, "secret\n").unwrap();
        let refused = |host: &str, more: &str| {
            let settings = format!(r#"{{"host": "{host}", "port": 1883, "client_id": "us", "username": "us"{more}}}"#);
            let broker: ExternalBroker = serde_json::from_str(&settings).unwrap();
            let password = broker.password().unwrap();
            broker.keeps_its_secret(&password).err().map(|error| error.to_string())
        };
        let (typed, from_file) = (r#", "password": "secret""#, format!(r#", "password_file": "{}""#, file.display()));
        for (host, secret) in [("mqtt.example.org", typed), ("192.0.2.1", typed), ("2001:db8::1", from_file.as_str())] {
            let told = refused(host, secret).unwrap();
            assert!(told.contains(&format!("on its way to {host}:1883")) && told.contains("insecure = true"), "{told}");
            assert!(!told.contains("secret"), "{told}");
            for more in [format!(r#"{secret}, "insecure": true"#), format!(r#"{secret}, "tls": {{}}"#), String::new()] {
                assert_eq!(refused(host, &more), None);
            }
        }
        for host in ["localhost", "127.0.0.1", "::1"] {
            assert_eq!(refused(host, typed), None);
        }
    }
}
