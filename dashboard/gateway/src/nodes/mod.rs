//! Every open dashboard, on whatever gateway: notices to them, and who has one open.
//!
//! Only what is nowhere else goes this way. Positions, alerts, edits of the catalog and the end of a session stand in the log, which
//! every gateway follows: they are *not* sent from gateway to gateway, and none of them is late when Redis is.

mod again;
mod driver;
mod server;

pub(crate) use driver::{Nodes, Supervisor};
pub use server::{RedisConfig, RedisConfigError};

use crate::auth::Identity;
use crate::wire::NoticeMessage;
use futures::StreamExt;
use serde_json::Value;
use socketioxide::SocketIo;
use socketioxide::adapter::Emitter;
use socketioxide_redis::{CustomRedisAdapter, RedisAdapterConfig, RedisAdapterCtr};
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};
use waystream_domain::OrganisationId;

/// Socket.IO's adapter, also where this gateway is alone.
pub(crate) type Adapter = CustomRedisAdapter<Emitter, Nodes>;
/// A socket of a browser.
pub(crate) type SocketRef = socketioxide::extract::SocketRef<Adapter>;
/// For the answer to a browser's event.
pub(crate) type AckSender = socketioxide::extract::AckSender<Adapter>;

/// A dashboard shows a notice within this time or does not count.
const SHOWN_WITHIN: Duration = Duration::from_secs(2);
/// Other gateways answer within this time or do not count.
const ANSWERED_WITHIN: Duration = Duration::from_secs(1);
/// Begins the names of channels in Redis; all gateways of one system share it.
const PREFIX: &str = "waystream";

const ORGANISATION: &str = "organisation/";
const USER: &str = "user/";

/// What Socket.IO makes its adapter with.
pub(crate) fn adapter(nodes: Nodes) -> RedisAdapterCtr<Nodes> {
    let config = RedisAdapterConfig::new().with_prefix(PREFIX).with_request_timeout(ANSWERED_WITHIN);
    RedisAdapterCtr::new_with_driver(nodes, config)
}

/// Makes a socket known to all gateways, as its session says.
pub(crate) fn enter(socket: &SocketRef, identity: &Identity) {
    socket.join([format!("{ORGANISATION}{}", identity.organisation()), format!("{USER}{}", identity.user())]);
}

/// The open dashboards of all gateways. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dashboards(pub(crate) SocketIo<Adapter>);

impl Dashboards {
    /// Shows a notice on every dashboard of an organisation; gives how many have shown it.
    pub(crate) async fn notify(&self, organisation: &OrganisationId, notice: &NoticeMessage) -> usize {
        let room = format!("{ORGANISATION}{organisation}");
        let until = Instant::now() + SHOWN_WITHIN;
        let sent = self.0.to(room).timeout(SHOWN_WITHIN).emit_with_ack::<_, Value>("notice", notice).await;
        let mut shown = 0;
        match sent {
            Ok(answers) => {
                let mut answers = std::pin::pin!(answers);
                while let Ok(Some((_, answer))) = timeout_at(until, answers.next()).await {
                    shown += usize::from(answer.is_ok());
                }
            }
            Err(error) => tracing::warn!(%error, "a notice could not be sent"),
        }
        shown
    }

    /// The users of an organisation that have a dashboard open.
    pub(crate) async fn users(&self, organisation: &OrganisationId) -> BTreeSet<String> {
        let room = format!("{ORGANISATION}{organisation}");
        let rooms = self.0.to(room).rooms().await.unwrap_or_else(|error| {
            tracing::warn!(%error, "other gateways could not be asked who is there");
            Vec::new()
        });
        rooms.iter().filter_map(|room| room.strip_prefix(USER).map(str::to_owned)).collect()
    }
}
