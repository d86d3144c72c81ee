//! The people of an organisation: owners invite them, say what they may do, and let them go.

use super::kept::Owned;
use super::{ApiError, DONE, Rest, RestState};
use crate::auth::{INVITATION_MS, SignedIn};
use crate::now;
use crate::wire::{ErrorAnswer, NewUserRequest, UserEdit, UserInfo, UserLink};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::catalog::{Role, User};
use waystream_domain::{Actor, Catalog, CatalogEdit, CatalogEntry, CatalogKey, OrganisationId, UserId};

/// Most users of one organisation: every process holds all of them in memory.
const MAX_USERS: usize = 10_000;

impl Owned for User {
    type Id = UserId;
    const ONE: &'static str = "user";

    fn all(catalog: &Catalog) -> &BTreeMap<UserId, Arc<Self>> {
        &catalog.users
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::User(self.id.clone())
    }
}

/// Everybody.
#[utoipa::path(get, path = "/api/users", responses((status = 200, body = Vec<UserInfo>), (status = 403, body = ErrorAnswer)))]
pub(super) async fn list(State(rest): State<RestState>, identity: SignedIn) -> Result<Json<Vec<UserInfo>>, ApiError> {
    require_owner(&identity)?;
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    Ok(Json(people(&catalog, identity.organisation()).map(|user| UserInfo::of(user, &catalog)).collect()))
}

/// Invites somebody. The answer has the link that signs in for the first time.
#[utoipa::path(post, path = "/api/users", request_body = NewUserRequest,
    responses((status = 201, body = UserLink), (status = 400, body = ErrorAnswer), (status = 403, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: SignedIn,
    Json(request): Json<NewUserRequest>,
) -> Result<(StatusCode, Json<UserLink>), ApiError> {
    require_owner(&identity)?;
    let id: UserId = request.id.trim().parse().map_err(|error| ApiError::BadRequest(format!("id: {error}")))?;
    let _turn = rest.turn(&identity).await;
    // What somebody of this name chose or was given as he was let go at another gateway is not this one's.
    let mut edits = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        // People sign in without saying whose they are, so names are everybody's.
        if catalog.users.contains_key(&id) {
            return Err(ApiError::Conflict(format!("the name {id} is taken")));
        }
        if people(&catalog, identity.organisation()).count() >= MAX_USERS {
            return Err(ApiError::Conflict(format!("there are {MAX_USERS} users already")));
        }
        catalog.belongings_removal(&id)
    };
    let organisation = identity.organisation().clone();
    require_owner_now(&rest, &identity)?;
    let user = User { id: id.clone(), organisation, role: request.role.into(), password_hash: None, preferences: None };
    tracing::info!(by = %identity.user(), user = %id, role = ?user.role, "user invited");
    edits.push(CatalogEdit::Put(CatalogEntry::User(user)));
    rest.catalog.edit(&identity.actor(), edits).await?;
    // Another organisation may have invited somebody of this name at another gateway at the same moment: the later one has it, and what the
    // other has given meanwhile opens nothing here.
    let given = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let has_it = catalog.users.get(&id).is_some_and(|user| user.organisation == *identity.organisation());
        if !has_it {
            return Err(ApiError::Conflict(format!("the name {id} is taken")));
        }
        catalog.belongings_removal(&id)
    };
    if !given.is_empty() {
        rest.catalog.edit(&identity.actor(), given).await?;
    }
    Ok((StatusCode::CREATED, Json(invitation(&rest, &identity.actor(), id).await?)))
}

/// Says what somebody may do, from the next request on.
#[utoipa::path(put, path = "/api/users/{id}", request_body = UserEdit,
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn change(
    State(rest): State<RestState>,
    identity: SignedIn,
    Path(id): Path<String>,
    Json(edit): Json<UserEdit>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    // Within a turn, so that nobody who is being let go comes back by it.
    let _turn = rest.turn(&identity).await;
    let user = own_user(&rest, &identity, &id)?;
    let role = edit.role.into();
    let changed = User { role, ..user.as_ref().clone() };
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::User(changed))]).await?;
    tracing::info!(by = %identity.user(), user = %user.id, ?role, "role changed");
    Ok(DONE)
}

/// Lets somebody go: sessions, tokens and links end.
#[utoipa::path(delete, path = "/api/users/{id}",
    responses((status = 204), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: SignedIn,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_owner(&identity)?;
    let _turn = rest.turn(&identity).await;
    let user = own_user(&rest, &identity, &id)?;
    let edits = {
        let shared = rest.catalog.shared();
        rest.look(&shared).user_removal(&user.id)
    };
    rest.catalog.edit(&identity.actor(), edits).await?;
    tracing::info!(by = %identity.user(), user = %user.id, "user removed");
    Ok(DONE)
}

/// A new link, for who has lost the first one or forgotten a password: for somebody else.
#[utoipa::path(post, path = "/api/users/{id}/link",
    responses((status = 201, body = UserLink), (status = 403, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn link(
    State(rest): State<RestState>,
    identity: SignedIn,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<UserLink>), ApiError> {
    let user = own_user(&rest, &identity, &id)?;
    require_somebody_else(&rest, &identity, &user)?;
    tracing::info!(by = %identity.user(), user = %user.id, "sign-in link made");
    Ok((StatusCode::CREATED, Json(invitation(&rest, &identity.actor(), user.id.clone()).await?)))
}

async fn invitation(rest: &Rest, by: &Actor, user: UserId) -> Result<UserLink, ApiError> {
    let now = now();
    let secret = rest.links.issue(by, user, INVITATION_MS, now).await?;
    Ok(UserLink { path: format!("/sign-in?token={}", secret.as_str()), expires_at: now.plus_millis(INVITATION_MS).as_millis() })
}

fn people<'a>(catalog: &'a Catalog, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<User>> {
    catalog.users.values().filter(move |user| user.organisation == *organisation)
}

fn require_owner(identity: &SignedIn) -> Result<(), ApiError> {
    if identity.role() == Role::Owner { Ok(()) } else { Err(ApiError::Forbidden("only owners may do this".into())) }
}

/// The same, whatever was so when the request came: who has waited for a turn may have been let go in the one before.
fn require_owner_now(rest: &Rest, identity: &SignedIn) -> Result<(), ApiError> {
    require_owner(identity)?;
    let is_owner = {
        let shared = rest.catalog.shared();
        let catalog = rest.look(&shared);
        let known = catalog.users.get(identity.user());
        known.is_some_and(|known| known.role == Role::Owner && known.organisation == *identity.organisation())
    };
    if is_owner { Ok(()) } else { Err(ApiError::Forbidden("only owners may do this".into())) }
}

/// A user of the owner's own organisation. To others it is as if there were none.
pub(super) fn own_user(rest: &Rest, identity: &SignedIn, id: &str) -> Result<Arc<User>, ApiError> {
    require_owner_now(rest, identity)?;
    rest.own_entry(identity, id)
}

/// What an owner gives to others without a password or a code, a browser that is left signed in must not give to whoever finds it.
pub(super) fn require_somebody_else(rest: &Rest, identity: &SignedIn, user: &User) -> Result<(), ApiError> {
    if user.id != *identity.user() || rest.sessions.has_just_come_by_link(identity, now()) {
        return Ok(());
    }
    let error = "not for yourself, unless you have just come by a sign-in link: another owner makes one, or who has a shell";
    Err(ApiError::Conflict(error.into()))
}
