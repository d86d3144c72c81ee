//! Late fixes: the past is told anew, and what was told otherwise is corrected.
//!
//! A fix is decided once, when it comes, by the geofences of that moment; a late one only changes the order in which decisions
//! follow each other. So both tales, the one told and the one that in-order arrival would have given, follow from what is
//! remembered of the last fixes, and the corrections are their difference.

use crate::geofence::GeofenceIndex;
use crate::geofence::index::Seen;
use crate::standing::{Entry, Mark, Member, Standing, Step, Teller};
use crate::state::members_of;
use crate::{DeviceState, Event, Fix, GeofenceId, Position, Rules, Timestamp};
use std::collections::HashMap;

/// What late positions did.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Corrected {
    /// Corrections, in the order in which they are to be told: first what did not happen (the earlier event again, `retracted`),
    /// then what did; `revises` names the earlier event.
    pub events: Vec<Event>,
    /// Positions that have found their place.
    pub placed: u64,
    /// Positions whose time is known: the first one stands.
    pub duplicate: u64,
    /// Positions beyond the horizon: history only.
    pub beyond: u64,
}

impl DeviceState {
    /// Takes in valid positions that are older than the newest ([`crate::Advance::Late`]), in the order in which they came. Never
    /// moves the newest.
    pub fn correct(&mut self, late: &[Position], index: &GeofenceIndex, rules: &Rules) -> Corrected {
        let rules = &rules.of(index.rules_of(&self.standing.fleet));
        self.obey(rules);
        let mut done = Corrected::default();
        let mut reached: Vec<&Position> = Vec::with_capacity(late.len());
        for position in late {
            if self.recent.is_full(reached.len(), &rules.horizon) || !self.recent.reaches(position.fix_time) {
                done.beyond += 1;
            } else {
                reached.push(position);
            }
        }
        let Some(earliest) = reached.iter().map(|p| p.fix_time).min() else { return done };
        let Some((standing, previous, told)) = self.recent.take_from(earliest) else {
            done.beyond += reached.len() as u64;
            return done;
        };
        let mut entries = told.clone();
        for position in &reached {
            if insert(&mut entries, &standing, previous.as_ref(), position, index) {
                done.placed += 1;
            } else {
                done.duplicate += 1;
            }
        }
        let passed = self.passed;
        let received_at = reached.last().map_or(Timestamp::default(), |p| p.received_at);
        let teller = Teller { device: &self.device, received_at };
        let mut before = Vec::new();
        if done.placed > 0 {
            let (mut standing, mut previous) = (standing.clone(), previous);
            for entry in &told {
                standing.take(entry, previous.as_ref(), rules, teller, &mut before);
                if let Entry::Step(step) = entry {
                    previous = Some(step.fix);
                }
            }
            if let Some((passed, fix)) = passed.zip(previous) {
                standing.loiter(passed, fix.location, teller, &mut before);
            }
        }
        let mut after = Vec::new();
        let (mut standing, mut previous) = (standing, previous);
        for entry in &entries {
            self.recent.push(entry, &standing, previous.as_ref(), &rules.horizon);
            standing.take(entry, previous.as_ref(), rules, teller, &mut after);
            if let Entry::Step(step) = entry {
                previous = Some(step.fix);
            }
        }
        if let Some((passed, fix)) = passed.zip(previous) {
            standing.loiter(passed, fix.location, teller, &mut after);
        }
        if done.placed > 0 {
            self.standing = standing;
            before.retain(|event| index.tells(event));
            after.retain(|event| index.tells(event));
            done.events = corrections(before, after);
        }
        done
    }
}

