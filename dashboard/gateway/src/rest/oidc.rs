//! Signing in by an OpenID provider: where a browser begins, and where the provider sends it back to. People see the answers, so
//! they are pages.

use super::session::record_failure;
use super::{ApiError, Rest, RestState};
use crate::listener::Connection;
use crate::metrics as names;
use crate::now;
use crate::oidc::{Callback, Named, Oidc, OidcError};
use axum::Extension;
use axum::extract::{Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use std::net::IpAddr;
use waystream_domain::audit::Access;
use waystream_domain::{Catalog, UserId};
use waystream_tls::sender;

/// Begin to sign in by the OpenID provider: leads the browser there.
#[utoipa::path(get, path = "/api/session/oidc",
    responses((status = 303, description = "To the provider"), (status = 404, description = "No provider is set"),
        (status = 429, description = "Failed too often"), (status = 503, description = "The provider can't be reached")))]
pub(super) async fn begin(State(rest): State<RestState>, Extension(connection): Extension<Connection>) -> Response {
    let Some(oidc) = &rest.oidc else { return off() };
    let address = connection.client;
    if let Err(wait_ms) = rest.throttle.check(&of_address(address), address, now()) {
        return wait(wait_ms);
    }
    match oidc.begin(now()).await {
        Ok(begun) => (StatusCode::SEE_OTHER, [(SET_COOKIE, begun.cookie), (LOCATION, begun.location)]).into_response(),
        Err(error) => page(&Failure::Flow(error), address),
    }
}

/// Where the OpenID provider leads the browser back to: signs in whoever it names, if there is such a user.
#[utoipa::path(get, path = "/api/session/oidc/callback",
    params(Callback),
    responses((status = 303, description = "Signed in; to the dashboard"), (status = 400, description = "Not begun here, over or used"),
        (status = 401, description = "Not signed in at the provider"), (status = 403, description = "Nobody whom we know"),
        (status = 404, description = "No provider is set"), (status = 429, description = "Failed too often"),
        (status = 503, description = "The provider can't be reached")))]
