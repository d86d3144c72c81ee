//! A client of somebody else's broker, in version 5 or 3.1.1 of the protocol: one way to connect, to hear and to acknowledge.
//!
//! In version 5 the broker is told how many publications we hold at a time and how large they may be: larger ones it drops. Version
//! 3.1.1 has no words for that. There the broker's own window counts, and a publication that is too large for us ends the connection
//! and would come again for ever: after one we begin with a new session, which costs what waits in the old one, and say so.

use super::external::{ExternalBroker, Version};
use crate::connectors::ConnectorsError;
use crate::tcp::MAX_FRAME_BYTES;
use bytes::Bytes;
use rumqttc::{self as v4, TlsConfiguration, Transport, v5};
use std::borrow::Cow;
use std::time::Duration;

/// Publications that the broker sends ahead of our acknowledgements, in version 5.
pub(super) const WINDOW: u16 = 256;
/// Acknowledgements and subscriptions that wait to be sent: more than there are numbers of publications, so that sending never waits
/// for hearing, nor hearing for sending.
const REQUESTS: usize = 1 + u16::MAX as usize;
/// The broker keeps our session, and with it what comes in the meantime, for so long.
const SESSION_EXPIRY_S: u32 = 7 * 24 * 3600;
/// In version 3.1.1: larger than what makes sense, so that what makes none is heard, acknowledged and gone.
const MAX_V3_PACKET_BYTES: usize = 4 * 1024 * 1024;
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// How to connect.
#[derive(Clone)]
#[expect(clippy::large_enum_variant, reason = "one a broker")]
pub(super) enum Options {
    V5(v5::MqttOptions),
    V3(v4::MqttOptions),
}

/// Says things. Never waits.
pub(super) enum Client {
    V5(v5::AsyncClient),
    V3(v4::AsyncClient),
}

/// Hears things.
#[expect(clippy::large_enum_variant, reason = "one a connection")]
pub(super) enum Events {
    V5(v5::EventLoop),
    V3(v4::EventLoop),
}

/// What was heard.
#[expect(clippy::large_enum_variant, reason = "most of them are publications")]
pub(super) enum Heard {
    Connected,
    /// Whether all subscriptions are granted.
    Subscribed(bool),
    Published(Publication),
    Other,
}

/// A publication that is to be acknowledged.
pub(super) enum Publication {
    V5(v5::mqttbytes::v5::Publish),
    V3(v4::Publish),
}

/// Why a connection ended, and whether by a publication that would end the next one too.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(super) struct Broken {
    error: String,
    pub(super) too_large: bool,
}

impl Options {
    /// Reads certificates and the password, so that a wrong path is an error at start.
    pub(super) fn new(broker: &ExternalBroker) -> Result<Self, ConnectorsError> {
        let transport = match &broker.tls {
            Some(settings) => Some(Transport::tls_with_config(
                settings
                    .config()
                    .map(TlsConfiguration::Rustls)
                    .map_err(|error| ConnectorsError::Broker(format!("TLS for {}:{}: {error}", broker.host, broker.port)))?,
            )),
            None => None,
        };
        let password = broker.password()?;
        broker.keeps_its_secret(&password)?;
        let credentials = broker.username.as_ref().map(|name| (name, password.reveal()));
        Ok(match broker.version {
            Version::V5 => {
                let mut options = v5::MqttOptions::new(&broker.client_id, &broker.host, broker.port);
                options
                    .set_clean_start(false)
                    .set_session_expiry_interval(Some(SESSION_EXPIRY_S))
                    .set_receive_maximum(Some(WINDOW))
                    .set_max_packet_size(Some(MAX_FRAME_BYTES as u32))
                    .set_manual_acks(true)
                    .set_keep_alive(KEEP_ALIVE);
                credentials.map(|(name, password)| options.set_credentials(name, password));
                transport.map(|transport| options.set_transport(transport));
                Self::V5(options)
            }
            Version::V3 => {
                let mut options = v4::MqttOptions::new(&broker.client_id, &broker.host, broker.port);
                options
                    .set_clean_session(false)
                    .set_max_packet_size(MAX_V3_PACKET_BYTES, MAX_FRAME_BYTES)
                    .set_manual_acks(true)
                    .set_keep_alive(KEEP_ALIVE);
                credentials.map(|(name, password)| options.set_credentials(name, password));
                transport.map(|transport| options.set_transport(transport));
                Self::V3(options)
            }
        })
    }

