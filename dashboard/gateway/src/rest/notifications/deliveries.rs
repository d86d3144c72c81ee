//! What has become of notifications. They are read from the log when somebody asks: that is seldom, and they may be many.

use super::super::{ApiError, Rest, RestState, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{DeliveriesAnswer, DeliveryInfo, ErrorAnswer};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::collections::HashMap;
use utoipa::IntoParams;
use waystream_domain::notify::{Content, Delivery, DeliveryState, headline};
use waystream_domain::{AuditRecord, DeliveryId, OrganisationId};
use waystream_log::{Offsets, Record, Topic, partition_of};

const BATCH: usize = 512;
const USUAL_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;
const STATES: [&str; 3] = ["pending", "delivered", "dead"];

/// Which deliveries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    /// `pending`, `delivered` or `dead`; all by default.
    state: Option<String>,
    /// At most so many, 1 to 1000; 100 by default.
    limit: Option<usize>,
}

/// The newest deliveries of the organisation.
#[utoipa::path(get, path = "/api/notifications/deliveries", params(Filter),
    responses((status = 200, body = DeliveriesAnswer), (status = 400, body = ErrorAnswer)))]
pub(crate) async fn list(
    State(rest): State<RestState>,
    identity: Identity,
    Query(filter): Query<Filter>,
) -> Result<Json<DeliveriesAnswer>, ApiError> {
    if let Some(state) = filter.state.as_deref().filter(|state| !STATES.contains(state)) {
        return Err(ApiError::BadRequest(format!("state: {state:?} is none of {}", STATES.join(", "))));
    }
    let limit = filter.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(ApiError::BadRequest(format!("limit: it is 1 to {MAX_LIMIT}")));
    }
    let partitions = 0..rest.log.partitions(Topic::Deliveries);
    let all = read(&rest, identity.organisation(), partitions).await?;
    let wanted = |d: &Delivery| filter.state.as_deref().is_none_or(|state| d.state.name() == state);
    let mut found: Vec<Delivery> = all.into_values().filter(wanted).collect();
    found.sort_by(|a, b| (b.matched_at, &b.id).cmp(&(a.matched_at, &a.id)));
    let truncated = found.len() > limit;
    found.truncate(limit);
    Ok(Json(DeliveriesAnswer { deliveries: found.iter().map(info).collect(), truncated }))
}

/// Has a dead one tried again, with all its attempts.
#[utoipa::path(post, path = "/api/notifications/deliveries/{id}/retry",
    responses((status = 202, body = DeliveryInfo), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(crate) async fn retry(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeliveryInfo>), ApiError> {
    require_editor(&identity)?;
    let none = || ApiError::NotFound(format!("there is no delivery {id}"));
    let key: DeliveryId = id.parse().map_err(|_| none())?;
    let partition = partition_of(key.as_str().as_bytes(), rest.log.partitions(Topic::Deliveries));
    let found = read(&rest, identity.organisation(), partition..partition + 1).await?.remove(&key).ok_or_else(none)?;
    let Some(again) = found.again(now()) else {
        return Err(ApiError::Conflict(format!("the delivery is {}, not dead", found.state.name())));
    };
    append(&rest, &identity, &again).await?;
    Ok((StatusCode::ACCEPTED, Json(info(&again))))
}

/// Hands a delivery to the notifier, and records who wants it.
pub(super) async fn append(rest: &Rest, identity: &Identity, delivery: &Delivery) -> Result<(), ApiError> {
    rest.catalog.record(&AuditRecord::of_delivery(now(), &identity.actor(), delivery)).await?;
    let record = Record::new(delivery.id.to_string(), delivery.encode());
    Ok(rest.log.append(Topic::Deliveries, vec![record]).await?)
}

/// The last word on each delivery of an organisation, in these partitions.
async fn read(
    rest: &Rest,
    organisation: &OrganisationId,
    partitions: std::ops::Range<u32>,
) -> Result<HashMap<DeliveryId, Delivery>, ApiError> {
    let from: Offsets = partitions.map(|partition| ((Topic::Deliveries, partition), 0)).collect();
    let mut reader = rest.log.read(Topic::Deliveries, &from).await?;
    let mut known: HashMap<DeliveryId, Delivery> = HashMap::new();
    while let Some(batch) = reader.try_next(BATCH).await? {
        for entry in batch.entries {
            match entry.value.as_deref().map(Delivery::decode) {
                Some(Ok(d)) if d.organisation == *organisation => {
                    if known.get(&d.id).is_none_or(|before| before.may_become(&d)) {
                        known.insert(d.id.clone(), d);
                    }
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => {
                    tracing::warn!(partition = batch.partition, offset = entry.offset, %error, "delivery left out");
                }
                None => {
                    if let Some(id) = std::str::from_utf8(&entry.key).ok().and_then(|id| id.parse().ok()) {
                        known.remove::<DeliveryId>(&id);
                    }
                }
            }
        }
    }
    Ok(known)
}

fn info(delivery: &Delivery) -> DeliveryInfo {
    let rule = match &delivery.content {
        Content::Event { rule, .. } => Some(rule.to_string()),
        Content::Report { .. } | Content::Test { .. } => None,
    };
    let (next_try_at, note) = match &delivery.state {
        DeliveryState::Pending { next_try_at, last_error } => (Some(next_try_at.as_millis()), last_error.clone()),
        DeliveryState::Delivered => (None, None),
        DeliveryState::Dead { reason } => (None, Some(reason.clone())),
    };
    let event = delivery.event();
    DeliveryInfo {
        id: delivery.id.to_string(),
        rule,
        channel: delivery.channel.to_string(),
        headline: headline(delivery),
        event_id: event.map(|e| e.id.to_string()),
        kind: event.map(|e| e.kind.as_str().to_owned()),
        device: event.map(|e| e.device.to_string()),
        fix_time: event.map(|e| e.fix_time.as_millis()),
        matched_at: delivery.matched_at.as_millis(),
        state: delivery.state.name().to_owned(),
        changed_at: delivery.changed_at.as_millis(),
        attempts: delivery.attempts,
        next_try_at,
        note,
    }
}
