//! Devices of the organisation, and what is known of each now.

use super::{Anybody, ApiError, DONE, RestState, name, require_editor};
use crate::auth::Identity;
use crate::wire::{DeviceDetails, DeviceEdit, DeviceInfo, ErrorAnswer, InsideInfo, PositionInfo, SlotsMessage};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::PoisonError;
use utoipa::IntoParams;
use waystream_domain::catalog::Device;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, DeviceId, Position};

/// Which devices.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct Filter {
    /// Only those of this fleet.
    fleet: Option<String>,
}

/// All devices: those of the catalog, and those that report without being in it.
#[utoipa::path(get, path = "/api/devices", params(Filter),
    responses((status = 200, body = Vec<DeviceInfo>), (status = 404, body = ErrorAnswer)))]
pub(super) async fn list(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Query(filter): Query<Filter>,
) -> Result<Json<Vec<DeviceInfo>>, ApiError> {
    let mut scope = rest.sessions.scope(&identity);
    if let Some(fleet) = &filter.fleet {
        scope = rest.sessions.scope_of(&identity, &[rest.own_fleet(&identity, fleet)?]);
    }
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    let listed = catalog.devices.values().map(|d| (&d.id, (&d.name, &d.fleet)));
    let reporting = board.iter().filter(|(_, v)| !v.removed && !catalog.devices.contains_key(&v.device));
    let all: BTreeMap<_, _> = listed.chain(reporting.map(|(_, v)| (&v.device, (&v.name, &v.fleet)))).collect();
    let own = all.into_iter().filter(|(_, (_, fleet))| scope.fleets().contains(fleet));
    let info = |(id, (name, fleet)): (&DeviceId, (&String, _))| DeviceInfo {
        id: id.to_string(),
        name: name.clone(),
        fleet: ToString::to_string(fleet),
    };
    Ok(Json(own.map(info).collect()))
}

/// A device with its newest position, and the geofences that it is inside of.
#[utoipa::path(get, path = "/api/devices/{id}", responses((status = 200, body = DeviceDetails), (status = 404, body = ErrorAnswer)))]
pub(super) async fn details(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
) -> Result<Json<DeviceDetails>, ApiError> {
    let device: DeviceId = id.parse().map_err(|_| unknown(&id))?;
    let (name, fleet) = rest.own_device(&identity, &device).ok_or_else(|| unknown(&id))?;
    let scope = rest.sessions.scope(&identity);
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    // It may have been another's, and not have reported since.
    let vehicle = board.find(&device).map(|(_, vehicle)| vehicle).filter(|v| !v.removed && scope.fleets().contains(&v.fleet));
    let position = vehicle.map(|v| &v.live.position);
    let fence_name = |id| catalog.geofences.get(id).map_or_else(|| ToString::to_string(id), |g| g.name.clone());
    let inside = vehicle.map_or(&[][..], |v| &v.inside);
    Ok(Json(DeviceDetails {
        id: device.to_string(),
        name,
        fleet: fleet.to_string(),
        position: position.map(position_info),
        received_at: position.map(|p| p.received_at.as_millis()),
        protocol: position.map(|p| p.protocol.to_string()),
        inside: inside
            .iter()
            .filter(|_| identity.role().looks_around())
            .filter(|(id, _)| catalog.geofences.get(id).is_none_or(|g| g.organisation == *identity.organisation()))
            .map(|(id, since)| InsideInfo { id: id.to_string(), name: fence_name(id), since: since.as_millis() })
            .collect(),
    }))
}

pub(super) fn unknown(id: &str) -> ApiError {
    ApiError::NotFound(format!("there is no device {id}"))
}

/// A position as a browser sees it.
pub(super) fn position_info(p: &Position) -> PositionInfo {
    PositionInfo {
        fix_time: p.fix_time.as_millis(),
        lat: p.location.lat_deg(),
        lon: p.location.lon_deg(),
        speed_mps: p.speed_mps,
        course_deg: p.course_deg,
        altitude_m: p.altitude_m,
        valid: p.valid,
        attributes: p.attributes.clone(),
    }
}

/// A new device, or another name or fleet for one.
#[utoipa::path(put, path = "/api/devices/{id}", request_body = DeviceEdit,
    responses((status = 200, body = DeviceInfo), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn change(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Path(id): Path<String>,
    Json(edit): Json<DeviceEdit>,
) -> Result<Json<DeviceInfo>, ApiError> {
    if !identity.role().enters_devices() {
        return Err(ApiError::Forbidden("your role may only look".into()));
    }
    let device_id: DeviceId = id.parse().map_err(|e| ApiError::BadRequest(format!("id: {e}")))?;
    let turn = rest.turn(&identity).await;
    let fleet = rest.own_fleet(&identity, &edit.fleet)?;
    let taken = rest.look(&rest.catalog.shared()).devices.contains_key(&device_id);
    if taken && rest.own_device(&identity, &device_id).is_none() {
        // Somebody else's: as if it weren't there.
        return Err(unknown(&id));
    }
    let device = Device { id: device_id, fleet, name: name(&edit.name)? };
    let info = DeviceInfo { id: device.id.to_string(), name: device.name.clone(), fleet: device.fleet.to_string() };
    turn.add(vec![CatalogEdit::Put(CatalogEntry::Device(device))]).await?;
    Ok(Json(info))
}

/// Removes a device from the catalog. Its history stays.
#[utoipa::path(delete, path = "/api/devices/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let device = rest.own(&identity, &id)?;
    let edits = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        // Whoever gets a device of this name next has nothing to do with what this one was told, or with who saw it.
        let commands =
            catalog.commands_of(&device).map(|c| CatalogEdit::Remove(CatalogKey::Command(device.clone(), c.id.clone())));
        let links = catalog.share_removals(identity.organisation(), &device);
        let offer = catalog.transfers.get(&device).map(|offer| CatalogEdit::Remove(CatalogKey::Transfer(offer.device.clone())));
        let mut edits: Vec<_> = commands.chain(links).chain(offer).chain(catalog.access_removals(&device)).collect();
        edits.push(CatalogEdit::Remove(CatalogKey::Device(device.clone())));
        edits
    };
    rest.catalog.edit(&identity.actor(), edits).await?;
    Ok(DONE)
}

/// Query of the slot table.
#[derive(Debug, Deserialize, IntoParams)]
pub(super) struct SlotsQuery {
    /// The epoch that the asker knows.
    epoch: Option<u32>,
}

/// The slot table: which vehicle is meant by a slot in frames. Of the present epoch, whichever is asked for.
#[utoipa::path(get, path = "/api/slots", params(SlotsQuery), responses((status = 200, body = SlotsMessage)))]
pub(super) async fn slots(
    State(rest): State<RestState>,
    Anybody(identity): Anybody,
    Query(query): Query<SlotsQuery>,
) -> Json<SlotsMessage> {
    let scope = rest.sessions.scope(&identity);
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    if query.epoch.is_some_and(|epoch| epoch != board.epoch()) {
        tracing::debug!("a browser asks for slots of an earlier run");
    }
    let own = board.iter().filter(|(_, v)| !v.removed && scope.fleets().contains(&v.fleet));
    Json(SlotsMessage { epoch: board.epoch(), slots: own.map(|(slot, _)| board.row(slot)).collect() })
}
