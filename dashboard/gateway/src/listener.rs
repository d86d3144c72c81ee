//! Accepts connections and sees to it that none can hold anything for ever: header timer, write-stall limit, kill token.
//!
//! A browser that stops reading blocks its WebSocket writer, and then no disconnect handler runs and its memory and file
//! descriptor are never freed. So every stream ends by itself when a write makes no progress, or from outside by [`Connection::kill`].

mod body;
mod proxied;

use crate::metrics::{Refusal, refused};
use axum::Router;
use axum::extract::Request;
use axum::http::header::{HOST, LOCATION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::IntoResponse;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{self, AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tower::ServiceExt;
use waystream_domain::Network;
use waystream_tls::{Entrance, Place, Places, TlsStream, Welcome, is_local};

/// What connections may cost.
#[derive(Debug, Clone)]
pub struct ListenerLimits {
    /// Connections at a time; more wait in the kernel's queue.
    pub connections: usize,
    /// Of them, from one address (of IPv6, from one /64). This machine and proxies may have all.
    pub per_address: usize,
    /// Sockets at a time; where there are several organisations, each has its share. Those that poll need no connection, and who has lost one
    /// may have another before it is known to be lost.
    pub sockets: usize,
    /// What stands in front and speaks for others.
    pub proxies: Arc<[Network]>,
    /// For the first request's headers, from the moment of accepting; and for every later one's, from its first byte.
    pub headers: Duration,
    /// For a request's body, from the end of its headers.
    pub body: Duration,
    /// A write that makes no progress for so long ends the connection. Also the kernel's TCP_USER_TIMEOUT.
    pub write_stall: Duration,
    /// Kernel memory for unsent bytes of one connection.
    pub send_buffer_bytes: usize,
    /// For requests that are being answered when the gateway stops.
    pub drain: Duration,
}

impl Default for ListenerLimits {
    fn default() -> Self {
        Self {
            connections: 15_000,
            per_address: 1_000,
            sockets: 30_000,
            proxies: Arc::default(),
            headers: Duration::from_secs(10),
            body: Duration::from_secs(30),
            write_stall: Duration::from_secs(10),
            send_buffer_bytes: 64 * 1024,
            drain: Duration::from_secs(2),
        }
    }
}

/// The connection that a request came over: an extension of every request.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    /// Other end.
    pub(crate) peer: SocketAddr,
    /// Who asks: that, or whom a proxy asks for.
    pub(crate) client: IpAddr,
    /// Cancel to close it now; cancelled when it is closed.
    pub(crate) kill: CancellationToken,
}

/// Serves until cancelled, then lets requests finish for [`ListenerLimits::drain`].
pub(crate) async fn serve(
    listener: TcpListener,
    entrance: Entrance,
    router: Router,
    limits: ListenerLimits,
    cancel: CancellationToken,
) {
    let entrance = Arc::new(entrance);
    let places = Arc::new(Semaphore::new(limits.connections));
    let by_address = Places::new(limits.per_address);
    let mut told = false;
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = cancel.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, peer, place) = accepted;
        let is_counted = !is_local(peer.ip()) && !proxied::is_proxy(&limits.proxies, peer.ip());
        let of_address = by_address.take(peer.ip());
        if is_counted && of_address.is_none() {
            metrics::counter!(crate::metrics::TURNED_AWAY).increment(1);
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(%peer, "an address has all the connections that it may have; is it a proxy?");
            }
            continue;
        }
        if let Err(error) = prepare(&stream, &limits) {
            tracing::debug!(%peer, %error, "connection lost before it was set up");
            continue;
        }
        let connection = Connection { peer, client: peer.ip().to_canonical(), kill: CancellationToken::new() };
        let (entrance, router, limits, cancel) = (Arc::clone(&entrance), router.clone(), limits.clone(), cancel.clone());
        let held = Held { _place: place, _of_address: of_address };
        connections.spawn(async move {
            match Box::pin(enter(stream, held, &connection, &entrance, &limits)).await {
                Some(Entered::Plain(stream)) => serve_connection(stream, connection, router, limits, cancel).await,
                Some(Entered::Tls(stream)) => serve_connection(stream, connection, router, limits, cancel).await,
                Some(Entered::WithoutTls(stream)) => {
                    serve_connection(stream, connection, encrypted_pages_only(), limits, cancel).await;
                }
                None => {}
            }
        });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.drain, drained).await.is_err() {
        tracing::debug!("requests were cut off at the end");
    }
}

