//! Which TCP connection carries which socket, so that a socket can be ended whatever state its queue is in.

use crate::listener::Connection;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use socketioxide::TransportType;
use socketioxide::extract::SocketRef;
use socketioxide::socket::Sid;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Time between two attempts to tell a socket with a full queue that it is cut.
const TELL_AGAIN: Duration = Duration::from_millis(250);

/// Kill tokens by socket. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Kills {
    tokens: Arc<Mutex<HashMap<Sid, CancellationToken>>>,
}

impl Kills {
    /// A socket has connected over the connection that its first request came by.
    pub(crate) fn remember(&self, socket: &SocketRef) {
        if let Some(connection) = socket.req_parts().extensions.get::<Connection>() {
            self.lock().insert(socket.id, connection.kill.clone());
        }
    }

    /// Middleware: a known socket upgrades to WebSocket, so from now on it lives on this request's connection.
    pub(crate) async fn follow_upgrades(State(kills): State<Self>, request: Request, next: Next) -> Response {
        if let (Some(query), Some(connection)) = (request.uri().query(), request.extensions().get::<Connection>()) {
            let value = |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
            if value("transport") == Some("websocket")
                && let Some(sid) = value("sid").and_then(|sid| sid.parse::<Sid>().ok())
                && let Some(token) = kills.lock().get_mut(&sid)
            {
                *token = connection.kill.clone();
            }
        }
        next.run(request).await
    }

    /// Ends a socket. A WebSocket loses its connection, so that the browser reconnects by itself; one that polls is told.
    pub(crate) fn kill(&self, socket: &SocketRef) {
        let token = self.lock().get(&socket.id).cloned();
        match token {
            Some(token) if socket.transport_type() == TransportType::Websocket => token.cancel(),
            _ if socket.clone().disconnect().is_ok() => {}
            // Its queue is full. It may poll again and empty it, and must not believe then that it is still watched for.
            _ => drop(tokio::spawn(tell_until_gone(socket.clone()))),
        }
    }

    /// The socket is gone.
    pub(crate) fn forget(&self, sid: Sid) {
        self.lock().remove(&sid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Sid, CancellationToken>> {
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells a socket that it is cut as soon as there is room to; ends with the socket, which the heartbeat ends if nobody polls.
async fn tell_until_gone(socket: SocketRef) {
    while socket.connected() && socket.clone().disconnect().is_err() {
        tokio::time::sleep(TELL_AGAIN).await;
    }
}
