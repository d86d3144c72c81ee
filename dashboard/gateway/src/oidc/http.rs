//! Requests to the provider: one connection each, encrypted, bounded in time and size. No redirects, no proxies.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use std::fmt::Display;
use std::path::Path;
use std::time::Duration;
use url::Url;
use waystream_tls::{Https, connect};

/// Longest time of one request.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest body of an answer, bytes.
const MAX_BODY: usize = 1 << 20;

/// Asks the provider.
pub(super) struct Http {
    https: Https,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Http {
    /// Reads certificates.
    pub(super) fn new(ca_file: Option<&Path>) -> Result<Self, String> {
        Ok(Self { https: Https::new(ca_file).map_err(|why| format!("ca_file: {why}"))? })
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
        let mut request = Https::request(method, url).header(ACCEPT, "application/json");
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
        let stream = connect(url).await.map_err(|e| format!("could not connect: {e}"))?;
        self.https.ask(url, stream, request, read).await.map_err(text)?
    }
}

/// All of an answer, if that is not too much.
async fn read(answer: Response<Incoming>) -> Result<Answer, String> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await.map_err(text)?.to_bytes();
    Ok(Answer { status, body })
}

fn text(error: impl Display) -> String {
    error.to_string()
}