    /// A client that connects when it is polled, and subscribes. `forget`: what the broker has kept for us is dropped.
    pub(super) fn client(&self, filters: &[String], forget: bool) -> Option<(Client, Events)> {
        match self.clone() {
            Self::V5(mut options) => {
                options.set_clean_start(forget);
                let (client, events) = v5::AsyncClient::new(options, REQUESTS);
                let filters =
                    filters.iter().map(|topic| v5::mqttbytes::v5::Filter::new(topic, v5::mqttbytes::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).ok()?;
                Some((Client::V5(client), Events::V5(events)))
            }
            Self::V3(mut options) => {
                options.set_clean_session(forget);
                let (client, events) = v4::AsyncClient::new(options, REQUESTS);
                let filters = filters.iter().map(|topic| v4::SubscribeFilter::new(topic.clone(), v4::QoS::AtLeastOnce));
                client.try_subscribe_many(filters).ok()?;
                Some((Client::V3(client), Events::V3(events)))
            }
        }
    }
}

impl Client {
    /// Acknowledges; `false`: the connection is gone.
    pub(super) fn acknowledge(&self, publication: &Publication) -> bool {
        match (self, publication) {
            (Self::V5(client), Publication::V5(publication)) => client.try_ack(publication).is_ok(),
            (Self::V3(client), Publication::V3(publication)) => client.try_ack(publication).is_ok(),
            _ => false,
        }
    }
}

impl Events {
    pub(super) async fn next(&mut self) -> Result<Heard, Broken> {
        match self {
            Self::V5(events) => {
                use v5::mqttbytes::v5::{Packet, SubscribeReasonCode};
                match events.poll().await {
                    Ok(v5::Event::Incoming(Packet::ConnAck(_))) => Ok(Heard::Connected),
                    Ok(v5::Event::Incoming(Packet::SubAck(answer))) => {
                        let granted = |code: &SubscribeReasonCode| matches!(code, SubscribeReasonCode::Success(_));
                        Ok(Heard::Subscribed(answer.return_codes.iter().all(granted)))
                    }
                    Ok(v5::Event::Incoming(Packet::Publish(publish))) => Ok(Heard::Published(Publication::V5(publish))),
                    Ok(_) => Ok(Heard::Other),
                    Err(error) => Err(Broken { error: error.to_string(), too_large: false }),
                }
            }
            Self::V3(events) => match events.poll().await {
                Ok(v4::Event::Incoming(v4::Packet::ConnAck(_))) => Ok(Heard::Connected),
                Ok(v4::Event::Incoming(v4::Packet::SubAck(answer))) => {
                    let granted = |code: &v4::SubscribeReasonCode| matches!(code, v4::SubscribeReasonCode::Success(_));
                    Ok(Heard::Subscribed(answer.return_codes.iter().all(granted)))
                }
                Ok(v4::Event::Incoming(v4::Packet::Publish(publish))) => Ok(Heard::Published(Publication::V3(publish))),
                Ok(_) => Ok(Heard::Other),
                Err(error) => {
                    use v4::mqttbytes::Error::PayloadSizeLimitExceeded;
                    let too_large = matches!(
                        error,
                        v4::ConnectionError::MqttState(v4::StateError::Deserialization(PayloadSizeLimitExceeded(_)))
                    );
                    Err(Broken { error: error.to_string(), too_large })
                }
            },
        }
    }
}

impl Publication {
    pub(super) fn topic(&self) -> Cow<'_, str> {
        match self {
            Self::V5(publish) => String::from_utf8_lossy(&publish.topic),
            Self::V3(publish) => Cow::Borrowed(&publish.topic),
        }
    }

    pub(super) fn payload(&self) -> &Bytes {
        match self {
            Self::V5(publish) => &publish.payload,
            Self::V3(publish) => &publish.payload,
        }
    }
}
