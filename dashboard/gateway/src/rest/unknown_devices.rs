//! Devices that were refused because nobody has entered them: owners and installers adopt them, owners dismiss them, and say what happens to
//! such devices.

use super::{Anybody, ApiError, DONE, Rest, RestState, name};
use crate::auth::Identity;
use crate::wire::{DeviceEdit, DeviceInfo, ErrorAnswer, UnknownDeviceInfo, UnknownDeviceRuleInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use waystream_domain::catalog::{Device, Role};
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, UnknownDevice, UnknownDeviceRule};

/// All that the organisation may adopt, the latest first.
#[utoipa::path(get, path = "/api/unknown-devices",
    responses((status = 200, body = Vec<UnknownDeviceInfo>), (status = 403, body = ErrorAnswer)))]
pub(super) async fn list(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
) -> Result<Json<Vec<UnknownDeviceInfo>>, ApiError> {
    require_adopter(&identity)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let mut devices: Vec<&Arc<UnknownDevice>> = catalog.unknown_devices_of(identity.organisation()).collect();
    devices.sort_by(|a, b| b.last_seen.cmp(&a.last_seen).then_with(|| a.id.cmp(&b.id)));
    Ok(Json(devices.into_iter().map(|device| UnknownDeviceInfo::from(device.as_ref())).collect()))
}

/// Makes it a device of the organisation: its next message is taken.
#[utoipa::path(post, path = "/api/unknown-devices/{id}/adopt", request_body = DeviceEdit,
    responses((status = 201, body = DeviceInfo), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn adopt(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
    Json(edit): Json<DeviceEdit>,
) -> Result<(StatusCode, Json<DeviceInfo>), ApiError> {
    require_adopter(&identity)?;
    let turn = rest.turn(&identity).await;
    let unknown = own(&rest, &identity, &id)?;
    let fleet = rest.own_fleet(&identity, &edit.fleet)?;
    let device = Device { id: unknown.id.clone(), fleet, name: name(&edit.name)? };
    let info = DeviceInfo { id: device.id.to_string(), name: device.name.clone(), fleet: device.fleet.to_string() };
    let edits = vec![
        CatalogEdit::Put(CatalogEntry::Device(device)),
        CatalogEdit::Remove(CatalogKey::UnknownDevice(unknown.id.clone())),
    ];
    turn.add(edits).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

/// Doesn't show it any more, also if it speaks again.
#[utoipa::path(delete, path = "/api/unknown-devices/{id}",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn dismiss(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    let unknown = own(&rest, &identity, &id)?;
    // It stays known as dismissed: removed, it would come back with its next message.
    let dismissed = UnknownDevice { dismissed: true, ..unknown.as_ref().clone() };
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::UnknownDevice(dismissed))]).await?;
    Ok(DONE)
}

/// What happens to devices that nobody has entered and that would come into the organisation's fleets. For owners.
#[utoipa::path(get, path = "/api/unknown-device-policy",
    responses((status = 200, body = UnknownDeviceRuleInfo), (status = 403, body = ErrorAnswer)))]
pub(super) async fn policy(State(rest): State<RestState>, identity: Identity) -> Result<Json<UnknownDeviceRuleInfo>, ApiError> {
    require_owner(&identity)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let rule = catalog.unknown_device_rules.get(identity.organisation());
    Ok(Json(UnknownDeviceRuleInfo { policy: rule.map(|rule| rule.policy.into()) }))
}

/// Says what happens to them from the next message on. What the installation refuses is refused all the same. For owners.
#[utoipa::path(put, path = "/api/unknown-device-policy", request_body = UnknownDeviceRuleInfo,
    responses((status = 204), (status = 403, body = ErrorAnswer)))]
pub(super) async fn set_policy(
    State(rest): State<RestState>,
    identity: Identity,
    Json(rule): Json<UnknownDeviceRuleInfo>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    let organisation = identity.organisation().clone();
    let edit = match rule.policy {
        Some(policy) => {
            CatalogEdit::Put(CatalogEntry::UnknownDeviceRule(UnknownDeviceRule { organisation, policy: policy.into() }))
        }
        None => CatalogEdit::Remove(CatalogKey::UnknownDeviceRule(organisation)),
    };
    rest.catalog.edit(&identity.actor(), vec![edit]).await?;
    Ok(DONE)
}

fn require_owner(identity: &Identity) -> Result<(), ApiError> {
    match identity.role() {
        Role::Owner => Ok(()),
        _ => Err(ApiError::Forbidden("only owners dismiss devices, or say what happens to them".into())),
    }
}

fn require_adopter(identity: &Identity) -> Result<(), ApiError> {
    if identity.role().adopts_devices() {
        Ok(())
    } else {
        Err(ApiError::Forbidden("only owners and installers adopt devices".into()))
    }
}

fn own(rest: &Rest, identity: &Identity, id: &str) -> Result<Arc<UnknownDevice>, ApiError> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let found = catalog.unknown_devices_of(identity.organisation()).find(|device| device.id.as_str() == id).cloned();
    found.ok_or_else(|| ApiError::NotFound(format!("there is no unknown device {id}")))
}
