//! All geofences, arranged so that the ones holding a place are found quickly.

use super::nearness::widened;
use super::prepared::{Bounds, PreparedGeofence};
use crate::standing::Member;
use crate::{
    CatalogEdit, CatalogEntry, CatalogKey, DeviceId, DeviceState, Event, FleetId, GeofenceId, LatLon, OrganisationId, Position,
};
use rstar::{AABB, RTree, RTreeObject};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Finds the geofences that hold a place, for a fleet. Changed edit by edit. Cheap to clone (areas are shared).
#[derive(Debug, Clone)]
pub struct GeofenceIndex {
    fences: HashMap<GeofenceId, Arc<PreparedGeofence>>,
    /// The owner of each fleet: a geofence never applies to another organisation's fleet.
    owners: HashMap<FleetId, OrganisationId>,
    /// Those for all fleets of an organisation, and those for one fleet.
    of_organisation: HashMap<OrganisationId, RTree<Leaf>>,
    of_fleet: HashMap<FleetId, RTree<Leaf>>,
    /// Where the catalog has devices.
    devices: HashMap<DeviceId, FleetId>,
    /// No geofence that was ever here is smaller: a fix that is more accurate needs no second thought.
    smallest_m: f64,
}

impl Default for GeofenceIndex {
    fn default() -> Self {
        Self {
            fences: HashMap::new(),
            owners: HashMap::new(),
            of_organisation: HashMap::new(),
            of_fleet: HashMap::new(),
            devices: HashMap::new(),
            smallest_m: f64::INFINITY,
        }
    }
}

/// One part of a geofence. Envelopes are `f64`: exact for 32-bit integers, and rstar's areas of `i32` ones overflow.
#[derive(Debug, Clone)]
struct Leaf {
    bounds: Bounds,
    part: usize,
    fence: Arc<PreparedGeofence>,
}

impl PartialEq for Leaf {
    fn eq(&self, other: &Self) -> bool {
        self.part == other.part && Arc::ptr_eq(&self.fence, &other.fence)
    }
}

impl RTreeObject for Leaf {
    type Envelope = AABB<[f64; 2]>;
    fn envelope(&self) -> Self::Envelope {
        let [west, south, east, north] = self.bounds.map(f64::from);
        AABB::from_corners([west, south], [east, north])
    }
}

/// A catalog edit as far as it matters here, prepared once for all workers.
#[derive(Debug, Clone)]
pub enum IndexEdit {
    /// New or changed.
    Put(Arc<PreparedGeofence>),
    /// Gone.
    Remove(GeofenceId),
    /// The fleet belongs to this organisation.
    Own(FleetId, OrganisationId),
    /// The fleet is gone.
    Disown(FleetId),
    /// The device belongs to this fleet.
    Place(DeviceId, FleetId),
    /// The device is gone.
    Forget(DeviceId),
}

impl IndexEdit {
    /// `None` for entries that say nothing about geofences.
    pub fn new(edit: &CatalogEdit) -> Option<Self> {
        match edit {
            CatalogEdit::Put(CatalogEntry::Geofence(fence)) => Some(Self::Put(Arc::new(PreparedGeofence::new(fence)))),
            CatalogEdit::Put(CatalogEntry::Fleet(fleet)) => Some(Self::Own(fleet.id.clone(), fleet.organisation.clone())),
            CatalogEdit::Remove(CatalogKey::Geofence(id)) => Some(Self::Remove(id.clone())),
            CatalogEdit::Remove(CatalogKey::Fleet(id)) => Some(Self::Disown(id.clone())),
            CatalogEdit::Put(CatalogEntry::Device(device)) => Some(Self::Place(device.id.clone(), device.fleet.clone())),
            CatalogEdit::Remove(CatalogKey::Device(id)) => Some(Self::Forget(id.clone())),
            _ => None,
        }
    }
}

/// So many edited areas are not looked at one by one for every device: a second look at the device costs less.
const MANY_AREAS: usize = 64;

/// What some edits have touched: only devices that this concerns need a second look.
#[derive(Debug, Default)]
pub struct Touched {
    fences: HashSet<GeofenceId>,
    fleets: HashSet<FleetId>,
    devices: HashSet<DeviceId>,
    areas: Vec<Bounds>,
}

impl Touched {
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty() && self.fleets.is_empty() && self.devices.is_empty()
    }

    /// Whether the device may now be inside of something else than before.
    pub fn concerns(&self, state: &DeviceState) -> bool {
        let Some(latest) = &state.latest else { return false };
        let (x, y) = (latest.position.location.lon_e7(), latest.position.location.lat_e7());
        self.areas.len() > MANY_AREAS
            || self.areas.iter().any(|&[west, south, east, north]| west <= x && x <= east && south <= y && y <= north)
            || state.standing.inside.iter().any(|i| self.fences.contains(&i.geofence))
            || state.standing.members.iter().any(|m| self.fences.contains(&m.geofence))
            || self.fleets.contains(&state.standing.fleet)
            || self.devices.contains(&state.device)
    }
}

/// A geofence that holds a position, or nearly.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) fence: &'a PreparedGeofence,
    /// See [`Member::near`].
    pub(crate) near: bool,
}

impl Held<'_> {
    /// Whether the member says the same.
    pub(crate) fn is(&self, member: &Member) -> bool {
        member.geofence == self.fence.id && member.version == self.fence.version && member.near == self.near
    }

    /// To be remembered.
    pub(crate) fn member(&self) -> Member {
        Member {
            geofence: self.fence.id.clone(),
            version: self.fence.version,
            near: self.near,
            dwell_ms: self.fence.dwell_ms(),
        }
    }
}

impl GeofenceIndex {
    /// Number of geofences.
    pub fn len(&self) -> usize {
        self.fences.len()
    }