/// Puts a late position where it belongs. False if its time is known.
fn insert(
    entries: &mut Vec<Entry>,
    standing: &Standing,
    previous: Option<&Fix>,
    position: &Position,
    index: &GeofenceIndex,
) -> bool {
    let (fix, alarm) = Fix::of(position);
    let mut previous = previous.copied();
    if previous.is_some_and(|p| p.fix_time == fix.fix_time) {
        return false;
    }
    // What was so just before: a late fix can't say when a device has changed its fleet. And what was decided about the fix before,
    // whatever edits said of it later.
    let (mut fleet, mut before, mut of_previous) = (&standing.fleet, &standing.members, &standing.members);
    let mut place = 0;
    for (i, entry) in entries.iter().enumerate() {
        match entry {
            Entry::Step(step) if step.fix.fix_time == fix.fix_time => return false,
            Entry::Step(step) if step.fix.fix_time > fix.fix_time => break,
            Entry::Step(step) => {
                fleet = step.fleet.as_ref().unwrap_or(fleet);
                before = step.members.as_ref().unwrap_or(before);
                of_previous = before;
                previous = Some(step.fix);
            }
            Entry::Mark(mark) => {
                fleet = mark.fleet.as_ref().unwrap_or(fleet);
                before = &mark.members;
            }
        }
        place = i + 1;
    }
    let (fleet, before, of_previous) = (fleet.clone(), before.clone(), of_previous.clone());
    let mut members = members_of(&index.around(&fleet, position, &mut Seen::default()));
    for later in &entries[place..] {
        if let Entry::Mark(mark) = later {
            leave_to(mark, &before, &mut members);
        }
    }
    let crossed = previous.map(|previous| index.crossed(&fleet, &previous, &fix, [&of_previous, &members]));
    if let Some(Entry::Step(next)) = entries.get_mut(place) {
        // It was like the fix before; that is another one now.
        if members != before {
            next.members.get_or_insert_with(|| before.clone());
        }
        let of_next = next.members.as_ref().unwrap_or(&before);
        next.crossed = index.crossed(next.fleet.as_ref().unwrap_or(&fleet), &fix, &next.fix, [&members, of_next]);
    }
    let members = (members != before).then_some(members);
    entries.insert(place, Entry::Step(Step { fix, fleet: None, members, alarm, crossed: crossed.unwrap_or_default() }));
    true
}

/// An edit after the time of a late fix has decided about its geofences: about these the fix says what the one before says, for
/// nobody was inside of an area that had not been drawn.
fn leave_to(mark: &Mark, before: &[Member], members: &mut Vec<Member>) {
    let old = |id: &GeofenceId| before.iter().find(|m| m.geofence == *id);
    let of_edit = |member: &Member| {
        let edited = mark.members.iter().find(|m| m.geofence == member.geofence);
        edited.is_some_and(|m| old(&m.geofence).is_none_or(|o| o.version < m.version))
            || mark.gone.iter().any(|g| g.geofence == member.geofence)
    };
    members.retain(|m| !of_edit(m));
    members.extend(before.iter().filter(|m| of_edit(m)).cloned());
    members.sort_unstable_by(|a, b| a.geofence.cmp(&b.geofence));
}

/// The difference between what was told and what should have been.
fn corrections(told: Vec<Event>, wanted: Vec<Event>) -> Vec<Event> {
    let by_id = |events: &[Event]| events.iter().enumerate().map(|(i, e)| (e.id.clone(), i)).collect::<HashMap<_, _>>();
    let (was, is) = (by_id(&told), by_id(&wanted));
    let mut out: Vec<Event> = Vec::new();
    for event in told.iter().filter(|e| !is.contains_key(&e.id)) {
        // What a clock had told may have been taken back: then that is taken back.
        out.push(Event { revises: Some(event.id.clone()), retracted: !event.retracted, ..event.clone() });
    }
    let mut replaced = vec![false; out.len()];
    for event in wanted {
        let revises = match was.get(&event.id) {
            Some(&i) if told[i] == event => continue,
            Some(_) => Some(event.id.clone()),
            None => {
                let like = |old: &Event| old.kind == event.kind && old.geofence == event.geofence;
                let found = (0..replaced.len()).find(|&i| !replaced[i] && out[i].retracted && like(&out[i]));
                let found = found.filter(|_| !event.retracted).map(|i| {
                    replaced[i] = true;
                    out[i].id.clone()
                });
                found.or(event.revises.clone())
            }
        };
        out.push(Event { revises, ..event });
    }
    out
}
