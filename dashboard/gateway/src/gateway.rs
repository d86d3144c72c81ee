//! The gateway put together.

use crate::auth::{
    FIRST_LINK_MS, Links, Origins, Passwords, SecondFactors, Sessions, Shares, Throttle, Uses, require_same_origin,
};
use crate::config::GatewayConfig;
use crate::health::{ReadyCheck, alive, operator_routes_for_this_machine};
use crate::live::{self, Board, BoardPositions, Command, Follow, Hub, HubStart, Kills, Live, SharedBoard, socket_router};
use crate::nodes::{Adapter, Dashboards, Nodes, RedisConfigError, Supervisor};
use crate::oidc::Oidc;
use crate::replay::ReplayContext;
use crate::rest::{self, ExportFormat, Lists, Rates, Rest, Trails, Turns, limited_openings, sign_in_by_link};
use crate::wire::PageConfig;
use crate::{headers, listener, now, static_files, tiles_file};
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use socketioxide::SocketIo;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use waystream_domain::{Actor, UserId};
use waystream_log::catalog::CatalogHandle;
use waystream_log::{Log, LogError};
use waystream_sql::SqlEngine;
use waystream_sql::fair::Places;
use waystream_tls::{Entrance, Open, TlsError};

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
    /// Passwords and positions would be sent in the open.
    #[error("dashboard: {0}; or behind_tls = true, if a proxy in front of it speaks TLS")]
    Open(Open),
    /// Certificate or key can't be used.
    #[error("no TLS for the dashboard")]
    Tls(#[from] TlsError),
    /// Redis can't be used as it is set.
    #[error("could not make out how to reach Redis")]
    Redis(#[from] RedisConfigError),
    /// The settings of the OpenID provider make no sense.
    #[error("gateway.oidc.{0}")]
    Oidc(String),
    /// The archive of map tiles can't be handed out.
    #[error("could not use the map tiles in {file}")]
    Tiles {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
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
    /// Asked by `/readyz`, as far as the dashboard's port has it.
    pub ready: Vec<ReadyCheck>,
    /// Shown by `/metrics`, likewise.
    pub metrics: Option<PrometheusHandle>,
    /// Written by `/api/export`.
    pub exports: Vec<ExportFormat>,
}

/// See the crate.
pub struct Gateway {
    listener: TcpListener,
    address: SocketAddr,
    entrance: Entrance,
    config: GatewayConfig,
    router: Router,
    io: SocketIo<Adapter>,
    nodes: Option<Supervisor>,
    links: Links,
    uses: Uses,
    hub: Hub,
    commands: mpsc::Receiver<Command>,
    log: Arc<dyn Log>,
    follow: Follow,
}

/// Makes one-time sign-in links. Cheap to clone.
#[derive(Clone)]
pub struct SignInLinks {
    links: Links,
    address: String,
}

impl SignInLinks {
    /// A link that signs this user in, once, within 15 minutes.
    pub async fn link(&self, user: &UserId) -> Result<String, LogError> {
        let by = Actor::Program { doing: "a link for the first owner".into() };
        let secret = self.links.issue(&by, user.clone(), FIRST_LINK_MS, now()).await?;
        Ok(format!("{}sign-in?token={}", self.address, secret.as_str()))
    }
}

impl Gateway {
    /// Listens, and reads the state of every vehicle. Requests are answered once it runs.
    pub async fn bind(config: GatewayConfig, parts: GatewayParts) -> Result<Self, GatewayError> {
        let GatewayParts { log, catalog, sql, ready, metrics, exports } = parts;
        let encryption = config.encryption();
        encryption.suffices(config.listen).map_err(GatewayError::Open)?;
        let oidc = config.oidc.as_ref().map(Oidc::new).transpose().map_err(GatewayError::Oidc)?;
        let entrance = encryption.entrance("dashboard", &[b"http/1.1"])?;
        let failed = |source| GatewayError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let tiles = match &config.tiles_file {
            Some(file) => {
                let failed = |source| GatewayError::Tiles { file: file.clone(), source };
                tiles_file::router(file).await.map_err(failed)?
            }
            None => Router::new(),
        };

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

        let (sessions, uses) = Sessions::of_catalog(catalog.clone(), config.is_encrypted(), config.sessions);
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
            detail: config.detail.clone(),
            commands: to_hub.clone(),
        });
        let replay = Arc::new(ReplayContext::new(Arc::clone(&sql), sessions.clone(), catalog.shared()));
        let (nodes, supervisor) = match &config.redis {
            Some(redis) => Nodes::on(redis).map(|(nodes, supervisor)| (nodes, Some(supervisor)))?,
            None => (Nodes::none(), None),
        };
        let live = Live {
            hub: to_hub,
            sessions: sessions.clone(),
            kills: kills.clone(),
            replay,
            catalog: catalog.shared(),
            places: Places::new(config.limits.sockets, 0),
        };
        let (sockets, io) = socket_router(live, nodes).await;

        let links = Links::new(catalog.clone());
        let passwords = tokio::task::spawn_blocking(Passwords::new).await.expect("hashing does not panic");
        let rest = Arc::new(Rest {
            sessions,
            passwords,
            rates: Rates::new(config.requests_per_s),
            throttle: Throttle::default(),
            codes: Throttle::default(),
            second_factors: SecondFactors::new(catalog.clone()),
            links: links.clone(),
            shares: Shares::new(catalog.clone()),
            trails: Trails::default(),
            log: Arc::clone(&log),
            catalog,
            most: config.most,
            turns: Turns::default(),
            tests: Default::default(),
            board,
            lists: Lists::default(),
            sql,
            exporting: Places::new(rest::EXPORTS, 0),
            exports,
            dashboards: Dashboards(io.clone()),
            page: PageConfig {
                title: config.title.clone(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                tiles: config.tiles.clone(),
                oidc: oidc.as_ref().map(Oidc::button),
            },
            oidc,
        });
        // Images, Parquet and workbooks are compressed as they are; lines that are told as they come must not wait for more.
        let worth_it = SizeAbove::new(1_024)
            .and(NotForContentType::IMAGES)
            .and(NotForContentType::const_new(rest::LINES))
            .and(NotForContentType::const_new("application/vnd.apache.parquet"))
            .and(NotForContentType::const_new("application/vnd.openxmlformats"));
        let compressed = CompressionLayer::new().compress_when(worth_it);
        let sockets = sockets.layer(from_fn_with_state(Arc::clone(&rest), limited_openings));
        let operators = if config.operators { operator_routes_for_this_machine(ready, metrics) } else { alive() };
        let pages = Router::new()
            .route("/sign-in", get(sign_in_by_link))
            .with_state(Arc::clone(&rest))
            .merge(rest::router(rest))
            .merge(operators)
            .fallback(static_files::file)
            .layer(compressed);
        let origins = Origins { also: config.origins.clone().into() };
        let router = pages
            .merge(tiles)
            .merge(sockets)
            .layer(from_fn_with_state(kills, Kills::follow_upgrades))
            .layer(from_fn_with_state(origins, require_same_origin))
            .layer(CatchPanicLayer::new());
        // Outside of all: also what is refused on the way in has them.
        let router = headers::secure(router, config.tiles.as_ref(), config.is_encrypted());
        Ok(Self { listener, address, entrance, config, router, io, nodes: supervisor, links, uses, hub, commands, log, follow })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where a browser on this machine finds it.
    pub fn url(&self) -> String {
        let scheme = if self.entrance.tls().is_some() { "https" } else { "http" };
        // Whoever listens on all addresses is reached on this one from here.
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
        }
        format!("{scheme}://{address}/")
    }

    /// For sign-in links, also while it runs.
    pub fn sign_in_links(&self) -> SignInLinks {
        SignInLinks { links: self.links.clone(), address: self.url() }
    }

    /// Runs until cancelled; then sockets are closed and requests may finish.
    pub async fn run(self, cancel: CancellationToken) -> Result<(), GatewayError> {
        let stop = cancel.child_token();
        let _stop_all = stop.clone().drop_guard();
        let (to_hub, news) = mpsc::channel(NEWS);
        let serving = listener::serve(self.listener, self.entrance, self.router, self.config.limits, stop.clone());
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
        let uses = self.uses.write_down(stop.clone());
        let ((), (), (), (), followed, hub_ended) =
            tokio::join!(serving, closing, nodes, uses, async { watched(following.await) }, async { watched(hub.await) });
        followed?;
        hub_ended?;
        Ok(())
    }
}
