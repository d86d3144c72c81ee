//! How many vehicles are inside of each geofence. Counted by every crossing, so that to ask costs what is asked for, not vehicles times geofences.

use std::collections::{HashMap, HashSet};
use waystream_domain::{FleetId, GeofenceId};

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Occupancy {
    /// By fleet: not everybody may see each. No count is zero.
    counts: HashMap<GeofenceId, HashMap<FleetId, usize>>,
    changed: HashSet<GeofenceId>,
}

impl Occupancy {
    /// A vehicle of a fleet is inside from now on.
    pub(crate) fn enter(&mut self, geofence: &GeofenceId, fleet: &FleetId) {
        *self.counts.entry(geofence.clone()).or_default().entry(fleet.clone()).or_default() += 1;
        self.changed.insert(geofence.clone());
    }

    /// A vehicle of a fleet was inside until now.
    pub(crate) fn leave(&mut self, geofence: &GeofenceId, fleet: &FleetId) {
        let Some(fleets) = self.counts.get_mut(geofence) else { return };
        let left = fleets.get(fleet).map_or(0, |count| count.saturating_sub(1));
        if left > 0 {
            fleets.insert(fleet.clone(), left);
        } else {
            fleets.remove(fleet);
        }
        if fleets.is_empty() {
            self.counts.remove(geofence);
        }
        self.changed.insert(geofence.clone());
    }

    /// Vehicles inside of a geofence, of the fleets that are shown.
    pub(crate) fn inside(&self, geofence: &GeofenceId, shown: impl Fn(&FleetId) -> bool) -> usize {
        let fleets = self.counts.get(geofence).into_iter().flatten();
        fleets.filter(|(fleet, _)| shown(fleet)).map(|(_, count)| count).sum()
    }

    /// Geofences that hold somebody.
    pub(crate) fn geofences(&self) -> impl Iterator<Item = &GeofenceId> {
        self.counts.keys()
    }

    /// Geofences whose count is another, perhaps, than when this was asked last.
    pub(crate) fn take_changed(&mut self) -> HashSet<GeofenceId> {
        std::mem::take(&mut self.changed)
    }
}
