//! Webhooks: one signed POST on a connection of its own, to an address that was looked at before. No redirects, no proxies, and of
//! the answer only its head.

use super::{addresses::is_public, failed, refused};
use crate::NotifyError;
use crate::config::NotifyConfig;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use ring::hmac;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};
use waystream_domain::Timestamp;
use waystream_domain::notify::{Delivery, Outcome, Secret};
use waystream_tls::trust_system_and;

/// Largest head of an answer, bytes.
const MAX_HEAD: usize = 64 << 10;

/// The same for every attempt of a delivery.
const DELIVERY: &str = "waystream-delivery";
/// Seconds since the Unix epoch, of this attempt.
const TIMESTAMP: &str = "waystream-timestamp";
/// `v1=` and the HMAC-SHA-256 of `timestamp.body`, in hexadecimal.
const SIGNATURE: &str = "waystream-signature";

#[derive(Debug)]
pub(super) struct Webhooks {
    allow_private: bool,
    /// Without certificates there are webhooks all the same, unencrypted ones: why there is no other.
    tls: Result<Arc<ClientConfig>, String>,
}

impl Webhooks {
    /// Reads certificates.
    pub(super) fn new(config: &NotifyConfig) -> Result<Self, NotifyError> {
        let tls = match (trust_system_and(config.webhook_ca_file.as_deref()), &config.webhook_ca_file) {
            (Err(why), Some(_)) => return Err(NotifyError::Settings(format!("webhook_ca_file: {why}"))),
            (tls, _) => tls.map_err(|why| why.to_string()),
        };
        Ok(Self { allow_private: config.allow_private_addresses, tls })
    }

    /// Tries once.
    pub(super) async fn post(&self, url: &str, secret: &Secret, delivery: &Delivery, body: Vec<u8>, now: Timestamp) -> Outcome {
        let answer = match self.request(url, secret, delivery, body, now).await {
            Ok(answer) => answer,
            Err(outcome) => return outcome,
        };
        judge(answer.status(), retry_after_ms(&answer, now))
    }

    async fn request(
        &self,
        url: &str,
        secret: &Secret,
        delivery: &Delivery,
        body: Vec<u8>,
        now: Timestamp,
    ) -> Result<Response<hyper::body::Incoming>, Outcome> {
        let url = Url::parse(url).map_err(|e| refused(format_args!("the address is none: {e}")))?;
        let addresses = self.addresses(&url).await?;
        let seconds = now.as_millis().div_euclid(1000).to_string();
        let host = url.host_str().unwrap_or_default();
        let host = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let path = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        let request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(HOST, host)
            .header(CONTENT_TYPE, "application/json")
            .header(USER_AGENT, concat!("waystream/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close")
            .header(DELIVERY, delivery.id.as_str())
            .header(SIGNATURE, signature(secret, &seconds, &body))
            .header(TIMESTAMP, seconds)
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| refused(format_args!("the address makes no request: {e}")))?;

        let stream = connect(&addresses).await.map_err(|e| failed(format_args!("could not connect: {e}")))?;
        match url.scheme() {
            "https" => {
                let tls = self.tls.clone().map_err(failed)?;
                let name = server_name(&url).ok_or_else(|| refused("the host is no name for TLS"))?;
                let stream = TlsConnector::from(tls).connect(name, stream).await;
                exchange(stream.map_err(|e| failed(format_args!("TLS: {e}")))?, request).await
            }
            _ => exchange(stream, request).await,
        }
    }

    /// Where to connect to: every address of the host that we may speak to.
    async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, Outcome> {
        let port = url.port_or_known_default().unwrap_or(443);
        let found: Vec<SocketAddr> = match url.host() {
            Some(Host::Ipv4(address)) => vec![(address, port).into()],
            Some(Host::Ipv6(address)) => vec![(address, port).into()],
            Some(Host::Domain(name)) => {
                let found = tokio::net::lookup_host((name, port)).await;
                found.map_err(|e| failed(format_args!("could not find {name}: {e}")))?.collect()
            }
            None => return Err(refused("the address has no host")),
        };
        let Some(first) = found.first().copied() else { return Err(failed("the host has no address")) };
        let allowed: Vec<SocketAddr> = found.into_iter().filter(|a| self.allow_private || is_public(a.ip())).collect();
        if allowed.is_empty() {
            let ip = first.ip();
            return Err(refused(format_args!(
                "{ip} is not an address of the public network, and this server speaks to no other"
            )));
        }
        Ok(allowed)
    }
}

