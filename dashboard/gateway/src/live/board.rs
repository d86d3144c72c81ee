//! The newest position of every vehicle, and the slot table: dense numbers that stand for vehicles in frames.

use super::motion::Motion;
use super::recent::RecentEvents;
use crate::wire::SlotRow;
use crate::wire::frame::{FrameRecord, SPEED_UNKNOWN, status};
use std::collections::HashMap;
use std::time::Duration;
use waystream_domain::{
    AttributeValue, Catalog, DeviceId, DeviceState, Event, EventId, EventKind, FleetId, GeofenceId, LivePosition, Position,
    Timestamp, units,
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
    /// Grows with every new vehicle and name.
    names: u64,
    /// What happened last.
    recent: RecentEvents,
}

impl Board {
    /// Nothing seen yet. `epoch` tells this board's slots from those of other runs.
    pub(crate) fn new(epoch: u32, limits: LinkLimits) -> Self {
        let (by_device, vehicles, counts, recent) = Default::default();
        Self { epoch, limits, by_device, vehicles, counts, names: 0, recent }
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

    /// A vehicle belongs to another fleet, or to one at all.
    fn recount(&mut self, before: Option<&FleetId>, after: Option<&FleetId>) {
        if let Some(count) = before.and_then(|fleet| self.counts.get_mut(fleet)) {
            *count -= 1;
        }
        if let Some(fleet) = after {
            *self.counts.entry(fleet.clone()).or_default() += 1;
        }
    }

    /// Every slot with its vehicle.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, &Vehicle)> {
        (0..).zip(&self.vehicles)
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
            self.recount(None, Some(fleet));
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
        self.recount(before.as_ref(), after.as_ref());
        (slot, if placed { Update::Placed } else { Update::Moved })
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
        self.vehicles[slot as usize].inside = inside.map(|i| (i.geofence, i.since)).collect();
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
        let (Some(&slot), Some(geofence)) = (self.by_device.get(&event.device), &event.geofence) else { return };
        let Vehicle { inside, left, .. } = &mut self.vehicles[slot as usize];
        let at = event.fix_time;
        let find = |list: &[(GeofenceId, Timestamp)]| list.iter().position(|(id, _)| id == geofence);
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
        self.recount(before.as_ref(), after.as_ref());
        self.names += u64::from(changed);
        changed.then_some(slot)
    }

