//! A connection of a device, in TLS or not: whoever reads and writes it need not know.

use bytes::BytesMut;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use waystream_tls::{Entrance, TlsStream, Welcome, client_name};

const READ_BYTES: usize = 4 * 1024;

/// See the module.
pub(crate) enum Link {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How connections begin. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Opening {
    pub(crate) entrance: Arc<Entrance>,
    /// For the first byte and the handshake, where there is TLS.
    pub(crate) timeout: Duration,
}

impl Opening {
    /// The connection as it can be read, or why there is none. Without TLS it does not wait.
    pub(crate) async fn open(&self, stream: TcpStream, peer: SocketAddr) -> Result<Link, &'static str> {
        if self.entrance.tls().is_none() {
            return Ok(Link::Plain(stream));
        }
        // Boxed, as a handshake takes much more room than the connection that it leaves.
        let opened = Box::pin(self.greet(stream, peer));
        tokio::time::timeout(self.timeout, opened).await.unwrap_or(Err("late_login"))
    }

    async fn greet(&self, stream: TcpStream, peer: SocketAddr) -> Result<Link, &'static str> {
        match self.entrance.welcome(&stream, peer.ip()).await.map_err(|_| "broken")? {
            Welcome::Plain => Ok(Link::Plain(stream)),
            Welcome::Refused => Err("no_tls"),
            Welcome::Tls(acceptor) => match acceptor.accept(stream).await {
                Ok(stream) if self.entrance.asks_for_certificates() && client_name(&stream).is_none() => Err("no_name"),
                Ok(stream) => Ok(Link::Tls(Box::new(stream))),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no TLS with this device");
                    Err("tls_failed")
                }
            },
        }
    }
}

impl Link {
    /// What the certificate calls the device that it has shown.
    pub(crate) fn certificate(&self) -> Option<String> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => client_name(stream),
        }
    }

    /// Writes all of it, and leaves nothing in buffers.
    pub(crate) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes).await?;
        self.flush().await
    }
}

/// Waits for bytes and adds them; 0 at the end. By way of the stack, and only once there are some: a connection that waits holds no room.
pub(crate) async fn read_some(from: &mut (impl AsyncRead + Unpin), into: &mut BytesMut) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut bytes = [0; READ_BYTES];
        let mut read = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut *from).poll_read(cx, &mut read))?;
        into.extend_from_slice(read.filled());
        Poll::Ready(Ok(read.filled().len()))
    })
    .await
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