async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    if places.available_permits() == 0 {
        refused(Refusal::Full);
    }
    let place = Arc::clone(places).acquire_owned().await.expect("the semaphore is never closed");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, place),
            Err(error) => {
                // Out of file descriptors, or a connection that is gone already: neither is cured by trying at once.
                tracing::warn!(%error, "could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn prepare(stream: &TcpStream, limits: &ListenerLimits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_send_buffer_size(limits.send_buffer_bytes)?;
    socket.set_tcp_user_timeout(Some(limits.write_stall))
}

/// A connection that is ready to be spoken HTTP on.
enum Entered {
    Plain(GuardedStream),
    Tls(Box<TlsStream<GuardedStream>>),
    /// It came without TLS although there is TLS.
    WithoutTls(GuardedStream),
}

/// What TLS there has to be comes first, within the time for headers.
async fn enter(
    stream: TcpStream,
    held: Held,
    connection: &Connection,
    entrance: &Entrance,
    limits: &ListenerLimits,
) -> Option<Entered> {
    let welcome = async {
        let welcome = entrance.welcome(&stream, connection.peer.ip()).await?;
        let stream = GuardedStream::new(stream, held, connection.kill.clone(), limits.write_stall);
        Ok::<_, io::Error>(match welcome {
            Welcome::Tls(acceptor) => Entered::Tls(Box::new(acceptor.accept(stream).await?)),
            Welcome::Plain if entrance.tls().is_none() => Entered::Plain(stream),
            Welcome::Plain | Welcome::Refused => Entered::WithoutTls(stream),
        })
    };
    let entered = tokio::time::timeout(limits.headers, welcome).await.ok()?;
    entered
        .inspect_err(|error| tracing::debug!(peer = %connection.peer, %error, "connection lost before its first request"))
        .ok()
}

/// Where there is TLS nobody speaks without: browsers are sent to the same page with it.
fn encrypted_pages_only() -> Router {
    Router::new().fallback(|request: Request| async move {
        let host = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let page = request.uri().path_and_query().map_or("/", |page| page.as_str());
        let target = host.and_then(|host| HeaderValue::from_str(&format!("https://{host}{page}")).ok());
        match target {
            Some(target) => (StatusCode::PERMANENT_REDIRECT, [(LOCATION, target)]).into_response(),
            None => StatusCode::BAD_REQUEST.into_response(),
        }
    })
}

async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    connection: Connection,
    router: Router,
    limits: ListenerLimits,
    cancel: CancellationToken,
) {
    let io = TokioIo::new(stream);
    let spoke = Arc::new(AtomicBool::new(false));
    let service = {
        let (spoke, body_limit, proxies) = (Arc::clone(&spoke), limits.body, Arc::clone(&limits.proxies));
        hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            spoke.store(true, Ordering::Relaxed);
            let client = proxied::client(request.headers(), connection.client, &proxies);
            request.extensions_mut().insert(Connection { client, ..connection.clone() });
            router.clone().oneshot(request.map(|body| body::in_time(body, body_limit)))
        })
    };
    let mut serving = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(limits.headers)
            .max_buf_size(64 * 1024)
            .serve_connection(io, service)
            .with_upgrades()
    );
    // hyper's own timer starts with the first byte; one that says nothing is ours to end.
    let mut first_headers = pin!(tokio::time::sleep(limits.headers));
    let mut watch_first = true;
    let mut draining = false;
    loop {
        tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "connection ended");
                }
                return;
            }
            () = first_headers.as_mut(), if watch_first => {
                if !spoke.load(Ordering::Relaxed) {
                    return;
                }
                watch_first = false;
            }
            () = cancel.cancelled(), if !draining => {
                serving.as_mut().graceful_shutdown();
                draining = true;
            }
        }
    }
}

/// What a connection takes up until its stream is dropped: a WebSocket outlives the request that it began with.
struct Held {
    _place: OwnedSemaphorePermit,
    _of_address: Option<Place>,
}

/// A stream that fails when it is killed or when a write makes no progress for too long.
struct GuardedStream {
    stream: TcpStream,
    _held: Held,
    kill: CancellationToken,
    // One each: reader and writer are different tasks after a WebSocket upgrade, and each must be woken.
    killed_reader: Pin<Box<WaitForCancellationFutureOwned>>,
    killed_writer: Pin<Box<WaitForCancellationFutureOwned>>,
    stall_limit: Duration,
    stalled: Option<Pin<Box<Sleep>>>,
}

impl GuardedStream {
    fn new(stream: TcpStream, held: Held, kill: CancellationToken, stall_limit: Duration) -> Self {
        Self {
            stream,
            _held: held,
            killed_reader: Box::pin(kill.clone().cancelled_owned()),
            killed_writer: Box::pin(kill.clone().cancelled_owned()),
            kill,
            stall_limit,
            stalled: None,
        }
    }

    fn guard_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if self.killed_writer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        if let Poll::Ready(done) = write(Pin::new(&mut self.stream), cx) {
            self.stalled = None;
            return Poll::Ready(done);
        }
        let limit = self.stall_limit;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if stalled.as_mut().poll(cx).is_ready() {
            // Wakes the reader too, so that the whole connection ends.
            self.kill.cancel();
            metrics::counter!(crate::metrics::WRITE_STALLS).increment(1);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }
}

impl Drop for GuardedStream {
    /// Who holds the token can tell that there is nothing left to close.
    fn drop(&mut self) {
        self.kill.cancel();
    }
}

