//! Accepting TCP connections: limits per address and in all, an accept loop that never ends by itself, one task per connection.

use crate::link::{Link, Opening};
use crate::metrics;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};
use waystream_tls::Places;

/// After `accept` failed (no file descriptors, most likely): connections that end meanwhile give theirs back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);
/// File descriptors kept for files, the dashboard and the log; of a small limit, a quarter.
const RESERVED_DESCRIPTORS: u64 = 512;

/// How many connections there may be. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Admission {
    /// One permit per file descriptor.
    all: Arc<Semaphore>,
    descriptors: u32,
    by_address: Places,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    _of_address: waystream_tls::Place,
    _one_of_all: OwnedSemaphorePermit,
}

impl Admission {
    /// Raises the process's limit of file descriptors as far as it may, and takes no more connections than it allows.
    pub(crate) fn new(max_connections: usize, per_address: usize) -> Self {
        let wanted = max_connections as u64 + RESERVED_DESCRIPTORS;
        let allowed = rlimit::increase_nofile_limit(wanted).unwrap_or_else(|error| {
            warn!(%error, "the limit of open files could not be read");
            wanted
        });
        let reserved = RESERVED_DESCRIPTORS.min(allowed / 4);
        let all = usize::try_from(allowed - reserved).unwrap_or(usize::MAX);
        let all = all.clamp(1, max_connections.max(1));
        if all < max_connections {
            warn!(max_connections, open_files = allowed, connections = all, "open files limit connections");
        }
        let all = Arc::new(Semaphore::new(all.min(Semaphore::MAX_PERMITS)));
        Self { all, descriptors: 1, by_address: Places::new(per_address) }
    }

    /// The same places, for connections that take more than one file descriptor.
    pub(crate) fn with_descriptors(mut self, descriptors: u32) -> Self {
        self.descriptors = descriptors;
        self
    }

    /// A place for a connection from this address, or the limit that is reached.
    pub(crate) fn admit(&self, address: IpAddr) -> Result<Place, &'static str> {
        let permit = Arc::clone(&self.all).try_acquire_many_owned(self.descriptors).map_err(|_| "total_limit")?;
        let of_address = self.by_address.take(address).ok_or("address_limit")?;
        Ok(Place { _of_address: of_address, _one_of_all: permit })
    }
}

/// Accepts until `stop`, then waits for the connections to end: they see `stop` too. Dropping the future cuts them off.
/// `serve` tells why its connection ended.
pub(crate) async fn accept<S, F>(
    protocol: &'static str,
    listener: TcpListener,
    admission: Admission,
    opening: Opening,
    stop: CancellationToken,
    serve: S,
) where
    S: Fn(Link, SocketAddr) -> F + Send + Sync + 'static,
    F: Future<Output = &'static str> + Send + 'static,
{
    let serve = Arc::new(serve);
    let mut connections = JoinSet::new();
    loop {
        // Biased: a stop must not wait behind a flood of new connections.
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(protocol, %error, "connection task failed");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match admission.admit(peer.ip()) {
                Ok(place) => {
                    // Answers are small and somebody waits for each. A connection that is gone already ends by itself.
                    if let Err(error) = stream.set_nodelay(true) {
                        debug!(protocol, %peer, %error, "delays could not be switched off");
                    }
                    let (opening, serve, stop) = (opening.clone(), Arc::clone(&serve), stop.clone());
                    let serving = async move {
                        let opened = tokio::select! {
                            opened = opening.open(stream, peer) => opened,
                            () = stop.cancelled() => return "stopping",
                        };
                        match opened {
                            // Boxed, as a future that awaits another has room for it twice.
                            Ok(link) => Box::pin(serve(link, peer)).await,
                            Err(reason) => reason,
                        }
                    };
                    connections.spawn(counted(protocol, peer, place, serving));
                }
                Err(limit) => {
                    metrics::turned_away(protocol, limit);
                    debug!(protocol, %peer, limit, "connection turned away");
                }
            },
            Err(error) => {
                metrics::accept_failed(protocol);
                if !is_the_peers_fault(&error) {
                    warn!(protocol, %error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn counted(protocol: &'static str, peer: SocketAddr, place: Place, serving: impl Future<Output = &'static str>) {
    struct Open(&'static str, #[allow(dead_code, reason = "held until the connection ends")] Place);
    impl Drop for Open {
        fn drop(&mut self) {
            metrics::gone(self.0);
        }
    }
    metrics::opened(protocol);
    let _open = Open(protocol, place);
    let reason = serving.await;
    metrics::closed(protocol, reason);
    debug!(protocol, %peer, reason, "connection closed");
}

/// The connection was gone before it was accepted: the next one is not affected.
fn is_the_peers_fault(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn places_are_limited_per_address_and_in_all_and_are_given_back() {
        let admission = Admission::new(3, 2);
        let (a, b) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let first = admission.admit(a).unwrap();
        let _second = admission.admit(a).unwrap();
        assert_eq!(admission.admit(a).unwrap_err(), "address_limit");
        let _third = admission.admit(b).unwrap();
        assert_eq!(admission.admit(b).unwrap_err(), "total_limit");
        drop(first);
        assert!(admission.admit(a).is_ok());
    }
}
