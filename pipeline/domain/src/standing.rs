//! Where a device stands: the memory of the fold between two fixes, and what the next fix or edit makes of it. Pure: what is
//! decided about a fix (the geofences that hold it) comes in, events go out.

use crate::{
    Attributes, DeviceId, Event, EventId, EventKind, Fix, FleetId, GeofenceId, LatLon, Motion, Rules, Timestamp, Vitals,
};
use smol_str::SmolStr;

/// What is remembered of a device between two fixes, beside the last of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Fleet of the last fix.
    pub fleet: FleetId,
    /// What was decided about the last fix, sorted by geofence.
    pub members: Vec<Member>,
    /// Geofences that the device is inside of, or may turn out to be, sorted by id.
    pub inside: Vec<Inside>,
    /// What it is doing, if trips are told.
    pub motion: Option<Motion>,
    /// What its sensors said last.
    pub vitals: Vitals,
}

/// A geofence that holds a fix, or nearly: decided once, when the fix came, by the geofences of that time.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// Which.
    pub geofence: GeofenceId,
    /// The version that decided it.
    pub version: u64,
    /// Outside, but no farther than the exit margin: who is inside stays inside, who is outside stays outside.
    pub near: bool,
    /// An enter or exit counts when it has lasted this long, milliseconds.
    pub dwell_ms: u32,
    /// Inside for this long is told, milliseconds; 0: is not.
    pub loiter_ms: u32,
    /// Faster than this inside is speeding, centimetres per second; 0: is not.
    pub limit_cm_s: u16,
}

/// A geofence that the device is inside of.
#[derive(Debug, Clone, PartialEq)]
pub struct Inside {
    /// Which.
    pub geofence: GeofenceId,
    /// The version that decided it: another version is decided anew.
    pub version: u64,
    /// Fix time of the enter.
    pub since: Timestamp,
    /// See [`Member::dwell_ms`].
    pub dwell_ms: u32,
    /// See [`Member::loiter_ms`].
    pub loiter_ms: u32,
    /// That it has been inside for so long has been told.
    pub loitered: bool,
    /// How certain it is.
    pub phase: Phase,
}

/// How certain an [`Inside`] is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Phase {
    /// The enter has been told.
    In,
    /// Not for long enough yet.
    Entering {
        /// Where it was first inside.
        at: LatLon,
        /// That was its first fix.
        initial: bool,
    },
    /// Outside, but not for long enough yet.
    Leaving {
        /// Fix time at which it was first outside.
        left: Timestamp,
        /// Where that was.
        at: LatLon,
    },
}

impl Inside {
    /// Whether the enter has been told and the exit has not.
    pub fn is_told(&self) -> bool {
        !matches!(self.phase, Phase::Entering { .. })
    }

    /// When it will have been inside for its loitering time, if that is told and has not been yet.
    pub(crate) fn loiters_at(&self) -> Option<Timestamp> {
        let counts = self.loiter_ms > 0 && !self.loitered && self.phase == Phase::In;
        counts.then(|| self.since.plus_millis(i64::from(self.loiter_ms)))
    }
}

/// A fix with what was decided about it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Step {
    pub(crate) fix: Fix,
    /// If another than that of the fix before.
    pub(crate) fleet: Option<FleetId>,
    /// If others than those of the fix before.
    pub(crate) members: Option<Vec<Member>>,
    /// What it raises.
    pub(crate) alarm: Option<SmolStr>,
    /// Geofences that it went through since the fix before, sorted by geofence.
    pub(crate) crossed: Vec<Crossed>,
}

impl Step {
    /// A fix and nothing that was decided about it.
    pub(crate) const fn bare(fix: Fix) -> Self {
        Self { fix, fleet: None, members: None, alarm: None, crossed: Vec::new() }
    }
}

/// A geofence that the device went through between two fixes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Crossed {
    pub(crate) geofence: GeofenceId,
    /// The version that decided it.
    pub(crate) version: u64,
}

/// What was decided anew about the fix before, because geofences were drawn, changed or removed, or the device has another fleet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mark {
    pub(crate) fleet: Option<FleetId>,
    pub(crate) members: Vec<Member>,
    /// Geofences that no longer hold it.
    pub(crate) gone: Vec<Gone>,
}

/// A geofence that holds a fix no longer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Gone {
    pub(crate) geofence: GeofenceId,
    /// The version of now, or the last one.
    pub(crate) version: u64,
    /// It is no longer there.
    pub(crate) removed: bool,
}

/// One thing after the other.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Step(Step),
    Mark(Mark),
}

/// Who tells events, and when it was learned.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Teller<'a> {
    pub(crate) device: &'a DeviceId,
    pub(crate) received_at: Timestamp,
}

/// Why a device is suddenly inside or outside.
#[derive(Clone, Copy)]
enum Cause<'a> {
    FirstFix,
    Move,
    Edit(&'a Mark),
}

impl Standing {
    /// Before anything is known.
    pub fn new(fleet: FleetId) -> Self {
        Self { fleet, members: Vec::new(), inside: Vec::new(), motion: None, vitals: Vitals::default() }
    }

