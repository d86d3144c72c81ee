//! Signing in and out, and who is signed in.

use super::{Anybody, ApiError, DONE, Rest, RestState};
use crate::auth::{Attempt, Identity, SignedIn};
use crate::listener::Connection;
use crate::now;
use crate::wire::{ErrorAnswer, NewPassword, PreferencesInfo, SessionInfo, SignIn, fleet_info};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use serde::Deserialize;
use std::net::IpAddr;
use std::sync::PoisonError;
use waystream_domain::audit::Access;
use waystream_domain::catalog::Role;
use waystream_domain::{AuditRecord, Timestamp, UserId};

/// Who is signed in.
#[utoipa::path(get, path = "/api/session", responses((status = 200, body = SessionInfo), (status = 401, body = ErrorAnswer)))]
pub(super) async fn who(State(rest): State<RestState>, Anybody(identity): Anybody) -> Json<SessionInfo> {
    Json(info(&rest, &identity))
}

fn info(rest: &RestState, identity: &Identity) -> SessionInfo {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let role = match identity.role() {
        Role::Owner => "owner",
        Role::Dispatcher => "dispatcher",
        Role::Viewer => "viewer",
        Role::Installer => "installer",
    };
    let preferences = catalog.users.get(identity.user()).and_then(|user| catalog.preferences_of(user));
    let fleets = catalog.fleets_of(identity.organisation());
    SessionInfo {
        user: identity.user().to_string(),
        organisation: identity.organisation().to_string(),
        role: role.to_owned(),
        has_password: identity.has_password(),
        preferences: preferences.map(PreferencesInfo::from),
        fleets: fleets.map(|f| fleet_info(f)).collect(),
    }
}

/// Sign in with a password.
#[utoipa::path(post, path = "/api/session", request_body = SignIn,
    responses((status = 200, body = SessionInfo), (status = 401, body = ErrorAnswer), (status = 428, body = ErrorAnswer),
        (status = 429, body = ErrorAnswer)))]
pub(super) async fn sign_in(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    Json(request): Json<SignIn>,
) -> Result<Response, ApiError> {
    let address = connection.client;
    let account = request.user.trim().to_owned();
    let attempt = rest.throttle.attempt(&account, address, now()).map_err(ApiError::too_many_failures)?;
    let asked: Option<UserId> = account.parse().ok();
    let hash = asked.as_ref().and_then(|user| {
        let shared = rest.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        catalog.password_of(catalog.users.get(user)?).map(str::to_owned)
    });
    let matches = match rest.passwords.verify(request.password, hash).await {
        Ok(matches) => matches,
        Err(error) => {
            attempt.undone();
            return Err(error.into());
        }
    };
    let Some(user) = asked.filter(|_| matches) else {
        // The same for an unknown user and a wrong password.
        return failed(&rest, attempt, &account, address, "user or password is wrong").await;
    };
    if rest.second_factors.of(&user).is_some() {
        let Some(code) = &request.code else {
            attempt.undone();
            return Err(ApiError::CodeNeeded);
        };
        if !rest.second_factors.check(&user, code, now()).await? {
            return failed(&rest, attempt, &account, address, "the code is wrong, or has been used already").await;
        }
    }
    attempt.succeeded();
    let (cookie, identity) = rest.sessions.open(&user, Access::Password, address, now()).await?;
    tracing::info!(%user, %address, "signed in");
    let identity = identity.ok_or(ApiError::Unauthorised)?;
    Ok(([(SET_COOKIE, cookie)], Json(info(&rest, &identity))).into_response())
}

/// Counts a sign-in that failed.
async fn failed(
    rest: &RestState,
    attempt: Attempt<'_>,
    account: &str,
    address: IpAddr,
    error: &str,
) -> Result<Response, ApiError> {
    let at = now();
    attempt.failed(at);
    tracing::warn!(%address, error, "sign-in failed");
    record_failure(rest, account, address, at).await?;
    Ok((StatusCode::UNAUTHORIZED, Json(ErrorAnswer { error: error.to_owned() })).into_response())
}

