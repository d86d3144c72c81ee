//! A connection: HTTP/2 with bounds, on which nothing is read of a call that shows no valid token, and which nobody can hold for ever.
//!
//! A client that shows none is told so, and has to come again: so guessing takes a connection for each few guesses, and a place among the
//! strangers.

use super::Shared;
use super::call::Call;
use super::failure;
use super::listener::Socket;
use super::service::Service;
use crate::accept::Stranger;
use crate::fair::{Place, Places};
use crate::metrics;
use arrow_flight::flight_service_server::FlightServiceServer;
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tower::ServiceExt;

/// Calls at a time on one connection.
const CALLS: u32 = 16;
/// Bytes that a client may send of one call before they are read, and of all of its calls.
const CALL_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 256 << 10;
/// Bytes of a call's headers.
const MAX_HEADERS: u32 = 16 << 10;
/// A client is asked so often whether it is still there, and answers within so long.
const ASK_AGAIN: Duration = Duration::from_secs(10);
const ANSWER: Duration = Duration::from_secs(20);
/// What is left to be said at the end is said in so long: nobody waits for a client that doesn't listen.
const GOODBYE: Duration = Duration::from_secs(3);

/// What the calls of a connection share.
pub(super) struct Visit {
    pub(super) peer: SocketAddr,
    pub(super) shared: Arc<Shared>,
    /// Everything ends.
    pub(super) stop: CancellationToken,
    /// Cancelled to close the connection now.
    pub(super) kill: CancellationToken,
    /// Cancelled to take no more calls.
    leave: CancellationToken,
    guests: Places,
    held: Mutex<Held>,
}

/// The connection's place: among strangers first, then among guests.
struct Held {
    _stranger: Option<Stranger>,
    guest: Option<Guest>,
    /// When it came, or last asked.
    asked: Instant,
}

/// A place among the clients that have shown a token: organisations share these, so that none has all.
struct Guest {
    _place: Place,
}

impl Guest {
    fn new(place: Place) -> Self {
        metrics::flight_connections(1.0);
        Self { _place: place }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        metrics::flight_connections(-1.0);
    }
}

impl Visit {
    pub(super) fn new(
        peer: SocketAddr,
        shared: Arc<Shared>,
        guests: Places,
        stranger: Stranger,
        stop: CancellationToken,
    ) -> Self {
        let held = Mutex::new(Held { _stranger: Some(stranger), guest: None, asked: Instant::now() });
        Self { peer, shared, stop, kill: CancellationToken::new(), leave: CancellationToken::new(), guests, held }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has shown a token: the connection becomes a guest's, if it isn't yet, and counts for the organisation of that call.
    fn admit(&self, call: &Call) -> Result<(), Status> {
        let mut held = self.held();
        if held.guest.is_none() {
            let scope = call.scope()?;
            let place = self.guests.try_take(scope.organisation(), self.shared.engine.is_for_one());
            held.guest = Some(Guest::new(place.ok_or_else(|| failure::busy("too many clients already"))?));
            held._stranger = None;
        }
        held.asked = Instant::now();
        Ok(())
    }

    fn is_guest(&self) -> bool {
        self.held().guest.is_some()
    }

    /// Until when it may ask nothing.
    fn patience(&self) -> Instant {
        let held = self.held();
        held.asked + if held.guest.is_some() { self.shared.options.idle } else { self.shared.options.startup }
    }

    /// How long calls may go on that were made before the last one.
    fn last(&self) -> Duration {
        if self.is_guest() { self.shared.engine.deadline() + self.shared.options.stuck } else { GOODBYE }
    }
}

/// Answers calls until the client goes, or has to.
pub(super) async fn serve_connection(socket: Box<dyn Socket>, visit: Arc<Visit>, server: FlightServiceServer<Service>) {
    let service = {
        let visit = Arc::clone(&visit);
        service_fn(move |request| answer(request, Arc::clone(&visit), server.clone()))
    };
    let mut serving = pin!(
        http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(CALLS)
            .initial_stream_window_size(CALL_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADERS)
            .keep_alive_interval(ASK_AGAIN)
            .keep_alive_timeout(ANSWER)
            .serve_connection(TokioIo::new(socket), service)
    );
    let (mut ends, mut stopping) = (None, false);
    loop {
        let wake = ends.unwrap_or_else(|| visit.patience());
        let last = tokio::select! {
            ended = serving.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(peer = %visit.peer, %error, "connection ended");
                }
                break;
            }
            () = visit.kill.cancelled() => break,
            () = tokio::time::sleep_until(wake) => {
                if ends.is_some() {
                    break;
                }
                if visit.patience() > Instant::now() {
                    continue;
                }
                if !visit.is_guest() {
                    metrics::flight_failed("slow");
                    break;
                }
                visit.last()
            }
            () = visit.leave.cancelled(), if ends.is_none() => visit.last(),
            () = visit.stop.cancelled(), if !stopping => {
                stopping = true;
                GOODBYE
            }
        };
        serving.as_mut().graceful_shutdown();
        ends = Some(Instant::now() + last);
    }
}

async fn answer(
    mut request: Request<Incoming>,
    visit: Arc<Visit>,
    server: FlightServiceServer<Service>,
) -> Result<Response<Body>, Infallible> {
    let Some(call) = Call::new(request.headers(), &visit) else {
        tracing::warn!(peer = %visit.peer, "Flight SQL client turned away: it showed no token that opens anything");
        visit.leave.cancel();
        return Ok(failure::stranger().into_http());
    };
    if let Err(status) = visit.admit(&call) {
        visit.leave.cancel();
        return Ok(status.into_http());
    }
    request.extensions_mut().insert(call);
    server.oneshot(request).await
}
