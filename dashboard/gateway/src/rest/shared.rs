//! Share links from the outside: one vehicle, live, for who has the link and no account. Everything here asks for a [`SharedVehicle`],
//! which opens nothing else; every other handler asks for an identity, which no link gives.

use super::{ApiError, RestState, address};
use crate::auth::{NotShared, SharePlace, SharedVehicle};
use crate::metrics::{Refusal, refused};
use crate::now;
use crate::wire::{ErrorAnswer, SharedPosition, SharedTrail, SharedView};
use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, State};
use axum::http::header::{CONTENT_TYPE, HeaderName, REFERRER_POLICY};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, stream};
use std::collections::HashMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::{Interval, MissedTickBehavior};
use waystream_domain::{FleetId, Position, ShareLinkId};
use waystream_sql::{Devices, TrackRequest};

/// Lines of JSON. Not compressed: each has to arrive when it is said.
pub(crate) const LINES: &str = "application/x-ndjson";
/// How often it is looked whether there is news.
const TICK: Duration = Duration::from_secs(1);
/// Something is said at least every so many ticks: so each side learns that the other is gone.
const BEAT: u32 = 15;
/// How far back a way goes, ms, and how many positions are read of it: one a second.
const TRAIL_MS: i64 = 7 * 24 * 3_600 * 1_000;
const TRAIL_ROWS: usize = 7 * 24 * 3_600;
/// Positions of a way that are told, at most.
const TRAIL_POINTS: usize = 2_000;
/// A way that was looked up is good for so long.
const KEPT: Duration = Duration::from_secs(15);

/// Ways that were asked for lately. They are looked up one at a time: many who ask cost no more than one.
#[derive(Default)]
pub(crate) struct Trails(Mutex<HashMap<ShareLinkId, (Instant, Arc<SharedTrail>)>>);

impl FromRequestParts<RestState> for SharedVehicle {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, rest: &RestState) -> Result<Self, ApiError> {
        let address = address(parts).unwrap_or_else(|| Ipv4Addr::UNSPECIFIED.into());
        Ok(rest.shares.check(&parts.headers, address, now())?)
    }
}

impl From<NotShared> for ApiError {
    fn from(not: NotShared) -> Self {
        match not {
            NotShared::Nothing => Self::Unauthorised,
            NotShared::Wait(ms) => Self::too_many_guesses("too many links that are none", ms),
        }
    }
}

/// The shared vehicle as it moves: a [`SharedView`] a line, whenever something is new and every 15 seconds, until the link ends. The link's
/// secret, which stands behind `#` in its address, comes as `Authorization: Bearer`.
#[utoipa::path(get, path = "/api/share",
    responses((status = 200, body = SharedView, content_type = "application/x-ndjson"), (status = 401, body = ErrorAnswer),
        (status = 429, body = ErrorAnswer)))]