impl AsyncRead for GuardedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.killed_reader.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for GuardedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.guard_write(cx, |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guard_write(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.guard_write(cx, |stream, cx| stream.poll_shutdown(cx))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.guard_write(cx, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use axum::body::{Body, Bytes};
    use axum::routing::{get, post};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use waystream_tls::Encryption;

    async fn start(limits: ListenerLimits) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
        let cancel = CancellationToken::new();
        let router = Router::new()
            .route("/", get(|| async { "here" }))
            .route("/body", post(|body: Bytes| async move { format!("got {}", body.len()) }))
            .route("/kill", get(|axum::Extension(c): axum::Extension<Connection>| async move { c.kill.cancel() }))
            .route(
                "/endless",
                get(|| async { Body::from_stream(futures::stream::repeat_with(|| Ok::<_, io::Error>(vec![0u8; 65536]))) }),
            );
        let entrance = Encryption::default().entrance("test", &[]).unwrap();
        let serving = tokio::spawn(serve(listener, entrance, router, limits, cancel.clone()));
        (address, cancel, serving)
    }

    fn quick() -> ListenerLimits {
        let short = Duration::from_millis(200);
        // Requests may take for ever to finish, so that nothing but the limits ends a connection.
        let drain = Duration::from_secs(3_600);
        ListenerLimits { headers: short, write_stall: short, drain, ..ListenerLimits::default() }
    }

    #[tokio::test]
    async fn a_silent_connection_and_half_a_header_are_closed() {
        let (address, _cancel, _serving) = start(quick()).await;
        for said in ["", "GET / HTTP/1.1\r\nHost:"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said.as_bytes()).await.unwrap();
            let mut all = Vec::new();
            // Ends, whether by an answer (408) or without one.
            client.read_to_end(&mut all).await.unwrap();
            assert!(!String::from_utf8_lossy(&all).contains("here"));
        }
    }

    #[tokio::test]
    async fn a_body_that_comes_byte_by_byte_is_not_waited_for() {
        let limits = ListenerLimits { body: Duration::from_millis(200), ..ListenerLimits::default() };
        let (address, _cancel, _serving) = start(limits).await;
        for (length, is_taken) in [(1, true), (1_000_000, false)] {
            let (mut from, mut to) = TcpStream::connect(address).await.unwrap().into_split();
            let head = format!("POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\nx");
            to.write_all(head.as_bytes()).await.unwrap();
            let dripping = async {
                while length > 1 && to.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            let mut all = Vec::new();
            let both = async { tokio::join!(from.read_to_end(&mut all), dripping) };
            // Ends, whether by an answer (400) or without one.
            drop(tokio::time::timeout(Duration::from_secs(60), both).await.expect("it is closed"));
            assert_eq!(String::from_utf8_lossy(&all).contains("got 1"), is_taken);
        }
    }

    /// Whether a request over it is answered.
    async fn answers(client: &mut TcpStream) -> bool {
        let mut answer = [0; 256];
        let asked = client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
        let length = if asked.is_ok() { client.read(&mut answer).await.unwrap_or(0) } else { 0 };
        answer[..length].starts_with(b"HTTP/1.1 200")
    }

    #[tokio::test]
    async fn one_address_has_so_many_connections_and_this_machine_and_proxies_all() {
        // Nothing is sent: the kernel only says from where it would be.
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("192.0.2.1:9").expect("this machine has a network");
        let elsewhere = socket.local_addr().unwrap().ip();
        let few = ListenerLimits { per_address: 2, ..ListenerLimits::default() };
        let proxy: Network = elsewhere.to_string().parse().unwrap();
        let proxies: Arc<[Network]> = Arc::from([proxy]);
        for (ip, limits, most) in [
            (elsewhere, few.clone(), 2),
            (IpAddr::from([127, 0, 0, 1]), few.clone(), 5),
            (elsewhere, ListenerLimits { proxies, ..few }, 5),
        ] {
            let (address, _cancel, _serving) = start(limits).await;
            let address = SocketAddr::new(ip, address.port());
            let mut open = Vec::new();
            for n in 0..5 {
                let mut client = TcpStream::connect(address).await.unwrap();
                assert_eq!(answers(&mut client).await, n < most, "{address}: {n}");
                open.push(client);
            }
            // Places are given back.
            drop(open);
            while !answers(&mut TcpStream::connect(address).await.unwrap()).await {}
        }
    }

    #[tokio::test]
    async fn a_client_that_stops_reading_is_cut() {
        let (address, cancel, serving) = start(quick()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /endless HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        client.read_u8().await.unwrap();
        // Nothing is read any more, so the server gets stuck in a write, and stops only once it has ended the connection itself.
        cancel.cancel();
        tokio::time::timeout(Duration::from_secs(60), serving).await.expect("the connection is cut").unwrap();
    }

    #[tokio::test]
    async fn a_connection_can_be_killed_from_its_request() {
        let (address, _cancel, _serving) = start(ListenerLimits::default()).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET /kill HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut all = Vec::new();
        drop(client.read_to_end(&mut all).await);
        assert!(all.is_empty());
    }
}
