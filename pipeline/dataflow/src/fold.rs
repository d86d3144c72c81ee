//! One worker's memory, and what an epoch of positions and edits makes of it: pure, no timely, no I/O.

use crate::commit::Closed;
use crate::metrics::{self, Tally};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use tracing::warn;
use waystream_domain::codec::{
    decode_position, decode_segments, decode_state, encode_event, encode_segments, encode_snapshot_of, encode_state,
};
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{
    Advance, Corrected, DeviceId, DeviceState, Erasure, Event, EventId, FleetId, Latest, Position, Rules, States, Timestamp,
};
use waystream_log::{Batch, Entry, Offsets, Record, Topic};

/// A position whose record is larger is left out: its state would not fit into the log. Connectors refuse such long before.
const MAX_POSITION_BYTES: usize = 256 << 10;
/// Devices of one snapshot record at most, and its size: it must fit into the log, and into a gateway's stride.
const SNAPSHOT_DEVICES: usize = 512;
const SNAPSHOT_BYTES: usize = 512 << 10;
/// States written within this time before the newest one were perhaps committed without their snapshot: it is repeated.
const LAST_COMMIT_MS: i64 = 1000;

/// States and geofences of one worker.
pub(crate) struct Fold {
    index: GeofenceIndex,
    rules: Rules,
    states: States,
    /// Where the catalog goes on, if this worker commits that.
    catalog_next: Option<u64>,
    /// Restored states with the time they were written, milliseconds, until the first epoch.
    restored: Vec<(i64, u32)>,
}

/// What one epoch is made of.
#[derive(Default)]
pub(crate) struct Epoch {
    pub(crate) edits: Vec<IndexEdit>,
    /// Where the catalog goes on behind the edits.
    pub(crate) catalog_next: Option<u64>,
    /// In log order for each partition.
    pub(crate) positions: Vec<Batch>,
    /// All that was received up to this time has been taken in, behind the positions.
    pub(crate) clock: Option<Timestamp>,
}

/// What has changed in one epoch. States by their numbers, some of them more than once.
#[derive(Default)]
struct Changes {
    events: Vec<Event>,
    /// To be written.
    states: Vec<u32>,
    /// To be written and shown.
    moved: Vec<u32>,
    left: BTreeMap<FleetId, Vec<DeviceId>>,
    /// Devices that are another organisation's now.
    handed_over: Vec<DeviceId>,
    /// Devices of which nothing may be remembered.
    erased: Vec<DeviceId>,
    /// Late positions that have not found their place yet: those of one device that came one after the other are corrected together.
    late: BTreeMap<u32, Vec<Position>>,
    tally: Tally,
}

impl Fold {
    /// With the catalog's geofences; `catalog_next` if this worker commits the catalog's offset.
    pub(crate) fn new(index: GeofenceIndex, rules: Rules, catalog_next: Option<u64>) -> Self {
        Self { index, rules, states: States::default(), catalog_next, restored: Vec::new() }
    }

