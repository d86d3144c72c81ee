//! All geofences, arranged so that the ones holding a place are found quickly.

use super::nearness::widened;
pub(crate) use super::prepared::Bounds;
use super::prepared::PreparedGeofence;
use super::segment::Way;
use crate::cell::{bounds_of, cell_at};
use crate::standing::{Crossed, Member};
use crate::{
    CatalogEdit, CatalogEntry, CatalogKey, DeviceId, DeviceState, Erasure, Event, Fix, FleetId, FleetRules, GeofenceId, LatLon,
    OrganisationId, Position, Timestamp,
};
use hashbrown::DefaultHashBuilder;
use rstar::{AABB, RTree, RTreeObject};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Asked for every position: the standard hasher would take a tenth of the time.
type HashMap<K, V> = std::collections::HashMap<K, V, DefaultHashBuilder>;

/// Finds the geofences that hold a place, for a fleet. Changed edit by edit. Cheap to clone (areas are shared).
#[derive(Debug, Clone)]
pub struct GeofenceIndex {
    fences: HashMap<GeofenceId, Arc<PreparedGeofence>>,
    fleets: HashMap<FleetId, OfFleet>,
    /// Places in `of_organisation`.
    organisations: HashMap<OrganisationId, usize>,
    /// Those for all fleets of an organisation.
    of_organisation: Vec<RTree<Leaf>>,
    /// Where the catalog has devices.
    devices: HashMap<DeviceId, FleetId>,
    /// What nobody may remember of devices.
    erasures: HashMap<DeviceId, Arc<Erasure>>,
    /// No geofence that was ever here is vague to a more accurate fix: that needs no second thought.
    smallest_m: f64,
    /// Number of geofences that tell crossings.
    crossable: usize,
    /// Another number after each edit of geofences or fleets, and in no two indexes whose geofences may differ.
    stamp: u64,
}

/// The next [`GeofenceIndex::stamp`]; 0 is of empty ones.
static NEXT_STAMP: AtomicU64 = AtomicU64::new(1);

/// What a device knows of the cell that it was in last: mostly that no geofence reaches there, so that there is nothing to look up.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Seen {
    /// Of the index; 0: nothing is known.
    stamp: u64,
    cell: u32,
    is_quiet: bool,
}

/// It follows from the geofences; to know it changes nothing.
impl PartialEq for Seen {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// What applies to one fleet.
#[derive(Debug, Clone, Default)]
struct OfFleet {
    /// The owner, and its place in [`GeofenceIndex::of_organisation`]: a geofence never applies to another organisation's fleet.
    owner: Option<(OrganisationId, usize)>,
    rules: FleetRules,
    /// Those for this fleet alone.
    own: RTree<Leaf>,
}

impl Default for GeofenceIndex {
    fn default() -> Self {
        Self {
            fences: HashMap::default(),
            fleets: HashMap::default(),
            organisations: HashMap::default(),
            of_organisation: Vec::new(),
            devices: HashMap::default(),
            erasures: HashMap::default(),
            smallest_m: f64::INFINITY,
            crossable: 0,
            stamp: 0,
        }
    }
}

/// Nobody knows where a device was between two fixes that lie farther apart than this, milliseconds.
const MOST_CROSSING_MS: i64 = 3_600_000;

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
    Own(FleetId, OrganisationId, FleetRules),
    /// The fleet is gone.
    Disown(FleetId),
    /// The device belongs to this fleet.
    Place(DeviceId, FleetId),
    /// The device is gone.
    Forget(DeviceId),
    /// What the device has told is to be forgotten.
    Erase(Arc<Erasure>),
}

