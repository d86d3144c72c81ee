//! Geofences of one scope by place: `zone_id` and `in_geofence`.

use crate::Scope;
use datafusion::common::{Result, plan_err};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, PoisonError};
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, PreparedGeofence, Touched};
use waystream_domain::{Geofence, LatLon, SharedCatalog};

/// The geofences that a scope sees, prepared when first asked for: most questions don't ask.
pub(crate) struct Zones {
    catalog: SharedCatalog,
    scope: Scope,
    index: OnceLock<GeofenceIndex>,
    named: OnceLock<HashMap<String, Vec<Named>>>,
}

/// A geofence under its name or id.
struct Named {
    fence: Arc<Geofence>,
    prepared: Arc<OnceLock<PreparedGeofence>>,
}

impl Zones {
    /// Nothing is read of the catalog yet.
    pub(crate) fn new(catalog: SharedCatalog, scope: Scope) -> Self {
        Self { catalog, scope, index: OnceLock::new(), named: OnceLock::new() }
    }

    /// The least id of the geofences that hold the place.
    pub(super) fn id_at(&self, lat: f64, lon: f64) -> Option<String> {
        let at = LatLon::new(lat, lon)?;
        let index = self.index.get_or_init(|| {
            let (mut index, mut touched) = (GeofenceIndex::default(), Touched::default());
            for fence in self.visible() {
                index.apply(IndexEdit::Put(Arc::new(PreparedGeofence::new(&fence))), &mut touched);
            }
            index
        });
        index.holding_for_any(at).first().map(|fence| fence.id.to_string())
    }

    /// Whether a geofence of this name or id holds the place; NULL if it is no place on Earth.
    pub(super) fn covers(&self, name: &str, lat: f64, lon: f64) -> Result<Option<bool>> {
        let named = self.named.get_or_init(|| {
            let mut named: HashMap<String, Vec<Named>> = HashMap::new();
            for fence in self.visible() {
                let prepared = Arc::new(OnceLock::new());
                let mut put = |key: String| {
                    named.entry(key).or_default().push(Named { fence: fence.clone(), prepared: prepared.clone() });
                };
                put(fence.name.clone());
                put(fence.id.to_string());
            }
            named
        });
        let Some(fences) = named.get(name) else { return plan_err!("there is no geofence {name}") };
        let Some(at) = LatLon::new(lat, lon) else { return Ok(None) };
        Ok(Some(fences.iter().any(|n| n.prepared.get_or_init(|| PreparedGeofence::new(&n.fence)).covers(at))))
    }

    fn visible(&self) -> Vec<Arc<Geofence>> {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        catalog.geofences.values().filter(|fence| self.scope.sees(fence)).cloned().collect()
    }
}
