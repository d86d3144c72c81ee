//! What the dataflow remembers of one device, and how each position changes it: the one fold.

use crate::geofence::index::Held;
use crate::geofence::{GeofenceIndex, PreparedGeofence};
use crate::standing::{Entry, Gone, Mark, Member, Step, Teller};
use crate::{DeviceId, Event, Fix, FleetId, Horizon, LivePosition, Position, Recent, Standing, Timestamp, TripRules};

/// The memory of the fold for one device. Kept in the compacted topic `states`, keyed by device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// Whose memory.
    pub device: DeviceId,
    /// Newest valid position: what the map shows.
    pub latest: Option<LivePosition>,
    /// Where it stands after that.
    pub standing: Standing,
    /// The last fixes, for late ones.
    pub recent: Recent,
}

/// What is told and how.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Rules {
    /// Trips are told if there are rules for them.
    pub trips: Option<TripRules>,
    /// How late a fix may be and still correct the past.
    pub horizon: Horizon,
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
    /// It has the time of the newest: the first one stands.
    Duplicate,
    /// Older than the newest: to be given to [`DeviceState::correct`].
    Late(Box<Position>),
}

impl DeviceState {
    /// The state of a device that has not reported yet.
    pub fn new(device: DeviceId, fleet: FleetId) -> Self {
        Self { device, latest: None, standing: Standing::new(fleet), recent: Recent::default() }
    }

    /// Whether a fix of this time would be newer than all.
    pub fn is_behind(&self, fix_time: Timestamp) -> bool {
        self.latest.as_ref().is_none_or(|l| l.position.fix_time < fix_time)
    }

    /// Takes in a position; `seq` is its offset in the log.
    pub fn advance(&mut self, position: Position, seq: u64, index: &GeofenceIndex, rules: &Rules) -> Advance {
        if !position.valid || position.location.is_null_island() {
            return Advance::Invalid;
        }
        let previous = self.latest.as_ref().map(|l| Fix::of(&l.position));
        match previous {
            Some(newest) if position.fix_time == newest.fix_time => return Advance::Duplicate,
            Some(newest) if position.fix_time < newest.fix_time => return Advance::Late(Box::new(position)),
            _ => {}
        }
        let changes_fleet = self.standing.fleet != position.fleet;
        let left = changes_fleet.then(|| self.standing.fleet.clone());
        let held = index.around(&position.fleet, &position);
        let step = Step {
            fix: Fix::of(&position),
            fleet: changes_fleet.then(|| position.fleet.clone()),
            members: (!is_same(&self.standing.members, &held)).then(|| members_of(&held)),
        };
        self.recent.push_step(&step, &self.standing, previous.as_ref(), &rules.horizon);
        let teller = Teller { device: &position.device, received_at: position.received_at };
        let mut events = Vec::new();
        self.standing.step(&step, previous.as_ref(), rules.trips.as_ref(), teller, &mut events);
        events.retain(|event| index.tells(event));
        self.latest = Some(LivePosition { seq, position });
        Advance::Moved { events, left: left.filter(|_| previous.is_some()) }
    }

    /// Decides anew where the device is after geofences were drawn, changed or removed, or the device was given to another fleet: at
    /// its newest position, at once.
    pub fn reconsider(&mut self, index: &GeofenceIndex, rules: &Rules) -> Vec<Event> {
        let Some(LivePosition { position, .. }) = &self.latest else { return Vec::new() };
        let moved = index.fleet_of(&self.device).filter(|fleet| **fleet != self.standing.fleet).cloned();
        let held = index.around(moved.as_ref().unwrap_or(&self.standing.fleet), position);
        if moved.is_none() && is_same(&self.standing.members, &held) {
            return Vec::new();
        }
        let gone = self.standing.inside.iter().filter(|was| !held.iter().any(|h| h.fence.id == was.geofence));
        let gone = gone.map(|was| {
            let current = index.get(&was.geofence);
            let version = current.map_or(was.version, |f: &PreparedGeofence| f.version);
            Gone { geofence: was.geofence.clone(), version, removed: current.is_none() }
        });
        let mark = Mark { fleet: moved, members: members_of(&held), gone: gone.collect() };
        let fix = Fix::of(position);
        self.recent.push_mark(mark.clone(), &self.standing, Some(&fix), &rules.horizon);
        let teller = Teller { device: &self.device, received_at: position.received_at };
        let mut events = Vec::new();
        self.standing.take(&Entry::Mark(mark), Some(&fix), rules.trips.as_ref(), teller, &mut events);
        events.retain(|event| index.tells(event));
        events
    }
}

fn is_same(members: &[Member], held: &[Held<'_>]) -> bool {
    members.len() == held.len() && members.iter().zip(held).all(|(m, h)| h.is(m))
}

pub(crate) fn members_of(held: &[Held<'_>]) -> Vec<Member> {
    held.iter().map(Held::member).collect()
}
