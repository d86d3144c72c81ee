//! A log to archive from, kept in memory, that knows what the store must show; and dice to make it up.

use crate::{ArchiveBatch, Archived, Store, Unflushed};
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::{DeviceId, Erasure, Event, EventId, EventKind, FleetId, LatLon, Position, Timestamp};
use waystream_log::{Offsets, Topic};

const PARTITIONS: u32 = 3;

/// A time, as ISO 8601.
pub fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// A position of a device of fleet `north`, received a second later.
pub fn position(device: &str, fix_time: Timestamp) -> Position {
    Position {
        device: DeviceId::new(device).expect("an id"),
        fleet: FleetId::new("north").expect("an id"),
        fix_time,
        received_at: fix_time.plus_millis(1_000),
        location: LatLon::new(52.2421311, 21.1359898).expect("on Earth"),
        valid: true,
        altitude_m: Some(104.5),
        speed_mps: None,
        course_deg: Some(359.9),
        accuracy_m: None,
        protocol: "test".into(),
        attributes: [("ignition", true)].into_iter().collect(),
    }
}

/// What happened at a position.
pub fn event(position: &Position, kind: EventKind) -> Event {
    Event {
        id: EventId::of(&position.device, None, kind, position.fix_time),
        kind,
        device: position.device.clone(),
        fleet: position.fleet.clone(),
        geofence: None,
        geofence_version: None,
        fix_time: position.fix_time,
        received_at: position.received_at,
        location: position.location,
        revises: None,
        retracted: false,
        attributes: position.attributes.clone(),
    }
}

/// Both topics, and how far they have been appended to a store.
#[derive(Debug, Default)]
pub struct History {
    positions: BTreeMap<u32, Vec<Position>>,
    events: BTreeMap<u32, Vec<Event>>,
    done: Offsets,
    erased: Vec<Erasure>,
}

impl History {
    fn partition(device: &DeviceId) -> u32 {
        device.as_str().bytes().map(u32::from).sum::<u32>() % PARTITIONS
    }

    /// One more position in the log.
    pub fn position(&mut self, position: Position) {
        self.positions.entry(Self::partition(&position.device)).or_default().push(position);
    }

    /// One more event in the log.
    pub fn event(&mut self, event: Event) {
        self.events.entry(Self::partition(&event.device)).or_default().push(event);
    }

    /// From now on a store must not show what this covers.
    pub fn erase(&mut self, erasure: Erasure) {
        self.erased.push(erasure);
    }

    fn is_erased(&self, device: &DeviceId, fleet: &FleetId, received_at: Timestamp) -> bool {
        self.erased.iter().any(|erasure| erasure.device == *device && erasure.covers(fleet, received_at))
    }

    /// The next records, up to `max` of each partition, with the offsets after them.
    fn next(&self, max: usize) -> ArchiveBatch {
        let mut batch = ArchiveBatch::default();
        take(Topic::Positions, &self.positions, &self.done, max, &mut batch.positions, &mut batch.offsets);
        take(Topic::Events, &self.events, &self.done, max, &mut batch.events, &mut batch.offsets);
        batch
    }

    /// Appends the next records to a store, up to `max` of each partition; if that fails they are next again.
    pub async fn append(&mut self, store: &dyn Store, max: usize) -> Option<Unflushed> {
        let batch = self.next(max);
        let offsets = batch.offsets.clone();
        let unflushed = store.append(Arc::new(batch)).await.ok()?;
        self.done.extend(offsets);
        Some(unflushed)
    }

    /// Appends all there is.
    pub async fn append_all(&mut self, store: &dyn Store) {
        self.append(store, usize::MAX).await.expect("an append in peace");
    }

    /// Goes on where a store says.
    pub fn rewind(&mut self, covered: Offsets) {
        self.done = covered;
    }

    /// After the last record of every partition.
    pub fn end(&self) -> Offsets {
        let positions = self.positions.iter().map(|(p, rows)| ((Topic::Positions, *p), rows.len() as u64));
        positions.chain(self.events.iter().map(|(p, rows)| ((Topic::Events, *p), rows.len() as u64))).collect()
    }

