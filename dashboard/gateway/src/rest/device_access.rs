//! What a device has to show to be taken for itself: a token, and addresses to speak from. Whoever enters devices sets it.

use super::{Anybody, ApiError, DONE, RestState};
use crate::auth::Identity;
use crate::now;
use crate::wire::{DeviceAccessInfo, DeviceAddressesEdit, DeviceTokenAnswer, DeviceTokenInfo, ErrorAnswer};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, DeviceAddresses, DeviceId, DeviceToken, Network};

/// Whether it has a token, and from where it may speak.
#[utoipa::path(get, path = "/api/devices/{id}/access",
    responses((status = 200, body = DeviceAccessInfo), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn show(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
) -> Result<Json<DeviceAccessInfo>, ApiError> {
    let device = changeable(&rest, &identity, &id)?;
    let shared = rest.catalog.shared();
    Ok(Json(info(&rest.look(&shared), &device)))
}

/// Makes a token for it, in place of the one that it may have: from now on the device is taken only with it, over HTTP. The answer has
/// the secret, which nobody can get a second time.
#[utoipa::path(post, path = "/api/devices/{id}/token",
    responses((status = 201, body = DeviceTokenAnswer), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn make_token(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<DeviceTokenAnswer>), ApiError> {
    let device = changeable(&rest, &identity, &id)?;
    let (token, secret) = DeviceToken::issue(device, identity.user().clone(), now(), &rand::random());
    tracing::info!(by = %identity.user(), device = %token.device, "device token made");
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::DeviceToken(token))]).await?;
    Ok((StatusCode::CREATED, Json(DeviceTokenAnswer { token: secret.as_str().to_owned() })))
}

/// Takes its token away: from now on its name is enough again.
#[utoipa::path(delete, path = "/api/devices/{id}/token",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn revoke_token(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let device = changeable(&rest, &identity, &id)?;
    if !rest.look(&rest.catalog.shared()).device_tokens.contains_key(&device) {
        return Err(ApiError::NotFound(format!("{id} has no token")));
    }
    tracing::info!(by = %identity.user(), %device, "device token revoked");
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::DeviceToken(device))]).await?;
    Ok(DONE)
}

/// Says from where it may speak; without addresses, from anywhere.
#[utoipa::path(put, path = "/api/devices/{id}/addresses", request_body = DeviceAddressesEdit,
    responses((status = 200, body = DeviceAccessInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer)))]
pub(super) async fn set_addresses(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
    Json(request): Json<DeviceAddressesEdit>,
) -> Result<Json<DeviceAccessInfo>, ApiError> {
    let device = changeable(&rest, &identity, &id)?;
    if request.addresses.len() > DeviceAddresses::MOST {
        return Err(ApiError::BadRequest(format!("addresses: at most {}", DeviceAddresses::MOST)));
    }
    let ranges = request.addresses.iter().map(|text| text.parse::<Network>()).collect::<Result<Vec<_>, _>>();
    let ranges = ranges.map_err(|error| ApiError::BadRequest(format!("addresses: {error}")))?;
    let edit = if ranges.is_empty() {
        CatalogEdit::Remove(CatalogKey::DeviceAddresses(device.clone()))
    } else {
        CatalogEdit::Put(CatalogEntry::DeviceAddresses(DeviceAddresses { device: device.clone(), ranges }))
    };
    rest.catalog.edit(&identity.actor(), vec![edit]).await?;
    let shared = rest.catalog.shared();
    Ok(Json(info(&rest.look(&shared), &device)))
}

/// The device of the catalog of this name, if it is the identity's, who may enter devices.
fn changeable(rest: &RestState, identity: &Identity, id: &str) -> Result<DeviceId, ApiError> {
    let device = rest.entered_device(identity, id)?;
    if identity.role().enters_devices() {
        Ok(device.id.clone())
    } else {
        Err(ApiError::Forbidden("your role may only look".into()))
    }
}

fn info(catalog: &Catalog, device: &DeviceId) -> DeviceAccessInfo {
    let token = catalog.device_tokens.get(device);
    let rule = catalog.device_addresses.get(device);
    DeviceAccessInfo {
        token: token.map(|t| DeviceTokenInfo { made_by: t.made_by.to_string(), made_at: t.made_at.as_millis() }),
        addresses: rule.map(|rule| rule.ranges.iter().map(ToString::to_string).collect()).unwrap_or_default(),
    }
}