    /// The device is another organisation's now: hides it until it reports there, and forgets in which geofences of the former owner
    /// it is. Answers as [`Self::edit`] does.
    pub(crate) fn hand_over(&mut self, device: &DeviceId) -> Option<u32> {
        let slot = *self.by_device.get(device)?;
        let vehicle = &mut self.vehicles[slot as usize];
        vehicle.inside.clear();
        vehicle.left.clear();
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

/// A position as it goes into a frame.
pub(crate) fn frame_record(slot: u32, p: &Position, motion: Motion, link: Link) -> FrameRecord {
    let e6 = |e7: i32| (f64::from(e7) / 10.0).round() as i32;
    let is_on = |name: &str| matches!(p.attributes.get(name), Some(AttributeValue::Bool(true)));
    let link_bits = match link {
        Link::Online => 0,
        Link::Late => status::LATE,
        Link::Offline => status::OFFLINE,
    };
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    FrameRecord {
        slot,
        lat_e6: e6(p.location.lat_e7()),
        lon_e6: e6(p.location.lon_e7()),
        // A cast of a float saturates; the highest value that is a speed is one below "unknown".
        speed: motion
            .speed_mps
            .map_or(SPEED_UNKNOWN, |v| ((units::kmh_from_mps(v) * 10.0).round() as u16).min(SPEED_UNKNOWN - 1)),
        course: motion.course_deg.map_or(0, |c| ((c.rem_euclid(360.0) * 256.0 / 360.0).round() as u16 % 256) as u8),
        fix_time_ms: p.fix_time.as_millis(),
        status: link_bits
            | bit(is_on("ignition"), status::IGNITION)
            | bit(motion.moving, status::MOVING)
            | bit(p.valid, status::VALID)
            | bit(is_on("charging"), status::CHARGING)
            | bit(p.attributes.get("alarm").is_some(), status::ALARM),
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
pub(crate) mod tests {
    use super::*;
    use waystream_domain::catalog::Device;
    use waystream_domain::{CatalogEdit, CatalogEntry, LatLon};

    pub(crate) fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    pub(crate) fn live(device: &str, fleet: &str, seq: u64, lat: f64, lon: f64) -> LivePosition {
        let time = at(1_000 * seq as i64);
        LivePosition {
            seq,
            position: Position {
                device: device.parse().expect("an id"),
                fleet: fleet.parse().expect("an id"),
                fix_time: time,
                received_at: time,
                location: LatLon::new(lat, lon).expect("a place"),
                valid: true,
                altitude_m: None,
                speed_mps: Some(10.0),
                course_deg: Some(359.9),
                accuracy_m: None,
                protocol: "test".into(),
                attributes: [("ignition", true)].into_iter().collect(),
            },
        }
    }

    #[test]
    fn a_repeat_changes_nothing_and_time_makes_it_late() {
        let mut board = Board::new(1, LinkLimits::default());
        let catalog = Catalog::default();
        assert_eq!(board.apply(live("a", "f", 5, 1.0, 2.0), &catalog, at(5_000)), (0, Update::Placed));
        assert_eq!(board.apply(live("a", "f", 5, 9.0, 9.0), &catalog, at(5_000)), (0, Update::None));
        assert_eq!(board.apply(live("a", "f", 6, 1.1, 2.0), &catalog, at(6_000)), (0, Update::Moved));
        assert_eq!(board.apply(live("b", "f", 1, 1.1, 2.0), &catalog, at(6_000)), (1, Update::Placed));
        assert_eq!(board.record(0).status, status::IGNITION | status::MOVING | status::VALID);
        assert_eq!((board.record(0).speed, board.record(0).course), (360, 0));
        assert_eq!(board.sweep(at(125_999)), [1]);
        assert_eq!(board.sweep(at(126_000)), [0]);
        assert_eq!(board.sweep(at(126_001)), [0u32; 0]);
        assert_eq!(board.record(0).status & 0x30, status::LATE);
        assert_eq!(board.sweep(at(606_000)), [0, 1]);
        assert_eq!(board.record(0).status & 0x30, status::OFFLINE);
    }

    #[test]
    fn corrections_of_the_past_leave_the_vehicle_where_it_is() {
        use waystream_domain::EventId;
        let told = |enter: bool, seconds: i64, retracted: bool| {
            let kind = if enter { EventKind::Enter } else { EventKind::Exit };
            let (fence, p): (GeofenceId, Position) = ("depot".parse().expect("id"), live("a", "f", 1, 1.0, 2.0).position);
            Event {
                id: EventId::of(&p.device, Some(&fence), kind, at(seconds)),
                kind,
                device: p.device,
                fleet: p.fleet,
                geofence: Some(fence),
                geofence_version: Some(1),
                fix_time: at(seconds),
                received_at: p.received_at,
                location: p.location,
                revises: None,
                retracted,
                attributes: Default::default(),
            }
        };
        let (enter, exit) = (|t| told(true, t, false), |t| told(false, t, false));
        let (not_enter, not_exit) = (|t| told(true, t, true), |t| told(false, t, true));
        for (name, events, inside) in [
            ("plain", vec![enter(10), exit(20), enter(30)], Some(30)),
            ("visit in between", vec![enter(10), exit(20), enter(12), exit(14)], None),
            ("left earlier", vec![enter(10), exit(20), not_exit(20), exit(15)], None),
            ("left earlier, and is back", vec![enter(10), exit(20), enter(30), not_exit(20), exit(15)], Some(30)),
            ("came earlier, and has left", vec![enter(10), exit(20), not_enter(10), enter(5)], None),
            ("came earlier", vec![enter(10), not_enter(10), enter(5)], Some(5)),
            ("an earlier visit", vec![enter(30), enter(10), exit(20)], Some(30)),
            ("area drawn, moved and drawn again", vec![enter(7), exit(7), enter(7)], Some(7)),
        ] {
            let mut board = Board::new(1, LinkLimits::default());
            board.apply(live("a", "f", 1, 1.0, 2.0), &Catalog::default(), at(0));
            events.iter().for_each(|event| board.note_event(event));
            let since: Vec<i64> = board.vehicle(0).inside.iter().map(|(_, since)| since.as_millis()).collect();
            assert_eq!(since, inside.into_iter().collect::<Vec<_>>(), "{name}");
        }
    }

    #[test]
    fn the_catalog_names_and_moves_a_vehicle() {
        let mut board = Board::new(1, LinkLimits::default());
        let mut catalog = Catalog::default();
        let device = Device { id: "a".parse().expect("id"), fleet: "g".parse().expect("id"), name: "Van".into() };
        board.apply(live("a", "f", 1, 1.0, 2.0), &catalog, at(0));
        assert_eq!(board.edit(&device.id, Some(&device)), Some(0));
        assert_eq!(board.edit(&device.id, Some(&device)), None);
        let counts = |board: &Board| ["f", "g"].map(|fleet| board.vehicles_in(&fleet.parse().expect("id")));
        assert_eq!(counts(&board), [0, 1]);
        assert_eq!(board.row(0), (0, "a".into(), "Van".into(), "g".into()));
        catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device.clone())));
        assert_eq!(board.apply(live("a", "f", 2, 1.0, 2.0), &catalog, at(0)), (0, Update::Moved));
        assert_eq!(board.edit(&device.id, None), Some(0));
        assert!(board.vehicle(0).removed);
        assert_eq!(board.edit(&device.id, None), None);
        assert_eq!(counts(&board), [0, 0]);
        catalog.apply(CatalogEdit::Remove(waystream_domain::CatalogKey::Device(device.id)));
        assert_eq!(board.apply(live("a", "f", 3, 1.0, 2.0), &catalog, at(0)), (0, Update::Placed));
        assert_eq!(board.row(0), (0, "a".into(), "a".into(), "f".into()));
        assert_eq!(counts(&board), [1, 0]);
    }
}
