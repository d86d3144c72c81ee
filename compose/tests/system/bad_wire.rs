//! A TCP wire that misbehaves on purpose: what goes through it is late, slow, held back, or cut in the middle. Who is at its ends are real
//! programs, and neither knows that it is there.
#![allow(dead_code)] // each test uses a part

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// What is read at once, bytes, and how often that may be on its way.
const PIECE: usize = 4 << 10;
const PIECES: usize = 64;

/// What the wire does from now on, to connections old and new.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Weather {
    /// Connections are accepted, and nothing gets through. What is sent meanwhile arrives when it is over, as TCP would have it.
    pub(crate) black_hole: bool,
    /// Each way.
    pub(crate) delay: Duration,
    /// Each way of each connection.
    pub(crate) bytes_per_s: Option<u32>,
    /// A new connection is cut after so many bytes at most, those to the server, and those from it.
    pub(crate) cut_within: Option<(usize, usize)>,
}

/// The wire; with it go its connections.
pub(crate) struct BadWire {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: AbortOnDropHandle<()>,
}

struct Shared {
    server: OnceLock<SocketAddr>,
    state: watch::Sender<State>,
    connections: AtomicUsize,
    opened: AtomicUsize,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    weather: Weather,
    /// How often everything was cut, and how often clients were lost.
    cuts: usize,
    losses: usize,
}

impl BadWire {
    /// A wire to a server that does no harm yet. What it does by chance comes from the seed.
    pub(crate) async fn to(server: SocketAddr, seed: u64) -> Self {
        let wire = Self::to_nowhere(seed).await;
        wire.lead_to(server);
        wire
    }

    /// One whose server has to know of it before it is there. Until then, who comes is sent away.
    pub(crate) async fn to_nowhere(seed: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = watch::Sender::new(State::default());
        let (server, connections, opened) = Default::default();
        let shared = Arc::new(Shared { server, state, connections, opened });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared), StdRng::seed_from_u64(seed)));
        Self { address, shared, _accepting: AbortOnDropHandle::new(accepting) }
    }

    /// Now its server is there.
    pub(crate) fn lead_to(&self, server: SocketAddr) {
        self.shared.server.set(server).unwrap();
    }

    /// The weather changes.
    pub(crate) fn set(&self, weather: Weather) {
        self.shared.state.send_modify(|state| state.weather = weather);
    }

    /// Cuts all connections, at both ends.
    pub(crate) fn cut(&self) {
        self.shared.state.send_modify(|state| state.cuts += 1);
    }

    /// Clients lose their connections, and the server doesn't learn of it: what is on its way to it still arrives, and no end.
    pub(crate) fn lose_clients(&self) {
        self.shared.state.send_modify(|state| state.losses += 1);
    }

    /// Connections that are open at one of their ends.
    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections that there have ever been.
    pub(crate) fn opened(&self) -> usize {
        self.shared.opened.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, mut rng: StdRng) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A client may have gone already.
                let Ok((client, _)) = accepted else { continue };
                let born = *shared.state.borrow();
                let (up, down) = born.weather.cut_within.unzip();
                let limits = [up, down].map(|most| most.map(|most| rng.random_range(1..=most)));
                shared.opened.fetch_add(1, Ordering::SeqCst);
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    carry(client, &shared, born, limits).await;
                    shared.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// One connection until it ends. `limits`: bytes after which it is cut, to the server and from it.
async fn carry(client: TcpStream, shared: &Shared, born: State, limits: [Option<usize>; 2]) {
    let Some(server) = shared.server.get() else { return };
    let Ok(server) = TcpStream::connect(server).await else { return };
    for end in [&client, &server] {
        end.set_nodelay(true).ok();
    }
    let (client_in, client_out) = client.into_split();
    let (server_in, server_out) = server.into_split();
    let (to_up, up) = mpsc::channel(PIECES);
    let (to_down, down) = mpsc::channel(PIECES);
    let (over, server_gone) = (CancellationToken::new(), CancellationToken::new());

    let from_client = async {
        tokio::select! {
            () = shared.lost(born) => {}
            () = take(client_in, to_up, shared) => {}
        }
    };
    let to_server = async {
        let mut server_out = server_out;
        give(up, &mut server_out, shared, limits[0], &over).await;
        // Whose client is lost is told nothing, and waits.
        let is_lost = shared.state.borrow().losses != born.losses;
        if is_lost {
            server_gone.cancelled().await;
        }
        server_out.shutdown().await.ok();
    };
    let from_server = async {
        take(server_in, to_down, shared).await;
        server_gone.cancel();
    };
    let to_client = async {
        let mut client_out = client_out;
        let giving = async {
            give(down, &mut client_out, shared, limits[1], &over).await;
            client_out.shutdown().await.ok();
        };
        tokio::select! {
            () = shared.lost(born) => {}
            () = giving => {}
        }
    };
    tokio::select! {
        () = shared.cut(born) => {}
        () = over.cancelled() => {}
        _ = async { tokio::join!(from_client, to_server, from_server, to_client) } => {}
    }
}

/// Takes in what comes from one end until that ends.
async fn take(mut from: impl AsyncRead + Unpin, to: mpsc::Sender<(Instant, Vec<u8>)>, shared: &Shared) {
    let mut piece = vec![0; PIECE];
    while let Ok(length @ 1..) = from.read(&mut piece).await {
        let due = Instant::now() + shared.state.borrow().weather.delay;
        // Whose other end is lost goes on speaking.
        to.send((due, piece[..length].to_vec())).await.ok();
    }
}

/// Gives the other end what is due, as the weather allows.
async fn give(
    mut pieces: mpsc::Receiver<(Instant, Vec<u8>)>,
    to: &mut (impl AsyncWrite + Unpin),
    shared: &Shared,
    limit: Option<usize>,
    over: &CancellationToken,
) {
    let mut left = limit.unwrap_or(usize::MAX);
    while let Some((due, mut piece)) = pieces.recv().await {
        tokio::time::sleep_until(due).await;
        shared.until(|state| !state.weather.black_hole).await;
        piece.truncate(left);
        left -= piece.len();
        let bytes_per_s = shared.state.borrow().weather.bytes_per_s;
        if let Some(bytes_per_s) = bytes_per_s {
            tokio::time::sleep(Duration::from_secs_f64(piece.len() as f64 / f64::from(bytes_per_s))).await;
        }
        if to.write_all(&piece).await.is_err() || left == 0 {
            over.cancel();
            return;
        }
    }
    // An end doesn't get through a black hole either.
    shared.until(|state| !state.weather.black_hole).await;
}

impl Shared {
    async fn cut(&self, born: State) {
        self.until(move |state| state.cuts != born.cuts).await;
    }

    async fn lost(&self, born: State) {
        self.until(move |state| state.losses != born.losses).await;
    }

    async fn until(&self, so: impl Fn(&State) -> bool) {
        // The sender is ours, so it is never gone.
        drop(self.state.subscribe().wait_for(|state| so(state)).await);
    }
}
