//! What the dataflow remembers of one device, and how each position changes it: the one fold.

use crate::geofence::index::{Held, Seen};
use crate::geofence::{GeofenceIndex, PreparedGeofence};
use crate::standing::{Entry, Gone, Mark, Member, Step, Teller, event};
use crate::{
    Attributes, DeviceId, Event, EventId, EventKind, Fix, FleetId, Latest, Link, LivePosition, Position, Recent, Rules,
    Standing, Timestamp,
};

/// The memory of the fold for one device. Kept in the compacted topic `states`, keyed by device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// Whose memory.
    pub device: DeviceId,
    /// Newest valid position: what the map shows.
    pub latest: Option<Latest>,
    /// Where it stands after that.
    pub standing: Standing,
    /// The facts of `latest`.
    pub(crate) last: Option<Fix>,
    /// The last fixes, for late ones.
    pub recent: Recent,
    /// When it was heard last, whatever it said.
    pub heard_at: Timestamp,
    /// How long it has been silent, as far as it was told.
    pub link: Link,
    /// The time that has passed without a fix, as far as something was told of it.
    pub(crate) passed: Option<Timestamp>,
    pub(crate) seen: Seen,
    /// See [`Rules::print`]: of the rules by which `recent` was told.
    pub(crate) told_by: u32,
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
        Self {
            device,
            latest: None,
            standing: Standing::new(fleet),
            last: None,
            recent: Recent::default(),
            heard_at: Timestamp::default(),
            link: Link::default(),
            passed: None,
            seen: Seen::default(),
            told_by: 0,
        }
    }

    /// Whether a fix of this time would be newer than all.
    pub fn is_behind(&self, fix_time: Timestamp) -> bool {
        self.last.as_ref().is_none_or(|last| last.fix_time < fix_time)
    }

    /// Takes in a position; `seq` is its offset in the log.
    pub fn advance(&mut self, position: Position, seq: u64, index: &GeofenceIndex, rules: &Rules) -> Advance {
        if !position.valid || position.location.is_null_island() {
            return Advance::Invalid;
        }
        let previous = self.last;
        match previous {
            Some(newest) if position.fix_time == newest.fix_time => return Advance::Duplicate,
            Some(newest) if position.fix_time < newest.fix_time => return Advance::Late(Box::new(position)),
            _ => {}
        }
        let rules = &rules.of(index.rules_of(&position.fleet));
        self.obey(rules);
        let changes_fleet = self.standing.fleet != position.fleet;
        let left = changes_fleet.then(|| self.standing.fleet.clone());
        if changes_fleet {
            self.seen = Seen::default();
        }
        let held = index.around(&position.fleet, &position, &mut self.seen);
        let (fix, alarm) = Fix::of(&position);
        let members = (!is_same(&self.standing.members, &held)).then(|| members_of(&held));
        let crossed = previous.map(|previous| {
            let after = members.as_ref().unwrap_or(&self.standing.members);
            index.crossed(&position.fleet, &previous, &fix, [&self.standing.members, after])
        });
        let crossed = crossed.unwrap_or_default();
        let step = Step { fix, fleet: changes_fleet.then(|| position.fleet.clone()), members, alarm, crossed };
        self.recent.push_step(&step, &self.standing, previous.as_ref(), &rules.horizon);
        let teller = Teller { device: &position.device, received_at: position.received_at };
        let mut events = Vec::new();
        self.standing.step(&step, previous.as_ref(), rules, teller, &mut events);
        if let Some(passed) = self.passed.filter(|passed| *passed > fix.fix_time) {
            self.standing.loiter(passed, fix.location, teller, &mut events);
        }
        events.retain(|event| index.tells(event));
        match &mut self.latest {
            Some(latest) => latest.renew(seq, position),
            None => self.latest = Some(LivePosition { seq, position }.into()),
        }
        self.last = Some(fix);
        Advance::Moved { events, left: left.filter(|_| previous.is_some()) }
    }

    /// Takes up no more room than needed until the next position comes.
    pub(crate) fn pack(&mut self) {
        if let Some(latest) = &mut self.latest {
            latest.pack();
        }
        self.standing.members.shrink_to_fit();
        self.standing.inside.shrink_to_fit();
    }

    /// By other rules something else may have been told of what is remembered: it can't be told anew, and is forgotten.
    pub(crate) fn obey(&mut self, rules: &Rules) {
        let print = rules.print();
        if self.told_by != print {
            self.told_by = print;
            self.recent.clear();
        }
    }

    /// Notes that something came from the device, a usable fix or not. Tells it if the device had been silent. True if this is to
    /// be remembered.
    pub fn hear(&mut self, received_at: Timestamp) -> (bool, Option<Event>) {
        let silent_ms = received_at.millis_since(self.heard_at);
        if silent_ms <= 0 {
            return (false, None);
        }
        self.heard_at = received_at;
        let known = std::mem::take(&mut self.link);
        let told = (known != Link::Online).then(|| {
            let attributes = [("silent_s", silent_ms as f64 / 1000.0)].into_iter().collect();
            self.link_event(EventKind::DeviceOnline, received_at, attributes)
        });
        (true, told.flatten())
    }

    /// Time passes without a fix: tells how long the device has been silent and where it has been inside for long. `now` is the time
    /// up to which everything that was received has been taken in.
    pub fn pass_time(&mut self, now: Timestamp, index: &GeofenceIndex, rules: &Rules) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some((link, since)) = rules.link.as_ref().and_then(|rules| self.link.next(self.heard_at, now, rules)) {
            self.link = link;
            let kind = if link == Link::Late { EventKind::DeviceLate } else { EventKind::DeviceOffline };
            let attributes = [("heard_at", self.heard_at.to_string().as_str())].into_iter().collect();
            events.extend(self.link_event(kind, since, attributes));
        }
        if let Some(fix) = self.last
            && self.standing.inside.iter().filter_map(|i| i.loiters_at()).any(|over| over <= now)
        {
            self.passed = Some(now);
            // It is learned when it is over, whenever somebody looks.
            let first = events.len();
            let teller = Teller { device: &self.device, received_at: now };
            self.standing.loiter(now, fix.location, teller, &mut events);
            events[first..].iter_mut().for_each(|event| event.received_at = event.fix_time);
            events.retain(|event| index.tells(event));
        }
        events
    }

    fn link_event(&self, kind: EventKind, at: Timestamp, attributes: Attributes) -> Option<Event> {
        let place = (at, self.last?.location);
        let teller = Teller { device: &self.device, received_at: at };
        let id = EventId::of(&self.device, None, kind, at);
        Some(Event { attributes, ..event(teller, &self.standing.fleet, id, kind, place) })
    }

    /// Decides anew where the device is after geofences were drawn, changed or removed, or the device was given to another fleet: at
    /// its newest position, at once.
    pub fn reconsider(&mut self, index: &GeofenceIndex, rules: &Rules) -> Vec<Event> {
        let Some(fix) = self.last else { return Vec::new() };
        let rules = &rules.of(index.rules_of(index.fleet_of(&self.device).unwrap_or(&self.standing.fleet)));
        self.obey(rules);
        let Some(latest) = &self.latest else { return Vec::new() };
        let position = &latest.live().position;
        let moved = index.fleet_of(&self.device).filter(|fleet| **fleet != self.standing.fleet).cloned();
        let held = index.around(moved.as_ref().unwrap_or(&self.standing.fleet), position, &mut Seen::default());
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
        self.recent.push_mark(&mark, &self.standing, Some(&fix), &rules.horizon);
        let teller = Teller { device: &self.device, received_at: position.received_at };
        let mut events = Vec::new();
        self.standing.take(&Entry::Mark(mark), Some(&fix), rules, teller, &mut events);
        // Perhaps in another fleet.
        self.seen = Seen::default();
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
