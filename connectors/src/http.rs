//! Devices and phones that report over HTTP: one request, one answer, 200 only when everything in it is durable.

use crate::config::Limits;
use crate::contest;
use crate::faults::Source;
use crate::ingest::{Ingest, Message, Taken};
use crate::link::{Link, read_some};
use crate::metrics;
use crate::now;
use crate::protocol::{Context, Fault, FaultKind, HttpAnswer, HttpDecoded, HttpRequest, Protocol};
use crate::shown::{self, Shown};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::BytesMut;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::Cursor;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncReadExt;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use waystream_domain::DeviceId;

/// Understands one request of a protocol.
pub(crate) type Decode = fn(&HttpRequest<'_>, &Context) -> HttpDecoded;

/// Larger request heads are refused by hyper.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Larger bodies are read a few at a time.
const USUAL_BODY_BYTES: u64 = 256 * 1024;
static LARGE_BODIES: Semaphore = Semaphore::const_new(16);

/// What all connections of a listener share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) protocol: &'static Protocol,
    pub(crate) decode: Decode,
    pub(crate) limits: Limits,
    pub(crate) ingest: Ingest,
    pub(crate) stop: CancellationToken,
}

/// Serves a connection to its end and tells why it ended.
pub(crate) async fn serve(shared: Shared, mut link: Link, peer: SocketAddr) -> &'static str {
    let mut first = BytesMut::new();
    // hyper's own timer starts with the first byte of a head: who connects and says nothing is closed here.
    tokio::select! {
        () = shared.stop.cancelled() => return "stopping",
        read = tokio::time::timeout(shared.limits.login_timeout(), read_some(&mut link, &mut first)) => match read {
            Ok(Ok(0)) => return "closed",
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return "broken",
            Err(_) => return "late_request",
        },
    }
    go_on(shared, link, peer, first).await
}

/// Like [`serve`], on a connection that has begun to speak. `first`: what has been read of it.
pub(crate) async fn go_on(shared: Shared, link: Link, peer: SocketAddr, first: BytesMut) -> &'static str {
    let certificate: Option<Arc<str>> = link.certificate().map(Arc::from);
    let (reading, writing) = tokio::io::split(link);
    let stream = tokio::io::join(Cursor::new(first).chain(reading), writing);
    let stop = shared.stop.clone();
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(shared.limits.login_timeout())
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(move |request: hyper::Request<Incoming>| {
                let (shared, certificate) = (shared.clone(), certificate.clone());
                async move { Ok::<_, Infallible>(answer(&shared, request.map(Body::new), peer, certificate.as_deref()).await) }
            }),
        );
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            // The request under way is answered, no further one is read.
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    match ended {
        Ok(()) => "closed",
        Err(error) if error.is_timeout() => "late_request",
        Err(error) if error.is_parse() => "senseless",
        Err(_) => "broken",
    }
}

async fn answer(shared: &Shared, request: Request, peer: SocketAddr, certificate: Option<&str>) -> Response {
    let (head, body) = request.into_parts();
    let source = Source { protocol: shared.protocol.name, device: None, peer: Some(peer), shown: Shown::Nothing };
    let tell = |kind, detail: &'static str| shared.ingest.faults().tell(source, &Fault::new(kind, detail));
    let body = async {
        // Large bodies are few, but there may be many connections.
        let usual = body.size_hint().exact().is_some_and(|bytes| bytes <= USUAL_BODY_BYTES);
        let is_small = usual || shared.protocol.max_frame_bytes as u64 <= USUAL_BODY_BYTES;
        let room = if is_small { None } else { Some(LARGE_BODIES.acquire().await) };
        (axum::body::to_bytes(body, shared.protocol.max_frame_bytes).await, room)
    };
    // Until it is stored.
    let room;
    let body: Bytes = match tokio::time::timeout(shared.limits.frame_timeout(), body).await {
        Ok((Ok(body), held)) => {
            room = held;
            body
        }
        Ok((Err(_), _)) => {
            tell(FaultKind::Oversized, "the body is too large or was cut off");
            return response(&HttpAnswer::status(413));
        }
        Err(_) => {
            tell(FaultKind::Malformed, "the body did not arrive in time");
            return response(&HttpAnswer::status(408));
        }
    };
    let headers: Vec<(&str, &str)> =
        head.headers.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))).collect();
    let uri = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let request = HttpRequest { method: head.method.as_str(), uri, headers: &headers, body: &body };
    let token = shown::token_of(&request);
    let of_token = token.as_deref().map_or(Shown::Nothing, Shown::Token);
    let source = Source { shown: certificate.map_or(of_token, Shown::Certificate), ..source };
    let (answer, heard) = take(shared, &request, source).await;
    drop((body, room));
    slow_down(shared, &heard).await;
    response(&answer)
}

/// Holds back the answer to a device that floods: nothing more comes over this connection until then.
async fn slow_down(shared: &Shared, heard: &[DeviceId]) {
    let pause = shared.ingest.flow().said_by(heard, Instant::now());
    if pause.is_zero() {
        return;
    }
    metrics::too_fast(shared.protocol.name, 1);
    tokio::select! {
        () = shared.stop.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// Decodes a request and stores what is in it; tells what may be answered, and which devices were heard.
async fn take(shared: &Shared, request: &HttpRequest<'_>, source: Source<'_>) -> (HttpAnswer, Vec<DeviceId>) {
    let (received_at, came) = (now(), Instant::now());
    let HttpDecoded { mut decoded, answer, refusal, batch } = (shared.decode)(request, &Context::stream(received_at));
    if decoded.not_understood().is_some() {
        // As `decode` reads it again.
        let HttpRequest { method, uri, body, .. } = request;
        let uri = shown::without_token(uri);
        let mut head = format!("{method} {uri} HTTP/1.1\r\nContent-Length: {}\r\n", body.len());
        for name in ["x-limit-u", "x-limit-d", "content-type"] {
            head.extend(request.header(name).map(|value| format!("{name}: {value}\r\n")));
        }
        let bytes = [head.as_bytes(), b"\r\n", *body].concat();
        shared.ingest.set_aside(source, received_at, Message { bytes: &bytes, datagram: false, login: None }, &decoded);
    }
    let seen = decoded.fixes.iter().rfind(|fix| fix.valid).map(|fix| fix.location);
    let mut heard: Vec<DeviceId> = shared.ingest.speakers(source, &decoded).into_iter().cloned().collect();
    match shared.ingest.take(source, received_at, &mut decoded).await {
        Ok(Taken::Stored) => {
            if let Some(device) = &decoded.device {
                contest::heard(&shared.ingest, source, device, came, seen).await;
            }
            let answer = match batch {
                Some(batch) => batch.answer(|device| {
                    shared.ingest.fleet_of(device).is_some() && shared.ingest.contradiction(source, device).is_none()
                }),
                None => answer,
            };
            match decoded.device {
                // It may have another name in the catalog than the one that it gave.
                Some(device) => heard = vec![device],
                None => heard.retain(|device| shared.ingest.fleet_of(device).is_some()),
            }
            (answer, heard)
        }
        Ok(Taken::Refused) => {
            let fault = decoded.device.as_ref().and_then(|device| shared.ingest.contradiction(source, device));
            let is_token = fault.is_some_and(|fault| fault.kind == FaultKind::WrongToken);
            (if is_token { HttpAnswer::status(401) } else { refusal }, Vec::new())
        }
        Err(_) => (HttpAnswer::status(503), Vec::new()),
    }
}

fn response(answer: &HttpAnswer) -> Response {
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if response.status() == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"waystream\""));
    }
    if !answer.content_type.is_empty() {
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    }
    response
}
