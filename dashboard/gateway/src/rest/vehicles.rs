//! The list of vehicles, filtered, sorted and counted here: for fleets that are too many for a browser to hold.

use super::{AnyReader, ApiError, RestState};
use crate::live::{Listed, Look, Ranks, SharedBoard, Wanted, list, listed_vehicle};
use crate::wire::{ErrorAnswer, VehicleListAnswer, VehicleListRequest, VehicleSort};
use axum::Json;
use axum::extract::State;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use waystream_domain::OrganisationId;

/// Vehicles told at a time.
const MAX_LIMIT: usize = 1_000;
/// A list is good for so long: pages of it, and others who ask the same, get it again.
const KEPT: Duration = Duration::from_secs(2);
/// Longest text to look for.
const MAX_TEXT: usize = 200;

/// Lists that were asked for lately. They are worked out one at a time: many who ask cost no more than one core.
#[derive(Default)]
pub(crate) struct Lists(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    ranks: Ranks,
    lists: HashMap<(OrganisationId, VehicleListRequest), (Instant, Arc<Listed>)>,
}

impl Lists {
    async fn get(&self, key: (OrganisationId, VehicleListRequest), board: SharedBoard, wanted: Wanted) -> Option<Arc<Listed>> {
        let mut kept = Arc::clone(&self.0).lock_owned().await;
        kept.lists.retain(|_, (made, _)| made.elapsed() < KEPT);
        if let Some((_, listed)) = kept.lists.get(&key) {
            return Some(Arc::clone(listed));
        }
        let work = tokio::task::spawn_blocking(move || {
            // Fixes and speeds differ; where many are alike they are listed by name.
            if matches!(wanted.sort, VehicleSort::Name | VehicleSort::Status) {
                kept.ranks.refresh(&board);
            }
            let listed = Arc::new(list(&board, &wanted, &kept.ranks));
            kept.lists.insert(key, (Instant::now(), Arc::clone(&listed)));
            listed
        });
        work.await.ok()
    }
}

/// Vehicles that have been seen, as the map shows them: those that match, in order, and how many there are. Lists may be two seconds
/// old, the vehicles in them are as they are now.
#[utoipa::path(post, path = "/api/vehicles", request_body = VehicleListRequest,
    responses((status = 200, body = VehicleListAnswer), (status = 400, body = ErrorAnswer), (status = 404, body = ErrorAnswer)))]
pub(super) async fn list_vehicles(
    State(rest): State<RestState>,
    AnyReader(identity): AnyReader,
    Json(request): Json<VehicleListRequest>,
) -> Result<Json<VehicleListAnswer>, ApiError> {
    let scope = rest.sessions.scope(&identity);
    let own = scope.fleets();
    let fleets = match &request.fleet {
        Some(fleet) => [rest.own_fleet(&identity, fleet)?].into(),
        None => own.clone(),
    };
    if request.text.chars().count() > MAX_TEXT {
        return Err(ApiError::BadRequest(format!("text: at most {MAX_TEXT} characters")));
    }
    let mut looks = [false; Look::ALL.len()];
    for &look in &request.looks {
        let wanted = looks.get_mut(usize::from(look));
        *wanted.ok_or_else(|| ApiError::BadRequest(format!("looks: there is no look {look}")))? = true;
    }
    // What can't be the id of a device is nobody's.
    let devices = request.devices.as_ref().map(|ids| ids.iter().filter_map(|id| id.parse().ok()).collect());
    let text = request.text.trim().to_lowercase();
    let (from, limit) = (request.from, request.limit.min(MAX_LIMIT));
    // Who only counts needs no order, least of all the one that takes longest.
    let sort = if limit == 0 { VehicleSort::Age } else { request.sort };
    let wanted = Wanted { fleets, text, looks, devices, sort };
    // Pages of one list are the same list.
    let key = (identity.organisation().clone(), VehicleListRequest { from: 0, limit: 0, sort, ..request });
    let listed = rest.lists.get(key, Arc::clone(&rest.board), wanted).await;
    let listed = listed.ok_or_else(|| ApiError::Internal("a list could not be worked out".into()))?;
    let board = rest.board.read().unwrap_or_else(PoisonError::into_inner);
    let page = listed.order.iter().skip(from).take(limit);
    Ok(Json(VehicleListAnswer {
        count: own.iter().map(|fleet| board.vehicles_in(fleet)).sum(),
        matching: listed.order.len(),
        looks: listed.looks,
        from,
        vehicles: page.filter_map(|&slot| listed_vehicle(&board, slot, own)).collect(),
    }))
}
