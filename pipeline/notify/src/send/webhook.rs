//! Webhooks: one signed POST on a connection of its own, to an address that was looked at before. No redirects, no proxies, and of
//! the answer only its head.

use super::{addresses::is_public, failed, refused};
use crate::NotifyError;
use crate::config::NotifyConfig;
use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Response, StatusCode};
use ring::hmac;
use std::fmt::Write;
use std::net::SocketAddr;
use tokio::net::TcpStream;
use url::{Host, Url};
use waystream_domain::Timestamp;
use waystream_domain::notify::{Delivery, Outcome, Secret};
use waystream_tls::{AskError, Https};

/// The same for every attempt of a delivery.
const DELIVERY: &str = "waystream-delivery";
/// Seconds since the Unix epoch, of this attempt.
const TIMESTAMP: &str = "waystream-timestamp";
/// `v1=` and the HMAC-SHA-256 of `timestamp.body`, in hexadecimal.
const SIGNATURE: &str = "waystream-signature";

#[derive(Debug)]
pub(super) struct Webhooks {
    allow_private: bool,
    https: Https,
}

impl Webhooks {
    /// Reads certificates.
    pub(super) fn new(config: &NotifyConfig) -> Result<Self, NotifyError> {
        let https = Https::new(config.webhook_ca_file.as_deref());
        let https = https.map_err(|why| NotifyError::Settings(format!("webhook_ca_file: {why}")))?;
        Ok(Self { allow_private: config.allow_private_addresses, https })
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
        let request = Https::request(Method::POST, &url)
            .header(CONTENT_TYPE, "application/json")
            .header(DELIVERY, delivery.id.as_str())
            .header(SIGNATURE, signature(secret, &seconds, &body))
            .header(TIMESTAMP, seconds)
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| refused(format_args!("the address makes no request: {e}")))?;
        let stream = connect(&addresses).await.map_err(|e| failed(format_args!("could not connect: {e}")))?;
        let answer = self.https.ask(&url, stream, request, std::future::ready).await;
        answer.map_err(|error| match error {
            AskError::Name => refused(error),
            error => failed(error),
        })
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
