//! Socket.IO: who may connect, and what each event of a browser does. The same code for WebSocket and long polling.

use super::acked::Acked;
use super::hub::Command;
use super::kills::Kills;
use super::tiles::Tiles;
use crate::auth::{Sessions, SignedIn};
use crate::in_turn::InTurn;
use crate::metrics as names;
use crate::nodes::{self, AckSender, Adapter, Nodes, SocketRef};
use crate::now;
use crate::replay::{ReplayContext, Replays};
use crate::wire::{FollowRequest, InsideRequest, OnlyRequest, ReplayAck, ReplayRequest, Viewport, WatchAnswer, WatchRequest};
use axum::Router;
use axum::extract::{OriginalUri, Request};
use axum::http::HeaderValue;
use socketioxide::extract::TryData;
use socketioxide::handler::ConnectHandler;
use socketioxide::{ParserConfig, SocketIo};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tower::util::MapRequest;
use waystream_domain::{FleetId, OrganisationId, SharedCatalog};
use waystream_sql::fair::{Place, Places};

/// Packets that may wait in one socket's queue: few, because what waits there gets old.
const QUEUE_PACKETS: usize = 16;
/// A browser that answers no ping for so long is gone.
const PING_EVERY: Duration = Duration::from_secs(10);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest message of a browser, bytes.
const MAX_MESSAGE: usize = 64 * 1024;
/// Messages of one socket that may be worked on at a time; a browser that sends more is cut.
const MAX_BUSY: usize = 64;

/// What the socket handlers need.
#[derive(Clone)]
pub(crate) struct Live {
    /// To the hub.
    pub(crate) hub: mpsc::Sender<Command>,
    /// To check who connects.
    pub(crate) sessions: Sessions,
    /// To cut sockets.
    pub(crate) kills: Kills,
    /// For replays.
    pub(crate) replay: Arc<ReplayContext>,
    /// To see how many organisations share the places.
    pub(crate) catalog: SharedCatalog,
    /// Of sockets.
    pub(crate) places: Places,
}

/// A socket's place, until it is gone.
type Held = Arc<Place>;

/// The route `/socket.io/`, and the handle to close all sockets with. A service and not a layer: a router applies layers to
/// its fallback anew with every request, and every application knows its own sessions only.
pub(crate) async fn socket_router(live: Live, nodes: Nodes) -> (Router, SocketIo<Adapter>) {
    let (service, io) = SocketIo::builder()
        .with_parser(ParserConfig::common().max_incoming_binaries(1).max_incoming_binary_buf_size(1_024))
        .max_buffer_size(QUEUE_PACKETS)
        .ws_read_buffer_size(512)
        .ws_max_message_size(MAX_MESSAGE)
        .ws_max_frame_size(MAX_MESSAGE)
        .max_payload(2 * MAX_MESSAGE as u64)
        .ping_interval(PING_EVERY)
        .ping_timeout(PING_TIMEOUT)
        .connect_timeout(Duration::from_secs(10))
        .with_adapter::<Adapter>(nodes::adapter(nodes))
        .build_svc();
    let admitting = live.clone();
    let may_connect = async move |socket: SocketRef| -> Result<(), &'static str> {
        let identity = admitting.sessions.check(&socket.req_parts().headers, now()).ok_or("unauthorised")?;
        let place = admitting.place(identity.organisation()).ok_or_else(|| {
            names::refused(names::Refusal::Full);
            "too many sockets"
        })?;
        socket.extensions.insert::<Held>(Arc::new(place));
        // Before the browser is told that it is connected: its first event may come at once, and one that nobody hears yet is dropped.
        hear(&socket, &admitting, &identity);
        socket.extensions.insert(identity);
        Ok(())
    };
    let connected = async move |socket: SocketRef| on_connect(&socket, &live).await;
    let ready = io.ns("/", connected.with(may_connect)).await;
    ready.expect("the name of the namespace is fine, and the way to other gateways does not fail");
    (Router::new().route_service("/socket.io/", MapRequest::new(service, with_own_memory)), io)
}

