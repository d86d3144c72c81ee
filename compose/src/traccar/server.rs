//! A Traccar server's REST interface: each question on a connection of its own, encrypted if the address says so. No redirects, no proxies.

use anyhow::{Context, bail, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, HeaderValue, LOCATION};
use hyper::{Method, Request, Response, StatusCode};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use url::Url;
use waystream_connectors::files::traccar::{Row, json_rows};
use waystream_tls::{Https, connect, is_local_host};

/// A server that has not taken a connection for so long takes none.
const CONNECT: Duration = Duration::from_secs(20);
/// So long it may be silent: before an answer, as it looks a week up in a database that may be slow, and in the middle of one.
const SILENCE: Duration = Duration::from_secs(5 * 60);

/// A server, and who we are to it.
pub(super) struct Server {
    https: Https,
    /// With a slash at its end, so that what is joined to it stands below it.
    url: Url,
    authorization: HeaderValue,
    silence: Duration,
}

/// The server has answered, but not what it was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the server answers {status}{more}")]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    more: String,
}

/// When something was heard of the server, and what it means if that was the last.
struct Heard(Mutex<(Instant, &'static str)>);

impl Server {
    /// `ca_file`: certificates that are trusted beside those of the operating system. `insecure`: the token may go to another machine in the
    /// open.
    pub(super) fn new(url: &str, token: &str, ca_file: Option<&Path>, insecure: bool) -> anyhow::Result<Self> {
        let url = Url::parse(&format!("{}/", url.trim_end_matches('/'))).context("--url")?;
        ensure!(["http", "https"].contains(&url.scheme()), "--url: it begins with https:// or http://");
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        ensure!(
            insecure || url.scheme() == "https" || is_local_host(host),
            "--url: others could read the token on its way to {host}:{port}: use TLS (https://), or say --insecure"
        );
        let mut authorization = HeaderValue::try_from(format!("Bearer {token}")).context("--token: it is no token")?;
        authorization.set_sensitive(true);
        Ok(Self { https: Https::new(ca_file).context("--ca-file")?, url, authorization, silence: SILENCE })
    }

    /// The rows that it gives for this path and these parameters.
    pub(super) async fn rows(&self, path: &str, asked: &[(&str, &str)]) -> anyhow::Result<Vec<Row>> {
        let mut url = self.url.join(path)?;
        for (name, value) in asked {
            url.query_pairs_mut().append_pair(name, value);
        }
        let text = self.get(&url).await;
        let rows = text.and_then(|text| json_rows(&text).context("the answer is no list of rows"));
        rows.with_context(|| format!("{} of {}", url.path(), url.host_str().unwrap_or_default()))
    }

    async fn get(&self, url: &Url) -> anyhow::Result<String> {
        let request = Https::request(Method::GET, url).header(ACCEPT, "application/json");
        let request: Request<Full<Bytes>> = request.header(AUTHORIZATION, self.authorization.clone()).body(Full::default())?;
        let Ok(stream) = tokio::time::timeout(CONNECT, connect(url)).await else { bail!("no connection was made in time") };
        let stream = stream.context("could not connect")?;
        let heard = Heard(Mutex::new((Instant::now(), "no answer came in time")));
        let answer = tokio::select! {
            answer = self.https.ask(url, stream, request, |answer| read(answer, &heard)) => answer?,
            silent = heard.nothing_for(self.silence) => bail!(silent),
        };
        let (status, more, body) = answer.context("the answer broke off")?;
        if !status.is_success() {
            return Err(Refused { status, more }.into());
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

/// Status of an answer, where it sends us, and its body. That fits into memory: it is a table, or a week of a device.
async fn read(answer: Response<Incoming>, heard: &Heard) -> hyper::Result<(StatusCode, String, Vec<u8>)> {
    let to = answer.headers().get(LOCATION).map(|to| format!(", to {}", String::from_utf8_lossy(to.as_bytes())));
    let status = answer.status();
    let (mut body, mut bytes) = (answer.into_body(), Vec::new());
    heard.something();
    while let Some(frame) = body.frame().await {
        heard.something();
        if let Ok(data) = frame?.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok((status, to.unwrap_or_default(), bytes))
}

impl Heard {
    fn something(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), "the answer stopped in the middle");
    }

    /// Returns when nothing has been heard for so long: with what that means.
    async fn nothing_for(&self, longest: Duration) -> &'static str {
        loop {
            let (at, silent) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if at.elapsed() >= longest {
                return silent;
            }
            tokio::time::sleep_until((at + longest).into()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Says this to whoever asks first, and then nothing more.
    async fn server(said: String) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(said.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        Server { silence: Duration::from_secs(2), ..Server::new(&url, "known", None, false).unwrap() }
    }

    #[tokio::test]
    async fn a_server_that_falls_silent_is_not_waited_for() {
        let body = r#"[{"id": 17}]"#;
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n", body.len());
        let whole = format!("{head}{body}");
        let cases = [
            (0, "no answer came in time"),
            (20, "no answer came in time"),
            (head.len(), "the answer stopped in the middle"),
            (whole.len() - 1, "the answer stopped in the middle"),
        ];
        let cut_short = cases.map(|(bytes, why)| {
            let said = whole[..bytes].to_owned();
            async move {
                let error = server(said).await.rows("api/devices", &[]).await.unwrap_err();
                let text = format!("{error:#}");
                assert!(text.starts_with("/api/devices of 127.0.0.1: ") && text.contains(why), "{bytes}: {text}");
            }
        });
        futures::future::join_all(cut_short).await;
        assert_eq!(server(whole).await.rows("api/devices", &[]).await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn an_answer_that_is_none_is_told() {
        for (said, why) in [
            (
                "HTTP/1.1 301 Moved\r\nlocation: https://there/api\r\ncontent-length: 0\r\n\r\n",
                "301 Moved Permanently, to https://there/api",
            ),
            ("HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n", "answers 502 Bad Gateway"),
            ("HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n<html>", "the answer is no list of rows"),
            ("rubbish\r\n\r\n", "the connection broke"),
        ] {
            let error = server(said.to_owned()).await.rows("api/devices", &[("all", "true")]).await.unwrap_err();
            let text = format!("{error:#}");
            assert!(text.starts_with("/api/devices of 127.0.0.1: ") && text.contains(why), "{text}");
        }
        for url in ["ftp://there", "there"] {
            assert!(Server::new(url, "known", None, false).err().unwrap().to_string().starts_with("--url"), "{url}");
        }
    }

    #[test]
    fn a_token_goes_to_another_machine_only_encrypted_or_by_an_explicit_word() {
        for url in ["http://localhost:8082", "http://127.0.0.1:8082/fleet", "http://[::1]", "https://traccar.example.org"] {
            assert!(Server::new(url, "known", None, false).is_ok(), "{url}");
        }
        for (url, server) in [
            ("http://traccar.example.org", "traccar.example.org:80"),
            ("HTTP://192.0.2.1:8082/fleet", "192.0.2.1:8082"),
            ("http://[2001:db8::1]:8082", "[2001:db8::1]:8082"),
            ("http://localhost.example.org", "localhost.example.org:80"),
            ("http://localhost@192.0.2.1", "192.0.2.1:80"),
        ] {
            let error = Server::new(url, "known", None, false).err().unwrap().to_string();
            assert!(error.contains(&format!("on its way to {server}: use TLS (https://), or say --insecure")), "{error}");
            assert!(!error.contains("known"), "{error}");
            assert!(Server::new(url, "known", None, true).is_ok(), "{url}");
        }
    }
}
