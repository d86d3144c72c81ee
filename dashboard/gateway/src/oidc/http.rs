//! Requests to the provider: one connection each, encrypted, bounded in time and size. No redirects, no proxies.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderValue, USER_AGENT};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};
use waystream_tls::trust_system_and;

/// Longest time of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest head of an answer, bytes.
const MAX_HEAD: usize = 64 << 10;
/// Largest body of an answer, bytes.
const MAX_BODY: usize = 1 << 20;

/// Asks the provider.
pub(super) struct Http {
    /// Without certificates a provider on this machine can be asked all the same: why there is no other.
    tls: Result<Arc<ClientConfig>, String>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Http {
    /// Reads certificates.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        match (trust_system_and(ca_file).map_err(text), ca_file) {
            (Err(why), Some(_)) => Err(format!("ca_file: {why}")),
            (tls, _) => Ok(Self { tls }),
        }
    }

    /// `GET`, with an access token if there is one.
    pub(super) async fn get(&self, url: &Url, token: Option<&str>) -> Result<Answer, String> {
        let authorization = token.map(|token| format!("Bearer {token}"));
        self.send(Method::GET, url, authorization, None).await
    }

    /// `POST` of a form.
    pub(super) async fn post(&self, url: &Url, authorization: Option<String>, form: String) -> Result<Answer, String> {
        self.send(Method::POST, url, authorization, Some(form)).await
    }

    /// An error says what failed, and nothing of what was sent.
    async fn send(
        &self,
        method: Method,
        url: &Url,
        authorization: Option<String>,
        form: Option<String>,
    ) -> Result<Answer, String> {
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, host)
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("waystream/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        if let Some(authorization) = authorization {
            let mut value = HeaderValue::try_from(authorization).map_err(|_| "the token or secret is no header")?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        if form.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        let request = request.body(Full::new(Bytes::from(form.unwrap_or_default())));
        let request = request.map_err(|e| format!("the address makes no request: {e}"))?;
        let answer = tokio::time::timeout(DEADLINE, self.ask(url, request)).await;
        let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", DEADLINE.as_secs())));
        answer.map_err(|why| format!("{}: {why}", url.origin().ascii_serialization()))
    }

    async fn ask(&self, url: &Url, request: Request<Full<Bytes>>) -> Result<Answer, String> {
        let port = url.port_or_known_default().unwrap_or(443);
        let (stream, name) = match url.host() {
            Some(Host::Domain(name)) => {
                (TcpStream::connect((name, port)).await, ServerName::try_from(name.to_owned()).map_err(text)?)
            }
            Some(Host::Ipv4(ip)) => {
                (TcpStream::connect((ip, port)).await, ServerName::IpAddress(std::net::IpAddr::from(ip).into()))
            }
            Some(Host::Ipv6(ip)) => {
                (TcpStream::connect((ip, port)).await, ServerName::IpAddress(std::net::IpAddr::from(ip).into()))
            }
            None => return Err("the address has no host".into()),
        };
        let stream = stream.map_err(|e| format!("could not connect: {e}"))?;
        if url.scheme() != "https" {
            return exchange(stream, request).await;
        }
        let tls = self.tls.clone()?;
        let stream = TlsConnector::from(tls).connect(name, stream).await;
        exchange(stream.map_err(|e| format!("TLS: {e}"))?, request).await
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Answer, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(text)?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(text)?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_BODY).collect().await.map_err(text)?.to_bytes();
        Ok::<_, String>(Answer { status, body })
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        ended = &mut connection => match ended {
            // The answer is there, or it says why not.
            Ok(()) => answer.await,
            Err(error) => Err(text(error)),
        },
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}
