//! Fleets of the organisation.

use super::{Anybody, ApiError, DONE, RestState, name, require_editor};
use crate::auth::Identity;
use crate::wire::{ErrorAnswer, FleetEdit, FleetInfo, fleet_info};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use waystream_domain::catalog::Fleet;
use waystream_domain::{CatalogEdit, CatalogEntry, CatalogKey, FleetId, FleetRules};

/// All fleets.
#[utoipa::path(get, path = "/api/fleets", responses((status = 200, body = Vec<FleetInfo>)))]
pub(super) async fn list(State(rest): State<RestState>, Anybody(identity): Anybody) -> Json<Vec<FleetInfo>> {
    let shared = rest.catalog.shared();
    let catalog = rest.look(&shared);
    let fleets = catalog.fleets_of(identity.organisation());
    Json(fleets.map(|f| fleet_info(f)).collect())
}

fn rules(edit: &FleetEdit) -> Result<Option<FleetRules>, ApiError> {
    edit.rules.map(|rules| rules.check().map(|()| rules)).transpose().map_err(ApiError::BadRequest)
}

/// A new fleet.
#[utoipa::path(post, path = "/api/fleets", request_body = FleetEdit,
    responses((status = 201, body = FleetInfo), (status = 409, body = ErrorAnswer)))]
pub(super) async fn create(
    State(rest): State<RestState>,
    identity: Identity,
    Json(edit): Json<FleetEdit>,
) -> Result<(StatusCode, Json<FleetInfo>), ApiError> {
    require_editor(&identity)?;
    let name = name(&edit.name)?;
    let id: FleetId = match &edit.id {
        Some(id) => id.parse().map_err(|e| ApiError::BadRequest(format!("id: {e}")))?,
        None => slug(&name).parse().map_err(|e| ApiError::BadRequest(format!("name: {e}")))?,
    };
    let turn = rest.turn(&identity).await;
    // Ids are unique over all organisations, so somebody else's counts too.
    if rest.look(&rest.catalog.shared()).fleets.contains_key(&id) {
        return Err(ApiError::Conflict(format!("the fleet id {id} is taken")));
    }
    let fleet = Fleet { id, organisation: identity.organisation().clone(), name, rules: rules(&edit)?.unwrap_or_default() };
    let info = fleet_info(&fleet);
    turn.add(vec![CatalogEdit::Put(CatalogEntry::Fleet(fleet))]).await?;
    Ok((StatusCode::CREATED, Json(info)))
}

/// Lower-case letters and digits of a name, other characters as dashes.
fn slug(name: &str) -> String {
    let dashed: String = name.to_lowercase().chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).take(64).collect();
    dashed.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-")
}

/// Another name for a fleet, or other rules.
#[utoipa::path(put, path = "/api/fleets/{id}", request_body = FleetEdit,
    responses((status = 200, body = FleetInfo), (status = 404, body = ErrorAnswer)))]
pub(super) async fn change(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
    Json(edit): Json<FleetEdit>,
) -> Result<Json<FleetInfo>, ApiError> {
    require_editor(&identity)?;
    // Within a turn, so that one that is being removed does not come back by it.
    let _turn = rest.turn(&identity).await;
    let id = rest.own_fleet(&identity, &id)?;
    let known = rest.look(&rest.catalog.shared()).fleets.get(&id).map(|fleet| fleet.rules);
    let rules = rules(&edit)?.or(known).unwrap_or_default();
    let fleet = Fleet { id, organisation: identity.organisation().clone(), name: name(&edit.name)?, rules };
    let info = fleet_info(&fleet);
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::Fleet(fleet))]).await?;
    Ok(Json(info))
}

/// Removes a fleet that has no devices.
#[utoipa::path(delete, path = "/api/fleets/{id}",
    responses((status = 204), (status = 404, body = ErrorAnswer), (status = 409, body = ErrorAnswer)))]
pub(super) async fn remove(
    State(rest): State<RestState>,
    identity: Identity,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    require_editor(&identity)?;
    let _turn = rest.turn(&identity).await;
    let id = rest.own_fleet(&identity, &id)?;
    if rest.look(&rest.catalog.shared()).devices.values().any(|d| d.fleet == id) {
        return Err(ApiError::Conflict(format!("fleet {id} still has devices")));
    }
    rest.catalog.edit(&identity.actor(), vec![CatalogEdit::Remove(CatalogKey::Fleet(id))]).await?;
    Ok(DONE)
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_makes_an_id() {
        assert_eq!(super::slug("  Straße 7 / Nord—Ost "), "straße-7-nord-ost");
        assert_eq!(super::slug("!!!"), "");
    }
}
