//! Takes connections and cares for each until it ends. None of them can harm another.

use super::Shared;
use super::connection::{Visit, serve_connection};
use super::service::Service;
use crate::fair::Places;
use crate::metrics;
use arrow_flight::flight_service_server::FlightServiceServer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_tls::{Places as Senders, Welcome, is_local};

/// Connections that may not have shown a token yet, beside those that have; further ones are closed at once.
const STRANGERS: usize = 64;
/// Of them, from one address (of IPv6, from one /64), as over Postgres wire. This machine may have all: a proxy may stand here.
const STRANGERS_OF_ADDRESS: usize = 16;
/// Pause when the system gives no connection, as when no file handles are left.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest message of a client, and with it ticket and handle: a statement and its values fit.
const MAX_MESSAGE: usize = 1 << 20;

/// TCP, with TLS or without.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let of_addresses = Senders::new(STRANGERS_OF_ADDRESS);
    let guests = Places::new(shared.options.connections, 0);
    let server = FlightServiceServer::new(Service(Arc::clone(&shared))).max_decoding_message_size(MAX_MESSAGE);
    let stop = cancel.child_token();
    let _stop_all = stop.clone().drop_guard();
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of Flight SQL broke off");
                }
                continue;
            }
            () = cancel.cancelled() => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not take a connection of Flight SQL");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let of_address = of_addresses.take(peer.ip());
        let stranger = Arc::clone(&strangers).try_acquire_owned().ok();
        let Some(stranger) = stranger.filter(|_| of_address.is_some() || is_local(peer.ip())) else {
            metrics::flight_failed("busy");
            continue;
        };
        let stranger = (stranger, of_address);
        let visit = Arc::new(Visit::new(peer, Arc::clone(&shared), guests.clone(), stranger, stop.clone()));
        let server = server.clone();
        running.spawn(async move {
            let entered = tokio::select! {
                entered = tokio::time::timeout(visit.shared.options.startup, enter(tcp, peer, &visit.shared)) => entered,
                () = visit.stop.cancelled() => return,
            };
            match entered {
                Ok(Ok(Some(socket))) => serve_connection(socket, visit, server).await,
                Ok(Ok(None)) => {
                    metrics::flight_failed("sign_in");
                    tracing::warn!(%peer, "Flight SQL client turned away: it came without TLS");
                }
                Ok(Err(error)) => tracing::debug!(%peer, %error, "connection lost before its first call"),
                Err(_) => metrics::flight_failed("slow"),
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// What TLS there has to be comes first. `None`: it came without TLS from elsewhere.
async fn enter(tcp: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<Option<Box<dyn Socket>>> {
    // Small answers are sent as they are.
    drop(tcp.set_nodelay(true));
    let socket: Box<dyn Socket> = match shared.entrance.welcome(&tcp, peer.ip()).await? {
        Welcome::Plain => Box::new(tcp),
        Welcome::Tls(acceptor) => Box::new(acceptor.accept(tcp).await?),
        Welcome::Refused => return Ok(None),
    };
    Ok(Some(socket))
}
