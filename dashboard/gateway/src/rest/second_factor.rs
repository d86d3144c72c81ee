//! The second factor of whoever is signed in: turned on with an authenticator, turned off with a code.

use super::session::require_present;
use super::users::{own_user, require_somebody_else};
use super::{ApiError, DONE, RestState};
use crate::auth::{SecondFactors, SignedIn};
use crate::listener::Connection;
use crate::now;
use crate::wire::{ErrorAnswer, RecoveryCodes, SecondFactorCode, SecondFactorInfo, SecondFactorProposal, SecondFactorStart};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use qrcode::QrCode;
use qrcode::render::svg;

/// Smallest side of the picture, pixels.
const PICTURE: u32 = 220;

/// Whether a code is asked for.
#[utoipa::path(get, path = "/api/session/second-factor", responses((status = 200, body = SecondFactorInfo)))]
pub(super) async fn show(State(rest): State<RestState>, identity: SignedIn) -> Json<SecondFactorInfo> {
    let factor = rest.second_factors.of(identity.user());
    Json(SecondFactorInfo {
        since: factor.as_ref().map(|factor| factor.since.as_millis()),
        recovery_codes: factor.map_or(0, |factor| factor.recovery_sha256.len()),
    })
}

/// Proposes a secret.
#[utoipa::path(post, path = "/api/session/second-factor", responses((status = 200, body = SecondFactorProposal)))]
pub(super) async fn propose(identity: SignedIn) -> Result<Json<SecondFactorProposal>, ApiError> {
    let proposal =
        SecondFactors::propose(identity.user()).ok_or_else(|| ApiError::Internal("no secret could be made".into()))?;
    let picture = QrCode::new(proposal.uri.as_bytes()).map_err(|error| ApiError::Internal(error.to_string()))?;
    let qr_svg = picture.render::<svg::Color<'_>>().min_dimensions(PICTURE, PICTURE).build();
    Ok(Json(SecondFactorProposal { secret: proposal.secret, uri: proposal.uri, qr_svg }))
}

/// Turns it on. Whoever has a password shows that, unless the session began with a link within the last hour.
#[utoipa::path(put, path = "/api/session/second-factor", request_body = SecondFactorStart,
    responses((status = 200, body = RecoveryCodes), (status = 400, body = ErrorAnswer), (status = 409, body = ErrorAnswer),
        (status = 428, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn turn_on(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    identity: SignedIn,
    Json(start): Json<SecondFactorStart>,
) -> Result<Json<RecoveryCodes>, ApiError> {
    if rest.second_factors.of(identity.user()).is_some() {
        return Err(ApiError::Conflict("a second factor is asked for already: turn it off first".into()));
    }
    require_present(&rest, &identity, connection.client, start.present).await?;
    let codes = rest.second_factors.turn_on(&identity, &start.secret, &start.code, now()).await?;
    let codes =
        codes.ok_or_else(|| ApiError::BadRequest("code: not what an authenticator with this secret shows now".into()))?;
    tracing::info!(user = %identity.user(), "second factor turned on");
    Ok(Json(RecoveryCodes { codes }))
}

/// Turns it off.
#[utoipa::path(post, path = "/api/session/second-factor/removal", request_body = SecondFactorCode,
    responses((status = 204), (status = 400, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn turn_off(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    identity: SignedIn,
    Json(request): Json<SecondFactorCode>,
) -> Result<StatusCode, ApiError> {
    let (user, address) = (identity.user(), connection.client);
    let attempt = rest.throttle.attempt(user.as_str(), address, now()).map_err(ApiError::too_many_failures)?;
    if !rest.second_factors.check(user, &request.code, now()).await? {
        attempt.failed(now());
        return Err(ApiError::BadRequest("code: wrong, or used already".into()));
    }
    attempt.undone();
    tracing::info!(%user, "second factor turned off");
    rest.second_factors.turn_off(&identity.actor(), user).await?;
    Ok(DONE)
}

/// An owner turns off that of somebody who has lost it; their own within an hour of coming by a link.
#[utoipa::path(delete, path = "/api/users/{id}/second-factor",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn reset(
    State(rest): State<RestState>,
    identity: SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let user = own_user(&rest, &identity, &id)?;
    require_somebody_else(&rest, &identity, &user)?;
    tracing::info!(by = %identity.user(), user = %user.id, "second factor turned off by an owner");
    rest.second_factors.turn_off(&identity.actor(), &user.id).await?;
    Ok(DONE)
}