    /// Takes in states of the last commit.
    pub(crate) fn restore(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let Some(value) = entry.value else {
                // The log may still hold what was removed.
                let known = String::from_utf8_lossy(&entry.key).parse().ok();
                if let Some(known) = known.and_then(|device: DeviceId| self.states.find(&device)) {
                    self.begin_anew(known);
                }
                continue;
            };
            match decode_state(&value) {
                Ok(state) => {
                    let number = self.states.put(state);
                    // Packed at once: it may be one of very many.
                    self.states.file(number, &self.index);
                    self.restored.push((entry.appended_at_ms, number));
                }
                Err(error) => {
                    metrics::state_fault();
                    warn!(key = %String::from_utf8_lossy(&entry.key), %error, "state left out");
                }
            }
        }
    }

    /// Takes in the last fixes of the last commit, after the states.
    pub(crate) fn restore_recent(&mut self, entries: Vec<Entry>) {
        for entry in entries {
            let key = String::from_utf8_lossy(&entry.key);
            let known = key.parse().ok().and_then(|device: DeviceId| self.states.find(&device));
            let Some(value) = entry.value else {
                known.into_iter().for_each(|known| self.states.get_mut(known).recent.remove_closed());
                continue;
            };
            match (known, decode_segments(&value)) {
                (Some(known), Ok(closed)) => self.states.get_mut(known).recent.restore_closed(closed),
                (None, _) => {}
                (_, Err(error)) => {
                    metrics::state_fault();
                    warn!(%key, %error, "last fixes left out");
                }
            }
        }
    }

    /// The first epoch: geofences may have changed since the states were written, and the last snapshots may be missing.
    pub(crate) fn first(&mut self, closed_at: Timestamp) -> Closed {
        let mut changes = Changes::default();
        for number in 0..self.states.len() as u32 {
            let state = self.states.get(number);
            let is_known = state.latest.is_some();
            if is_known && self.index.is_erased(&state.device, &state.standing.fleet, state.heard_at) {
                self.erase(number, &mut changes);
            } else {
                self.reconsider(number, &mut changes);
            }
        }
        let restored = std::mem::take(&mut self.restored);
        let newest = restored.iter().map(|(at, _)| *at).max().unwrap_or_default();
        let recent = restored.into_iter().filter(|(at, _)| *at >= newest - LAST_COMMIT_MS).map(|(_, number)| number);
        // Who has just been forgotten has nothing to tell.
        changes.moved.extend(recent.filter(|number| self.states.get(*number).latest.is_some()));
        let offsets = self.catalog_next.map(|next| ((Topic::Catalog, 0), next));
        self.close(changes, offsets.into_iter().collect(), closed_at)
    }

    /// Folds an epoch: edits first.
    pub(crate) fn epoch(&mut self, epoch: Epoch, closed_at: Timestamp) -> Closed {
        let (mut changes, mut offsets) = (Changes::default(), Offsets::new());
        let mut touched = Touched::default();
        let mut erasures = Vec::new();
        for edit in epoch.edits {
            // When it is done the device may have told something new.
            erasures.extend(erasure_of(&edit).filter(|erasure| erasure.done_at.is_none()).cloned());
            self.index.apply(edit, &mut touched);
        }
        for erasure in erasures {
            let known = self.states.find(&erasure.device);
            if let Some(known) = known.filter(|known| erasure.concerns(&self.states.get(*known).standing.fleet)) {
                self.erase(known, &mut changes);
            }
        }
        if !touched.is_empty() {
            for number in self.states.concerned(&touched) {
                self.reconsider(number, &mut changes);
            }
        }
        if let Some(next) = epoch.catalog_next.filter(|_| self.catalog_next.is_some()) {
            offsets.insert((Topic::Catalog, 0), next);
        }
        for batch in epoch.positions {
            offsets.insert((Topic::Positions, batch.partition), batch.next);
            for entry in batch.entries {
                match read(&entry) {
                    Some(position) => self.advance(position, entry.offset, &mut changes),
                    None => changes.tally.unreadable += 1,
                }
            }
        }
        for (number, late) in std::mem::take(&mut changes.late) {
            self.correct(number, &late, &mut changes);
        }
        if let Some(now) = epoch.clock {
            for number in 0..self.states.len() as u32 {
                let mut events = self.states.get_mut(number).pass_time(now, &self.index, &self.rules);
                if !events.is_empty() {
                    changes.events.append(&mut events);
                    changes.states.push(number);
                }
            }
        }
        self.close(changes, offsets, closed_at)
    }

    fn advance(&mut self, position: Position, seq: u64, changes: &mut Changes) {
        if self.index.is_erased(&position.device, &position.fleet, position.received_at) {
            changes.tally.late += 1;
            return;
        }
        let belongs_to = self.index.fleet_of(&position.device);
        if belongs_to.is_some_and(|fleet| self.index.are_of_different_owners(fleet, &position.fleet)) {
            // It was under way when the device changed hands: history, and nothing to its new owner.
            changes.tally.late += 1;
            return;
        }
        let number = match self.states.find(&position.device) {
            Some(known) => {
                self.hand_over(known, &position.fleet, changes);
                known
            }
            None if !position.valid => {
                changes.tally.invalid += 1;
                return;
            }
            None => self.states.put(DeviceState::new(position.device.clone(), position.fleet.clone())),
        };
        if !changes.late.is_empty() && self.states.get(number).is_behind(position.fix_time) {
            // Their place is judged by what was the newest when they came.
            let late = changes.late.remove(&number).unwrap_or_default();
            self.correct(number, &late, changes);
        }
        let state = self.states.get_mut(number);
        let (heard, told) = state.hear(position.received_at);
        changes.events.extend(told);
        let advance = state.advance(position, seq, &self.index, &self.rules);
        if heard && !matches!(advance, Advance::Moved { .. }) {
            changes.states.push(number);
        }
        match advance {
            Advance::Moved { mut events, left } => {
                changes.tally.moved += 1;
                changes.events.append(&mut events);
                if let Some(fleet) = left {
                    changes.left.entry(fleet).or_default().push(state.device.clone());
                }
                changes.moved.push(number);
            }
            Advance::Invalid => changes.tally.invalid += 1,
            Advance::Duplicate => changes.tally.duplicate += 1,
            Advance::Late(position) => changes.late.entry(number).or_default().push(*position),
        }
    }

    /// Tells the past of a device anew.
    fn correct(&mut self, number: u32, late: &[Position], changes: &mut Changes) {
        if late.is_empty() {
            return;
        }
        let Corrected { mut events, placed, duplicate, beyond } =
            self.states.get_mut(number).correct(late, &self.index, &self.rules);
        if placed > 0 {
            changes.states.push(number);
        }
        changes.events.append(&mut events);
        changes.tally.corrected += placed;
        changes.tally.duplicate += duplicate;
        changes.tally.late += beyond;
    }

    /// What is remembered of a device is its organisation's: for the next one it begins anew. Whether it was so.
    fn hand_over(&mut self, number: u32, to: &FleetId, changes: &mut Changes) -> bool {
        let state = self.states.get(number);
        if !self.index.are_of_different_owners(&state.standing.fleet, to) {
            return false;
        }
        let device = state.device.clone();
        changes.left.entry(state.standing.fleet.clone()).or_default().push(device.clone());
        changes.late.remove(&number);
        changes.states.push(number);
        changes.handed_over.push(device.clone());
        self.states.put(DeviceState::new(device, to.clone()));
        true
    }

    /// What is remembered of a device is gone, for it was asked for.
    fn erase(&mut self, number: u32, changes: &mut Changes) {
        let state = self.states.get(number);
        changes.left.entry(state.standing.fleet.clone()).or_default().push(state.device.clone());
        changes.erased.push(state.device.clone());
        changes.late.remove(&number);
        self.begin_anew(number);
    }

    /// As if it had never reported.
    fn begin_anew(&mut self, number: u32) {
        let state = self.states.get(number);
        let new = DeviceState::new(state.device.clone(), state.standing.fleet.clone());
        self.states.put(new);
        self.states.file(number, &self.index);
    }

    /// Decides anew where a device is.
    fn reconsider(&mut self, number: u32, changes: &mut Changes) {
        let belongs_to = self.index.fleet_of(&self.states.get(number).device).cloned();
        if belongs_to.is_some_and(|fleet| self.hand_over(number, &fleet, changes)) {
            return;
        }
        let state = self.states.get_mut(number);
        let before = state.standing.clone();
        changes.events.append(&mut state.reconsider(&self.index, &self.rules));
        if state.standing.fleet != before.fleet {
            changes.left.entry(before.fleet.clone()).or_default().push(state.device.clone());
            changes.moved.push(number);
        }
        if state.standing != before {
            changes.states.push(number);
        }
        // Also of what has not changed: the geofences have.
        self.states.file(number, &self.index);
    }

    /// Writes down what has changed.
    fn close(&mut self, changes: Changes, offsets: Offsets, closed_at: Timestamp) -> Closed {
        let Changes { events, mut states, mut moved, left, handed_over, erased, late: _, mut tally } = changes;
        states.extend(&moved);
        for numbers in [&mut states, &mut moved] {
            numbers.sort_unstable();
            numbers.dedup();
        }
        let events = settled(events);
        let mut records = Vec::with_capacity(events.len() + states.len());
        for event in &events {
            *tally.events.entry(event.kind.as_str()).or_default() += 1;
            records.push((Topic::Events, Record::new(event.device.to_string(), encode_event(event))));
        }
        // Before what is remembered since.
        let forgotten = handed_over.iter().chain(&erased);
        records.extend(forgotten.map(|device| (Topic::Recent, Record::removal(device.to_string()))));
        records.extend(erased.iter().map(|device| (Topic::States, Record::removal(device.to_string()))));
        for number in states {
            self.states.file(number, &self.index);
            let state = self.states.get_mut(number);
            tally.shortened += u64::from(state.recent.take_shortened());
            if let Some(closed) = state.recent.take_unsaved() {
                records.push((Topic::Recent, Record::new(state.device.to_string(), encode_segments(closed))));
            }
            records.push((Topic::States, Record::new(state.device.to_string(), encode_state(state))));
        }
        let snapshots = self.snapshots(&moved, left, closed_at);
        metrics::folded(tally);
        Closed { records, offsets, snapshots, ended_at: closed_at }
    }

    /// Who has moved and who has left, fleet by fleet.
    fn snapshots(&self, moved: &[u32], left: BTreeMap<FleetId, Vec<DeviceId>>, closed_at: Timestamp) -> Vec<Record> {
        let mut fleets: BTreeMap<&FleetId, (Vec<&Latest>, Vec<DeviceId>)> = BTreeMap::new();
        for (fleet, devices) in &left {
            // Unless it has come back within the epoch.
            let is_there = |d: &DeviceId| {
                let state = self.states.find(d).map(|number| self.states.get(number));
                state.is_some_and(|state| state.standing.fleet == *fleet && state.latest.is_some())
            };
            let gone = devices.iter().filter(|d| !is_there(d));
            fleets.entry(fleet).or_default().1.extend(gone.cloned());
        }
        for state in moved.iter().map(|number| self.states.get(*number)) {
            if let Some(latest) = &state.latest {
                fleets.entry(&state.standing.fleet).or_default().0.push(latest);
            }
        }
        let mut records = Vec::new();
        for (fleet, (live, left)) in fleets {
            snapshot_records(fleet, closed_at, &live, &left, &mut records);
        }
        records
    }

    /// Devices and geofences held.
    pub(crate) fn held(&self) -> (usize, usize) {
        (self.states.len(), self.index.len())
    }
}

