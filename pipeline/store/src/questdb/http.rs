//! HTTP to the server, encrypted if it is set so. Connections are kept and used again.

use super::QuestDbOptions;
use crate::StoreError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, HeaderValue};
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use socket2::{SockRef, TcpKeepalive};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use waystream_tls::{ClientTlsStream, TlsClient};

/// A server that doesn't take a connection, encrypted if it has to be, within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// A server that is silent is asked so often whether it is still there, and so many times.
const PROBE_EVERY: Duration = Duration::from_secs(15);
const PROBES: u32 = 3;
/// What is sent and not confirmed by its machine within this time ends the connection.
const CONFIRMED: Duration = Duration::from_secs(30);

/// Asks a server.
#[derive(Debug)]
pub(super) struct Http {
    client: Client<Way, Empty<Bytes>>,
    base_url: String,
    authorization: Option<HeaderValue>,
}

impl Http {
    /// Reads certificates; connects later.
    pub(super) fn new(options: &QuestDbOptions) -> Result<Self, StoreError> {
        let tls = options.tls.as_ref().map(|tls| TlsClient::new(&tls.trust(), options.host())).transpose();
        let tls = tls.map_err(|e| StoreError::Refused(format!("TLS to QuestDB at {}: {e}", options.base_url())))?;
        let way = Way { host: options.host().into(), port: options.port(), tls };
        Ok(Self {
            client: Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(way),
            base_url: options.base_url(),
            authorization: authorization(options)?,
        })
    }

    /// The answer, if the server lets us in.
    pub(super) async fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Response<Incoming>, StoreError> {
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(query).finish();
        let mut request = Request::get(format!("{}/{path}?{query}", self.base_url));
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        // Fails only where the question is longer than an address may be.
        let request = request.body(Empty::new()).map_err(|e| self.unreachable(&e))?;
        let answer = self.client.request(request).await.map_err(|e| self.unreachable(&e))?;
        match answer.status() {
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(StoreError::Unavailable(format!(
                "QuestDB at {} does not let us in ({status}): user and password, or the token, are not right",
                self.base_url
            ))),
            _ => Ok(answer),
        }
    }

    pub(super) fn unreachable(&self, error: &dyn std::error::Error) -> StoreError {
        // The reason is only in its sources.
        let mut reason = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            reason = format!("{reason}: {inner}");
            source = inner.source();
        }
        StoreError::Unavailable(format!("QuestDB can't be reached at {}: {reason}", self.base_url))
    }
}

fn authorization(options: &QuestDbOptions) -> Result<Option<HeaderValue>, StoreError> {
    let text = match (&options.token, &options.user) {
        (Some(token), _) => format!("Bearer {token}"),
        (None, Some(user)) => {
            let password = options.password.as_deref().unwrap_or_default();
            format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
        }
        (None, None) => return Ok(None),
    };
    let mut value = HeaderValue::try_from(text)
        .map_err(|_| StoreError::Refused("the token for QuestDB has characters that no token can have".into()))?;
    // Not printed.
    value.set_sensitive(true);
    Ok(Some(value))
}

/// Where the server is, and whether it is spoken to in TLS.
#[derive(Debug, Clone)]
struct Way {
    host: Arc<str>,
    port: u16,
    tls: Option<TlsClient>,
}

impl Way {
    async fn connect(&self) -> io::Result<Link> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        prepare(&stream)?;
        match &self.tls {
            None => Ok(Link::Plain(stream)),
            Some(tls) => Ok(Link::Tls(Box::new(tls.connect(stream).await?))),
        }
    }
}

/// Without this, who waits for a machine that has lost its power waits for a quarter of an hour or for ever.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let probes = TcpKeepalive::new().with_time(PROBE_EVERY).with_interval(PROBE_EVERY).with_retries(PROBES);
    socket.set_tcp_keepalive(&probes)?;
    socket.set_tcp_user_timeout(Some(CONFIRMED))
}

impl tower::Service<Uri> for Way {
    type Response = TokioIo<Link>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<TokioIo<Link>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// The address is that of the requests: always the same.
    fn call(&mut self, _: Uri) -> Self::Future {
        let way = self.clone();
        Box::pin(async move {
            let connected = tokio::time::timeout(CONNECT_TIMEOUT, way.connect()).await;
            connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map(TokioIo::new)
        })
    }
}

/// A connection.
enum Link {
    Plain(TcpStream),
    Tls(Box<ClientTlsStream<TcpStream>>),
}

impl Connection for Link {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Link {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Link {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(self: Pin<&mut Self>, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}
