//! What becomes of a connection: it signs in, and stays until it ends.

use super::Shared;
use super::cancel::Cancellable;
use super::connection::Connection;
use super::failure::Failure;
use super::session::Session;
use super::startup::{self, Arrived};
use crate::accept::accept;
use crate::fair::{Place, Places};
use crate::metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use waystream_domain::TokenId;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, cancel: CancellationToken) {
    let guests = Places::new(shared.options.connections, 0);
    let stop = cancel.child_token();
    let _stop_all = stop.clone().drop_guard();
    accept(listener, "Postgres wire", metrics::postgres_failed, &cancel, |tcp, peer, stranger| {
        let (shared, guests, stop) = (Arc::clone(&shared), guests.clone(), stop.clone());
        async move {
            let signed_in = tokio::select! {
                signed_in = tokio::time::timeout(shared.options.startup, enter(tcp, peer, &shared, &guests, &stop)) => signed_in,
                () = stop.cancelled() => return,
            };
            drop(stranger);
            match signed_in {
                Ok(Some(guest)) => guest.stay().await,
                Ok(None) => {}
                Err(_) => metrics::postgres_failed("slow"),
            }
        }
    })
    .await;
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
