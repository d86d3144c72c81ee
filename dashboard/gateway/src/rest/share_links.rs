//! Share links from the inside: who may edit makes them for a vehicle, looks at those that are open, and ends them.

use super::{ApiError, DONE, RestState, name, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{ErrorAnswer, NewShareLinkAnswer, NewShareLinkRequest, ShareLinkInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use waystream_domain::{CatalogEdit, CatalogKey, NewShareLink, ShareLink, ShareLinkId, Timestamp};

/// Those that open the vehicle now, in the order in which they end.
#[utoipa::path(get, path = "/api/devices/{id}/share-links",
    responses((status = 200, body = Vec<ShareLinkInfo>), (status = 404, body = ErrorAnswer)))]
pub(super) async fn list(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<Json<Vec<ShareLinkInfo>>, ApiError> {
    let device = rest.own(&identity, &id)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    Ok(Json(catalog.share_links_of(&device, now()).into_iter().map(|link| link.as_ref().into()).collect()))
}

/// Makes one: whoever has it sees this vehicle live until it ends, and nothing else. The answer has its secret, which nobody can get a
/// second time.
#[utoipa::path(post, path = "/api/devices/{id}/share-links", request_body = NewShareLinkRequest,
    responses((status = 201, body = NewShareLinkAnswer), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(request): Json<NewShareLinkRequest>,
) -> Result<(StatusCode, Json<NewShareLinkAnswer>), ApiError> {
    let device = rest.own(&identity, &id)?;
    require_editor(&identity)?;
    let now = now();
    let label = request.label.as_deref().map(str::trim).filter(|label| !label.is_empty()).map(name).transpose()?;
    let latest = now.plus_millis(ShareLink::LONGEST_MS);
    let expires_at = Timestamp::from_millis(request.expires_at).filter(|end| now < *end && *end <= latest);
    let expires_at = expires_at
        .ok_or_else(|| ApiError::BadRequest("expires_at: a time to come, at most 30 days away, in milliseconds".into()))?;
    let organisation = identity.organisation().clone();
    let new = NewShareLink { organisation, device, label, made_by: identity.user().clone(), created_at: now, expires_at };
    let (link, secret) = ShareLink::issue(new, &rand::random());
    let answer = NewShareLinkAnswer { link: (&link).into(), path: format!("/share#{}", secret.as_str()) };
    let edits = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        // One that only reports may be anybody's tomorrow.
        if !catalog.devices.contains_key(&link.device) {
            return Err(ApiError::Conflict("only a device that is in the catalog can be shared: give it a name first".into()));
        }
        tracing::info!(by = %identity.user(), device = %link.device, link = %link.id, "share link made");
        catalog.share_edits(link, now)
    };
    let edits = edits.ok_or_else(|| ApiError::Conflict("there are too many share links already: end some".into()))?;
    rest.catalog.edit(&identity.actor(), edits).await?;
    Ok((StatusCode::CREATED, Json(answer)))
}

/// Ends one. Whoever watches by it is cut at once.
#[utoipa::path(delete, path = "/api/devices/{id}/share-links/{link}",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path((id, link)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let device = rest.own(&identity, &id)?;
    require_editor(&identity)?;
    let found: Option<ShareLinkId> = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let known = link.parse().ok().and_then(|link: ShareLinkId| catalog.share_links.get(&link));
        known.filter(|l| l.device == device && l.organisation == *identity.organisation()).map(|l| l.id.clone())
    };
    let found = found.ok_or_else(|| ApiError::NotFound(format!("there is no share link {link}")))?;
    tracing::info!(by = %identity.user(), %device, link = %found, "share link ended");
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::ShareLink(found))]).await?;
    Ok(DONE)
}