    /// Takes in a step or a mark; `previous` is the fix before.
    pub(crate) fn take(
        &mut self,
        entry: &Entry,
        previous: Option<&Fix>,
        rules: &Rules,
        teller: Teller<'_>,
        out: &mut Vec<Event>,
    ) {
        match entry {
            Entry::Step(step) => self.step(step, previous, rules, teller, out),
            Entry::Mark(mark) => {
                // Without a fix there is nothing to decide.
                let Some(fix) = previous else { return };
                let left = mark.fleet.as_ref().map(|fleet| std::mem::replace(&mut self.fleet, fleet.clone()));
                self.members.clone_from(&mark.members);
                self.settle(fix, Cause::Edit(mark), left.as_ref(), teller, out);
            }
        }
    }

    /// Takes in the fix that follows `previous`. Events: exits first, then enters, each sorted by geofence, then the others.
    pub(crate) fn step(
        &mut self,
        step: &Step,
        previous: Option<&Fix>,
        rules: &Rules,
        teller: Teller<'_>,
        out: &mut Vec<Event>,
    ) {
        // Who watched the device inside must hear that it went out.
        let left = step.fleet.as_ref().map(|fleet| std::mem::replace(&mut self.fleet, fleet.clone()));
        if let Some(members) = &step.members {
            self.members.clone_from(members);
        }
        let fix = &step.fix;
        if step.members.is_some() || left.is_some() || self.inside.iter().any(|i| i.phase != Phase::In || i.loiter_ms > 0) {
            if let Some(previous) = previous {
                // Where it was last seen it was until now.
                self.loiter(fix.fix_time, previous.location, teller, out);
            }
            let cause = if previous.is_none() { Cause::FirstFix } else { Cause::Move };
            self.settle(fix, cause, left.as_ref(), teller, out);
            // An enter or a return that has just become certain may be long ago.
            self.loiter(fix.fix_time, fix.location, teller, out);
        }
        for Crossed { geofence, version } in &step.crossed {
            let id = EventId::of(teller.device, Some(geofence), EventKind::Cross, fix.fix_time);
            let known = (Some(geofence.clone()), Some(*version));
            let plain = event(teller, &self.fleet, id, EventKind::Cross, (fix.fix_time, fix.location));
            out.push(Event { geofence: known.0, geofence_version: known.1, ..plain });
        }
        let cut = self.feel(step, previous, rules, teller, out);
        self.travel(fix, previous, cut, rules, teller, out);
    }

    /// Trips and stops that `fix` shows to have begun or ended; `cut` if the ignition was switched off.
    fn travel(
        &mut self,
        fix: &Fix,
        previous: Option<&Fix>,
        cut: bool,
        rules: &Rules,
        teller: Teller<'_>,
        out: &mut Vec<Event>,
    ) {
        let Some(rules) = &rules.trips else {
            self.motion = None;
            return;
        };
        let (Some(motion), Some(previous)) = (&mut self.motion, previous) else {
            self.motion = Some(Motion::first(fix));
            return;
        };
        let mut told = Vec::new();
        motion.advance(previous, fix, cut, rules, &mut told);
        for (kind, attributes) in told {
            let id = EventId::of(teller.device, None, kind, fix.fix_time);
            out.push(Event { attributes, ..event(teller, &self.fleet, id, kind, (fix.fix_time, fix.location)) });
        }
    }

    /// Tells where it has been inside for long by that time; `at` is where it was last seen.
    pub(crate) fn loiter(&mut self, by: Timestamp, at: LatLon, teller: Teller<'_>, out: &mut Vec<Event>) {
        for inside in &mut self.inside {
            let Some(over) = inside.loiters_at().filter(|over| *over <= by) else { continue };
            inside.loitered = true;
            out.push(dwelt(teller, &self.fleet, inside, (over, at)));
        }
    }

