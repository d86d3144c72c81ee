//! API tokens: people make, look at and remove their own; owners see and remove all of their organisation.

use super::{ApiError, DONE, Rest, RestState, name};
use crate::auth::SignedIn;
use crate::now;
use crate::wire::{ErrorAnswer, NewTokenAnswer, NewTokenRequest, TokenInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::sync::Arc;
use waystream_domain::catalog::Role;
use waystream_domain::{ApiToken, Catalog, CatalogEdit, CatalogEntry, CatalogKey, NewToken, Timestamp, TokenId};

/// Most tokens of one user: the catalog is held in memory by every process, and who signs in with one may have any of them.
const MAX_TOKENS: usize = 50;

/// Those of the user; for owners those of everybody in the organisation.
#[utoipa::path(get, path = "/api/tokens", responses((status = 200, body = Vec<TokenInfo>)))]
pub(super) async fn list(State(rest): State<RestState>, identity: SignedIn) -> Json<Vec<TokenInfo>> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let mut tokens: Vec<&Arc<ApiToken>> = catalog.api_tokens.values().filter(|t| may_see(&catalog, &identity, t)).collect();
    tokens.sort_by(|a, b| (&a.user, a.created_at, &a.id).cmp(&(&b.user, b.created_at, &b.id)));
    Json(tokens.into_iter().map(|t| TokenInfo::from(t.as_ref())).collect())
}

/// Makes one for the user. The answer has its secret, which nobody can get a second time.
#[utoipa::path(post, path = "/api/tokens", request_body = NewTokenRequest,
    responses((status = 201, body = NewTokenAnswer), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: SignedIn,
    Json(request): Json<NewTokenRequest>,
) -> Result<(StatusCode, Json<NewTokenAnswer>), ApiError> {
    let now = now();
    let expires_at = match request.expires_at {
        None => None,
        Some(ms) => match Timestamp::from_millis(ms) {
            Some(end) if end > now => Some(end),
            _ => return Err(ApiError::BadRequest("expires_at: a time to come, in milliseconds".into())),
        },
    };
    if request.scopes.is_empty() {
        return Err(ApiError::BadRequest("scopes: a token without one is of no use".into()));
    }
    let new = NewToken {
        user: identity.user().clone(),
        name: name(&request.name)?,
        scopes: request.scopes.into_iter().map(Into::into).collect(),
        created_at: now,
        expires_at,
    };
    let mut edits = over(&rest, &identity, now)?;
    // Off the runtime: the keys for SCRAM are hashed thousands of times.
    let issued = tokio::task::spawn_blocking(move || ApiToken::issue(new, &rand::random())).await;
    let (token, secret) = issued.map_err(|e| ApiError::Internal(e.to_string()))?;
    let answer = NewTokenAnswer { token: (&token).into(), secret: secret.as_str().to_owned() };
    tracing::info!(user = %identity.user(), token = %token.id, "token made");
    edits.push(CatalogEdit::Put(CatalogEntry::ApiToken(token)));
    rest.catalog.edit(&identity.actor(), edits).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Removes one. Whatever uses it is refused from now on.
#[utoipa::path(delete, path = "/api/tokens/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let found: Option<TokenId> = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let token = id.parse().ok().and_then(|id: TokenId| catalog.api_tokens.get(&id));
        token.filter(|t| may_see(&catalog, &identity, t)).map(|t| t.id.clone())
    };
    let id = found.ok_or_else(|| ApiError::NotFound(format!("there is no token {id}")))?;
    tracing::info!(user = %identity.user(), token = %id, "token removed");
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::ApiToken(id))]).await?;
    Ok(DONE)
}

/// Edits that clear away the user's tokens whose time is over; an error if there are too many others.
fn over(rest: &Rest, identity: &SignedIn, now: Timestamp) -> Result<Vec<CatalogEdit>, ApiError> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let own = catalog.api_tokens.values().filter(|t| t.user == *identity.user());
    let (valid, over): (Vec<_>, Vec<_>) = own.partition(|t| t.is_valid(now));
    if valid.len() >= MAX_TOKENS {
        return Err(ApiError::Conflict(format!("there are {MAX_TOKENS} tokens already")));
    }
    Ok(over.into_iter().map(|t| CatalogEdit::Remove(CatalogKey::ApiToken(t.id.clone()))).collect())
}

fn may_see(catalog: &Catalog, identity: &SignedIn, token: &ApiToken) -> bool {
    let of_organisation = || catalog.users.get(&token.user).is_some_and(|user| user.organisation == *identity.organisation());
    token.user == *identity.user() || (identity.role() == Role::Owner && of_organisation())
}