    /// What a store must show once all is appended, sorted by device and fix time.
    pub fn expected_positions(&self) -> Vec<Position> {
        let mut kept: BTreeMap<_, &Position> = BTreeMap::new();
        let rows = self.positions.values().flatten();
        for row in rows.filter(|p| !self.is_erased(&p.device, &p.fleet, p.received_at)) {
            let newest = kept.entry((&row.device, row.fix_time)).or_insert(row);
            if row.received_at >= newest.received_at {
                *newest = row;
            }
        }
        kept.into_values().cloned().collect()
    }

    /// The same, sorted by id.
    pub fn expected_events(&self) -> Vec<Archived<Event>> {
        let mut kept = BTreeMap::new();
        for (partition, rows) in &self.events {
            let rows = rows.iter().enumerate();
            for (offset, row) in rows.filter(|(_, e)| !self.is_erased(&e.device, &e.fleet, e.received_at)) {
                kept.insert(row.id.clone(), Archived { partition: *partition, offset: offset as u64, row: row.clone() });
            }
        }
        kept.into_values().collect()
    }

    /// The store shows exactly what it must.
    pub async fn check(&self, store: &dyn Store) {
        similar(&super::positions(store, &[]).await, &self.expected_positions());
        similar(&super::events(store, &[]).await, &self.expected_events());
    }
}

/// Like `assert_eq!`, but tells the first difference of thousands of rows.
fn similar<T: PartialEq + std::fmt::Debug>(rows: &[T], expected: &[T]) {
    for (row, expected) in rows.iter().zip(expected) {
        assert_eq!(row, expected, "the first row that differs");
    }
    assert_eq!(rows.len(), expected.len(), "number of rows");
}

fn take<T: Clone>(
    topic: Topic,
    rows: &BTreeMap<u32, Vec<T>>,
    done: &Offsets,
    max: usize,
    out: &mut Vec<Archived<T>>,
    offsets: &mut Offsets,
) {
    for (partition, rows) in rows {
        let from = done.get(&(topic, *partition)).copied().unwrap_or(0) as usize;
        let to = from.saturating_add(max).min(rows.len());
        let place = |(i, row): (usize, &T)| Archived { partition: *partition, offset: (from + i) as u64, row: row.clone() };
        out.extend(rows[from..to].iter().enumerate().map(place));
        offsets.insert((topic, *partition), to as u64);
    }
}

/// Numbers that look random and are the same in every run (xorshift64, Marsaglia 2003).
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    /// Another sequence for every seed.
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 0 ≤ roll < n.
    pub fn roll(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n
    }

    /// A position that is likely to be a version of an earlier one: few devices, few times, spread over days near and far.
    pub fn position(&mut self) -> Position {
        let day = [-7_519, 19_783, 19_784, 19_785, 24_837][self.roll(5) as usize];
        let fix_time = Timestamp::from_millis(day * 86_400_000 + self.roll(40) as i64 * 2_160_000).expect("a time");
        let mut position = position(&format!("device-{:02}", self.roll(7)), fix_time);
        position.received_at = fix_time.plus_millis(self.roll(4) as i64 * 1_000);
        position.fleet = FleetId::new(["north", "south"][self.roll(2) as usize]).expect("an id");
        position.location = LatLon::from_e7(self.roll(900_000_000) as i32, self.roll(1_800_000_000) as i32).expect("on Earth");
        position.valid = self.roll(3) > 0;
        position.speed_mps = (self.roll(2) > 0).then(|| self.roll(300) as f32 / 10.0);
        position
    }

    /// Some more of both topics.
    pub fn write(&mut self, history: &mut History, rows: u64) {
        for _ in 0..rows {
            let position = self.position();
            if self.roll(4) == 0 {
                history.event(event(&position, EventKind::ALL[self.roll(2) as usize]));
            }
            history.position(position);
        }
    }
}
