//! History: tracks, events, and how far back it goes.

use super::devices::{position_info, unknown};
use super::{ApiError, RestState};
use crate::auth::Identity;
use crate::live::alert;
use crate::wire::{ErrorAnswer, EventsAnswer, RangeAnswer, TrackAnswer};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::IntoParams;
use waystream_domain::{DeviceId, EventKind, Timestamp};
use waystream_sql::{Devices, EventFilter, TrackRequest};

/// Positions of one answer, unless fewer are asked for.
const TRACK_LIMIT: usize = 20_000;
const MAX_TRACK_LIMIT: usize = 200_000;
/// Events of one answer, unless another number is asked for.
const EVENTS_LIMIT: usize = 100;
const MAX_EVENTS_LIMIT: usize = 1_000;

/// Which part of a track.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct TrackQuery {
    /// First fix time: milliseconds since the Unix epoch, or ISO 8601.
    from: Option<String>,
    /// Last fix time.
    to: Option<String>,
    /// Positions at most.
    limit: Option<usize>,
}

/// A moment: milliseconds since the Unix epoch, or ISO 8601.
pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text.filter(|t| !t.is_empty()) else { return Ok(None) };
    let parsed = text.parse().ok().and_then(Timestamp::from_millis).or_else(|| Timestamp::parse(text));
    let bad = || ApiError::BadRequest(format!("{text} is not a time: milliseconds since 1970, or ISO 8601"));
    parsed.ok_or_else(bad).map(Some)
}

/// The positions of a device, in order of fix time.
#[utoipa::path(get, path = "/api/devices/{id}/track", params(TrackQuery),
    responses((status = 200, body = TrackAnswer), (status = 404, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn track(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Query(query): Query<TrackQuery>,
) -> Result<Json<TrackAnswer>, ApiError> {
    let device: DeviceId = id.parse().map_err(|_| unknown(&id))?;
    let limit = query.limit.unwrap_or(TRACK_LIMIT).min(MAX_TRACK_LIMIT);
    let (from, to) = (time(query.from.as_deref())?, time(query.to.as_deref())?);
    let scope = rest.sessions.scope(&identity);
    let mut positions = Vec::new();
    if let Some((from, to)) = rest.sql.span(&scope, from, to).await? {
        let request = TrackRequest { devices: Devices::Only(vec![device]), from, to, max_rows: limit + 1 };
        let mut stream = rest.sql.track(&scope, request);
        while let Some(batch) = stream.next().await.transpose()? {
            positions.extend(batch.iter().map(position_info));
        }
    }
    let truncated = positions.len() > limit;
    positions.truncate(limit);
    Ok(Json(TrackAnswer { device: id, positions, truncated }))
}

/// From when to when there is history.
#[utoipa::path(get, path = "/api/history/range", responses((status = 200, body = RangeAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn range(State(rest): State<RestState>, identity: Identity) -> Result<Json<RangeAnswer>, ApiError> {
    let range = rest.sql.time_range(&rest.sessions.scope(&identity)).await?;
    let (from, to) = range.map(|(from, to)| (from.as_millis(), to.as_millis())).unzip();
    Ok(Json(RangeAnswer { from, to }))
}

/// Which events.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct EventsQuery {
    /// A cursor: those that came after it, oldest first. Without it: the newest.
    after: Option<String>,
    /// First fix time: milliseconds since the Unix epoch, or ISO 8601.
    from: Option<String>,
    /// Last fix time.
    to: Option<String>,
    /// Last time of reception: older ones are asked for with that of the oldest so far.
    received_to: Option<String>,
    /// Kinds, separated by commas.
    kind: Option<String>,
    /// Device ids, separated by commas.
    device: Option<String>,
    /// Only those that happened in this fleet.
    fleet: Option<String>,
    /// Events at most.
    limit: Option<usize>,
}

/// Events, newest last.
#[utoipa::path(get, path = "/api/events", params(EventsQuery),
    responses((status = 200, body = EventsAnswer), (status = 404, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn events(
    State(rest): State<RestState>,
    identity: Identity,
    Query(query): Query<EventsQuery>,
) -> Result<Json<EventsAnswer>, ApiError> {
    let bad = ApiError::BadRequest;
    let list = |text: &Option<String>| -> Vec<String> {
        text.iter().flat_map(|t| t.split(',')).map(str::trim).filter(|t| !t.is_empty()).map(str::to_owned).collect()
    };
    let kinds = list(&query.kind)
        .iter()
        .map(|kind| EventKind::parse(kind).ok_or_else(|| bad(format!("{kind} is not a kind of event"))))
        .collect::<Result<_, _>>()?;
    let devices =
        list(&query.device).iter().map(|id| id.parse().map_err(|e| bad(format!("device: {e}")))).collect::<Result<_, _>>()?;
    let filter = EventFilter {
        after: query.after.as_deref().map(str::parse).transpose().map_err(|e| bad(format!("after: {e}")))?,
        from: time(query.from.as_deref())?,
        to: time(query.to.as_deref())?,
        received_to: time(query.received_to.as_deref())?,
        kinds,
        devices,
        ids: Vec::new(),
        limit: query.limit.unwrap_or(EVENTS_LIMIT).min(MAX_EVENTS_LIMIT),
    };
    let scope = match query.fleet.as_deref().filter(|fleet| !fleet.is_empty()) {
        Some(fleet) => rest.sessions.scope_of(&identity, &[rest.own_fleet(&identity, fleet)?]),
        None => rest.sessions.scope(&identity),
    };
    let page = rest.sql.events(&scope, filter).await?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let events = page.events.iter().map(|event| alert(&event.row, None, &catalog)).collect();
    Ok(Json(EventsAnswer { events, cursor: page.cursor.to_string() }))
}