pub(super) async fn callback(
    State(rest): State<RestState>,
    Extension(connection): Extension<Connection>,
    Query(callback): Query<Callback>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Some(oidc) = &rest.oidc else { return Ok(off()) };
    let address = connection.client;
    if let Err(wait_ms) = rest.throttle.check(&of_address(address), address, now()) {
        return Ok(wait(wait_ms));
    }
    let user = match come_back(&rest, oidc, &headers, &callback).await {
        Ok(user) => user,
        Err(failure) => return failed(&rest, oidc, &failure, address).await,
    };
    let (session, _) = rest.sessions.open(&user, Access::Oidc, address, now()).await?;
    tracing::info!(%user, %address, "signed in by the OpenID provider");
    count("signed_in");
    rest.throttle.succeeded(&of_address(address));
    let mut answer = (StatusCode::SEE_OTHER, [(LOCATION, oidc.dashboard())]).into_response();
    for cookie in [session, oidc.forget()] {
        let cookie = HeaderValue::try_from(cookie).map_err(|_| ApiError::Internal("a cookie is no header".into()))?;
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Who has signed in at the provider, and may come in.
async fn come_back(rest: &Rest, oidc: &Oidc, headers: &HeaderMap, callback: &Callback) -> Result<UserId, Failure> {
    let named = oidc.end(headers, callback, now()).await.map_err(Failure::Flow)?;
    let shared = rest.catalog.shared();
    let found = user(&rest.look(&shared), &named);
    found.ok_or(Failure::Unknown(named.name))
}

/// Counts and records; as much as the throttle lets through, so it is bounded.
async fn failed(rest: &Rest, oidc: &Oidc, failure: &Failure, address: IpAddr) -> Result<Response, ApiError> {
    if let Some(account) = failure.account(address) {
        let at = now();
        if let Err(wait_ms) = rest.throttle.check(&account, address, at) {
            return Ok(wait(wait_ms));
        }
        rest.throttle.failed_by_name(&account, at);
        record_failure(rest, &account, address, at).await?;
    }
    // The cookie of a flow in another tab may still be good.
    let used = (*failure != Failure::Flow(OidcError::NotBegun)).then(|| [(SET_COOKIE, oidc.forget())]);
    Ok((used, page(failure, address)).into_response())
}

/// The user of this name. Providers don't agree about capitals in e-mail addresses, so these are another's only if there are two.
fn user(catalog: &Catalog, named: &Named) -> Option<UserId> {
    let id: UserId = named.name.parse().ok()?;
    if catalog.users.contains_key(&id) {
        return Some(id);
    }
    let mut alike = catalog.users.keys().filter(|known| named.is_email && known.as_str().eq_ignore_ascii_case(id.as_str()));
    alike.next().filter(|_| alike.next().is_none()).cloned()
}

/// Why nobody was signed in.
#[derive(Debug, PartialEq, Eq)]
enum Failure {
    /// The flow came to nothing.
    Flow(OidcError),
    /// There is no user of this name.
    Unknown(String),
}

impl Failure {
    /// What the throttle counts it against; none: the visitor has done nothing that is worth counting. Never against the address
    /// itself: behind a proxy that is everybody's, and passwords have to go on.
    fn account(&self, address: IpAddr) -> Option<String> {
        match self {
            Self::Flow(OidcError::NotBegun | OidcError::Cancelled | OidcError::Busy | OidcError::Unreachable(_)) => None,
            Self::Flow(OidcError::Refused(_) | OidcError::Untrusted(_)) => Some(of_address(address)),
            Self::Flow(OidcError::Nameless | OidcError::Unverified) => Some(format!("{NO_USER}?")),
            Self::Unknown(name) => Some(format!("{NO_USER}@{name}")),
        }
    }
}

/// Begins what the throttle calls those who fail here: no user has such a name, and nobody can type it.
const NO_USER: &str = " \0";

fn of_address(address: IpAddr) -> String {
    format!("{NO_USER}{}", sender(address))
}

fn count(outcome: &'static str) {
    metrics::counter!(names::OIDC_SIGN_INS, "outcome" => outcome).increment(1);
}

fn off() -> Response {
    ApiError::NotFound("no OpenID provider is set: see [gateway.oidc]".into()).into_response()
}

fn wait(wait_ms: i64) -> Response {
    count("throttled");
    ApiError::too_many_failures(wait_ms).into_response()
}

/// Says what happened, and leads back. None of it comes from outside.
fn page(failure: &Failure, address: IpAddr) -> Response {
    let (status, outcome, says) = match failure {
        Failure::Flow(OidcError::NotBegun) => (
            StatusCode::BAD_REQUEST,
            "not_begun",
            "This sign-in was not begun in this browser, took too long, or has been used already. Please begin again.",
        ),
        Failure::Flow(OidcError::Cancelled) => {
            (StatusCode::UNAUTHORIZED, "cancelled", "The sign-in was cancelled at the identity provider.")
        }
        Failure::Flow(OidcError::Refused(_)) => (
            StatusCode::UNAUTHORIZED,
            "refused",
            "The identity provider refused the sign-in. The server's log says with which error.",
        ),
        Failure::Flow(OidcError::Unreachable(_)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "unreachable",
            "The identity provider can't be reached, or doesn't answer as it should. Try again later, or sign in with a password.",
        ),
        Failure::Flow(OidcError::Busy) => {
            (StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many people sign in at once. Please try again.")
        }
        Failure::Flow(OidcError::Untrusted(_)) => (
            StatusCode::UNAUTHORIZED,
            "untrusted",
            "What the identity provider answered can't be trusted. The server's log says why.",
        ),
        Failure::Flow(OidcError::Nameless) => (
            StatusCode::FORBIDDEN,
            "nameless",
            "The identity provider didn't tell who you are. The server's settings name the claim that it has to tell.",
        ),
        Failure::Flow(OidcError::Unverified) => {
            (StatusCode::FORBIDDEN, "unverified", "Your e-mail address has not been verified by the identity provider.")
        }
        Failure::Unknown(_) => (
            StatusCode::FORBIDDEN,
            "unknown_user",
            "You have signed in at the identity provider, but nobody has invited you here. Ask an owner to invite you by the name \
             that the provider knows you by.",
        ),
    };
    count(outcome);
    tracing::warn!(%address, ?failure, "sign-in by the OpenID provider failed");
    let html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Sign in</title><body style=\"font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:15vh auto;padding:0 1em\">\
         <h1>Not signed in</h1><p>{says}</p><p><a href=\"/\">Back to the sign-in page</a></p></body></html>"
    );
    (status, Html(html)).into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use waystream_domain::catalog::{Role, User};
    use waystream_domain::{CatalogEdit, CatalogEntry};

    #[test]
    fn capitals_make_no_other_address_unless_there_are_two() {
        let mut catalog = Catalog::default();
        let mut invite = |id: &str| {
            let (id, organisation) = (id.parse().unwrap(), "ours".parse().unwrap());
            let user = User { id, organisation, role: Role::Viewer, password_hash: None, preferences: None };
            catalog.apply(CatalogEdit::Put(CatalogEntry::User(user)));
            catalog.clone()
        };
        let found = |catalog: &Catalog, name: &str, is_email| {
            user(catalog, &Named { name: name.into(), is_email }).map(|user| user.to_string())
        };
        let one = invite("anna@example.org");
        assert_eq!(found(&one, "anna@example.org", true).as_deref(), Some("anna@example.org"));
        assert_eq!(found(&one, "Anna@Example.org", true).as_deref(), Some("anna@example.org"));
        assert_eq!(found(&one, "Anna@Example.org", false), None, "other claims are as they are");
        assert_eq!(found(&one, "otto@example.org", true), None);
        assert_eq!(found(&one, "", true), None);
        let two = invite("ANNA@example.org");
        assert_eq!(found(&two, "Anna@Example.org", true), None, "which?");
        assert_eq!(found(&two, "ANNA@example.org", true).as_deref(), Some("ANNA@example.org"));
    }
}
