//! Which summaries are sent by themselves.

use super::super::{ApiError, DONE, Rest, RestState, name, require_editor};
use super::{channels, new_id};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, ReportEdit, ReportInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use waystream_domain::notify::{Every, LocalTime, LocalTimeText, Report, ReportFormat, Target};
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, ReportId};

/// Most reports of one organisation: each asks much of history.
const MAX_REPORTS: usize = 50;

/// All of the organisation, by name.
#[utoipa::path(get, path = "/api/notifications/reports", responses((status = 200, body = Vec<ReportInfo>)))]
pub(crate) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<ReportInfo>> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let own = catalog.reports.values().filter(|r| r.organisation == *identity.organisation());
    let mut reports: Vec<ReportInfo> = own.map(|r| info(r)).collect();
    reports.sort_by(|a, b| a.report.name.cmp(&b.report.name).then(a.id.cmp(&b.id)));
    Json(reports)
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
    let own = |r: &&Arc<Report>| r.organisation == *identity.organisation();
    if rest.look(&rest.catalog.shared()).reports.values().filter(own).count() >= MAX_REPORTS {
        return Err(ApiError::Conflict(format!("there are {MAX_REPORTS} reports already")));
    }
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
    let id = own(&rest, &identity, &id)?;
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
    let id = own(&rest, &identity, &id)?;
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Report(id))]).await?;
    Ok(DONE)
}

async fn keep(rest: &Rest, identity: &Identity, id: ReportId, edit: ReportEdit) -> Result<ReportInfo, ApiError> {
    let bad = |field: &str, wrong: String| ApiError::BadRequest(format!("{field}: {wrong}"));
    let fleet =
        |fleet: &String| rest.own_fleet(identity, fleet).map_err(|_| bad("fleets", format!("there is no fleet {fleet}")));
    let channel = channels::own(rest, identity, &edit.channel)
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

fn own(rest: &Rest, identity: &Identity, id: &str) -> Result<ReportId, ApiError> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let found = id.parse().ok().and_then(|id: ReportId| catalog.reports.get(&id));
    match found.filter(|r| r.organisation == *identity.organisation()) {
        Some(report) => Ok(report.id.clone()),
        None => Err(ApiError::NotFound(format!("there is no report {id}"))),
    }
}

fn info(report: &Report) -> ReportInfo {
    let LocalTimeText { time, time_zone } = report.at.into();
    ReportInfo {
        id: report.id.to_string(),
        report: ReportEdit {
            name: report.name.clone(),
            enabled: report.enabled,
            fleets: report.fleets.iter().map(ToString::to_string).collect(),
            every: report.every.as_str().to_owned(),
            time,
            time_zone,
            format: report.format.as_str().to_owned(),
            channel: report.channel.to_string(),
        },
    }
}