    /// Whether there is no geofence.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty()
    }

    /// The geofence of this id.
    pub fn get(&self, id: &GeofenceId) -> Option<&PreparedGeofence> {
        self.fences.get(id).map(Arc::as_ref)
    }

    /// The fleet of a device in the catalog.
    pub(crate) fn fleet_of(&self, device: &DeviceId) -> Option<&FleetId> {
        self.devices.get(device)
    }

    /// Applies an edit and notes what it touched.
    pub fn apply(&mut self, edit: IndexEdit, touched: &mut Touched) {
        match edit {
            IndexEdit::Put(fence) => {
                self.remove(&fence.id);
                let tree = match &fence.fleet {
                    Some(fleet) => self.of_fleet.entry(fleet.clone()).or_default(),
                    None => self.of_organisation.entry(fence.organisation.clone()).or_default(),
                };
                for (part, bounds) in fence.bounds().enumerate() {
                    tree.insert(Leaf { bounds, part, fence: fence.clone() });
                    touched.areas.push(bounds);
                }
                touched.fences.insert(fence.id.clone());
                self.smallest_m = self.smallest_m.min(fence.size_m());
                self.fences.insert(fence.id.clone(), fence);
            }
            IndexEdit::Remove(id) => {
                self.remove(&id);
                touched.fences.insert(id);
            }
            IndexEdit::Own(fleet, organisation) => {
                let before = self.owners.insert(fleet.clone(), organisation.clone());
                if before != Some(organisation) {
                    touched.fleets.insert(fleet);
                }
            }
            IndexEdit::Disown(fleet) => {
                self.owners.remove(&fleet);
                touched.fleets.insert(fleet);
            }
            IndexEdit::Place(device, fleet) => {
                let before = self.devices.insert(device.clone(), fleet.clone());
                if before != Some(fleet) {
                    touched.devices.insert(device);
                }
            }
            IndexEdit::Forget(device) => drop(self.devices.remove(&device)),
        }
    }

    fn remove(&mut self, id: &GeofenceId) {
        let Some(fence) = self.fences.remove(id) else { return };
        let tree = match &fence.fleet {
            Some(fleet) => self.of_fleet.get_mut(fleet),
            None => self.of_organisation.get_mut(&fence.organisation),
        };
        let Some(tree) = tree else { return };
        for (part, bounds) in fence.bounds().enumerate() {
            tree.remove(&Leaf { bounds, part, fence: fence.clone() });
        }
    }

    /// What is decided about a position of a device of this fleet, sorted by geofence.
    ///
    /// A fix that is less accurate than a geofence is large says nothing about it, unless it is farther away than that.
    pub(crate) fn around(&self, fleet: &FleetId, position: &Position) -> Vec<Held<'_>> {
        let accuracy_m = position.accuracy_m.map_or(0.0, f64::from);
        self.at(fleet, position.location, if accuracy_m > self.smallest_m { accuracy_m } else { 0.0 })
    }

    /// The geofences that apply to the fleet and hold the place, sorted by id.
    pub fn holding(&self, fleet: &FleetId, at: LatLon) -> Vec<&PreparedGeofence> {
        self.at(fleet, at, 0.0).into_iter().filter(|held| !held.near).map(|held| held.fence).collect()
    }

    /// The geofences that hold the place, whichever fleet they are for, sorted by id.
    pub fn holding_for_any(&self, at: LatLon) -> Vec<&PreparedGeofence> {
        let place = AABB::from_point([f64::from(at.lon_e7()), f64::from(at.lat_e7())]);
        let trees = self.of_organisation.values().chain(self.of_fleet.values());
        let leaves = trees.flat_map(|tree| tree.locate_in_envelope_intersecting(place));
        let mut found: Vec<&PreparedGeofence> =
            leaves.filter(|leaf| leaf.fence.part_covers(leaf.part, at)).map(|leaf| leaf.fence.as_ref()).collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        found
    }

    fn at(&self, fleet: &FleetId, at: LatLon, accuracy_m: f64) -> Vec<Held<'_>> {
        let Some(owner) = self.owners.get(fleet) else { return Vec::new() };
        let (x, y) = (at.lon_e7(), at.lat_e7());
        let [west, south, east, north] = widened([x, y, x, y], accuracy_m).map(f64::from);
        let place = AABB::from_corners([west, south], [east, north]);
        let trees = [self.of_organisation.get(owner), self.of_fleet.get(fleet)];
        let mut found: Vec<Held<'_>> = Vec::new();
        for leaf in trees.into_iter().flatten().flat_map(|tree| tree.locate_in_envelope_intersecting(place)) {
            if leaf.fence.organisation != *owner {
                continue;
            }
            let fence = &leaf.fence;
            let vague_m = if fence.size_m() < accuracy_m { accuracy_m } else { 0.0 };
            let covered = fence.part_covers(leaf.part, at);
            if covered || fence.part_is_near(leaf.part, at, fence.exit_margin_m().max(vague_m)) {
                found.push(Held { fence, near: !covered || vague_m > 0.0 });
            }
        }
        // A place on an edge shared by two parts is found twice; in one part and near another is in.
        found.sort_unstable_by(|a, b| a.fence.id.cmp(&b.fence.id).then(a.near.cmp(&b.near)));
        found.dedup_by(|a, b| a.fence.id == b.fence.id);
        found
    }

    /// Whether an event of this geofence at this time is told: where a device is, is known always, but a schedule may gate events.
    pub(crate) fn tells(&self, event: &Event) -> bool {
        let schedule = event.geofence.as_ref().and_then(|id| self.fences.get(id)?.schedule());
        schedule.is_none_or(|schedule| schedule.is_open(event.fix_time))
    }
}
