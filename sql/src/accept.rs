//! Takes the connections of SQL clients, of whichever wire, and cares for each until it ends. None of them can harm another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_tls::{Place, Places, is_local};

/// Connections that may not have shown who they are yet, beside those that have; further ones are closed at once.
const STRANGERS: usize = 64;
/// Of them, from one address (of IPv6, from one /64). This machine may have all: a proxy may stand here.
const STRANGERS_OF_ADDRESS: usize = 16;
/// Pause when the system gives no connection, as when no file handles are left.
const PAUSE: Duration = Duration::from_millis(100);

/// A place among those who have not shown who they are, until it is dropped.
pub(crate) struct Stranger {
    _of_all: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

/// Until cancelled, and then until all connections have ended. `wire` is its name for people; `failed` counts who is not let in, by why.
pub(crate) async fn accept<F>(
    listener: TcpListener,
    wire: &'static str,
    failed: fn(&'static str),
    cancel: &CancellationToken,
    mut care: impl FnMut(TcpStream, SocketAddr, Stranger) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let strangers = Arc::new(Semaphore::new(STRANGERS));
    let of_addresses = Places::new(STRANGERS_OF_ADDRESS);
    let mut running = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, wire, "a connection of an SQL client broke off");
                }
                continue;
            }
            () = cancel.cancelled() => break,
        };
        let (tcp, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, wire, "could not take a connection of an SQL client");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let of_address = of_addresses.take(peer.ip());
        let of_all = Arc::clone(&strangers).try_acquire_owned().ok();
        let Some(of_all) = of_all.filter(|_| of_address.is_some() || is_local(peer.ip())) else {
            failed("busy");
            continue;
        };
        // Small answers are sent as they are.
        drop(tcp.set_nodelay(true));
        running.spawn(care(tcp, peer, Stranger { _of_all: of_all, _of_address: of_address }));
    }
    while running.join_next().await.is_some() {}
}
