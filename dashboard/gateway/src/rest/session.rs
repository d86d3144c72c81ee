//! Signing in and out, and who is signed in.

use super::{ApiError, DONE, RestState};
use crate::auth::Identity;
use crate::listener::Connection;
use crate::now;
use crate::wire::{ErrorAnswer, NewPassword, SessionInfo, SignIn, fleet_info};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use std::sync::PoisonError;
use waystream_domain::UserId;
use waystream_domain::catalog::Role;

/// Who is signed in.
#[utoipa::path(get, path = "/api/session", responses((status = 200, body = SessionInfo), (status = 401, body = ErrorAnswer)))]
pub(super) async fn who(State(rest): State<RestState>, identity: Identity) -> Json<SessionInfo> {
    Json(info(&rest, &identity))
}

fn info(rest: &RestState, identity: &Identity) -> SessionInfo {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let role = match identity.role() {
        Role::Owner => "owner",
        Role::Dispatcher => "dispatcher",
        Role::Viewer => "viewer",
    };
    let fleets = catalog.fleets_of(identity.organisation());
    SessionInfo {
        user: identity.user().to_string(),
        organisation: identity.organisation().to_string(),
        role: role.to_owned(),
        has_password: identity.has_password(),
        fleets: fleets.map(|f| fleet_info(f)).collect(),
    }
}

/// Sign in with a password.
#[utoipa::path(post, path = "/api/session", request_body = SignIn,
    responses((status = 200, body = SessionInfo), (status = 401, body = ErrorAnswer), (status = 429, body = ErrorAnswer)))]
pub(super) async fn sign_in(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    Json(request): Json<SignIn>,
) -> Result<Response, ApiError> {
    let address = connection.peer.ip();
    let account = request.user.trim().to_owned();
    let wait = |ms: i64| ApiError::TooMany("too many failed sign-ins".into(), ms.unsigned_abs().div_ceil(1_000));
    rest.throttle.check(&account, address, now()).map_err(wait)?;
    let user: Option<UserId> = account.parse().ok();
    let hash = user.as_ref().and_then(|user| {
        let shared = rest.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        catalog.users.get(user)?.password_hash.clone()
    });
    let matches = rest.passwords.verify(request.password, hash).await?;
    let Some(user) = user.filter(|_| matches) else {
        rest.throttle.failed(&account, address, now());
        tracing::warn!(%address, "sign-in failed");
        // The same for an unknown user and a wrong password.
        let answer = ErrorAnswer { error: "user or password is wrong".into() };
        return Ok((StatusCode::UNAUTHORIZED, Json(answer)).into_response());
    };
    rest.throttle.succeeded(&account);
    let (cookie, identity) = rest.sessions.open(&user, now()).await?;
    tracing::info!(%user, %address, "signed in");
    let identity = identity.ok_or(ApiError::Unauthorised)?;
    Ok(([(SET_COOKIE, cookie)], Json(info(&rest, &identity))).into_response())
}

/// Sign out.
#[utoipa::path(delete, path = "/api/session", responses((status = 204)))]
pub(super) async fn sign_out(State(rest): State<RestState>, identity: Identity) -> Result<Response, ApiError> {
    let cookie = rest.sessions.close(&identity).await?;
    Ok((DONE, [(SET_COOKIE, cookie)]).into_response())
}

/// Choose a password; other sessions of the user end.
#[utoipa::path(put, path = "/api/session/password", request_body = NewPassword,
    responses((status = 204), (status = 400, body = ErrorAnswer)))]
pub(super) async fn set_password(
    State(rest): State<RestState>,
    identity: Identity,
    Json(request): Json<NewPassword>,
) -> Result<StatusCode, ApiError> {
    let hash = rest.passwords.hash(request.password).await?;
    rest.sessions.set_password(&identity, hash).await?;
    Ok(DONE)
}

/// Query of a one-time sign-in link.
#[derive(Deserialize)]
pub(crate) struct Link {
    token: String,
}

/// `GET /sign-in?token=…`: uses the token up, sets the cookie, goes to the dashboard.
pub(crate) async fn sign_in_by_link(State(rest): State<RestState>, Query(link): Query<Link>) -> Result<Response, ApiError> {
    let Some(user) = rest.one_time.redeem(&link.token, now()) else {
        let text =
            "This sign-in link has been used already or is older than 15 minutes. Start waystream again to get a new one.";
        return Ok((StatusCode::UNAUTHORIZED, text).into_response());
    };
    let (cookie, _) = rest.sessions.open(&user, now()).await?;
    tracing::info!(%user, "signed in by a one-time link");
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "/".into())]).into_response())
}