fn erasure_of(edit: &IndexEdit) -> Option<&Arc<Erasure>> {
    match edit {
        IndexEdit::Erase(erasure) => Some(erasure),
        _ => None,
    }
}

fn read(entry: &Entry) -> Option<Position> {
    let value = entry.value.as_ref()?;
    if value.len() > MAX_POSITION_BYTES {
        warn!(offset = entry.offset, bytes = value.len(), "position too large");
        return None;
    }
    match decode_position(value) {
        Ok(position) => Some(position),
        Err(error) => {
            warn!(offset = entry.offset, %error, "position left out");
            None
        }
    }
}

/// The events of an epoch without those that turned out within it not to have happened: a backlog that comes newest first would
/// tell and retract an enter with each of its positions.
fn settled(events: Vec<Event>) -> Vec<Event> {
    if !events.iter().any(|e| e.retracted) {
        return events;
    }
    let mut fate: HashMap<&EventId, (bool, usize)> = HashMap::new();
    for (i, event) in events.iter().enumerate() {
        // Told in this epoch for the first time, and where the last word on it stands.
        let new = !event.retracted && event.revises.as_ref() != Some(&event.id);
        fate.entry(&event.id).and_modify(|f| f.1 = i).or_insert((new, i));
    }
    let kept = |&(new, last): &(bool, usize)| (!new || !events[last].retracted).then_some(last);
    let kept: HashSet<usize> = fate.values().filter_map(kept).collect();
    events.into_iter().enumerate().filter(|(i, _)| kept.contains(i)).map(|(_, event)| event).collect()
}

/// A snapshot as one or more records of bounded size.
fn snapshot_records(fleet: &FleetId, closed_at: Timestamp, live: &[&Latest], left: &[DeviceId], out: &mut Vec<Record>) {
    if live.len() <= SNAPSHOT_DEVICES {
        let value = encode_snapshot_of(fleet, closed_at, live.iter().copied(), left);
        if value.len() <= SNAPSHOT_BYTES || live.len() <= 1 {
            out.push(Record::new(fleet.to_string(), value));
            return;
        }
    }
    let (first, rest) = live.split_at(live.len() / 2);
    snapshot_records(fleet, closed_at, first, left, out);
    snapshot_records(fleet, closed_at, rest, &[], out);
}
