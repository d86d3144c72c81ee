//! How many requests a session or token may make, and who has shown neither an address; and how many sockets that one may open.

use super::{ApiError, RestState};
use crate::listener::Connection;
use crate::metrics::{Refusal, refused};
use crate::now;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use waystream_domain::rate::{Bucket, Rate};
use waystream_tls::sender;

/// So many seconds' worth may come at once: a dashboard that opens, a program that catches up.
const BURST_S: f64 = 20.0;
/// Askers remembered. Further ones share what one may.
const REMEMBERED: usize = 50_000;
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What it costs to open a socket and to show nothing: so many requests. It is kept with its headers, 64 KiB at most, until the ten seconds are
/// over within which it has to be let in.
const OPENING: f64 = 25.0;

/// Requests that were made lately, by who made them. Time is an argument.
pub(crate) struct Rates {
    /// `None`: as many as they like.
    rate: Option<Rate>,
    asked: Mutex<Asked>,
}

#[derive(Default)]
struct Asked {
    by: HashMap<Asker, Bucket>,
    forgot_at: Option<Instant>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Asker {
    /// By what the session or token is kept under.
    Known(String),
    Address(IpAddr),
    /// One from which sockets are opened: counted apart, so that who does so keeps nobody from signing in.
    Opening(IpAddr),
    /// There are too many.
    Others,
}

impl Asker {
    fn cost(&self) -> f64 {
        if matches!(self, Self::Opening(_)) { OPENING } else { 1.0 }
    }
}

impl Rates {
    /// So many a second; 0: as many as they like.
    pub(crate) fn new(per_s: u32) -> Self {
        let per_s = f64::from(per_s);
        Self { rate: (per_s > 0.0).then_some(Rate { burst: per_s * BURST_S, per_s }), asked: Mutex::default() }
    }

    /// `Err`: after how many seconds to ask again. Who is refused is not counted.
    fn take(&self, asker: Asker, now: Instant) -> Result<(), u64> {
        let Some(rate) = &self.rate else { return Ok(()) };
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let Asked { by, forgot_at } = &mut *asked;
        if by.len() >= REMEMBERED / 2 && forgot_at.is_none_or(|at| now.saturating_duration_since(at) >= LOOK_EVERY) {
            *forgot_at = Some(now);
            by.retain(|_, bucket| bucket.left(rate, now) < rate.burst);
        }
        // However few there may be, one may come when none has.
        let cost = asker.cost().min(rate.burst);
        let asker = if by.len() < REMEMBERED || by.contains_key(&asker) { asker } else { Asker::Others };
        let bucket = by.entry(asker).or_insert_with(|| Bucket::full(rate, now));
        let missing = cost - bucket.left(rate, now);
        if missing > 0.0 {
            return Err((missing / rate.per_s).ceil() as u64);
        }
        bucket.take(rate, cost, now);
        Ok(())
    }
}

/// Middleware: who asks too much is told when to ask again.
pub(super) async fn limited(State(rest): State<RestState>, request: Request, next: Next) -> Response {
    let asker = match rest.sessions.shown_by(request.headers(), now()) {
        Some(shown) => Asker::Known(shown),
        None => Asker::Address(address(&request)),
    };
    within(&rest, asker, request, next).await
}

/// Middleware of Socket.IO: the same for who opens a socket and has shown nothing. Over polling that needs no connection, of which there are
/// so many only.
pub(crate) async fn limited_openings(State(rest): State<RestState>, request: Request, next: Next) -> Response {
    let is_open = request.uri().query().is_some_and(|query| query.split('&').any(|part| part.starts_with("sid=")));
    if is_open || rest.sessions.check(request.headers(), now()).is_some() {
        return next.run(request).await;
    }
    let asker = Asker::Opening(address(&request));
    within(&rest, asker, request, next).await
}

fn address(request: &Request) -> IpAddr {
    let connection = request.extensions().get::<Connection>();
    sender(connection.map_or(Ipv4Addr::UNSPECIFIED.into(), |connection| connection.client))
}

async fn within(rest: &RestState, asker: Asker, request: Request, next: Next) -> Response {
    match rest.rates.take(asker, Instant::now()) {
        Ok(()) => next.run(request).await,
        Err(seconds) => {
            refused(Refusal::Rate);
            ApiError::TooMany("too many requests".into(), seconds).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_too_much_waits_and_nobody_else() {
        let (rates, start) = (Rates::new(10), Instant::now());
        let known = |name: &str| Asker::Known(name.to_owned());
        for _ in 0..200 {
            assert_eq!(rates.take(known("anna"), start), Ok(()));
        }
        assert_eq!(rates.take(known("anna"), start), Err(1));
        assert_eq!(rates.take(known("bob"), start), Ok(()));
        // Those who are refused and try again wait no longer for it.
        assert_eq!(rates.take(known("anna"), start), Err(1));
        assert_eq!(rates.take(known("anna"), start + Duration::from_millis(150)), Ok(()));
        assert_eq!(rates.take(known("anna"), start + Duration::from_millis(150)), Err(1));
        let none = Rates::new(0);
        assert!((0..1_000).all(|_| none.take(known("anna"), start).is_ok()));
    }

    #[test]
    fn opening_sockets_costs_more_and_is_counted_apart() {
        let (rates, start) = (Rates::new(10), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        let opened = (0..100).take_while(|_| rates.take(Asker::Opening(address), start).is_ok()).count();
        assert_eq!(opened, 8);
        assert_eq!(rates.take(Asker::Opening(address), start), Err(3));
        assert_eq!(rates.take(Asker::Address(address), start), Ok(()));
        assert_eq!(rates.take(Asker::Opening([192, 0, 2, 2].into()), start), Ok(()));
        assert_eq!(rates.take(Asker::Opening(address), start + Duration::from_millis(2_500)), Ok(()));
        let few = Rates::new(1);
        assert_eq!(few.take(Asker::Opening(address), start), Ok(()));
        assert_eq!(few.take(Asker::Opening(address), start), Err(20));
    }

    #[test]
    fn who_asks_is_remembered_within_bounds() {
        let (rates, start) = (Rates::new(1), Instant::now());
        for n in 0..2 * REMEMBERED as u32 {
            // The others wait soon; that is what keeps them bounded.
            let _refused = rates.take(Asker::Address(IpAddr::from(n.to_be_bytes())), start);
        }
        let remembered = || rates.asked.lock().expect("no panic").by.len();
        assert_eq!(remembered(), REMEMBERED + 1);
        assert_eq!(rates.take(Asker::Known("anna".into()), start + Duration::from_secs(60)), Ok(()));
        assert_eq!(remembered(), 1);
    }
}
