//! Which events are told.

use super::super::kept::{Kept, Owned};
use super::super::{ApiError, Rest, RestState, name, require_editor};
use super::new_id;
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, NotificationRuleEdit, NotificationRuleInfo, QuietHours};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::geofence::{Schedule, ScheduleText};
use waystream_domain::notify::{Channel, NotificationRule};
use waystream_domain::{
    Catalog, CatalogEdit, CatalogEntry, CatalogKey, EventKind, Geofence, NotificationRuleId, OrganisationId,
};

/// Most rules of one organisation: every event is held against all of them.
const MAX_RULES: usize = 200;

impl Owned for NotificationRule {
    type Id = NotificationRuleId;
    const ONE: &'static str = "rule";

    fn all(catalog: &Catalog) -> &BTreeMap<NotificationRuleId, Arc<Self>> {
        &catalog.notification_rules
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::NotificationRule(self.id.clone())
    }
}

impl Kept for NotificationRule {
    const MANY: &'static str = "rules";
    const MOST: usize = MAX_RULES;

    fn name(&self) -> &str {
        &self.name
    }
}

/// All of the organisation, by name.
#[utoipa::path(get, path = "/api/notifications/rules", responses((status = 200, body = Vec<NotificationRuleInfo>)))]
pub(crate) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<NotificationRuleInfo>> {
    Json(rest.all_kept(&identity).iter().map(|kept: &Arc<NotificationRule>| info(kept)).collect())
}

/// A new rule.
#[utoipa::path(post, path = "/api/notifications/rules", request_body = NotificationRuleEdit,
    responses((status = 201, body = NotificationRuleInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(crate) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<NotificationRuleEdit>,
) -> Result<(StatusCode, Json<NotificationRuleInfo>), ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    rest.room_for::<NotificationRule>(&identity)?;
    Ok((StatusCode::CREATED, Json(keep(&rest, &identity, new_id("rule")?, edit).await?)))
}

/// Changes a rule. What it has told already goes on to its receivers.
#[utoipa::path(put, path = "/api/notifications/rules/{id}", request_body = NotificationRuleEdit,
    responses((status = 200, body = NotificationRuleInfo), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<NotificationRuleEdit>,
) -> Result<Json<NotificationRuleInfo>, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let id = rest.own_entry::<NotificationRule>(&identity, &id)?.id.clone();
    Ok(Json(keep(&rest, &identity, id, edit).await?))
}

/// Removes a rule. What it has told already goes on to its receivers.
#[utoipa::path(delete, path = "/api/notifications/rules/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    rest.remove_entry::<NotificationRule>(&identity, &id).await
}

async fn keep(
    rest: &Rest,
    identity: &Identity,
    id: NotificationRuleId,
    edit: NotificationRuleEdit,
) -> Result<NotificationRuleInfo, ApiError> {
    let bad = |field: &str, wrong: String| ApiError::BadRequest(format!("{field}: {wrong}"));
    let kind = |kind: &String| EventKind::parse(kind).ok_or_else(|| bad("kinds", format!("{kind:?} is no kind of event")));
    let fleet =
        |fleet: &String| rest.own_fleet(identity, fleet).map_err(|_| bad("fleets", format!("there is no fleet {fleet}")));
    let geofence = |id: &String| {
        let own = rest.own_entry::<Geofence>(identity, id).map(|geofence| geofence.id.clone());
        own.map_err(|_| bad("geofences", format!("there is no geofence {id}")))
    };
    let quiet_hours = edit.quiet_hours.map(|QuietHours { time_zone, hours, closed }| {
        let schedule = Schedule::try_from(ScheduleText { time_zone, hours, closed });
        schedule.map_err(|wrong| bad("quiet_hours", wrong.trim_start_matches("schedule: ").to_owned()))
    });
    let rule = NotificationRule {
        id,
        organisation: identity.organisation().clone(),
        name: name(&edit.name)?,
        enabled: edit.enabled,
        kinds: edit.kinds.iter().map(kind).collect::<Result<_, _>>()?,
        fleets: edit.fleets.iter().map(fleet).collect::<Result<_, _>>()?,
        geofences: edit.geofences.iter().map(geofence).collect::<Result<_, _>>()?,
        quiet_hours: quiet_hours.transpose()?,
        at_most_every_min: edit.at_most_every_min,
        channel: rest
            .own_entry::<Channel>(identity, &edit.channel)
            .map_err(|_| bad("channel", format!("there is no channel {}", edit.channel)))?
            .id
            .clone(),
    };
    rule.check().map_err(ApiError::BadRequest)?;
    let info = info(&rule);
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::NotificationRule(rule))]).await?;
    Ok(info)
}

fn info(rule: &NotificationRule) -> NotificationRuleInfo {
    let quiet_hours = rule.quiet_hours.clone().map(|schedule| {
        let ScheduleText { time_zone, hours, closed } = schedule.into();
        QuietHours { time_zone, hours, closed }
    });
    NotificationRuleInfo {
        id: rule.id.to_string(),
        rule: NotificationRuleEdit {
            name: rule.name.clone(),
            enabled: rule.enabled,
            kinds: rule.kinds.iter().map(|kind| kind.as_str().to_owned()).collect(),
            fleets: rule.fleets.iter().map(ToString::to_string).collect(),
            geofences: rule.geofences.iter().map(ToString::to_string).collect(),
            quiet_hours,
            at_most_every_min: rule.at_most_every_min,
            channel: rule.channel.to_string(),
        },
    }
}
