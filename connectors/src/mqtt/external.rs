//! Brokers of others (Mosquitto, EMQX, …): we subscribe as an MQTT 5 client and acknowledge what the log has.
//!
//! The session at the broker outlives the connection, so what was not acknowledged comes again; any trouble, ours or theirs,
//! ends the connection and begins a new one. The broker is told how many publications we hold at a time and how large they may
//! be: larger ones it drops, instead of sending them for ever. Shared subscriptions (`$share/group/…`) spread the load over
//! several of us; order per device is lost then, which the rest of the system does not rely on.

use super::tls::{self, Tls};
use crate::connectors::ConnectorsError;
use crate::faults::Source;
use crate::ingest::{Ingest, NotStored, Report};
use crate::metrics;
use crate::now;
use crate::protocols::owntracks;
use crate::tcp::MAX_FRAME_BYTES;
use rumqttc::Transport;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Filter, Packet, Publish, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// Label of these connections in metrics.
const LABEL: &str = "mqtt_external";
const PROTOCOL: &str = "owntracks";
/// Publications that the broker sends ahead of our acknowledgements.
const WINDOW: u16 = 256;
/// Acknowledgements and subscriptions that wait to be sent: more than can be under way, so that sending never waits for polling.
const REQUESTS: usize = 2 * WINDOW as usize;
/// The broker keeps our session, and with it what comes in the meantime, for so long.
const SESSION_EXPIRY_S: u32 = 7 * 24 * 3600;
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

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
    /// Topics of OwnTracks messages; `$share/group/owntracks/+/+` is shared by all who name the group.
    #[serde(default = "owntracks_topics")]
    pub topics: Vec<String>,
    /// For brokers that ask for one.
    #[serde(default)]
    pub username: Option<String>,
    /// To go with it.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Encryption; none by default.
    #[serde(default)]
    pub tls: Option<Tls>,
}

fn owntracks_topics() -> Vec<String> {
    vec!["owntracks/+/+".to_owned()]
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

impl Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, output: S) -> Result<S::Ok, S::Error> {
        output.serialize_str("***")
    }
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Connection(#[from] Box<ConnectionError>),
    #[error("the broker refused the subscription: {0:?}")]
    Refused(Vec<SubscribeReasonCode>),
    #[error(transparent)]
    NotStored(#[from] NotStored),
    /// More requests than [`REQUESTS`], which the window rules out, or the event loop is gone.
    #[error("a request could not be sent")]
    Request,
}

/// A client that is ready to connect.
pub(crate) struct Subscriber {
    options: MqttOptions,
    filters: Vec<Filter>,
    /// For logs: host and port.
    name: String,
}

impl Subscriber {
    /// Reads certificates, so that a wrong path is an error at start.
    pub(crate) fn new(broker: &ExternalBroker) -> Result<Self, ConnectorsError> {
        let name = format!("{}:{}", broker.host, broker.port);
        let mut options = MqttOptions::new(&broker.client_id, &broker.host, broker.port);
        options
            .set_clean_start(false)
            .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
            .set_receive_maximum(Some(WINDOW))
            .set_max_packet_size(Some(MAX_FRAME_BYTES as u32))
            .set_manual_acks(true)
            .set_keep_alive(Duration::from_secs(30));
        if let Some(username) = &broker.username {
            options.set_credentials(username, broker.password.as_ref().map_or("", |password| &password.0));
        }
        if let Some(settings) = &broker.tls {
            let configuration =
                tls::client(settings).map_err(|error| ConnectorsError::Broker(format!("TLS for {name}: {error}")))?;
            options.set_transport(Transport::tls_with_config(configuration));
        }
        let filters = broker.topics.iter().map(|topic| Filter::new(topic, QoS::AtLeastOnce)).collect();
        Ok(Self { options, filters, name })
    }

    /// Connects, again and again, until `stop`. What is not acknowledged then comes again next time.
    pub(crate) async fn run(self, ingest: Ingest, stop: CancellationToken) {
        let mut backoff = FIRST_BACKOFF;
        loop {
            let begun = Instant::now();
            let ended = tokio::select! {
                () = stop.cancelled() => return,
                ended = self.connection(&ingest) => ended,
            };
            // A connection that lasted is no sign of lasting trouble.
            backoff = if begun.elapsed() > MAX_BACKOFF { FIRST_BACKOFF } else { (backoff * 2).min(MAX_BACKOFF) };
            warn!(broker = self.name, error = %ended, retry_in = ?backoff, "connection to the MQTT broker ended");
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(backoff) => {}
            }
        }
    }

    /// One connection, with a client of its own: nothing of an earlier one can be acknowledged here.
    async fn connection(&self, ingest: &Ingest) -> Ended {
        let (client, events) = AsyncClient::new(self.options.clone(), REQUESTS);
        if client.try_subscribe_many(self.filters.clone()).is_err() {
            return Ended::Request;
        }
        let (sender, receiver) = mpsc::channel(usize::from(WINDOW));
        let ended = tokio::select! {
            ended = self.poll(events, sender) => ended,
            ended = store(&client, receiver, ingest) => ended,
        };
        metrics::closed(LABEL, ended.word());
        ended
    }

    async fn poll(&self, mut events: EventLoop, sender: mpsc::Sender<Publish>) -> Ended {
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Packet::ConnAck(_))) => info!(broker = self.name, "connected to the MQTT broker"),
                Ok(Event::Incoming(Packet::SubAck(answer))) => {
                    if !answer.return_codes.iter().all(|code| matches!(code, SubscribeReasonCode::Success(_))) {
                        return Ended::Refused(answer.return_codes);
                    }
                }
                Ok(Event::Incoming(Packet::Publish(publish))) => {
                    if sender.send(publish).await.is_err() {
                        return Ended::Request;
                    }
                }
                Ok(_) => {}
                Err(error) => return Ended::Connection(Box::new(error)),
            }
        }
    }
}

impl Ended {
    fn word(&self) -> &'static str {
        match self {
            Self::Connection(_) => "broken",
            Self::Refused(_) => "refused",
            Self::NotStored(_) => "not_stored",
            Self::Request => "stopping",
        }
    }
}

/// Stores what has come, as much as there is at a time, then acknowledges it.
async fn store(client: &AsyncClient, mut receiver: mpsc::Receiver<Publish>, ingest: &Ingest) -> Ended {
    let mut publications = Vec::new();
    loop {
        if receiver.recv_many(&mut publications, usize::from(WINDOW)).await == 0 {
            return Ended::Request;
        }
        if let Err(error) = take(&publications, ingest).await {
            return Ended::NotStored(error);
        }
        for publication in publications.drain(..) {
            if client.try_ack(&publication).is_err() {
                return Ended::Request;
            }
        }
    }
}

/// Everything that is good in these publications is durable when this returns. The rest is told, and not worth sending again.
async fn take(publications: &[Publish], ingest: &Ingest) -> Result<(), NotStored> {
    let received_at = now();
    let nobody = Source { protocol: PROTOCOL, device: None, peer: None };
    let mut reports = Vec::with_capacity(publications.len());
    for publication in publications {
        let topic = String::from_utf8_lossy(&publication.topic);
        let decoded = owntracks::decode_mqtt(&topic, &publication.payload);
        let source = Source { device: decoded.device.as_ref(), ..nobody };
        for fault in &decoded.faults {
            ingest.faults().tell(source, fault);
        }
        if let Some(device) = &decoded.device
            && let Some(from) = ingest.admit(source, device).await?
        {
            reports.push(Report { from, fixes: decoded.fixes });
        }
    }
    ingest.store(nobody, received_at, reports).await
}
