//! How many requests a session or token may make, and who has shown neither an address.

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
    /// There are too many.
    Others,
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
        let asker = if by.len() < REMEMBERED || by.contains_key(&asker) { asker } else { Asker::Others };
        let bucket = by.entry(asker).or_insert_with(|| Bucket::full(rate, now));
        let missing = 1.0 - bucket.left(rate, now);
        if missing > 0.0 {
            return Err((missing / rate.per_s).ceil() as u64);
        }
        bucket.take(rate, 1.0, now);
        Ok(())
    }
}

/// Middleware: who asks too much is told when to ask again.
pub(super) async fn limited(State(rest): State<RestState>, request: Request, next: Next) -> Response {
    let address = request.extensions().get::<Connection>().map(|connection| connection.client);
    let asker = match rest.sessions.shown_by(request.headers(), now()) {
        Some(shown) => Asker::Known(shown),
        None => Asker::Address(sender(address.unwrap_or(Ipv4Addr::UNSPECIFIED.into()))),
    };
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
