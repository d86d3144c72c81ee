//! How long the organisation keeps its history, and that of single devices: for owners. The shortest counts, the installation's included.

use super::devices::unknown;
use super::erasures::require_owner;
use super::{ApiError, DONE, Rest, RestState};
use crate::auth::Identity;
use crate::wire::ErrorAnswer;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, DeviceId, Retention};

/// What the organisation has said.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct RetentionInfo {
    /// Days, by fix time; null: as long as the installation.
    days: Option<u32>,
    /// Days of devices that have their own.
    devices: BTreeMap<String, u32>,
}

/// How long history is to be kept.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RetentionEdit {
    /// Days, by fix time, 1 to 36,500; null: as long as others.
    days: Option<u32>,
}

/// How long the organisation keeps its history. For owners.
#[utoipa::path(get, path = "/api/retention",
    responses((status = 200, body = RetentionInfo), (status = 403, body = ErrorAnswer)))]
pub(super) async fn show(State(rest): State<RestState>, identity: Identity) -> Result<Json<RetentionInfo>, ApiError> {
    require_owner(&identity)?;
    let Retention { organisation: _, days, devices } = rest.retention(&identity);
    let devices = devices.into_iter().map(|(device, days)| (device.to_string(), days)).collect();
    Ok(Json(RetentionInfo { days, devices }))
}

/// Says how long. What is past it is removed within hours, for ever; what the installation keeps for less time goes earlier. For owners.
#[utoipa::path(put, path = "/api/retention", request_body = RetentionEdit,
    responses((status = 204), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer)))]
pub(super) async fn keep(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<RetentionEdit>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    let days = checked(edit.days)?;
    rest.set_retention(&identity, Retention { days, ..rest.retention(&identity) }).await
}

/// Says how long a device's history is kept, if that is to be less than the organisation's. For owners.
#[utoipa::path(put, path = "/api/devices/{id}/retention", request_body = RetentionEdit,
    responses((status = 204), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn keep_device(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<RetentionEdit>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    let device: DeviceId = id.parse().map_err(|_| unknown(&id))?;
    if !rest.is_or_was_own(&identity, &device).await? {
        return Err(unknown(&id));
    }
    let days = checked(edit.days)?;
    let mut retention = rest.retention(&identity);
    match days {
        Some(days) => drop(retention.devices.insert(device, days)),
        None => drop(retention.devices.remove(&device)),
    }
    if retention.devices.len() > Retention::MOST_DEVICES {
        return Err(ApiError::Conflict(format!("{} devices have days of their own already", Retention::MOST_DEVICES)));
    }
    rest.set_retention(&identity, retention).await
}

fn checked(days: Option<u32>) -> Result<Option<u32>, ApiError> {
    match days {
        Some(days) if !(1..=Retention::MOST_DAYS).contains(&days) => {
            Err(ApiError::BadRequest(format!("days are 1 to {}", Retention::MOST_DAYS)))
        }
        days => Ok(days),
    }
}

impl Rest {
    fn retention(&self, identity: &Identity) -> Retention {
        let shared = self.catalog.shared();
        let known = self.look(&shared).retentions.get(identity.organisation()).cloned();
        known.map_or_else(|| Retention::none(identity.organisation().clone()), |known| known.as_ref().clone())
    }

    async fn set_retention(&self, identity: &Identity, retention: Retention) -> Result<StatusCode, ApiError> {
        tracing::info!(by = %identity.user(), days = ?retention.days, devices = retention.devices.len(), "retention changed");
        let edit = match retention.days.is_none() && retention.devices.is_empty() {
            true => CatalogEdit::Remove(CatalogKey::Retention(retention.organisation)),
            false => CatalogEdit::Put(CatalogEntry::Retention(retention)),
        };
        self.catalog.edit(&identity.actor(), vec![edit]).await?;
        Ok(DONE)
    }
}
