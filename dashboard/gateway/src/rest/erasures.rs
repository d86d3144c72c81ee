//! Erasing the history of a device on request: for owners. Each is an entry of the catalog, which the processes that keep history carry
//! out; so is how far it has come.

use super::devices::unknown;
use super::{ApiError, Rest, RestState};
use crate::auth::Identity;
use crate::now;
use crate::wire::ErrorAnswer;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use waystream_domain::catalog::Role;
use waystream_domain::{CatalogEdit, CatalogEntry, DeviceId, Erasure};
use waystream_sql::{Devices, TrackRequest};

/// How far it has come.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ErasureInfo {
    /// Whose history.
    device: String,
    /// What was received before then, milliseconds since the Unix epoch.
    until: i64,
    /// Since when nothing of it is stored.
    done_at: Option<i64>,
    /// It could not be done: an operator has to look.
    failed: bool,
}

impl From<&Erasure> for ErasureInfo {
    fn from(erasure: &Erasure) -> Self {
        Self {
            device: erasure.device.to_string(),
            until: erasure.until.as_millis(),
            done_at: erasure.done_at.map(|at| at.as_millis()),
            failed: erasure.problem.is_some(),
        }
    }
}

/// What was asked to be erased, the newest of each device. For owners.
#[utoipa::path(get, path = "/api/erasures", responses((status = 200, body = Vec<ErasureInfo>), (status = 403, body = ErrorAnswer)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Result<Json<Vec<ErasureInfo>>, ApiError> {
    require_owner(&identity)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let own = catalog.erasures.values().filter(|erasure| erasure.organisation.as_ref() == Some(identity.organisation()));
    Ok(Json(own.map(|erasure| erasure.as_ref().into()).collect()))
}

/// Erases what a device of the organisation has told until now: positions, events, and what is remembered of it; for ever. A device that
/// is no longer in the catalog can be named too. The answer comes before it is done, which `GET /api/erasures` tells. For owners.
#[utoipa::path(delete, path = "/api/devices/{id}/history",
    responses((status = 202, body = ErasureInfo), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer), (status = 413, body = ErrorAnswer)))]
pub(super) async fn erase(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<ErasureInfo>), ApiError> {
    require_owner(&identity)?;
    let device: DeviceId = id.parse().map_err(|_| unknown(&id))?;
    if !rest.is_or_was_own(&identity, &device).await? {
        return Err(unknown(&id));
    }
    let turn = rest.turn(&identity).await;
    let erasure = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        if catalog.erasures.get(&device).is_some_and(|known| known.is_under_way()) {
            return Err(ApiError::Conflict(format!("the history of {id} is being erased")));
        }
        Erasure::by_organisation(device, identity.organisation().clone(), &catalog, now())
    };
    tracing::info!(by = %identity.user(), device = %erasure.device, "history is to be erased");
    let info = ErasureInfo::from(&erasure);
    turn.add(vec![CatalogEdit::Put(CatalogEntry::Erasure(erasure))]).await?;
    Ok((StatusCode::ACCEPTED, Json(info)))
}

impl Rest {
    /// Whether the device is the identity's, or has told something that is the identity's to see.
    pub(super) async fn is_or_was_own(&self, identity: &Identity, device: &DeviceId) -> Result<bool, ApiError> {
        Ok(self.own_device(identity, device).is_some() || self.has_history(identity, device).await?)
    }

    async fn has_history(&self, identity: &Identity, device: &DeviceId) -> Result<bool, ApiError> {
        let scope = self.sessions.scope(identity);
        let Some((from, to)) = self.sql.span(&scope, None, None).await? else { return Ok(false) };
        let request = TrackRequest { devices: Devices::Only(vec![device.clone()]), from, to, max_rows: 1 };
        let mut positions = self.sql.track(&scope, request);
        Ok(positions.next().await.transpose()?.is_some_and(|batch| !batch.is_empty()))
    }
}

pub(super) fn require_owner(identity: &Identity) -> Result<(), ApiError> {
    match identity.role() {
        Role::Owner => Ok(()),
        _ => Err(ApiError::Forbidden("only owners may have history removed".into())),
    }
}
