//! Tracker clients: what a device does on its side of the socket. The demo, the benchmarks and the kill tests share them.
//!
//! A client keeps what was not answered and sends it again, as real trackers do; so the same fix may arrive twice, and none
//! that was answered may be missing afterwards.

pub mod osmand;
pub mod owntracks;
pub mod teltonika;

use std::time::Duration;
use waystream_connectors::protocol::Fix;

/// How long a device waits for an answer before it takes the connection for broken.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// First and longest pause before a device tries again.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// Why a device got no answer to what it sent.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The connection broke or stayed silent: it is open whether the fixes were stored. Send them again.
    #[error("no answer: {0}")]
    NoAnswer(String),
    /// The server does not want this device or this report: sending again does not help.
    #[error("refused: {0}")]
    Refused(String),
}

impl From<std::io::Error> for SendError {
    fn from(e: std::io::Error) -> Self {
        Self::NoAnswer(e.to_string())
    }
}

/// A device with its connection.
pub enum Tracker {
    /// Codec 8 Extended over TCP.
    Teltonika(teltonika::Teltonika),
    /// HTTP.
    OsmAnd(osmand::OsmAnd),
    /// MQTT, QoS 1.
    OwnTracks(Box<owntracks::OwnTracks>),
}

impl Tracker {
    /// Sends these fixes in order and returns once each is answered. After an error nothing is known of any of them.
    pub async fn send(&mut self, fixes: &[Fix]) -> Result<(), SendError> {
        match self {
            Self::Teltonika(t) => t.send(fixes).await,
            Self::OsmAnd(t) => t.send(fixes).await,
            Self::OwnTracks(t) => t.send(fixes).await,
        }
    }

    /// Sends again, with growing pauses, until the fixes are answered or refused for good. Returns how often it had to.
    pub async fn deliver(&mut self, fixes: &[Fix]) -> Result<u32, SendError> {
        let (mut pause, longest) = RETRY;
        let mut resent = 0;
        loop {
            match self.send(fixes).await {
                Ok(()) => return Ok(resent),
                Err(refused @ SendError::Refused(_)) => return Err(refused),
                Err(SendError::NoAnswer(reason)) => tracing::debug!(reason, resent, "sending again"),
            }
            resent += 1;
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }
}
