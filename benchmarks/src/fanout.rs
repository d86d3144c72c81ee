//! Thousands of Socket.IO clients in one thread, which take what a server sends and say how old it is: of our gateway, or of the usual
//! stack's server, told apart by the first bytes of what arrives.

use crate::watcher::{Server, Watcher};
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Bytes;

/// What one message of ours begins with: FT1, version 1, a delta.
const DELTA: [u8; 2] = [0x46, 0x11];
/// What one message of the usual stack's server begins with; the scheduled time of sending follows, in microseconds of the monotonic clock.
const PEER: &[u8] = b"GPSB";
/// What comes after a pause is fresh if it is not older.
const FRESH: Duration = Duration::from_millis(250);

/// The clients.
#[derive(Debug, Clone)]
pub struct Clients {
    /// Whom they speak with: client i of room or fleet i modulo rooms.
    pub server: Server,
    /// Where it listens.
    pub address: SocketAddr,
    /// How many.
    pub clients: usize,
    /// Of these, so many stop reading while it is measured.
    pub frozen: usize,
    /// Rooms or fleets.
    pub rooms: usize,
    /// New ones a second.
    pub rate: usize,
}

/// What they have seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Messages that arrived while it was measured, at clients that are not frozen.
    pub delivered: usize,
    /// Their bytes.
    pub bytes: usize,
    /// From when each was to be sent (of ours: was put together) until it arrived.
    pub latencies: Vec<Duration>,
    /// Of those that had been frozen: from reading again until something fresh came.
    pub fresh_after: Vec<Duration>,
    /// Connections that ended.
    pub ended: usize,
}

struct Shared {
    clients: Clients,
    connected: AtomicUsize,
    measuring: AtomicBool,
    /// Whether those to be frozen are.
    frozen: watch::Sender<bool>,
    seen: Mutex<Seen>,
}

/// Connected clients.
pub struct Crowd {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Crowd {
    /// Connects all of them. `joined`: they also ask for what there is to see.
    pub async fn connect(clients: Clients, joined: bool) -> Result<Self> {
        let shared = Arc::new(Shared {
            connected: AtomicUsize::new(0),
            measuring: AtomicBool::new(false),
            frozen: watch::channel(false).0,
            seen: Mutex::default(),
            clients,
        });
        let mut tasks = JoinSet::new();
        let mut next = tokio::time::interval(Duration::from_secs(1) / u32::try_from(shared.clients.rate)?);
        for number in 0..shared.clients.clients {
            next.tick().await;
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                if let Err(error) = client(number, &shared, joined).await {
                    tracing::debug!(number, %error, "a client ended");
                }
                shared.look(|seen| seen.ended += 1);
            });
        }
        let all = async {
            while shared.connected.load(Ordering::Relaxed) < shared.clients.clients {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let connected = tokio::time::timeout(Duration::from_secs(60), all).await;
        ensure!(connected.is_ok(), "{} of {} connected", shared.connected.load(Ordering::Relaxed), shared.clients.clients);
        Ok(Self { shared, tasks })
    }

    /// Looks for so long; frozen clients read again afterwards, and it goes on until they have seen something fresh, or are cut.
    pub async fn measure(&mut self, time: Duration) -> Seen {
        self.shared.frozen.send_replace(true);
        self.shared.measuring.store(true, Ordering::Relaxed);
        tokio::time::sleep(time).await;
        self.shared.measuring.store(false, Ordering::Relaxed);
        self.shared.frozen.send_replace(false);
        let all_fresh = async {
            while self.shared.look(|seen| seen.fresh_after.len() + seen.ended) < self.shared.clients.frozen {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        // Those that never become fresh are missing in what was seen.
        drop(tokio::time::timeout(Duration::from_secs(30), all_fresh).await);
        self.shared.look(std::mem::take)
    }

    /// Goes away.
    pub async fn leave(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Shared {
    fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn client(number: usize, shared: &Shared, joined: bool) -> Result<()> {
    let Clients { server, address, frozen, rooms, .. } = &shared.clients;
    let mut watcher = Watcher::connect(server, *address, joined.then_some(number % rooms)).await?;
    shared.connected.fetch_add(1, Ordering::Relaxed);
    let (mut freezes, mut resumed) = (shared.frozen.subscribe(), None);
    loop {
        if number < *frozen && *freezes.borrow_and_update() {
            freezes.wait_for(|frozen| !frozen).await.context("the crowd is gone")?;
            resumed = Some(Instant::now());
        }
        let bytes = watcher.next().await?;
        let Some(age) = age(&bytes) else { continue };
        if let Some(since) = resumed.take_if(|_| age <= FRESH) {
            shared.look(|seen| seen.fresh_after.push(since.elapsed()));
        }
        if number >= *frozen && shared.measuring.load(Ordering::Relaxed) {
            shared.look(|seen| {
                seen.delivered += 1;
                seen.bytes += bytes.len();
                seen.latencies.push(age);
            });
        }
    }
}

/// How old a message of positions is; none: it is another one.
fn age(bytes: &Bytes) -> Option<Duration> {
    let (sent, now) = if bytes.starts_with(&DELTA) {
        let sent_ms = f64::from_le_bytes(bytes.get(12..20)?.try_into().ok()?);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
        (Duration::try_from_secs_f64(sent_ms / 1e3).ok()?, now)
    } else {
        let sent_us = u64::from_le_bytes(bytes.strip_prefix(PEER)?.get(..8)?.try_into().ok()?);
        // The same clock that the server stamps with, of which the standard library tells differences only.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        (Duration::from_micros(sent_us), Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?))
    };
    Some(now.saturating_sub(sent))
}