/// Headers and address of a request are slices of the buffer that its connection was read into, and Socket.IO keeps those of the first
/// request for as long as the socket lasts: with each idle socket that whole buffer of 8 KiB. Copied they keep nothing else.
fn with_own_memory(mut request: Request) -> Request {
    // The router's copy of the address; nobody asks for it from here on.
    request.extensions_mut().remove::<OriginalUri>();
    if let Ok(own) = request.uri().to_string().parse() {
        *request.uri_mut() = own;
    }
    for value in request.headers_mut().values_mut() {
        if let Ok(own) = HeaderValue::from_bytes(value.as_bytes()) {
            *value = own;
        }
    }
    request
}

async fn on_connect(socket: &SocketRef, live: &Live) {
    // The session may have ended between the check and now; then the first event finds out.
    let Some(identity) = socket.extensions.get::<SignedIn>() else { return };
    live.kills.remember(socket);
    nodes::enter(socket, &identity);
    live.tell(Command::Enter(socket.clone())).await;
    if !socket.connected() {
        // What tidies up after a socket that ends may have been here before.
        live.kills.forget(socket.id);
        drop(socket.extensions.remove::<Held>());
        socket.leave_all();
        live.tell(Command::Leave(socket.id)).await;
    }
}

impl Live {
    /// None: all are taken, or the organisation has its share of them.
    fn place(&self, organisation: &OrganisationId) -> Option<Place> {
        let alone = self.catalog.read().unwrap_or_else(PoisonError::into_inner).organisations.len() <= 1;
        self.places.try_take(organisation, alone)
    }

    async fn tell(&self, command: Command) {
        if self.hub.send(command).await.is_err() {
            tracing::debug!("the hub has stopped");
        }
    }
}

/// What each event of a browser does.
fn hear(socket: &SocketRef, live: &Live, identity: &SignedIn) {
    let replays = Arc::new(Replays::new(Arc::clone(&live.replay)));
    let busy = Arc::new(Semaphore::new(MAX_BUSY));
    let acked = Arc::new(Acked::default());
    socket.extensions.insert(Arc::clone(&acked));
    // One for all handlers: each is copied for every message.
    let (session, wishes) = (identity.session().to_owned(), Arc::default());
    let context = Arc::new(Context { live: live.clone(), session, busy, wishes, acked, replays });

    let on = Arc::clone(&context);
    socket.on("watch", move |socket: SocketRef, TryData(request): TryData<WatchRequest>, ack: AckSender| {
        let (place, identity) = on.enter(&socket).unzip();
        let live = on.live.clone();
        on.in_turn(place, async move {
            let Some(identity) = identity else { return };
            match request {
                Ok(request) => live.tell(Command::Watch { socket, identity, request, ack }).await,
                Err(error) => {
                    let answer = WatchAnswer { error: Some(format!("not understood: {error}")), ..WatchAnswer::default() };
                    if ack.send(&answer).is_err() {
                        tracing::debug!("nobody waits for the answer to watch");
                    }
                }
            }
        })
    });
    let on = Arc::clone(&context);
    socket.on("viewport", move |socket: SocketRef, TryData(viewport): TryData<Viewport>| {
        let tiles = viewport.ok().as_ref().and_then(Tiles::new);
        on.wish(&socket, tiles.map(|tiles| Command::Viewport(socket.id, tiles)))
    });
    let on = Arc::clone(&context);
    socket.on("follow", move |socket: SocketRef, TryData(request): TryData<FollowRequest>| {
        on.wish(&socket, request.ok().map(|FollowRequest { devices }| Command::Follow(socket.id, devices)))
    });
    let on = Arc::clone(&context);
    socket.on("only", move |socket: SocketRef, TryData(request): TryData<OnlyRequest>| {
        // What is no id is no fleet, and changes nothing.
        let fleet = request.ok().and_then(|r| r.fleet.map(|f| f.parse::<FleetId>()).transpose().ok());
        on.wish(&socket, fleet.map(|fleet| Command::Only(socket.id, fleet)))
    });
    let on = Arc::clone(&context);
    socket.on("inside", move |socket: SocketRef, TryData(request): TryData<InsideRequest>| {
        on.wish(&socket, request.ok().map(|InsideRequest { on: wanted }| Command::Inside(socket.id, wanted)))
    });
    let on = Arc::clone(&context);
    socket.on("ack", async move |socket: SocketRef, TryData(seq): TryData<u32>| {
        if !seq.is_ok_and(|seq| on.acked.say(seq)) {
            return;
        }
        if let Some(_busy) = on.busy(&socket) {
            on.tell(Command::Acknowledged(socket.id)).await;
        }
    });
    let on = Arc::clone(&context);
    socket.on("replay", move |socket: SocketRef, TryData(request): TryData<ReplayRequest>, ack: AckSender| {
        let asked = on.enter(&socket).zip(request.ok());
        let act = asked.map(|((busy, identity), request)| (busy, on.replays.act(socket, identity, request, ack)));
        async move {
            if let Some((_busy, act)) = act {
                act.await;
            }
        }
    });
    let on = Arc::clone(&context);
    socket.on("replay_ack", async move |socket: SocketRef, TryData(ack): TryData<ReplayAck>| {
        let Some(_busy) = on.busy(&socket) else { return };
        if let Ok(ack) = ack {
            on.replays.acknowledge(ack).await;
        }
    });
    socket.on_disconnect(async move |socket: SocketRef| {
        context.replays.close_all();
        context.live.kills.forget(socket.id);
        drop(socket.extensions.remove::<Held>());
        context.tell(Command::Leave(socket.id)).await;
    });
}

