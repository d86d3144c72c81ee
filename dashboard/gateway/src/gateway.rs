//! The gateway put together.

use crate::auth::{OneTimeTokens, Origins, Passwords, Sessions, Throttle, require_same_origin};
use crate::config::GatewayConfig;
use crate::health::{ReadyCheck, operator_routes};
use crate::live::{self, Board, BoardPositions, Command, Follow, Hub, HubStart, Kills, Live, SharedBoard, socket_router};
use crate::nodes::{Adapter, Dashboards, Nodes, Supervisor};
use crate::replay::ReplayContext;
use crate::rest::{self, ExportFormat, Rest, sign_in_by_link};
use crate::wire::PageConfig;
use crate::{headers, listener, now, static_files};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use socketioxide::SocketIo;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use waystream_domain::UserId;
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Log, LogError};
use waystream_sql::SqlEngine;

/// Commands of sockets that may wait for the hub.
const COMMANDS: usize = 4_096;
/// Batches of news that may wait for the hub.
const NEWS: usize = 16;

/// Why the gateway can't run.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The address can't be listened on: another one, or stop what listens there.
    #[error("could not listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// The address of Redis makes no sense.
    #[error("could not make out the address of Redis")]
    Redis(#[from] redis::RedisError),
    /// The log can't be followed.
    #[error("gateway could not follow the log")]
    Log(#[from] LogError),
}

/// What the gateway is connected to.
pub struct GatewayParts {
    /// To follow.
    pub log: Arc<dyn Log>,
    /// To look things up and to edit.
    pub catalog: CatalogHandle,
    /// History.
    pub sql: Arc<SqlEngine>,
    /// Asked by `/readyz`.
    pub ready: Vec<ReadyCheck>,
    /// Shown by `/metrics`.
    pub metrics: Option<PrometheusHandle>,
    /// Written by `/api/export`.
    pub exports: Vec<ExportFormat>,
}

/// See the crate.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    config: GatewayConfig,
    router: Router,
    io: SocketIo<Adapter>,
    nodes: Option<Supervisor>,
    one_time: Arc<OneTimeTokens>,
    hub: Hub,
    commands: mpsc::Receiver<Command>,
    log: Arc<dyn Log>,
    follow: Follow,
}

/// Makes one-time sign-in links. Cheap to clone.
#[derive(Clone)]
pub struct SignInLinks {
    one_time: Arc<OneTimeTokens>,
    address: SocketAddr,
}

impl SignInLinks {
    /// A link that signs this user in, once, within 15 minutes.
    pub fn link(&self, user: &UserId) -> String {
        format!("http://{}/sign-in?token={}", self.address, self.one_time.issue(user.clone(), now()))
    }
}

impl Gateway {
    /// Listens, and reads the state of every vehicle. Requests are answered once it runs.
    pub async fn bind(config: GatewayConfig, parts: GatewayParts) -> Result<Self, GatewayError> {
        let GatewayParts { log, catalog, sql, ready, metrics, exports } = parts;
        let failed = |source| GatewayError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;

        // Subscribed under the lock: no edit is missed and none seen twice.
        let (edits, known) = {
            let shared = catalog.shared();
            let known = shared.read().unwrap_or_else(PoisonError::into_inner);
            (catalog.subscribe(), known.clone())
        };
        let mut board = Board::new(rand::random(), config.link.clone());
        let (cursor, follow) = live::start(&log, &mut board, &known, now()).await?;
        let board: SharedBoard = Arc::new(RwLock::new(board));
        sql.serve_latest(Arc::new(BoardPositions(Arc::clone(&board))));

        let sessions = Sessions::new(catalog.clone(), config.behind_tls);
        let kills = Kills::default();
        let (to_hub, commands) = mpsc::channel(COMMANDS);
        let hub = Hub::new(HubStart {
            log: Arc::clone(&log),
            sessions: sessions.clone(),
            kills: kills.clone(),
            board: Arc::clone(&board),
            catalog: known,
            handle: catalog.clone(),
            edits,
            cursor,
            cut_after: config.cut_after,
            commands: to_hub.clone(),
        });
        let replay = Arc::new(ReplayContext::new(Arc::clone(&sql), sessions.clone(), catalog.shared()));
        let (nodes, supervisor) = match &config.redis {
            Some(url) => Nodes::on(url).map(|(nodes, supervisor)| (nodes, Some(supervisor)))?,
            None => (Nodes::none(), None),
        };
        let live = Live { hub: to_hub, sessions: sessions.clone(), kills: kills.clone(), replay };
        let (sockets, io) = socket_router(live, nodes).await;

        let one_time = Arc::new(OneTimeTokens::default());
        let passwords = tokio::task::spawn_blocking(Passwords::new).await.expect("hashing does not panic");
        let rest = Arc::new(Rest {
            sessions,
            passwords,
            throttle: Throttle::default(),
            one_time: Arc::clone(&one_time),
            log: Arc::clone(&log),
            catalog,
            board,
            sql,
            exports,
            dashboards: Dashboards(io.clone()),
            page: PageConfig {
                title: config.title.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                tiles: config.tiles.clone(),
            },
        });
        let compressed = CompressionLayer::new().compress_when(SizeAbove::new(1_024).and(NotForContentType::IMAGES));
        let pages = Router::new()
            .route("/sign-in", get(sign_in_by_link))
            .with_state(Arc::clone(&rest))
            .merge(rest::router(rest))
            .merge(operator_routes(ready, metrics))
            .fallback(static_files::file)
            .layer(compressed);
        let origins = Origins { also: config.origins.clone().into() };
        let router = headers::secure(pages.merge(sockets), config.tiles.as_ref())
            .layer(from_fn_with_state(kills, Kills::follow_upgrades))
            .layer(from_fn_with_state(origins, require_same_origin))
            .layer(CatchPanicLayer::new());
        Ok(Self { listener, address, config, router, io, nodes: supervisor, one_time, hub, commands, log, follow })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// For sign-in links, also while it runs.
    pub fn sign_in_links(&self) -> SignInLinks {
        // Whoever listens on all addresses is reached on this one from here.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        SignInLinks { one_time: Arc::clone(&self.one_time), address }
    }

    /// A link that signs this user in, once, within 15 minutes.
    pub fn one_time_link(&self, user: &UserId) -> String {
        self.sign_in_links().link(user)
    }

    /// Runs until cancelled; then sockets are closed and requests may finish.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), GatewayError> {
        let stop = cancel.child_token();
        let _stop_all = stop.clone().drop_guard();
        let (to_hub, news) = mpsc::channel(NEWS);
        let serving = listener::serve(self.listener, self.router, self.config.limits, stop.clone());
        let following = live::follow(self.follow, to_hub, stop.clone());
        let hub = self.hub.run(self.commands, news, stop.clone());
        drop(self.log);
        let io = self.io;
        let nodes = async {
            if let Some(nodes) = self.nodes {
                nodes.run(stop.clone()).await;
            }
        };
        let closing = async {
            stop.cancelled().await;
            io.close().await;
        };
        // Whatever fails ends all.
        let watched = |part: Result<(), LogError>| {
            stop.cancel();
            part
        };
        let ((), (), (), followed, hub_ended) =
            tokio::join!(serving, closing, nodes, async { watched(following.await) }, async { watched(hub.await) });
        followed?;
        hub_ended?;
        Ok(())
    }
}
