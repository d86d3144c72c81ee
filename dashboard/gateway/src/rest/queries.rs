//! Queries that an organisation keeps.

use super::{ApiError, DONE, Rest, RestState, name, require_editor};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, SavedQueryEdit, SavedQueryInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use waystream_domain::catalog::SavedQuery;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, QueryId};

/// Longest query kept, bytes.
const MAX_BYTES: usize = 64 << 10;

/// Most queries of one organisation: the catalog is held in memory by every process.
const MAX_QUERIES: usize = 1_000;

/// All of the organisation, by name.
#[utoipa::path(get, path = "/api/queries", responses((status = 200, body = Vec<SavedQueryInfo>)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<SavedQueryInfo>> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let own = catalog.queries.values().filter(|q| q.organisation == *identity.organisation());
    let mut queries: Vec<SavedQueryInfo> = own.map(|q| info(q)).collect();
    queries.sort_by(|a, b| a.name.cmp(&b.name).then(a.id.cmp(&b.id)));
    Json(queries)
}

/// Keeps a query.
#[utoipa::path(post, path = "/api/queries", request_body = SavedQueryEdit,
    responses((status = 201, body = SavedQueryInfo), (status = 400, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<SavedQueryEdit>,
) -> Result<(StatusCode, Json<SavedQueryInfo>), ApiError> {
    require_editor(&identity)?;
    let own = |q: &&std::sync::Arc<SavedQuery>| q.organisation == *identity.organisation();
    if rest.look(&rest.catalog.shared()).queries.values().filter(own).count() >= MAX_QUERIES {
        return Err(ApiError::Conflict(format!("there are {MAX_QUERIES} queries already")));
    }
    let id = QueryId::new(format!("{:016x}", rand::random::<u64>())).expect("hex digits are an id");
    Ok((StatusCode::CREATED, Json(keep(&rest, &identity, id, edit).await?)))
}

/// Changes a query.
#[utoipa::path(put, path = "/api/queries/{id}", request_body = SavedQueryEdit,
    responses((status = 200, body = SavedQueryInfo), (status = 404, body = ErrorAnswer)))]
pub(super) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<SavedQueryEdit>,
) -> Result<Json<SavedQueryInfo>, ApiError> {
    require_editor(&identity)?;
    let id = own(&rest, &identity, &id)?;
    Ok(Json(keep(&rest, &identity, id, edit).await?))
}

/// Forgets a query.
#[utoipa::path(delete, path = "/api/queries/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let id = own(&rest, &identity, &id)?;
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Query(id))]).await?;
    Ok(DONE)
}

async fn keep(rest: &Rest, identity: &Identity, id: QueryId, edit: SavedQueryEdit) -> Result<SavedQueryInfo, ApiError> {
    if edit.query.trim().is_empty() || edit.query.len() > MAX_BYTES {
        return Err(ApiError::BadRequest(format!("a query has 1 to {MAX_BYTES} bytes")));
    }
    let query = SavedQuery { id, organisation: identity.organisation().clone(), name: name(&edit.name)?, sql: edit.query };
    let info = info(&query);
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::Query(query))]).await?;
    Ok(info)
}

fn own(rest: &Rest, identity: &Identity, id: &str) -> Result<QueryId, ApiError> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let found = id.parse().ok().and_then(|id: QueryId| catalog.queries.get(&id));
    match found.filter(|q| q.organisation == *identity.organisation()) {
        Some(query) => Ok(query.id.clone()),
        None => Err(ApiError::NotFound(format!("there is no query {id}"))),
    }
}

fn info(query: &SavedQuery) -> SavedQueryInfo {
    SavedQueryInfo { id: query.id.to_string(), name: query.name.clone(), query: query.sql.clone() }
}
