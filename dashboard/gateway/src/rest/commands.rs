//! Commands to devices: queued in the catalog, from where the connectors take them when the device is there.

use super::{ApiError, DONE, Rest, RestState, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{CommandInfo, CommandRequest, ErrorAnswer};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::PoisonError;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, Command, DeviceId, Instruction, Progress, Timestamp};

/// Commands that may wait for one device.
const MAX_WAITING: usize = 32;
/// Commands of one device that are over and still listed.
const MAX_OVER: usize = 50;
/// An engine that stops days later than meant is a danger.
const USUAL_EXPIRY_S: u32 = 24 * 3600;
const MAX_EXPIRY_S: u32 = 30 * 24 * 3600;

/// The commands of a device, oldest first: those that wait, and the last ones that are over.
#[utoipa::path(get, path = "/api/devices/{id}/commands",
    responses((status = 200, body = Vec<CommandInfo>), (status = 404, body = ErrorAnswer)))]
pub(super) async fn list(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<Json<Vec<CommandInfo>>, ApiError> {
    let device = rest.own(&identity, &id)?;
    let now = now();
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    Ok(Json(catalog.commands_of(&device).map(|command| info(command, now)).collect()))
}

/// Tells a device something: now if it is connected, else when it connects, if that is in time. What becomes of it is an event
/// (`command_sent`, `command_answered`, `command_failed`).
#[utoipa::path(post, path = "/api/devices/{id}/commands", request_body = CommandRequest,
    responses((status = 201, body = CommandInfo), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(request): Json<CommandRequest>,
) -> Result<(StatusCode, Json<CommandInfo>), ApiError> {
    require_editor(&identity)?;
    let device = rest.own(&identity, &id)?;
    let instruction = instruction(&request)?;
    let expires_in_s = request.expires_in_s.unwrap_or(USUAL_EXPIRY_S);
    if !(1..=MAX_EXPIRY_S).contains(&expires_in_s) {
        return Err(ApiError::BadRequest(format!("expires_in_s is 1 to {MAX_EXPIRY_S}")));
    }
    let now = now();
    let mut edits = Vec::new();
    {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let waiting = catalog.commands_of(&device).filter(|c| !c.progress.is_over() && c.expires_at > now).count();
        if waiting >= MAX_WAITING {
            return Err(ApiError::Conflict(format!("{waiting} commands wait for this device already")));
        }
        let over = catalog.commands_of(&device).rev().filter(|c| c.progress.is_over()).skip(MAX_OVER - 1);
        edits.extend(over.map(|c| CatalogEdit::Remove(CatalogKey::Command(device.clone(), c.id.clone()))));
    }
    let command = Command {
        id: format!("{:012x}-{:08x}", now.as_millis(), rand::random::<u32>()).parse().expect("digits and a dash are an id"),
        place: place(&rest, &identity, &device),
        device,
        instruction,
        by: identity.user().clone(),
        queued_at: now,
        expires_at: now.plus_millis(i64::from(expires_in_s) * 1000),
        progress: Progress::Queued,
    };
    let answer = info(&command, now);
    edits.push(CatalogEdit::Put(CatalogEntry::Command(command)));
    rest.catalog.edit(&identity.actor(), edits).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Takes a command back that still waits.
#[utoipa::path(delete, path = "/api/devices/{id}/commands/{command}",
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn cancel(
    State(rest): State<RestState>,
    identity: Identity,
    Path((id, command)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let device = rest.own(&identity, &id)?;
    let none = || ApiError::NotFound(format!("there is no command {command}"));
    let found = || {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        catalog.commands_of(&device).find(|c| c.id.as_str() == command).cloned()
    };
    let before = found().ok_or_else(none)?;
    let progress = Progress::Cancelled { at: now() };
    if before.progress.may_become(&progress) {
        let cancelled = Command { progress: progress.clone(), ..Command::clone(&before) };
        rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::Command(cancelled))]).await?;
    }
    // A connector may have been first.
    let after = found().ok_or_else(none)?;
    if after.progress == progress {
        return Ok(DONE);
    }
    Err(ApiError::Conflict(format!("the command is {} already", after.progress.name())))
}

/// Where the device was last seen, as far as that is the identity's to know.
fn place(rest: &Rest, identity: &Identity, device: &DeviceId) -> Option<waystream_domain::LatLon> {
    let scope = rest.sessions.scope(identity);
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    let (_, vehicle) = board.find(device).filter(|(_, v)| !v.removed && scope.fleets().contains(&v.fleet))?;
    Some(vehicle.live.position.location)
}

/// What is to be said, if it makes sense.
fn instruction(request: &CommandRequest) -> Result<Instruction, ApiError> {
    let mut fields = json!(request);
    if let Value::Object(fields) = &mut fields {
        fields.remove("expires_in_s");
    }
    let instruction: Instruction =
        serde_json::from_value(fields).map_err(|error| ApiError::BadRequest(format!("instruction: {error}")))?;
    match instruction.fault() {
        None => Ok(instruction),
        Some(fault) => Err(ApiError::BadRequest(fault)),
    }
}

/// A command as a browser sees it.
fn info(command: &Command, now: Timestamp) -> CommandInfo {
    let (changed_at, note) = match &command.progress {
        Progress::Queued => (None, None),
        Progress::Sending { at, .. }
        | Progress::Sent { at }
        | Progress::Uncertain { at }
        | Progress::Expired { at }
        | Progress::Cancelled { at } => (Some(*at), None),
        Progress::Answered { at, answer, .. } => (Some(*at), Some(answer.to_string())),
        Progress::Failed { at, reason } => (Some(*at), Some(reason.to_string())),
    };
    // The connectors notice only when the device comes.
    let expired = command.progress == Progress::Queued && command.expires_at <= now;
    let mut parameters = json!(command.instruction);
    if let Value::Object(parameters) = &mut parameters {
        parameters.remove("instruction");
    }
    CommandInfo {
        id: command.id.to_string(),
        device: command.device.to_string(),
        instruction: command.instruction.name().to_owned(),
        parameters,
        by: command.by.to_string(),
        queued_at: command.queued_at.as_millis(),
        expires_at: command.expires_at.as_millis(),
        state: if expired { "expired" } else { command.progress.name() }.to_owned(),
        changed_at: changed_at.map(Timestamp::as_millis),
        note,
    }
}
