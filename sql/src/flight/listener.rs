//! What becomes of a connection: TLS first, then calls.

use super::Shared;
use super::connection::{Visit, serve_connection};
use super::service::Service;
use crate::accept::accept;
use crate::fair::Places;
use crate::metrics;
use arrow_flight::flight_service_server::FlightServiceServer;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use waystream_tls::Welcome;

/// Longest message of a client, and with it ticket and handle: a statement and its values fit.
const MAX_MESSAGE: usize = 1 << 20;

/// TCP, with TLS or without.
pub(super) trait Socket: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Socket for S {}

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let guests = Places::new(shared.options.connections, 0);
    let server = FlightServiceServer::new(Service(Arc::clone(&shared))).max_decoding_message_size(MAX_MESSAGE);
    let stop = cancel.child_token();
    let _stop_all = stop.clone().drop_guard();
    accept(listener, "Flight SQL", metrics::flight_failed, &cancel, |tcp, peer, stranger| {
        let visit = Arc::new(Visit::new(peer, Arc::clone(&shared), guests.clone(), stranger, stop.clone()));
        let server = server.clone();
        async move {
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
        }
    })
    .await;
}

/// What TLS there has to be comes first. `None`: it came without TLS from elsewhere.
async fn enter(tcp: TcpStream, peer: SocketAddr, shared: &Shared) -> io::Result<Option<Box<dyn Socket>>> {
    let socket: Box<dyn Socket> = match shared.entrance.welcome(&tcp, peer.ip()).await? {
        Welcome::Plain => Box::new(tcp),
        Welcome::Tls(acceptor) => Box::new(acceptor.accept(tcp).await?),
        Welcome::Refused => return Ok(None),
    };
    Ok(Some(socket))
}
