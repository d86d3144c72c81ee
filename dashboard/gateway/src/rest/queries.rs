//! Queries that an organisation keeps.

use super::kept::{Kept, Owned};
use super::{ApiError, Rest, RestState, name, require_editor};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, SavedQueryEdit, SavedQueryInfo};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::catalog::SavedQuery;
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, OrganisationId, QueryId};

/// Longest query kept, bytes.
const MAX_BYTES: usize = 64 << 10;

/// Most queries of one organisation: the catalog is held in memory by every process.
const MAX_QUERIES: usize = 1_000;

impl Owned for SavedQuery {
    type Id = QueryId;
    const ONE: &'static str = "query";

    fn all(catalog: &Catalog) -> &BTreeMap<QueryId, Arc<Self>> {
        &catalog.queries
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::Query(self.id.clone())
    }
}

impl Kept for SavedQuery {
    const MANY: &'static str = "queries";
    const MOST: usize = MAX_QUERIES;

    fn name(&self) -> &str {
        &self.name
    }
}

/// All of the organisation, by name.
#[utoipa::path(get, path = "/api/queries", responses((status = 200, body = Vec<SavedQueryInfo>)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<Vec<SavedQueryInfo>> {
    Json(rest.all_kept(&identity).iter().map(|kept: &Arc<SavedQuery>| info(kept)).collect())
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
    let _turn = rest.turn(&identity).await;
    rest.room_for::<SavedQuery>(&identity)?;
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
    let _turn = rest.turn(&identity).await;
    let id = rest.own_entry::<SavedQuery>(&identity, &id)?.id.clone();
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
    rest.remove_entry::<SavedQuery>(&identity, &id).await
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

fn info(query: &SavedQuery) -> SavedQueryInfo {
    SavedQueryInfo { id: query.id.to_string(), name: query.name.clone(), query: query.sql.clone() }
}
