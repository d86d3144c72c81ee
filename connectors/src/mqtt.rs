//! The embedded MQTT broker (rmqtt): it takes reports and hands nothing on. PUBACK means durable.
//!
//! A report is checked and appended inside rmqtt's publish-ACL hook, which is awaited before the acknowledgement. (A
//! subscription would lose reports: it has a queue that drops.) Topics are those of OwnTracks, `owntracks/<user>/<device>`, and what
//! else is set. A client that gives a user name publishes under that name only, and may subscribe to its own `…/cmd`, where no
//! client publishes.

mod client;
mod clients;
pub(crate) mod external;
mod guesses;
mod held;
mod hooks;
mod mapping;
mod passwords;
mod payload;
mod relay;
mod topic;

pub use external::{ExternalBroker, Secret, Version};
pub use payload::Subscription;

use crate::config::{ConnectorsConfig, Limits, MQTT};
use crate::connectors::ConnectorsError;
use crate::ingest::Ingest;
use crate::link::Opening;
use crate::listen::{Admission, accept};
use crate::tcp::MAX_FRAME_BYTES;
use rmqtt::context::ServerContext;
use rmqtt::hook::Type;
use rmqtt::net::{Builder, Listener};
use rmqtt::server::MqttServer;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Nothing waits for a client that is away, but some clients forget what was not acknowledged if their session is gone.
const SESSION_EXPIRY: Duration = Duration::from_secs(2 * 3600);
const MAX_CLIENT_ID_BYTES: usize = 256;
const MAX_TOPIC_LEVELS: usize = 8;

/// Settings of our own broker.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OwnBroker {
    /// Topics besides those of OwnTracks, and what is published there.
    pub topics: Vec<Subscription>,
    /// Lines `name:password`; with such a file nobody else may connect. It is read again when it changes.
    pub passwords_file: Option<PathBuf>,
}

/// A broker that is ready. It listens on a port of its own on loopback; [`relay`] stands between it and the clients.
pub(crate) struct Broker {
    server: MqttServer,
    ingest: Arc<Ingest>,
    address: SocketAddr,
    limits: Limits,
    clients: Arc<clients::Clients>,
}

impl Broker {
    /// Starts a broker that gives what it takes to `ingest`.
    pub(crate) async fn start(ingest: Ingest, config: Arc<ConnectorsConfig>) -> Result<Self, ConnectorsError> {
        let failed = |error: rmqtt::Error| ConnectorsError::Broker(format!("{error:#}"));
        let limits = config.limits.clone();
        let clients = clients::Clients::new(config.mqtt.passwords_file.as_deref()).map_err(ConnectorsError::Broker)?;
        let clients = Arc::new(clients);
        let listener = listener(&limits, !clients.ask()).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        // Its idea of "busy" looks at the whole machine's load, and would turn devices away for somebody else's work.
        let sessions = isize::try_from(limits.max_mqtt_sessions.max(1)).unwrap_or(isize::MAX);
        let context = ServerContext::new().busy_check_enable(false).mqtt_max_sessions(sessions).build().await;
        let ingest = Arc::new(ingest);
        let register = context.extends.hook_mgr().register();
        let hooks = hooks::Hooks::new(Arc::downgrade(&ingest), config, Arc::clone(&clients));
        for hook in [Type::ClientAuthenticate, Type::MessagePublishCheckAcl, Type::ClientSubscribeCheckAcl] {
            register.add(hook, Box::new(hooks.clone())).await;
        }
        register.start().await;
        let server = MqttServer::new(context).listener_by_id(listener, address.port()).build();
        Ok(Self { server, ingest, address, limits, clients })
    }

    /// Serves the clients of `listener` until `stop`.
    pub(crate) async fn run(self, listener: TcpListener, admission: Admission, opening: Opening, stop: CancellationToken) {
        let Self { server, ingest, address, limits, clients } = self;
        let shared = relay::Shared { broker: address, limits, clients: Arc::clone(&clients), stop: stop.clone() };
        let serve = move |client, peer| relay::serve(client, peer, shared.clone());
        tokio::select! {
            () = accept(MQTT, listener, admission.with_descriptors(relay::DESCRIPTORS), opening, stop, serve) => {}
            () = clients.keep_looking() => {}
            ended = server.run() => tracing::error!(?ended, "the MQTT broker ended by itself"),
        }
        drop(ingest);
    }
}

fn listener(limits: &Limits, anybody: bool) -> rmqtt::Result<Listener> {
    Builder::new()
        .name(MQTT)
        .laddr(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
        .nodelay(true)
        .allow_anonymous(anybody)
        .max_packet_size(MAX_FRAME_BYTES as u32)
        .max_clientid_len(MAX_CLIENT_ID_BYTES)
        .max_topic_levels(MAX_TOPIC_LEVELS)
        .max_connections(limits.max_connections)
        .handshake_timeout(limits.login_timeout())
        .session_expiry_interval(SESSION_EXPIRY)
        .max_session_expiry_interval(SESSION_EXPIRY)
        .bind()?
        .tcp()
}
