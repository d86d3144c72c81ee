//! Alerts that somebody has seen to. Entries of the catalog, so that every gateway and every open dashboard learns of them at once.

use super::{ApiError, DONE, Rest, RestState, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{AcknowledgementInfo, ErrorAnswer, NewAcknowledgement, NewAcknowledgements, acknowledgement_info};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;
use waystream_domain::{
    Acknowledgement, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, EventId, FleetId, Timestamp, to_forget,
};
use waystream_sql::EventFilter;

/// Alerts of one request.
const MOST_AT_ONCE: usize = 1_000;
/// Characters of a note.
const LONGEST_NOTE: usize = 500;
/// Longest id of an event, bytes: those of a device and a geofence, a kind, a time and a version fit.
const LONGEST_ID: usize = 512;
/// Devices that one id may be of: it may have slashes, but not so many.
const MOST_READINGS: usize = 8;

/// What the organisation has acknowledged in the last 30 days, by event.
#[utoipa::path(get, path = "/api/alerts/acknowledgements", responses((status = 200, body = Vec<AcknowledgementInfo>)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<AcknowledgementInfo>> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    Json(catalog.acknowledgements_of(identity.organisation()).map(|a| acknowledgement_info(a)).collect())
}

/// Acknowledges alerts, all or none. One that somebody has acknowledged already stays as it is.
#[utoipa::path(post, path = "/api/alerts/acknowledgements", request_body = NewAcknowledgements,
    responses((status = 200, body = Vec<AcknowledgementInfo>), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer)))]
pub(super) async fn acknowledge_all(
    State(rest): State<RestState>,
    identity: Identity,
    Json(request): Json<NewAcknowledgements>,
) -> Result<Json<Vec<AcknowledgementInfo>>, ApiError> {
    require_editor(&identity)?;
    if !(1..=MOST_AT_ONCE).contains(&request.event_ids.len()) {
        return Err(ApiError::BadRequest(format!("event_ids are 1 to {MOST_AT_ONCE}")));
    }
    let events = request.event_ids.iter().map(|id| EventId::from_text(id)).collect();
    Ok(Json(give(&rest, &identity, events, request.note).await?))
}

/// Acknowledges an alert. If somebody has already, that stays as it is.
#[utoipa::path(post, path = "/api/alerts/{id}/acknowledgement", request_body = NewAcknowledgement,
    responses((status = 200, body = AcknowledgementInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn acknowledge(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(request): Json<NewAcknowledgement>,
) -> Result<Json<AcknowledgementInfo>, ApiError> {
    require_editor(&identity)?;
    let given = give(&rest, &identity, BTreeSet::from([EventId::from_text(&id)]), request.note).await?;
    let taken_back = || ApiError::Conflict("somebody took it back at the same moment".into());
    Ok(Json(given.into_iter().next().ok_or_else(taken_back)?))
}

/// Takes an acknowledgement back, whoever gave it.
#[utoipa::path(delete, path = "/api/alerts/{id}/acknowledgement",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn take_back(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let event = EventId::from_text(&id);
    if rest.has_acknowledged(&identity, &event) {
        rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Acknowledgement(event))]).await?;
    } else {
        rest.own_events(&identity, &BTreeSet::from([event])).await?;
    }
    Ok(DONE)
}

async fn give(
    rest: &Rest,
    identity: &Identity,
    events: BTreeSet<EventId>,
    note: Option<String>,
) -> Result<Vec<AcknowledgementInfo>, ApiError> {
    let note = checked(note)?;
    let new: BTreeSet<EventId> = events.iter().filter(|event| !rest.has_acknowledged(identity, event)).cloned().collect();
    let fleets = rest.own_events(identity, &new).await?;
    let (by, organisation, at) = (identity.user(), identity.organisation(), now());
    if !new.is_empty() {
        let shared = rest.catalog.shared();
        let forgotten = to_forget(rest.look(&shared).acknowledgements_of(organisation), new.len(), at);
        let given = new.into_iter().map(|event| {
            let (organisation, by, note) = (organisation.clone(), by.clone(), note.clone());
            let fleet = fleets.get(&event).cloned();
            CatalogEdit::Put(CatalogEntry::Acknowledgement(Acknowledgement { event, organisation, fleet, by, at, note }))
        });
        // What is over and too much for one edit goes with the next.
        let forgotten = forgotten.into_iter().filter(|event| !events.contains(event)).take(2 * MOST_AT_ONCE);
        let forgotten = forgotten.map(|event| CatalogEdit::Remove(CatalogKey::Acknowledgement(event)));
        rest.catalog.edit(&identity.actor(), forgotten.chain(given).collect()).await?;
    }
    // Somebody else may have been first, or last.
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let known = events.iter().filter_map(|event| catalog.acknowledgements.get(event));
    Ok(known.filter(|a| a.organisation == *organisation).map(|a| acknowledgement_info(a)).collect())
}

