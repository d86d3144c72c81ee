//! Notifications: events out of the log, to people and programs by webhook, e-mail and MQTT.
//!
//! The way of a notification: [`desk`] reads an event and, if the domain's `Matcher` says so, commits deliveries together with the
//! offset that they follow from; [`book`] keeps what is to be delivered; [`send`] tries; what came of it is appended. The topic
//! `deliveries` is the only memory: a notifier that begins again reads it. It is *not* known here who sets up rules, nor what an
//! event means.

mod book;
mod config;
mod desk;
mod metrics;
mod payload;
mod reports;
mod send;
mod tidy;

pub use config::{Encryption, MqttConfig, MqttTls, NotifyConfig, Password, SmtpConfig};
pub use reports::{Making, Reports};
pub use send::is_public;

use desk::Desk;
use send::Senders;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use waystream_domain::{SharedCatalog, Timestamp};
use waystream_log::{Group, Log, LogError, Membership, Offsets, Share};

/// Name of the consumer group whose offsets say which events have been looked at.
pub const GROUP: &str = "notify";

/// Pause before beginning again after passing trouble with the log.
const RESTART_PAUSE: Duration = Duration::from_millis(500);

/// Why there are no notifications.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The log can't be used; an operator must look, or it is closing.
    #[error("the notifier's log failed")]
    Log(#[from] LogError),
    /// A setting is wrong: which, and why.
    #[error("notify.{0}")]
    Settings(String),
}

/// The notifier of one process.
#[derive(Debug)]
pub struct Notifier {
    config: NotifyConfig,
    senders: Arc<Senders>,
}

impl Notifier {
    /// With these settings; reads passwords and certificates.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn new(config: NotifyConfig) -> Result<Self, NotifyError> {
        Self::with_reports(config, None)
    }

    /// The same, with who makes reports; without, none can be sent.
    ///
    /// # Errors
    /// A setting is wrong.
    pub fn with_reports(config: NotifyConfig, reports: Option<Arc<dyn Reports>>) -> Result<Self, NotifyError> {
        config.check()?;
        let senders = Arc::new(Senders::new(&config, reports)?);
        Ok(Self { config, senders })
    }

    /// Runs until cancelled. Passing trouble with the log is waited for.
    ///
    /// # Errors
    /// The log is damaged, refuses or is closed.
    pub async fn run(self, log: Arc<dyn Log>, catalog: SharedCatalog, token: CancellationToken) -> Result<(), NotifyError> {
        let mut membership = None;
        while !token.is_cancelled() {
            match self.run_share(&log, &catalog, &mut membership, &token).await {
                Ok(()) => {}
                Err(error @ (LogError::Unavailable(_) | LogError::Indeterminate(_))) => {
                    warn!(%error, "the notifier begins again from its last commit");
                    metrics::restarted();
                    token.run_until_cancelled(tokio::time::sleep(RESTART_PAUSE)).await;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// The next share, until cancelled, until it ends, or the first error.
    async fn run_share(
        &self,
        log: &Arc<dyn Log>,
        catalog: &SharedCatalog,
        membership: &mut Option<Box<dyn Membership>>,
        token: &CancellationToken,
    ) -> Result<(), LogError> {
        let member = match membership {
            Some(member) => member,
            None => membership.insert(log.join(GROUP).await?),
        };
        let Some(share) = token.run_until_cancelled(member.share()).await else { return Ok(()) };
        let Share { partitions, ends } = share?;
        // So that nothing is open of what this process began before it was killed: readers would wait for it.
        log.commit(&group(), Vec::new(), &Offsets::new()).await?;
        info!(?partitions, "notifier starts");
        let desk = Desk::open(Arc::clone(log), Arc::clone(catalog), &self.config, Arc::clone(&self.senders), &partitions);
        desk.await?.run(token, &ends).await
    }
}

fn group() -> Group {
    Group { name: GROUP.to_owned(), member: 0 }
}

/// The wall clock: read at the rim only.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    Timestamp::default().plus_millis(ms)
}
