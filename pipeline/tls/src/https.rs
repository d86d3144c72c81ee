//! One request to a server that may be anybody's: a connection of its own, encrypted if the address says so, and no redirects or proxies.
//! The caller finds the place, connects, and bounds the time.

use crate::client::{TrustError, trust_system_and};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, USER_AGENT};
use hyper::http::request;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{self, ClientConfig};
use url::{Host, Url};

/// Largest head of an answer, bytes.
const MAX_HEAD: usize = 64 << 10;

/// Asks servers.
#[derive(Debug)]
pub struct Https {
    /// Without certificates servers without TLS can be asked all the same: why there is no other.
    tls: Result<Arc<ClientConfig>, String>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Asking again doesn't help.
    #[error("the host is no name for TLS")]
    Name,
    /// This machine trusts nobody.
    #[error("{0}")]
    NoTrust(String),
    /// Who vouches for the server's certificate is nobody whom we trust; or it is another's, or over its time.
    #[error("the server's certificate is not trusted: {0}")]
    Untrusted(io::Error),
    /// The server does not speak TLS, or not with us.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// The connection ended, or what came is no HTTP.
    #[error("the connection broke: {0}")]
    Broken(hyper::Error),
}

impl Https {
    /// Reads certificates: those that the operating system trusts, and those of a file. If it is named, it has to be of use.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        match (trust_system_and(ca_file), ca_file) {
            (Err(why), Some(_)) => Err(why),
            (tls, _) => Ok(Self { tls: tls.map_err(|why| why.to_string()) }),
        }
    }

    /// Begins a request for this address. What stands before the host in it is not sent.
    pub fn request(method: Method, url: &Url) -> request::Builder {
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(USER_AGENT, concat!("waystream/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
    }

    /// Sends it over a connection to the host of this address; `read` takes the answer while the connection lasts.
    pub async fn ask<T, F: Future<Output = T>>(
        &self,
        url: &Url,
        stream: TcpStream,
        request: Request<Full<Bytes>>,
        read: impl FnOnce(Response<Incoming>) -> F,
    ) -> Result<T, AskError> {
        if url.scheme() != "https" {
            return exchange(stream, request, read).await;
        }
        let tls = self.tls.clone().map_err(AskError::NoTrust)?;
        let name = server_name(url).ok_or(AskError::Name)?;
        let stream = TlsConnector::from(tls).connect(name, stream).await.map_err(no_tls)?;
        exchange(stream, request, read).await
    }
}

fn no_tls(error: io::Error) -> AskError {
    let why = error.get_ref().and_then(|why| why.downcast_ref::<rustls::Error>());
    let is_distrusted = why.is_some_and(|why| matches!(why, rustls::Error::InvalidCertificate(_)));
    if is_distrusted { AskError::Untrusted(error) } else { AskError::Tls(error) }
}

/// Connects to the host of an address, for who may speak to any. The caller bounds the time.
pub async fn connect(url: &Url) -> io::Result<TcpStream> {
    let port = url.port_or_known_default().unwrap_or(443);
    match url.host() {
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        None => Err(io::Error::new(io::ErrorKind::InvalidInput, "the address has no host")),
    }
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress(IpAddr::from(address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress(IpAddr::from(address).into())),
    }
}

async fn exchange<S, T, F>(
    stream: S,
    request: Request<Full<Bytes>>,
    read: impl FnOnce(Response<Incoming>) -> F,
) -> Result<T, AskError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = T>,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(AskError::Broken)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(AskError::Broken)?;
        Ok(read(answer).await)
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            // The answer is there, or it says why not.
            Ok(()) => answer.await,
            Err(error) => Err(AskError::Broken(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// What was asked, and what came back.
    async fn ask(url: &str, answer: &'static [u8]) -> (String, Result<u16, AskError>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut server, _) = listener.accept().await.unwrap();
        let url = Url::parse(url).unwrap();
        let request = Https::request(Method::GET, &url).body(Full::default()).unwrap();
        let https = Https { tls: Err("nobody is trusted".into()) };
        let asking = https.ask(&url, stream, request, |answer| std::future::ready(answer.status().as_u16()));
        let serving = async move {
            let mut heard = vec![0; 4_096];
            let length = server.read(&mut heard).await.unwrap();
            // Who has hung up takes no more of it.
            drop(server.write_all(answer).await);
            drop(server);
            String::from_utf8_lossy(&heard[..length]).into_owned()
        };
        let (told, heard) = tokio::join!(asking, serving);
        (heard, told)
    }

    #[tokio::test]
    async fn an_address_is_asked_for_what_stands_behind_its_host_and_no_password_with_it() {
        let (heard, told) = ask("http://me:secret@example.org:81/a/b?c=d#e", b"HTTP/1.1 204 No Content\r\n\r\n").await;
        assert!(heard.starts_with("GET /a/b?c=d HTTP/1.1\r\n") && heard.contains("example.org:81\r\n"), "{heard}");
        assert!(!heard.contains("secret"), "{heard}");
        assert_eq!(told.unwrap(), 204);
    }

    #[tokio::test]
    async fn who_trusts_nobody_says_nothing_and_what_is_no_answer_is_an_error() {
        let (heard, told) = ask("https://example.org/", b"").await;
        assert_eq!((heard.as_str(), told.unwrap_err().to_string().as_str()), ("", "nobody is trusted"));
        for answer in [&b"rubbish\r\n\r\n"[..], b"HTTP/1.1 200"] {
            let (_, told) = ask("http://example.org/", answer).await;
            assert!(told.unwrap_err().to_string().starts_with("the connection broke: "));
        }
    }
}
