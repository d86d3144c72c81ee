//! What the dataflow remembers of one device, and how each position changes it: the one fold.

use crate::geofence::{GeofenceIndex, PreparedGeofence};
use crate::{
    Attributes, DeviceId, Event, EventId, EventKind, FleetId, GeofenceId, LivePosition, Motion, Position, Timestamp, TripEvent,
    TripRules,
};

/// The memory of the fold for one device. Kept in the compacted topic `states`, keyed by device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// Whose memory.
    pub device: DeviceId,
    /// Fleet of the newest valid position.
    pub fleet: FleetId,
    /// Newest valid position: what the map shows.
    pub latest: Option<LivePosition>,
    /// Geofences that hold the newest valid position, sorted by id.
    pub inside: Vec<Inside>,
    /// What it is doing, if trips are told.
    pub motion: Option<Motion>,
}

/// A geofence that the device is inside of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inside {
    /// Which.
    pub geofence: GeofenceId,
    /// The version that decided it: another version is decided anew.
    pub version: u64,
    /// Fix time of the enter.
    pub since: Timestamp,
}

/// What a position did to the live state.
#[derive(Debug, Clone, PartialEq)]
pub enum Advance {
    /// It is the newest valid one now.
    Moved {
        /// What it showed: exits first, then enters, each sorted by geofence.
        events: Vec<Event>,
        /// The fleet that the device belonged to before, if another.
        left: Option<FleetId>,
    },
    /// Not a usable fix: nothing changes.
    Invalid,
    /// A position of this time is known: the first one stands.
    Duplicate,
    /// Older than the newest: history only.
    Late,
}

/// Why a device is suddenly inside or outside.
#[derive(Clone, Copy, PartialEq)]
enum Cause {
    FirstFix,
    Move,
    Edit,
}

impl DeviceState {
    /// The state of a device that has not reported yet.
    pub fn new(device: DeviceId, fleet: FleetId) -> Self {
        Self { device, fleet, latest: None, inside: Vec::new(), motion: None }
    }

    /// Takes in a position; `seq` is its offset in the log. Trips are told if there are rules for them.
    pub fn advance(&mut self, position: Position, seq: u64, index: &GeofenceIndex, trips: Option<&TripRules>) -> Advance {
        if !position.valid || position.location.is_null_island() {
            return Advance::Invalid;
        }
        let newest = self.latest.as_ref().map(|l| l.position.fix_time);
        match newest {
            Some(newest) if position.fix_time == newest => return Advance::Duplicate,
            Some(newest) if position.fix_time < newest => return Advance::Late,
            _ => {}
        }
        let left = (self.fleet != position.fleet).then(|| std::mem::replace(&mut self.fleet, position.fleet.clone()));
        let now = index.holding(&self.fleet, position.location);
        let trip = self.travel(&position, trips);
        self.latest = Some(LivePosition { seq, position });
        let cause = if newest.is_none() { Cause::FirstFix } else { Cause::Move };
        // Who watched the device inside must hear that it went out.
        let mut events = self.settle(&now, index, cause, left.as_ref());
        events.extend(trip);
        Advance::Moved { events, left: left.filter(|_| newest.is_some()) }
    }

    /// A trip that `position`, which follows the latest, shows to have begun or ended.
    fn travel(&mut self, position: &Position, rules: Option<&TripRules>) -> Option<Event> {
        let Some(rules) = rules else {
            self.motion = None;
            return None;
        };
        let previous = self.latest.as_ref().map(|latest| &latest.position);
        let (Some(motion), Some(previous)) = (&mut self.motion, previous) else {
            self.motion = Some(Motion::first(position));
            return None;
        };
        let TripEvent { kind, attributes } = motion.advance(previous, position, rules)?;
        let id = EventId::of(&position.device, None, kind, position.fix_time);
        Some(Event { attributes, ..event(position, id, kind, None) })
    }

    /// Decides anew where the device is after geofences were drawn, changed or removed: at its newest position, at once.
    pub fn reconsider(&mut self, index: &GeofenceIndex) -> Vec<Event> {
        let Some(latest) = &self.latest else { return Vec::new() };
        let now = index.holding(&self.fleet, latest.position.location);
        self.settle(&now, index, Cause::Edit, None)
    }

    /// Brings `inside` to `now` and tells the difference.
    fn settle(&mut self, now: &[&PreparedGeofence], index: &GeofenceIndex, cause: Cause, left: Option<&FleetId>) -> Vec<Event> {
        let same = |i: &Inside, f: &PreparedGeofence| i.geofence == f.id && i.version == f.version;
        if self.inside.len() == now.len() && self.inside.iter().zip(now).all(|(i, f)| same(i, f)) {
            return Vec::new();
        }
        let Some(LivePosition { position, .. }) = &self.latest else { return Vec::new() };
        let before = std::mem::take(&mut self.inside);
        let mut events = Vec::new();
        for was in &before {
            if now.binary_search_by(|f| f.id.cmp(&was.geofence)).is_err() {
                let current = index.get(&was.geofence);
                let version = current.map_or(was.version, |f| f.version);
                let mut event = happening(position, &was.geofence, version, EventKind::Exit, cause, current.is_none());
                if let Some(left) = left {
                    event.fleet = left.clone();
                }
                events.push(event);
            }
        }
        for fence in now {
            let since = match before.binary_search_by(|i| i.geofence.cmp(&fence.id)) {
                Ok(at) => before[at].since,
                Err(_) => {
                    events.push(happening(position, &fence.id, fence.version, EventKind::Enter, cause, false));
                    position.fix_time
                }
            };
            self.inside.push(Inside { geofence: fence.id.clone(), version: fence.version, since });
        }
        events
    }
}

fn happening(position: &Position, geofence: &GeofenceId, version: u64, kind: EventKind, cause: Cause, removed: bool) -> Event {
    let (device, fix_time) = (&position.device, position.fix_time);
    let (id, attributes) = match cause {
        Cause::FirstFix => (EventId::of(device, Some(geofence), kind, fix_time), [("initial", true)].into_iter().collect()),
        Cause::Move => (EventId::of(device, Some(geofence), kind, fix_time), Attributes::default()),
        Cause::Edit => {
            let reason = if removed { "fence_removed" } else { "fence_changed" };
            (EventId::of_edit(device, geofence, kind, fix_time, version), [("reason", reason)].into_iter().collect())
        }
    };
    Event { attributes, ..event(position, id, kind, Some((geofence, version))) }
}

fn event(position: &Position, id: EventId, kind: EventKind, geofence: Option<(&GeofenceId, u64)>) -> Event {
    Event {
        id,
        kind,
        device: position.device.clone(),
        fleet: position.fleet.clone(),
        geofence: geofence.map(|(id, _)| id.clone()),
        geofence_version: geofence.map(|(_, version)| version),
        fix_time: position.fix_time,
        received_at: position.received_at,
        location: position.location,
        revises: None,
        retracted: false,
        attributes: Attributes::default(),
    }
}
