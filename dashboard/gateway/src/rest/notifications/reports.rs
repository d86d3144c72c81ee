//! Which summaries are sent by themselves.

use super::super::kept::{Kept, Owned};
use super::super::{ApiError, Rest, RestState, name, require_editor};
use super::new_id;
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, ReportEdit, ReportInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::notify::{Channel, Every, LocalTime, LocalTimeText, Per, Report, ReportFormat, Target};
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, OrganisationId, ReportId};

/// Most reports of one organisation: each asks much of history.
const MAX_REPORTS: usize = 50;

impl Owned for Report {
    type Id = ReportId;
    const ONE: &'static str = "report";

    fn all(catalog: &Catalog) -> &BTreeMap<ReportId, Arc<Self>> {
        &catalog.reports
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::Report(self.id.clone())
    }
}

impl Kept for Report {
    const MANY: &'static str = "reports";
    const MOST: usize = MAX_REPORTS;

    fn name(&self) -> &str {
        &self.name
    }
}

/// All of the organisation, by name.
#[utoipa::path(get, path = "/api/notifications/reports", responses((status = 200, body = Vec<ReportInfo>)))]
pub(crate) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<ReportInfo>> {
    Json(rest.all_kept(&identity).iter().map(|kept: &Arc<Report>| info(kept)).collect())
}

/// A new report. If its time has passed today, what it is about is sent at once.
#[utoipa::path(post, path = "/api/notifications/reports", request_body = ReportEdit,
    responses((status = 201, body = ReportInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(crate) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<ReportEdit>,
) -> Result<(StatusCode, Json<ReportInfo>), ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    rest.room_for::<Report>(&identity)?;
    Ok((StatusCode::CREATED, Json(keep(&rest, &identity, new_id("report")?, edit).await?)))
}

/// Changes a report. What has been sent is not sent again.
#[utoipa::path(put, path = "/api/notifications/reports/{id}", request_body = ReportEdit,
    responses((status = 200, body = ReportInfo), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<ReportEdit>,
) -> Result<Json<ReportInfo>, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let id = rest.own_entry::<Report>(&identity, &id)?.id.clone();
    Ok(Json(keep(&rest, &identity, id, edit).await?))
}

/// Removes a report.
#[utoipa::path(delete, path = "/api/notifications/reports/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(crate) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    rest.remove_entry::<Report>(&identity, &id).await
}

async fn keep(rest: &Rest, identity: &Identity, id: ReportId, edit: ReportEdit) -> Result<ReportInfo, ApiError> {
    let bad = |field: &str, wrong: String| ApiError::BadRequest(format!("{field}: {wrong}"));
    let fleet =
        |fleet: &String| rest.own_fleet(identity, fleet).map_err(|_| bad("fleets", format!("there is no fleet {fleet}")));
    let channel = rest
        .own_entry::<Channel>(identity, &edit.channel)
        .map_err(|_| bad("channel", format!("there is no channel {}", edit.channel)))?;
    if !matches!(channel.target, Target::Email { .. }) {
        return Err(bad("channel", format!("a report goes by e-mail, not by {}", channel.kind())));
    }
    let at = LocalTimeText { time: edit.time.clone(), time_zone: edit.time_zone.clone() };
    let report = Report {
        id,
        organisation: identity.organisation().clone(),
        name: name(&edit.name)?,
        enabled: edit.enabled,
        fleets: edit.fleets.iter().map(fleet).collect::<Result<_, _>>()?,
        per: Per::parse(&edit.per).ok_or_else(|| bad("per", format!("{:?} is neither vehicle nor fleet", edit.per)))?,
        every: Every::parse(&edit.every).ok_or_else(|| bad("every", format!("{:?} is neither day nor week", edit.every)))?,
        at: LocalTime::try_from(at).map_err(ApiError::BadRequest)?,
        format: ReportFormat::parse(&edit.format)
            .ok_or_else(|| bad("format", format!("{:?} is neither csv nor xlsx", edit.format)))?,
        channel: channel.id.clone(),
    };
    report.check().map_err(ApiError::BadRequest)?;
    let info = info(&report);
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::Report(report))]).await?;
    Ok(info)
}

fn info(report: &Report) -> ReportInfo {
    let LocalTimeText { time, time_zone } = report.at.into();
    ReportInfo {
        id: report.id.to_string(),
        report: ReportEdit {
            name: report.name.clone(),
            enabled: report.enabled,
            fleets: report.fleets.iter().map(ToString::to_string).collect(),
            per: report.per.as_str().to_owned(),
            every: report.every.as_str().to_owned(),
            time,
            time_zone,
            format: report.format.as_str().to_owned(),
            channel: report.channel.to_string(),
        },
    }
}