impl IndexEdit {
    /// `None` for entries that say nothing about geofences.
    pub fn new(edit: &CatalogEdit) -> Option<Self> {
        match edit {
            CatalogEdit::Put(CatalogEntry::Geofence(fence)) => Some(Self::Put(Arc::new(PreparedGeofence::new(fence)))),
            CatalogEdit::Put(CatalogEntry::Fleet(fleet)) => {
                Some(Self::Own(fleet.id.clone(), fleet.organisation.clone(), fleet.rules))
            }
            CatalogEdit::Remove(CatalogKey::Geofence(id)) => Some(Self::Remove(id.clone())),
            CatalogEdit::Remove(CatalogKey::Fleet(id)) => Some(Self::Disown(id.clone())),
            CatalogEdit::Put(CatalogEntry::Device(device)) => Some(Self::Place(device.id.clone(), device.fleet.clone())),
            CatalogEdit::Remove(CatalogKey::Device(id)) => Some(Self::Forget(id.clone())),
            CatalogEdit::Put(CatalogEntry::Erasure(erasure)) => Some(Self::Erase(Arc::new(erasure.clone()))),
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
    /// Areas that are no more.
    left: Vec<Bounds>,
}

impl Touched {
    /// Whether nothing was touched.
    pub fn is_empty(&self) -> bool {
        self.fences.is_empty() && self.fleets.is_empty() && self.devices.is_empty()
    }

    /// Where edited geofences are and were.
    pub(crate) fn places(&self) -> impl Iterator<Item = Bounds> {
        self.areas.iter().chain(&self.left).copied()
    }

    pub(crate) fn devices(&self) -> impl Iterator<Item = &DeviceId> {
        self.devices.iter()
    }

    /// All devices of which may be concerned.
    pub(crate) fn fleets(&self) -> impl Iterator<Item = &FleetId> {
        self.fleets.iter()
    }

    /// Whether the device may now be inside of something else than before.
    pub fn concerns(&self, state: &DeviceState) -> bool {
        let Some(last) = &state.last else { return false };
        let (x, y) = (last.location.lon_e7(), last.location.lat_e7());
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
            loiter_ms: self.fence.loiter_ms(),
            limit_cm_s: self.fence.limit_cm_s(),
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

    /// Whether two fleets are known to be of different organisations.
    pub fn are_of_different_owners(&self, one: &FleetId, other: &FleetId) -> bool {
        let owner = |fleet| self.fleets.get(fleet)?.owner.as_ref().map(|(_, at)| *at);
        // Nearly always it is one fleet, which needs no look.
        one != other && matches!((owner(one), owner(other)), (Some(one), Some(other)) if one != other)
    }

    /// The fleet of a device in the catalog.
    pub fn fleet_of(&self, device: &DeviceId) -> Option<&FleetId> {
        self.devices.get(device)
    }

    /// Whether what the device told then is to be forgotten.
    pub fn is_erased(&self, device: &DeviceId, fleet: &FleetId, received_at: Timestamp) -> bool {
        self.erasures.get(device).is_some_and(|erasure| erasure.covers(fleet, received_at))
    }

    /// What the fleet has otherwise than the others.
    pub(crate) fn rules_of(&self, fleet: &FleetId) -> &FleetRules {
        const NONE: &FleetRules = &FleetRules { leave_m: None, stop_after_s: None, gap_s: None, speed_limit_mps: None };
        self.fleets.get(fleet).map_or(NONE, |of_fleet| &of_fleet.rules)
    }

    /// Applies an edit and notes what it touched.
    pub fn apply(&mut self, edit: IndexEdit, touched: &mut Touched) {
        if !matches!(edit, IndexEdit::Place(..) | IndexEdit::Forget(_) | IndexEdit::Erase(_)) {
            self.stamp = NEXT_STAMP.fetch_add(1, Ordering::Relaxed);
        }
        match edit {
            IndexEdit::Put(fence) => {
                self.remove(&fence.id, touched);
                let tree = match &fence.fleet {
                    Some(fleet) => &mut self.fleets.entry(fleet.clone()).or_default().own,
                    None => {
                        let at = self.place_of(&fence.organisation);
                        &mut self.of_organisation[at]
                    }
                };
                for (part, bounds) in fence.bounds().enumerate() {
                    tree.insert(Leaf { bounds, part, fence: fence.clone() });
                    touched.areas.push(bounds);
                }
                touched.fences.insert(fence.id.clone());
                self.smallest_m = self.smallest_m.min(fence.vague_above_m());
                self.crossable += usize::from(fence.tells_crossings());
                self.fences.insert(fence.id.clone(), fence);
            }
            IndexEdit::Remove(id) => {
                self.remove(&id, touched);
                touched.fences.insert(id);
            }
            IndexEdit::Own(id, organisation, rules) => {
                let at = self.place_of(&organisation);
                let fleet = self.fleets.entry(id.clone()).or_default();
                let before = fleet.owner.replace((organisation, at));
                let ruled = std::mem::replace(&mut fleet.rules, rules);
                if before != fleet.owner || ruled != rules {
                    touched.fleets.insert(id);
                }
            }
            IndexEdit::Disown(id) => {
                if let Some(fleet) = self.fleets.get_mut(&id) {
                    (fleet.owner, fleet.rules) = (None, FleetRules::default());
                    if fleet.own.size() == 0 {
                        self.fleets.remove(&id);
                    }
                }
                touched.fleets.insert(id);
            }
            IndexEdit::Place(device, fleet) => {
                let before = self.devices.insert(device.clone(), fleet.clone());
                if before != Some(fleet) {
                    touched.devices.insert(device);
                }
            }
            IndexEdit::Forget(device) => drop(self.devices.remove(&device)),
            IndexEdit::Erase(erasure) => drop(self.erasures.insert(erasure.device.clone(), erasure)),
        }
    }

    /// The place of an organisation's tree.
    fn place_of(&mut self, organisation: &OrganisationId) -> usize {
        if let Some(at) = self.organisations.get(organisation) {
            return *at;
        }
        self.of_organisation.push(RTree::new());
        let at = self.of_organisation.len() - 1;
        self.organisations.insert(organisation.clone(), at);
        at
    }

    fn remove(&mut self, id: &GeofenceId, touched: &mut Touched) {
        let Some(fence) = self.fences.remove(id) else { return };
        self.crossable -= usize::from(fence.tells_crossings());
        let tree = match &fence.fleet {
            Some(fleet) => self.fleets.get_mut(fleet).map(|of_fleet| &mut of_fleet.own),
            None => self.organisations.get(&fence.organisation).map(|at| &mut self.of_organisation[*at]),
        };
        let Some(tree) = tree else { return };
        for (part, bounds) in fence.bounds().enumerate() {
            tree.remove(&Leaf { bounds, part, fence: fence.clone() });
            touched.left.push(bounds);
        }
    }

    /// What is decided about a position of a device of this fleet, sorted by geofence.
    ///
    /// A fix that is less accurate than a geofence is large says nothing about it, unless it is farther away than that. `seen` is of
    /// the same device and fleet.
    pub(crate) fn around(&self, fleet: &FleetId, position: &Position, seen: &mut Seen) -> Vec<Held<'_>> {
        let accuracy_m = position.accuracy_m.map_or(0.0, f64::from);
        let accuracy_m = if accuracy_m > self.smallest_m { accuracy_m } else { 0.0 };
        if accuracy_m == 0.0 && self.is_quiet(fleet, position.location, seen) {
            return Vec::new();
        }
        let mut held = self.at(fleet, position.location, accuracy_m);
        held.retain_mut(|held| match held.fence.at_altitude(position.altitude_m) {
            Some(in_band) => in_band,
            None => {
                held.near = true;
                true
            }
        });
        held
    }

    /// Whether no geofence of the fleet reaches into the cell of the place.
    fn is_quiet(&self, fleet: &FleetId, at: LatLon, seen: &mut Seen) -> bool {
        let cell = cell_at(at);
        if seen.stamp != self.stamp || seen.cell != cell || self.stamp == 0 {
            let [west, south, east, north] = bounds_of(cell).map(f64::from);
            let is_quiet = self.leaves(fleet, AABB::from_corners([west, south], [east, north])).next().is_none();
            *seen = Seen { stamp: self.stamp, cell, is_quiet };
        }
        seen.is_quiet
    }

    /// The geofences that apply to the fleet and hold the place, whatever the altitude, sorted by id.
    pub fn holding(&self, fleet: &FleetId, at: LatLon) -> Vec<&PreparedGeofence> {
        self.at(fleet, at, 0.0).into_iter().filter(|held| !held.near).map(|held| held.fence).collect()
    }

    /// The geofences that hold the place, whichever fleet they are for, sorted by id.
    pub fn holding_for_any(&self, at: LatLon) -> Vec<&PreparedGeofence> {
        let place = AABB::from_point([f64::from(at.lon_e7()), f64::from(at.lat_e7())]);
        let trees = self.of_organisation.iter().chain(self.fleets.values().map(|of_fleet| &of_fleet.own));
        let leaves = trees.flat_map(|tree| tree.locate_in_envelope_intersecting(place));
        let mut found: Vec<&PreparedGeofence> =
            leaves.filter(|leaf| leaf.fence.part_covers(leaf.part, at)).map(|leaf| leaf.fence.as_ref()).collect();
        found.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        found.dedup_by(|a, b| a.id == b.id);
        found
    }

    /// Parts of geofences of the fleet in a box.
    fn leaves<'a>(&'a self, fleet: &FleetId, place: AABB<[f64; 2]>) -> impl Iterator<Item = &'a Leaf> + 'a {
        let of_fleet = self.fleets.get(fleet).and_then(|f| Some((&f.own, f.owner.as_ref()?)));
        of_fleet.into_iter().flat_map(move |(own, (owner, at))| {
            let for_all = self.of_organisation[*at].locate_in_envelope_intersecting(place);
            let for_it = (own.size() > 0).then(|| own.locate_in_envelope_intersecting(place));
            for_all.chain(for_it.into_iter().flatten().filter(move |leaf| leaf.fence.organisation == *owner))
        })
    }

    fn at(&self, fleet: &FleetId, at: LatLon, accuracy_m: f64) -> Vec<Held<'_>> {
        let (x, y) = (at.lon_e7(), at.lat_e7());
        let [west, south, east, north] = widened([x, y, x, y], accuracy_m).map(f64::from);
        let mut found: Vec<Held<'_>> = Vec::new();
        for leaf in self.leaves(fleet, AABB::from_corners([west, south], [east, north])) {
            let fence = &leaf.fence;
            let vague_m = if fence.vague_above_m() < accuracy_m { accuracy_m } else { 0.0 };
            let covered = fence.part_covers(leaf.part, at);
            if covered || fence.part_is_near(leaf.part, at, fence.exit_margin_m().max(vague_m)) {
                found.push(Held { fence, near: !covered || vague_m > 0.0 });
            }
        }
        // A place on an edge shared by two parts is found twice; in one part and near another is in.
        if found.len() > 1 {
            found.sort_unstable_by(|a, b| a.fence.id.cmp(&b.fence.id).then(a.near.cmp(&b.near)));
            found.dedup_by(|a, b| a.fence.id == b.fence.id);
        }
        found
    }