struct Context {
    live: Live,
    session: String,
    busy: Arc<Semaphore>,
    /// What is said to the hub.
    wishes: Arc<InTurn>,
    acked: Arc<Acked>,
    replays: Arc<Replays>,
}

impl Context {
    /// Tells the hub, in turn; `None`: the message was none.
    fn wish(&self, socket: &SocketRef, command: Option<Command>) -> impl Future<Output = ()> + Send + 'static + use<> {
        let live = self.live.clone();
        self.in_turn(self.busy(socket), async move {
            if let Some(command) = command {
                live.tell(command).await;
            }
        })
    }

    /// Without a place nothing is done.
    fn in_turn<W>(&self, place: Option<OwnedSemaphorePermit>, work: W) -> impl Future<Output = ()> + Send + 'static + use<W>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let turn = place.map(|place| {
            self.wishes.add(async move {
                work.await;
                drop(place);
            })
        });
        async move {
            if let Some(turn) = turn {
                turn.await;
            }
        }
    }

    /// A place among the messages that are worked on; without one the socket is cut.
    fn busy(&self, socket: &SocketRef) -> Option<OwnedSemaphorePermit> {
        let place = Arc::clone(&self.busy).try_acquire_owned().ok();
        if place.is_none() {
            self.cut(socket, "too busy");
        }
        place
    }

    /// Such a place and who it is for, if the session is still valid.
    fn enter(&self, socket: &SocketRef) -> Option<(OwnedSemaphorePermit, SignedIn)> {
        let place = self.busy(socket)?;
        let identity = self.live.sessions.identity(&self.session, now());
        if identity.is_none() {
            self.cut(socket, "session ended");
        }
        Some((place, identity?))
    }

    fn cut(&self, socket: &SocketRef, reason: &'static str) {
        tracing::debug!(sid = %socket.id, reason, "socket cut");
        metrics::counter!(names::SOCKETS_CUT, "reason" => reason).increment(1);
        self.live.kills.kill(socket);
    }

    async fn tell(&self, command: Command) {
        self.live.tell(command).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Uri;
    use axum::http::header::COOKIE;
    use bytes::Bytes;

    #[test]
    fn what_is_kept_of_a_request_keeps_nothing_of_what_its_connection_was_read_into() {
        let read = Bytes::from(b"/socket.io/?EIO=4 cookie: waystream=abc".to_vec());
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = Uri::from_maybe_shared(read.slice(..17)).expect("an address");
        let cookie = HeaderValue::from_maybe_shared(read.slice(26..)).expect("a value");
        request.headers_mut().insert(COOKIE, cookie);
        let address = OriginalUri(request.uri().clone());
        request.extensions_mut().insert(address);
        assert!(!read.is_unique());
        let request = with_own_memory(request);
        assert!(read.is_unique(), "it is still held");
        assert_eq!(*request.uri(), "/socket.io/?EIO=4");
        assert_eq!(request.headers()[COOKIE], "waystream=abc");
    }
}
