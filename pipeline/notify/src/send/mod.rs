//! One attempt over one channel.

mod addresses;
mod email;
mod mqtt;
mod tls;
mod webhook;

pub use addresses::is_public;

use crate::NotifyError;
use crate::config::NotifyConfig;
use crate::payload;
use std::time::Duration;
use waystream_domain::Timestamp;
use waystream_domain::notify::{Channel, Delivery, Outcome, Target};

/// The ways out of this process.
#[derive(Debug)]
pub(crate) struct Senders {
    timeout: Duration,
    webhooks: webhook::Webhooks,
    email: Option<email::Mailer>,
    mqtt: Option<mqtt::Publisher>,
}

impl Senders {
    /// Reads passwords and certificates.
    pub(crate) fn new(config: &NotifyConfig) -> Result<Self, NotifyError> {
        Ok(Self {
            timeout: config.timeout(),
            webhooks: webhook::Webhooks::new(config)?,
            email: config.smtp.as_ref().map(|smtp| email::Mailer::new(smtp, config.timeout())).transpose()?,
            mqtt: config.mqtt.as_ref().map(mqtt::Publisher::new).transpose()?,
        })
    }

    /// Tries once.
    pub(crate) async fn send(&self, channel: &Channel, delivery: &Delivery, now: Timestamp) -> Outcome {
        let sending = async {
            match (&channel.target, &self.email, &self.mqtt) {
                (Target::Webhook { url, secret }, _, _) => {
                    self.webhooks.post(url, secret, delivery, payload::json(delivery), now).await
                }
                (Target::Email { to }, Some(mailer), _) => mailer.send(to, delivery).await,
                (Target::Mqtt { topic }, _, Some(publisher)) => publisher.publish(topic, delivery).await,
                (Target::Email { .. }, None, _) => not_set_up("e-mail", "smtp"),
                (Target::Mqtt { .. }, _, None) => not_set_up("MQTT", "mqtt"),
            }
        };
        match tokio::time::timeout(self.timeout, sending).await {
            Ok(outcome) => outcome,
            Err(_) => failed(format!("no answer within {} s", self.timeout.as_secs())),
        }
    }
}

fn not_set_up(what: &str, section: &str) -> Outcome {
    Outcome::Refused { reason: format!("{what} is not set up on this server ([notify.{section}] in its settings)") }
}

fn failed(reason: impl std::fmt::Display) -> Outcome {
    Outcome::Failed { reason: reason.to_string(), after_ms: None }
}

fn refused(reason: impl std::fmt::Display) -> Outcome {
    Outcome::Refused { reason: reason.to_string() }
}
