//! Geofences of the organisation, as GeoJSON.

use super::kept::Owned;
use super::room::Turn;
use super::{ApiError, Rest, RestState, name, require_editor};
use crate::auth::Identity;
use crate::now;
use crate::wire::{ErrorAnswer, GeofenceCollection, GeofenceFeature, geofence_feature};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::geofence::{Checks, Defaults, from_geojson, from_text};
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, Geofence, GeofenceId, OrganisationId};

impl Owned for Geofence {
    type Id = GeofenceId;
    const ONE: &'static str = "geofence";

    fn all(catalog: &Catalog) -> &BTreeMap<GeofenceId, Arc<Self>> {
        &catalog.geofences
    }

    fn organisation(&self) -> &OrganisationId {
        &self.organisation
    }

    fn key(&self) -> CatalogKey {
        CatalogKey::Geofence(self.id.clone())
    }
}

/// All geofences.
#[utoipa::path(get, path = "/api/geofences", responses((status = 200, body = GeofenceCollection)))]
pub(super) async fn list(State(rest): State<RestState>, identity: Identity) -> Json<GeofenceCollection> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let own = catalog.geofences.values().filter(|g| g.organisation == *identity.organisation());
    Json(GeofenceCollection { r#type: "FeatureCollection".into(), features: own.map(|g| geofence_feature(g)).collect() })
}

/// A new geofence: one Feature. Its id and version are given by the server.
#[utoipa::path(post, path = "/api/geofences", request_body = GeofenceFeature,
    responses((status = 201, body = GeofenceFeature), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(feature): Json<Value>,
) -> Result<(StatusCode, Json<GeofenceFeature>), ApiError> {
    require_editor(&identity)?;
    let saved = save(&rest.turn(&identity).await, new_id()?, 0, feature).await?;
    Ok((StatusCode::CREATED, Json(saved)))
}

/// Geofences from GeoJSON, KML or well-known text, all or none. Those with the id of one that the organisation has replace it, so what
/// was exported can be changed and put back; others get new ids.
#[utoipa::path(post, path = "/api/geofences/import", request_body(content = String, content_type = "text/plain"),
    responses((status = 200, body = GeofenceCollection), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn import(
    State(rest): State<RestState>,
    identity: Identity,
    text: String,
) -> Result<Json<GeofenceCollection>, ApiError> {
    require_editor(&identity)?;
    let version = u64::try_from(now().as_millis()).unwrap_or(0);
    let organisation = identity.organisation().clone();
    // Checking large areas takes a while.
    let read = tokio::task::spawn_blocking(move || {
        from_text(&text, &Defaults { organisation, fleet: None, id: None, version, checks: Checks::Strict })
    });
    let read = read.await.map_err(|e| ApiError::Internal(format!("reading geofences: {e}")))?;
    let mut geofences = read.map_err(|e| ApiError::BadRequest(e.to_string()))?;
    let turn = rest.turn(&identity).await;
    for geofence in &mut geofences {
        match rest.own_entry::<Geofence>(&identity, geofence.id.as_str()) {
            Ok(old) => geofence.version = version.max(old.version + 1),
            Err(_) => geofence.id = new_id()?,
        }
        check(&rest, &identity, geofence)?;
    }
    let features = geofences.iter().map(geofence_feature).collect();
    let edits = geofences.into_iter().map(|geofence| CatalogEdit::Put(CatalogEntry::Geofence(geofence)));
    turn.add(edits.collect()).await?;
    Ok(Json(GeofenceCollection { r#type: "FeatureCollection".into(), features }))
}

fn new_id() -> Result<GeofenceId, ApiError> {
    let id = format!("fence-{:016x}", rand::random::<u64>());
    id.parse().map_err(|e| ApiError::Internal(format!("a made id is none: {e}")))
}

/// Another shape, name, fleet, group or colour for a geofence. One that says which version it was made from is refused if there is a newer one.
#[utoipa::path(put, path = "/api/geofences/{id}", request_body = GeofenceFeature,
    responses((status = 200, body = GeofenceFeature), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer),
        (status = 409, body = ErrorAnswer)))]
pub(super) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(feature): Json<Value>,
) -> Result<Json<GeofenceFeature>, ApiError> {
    require_editor(&identity)?;
    let turn = rest.turn(&identity).await;
    let before: Arc<Geofence> = rest.own_entry(&identity, &id)?;
    if feature["properties"]["version"].as_u64().is_some_and(|made_from| made_from != before.version) {
        return Err(ApiError::Conflict("somebody has changed the geofence meanwhile".into()));
    }
    Ok(Json(save(&turn, before.id.clone(), before.version, feature).await?))
}

/// Removes a geofence.
#[utoipa::path(delete, path = "/api/geofences/{id}", responses((status = 204), (status = 404, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    rest.remove_entry::<Geofence>(&identity, &id).await
}

async fn save(turn: &Turn<'_>, id: GeofenceId, old_version: u64, mut feature: Value) -> Result<GeofenceFeature, ApiError> {
    let bad = ApiError::BadRequest;
    if feature["type"] != "Feature" {
        return Err(bad("a GeoJSON Feature is expected".into()));
    }
    // Ids are the server's to give.
    for object in [feature.as_object_mut()].into_iter().flatten() {
        object.remove("id");
    }
    if let Some(properties) = feature.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("id");
        properties.remove("fence_id");
    }
    let version = u64::try_from(now().as_millis()).unwrap_or(0).max(old_version + 1);
    let organisation = turn.identity.organisation().clone();
    let defaults = Defaults { organisation, fleet: None, id: Some(id), version, checks: Checks::Strict };
    let read = from_geojson(&feature.to_string(), &defaults).map_err(|e| bad(e.to_string()))?;
    let Some(mut geofence) = read.into_iter().next() else { return Err(bad("there is no geofence in it".into())) };
    check(turn.rest, turn.identity, &mut geofence)?;
    let saved = geofence_feature(&geofence);
    turn.add(vec![CatalogEdit::Put(CatalogEntry::Geofence(geofence))]).await?;
    Ok(saved)
}

fn check(rest: &Rest, identity: &Identity, geofence: &mut Geofence) -> Result<(), ApiError> {
    geofence.name = name(&geofence.name)?;
    geofence.group = geofence.group.as_deref().map(name).transpose()?;
    if let Some(fleet) = &geofence.fleet {
        rest.own_fleet(identity, fleet.as_str())?;
    }
    let is_colour = |c: &str| c.len() == 7 && c.strip_prefix('#').is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    if geofence.colour.as_deref().is_some_and(|colour| !is_colour(colour)) {
        return Err(ApiError::BadRequest("a colour is #rrggbb".into()));
    }
    Ok(())
}
