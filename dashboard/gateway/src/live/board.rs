//! The newest position of every vehicle, and the slot table: dense numbers that stand for vehicles in frames.

use super::early::Early;
use super::motion::Motion;
use super::occupancy::Occupancy;
use super::recent::RecentEvents;
use super::record::frame_record;
use crate::wire::SlotRow;
use crate::wire::frame::FrameRecord;
use std::collections::{HashMap, HashSet};
use std::time::Duration;
use waystream_domain::{
    Catalog, DeviceId, DeviceState, Event, EventId, EventKind, FleetId, GeofenceId, LivePosition, Position, Timestamp,
};

/// Exits of a vehicle that are remembered, so that a correction of the time before is known as such.
const EXITS_REMEMBERED: usize = 16;

/// Ages of the last report from which on a vehicle counts as late and as offline.
#[derive(Debug, Clone)]
pub struct LinkLimits {
    /// Late from this age on.
    pub late: Duration,
    /// Offline from this age on.
    pub offline: Duration,
}

impl Default for LinkLimits {
    fn default() -> Self {
        Self { late: Duration::from_secs(120), offline: Duration::from_secs(600) }
    }
}

/// Whether a vehicle still reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It does.
    Online,
    /// Not for a while.
    Late,
    /// Not for long.
    Offline,
}

/// A vehicle that has been seen. It keeps its slot as long as the gateway runs.
#[derive(Debug, Clone)]
pub(crate) struct Vehicle {
    /// Which device.
    pub(crate) device: DeviceId,
    /// Name in the catalog, or the device's id.
    pub(crate) name: String,
    /// Fleet in the catalog, or the one that its newest position was filed under.
    pub(crate) fleet: FleetId,
    /// Newest valid position.
    pub(crate) live: LivePosition,
    /// Taken out of the catalog; hidden until it reports again.
    pub(crate) removed: bool,
    /// Geofences that hold the newest valid position, with the fix time of the enter.
    pub(crate) inside: Vec<(GeofenceId, Timestamp)>,
    /// Geofences that it has left lately, with the fix time of the exit.
    left: Vec<(GeofenceId, Timestamp)>,
    /// As it was told, or as the last two positions tell.
    pub(crate) motion: Motion,
    link: Link,
}

/// What a new position did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    /// It was known, or older than what is known.
    None,
    /// The vehicle is where it says now.
    Moved,
    /// The vehicle is new, or comes back, or belongs to another fleet now.
    Placed,
}

/// All vehicles of all organisations.
#[derive(Debug)]
pub(crate) struct Board {
    epoch: u32,
    limits: LinkLimits,
    by_device: HashMap<DeviceId, u32>,
    vehicles: Vec<Vehicle>,
    /// Vehicles of each fleet.
    counts: HashMap<FleetId, usize>,
    /// Of [`Vehicle::inside`], of all that are not removed.
    occupancy: Occupancy,
    /// Grows with every new vehicle and name.
    names: u64,
    /// What happened last.
    recent: RecentEvents,
    early: Early,
}

impl Board {
    /// Nothing seen yet. `epoch` tells this board's slots from those of other runs.
    pub(crate) fn new(epoch: u32, limits: LinkLimits) -> Self {
        let (by_device, vehicles, counts, occupancy, recent, early) = Default::default();
        Self { epoch, limits, by_device, vehicles, counts, occupancy, names: 0, recent, early }
    }

    /// See [`Self::new`].
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The vehicle of a slot.
    pub(crate) fn vehicle(&self, slot: u32) -> &Vehicle {
        &self.vehicles[slot as usize]
    }

    /// The slot and vehicle of a device.
    pub(crate) fn find(&self, device: &DeviceId) -> Option<(u32, &Vehicle)> {
        let slot = *self.by_device.get(device)?;
        Some((slot, self.vehicle(slot)))
    }

