//! Between a client and the broker: what rmqtt does not do by itself. It waits for a first packet for ever, knows no limit per
//! address, and can't be stopped gently; here a silent client is closed, places are counted, and a stop lets the broker finish
//! what it has been given.

use crate::config::Limits;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

/// Sockets of one connection: the client's, and both ends of the one to the broker.
pub(super) const DESCRIPTORS: u32 = 3;
const READ_BYTES: usize = 4 * 1024;

/// Relays until both sides have ended, and tells why.
pub(crate) async fn serve(mut client: TcpStream, broker: SocketAddr, limits: Limits, stop: CancellationToken) -> &'static str {
    let Ok(mut broker) = TcpStream::connect(broker).await else { return "broker_gone" };
    if broker.set_nodelay(true).is_err() {
        return "broken";
    }
    let (from_client, mut to_client) = client.split();
    let (from_broker, mut to_broker) = broker.split();
    let answered = AtomicBool::new(false);

    // Ends when the broker has nothing more to say: it has dealt with everything that it was given.
    let down = pin!(async {
        loop {
            match pump(&from_broker, &mut to_client, pending()).await {
                Ok(true) => answered.store(true, Ordering::Relaxed),
                Ok(false) | Err(_) => return "closed",
            }
        }
    });
    let up = pin!(async {
        let reason = tokio::select! {
            reason = upward(&from_client, &mut to_broker, limits.idle_timeout()) => reason,
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
    }
}

async fn upward(from: &ReadHalf<'_>, to: &mut WriteHalf<'_>, idle: Duration) -> &'static str {
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
async fn pump(from: &ReadHalf<'_>, to: &mut WriteHalf<'_>, timeout: impl Future<Output = ()>) -> io::Result<bool> {
    let mut timeout = pin!(timeout);
    loop {
        tokio::select! {
            readable = from.readable() => readable?,
            () = &mut timeout => return Err(io::ErrorKind::TimedOut.into()),
        }
        let mut buffer = Vec::with_capacity(READ_BYTES);
        match from.try_read_buf(&mut buffer) {
            Ok(0) => return Ok(false),
            Ok(_) => {
                to.write_all(&buffer).await?;
                return Ok(true);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}
