//! Takes connections and cares for each until it ends. None of them can harm another.

use super::Shared;
use super::cancel::Cancellable;
use super::connection::Connection;
use super::failure::Failure;
use super::session::Session;
use super::startup::{self, Arrived};
use crate::fair::{Place, Places};
use crate::metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_domain::TokenId;
use waystream_tls::{Places as Senders, is_local};

/// Connections that may not have signed in yet, beside those that have; further ones are closed at once.
const STRANGERS: usize = 64;
/// Of them, from one address (of IPv6, from one /64). This machine may have all: a proxy may stand here.
const STRANGERS_OF_ADDRESS: usize = 16;
/// Pause when the system gives no connection, as when no file handles are left.
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let of_addresses = Senders::new(STRANGERS_OF_ADDRESS);
    let guests = Places::new(shared.options.connections, 0);
    let stop = cancel.child_token();
    let _stop_all = stop.clone().drop_guard();
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection of Postgres wire broke off");
                }
                continue;
            }
            () = cancel.cancelled() => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "could not take a connection of Postgres wire");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let of_address = of_addresses.take(peer.ip());
        let stranger = Arc::clone(&strangers).try_acquire_owned().ok();
        let Some(stranger) = stranger.filter(|_| of_address.is_some() || is_local(peer.ip())) else {
            metrics::postgres_failed("busy");
            continue;
        };
        let (shared, guests, stop) = (Arc::clone(&shared), guests.clone(), stop.clone());
        running.spawn(async move {
            let signed_in = tokio::select! {
                signed_in = tokio::time::timeout(shared.options.startup, enter(tcp, peer, &shared, &guests, &stop)) => signed_in,
                () = stop.cancelled() => return,
            };
            drop((stranger, of_address));
            match signed_in {
                Ok(Some(guest)) => guest.stay().await,
                Ok(None) => {}
                Err(_) => metrics::postgres_failed("slow"),
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// A client that has signed in, and its place among them: organisations share these, so that none has all.
struct Guest {
    session: Session,
    connection: Connection,
    _place: Place,
}

impl Guest {
    async fn stay(self) {
        metrics::postgres_connections(1.0);
        self.session.run(self.connection).await;
        metrics::postgres_connections(-1.0);
    }
}

async fn enter(
    tcp: TcpStream,
    peer: SocketAddr,
    shared: &Arc<Shared>,
    guests: &Places,
    stop: &CancellationToken,
) -> Option<Guest> {
    // Small answers are sent as they are.
    drop(tcp.set_nodelay(true));
    let mut arrived = match startup::arrive(tcp, shared).await {
        Ok(arrived) => arrived?,
        Err(failure) => {
            failure.kind().into_iter().for_each(metrics::postgres_failed);
            return None;
        }
    };
    match welcome(&mut arrived, peer, shared, guests).await {
        Ok((session, place, cancellable, token)) => {
            let Arrived { mut inbound, outbound, .. } = arrived;
            inbound.trust();
            let connection = Connection::new(inbound, outbound, cancellable, token, shared, stop.clone());
            Some(Guest { session, connection, _place: place })
        }
        Err(failure) => {
            if let Some(kind) = failure.kind() {
                metrics::postgres_failed(kind);
                tracing::warn!(%peer, kind, "Postgres client turned away");
            }
            if let Some(message) = failure.message() {
                // Whoever is gone need not hear it.
                drop(arrived.outbound.put(&message));
                arrived.outbound.close().await;
            }
            None
        }
    }
}

type Welcomed = (Session, Place, Cancellable, TokenId);

async fn welcome(arrived: &mut Arrived, peer: SocketAddr, shared: &Arc<Shared>, guests: &Places) -> Result<Welcomed, Failure> {
    if !arrived.encrypted && !shared.entrance.may_do_without(peer.ip()) {
        return Err(Failure::fatal("28000", "connect with TLS (sslmode=require)"));
    }
    let welcome = startup::sign_in(arrived, shared.door.as_ref()).await?;
    let scope = shared.door.scope(&welcome.token).ok_or_else(Failure::token_ended)?;
    let place = guests.try_take(scope.organisation(), shared.engine.is_for_one());
    let place = place.ok_or_else(|| Failure::fatal("53300", "too many clients already"))?;
    let cancellable =
        shared.cancels.enter(welcome.secret_bytes).ok_or_else(|| Failure::fatal("XX000", "there is no randomness"))?;
    let token = welcome.token.clone();
    let session = Session::new(welcome, cancellable.pid, shared)?;
    session.greet(&cancellable, &mut arrived.outbound)?;
    arrived.outbound.flush().await?;
    Ok((session, place, cancellable, token))
}
