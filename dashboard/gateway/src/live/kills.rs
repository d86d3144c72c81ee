//! Which TCP connections carry which socket, so that a socket can be ended whatever state its queue is in.

use crate::listener::Connection;
use crate::nodes::SocketRef;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use socketioxide::TransportType;
use socketioxide::socket::Sid;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Time between two attempts to tell a socket with a full queue that it is cut.
const TELL_AGAIN: Duration = Duration::from_millis(250);
/// By then the heartbeat has ended a session that nobody speaks for any more, and Socket.IO itself refuses its name.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// What is over is looked for when there are twice as many entries as were left the last time, and not below this number.
const LEAST_SWEPT: usize = 1_024;

/// See the module. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Kills {
    known: Arc<Mutex<Known>>,
}

#[derive(Default)]
struct Known {
    /// WebSocket connections of a socket: it may ask for more than the one that it gets.
    connections: HashMap<Sid, Vec<CancellationToken>>,
    /// Sockets that were cut, and until when their requests are refused.
    cut: HashMap<Sid, Instant>,
    sweep_at: usize,
}

impl Kills {
    /// A socket has connected. If its session began with a WebSocket, that is what carries it.
    pub(crate) fn remember(&self, socket: &SocketRef) {
        let request = socket.req_parts();
        if value(request.uri.query().unwrap_or_default(), "transport") == Some("websocket")
            && let Some(connection) = request.extensions.get::<Connection>()
        {
            self.lock().follow(socket.id, &connection.kill);
        }
    }

    /// Middleware: a session upgrades to WebSocket, so from now on its socket lives on this request's connection, also if it
    /// connects only later. A session that was cut gets nothing more, so that its client begins anew.
    pub(crate) async fn follow_upgrades(State(kills): State<Self>, request: Request, next: Next) -> Response {
        let query = request.uri().query().unwrap_or_default();
        let mut followed = None;
        if let Some(sid) = value(query, "sid").and_then(|sid| sid.parse::<Sid>().ok()) {
            let mut known = kills.lock();
            if known.cut.get(&sid).is_some_and(|&until| Instant::now() < until) {
                return unknown_session();
            }
            if value(query, "transport") == Some("websocket")
                && let Some(connection) = request.extensions().get::<Connection>()
            {
                known.follow(sid, &connection.kill);
                followed = Some((sid, connection.kill.clone()));
            }
        }
        let answer = next.run(request).await;
        // Anybody may ask, under any name, again and again on one connection.
        if let Some((sid, connection)) = followed
            && answer.status() != StatusCode::SWITCHING_PROTOCOLS
        {
            kills.lock().leave(sid, &connection);
        }
        answer
    }

    /// Ends a socket: WebSockets lose their connection, and requests are refused, so that the browser begins anew by itself. A
    /// connection that polls is left alone, since a proxy may send others' requests over it too; who polls is told.
    pub(crate) fn kill(&self, socket: &SocketRef) {
        let connections = {
            let mut known = self.lock();
            known.cut.insert(socket.id, Instant::now() + REFUSED_FOR);
            known.sweep();
            known.connections.get(&socket.id).cloned().unwrap_or_default()
        };
        connections.iter().for_each(CancellationToken::cancel);
        if socket.transport_type() == TransportType::Polling && socket.clone().disconnect().is_err() {
            // Its queue is full. It may poll again and empty it, and must not believe then that it is still watched for.
            tokio::spawn(tell_until_gone(socket.clone()));
        }
    }

    /// The socket is gone.
    pub(crate) fn forget(&self, sid: Sid) {
        self.lock().connections.remove(&sid);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn follow(&mut self, sid: Sid, kill: &CancellationToken) {
        let connections = self.connections.entry(sid).or_default();
        // The token of a connection that has ended is cancelled.
        connections.retain(|other| !other.is_cancelled());
        connections.push(kill.clone());
        self.sweep();
    }

    fn leave(&mut self, sid: Sid, kill: &CancellationToken) {
        if let Some(connections) = self.connections.get_mut(&sid) {
            connections.retain(|other| other != kill);
            if connections.is_empty() {
                self.connections.remove(&sid);
            }
        }
    }

    /// Forgets what is over, now and then: sessions that never became a socket, and those cut long ago.
    fn sweep(&mut self) {
        if self.connections.len() + self.cut.len() < self.sweep_at.max(LEAST_SWEPT) {
            return;
        }
        let now = Instant::now();
        self.connections.retain(|_, tokens| tokens.iter().any(|token| !token.is_cancelled()));
        self.cut.retain(|_, until| now < *until);
        self.sweep_at = 2 * (self.connections.len() + self.cut.len());
    }
}

/// What Engine.IO demands for a session that is no more: its client begins a new one.
fn unknown_session() -> Response {
    (StatusCode::BAD_REQUEST, axum::Json(json!({ "code": 1, "message": "Session ID unknown" }))).into_response()
}

fn value<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Tells a socket that it is cut as soon as there is room to; ends with the socket, which the heartbeat ends if nobody polls.
async fn tell_until_gone(socket: SocketRef) {
    while socket.connected() && socket.clone().disconnect().is_err() {
        tokio::time::sleep(TELL_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::from_fn_with_state;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn only_what_becomes_a_websocket_is_followed() {
        let peer = std::net::SocketAddr::from(([192, 0, 2, 1], 5_000));
        for (status, followed) in [(StatusCode::BAD_REQUEST, 0), (StatusCode::SWITCHING_PROTOCOLS, 3)] {
            let kills = Kills::default();
            let answering = Router::new().route("/socket.io/", get(move || async move { status }));
            let router = answering.layer(from_fn_with_state(kills.clone(), Kills::follow_upgrades));
            let connection = Connection { peer, client: peer.ip(), kill: CancellationToken::new() };
            for _ in 0..3 {
                let mut request = Request::new(Body::empty());
                let asked = format!("/socket.io/?EIO=4&transport=websocket&sid={}", Sid::new());
                *request.uri_mut() = asked.parse().unwrap();
                request.extensions_mut().insert(connection.clone());
                assert_eq!(router.clone().oneshot(request).await.unwrap().status(), status);
            }
            assert_eq!(kills.lock().connections.len(), followed);
        }
    }
}