    /// How many vehicles a fleet has.
    pub(crate) fn vehicles_in(&self, fleet: &FleetId) -> usize {
        self.counts.get(fleet).copied().unwrap_or(0)
    }

    /// Which state of the vehicles' names this is.
    pub(crate) fn names(&self) -> u64 {
        self.names
    }

    /// Highest slot and one.
    pub(crate) fn len(&self) -> usize {
        self.vehicles.len()
    }

    /// See [`Occupancy`].
    pub(crate) fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// See [`Occupancy::take_changed`].
    pub(crate) fn take_occupied(&mut self) -> HashSet<GeofenceId> {
        self.occupancy.take_changed()
    }

    /// A vehicle belongs to another fleet, or to one at all.
    fn recount(&mut self, slot: u32, before: Option<&FleetId>, after: Option<&FleetId>) {
        if before == after {
            return;
        }
        // One that is new is inside of nothing yet.
        let inside = self.vehicles.get(slot as usize).map(|v| v.inside.as_slice()).unwrap_or_default();
        if let Some(fleet) = before {
            if let Some(count) = self.counts.get_mut(fleet) {
                *count -= 1;
            }
            inside.iter().for_each(|(geofence, _)| self.occupancy.leave(geofence, fleet));
        }
        if let Some(fleet) = after {
            *self.counts.entry(fleet.clone()).or_default() += 1;
            inside.iter().for_each(|(geofence, _)| self.occupancy.enter(geofence, fleet));
        }
    }

