//! Devices that go from one organisation to another, with the consent of both: the one offers with a code, the other redeems it. What
//! was stays with the one, what comes is the other's, and neither learns who the other is.

use super::devices::unknown;
use super::{ApiError, DONE, Rest, RestState, name, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{DeviceInfo, ErrorAnswer, NewTransferAnswer, TransferInfo, TransferRedemption};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use waystream_domain::catalog::Device;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, Claim, DeviceId, Timestamp, Transfer};
use waystream_log::LogError;

/// The devices that the organisation offers.
#[utoipa::path(get, path = "/api/transfers",
    responses((status = 200, body = Vec<TransferInfo>), (status = 403, body = ErrorAnswer)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Result<Json<Vec<TransferInfo>>, ApiError> {
    require_editor(&identity)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let info = |offer: &Arc<Transfer>| {
        let known = catalog.devices.get(&offer.device);
        TransferInfo::new(offer, known.map_or(offer.device.as_str(), |device| device.name.as_str()))
    };
    Ok(Json(catalog.transfers_of(identity.organisation(), now()).map(info).collect()))
}

/// Offers a device to another organisation. The answer has the code by which that takes it, which nobody can get a second time. It is
/// good once and for seven days; one offer of a device is open at a time.
#[utoipa::path(post, path = "/api/devices/{id}/transfer",
    responses((status = 201, body = NewTransferAnswer), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn offer(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<NewTransferAnswer>), ApiError> {
    require_editor(&identity)?;
    let device = rest.entered_device(&identity, &id)?;
    let (at, random) = (now(), rand::random());
    let (organisation, by) = (identity.organisation().clone(), identity.user().clone());
    let (offer, code) = Transfer::offer(device.id.clone(), organisation, by, at, &random);
    let open = || ApiError::Conflict("the device is offered already: take that back to make another code".into());
    let edits = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let (mut of_device, mut all) = (0, 0);
        for known in catalog.transfers_of(identity.organisation(), at) {
            all += 1;
            of_device += usize::from(known.device == device.id);
        }
        if of_device > 0 {
            return Err(open());
        }
        if all >= Transfer::MOST {
            return Err(ApiError::Conflict(format!("{} devices are offered already", Transfer::MOST)));
        }
        catalog.offer_edits(offer.clone(), at)
    };
    rest.catalog.edit(&identity.actor(), edits).await?;
    // Somebody else may have been first.
    let shared = rest.catalog.shared();
    let kept = rest.look(&shared).transfers.get(&device.id).is_some_and(|kept| kept.code_sha256 == offer.code_sha256);
    if !kept {
        return Err(open());
    }
    tracing::info!(user = %identity.user(), device = %device.id, "device offered to another organisation");
    let answer = NewTransferAnswer { transfer: TransferInfo::new(&offer, &device.name), code: code.as_str().to_owned() };
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Takes an offer back: its code is no longer good.
#[utoipa::path(delete, path = "/api/devices/{id}/transfer",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn withdraw(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let device: DeviceId = id.parse().map_err(|_| unknown(&id))?;
    let at = now();
    let found = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        catalog.transfers_of(identity.organisation(), at).find(|offer| offer.device == device).cloned()
    };
    let offer = found.ok_or_else(|| ApiError::NotFound(format!("device {id} is not offered")))?;
    if !rest.claim(&identity, &offer, at).await? {
        return Err(ApiError::Conflict("the offer ended at the same moment".into()));
    }
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Transfer(device))]).await?;
    Ok(DONE)
}

/// Takes a device that another organisation offers, into a fleet and under a name of one's own. From this moment on what it reports is
/// the organisation's; what it has reported until then, also if that comes later, is not. Codes that are wrong too often have to wait.
#[utoipa::path(post, path = "/api/transfers/redeem", request_body = TransferRedemption,
    responses((status = 201, body = DeviceInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn redeem(
    State(rest): State<RestState>,
    identity: Identity,
    Json(request): Json<TransferRedemption>,
) -> Result<(StatusCode, Json<DeviceInfo>), ApiError> {
    require_editor(&identity)?;
    let (fleet, name) = (rest.own_fleet(&identity, &request.fleet)?, name(&request.name)?);
    let (at, organisation) = (now(), identity.organisation());
    rest.codes
        .check_account(organisation.as_str(), at)
        .map_err(|wait_ms| ApiError::too_many_guesses("too many wrong codes", wait_ms))?;
    let found = {
        let shared = rest.catalog.shared();
        rest.look(&shared).transfer_of_code(&Transfer::hash(&request.code), at).cloned()
    };
    let Some(offer) = found else {
        rest.codes.failed_by_name(organisation.as_str(), at);
        tracing::warn!(user = %identity.user(), "no device is offered under this code");
        return Err(no_offer());
    };
    if offer.organisation == *organisation {
        return Err(ApiError::Conflict("the device is your organisation's already".into()));
    }
    let device = Device { id: offer.device.clone(), fleet, name };
    // Before the offer is claimed, so that it stays good for who makes room.
    let turn = rest.turn(&identity).await;
    turn.require_room(&[CatalogEdit::Put(CatalogEntry::Device(device.clone()))])?;
    if !rest.claim(&identity, &offer, at).await? {
        return Err(no_offer());
    }
    let info = DeviceInfo { id: device.id.to_string(), name: device.name.clone(), fleet: device.fleet.to_string() };
    let edits = {
        let shared = rest.catalog.shared();
        rest.look(&shared).transfer_edits(&offer, device, now())
    };
    // Removed at the same moment.
    let Some(edits) = edits else { return Err(no_offer()) };
    rest.catalog.edit(&identity.actor(), edits).await?;
    rest.codes.succeeded(organisation.as_str());
    tracing::info!(user = %identity.user(), device = %offer.device, "device taken over from another organisation");
    Ok((StatusCode::CREATED, Json(info)))
}

fn no_offer() -> ApiError {
    ApiError::NotFound("no device is offered under this code: it is wrong, was used already, or its time is over".into())
}

impl Rest {
    /// The device of the catalog of this name, if it is the identity's.
    pub(super) fn entered_device(&self, identity: &Identity, id: &str) -> Result<Arc<Device>, ApiError> {
        let device: DeviceId = id.parse().map_err(|_| unknown(id))?;
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        let is_own = catalog.owner_of(&device) == Some(identity.organisation());
        catalog.devices.get(&device).filter(|_| is_own).cloned().ok_or_else(|| unknown(id))
    }

    /// Whether the identity may end the offer. Of all who ask, at whatever gateway, the catalog's order lets one.
    async fn claim(&self, identity: &Identity, offer: &Transfer, at: Timestamp) -> Result<bool, LogError> {
        let claim = Claim { id: format!("{:032x}", rand::random::<u128>()), at };
        let edit = CatalogEdit::Put(CatalogEntry::Transfer(offer.claimed(claim.clone())));
        self.catalog.edit(&identity.actor(), vec![edit]).await?;
        let shared = self.catalog.shared();
        let catalog = self.look(&shared);
        Ok(catalog.transfers.get(&offer.device).is_some_and(|kept| kept.claim.as_ref() == Some(&claim)))
    }
}