async fn connect(addresses: &[SocketAddr]) -> std::io::Result<TcpStream> {
    let mut last = None;
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into()))
}

fn server_name(url: &Url) -> Option<ServerName<'static>> {
    match url.host()? {
        Host::Domain(name) => ServerName::try_from(name.to_owned()).ok(),
        Host::Ipv4(address) => Some(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
        Host::Ipv6(address) => Some(ServerName::IpAddress(std::net::IpAddr::from(address).into())),
    }
}

/// Sends, and waits for the head of the answer.
async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Response<hyper::body::Incoming>, Outcome> {
    let broken = |e: hyper::Error| failed(format_args!("the connection broke: {e}"));
    let mut builder = hyper::client::conn::http1::Builder::new();
    builder.max_buf_size(MAX_HEAD);
    let (mut sender, mut connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut answer = std::pin::pin!(sender.send_request(request));
    tokio::select! {
        biased;
        answer = &mut answer => answer.map_err(broken),
        ended = &mut connection => match ended {
            // The answer is there, or it says why not.
            Ok(()) => answer.await.map_err(broken),
            Err(error) => Err(broken(error)),
        },
    }
}

fn signature(secret: &Secret, seconds: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.0.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    for part in [seconds.as_bytes(), b".", body] {
        context.update(part);
    }
    context.sign().as_ref().iter().fold("v1=".to_owned(), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String grows as needed");
        hex
    })
}

/// What an answer means: who refuses what was asked refuses it again.
fn judge(status: StatusCode, after_ms: Option<i64>) -> Outcome {
    match status.as_u16() {
        200..=299 => Outcome::Delivered,
        300..=399 => refused(format_args!("answered {status}: redirects are not followed")),
        408 | 425 | 429 => Outcome::Failed { reason: format!("answered {status}"), after_ms },
        400..=499 => refused(format_args!("answered {status}")),
        _ => Outcome::Failed { reason: format!("answered {status}"), after_ms },
    }
}

/// Seconds, or a date.
fn retry_after_ms<T>(answer: &Response<T>, now: Timestamp) -> Option<i64> {
    let text = answer.headers().get(RETRY_AFTER).map(HeaderValue::to_str)?.ok()?.trim();
    match text.parse::<u32>() {
        Ok(seconds) => Some(i64::from(seconds) * 1000),
        Err(_) => Some(chrono::DateTime::parse_from_rfc2822(text).ok()?.timestamp_millis() - now.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_the_one_that_receivers_compute() {
        // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac 0123456789abcdef
        let secret = Secret("0123456789abcdef".into());
        assert_eq!(
            signature(&secret, "1700000000", br#"{"a":1}"#),
            "v1=9eb18f493f8ec135d9eb2dad817c369bb4e9cbfa818657897a7437c1cd8c3a23"
        );
    }

    #[test]
    fn receivers_may_ask_for_patience_in_seconds_or_by_date() {
        let now = Timestamp::parse("2026-11-25T12:00:00Z").expect("time");
        let after = |text: &str| retry_after_ms(&Response::builder().header(RETRY_AFTER, text).body(()).expect("answer"), now);
        assert_eq!(after("120"), Some(120_000));
        assert_eq!(after("Wed, 25 Nov 2026 12:01:00 GMT"), Some(60_000));
        assert_eq!(after("soon"), None);
        assert_eq!(after("-5"), None);
    }

    #[test]
    fn who_refuses_is_not_asked_again() {
        let is = |status: u16| judge(StatusCode::from_u16(status).expect("status"), None);
        assert_eq!(is(204), Outcome::Delivered);
        for status in [301, 307, 400, 401, 404, 410, 422] {
            assert!(matches!(is(status), Outcome::Refused { .. }), "{status}");
        }
        for status in [408, 425, 429, 500, 502, 503, 599] {
            assert!(matches!(is(status), Outcome::Failed { .. }), "{status}");
        }
    }
}
