//! MQTT: a publication with QoS 1 on a connection of its own, acknowledged by the broker.

use super::{failed, refused};
use crate::NotifyError;
use crate::config::{MqttConfig, password};
use crate::payload;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, Outgoing, QoS, Transport};
use std::time::Duration;
use waystream_domain::notify::{Delivery, Outcome, Topic};
use waystream_tls::{Exposed, is_local_host, trust_system_and};

const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Largest packet, bytes: an event with all its attributes fits.
const MAX_PACKET: usize = 1 << 20;
/// Characters of a delivery's id in our name at the broker.
const ID_CHARACTERS: usize = 12;

pub(super) struct Publisher {
    options: MqttOptions,
    client_id: String,
    prefix: Topic,
}

impl std::fmt::Debug for Publisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Publisher").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl Publisher {
    /// Reads the password and certificates.
    pub(super) fn new(config: &MqttConfig) -> Result<Self, NotifyError> {
        let wrong = |setting: &str, why: String| NotifyError::Settings(format!("mqtt.{setting}: {why}"));
        let mut options = MqttOptions::new(&config.client_id, &config.host, config.port);
        options.set_keep_alive(KEEP_ALIVE).set_max_packet_size(MAX_PACKET, MAX_PACKET);
        let password = password("mqtt", config.password.as_ref(), config.password_file.as_deref())?;
        if password.is_some() && config.tls.is_none() && !config.insecure && !is_local_host(&config.host) {
            let server = format!("{}:{}", config.host, config.port);
            let exposed = Exposed { server, tls: "tls = {}", setting: "insecure" };
            return Err(wrong("password", exposed.to_string()));
        }
        match (&config.user, password) {
            (Some(user), password) => drop(options.set_credentials(user, password.map_or_else(String::new, |p| p.0))),
            (None, None) => {}
            (None, Some(_)) => return Err(wrong("user", "a password needs a user".into())),
        }
        if let Some(settings) = &config.tls {
            let client = trust_system_and(settings.ca_file.as_deref()).map_err(|why| wrong("tls", why.to_string()))?;
            options.set_transport(Transport::tls_with_config(rumqttc::TlsConfiguration::Rustls(client)));
        }
        let prefix = Topic::parse(&config.topic_prefix).map_err(|why| wrong("topic_prefix", why))?;
        Ok(Self { options, client_id: config.client_id.clone(), prefix })
    }

    /// Tries once.
    pub(super) async fn publish(&self, topic: &Topic, delivery: &Delivery) -> Outcome {
        let mut options = self.options.clone();
        let own: String = delivery.id.as_str().chars().take(ID_CHARACTERS).collect();
        options.set_client_id(format!("{}-{own}", self.client_id));
        let (client, mut events) = AsyncClient::new(options, 4);
        let topic = [&self.prefix, topic].map(|t| t.of(&delivery.organisation, delivery.event())).concat();
        if client.try_publish(topic, QoS::AtLeastOnce, false, payload::json(delivery)).is_err() {
            return refused("the topic can't be published to");
        }
        let mut acknowledged = false;
        loop {
            match events.poll().await {
                Ok(Event::Incoming(Incoming::PubAck(_))) => {
                    acknowledged = true;
                    // Said goodbye to if that is possible; the broker has it all the same.
                    if client.try_disconnect().is_err() {
                        return Outcome::Delivered;
                    }
                }
                Ok(Event::Outgoing(Outgoing::Disconnect)) => return Outcome::Delivered,
                Ok(_) => {}
                Err(_) if acknowledged => return Outcome::Delivered,
                Err(error) => return failed(format_args!("the broker: {error}")),
            }
        }
    }
}
