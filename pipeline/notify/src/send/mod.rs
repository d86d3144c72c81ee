//! One attempt over one channel.

mod addresses;
mod email;
mod mqtt;
mod webhook;

pub use addresses::is_public;

use crate::NotifyError;
use crate::config::NotifyConfig;
use crate::payload;
use crate::reports::Reports;
use std::sync::Arc;
use std::time::Duration;
use waystream_domain::Timestamp;
use waystream_domain::notify::{Channel, Content, Delivery, Outcome, Target};

/// The ways out of this process.
pub(crate) struct Senders {
    timeout: Duration,
    reports: Option<Arc<dyn Reports>>,
    webhooks: webhook::Webhooks,
    email: Option<email::Mailer>,
    mqtt: Option<mqtt::Publisher>,
}

impl std::fmt::Debug for Senders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Senders").field("timeout", &self.timeout).field("email", &self.email).finish_non_exhaustive()
    }
}

impl Senders {
    /// Reads passwords and certificates.
    pub(crate) fn new(config: &NotifyConfig, reports: Option<Arc<dyn Reports>>) -> Result<Self, NotifyError> {
        Ok(Self {
            timeout: config.timeout(),
            reports,
            webhooks: webhook::Webhooks::new(config)?,
            email: config.smtp.as_ref().map(|smtp| email::Mailer::new(smtp, config.timeout())).transpose()?,
            mqtt: config.mqtt.as_ref().map(mqtt::Publisher::new).transpose()?,
        })
    }

    /// Tries once.
    pub(crate) async fn send(&self, channel: &Channel, delivery: &Delivery, now: Timestamp) -> Outcome {
        // Before time is counted: that is how long a receiver may take, and figures have limits of their own.
        let attached = match self.attachment(channel, delivery).await {
            Ok(attached) => attached,
            Err(outcome) => return outcome,
        };
        let sending = async {
            match (&channel.target, &self.email, &self.mqtt) {
                (Target::Webhook { url, secret }, _, _) => {
                    self.webhooks.post(url, secret, delivery, payload::json(delivery), now).await
                }
                (Target::Email { to }, Some(mailer), _) => mailer.send(to, delivery, attached).await,
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

    /// The file of a report; `None` for everything else.
    async fn attachment(&self, channel: &Channel, delivery: &Delivery) -> Result<Option<email::Attached>, Outcome> {
        let Content::Report { fleets, per, period, file, format, .. } = &delivery.content else { return Ok(None) };
        if !matches!(channel.target, Target::Email { .. }) {
            return Err(refused(format!("a report goes by e-mail, not by {}", channel.kind())));
        }
        let Some(reports) = &self.reports else {
            return Err(refused("this server has no history to report on"));
        };
        let made = reports.make(&delivery.organisation, fleets, *per, *period, *format).await;
        made.map(|bytes| Some(email::Attached { name: file.clone(), format: *format, bytes })).map_err(failed)
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