pub(super) async fn watch(State(rest): State<RestState>, shared: SharedVehicle) -> Result<Response, ApiError> {
    let place = rest.shares.enter(&shared).ok_or_else(|| {
        refused(Refusal::Full);
        ApiError::TooMany("too many watch already".into(), 30)
    })?;
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let telling = Telling { rest: Arc::clone(&rest), shared: shared.clone(), tick, told: None, silent: 0, _place: place };
    let lines = stream::unfold(telling, |mut telling| async move {
        let line = telling.next().await?;
        Some((Ok::<_, Infallible>(line), telling))
    });
    let ended = Box::pin(async move { rest.shares.ended(&shared).await });
    // Fused: what is asked once more after the end has nothing more to say.
    let body = Body::from_stream(lines.take_until(ended).fuse());
    let headers = [
        (CONTENT_TYPE, LINES),
        (REFERRER_POLICY, "no-referrer"),
        // Some proxies gather answers otherwise.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    Ok((headers, body).into_response())
}

/// The way of the shared vehicle since the link was made.
#[utoipa::path(get, path = "/api/share/trail",
    responses((status = 200, body = SharedTrail), (status = 401, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn trail(State(rest): State<RestState>, shared: SharedVehicle) -> Result<Response, ApiError> {
    let trail = {
        let mut kept = rest.trails.0.lock().await;
        kept.retain(|_, (made, _)| made.elapsed() < KEPT);
        let known = kept.get(shared.link()).map(|(_, trail)| Arc::clone(trail));
        match known {
            Some(trail) => trail,
            None => {
                let trail = Arc::new(way(&rest, &shared).await?);
                kept.insert(shared.link().clone(), (Instant::now(), Arc::clone(&trail)));
                trail
            }
        }
    };
    // It may have ended meanwhile.
    let catalog = rest.catalog.shared();
    if !shared.is_open(&rest.look(&catalog), now()) {
        return Err(ApiError::Unauthorised);
    }
    Ok(([(REFERRER_POLICY, "no-referrer")], Json(&*trail)).into_response())
}

struct Telling {
    rest: RestState,
    shared: SharedVehicle,
    tick: Interval,
    told: Option<SharedView>,
    silent: u32,
    _place: SharePlace,
}

impl Telling {
    /// The next line; none once the link has ended.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            self.tick.tick().await;
            let view = seen(&self.rest, &self.shared)?;
            self.silent += 1;
            let is_news = self.told.as_ref().is_none_or(|told| (&told.name, &told.position) != (&view.name, &view.position));
            if is_news || self.silent >= BEAT {
                self.silent = 0;
                let mut line = serde_json::to_vec(&view).ok()?;
                line.push(b'\n');
                self.told = Some(view);
                return Some(line.into());
            }
        }
    }
}

/// What the link shows now; none if it has ended. A position that was filed under another organisation is that one's.
fn seen(rest: &RestState, shared: &SharedVehicle) -> Option<SharedView> {
    let now = now();
    let catalog = rest.catalog.shared();
    let catalog = rest.look(&catalog);
    if !shared.is_open(&catalog, now) {
        return None;
    }
    let is_own = |fleet: &FleetId| catalog.fleets.get(fleet).is_some_and(|f| f.organisation == *shared.organisation());
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    let vehicle = board.find(shared.device()).map(|(_, vehicle)| vehicle);
    let own = vehicle.filter(|v| !v.removed && is_own(&v.fleet) && is_own(&v.live.position.fleet));
    let position = own.map(|v| SharedPosition {
        speed_mps: v.motion.speed_mps,
        course_deg: v.motion.course_deg,
        ..shared_position(&v.live.position)
    });
    let (starts_at, ends_at) = (shared.starts_at().as_millis(), shared.ends_at().as_millis());
    Some(SharedView { name: shared.name(&catalog), starts_at, ends_at, now: now.as_millis(), position })
}

/// Nothing of a position but this is shared.
fn shared_position(p: &Position) -> SharedPosition {
    SharedPosition {
        fix_time: p.fix_time.as_millis(),
        lat: p.location.lat_deg(),
        lon: p.location.lon_deg(),
        speed_mps: p.speed_mps,
        course_deg: p.course_deg,
    }
}

async fn way(rest: &RestState, shared: &SharedVehicle) -> Result<SharedTrail, ApiError> {
    let scope = shared.scope(&rest.look(&rest.catalog.shared()));
    let to = now();
    let from = shared.starts_at().max(to.plus_millis(-TRAIL_MS));
    let devices = Devices::Only(vec![shared.device().clone()]);
    let mut track = rest.sql.track(&scope, TrackRequest { devices, from, to, max_rows: TRAIL_ROWS });
    let mut thinned = Thinned::new(TRAIL_POINTS);
    while let Some(batch) = track.next().await.transpose()? {
        batch.iter().filter(|p| p.valid).for_each(|p| thinned.push(|| shared_position(p)));
    }
    Ok(SharedTrail { positions: thinned.kept })
}

/// Evenly spread ones of however many come.
struct Thinned<T> {
    kept: Vec<T>,
    most: usize,
    /// Of so many that come one is kept.
    every: usize,
    come: usize,
}

impl<T> Thinned<T> {
    fn new(most: usize) -> Self {
        Self { kept: Vec::new(), most, every: 1, come: 0 }
    }

    fn push(&mut self, make: impl FnOnce() -> T) {
        if self.come.is_multiple_of(self.every) {
            if self.kept.len() == self.most {
                let mut n = 0;
                self.kept.retain(|_| {
                    n += 1;
                    n % 2 == 1
                });
                self.every *= 2;
            }
            // Doubled just now, it may not be this one's turn any more.
            if self.come.is_multiple_of(self.every) {
                self.kept.push(make());
            }
        }
        self.come += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::Thinned;

    #[test]
    fn of_many_positions_evenly_spread_ones_are_kept_and_of_few_all() {
        for (come, kept) in
            [(3, vec![0, 1, 2]), (4, vec![0, 1, 2, 3]), (5, vec![0, 2, 4]), (13, vec![0, 4, 8, 12]), (17, vec![0, 8, 16])]
        {
            let mut thinned = Thinned::new(4);
            (0..come).for_each(|n| thinned.push(|| n));
            assert_eq!(thinned.kept, kept, "{come}");
        }
    }
}