    /// Brings `inside` to `members` and tells the difference.
    fn settle(&mut self, fix: &Fix, cause: Cause<'_>, left: Option<&FleetId>, teller: Teller<'_>, out: &mut Vec<Event>) {
        let at_once = matches!(cause, Cause::Edit(_)) || left.is_some();
        let here = (fix.fix_time, fix.location);
        let before = std::mem::take(&mut self.inside);
        let mut after: Vec<Inside> = Vec::with_capacity(self.members.len());
        let mut entered = Vec::new();
        for mut was in before {
            let member = self.members.binary_search_by(|m| m.geofence.cmp(&was.geofence)).ok().map(|at| &self.members[at]);
            if let Some(member) = member {
                (was.version, was.dwell_ms, was.loiter_ms) = (member.version, member.dwell_ms, member.loiter_ms);
            }
            let lasted = |since: Timestamp| at_once || fix.fix_time.millis_since(since) >= i64::from(was.dwell_ms);
            let holds = member.is_some_and(|m| !m.near || was.is_told());
            let exit = |place: (Timestamp, LatLon), out: &mut Vec<Event>| {
                let over = was.since.plus_millis(i64::from(was.loiter_ms));
                if was.loitered && place.0 < over && matches!(cause, Cause::Move) {
                    // The clock said so when nothing had been heard for long; now it has, and it was not so.
                    let told = dwelt(teller, &self.fleet, &was, (over, place.1));
                    out.push(Event { revises: Some(told.id.clone()), retracted: true, ..told });
                }
                let mut told = happening(teller, &self.fleet, &was.geofence, was.version, EventKind::Exit, place, cause);
                told.fleet = left.cloned().unwrap_or(told.fleet);
                out.push(told);
            };
            match (holds, was.phase) {
                (true, Phase::Entering { at, initial }) => {
                    if lasted(was.since) {
                        let cause = if initial { Cause::FirstFix } else { cause };
                        let (fence, place) = (&was.geofence, (was.since, at));
                        entered.push(happening(teller, &self.fleet, fence, was.version, EventKind::Enter, place, cause));
                        was.phase = Phase::In;
                    }
                }
                (true, _) => was.phase = Phase::In,
                (false, Phase::Entering { .. }) => continue,
                (false, Phase::In) if lasted(fix.fix_time) => {
                    exit(here, out);
                    continue;
                }
                (false, Phase::In) => was.phase = Phase::Leaving { left: fix.fix_time, at: fix.location },
                (false, Phase::Leaving { left, at }) => {
                    if lasted(left) {
                        exit((left, at), out);
                        continue;
                    }
                }
            }
            after.push(was);
        }
        let known = after.len();
        for member in self.members.iter().filter(|m| !m.near) {
            if after[..known].binary_search_by(|i| i.geofence.cmp(&member.geofence)).is_ok() {
                continue;
            }
            let phase = if at_once || member.dwell_ms == 0 {
                let (fence, version) = (&member.geofence, member.version);
                entered.push(happening(teller, &self.fleet, fence, version, EventKind::Enter, here, cause));
                Phase::In
            } else {
                Phase::Entering { at: fix.location, initial: matches!(cause, Cause::FirstFix) }
            };
            after.push(Inside {
                geofence: member.geofence.clone(),
                version: member.version,
                since: fix.fix_time,
                dwell_ms: member.dwell_ms,
                loiter_ms: member.loiter_ms,
                loitered: false,
                phase,
            });
        }
        after.sort_unstable_by(|a, b| a.geofence.cmp(&b.geofence));
        entered.sort_unstable_by(|a, b| a.geofence.cmp(&b.geofence));
        self.inside = after;
        out.append(&mut entered);
    }
}

fn happening(
    teller: Teller<'_>,
    fleet: &FleetId,
    geofence: &GeofenceId,
    version: u64,
    kind: EventKind,
    place: (Timestamp, LatLon),
    cause: Cause<'_>,
) -> Event {
    let plain = EventId::of(teller.device, Some(geofence), kind, place.0);
    let (id, version, attributes) = match cause {
        Cause::FirstFix if kind == EventKind::Enter => (plain, version, [("initial", true)].into_iter().collect()),
        Cause::FirstFix | Cause::Move => (plain, version, Attributes::default()),
        Cause::Edit(mark) => {
            let gone = mark.gone.iter().find(|g| g.geofence == *geofence && kind == EventKind::Exit);
            let version = gone.map_or(version, |g| g.version);
            let reason = match gone {
                _ if mark.fleet.is_some() => "fleet_changed",
                Some(Gone { removed: true, .. }) => "fence_removed",
                _ => "fence_changed",
            };
            let id = EventId::of_edit(teller.device, geofence, kind, place.0, version);
            (id, version, [("reason", reason)].into_iter().collect())
        }
    };
    let known = (Some(geofence.clone()), Some(version));
    Event { geofence: known.0, geofence_version: known.1, attributes, ..event(teller, fleet, id, kind, place) }
}

fn dwelt(teller: Teller<'_>, fleet: &FleetId, inside: &Inside, place: (Timestamp, LatLon)) -> Event {
    let id = EventId::of(teller.device, Some(&inside.geofence), EventKind::Dwell, place.0);
    let mut attributes = Attributes::default();
    attributes.set("entered_at", inside.since.to_string().as_str());
    attributes.set("loitering_s", f64::from(inside.loiter_ms) / 1000.0);
    let known = (Some(inside.geofence.clone()), Some(inside.version));
    let plain = event(teller, fleet, id, EventKind::Dwell, place);
    Event { geofence: known.0, geofence_version: known.1, attributes, ..plain }
}

pub(crate) fn event(teller: Teller<'_>, fleet: &FleetId, id: EventId, kind: EventKind, place: (Timestamp, LatLon)) -> Event {
    Event {
        id,
        kind,
        device: teller.device.clone(),
        fleet: fleet.clone(),
        geofence: None,
        geofence_version: None,
        fix_time: place.0,
        received_at: teller.received_at,
        location: place.1,
        revises: None,
        retracted: false,
        attributes: Attributes::default(),
    }
}