    /// Every slot with its vehicle.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Vehicle)> {
        (0..).zip(&self.vehicles)
    }

    /// The vehicles of so many slots from one on, as far as there are.
    pub(crate) fn some(&self, first: usize, count: usize) -> &[Vehicle] {
        let rest = self.vehicles.get(first..).unwrap_or_default();
        &rest[..count.min(rest.len())]
    }

    /// Takes a newest position in. A repeat, or one that is older than what is known, changes nothing.
    pub(crate) fn apply(&mut self, live: LivePosition, catalog: &Catalog, now: Timestamp) -> (u32, Update) {
        let link = self.link_of(&live.position, now);
        let device = &live.position.device;
        let entry = catalog.devices.get(device);
        let fleet = entry.map_or(&live.position.fleet, |d| &d.fleet);
        let Some(&slot) = self.by_device.get(device) else {
            let slot = u32::try_from(self.vehicles.len()).expect("fewer than 2^32 devices fit into memory");
            self.by_device.insert(device.clone(), slot);
            self.recount(slot, None, Some(fleet));
            self.names += 1;
            let motion = Motion::at(&live.position, None);
            self.vehicles.push(Vehicle {
                device: device.clone(),
                name: entry.map_or_else(|| device.to_string(), |d| d.name.clone()),
                fleet: fleet.clone(),
                live,
                removed: false,
                inside: Vec::new(),
                left: Vec::new(),
                motion,
                link,
            });
            self.catch_up_with_events(slot, catalog);
            return (slot, Update::Placed);
        };
        let vehicle = &mut self.vehicles[slot as usize];
        if live.seq <= vehicle.live.seq {
            return (slot, Update::None);
        }
        let placed = vehicle.removed || vehicle.fleet != *fleet;
        let before = placed.then(|| std::mem::replace(&mut vehicle.fleet, fleet.clone())).filter(|_| !vehicle.removed);
        let was_removed = std::mem::replace(&mut vehicle.removed, false);
        let last = (!was_removed).then_some(&vehicle.live.position);
        vehicle.motion = Motion::at(&live.position, last);
        let after = placed.then(|| vehicle.fleet.clone());
        vehicle.live = live;
        vehicle.link = link;
        self.recount(slot, before.as_ref(), after.as_ref());
        (slot, if placed { Update::Placed } else { Update::Moved })
    }

    /// What has happened to a vehicle before its first position was seen, as far as it was this organisation's.
    fn catch_up_with_events(&mut self, slot: u32, catalog: &Catalog) {
        let vehicle = &self.vehicles[slot as usize];
        let (events, fleet) = (self.early.take(&vehicle.device), vehicle.fleet.clone());
        for event in events.iter().filter(|event| !changes_hands(catalog, &event.fleet, &fleet)) {
            self.cross(slot, event);
        }
    }

    /// Takes in what the dataflow remembered of a device, at start.
    pub(crate) fn restore(&mut self, state: DeviceState, catalog: &Catalog, now: Timestamp) {
        let Some(latest) = state.latest else { return };
        let live = latest.into_live();
        if is_over(&live, catalog) {
            return;
        }
        let (slot, _) = self.apply(live, catalog, now);
        let inside = state.standing.inside.into_iter().filter(|i| i.is_told());
        let inside = inside.map(|i| (i.geofence, i.since)).collect();
        let vehicle = &mut self.vehicles[slot as usize];
        let before = std::mem::replace(&mut vehicle.inside, inside);
        if !vehicle.removed {
            before.iter().for_each(|(geofence, _)| self.occupancy.leave(geofence, &vehicle.fleet));
            vehicle.inside.iter().for_each(|(geofence, _)| self.occupancy.enter(geofence, &vehicle.fleet));
        }
    }

    /// See [`RecentEvents`].
    pub(crate) fn recent(&self) -> &RecentEvents {
        &self.recent
    }

    /// Somebody is told of this event.
    pub(crate) fn remember(&mut self, event: &EventId, fleet: &FleetId) {
        self.recent.note(event, fleet);
    }

    /// Keeps [`Vehicle::inside`] by what happened since. Corrections of the past change it only as far as they are the last word.
    pub(crate) fn note_event(&mut self, event: &Event) {
        self.remember(&event.id, &event.fleet);
        match self.by_device.get(&event.device) {
            Some(&slot) => self.cross(slot, event),
            None => self.early.note(event),
        }
    }

    fn cross(&mut self, slot: u32, event: &Event) {
        let Some(geofence) = &event.geofence else { return };
        let Vehicle { inside, left, fleet, removed, .. } = &mut self.vehicles[slot as usize];
        let at = event.fix_time;
        let find = |list: &[(GeofenceId, Timestamp)]| list.iter().position(|(id, _)| id == geofence);
        let was_inside = find(inside).is_some();
        match (event.kind, event.retracted) {
            (EventKind::Enter, false) => match (find(inside), find(left)) {
                (Some(_), _) => {}
                (None, Some(i)) if left[i].1 > at => {}
                (None, i) => {
                    i.map(|i| left.swap_remove(i));
                    inside.push((geofence.clone(), at));
                }
            },
            (EventKind::Exit, false) => {
                match find(inside) {
                    Some(i) if inside[i].1 > at => return,
                    Some(i) => drop(inside.swap_remove(i)),
                    None => {}
                }
                match find(left) {
                    Some(i) => left[i].1 = left[i].1.max(at),
                    None => left.push((geofence.clone(), at)),
                }
                if left.len() > EXITS_REMEMBERED
                    && let Some(oldest) = (0..left.len()).min_by_key(|&i| left[i].1)
                {
                    left.swap_remove(oldest);
                }
            }
            (EventKind::Enter, true) => inside.retain(|(id, since)| id != geofence || *since != at),
            (EventKind::Exit, true) => {
                if let Some(i) = find(left).filter(|&i| left[i].1 == at) {
                    left.swap_remove(i);
                    // The exit that happened instead follows at once.
                    inside.push((geofence.clone(), Timestamp::default()));
                }
            }
            _ => {}
        }
        match (was_inside, find(inside).is_some()) {
            _ if *removed => {}
            (false, true) => self.occupancy.enter(geofence, fleet),
            (true, false) => self.occupancy.leave(geofence, fleet),
            _ => {}
        }
    }

    /// Takes a device's catalog entry in (`None`: removed). Answers its slot, if it has been seen and something changed.
    pub(crate) fn edit(&mut self, device: &DeviceId, entry: Option<&waystream_domain::catalog::Device>) -> Option<u32> {
        let slot = *self.by_device.get(device)?;
        let vehicle = &mut self.vehicles[slot as usize];
        let before = (!vehicle.removed).then(|| vehicle.fleet.clone());
        let changed = match entry {
            Some(entry) => {
                let changed = vehicle.name != entry.name || vehicle.fleet != entry.fleet;
                vehicle.name.clone_from(&entry.name);
                vehicle.fleet = entry.fleet.clone();
                // What was removed stays hidden: where it was may be another's to know.
                changed && !vehicle.removed
            }
            None => {
                vehicle.name = device.to_string();
                !std::mem::replace(&mut vehicle.removed, true)
            }
        };
        let after = (!vehicle.removed).then(|| vehicle.fleet.clone());
        self.recount(slot, before.as_ref(), after.as_ref());
        self.names += u64::from(changed);
        changed.then_some(slot)
    }

    /// The device is another organisation's now: hides it until it reports there, and forgets in which geofences of the former owner
    /// it is. Answers as [`Self::edit`] does.
    pub(crate) fn hand_over(&mut self, device: &DeviceId) -> Option<u32> {
        let slot = *self.by_device.get(device)?;
        let vehicle = &mut self.vehicles[slot as usize];
        let inside = std::mem::take(&mut vehicle.inside);
        vehicle.left.clear();
        if !vehicle.removed {
            inside.iter().for_each(|(geofence, _)| self.occupancy.leave(geofence, &vehicle.fleet));
        }
        self.edit(device, None)
    }

    /// Finds the vehicles whose link has changed by the mere passing of time.
    pub(crate) fn sweep(&mut self, now: Timestamp) -> Vec<u32> {
        let mut changed = Vec::new();
        for slot in 0..self.vehicles.len() {
            let link = self.link_of(&self.vehicles[slot].live.position, now);
            if std::mem::replace(&mut self.vehicles[slot].link, link) != link {
                changed.push(slot as u32);
            }
        }
        changed
    }

    fn link_of(&self, position: &Position, now: Timestamp) -> Link {
        let age_ms = u64::try_from(now.millis_since(position.received_at)).unwrap_or(0);
        match Duration::from_millis(age_ms) {
            age if age >= self.limits.offline => Link::Offline,
            age if age >= self.limits.late => Link::Late,
            _ => Link::Online,
        }
    }

    /// A vehicle as it goes into a frame.
    pub(crate) fn record(&self, slot: u32) -> FrameRecord {
        let vehicle = self.vehicle(slot);
        frame_record(slot, &vehicle.live.position, vehicle.motion, vehicle.link)
    }

    /// A vehicle as it goes into the slot table of a browser.
    pub(crate) fn row(&self, slot: u32) -> SlotRow {
        let v = self.vehicle(slot);
        (slot, v.device.to_string(), v.name.clone(), v.fleet.to_string())
    }
}

/// Whether the position was told while the device was another organisation's, or has been erased since.
pub(crate) fn is_over(live: &LivePosition, catalog: &Catalog) -> bool {
    let position = &live.position;
    let entry = catalog.devices.get(&position.device);
    let erasure = catalog.erasures.get(&position.device);
    entry.is_some_and(|device| changes_hands(catalog, &position.fleet, &device.fleet))
        || erasure.is_some_and(|erasure| erasure.covers(&position.fleet, position.received_at))
}

/// Whether two fleets are known to be of different organisations: what was known of a device in the one is nothing to the other.
pub(crate) fn changes_hands(catalog: &Catalog, from: &FleetId, to: &FleetId) -> bool {
    let owner = |fleet| catalog.fleets.get(fleet).map(|f| &f.organisation);
    matches!((owner(from), owner(to)), (Some(from), Some(to)) if from != to)
}

#[cfg(test)]
pub(crate) mod tests;