/// Records one that has been counted; as many as the throttle lets through, so they are bounded.
pub(super) async fn record_failure(rest: &Rest, account: &str, address: IpAddr, at: Timestamp) -> Result<(), ApiError> {
    let wait_ms = rest.throttle.check(account, address, at).err().unwrap_or(0);
    let record = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let known = account.parse().ok().and_then(|user: UserId| catalog.users.get(&user));
        let wait_s = wait_ms.unsigned_abs().div_ceil(1_000);
        AuditRecord::of_failed_sign_in(at, known.map(AsRef::as_ref), address, wait_s)
    };
    Ok(rest.catalog.record(&record).await?)
}

/// Sign out.
#[utoipa::path(delete, path = "/api/session", responses((status = 204)))]
pub(super) async fn sign_out(State(rest): State<RestState>, identity: SignedIn) -> Result<Response, ApiError> {
    let cookie = rest.sessions.close(&identity).await?;
    Ok((DONE, [(SET_COOKIE, cookie)]).into_response())
}

/// Whoever has a password has to show it, unless the session began with a link within the last hour: a browser that is left signed in must
/// not be enough to lock out whose it is.
pub(super) async fn require_present(
    rest: &Rest,
    identity: &SignedIn,
    address: IpAddr,
    present: Option<String>,
) -> Result<(), ApiError> {
    let Some(known) = rest.sessions.password_to_show(identity, now()) else { return Ok(()) };
    let user = identity.user();
    let present = present.ok_or(ApiError::PasswordNeeded)?;
    let attempt = rest.throttle.attempt(user.as_str(), address, now()).map_err(ApiError::too_many_failures)?;
    match rest.passwords.verify(present, Some(known)).await {
        Ok(true) => attempt.undone(),
        Ok(false) => {
            attempt.failed(now());
            tracing::warn!(%user, %address, "the present password was asked for and was wrong");
            return Err(ApiError::BadRequest("present: the password is wrong".into()));
        }
        Err(error) => {
            attempt.undone();
            return Err(error.into());
        }
    }
    Ok(())
}

/// Choose a password; other sessions of the user end, and links that nobody has used. Whoever has one already shows that, unless the
/// session began with a link within the last hour: who has forgotten a password comes so.
#[utoipa::path(put, path = "/api/session/password", request_body = NewPassword,
    responses((status = 204), (status = 400, body = ErrorAnswer), (status = 428, body = ErrorAnswer),
        (status = 429, body = ErrorAnswer)))]
pub(super) async fn set_password(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    identity: SignedIn,
    Json(request): Json<NewPassword>,
) -> Result<StatusCode, ApiError> {
    require_present(&rest, &identity, connection.client, request.present).await?;
    let hash = rest.passwords.hash(request.password).await?;
    rest.sessions.set_password(&identity, hash).await?;
    Ok(DONE)
}

/// Choose how figures and times are shown, in whatever browser.
#[utoipa::path(put, path = "/api/session/preferences", request_body = PreferencesInfo,
    responses((status = 204), (status = 400, body = ErrorAnswer)))]
pub(super) async fn set_preferences(
    State(rest): State<RestState>,
    identity: SignedIn,
    Json(request): Json<PreferencesInfo>,
) -> Result<StatusCode, ApiError> {
    // Only browsers read it, and each has its own list.
    if request.time_zone.as_deref().is_some_and(|name| !may_be_time_zone(name)) {
        return Err(ApiError::BadRequest("a time zone has a name such as Europe/Warsaw".into()));
    }
    rest.sessions.set_preferences(&identity, request.into()).await?;
    Ok(DONE)
}

fn may_be_time_zone(name: &str) -> bool {
    (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"/_+-".contains(&b))
}

/// Query of a one-time sign-in link.
#[derive(Deserialize)]
pub(crate) struct Link {
    token: String,
}

/// `GET /sign-in?token=…`: uses the token up, sets the cookie, goes to the dashboard.
pub(crate) async fn sign_in_by_link(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    Query(link): Query<Link>,
) -> Result<Response, ApiError> {
    let Some(user) = rest.links.redeem(&link.token, now()).await? else {
        let text = "This sign-in link has been used already, or its time is over. Ask an owner for a new one; the first owner gets it by \
                    starting waystream again, or with `waystream user link`.";
        return Ok((StatusCode::UNAUTHORIZED, text).into_response());
    };
    let (cookie, _) = rest.sessions.open(&user, Access::Link, connection.client, now()).await?;
    tracing::info!(%user, "signed in by a one-time link");
    Ok((StatusCode::SEE_OTHER, [(SET_COOKIE, cookie), (LOCATION, "/".into())]).into_response())
}
