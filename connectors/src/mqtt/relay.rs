//! Between a client and the broker: what rmqtt does not do by itself. It waits for a first packet for ever, knows no limit per
//! address, and can't be stopped gently; here a silent client is closed, places are counted, and a stop lets the broker finish
//! what it has been given.

use super::clients::{Clients, Who};
use crate::config::Limits;
use crate::link::{Link, read_some};
use bytes::BytesMut;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Sockets of one connection: the client's, and both ends of the one to the broker.
pub(super) const DESCRIPTORS: u32 = 3;

/// What all connections share.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) broker: SocketAddr,
    pub(super) limits: Limits,
    pub(super) clients: Arc<Clients>,
    pub(super) stop: CancellationToken,
}

/// Relays until both sides have ended, and tells why.
pub(super) async fn serve(client: Link, peer: SocketAddr, shared: Shared) -> &'static str {
    let Shared { broker, limits, clients, stop } = shared;
    let Ok(mut broker) = TcpStream::connect(broker).await else { return "broker_gone" };
    let (Ok(at), Ok(())) = (broker.local_addr(), broker.set_nodelay(true)) else { return "broken" };
    // Before the broker hears a byte of it.
    let place = clients.enter(at, Who { peer, certificate: client.certificate() });
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_broker, mut to_broker) = broker.split();
    let answered = AtomicBool::new(false);

    // Ends when the broker has nothing more to say: it has dealt with everything that it was given.
    let down = pin!(async {
        loop {
            match pump(&mut from_broker, &mut to_client, pending()).await {
                Ok(true) => answered.store(true, Ordering::Relaxed),
                Ok(false) | Err(_) => return "closed",
            }
        }
    });
    let up = pin!(async {
        let reason = tokio::select! {
            reason = upward(&mut from_client, &mut to_broker, limits.idle_timeout()) => reason,
            () = stop.cancelled() => "stopping",
        };
        if to_broker.shutdown().await.is_err() {
            return reason;
        }
        pending().await
    });
    // The broker answers a connection request at once; without an answer there was none.
    let silent = async {
        tokio::time::sleep(limits.login_timeout()).await;
        if answered.load(Ordering::Relaxed) {
            pending::<Infallible>().await;
        }
    };
    tokio::select! {
        reason = down => reason,
        reason = up => reason,
        () = silent => "late_login",
        () = place.cut.cancelled() => "cut",
    }
}

async fn upward(from: &mut (impl AsyncRead + Unpin), to: &mut (impl AsyncWrite + Unpin), idle: Duration) -> &'static str {
    loop {
        match pump(from, to, tokio::time::sleep(idle)).await {
            Ok(true) => {}
            Ok(false) => return "closed",
            Err(error) if error.kind() == io::ErrorKind::TimedOut => return "idle",
            Err(_) => return "broken",
        }
    }
}

/// Carries what is there to read; `false` at the end of the stream. An idle connection holds no buffer.
async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    timeout: impl Future<Output = ()>,
) -> io::Result<bool> {
    let mut bytes = BytesMut::new();
    let count = tokio::select! {
        read = read_some(from, &mut bytes) => read?,
        () = timeout => return Err(io::ErrorKind::TimedOut.into()),
    };
    if count == 0 {
        return Ok(false);
    }
    to.write_all(&bytes).await?;
    // What stays in a buffer of TLS would wait for the next message.
    to.flush().await?;
    Ok(true)
}