    /// The geofences that tell crossings and that the straight way between two fixes goes through, sorted by geofence. Not those
    /// among the `members` of either fix.
    pub(crate) fn crossed(&self, fleet: &FleetId, from: &Fix, to: &Fix, members: [&[Member]; 2]) -> Vec<Crossed> {
        let mut found = Vec::new();
        if self.crossable == 0 || from.location == to.location || to.fix_time.millis_since(from.fix_time) > MOST_CROSSING_MS {
            return found;
        }
        for way in Way::new(from.location, to.location).on_the_map() {
            let [west, south, east, north] = way.bounds().map(|n| n as f64);
            for leaf in self.leaves(fleet, AABB::from_corners([west, south], [east, north])) {
                let fence = &leaf.fence;
                let is_member = |members: &[Member]| members.iter().any(|m| m.geofence == fence.id);
                if fence.tells_crossings()
                    && !members.iter().any(|members| is_member(members))
                    && fence.part_is_crossed(leaf.part, &way)
                {
                    found.push(Crossed { geofence: fence.id.clone(), version: fence.version });
                }
            }
        }
        found.sort_unstable_by(|a, b| a.geofence.cmp(&b.geofence));
        found.dedup();
        found
    }

    /// Whether an event of this geofence at this time is told: where a device is, is known always, but a schedule may gate events.
    pub(crate) fn tells(&self, event: &Event) -> bool {
        let schedule = event.geofence.as_ref().and_then(|id| self.fences.get(id)?.schedule());
        schedule.is_none_or(|schedule| schedule.is_open(event.fix_time))
    }
}