/// A note as it is kept; none if there is nothing in it.
fn checked(note: Option<String>) -> Result<Option<String>, ApiError> {
    let note = note.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    let is_bad = |text: &str| text.chars().count() > LONGEST_NOTE || text.chars().any(|c| c.is_control() && c != '\n');
    match note {
        Some(text) if is_bad(&text) => Err(ApiError::BadRequest(format!("a note has at most {LONGEST_NOTE} characters"))),
        fine => Ok(fine),
    }
}

impl Rest {
    fn has_acknowledged(&self, identity: &Identity, event: &EventId) -> bool {
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        catalog.acknowledgements.get(event).is_some_and(|a| a.organisation == *identity.organisation())
    }

    /// Fleets of events, if all of these have happened, to vehicles of the identity's organisation. What was told lately is
    /// remembered; of the others the ids say of which device and when they are, so little of history is read.
    async fn own_events(
        &self,
        identity: &Identity,
        events: &BTreeSet<EventId>,
    ) -> Result<BTreeMap<EventId, FleetId>, ApiError> {
        let scope = self.sessions.scope(identity);
        let mut found: BTreeMap<EventId, FleetId> = {
            let board = self.board.read().unwrap_or_else(PoisonError::into_inner);
            let lately = events.iter().filter_map(|event| Some((event.clone(), board.recent().fleet(event)?.clone())));
            lately.filter(|(_, fleet)| scope.fleets().contains(fleet)).collect()
        };
        let unknown: BTreeSet<EventId> = events.iter().filter(|event| !found.contains_key(*event)).cloned().collect();
        if let Some(filter) = look_up(&unknown, now()) {
            let events = self.sql.events(&scope, filter).await?.events;
            found.extend(events.into_iter().map(|event| (event.row.id, event.row.fleet)));
        }
        match events.iter().find(|event| !found.contains_key(*event)) {
            None => Ok(found),
            Some(event) => Err(ApiError::NotFound(format!("there is no alert {event}"))),
        }
    }
}

/// How to look events up in history; `None`: there are none, or none of such ids.
fn look_up(events: &BTreeSet<EventId>, now: Timestamp) -> Option<EventFilter> {
    let mut devices: BTreeSet<DeviceId> = BTreeSet::new();
    let mut ids = Vec::new();
    // Ids of commands don't say when: an alert of one is looked for as long as the log would have it.
    let long_ago = now.plus_millis(-Acknowledgement::KEPT_MS);
    let mut times = Vec::new();
    for event in events.iter().filter(|event| event.as_str().len() <= LONGEST_ID) {
        let (of, at) = event.clues();
        if of.is_empty() || of.len() > MOST_READINGS {
            continue;
        }
        devices.extend(of);
        ids.push(event.clone());
        match at {
            Some(at) => times.push(at),
            None => times.extend([long_ago, now]),
        }
    }
    let (from, to) = (times.iter().min().copied()?, times.iter().max().copied()?);
    let (limit, devices) = (ids.len(), devices.into_iter().collect());
    Some(EventFilter { from: Some(from), to: Some(to), devices, ids, limit, ..EventFilter::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    #[test]
    fn history_is_read_only_where_the_ids_say() {
        let now = at(2_000_000_000_000);
        let filter = |ids: &[&str]| look_up(&ids.iter().map(|id| EventId::from_text(id)).collect(), now);
        let one = filter(&["jo/phone/yard/enter/7000"]).expect("an id");
        assert_eq!((one.from, one.to, one.limit), (Some(at(7_000)), Some(at(7_000)), 1));
        assert_eq!(one.devices.iter().map(DeviceId::as_str).collect::<Vec<_>>(), ["jo", "jo/phone"]);
        let some = filter(&["a/-/alarm/9000", "b/-/alarm/8000", "nonsense"]).expect("ids");
        assert_eq!((some.from, some.to, some.limit), (Some(at(8_000)), Some(at(9_000)), 2));
        let command = filter(&["a/-/command_failed/019a3c3f6c00-0000abcd"]).expect("an id");
        assert_eq!((command.from, command.to), (Some(now.plus_millis(-Acknowledgement::KEPT_MS)), Some(now)));
        let slashes = format!("{}/-/alarm/5", "x/".repeat(40));
        for none in [vec![], vec!["nonsense"], vec!["alarm/5"], vec![slashes.as_str()]] {
            assert!(filter(&none).is_none(), "{none:?}");
        }
    }

    #[test]
    fn a_note_says_something_or_is_none() {
        let kept = |text: &str| checked(Some(text.into())).ok().flatten();
        assert_eq!((kept(" called\nthe driver "), kept(" \n")), (Some("called\nthe driver".into()), None));
        assert!(checked(Some("x".repeat(501))).is_err() && checked(Some("a\u{7}b".into())).is_err());
        assert!(checked(None).is_ok_and(|note| note.is_none()));
    }
}
