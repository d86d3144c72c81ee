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
    named: OnceLock<HashMap<String, Vec<Arc<Visible>>>>,
}

/// A geofence, prepared with its bounds (see [`PreparedGeofence::bounds_deg`]) when a place is first looked for in it.
struct Visible {
    fence: Arc<Geofence>,
    prepared: OnceLock<(PreparedGeofence, [f64; 4])>,
}

impl Visible {
    fn covers(&self, lat: f64, lon: f64) -> bool {
        let (prepared, [west, south, east, north]) = self.prepared.get_or_init(|| {
            let prepared = PreparedGeofence::new(&self.fence);
            let bounds = prepared.bounds_deg();
            (prepared, bounds)
        });
        // Most places are far away, and rounding costs more than to see that.
        let near = *west <= lon && lon <= *east && *south <= lat && lat <= *north;
        near && LatLon::new(lat, lon).is_some_and(|at| prepared.covers(at))
    }
}

/// The geofences of one name or id.
pub(super) struct Named<'a>(&'a [Arc<Visible>]);

impl Named<'_> {
    /// Whether one of them holds the place.
    pub(super) fn cover(&self, lat: f64, lon: f64) -> bool {
        self.0.iter().any(|one| one.covers(lat, lon))
    }
}

impl Zones {
    /// Nothing is read of the catalog yet.
    pub(crate) fn new(catalog: SharedCatalog, scope: Scope) -> Self {
        Self { catalog, scope, index: OnceLock::new(), named: OnceLock::new() }
    }

    /// Writes the least id of the geofences that hold the place.
    pub(super) fn id_at(&self, lat: f64, lon: f64, into: &mut String) -> Option<()> {
        let at = LatLon::new(lat, lon)?;
        let index = self.index.get_or_init(|| {
            let (mut index, mut touched) = (GeofenceIndex::default(), Touched::default());
            for fence in self.visible() {
                index.apply(IndexEdit::Put(Arc::new(PreparedGeofence::new(&fence))), &mut touched);
            }
            index
        });
        into.push_str(index.holding_for_any(at).first()?.id.as_str());
        Some(())
    }

    /// Those of this name or id; an error if there is none.
    pub(super) fn named(&self, name: &str) -> Result<Named<'_>> {
        let named = self.named.get_or_init(|| {
            let mut named: HashMap<String, Vec<Arc<Visible>>> = HashMap::new();
            for fence in self.visible() {
                let one = Arc::new(Visible { fence, prepared: OnceLock::new() });
                for key in [one.fence.name.clone(), one.fence.id.to_string()] {
                    named.entry(key).or_default().push(Arc::clone(&one));
                }
            }
            named
        });
        named.get(name).map(|fences| Named(fences)).map_or_else(|| plan_err!("there is no geofence {name}"), Ok)
    }

    fn visible(&self) -> Vec<Arc<Geofence>> {
        let catalog = self.catalog.read().unwrap_or_else(PoisonError::into_inner);
        catalog.geofences.values().filter(|fence| self.scope.sees(fence)).cloned().collect()
    }
}
