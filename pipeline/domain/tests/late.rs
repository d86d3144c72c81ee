//! Late, shuffled and repeated fixes: in the end the events are those of in-order arrival.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use waystream_domain::codec::{decode_segments, decode_state, encode_segments, encode_state};
use waystream_domain::geofence::validate::{Checks, circle, corridor, polygons};
use waystream_domain::geofence::{FenceRules, GeofenceIndex, IndexEdit, Shape, Touched};
use waystream_domain::{
    Advance, Attributes, CatalogEdit, CatalogEntry, CatalogKey, Corrected, DeviceState, Event, EventId, EventKind, Geofence,
    Horizon, LatLon, Position, Rules, Timestamp, TripRules, catalog::Fleet,
};

fn edit(index: &mut GeofenceIndex, edit: CatalogEdit) {
    index.apply(IndexEdit::new(&edit).unwrap(), &mut Touched::default());
}

fn put(index: &mut GeofenceIndex, id: &str, version: u64, shape: Shape, rules: FenceRules) {
    let fence = Geofence {
        id: id.parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: None,
        group: None,
        name: id.to_owned(),
        version,
        shape,
        colour: None,
        rules,
    };
    edit(index, CatalogEdit::Put(CatalogEntry::Geofence(fence)));
}

fn index(fences: impl IntoIterator<Item = Shape>) -> GeofenceIndex {
    ruled(fences.into_iter().map(|shape| (shape, FenceRules::default())))
}

fn ruled(fences: impl IntoIterator<Item = (Shape, FenceRules)>) -> GeofenceIndex {
    let mut index = GeofenceIndex::default();
    let fleet = Fleet {
        id: "north".parse().unwrap(),
        organisation: "org".parse().unwrap(),
        name: String::new(),
        rules: Default::default(),
    };
    edit(&mut index, CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
    for (i, (shape, rules)) in fences.into_iter().enumerate() {
        put(&mut index, &format!("f{i}"), 1, shape, rules);
    }
    index
}

fn box_of(west: f64, south: f64, east: f64, north: f64) -> Shape {
    polygons(&[vec![vec![(west, south), (east, south), (east, north), (west, north)]]], Checks::Strict).unwrap()
}

/// A fix at a longitude on the line through the middle of all boxes.
fn fix(seconds: i64, lon: f64) -> Position {
    Position {
        device: "truck".parse().unwrap(),
        fleet: "north".parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(2_000_000).unwrap(),
        location: LatLon::new(0.5, lon).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: (seconds % 3 == 0).then_some(seconds as f32 / 7.0),
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

fn rules() -> Rules {
    let horizon = Horizon { age_ms: i64::MAX, ..Horizon::default() };
    Rules { trips: Some(TripRules::default()), limit_cm_s: Some(3000), speeding_after_ms: 30_000, horizon, ..Rules::default() }
}

/// A device, everything that was told of it in order, and what came of late fixes.
struct Truck {
    state: DeviceState,
    told: Vec<Event>,
    counts: Corrected,
}

impl Truck {
    fn new() -> Self {
        let state = DeviceState::new("truck".parse().unwrap(), "north".parse().unwrap());
        Self { state, told: Vec::new(), counts: Corrected::default() }
    }

    fn take(&mut self, index: &GeofenceIndex, position: Position, rules: &Rules) {
        match self.state.advance(position, 0, index, rules) {
            Advance::Moved { mut events, .. } => self.told.append(&mut events),
            Advance::Late(position) => self.correct(index, &[*position], rules),
            Advance::Duplicate | Advance::Invalid => {}
        }
    }

    fn correct(&mut self, index: &GeofenceIndex, late: &[Position], rules: &Rules) {
        let latest = self.state.latest.clone();
        let mut done = self.state.correct(late, index, rules);
        assert_eq!(self.state.latest, latest, "a late fix never moves the newest");
        self.told.append(&mut done.events);
        self.counts.placed += done.placed;
        self.counts.duplicate += done.duplicate;
        self.counts.beyond += done.beyond;
    }

    fn reconsider(&mut self, index: &GeofenceIndex) {
        let mut events = self.state.reconsider(index, &rules());
        self.told.append(&mut events);
    }

    /// What stands in the end, without who corrected what and when it was learned.
    fn standing(&self) -> BTreeMap<EventId, Event> {
        let mut out = BTreeMap::new();
        for event in &self.told {
            let known = out.contains_key(&event.id);
            assert!(known || !event.retracted, "{event:?} was never told");
            assert!(event.revises.as_ref().is_none_or(|id| out.contains_key(id)), "{event:?} corrects nothing");
            out.insert(event.id.clone(), event.clone());
        }
        out.retain(|_, e| !e.retracted);
        out.into_values().map(|e| (e.id.clone(), Event { revises: None, received_at: Timestamp::default(), ..e })).collect()
    }

    /// `enter f0@10` in order of time.
    fn lines(&self) -> Vec<String> {
        let mut all: Vec<_> = self.standing().into_values().collect();
        all.sort_by_key(|e| (e.fix_time, e.kind != EventKind::Exit));
        all.iter().map(line).collect()
    }

    /// Saved and loaded, as by a restart. The log may still hold what was saved before: all of it comes, in that order.
    fn restart(&mut self, saved: &mut Vec<Vec<u8>>) {
        saved.extend(self.state.recent.take_unsaved().map(encode_segments));
        let mut restored = decode_state(&encode_state(&self.state)).unwrap();
        for saved in saved {
            restored.recent.restore_closed(decode_segments(saved).unwrap());
        }
        assert_eq!(restored, self.state);
        self.state = restored;
    }
}

fn line(e: &Event) -> String {
    let fence = e.geofence.as_ref().map_or("-", |g| g.as_str());
    let reason = if e.attributes.get("reason").is_some() { " edit" } else { "" };
    format!("{} {fence}@{}{reason}", e.kind.as_str(), e.fix_time.as_millis() / 1000)
}

fn run(index: &GeofenceIndex, fixes: impl IntoIterator<Item = Position>, rules: &Rules) -> Truck {
    let mut truck = Truck::new();
    fixes.into_iter().for_each(|position| truck.take(index, position, rules));
    truck
}

#[test]
fn a_late_crossing_is_told_and_corrections_name_what_they_correct() {
    let index = index([box_of(1.0, 0.0, 2.0, 1.0)]);
    let mut truck = run(&index, [fix(0, 0.5), fix(20, 2.5), fix(40, 1.5), fix(60, 2.5)], &Rules::default());
    assert_eq!(truck.lines(), ["enter f0@40", "exit f0@60"]);
    let told = truck.told.len();
    // It was inside in between; it entered earlier than thought; it left earlier than thought.
    truck.take(&index, fix(10, 1.5), &Rules::default());
    truck.take(&index, fix(30, 1.5), &Rules::default());
    truck.take(&index, fix(50, 2.5), &Rules::default());
    let lines = truck.lines();
    assert_eq!(lines, ["enter f0@10", "exit f0@20", "enter f0@30", "exit f0@50"]);
    let seen = |e: &Event| {
        let revises = e.revises.as_ref().map_or("", |id| id.as_str());
        format!("{}{} {revises}", if e.retracted { "not " } else { "" }, line(e))
    };
    assert_eq!(
        truck.told[told..].iter().map(seen).collect::<Vec<_>>(),
        [
            "enter f0@10 ",
            "exit f0@20 ",
            "not enter f0@40 truck/f0/enter/40000",
            "enter f0@30 truck/f0/enter/40000",
            "not exit f0@60 truck/f0/exit/60000",
            "exit f0@50 truck/f0/exit/60000",
        ]
    );
}

#[test]
fn a_fix_before_the_first_takes_over_being_the_first() {
    let index = index([box_of(1.0, 0.0, 2.0, 1.0)]);
    let initial = |truck: &Truck| truck.standing().values().map(|e| (line(e), !e.attributes.is_empty())).collect::<Vec<_>>();
    let mut truck = run(&index, [fix(20, 1.5)], &Rules::default());
    assert_eq!(initial(&truck), [("enter f0@20".to_owned(), true)]);
    truck.take(&index, fix(10, 0.5), &Rules::default());
    assert_eq!(initial(&truck), [("enter f0@20".to_owned(), false)]);
    truck.take(&index, fix(5, 1.5), &Rules::default());
    assert_eq!(
        initial(&truck),
        [("enter f0@20".to_owned(), false), ("enter f0@5".to_owned(), true), ("exit f0@10".to_owned(), false)]
    );
}

#[test]
fn beyond_the_horizon_is_history_only() {
    let index = index([box_of(1.0, 0.0, 2.0, 1.0)]);
    let rules = Rules { horizon: Horizon { fixes: 64, age_ms: i64::MAX, ..Horizon::default() }, ..Rules::default() };
    let mut truck = run(&index, (0..500).map(|i| fix(1000 + i * 10, 0.5)), &rules);
    assert!(!truck.state.recent.take_shortened());
    assert!((64..128).contains(&truck.state.recent.len()), "{}", truck.state.recent.len());
    let before = truck.state.clone();
    truck.take(&index, fix(1005, 1.5), &rules);
    truck.take(&index, fix(1, 1.5), &rules);
    assert_eq!(truck.state, before);
    assert_eq!((truck.counts.beyond, truck.counts.placed), (2, 0));
    // The 64th from the end still counts.
    truck.take(&index, fix(1000 + (500 - 64) * 10 - 5, 1.5), &rules);
    assert_eq!(truck.counts.placed, 1);
    assert_eq!(truck.lines().len(), 2);

    // Old ones are forgotten, though they are few.
    let rules = Rules { horizon: Horizon { fixes: 1000, age_ms: 3_600_000, ..Horizon::default() }, ..Rules::default() };
    let truck = run(&index, (0..500).map(|i| fix(i * 1800, 0.5)), &rules);
    assert!((2..=128).contains(&truck.state.recent.len()), "{}", truck.state.recent.len());
    // Late ones push nothing out, but there is an end.
    let rules = Rules { horizon: Horizon { fixes: 64, age_ms: i64::MAX, ..Horizon::default() }, ..Rules::default() };
    let truck = run(&index, (0..1000).rev().map(|i| fix(i, 0.5)), &rules);
    assert_eq!((truck.counts.placed, truck.counts.beyond), (4 * 64 - 1, 1000 - 4 * 64));
    // What takes too much memory is forgotten too, by what the device itself has said.
    let rules = Rules { horizon: Horizon { bytes: 400, age_ms: i64::MAX, ..Horizon::default() }, ..Rules::default() };
    let drive = |speed: fn(i64) -> f32| {
        let drive =
            (0..1000).map(move |i| Position { speed_mps: Some(speed(i)), ..fix(1000 + i * 10, 0.5 + speed(i) as f64 / 1e3) });
        drive.collect::<Vec<_>>()
    };
    let (steady, restless) = (drive(|_| 10.0), drive(|i| (i * i % 97) as f32));
    let mut remembered = Vec::new();
    for fixes in [steady, restless] {
        let mut truck = Truck::new();
        for position in fixes {
            truck.take(&index, position, &rules);
            assert!(truck.state.recent.heap_bytes() <= 400 + 64, "{}", truck.state.recent.heap_bytes());
        }
        remembered.push(truck.state.recent.len());
        assert_eq!((truck.state.recent.take_shortened(), truck.state.recent.take_shortened()), (true, false));
        truck.take(&index, fix(1005, 1.5), &rules);
        truck.take(&index, fix(1000 + 985 * 10 - 5, 1.5), &rules);
        assert_eq!((truck.counts.beyond, truck.counts.placed), (1, 1));
    }
    assert!(remembered[0] > 70 && remembered[1] < 60, "{remembered:?}");
    // And it can be switched off.
    let rules = Rules { horizon: Horizon { fixes: 0, ..Horizon::default() }, ..Rules::default() };
    let truck = run(&index, [fix(10, 0.5), fix(20, 0.5), fix(15, 1.5)], &rules);
    assert_eq!((truck.counts.beyond, truck.state.recent.heap_bytes()), (1, 0));
}

#[test]
fn what_an_edit_has_decided_stays() {
    let mut index = index([]);
    let mut truck = run(&index, [fix(10, 1.5), fix(30, 1.5)], &Rules::default());
    put(&mut index, "depot", 5, box_of(1.0, 0.0, 2.0, 1.0), FenceRules::default());
    truck.reconsider(&index);
    let drawn = ["enter depot@30 edit"];
    assert_eq!(truck.lines(), drawn);
    // The area was not there yet; a late fix says nothing about it.
    truck.take(&index, fix(20, 1.5), &Rules::default());
    truck.take(&index, fix(5, 1.5), &Rules::default());
    assert_eq!(truck.lines(), drawn);
    truck.take(&index, fix(40, 0.5), &Rules::default());
    truck.take(&index, fix(35, 0.5), &Rules::default());
    assert_eq!(truck.lines(), ["enter depot@30 edit", "exit depot@35"]);
    truck.take(&index, fix(50, 1.5), &Rules::default());
    edit(&mut index, CatalogEdit::Remove(CatalogKey::Geofence("depot".parse().unwrap())));
    truck.reconsider(&index);
    let all = ["enter depot@30 edit", "exit depot@35", "exit depot@50 edit", "enter depot@50"];
    assert_eq!(truck.lines(), all);
    // Neither does it when the area is gone: it was outside before.
    truck.take(&index, fix(45, 1.5), &Rules::default());
    assert_eq!(truck.lines(), all);
}

#[test]
fn what_is_remembered_of_a_device_is_small() {
    let index = index([box_of(1.0, 0.0, 2.0, 1.0)]);
    let drive = (0..5000).map(|i| Position { speed_mps: Some(13.9), ..fix(i * 10, 0.5 + (i % 2000) as f64 * 0.0013) });
    let truck = run(&index, drive, &rules());
    let bytes = truck.state.recent.heap_bytes();
    assert!(bytes < 2 << 10, "{bytes} bytes for {} fixes", truck.state.recent.len());
    let parked = run(&index, [fix(0, 0.5)], &rules());
    assert!(parked.state.recent.heap_bytes() < 512, "{}", parked.state.recent.heap_bytes());
}

#[test]
fn rubbish_in_the_log_is_forgotten_not_believed() {
    let index = index([box_of(1.0, 0.0, 2.0, 1.0)]);
    let truck = run(&index, (0..10).map(|i| fix(i * 10, 0.5)), &Rules::default());
    let bytes = encode_state(&truck.state);
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x55;
        let Ok(state) = decode_state(&bytes) else { continue };
        let mut truck = Truck { state, told: Vec::new(), counts: Corrected::default() };
        let late = fix(45, 1.5);
        truck.state.correct(&[late], &index, &Rules::default());
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let boxes = (0..30i32, 1..8i32).prop_map(|(x, w)| box_of(f64::from(x), 0.0, f64::from(x + w), 1.0));
    let circles =
        (0..30i32, 1_000.0..600_000.0f64).prop_map(|(x, r)| circle(LatLon::new(0.5, f64::from(x)).unwrap(), r).unwrap());
    let corridors = (0..30i32, 1..8i32, 1_000.0..90_000.0f64)
        .prop_map(|(x, w, width)| corridor(&[(f64::from(x), 0.0), (f64::from(x + w), 0.7)], width).unwrap());
    prop_oneof![boxes, circles, corridors]
}

/// With and without margin, dwell time and opening hours.
fn fences() -> impl Strategy<Value = Vec<(Shape, FenceRules)>> {
    let schedule = serde_json::json!({"time_zone": "Asia/Tokyo", "hours": ["mon-sun 09:00-12:00", "thu-fri 20:00-06:00"]});
    let schedule: waystream_domain::geofence::Schedule = serde_json::from_value(schedule).unwrap();
    let plain =
        (prop_oneof![Just(0.0), 100.0..9_000.0], prop_oneof![Just(0), 1..600u32], prop::option::weighted(0.2, Just(schedule)));
    let more = (prop_oneof![Just(0), 1..900u32], prop::option::of(5.0..60.0f32), any::<bool>(), prop::option::of(1.0..50.0f64));
    let rules = (plain, more).prop_map(|((exit_margin_m, min_dwell_s, schedule), (loitering_s, limit, cross, accuracy))| {
        let schedule = schedule.map(Box::new);
        let rules = FenceRules {
            exit_margin_m,
            min_dwell_s,
            loitering_s,
            speed_limit_mps: limit,
            cross,
            schedule,
            ..Default::default()
        };
        FenceRules { max_accuracy_m: accuracy, ..rules }.check().unwrap()
    });
    prop::collection::vec((shapes(), rules), 0..6)
}

/// A drive in order of time: near places mostly, sometimes a pause of hours.
fn drives() -> impl Strategy<Value = Vec<Position>> {
    let leg = (
        prop_oneof![9 => 1..200i64, 1 => 3_000..10_000i64],
        prop_oneof![4 => -10..=10i32, 1 => -4000..4000i32],
        any::<Option<bool>>(),
        (
            prop_oneof![3 => Just(0), 1 => 0..400u32],
            prop_oneof![5 => Just(None), 1 => Just(Some("sos")), 1 => Just(Some("tow"))],
        ),
    );
    prop::collection::vec(leg, 1..120).prop_map(|legs| {
        let (mut seconds, mut lon_e3, mut fuel) = (0, 10_000, 1000u32);
        let positions = legs.into_iter().map(|(wait, move_e3, ignition, (burnt, alarm))| {
            seconds += wait;
            lon_e3 = (lon_e3 + move_e3).clamp(0, 35_000);
            let mut attributes: Attributes = ignition.map(|on| ("ignition", on)).into_iter().collect();
            fuel = if burnt > fuel { 1000 } else { fuel - burnt };
            if seconds % 2 == 0 {
                attributes.set("fuel_level", f64::from(fuel) / 10.0);
                attributes.set("odometer_m", f64::from(lon_e3) * 10.0);
            }
            if let Some(alarm) = alarm {
                attributes.set("alarm", alarm);
            }
            let accuracy_m = (seconds % 5 == 0).then_some(20.0);
            Position { attributes, accuracy_m, ..fix(seconds, f64::from(lon_e3) / 1000.0) }
        });
        positions.collect()
    })
}

/// The same fixes in another order, some of them repeated.
fn arrivals(drive: Vec<Position>) -> impl Strategy<Value = (Vec<Position>, Vec<Position>)> {
    let n = drive.len();
    (Just(drive.clone()), prop::collection::vec(0..n, 0..20)).prop_flat_map(|(drive, again)| {
        let all: Vec<_> = drive.iter().chain(again.iter().map(|i| &drive[*i])).cloned().collect();
        (Just(drive), Just(all).prop_shuffle())
    })
}

fn check_alternation(truck: &Truck) -> Result<(), TestCaseError> {
    let crossing = |e: &Event| matches!(e.kind, EventKind::Enter | EventKind::Exit);
    let mut all: Vec<_> = truck.standing().into_values().filter(crossing).collect();
    all.sort_by_key(|e| (e.fix_time, e.kind != EventKind::Exit));
    let mut inside = BTreeSet::new();
    for event in all {
        let id = event.geofence.clone().unwrap();
        let changed = if event.kind == EventKind::Enter { inside.insert(id) } else { inside.remove(&id) };
        prop_assert!(changed, "{} twice in a row", line(&event));
    }
    let now: Vec<_> = truck.state.standing.inside.iter().filter(|i| i.is_told()).map(|i| i.geofence.clone()).collect();
    prop_assert_eq!(inside.into_iter().collect::<Vec<_>>(), now);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_order_and_repetition_ends_with_the_events_of_in_order_arrival(
        fences in fences(),
        (drive, arrival) in drives().prop_flat_map(arrivals),
        batches in prop::collection::vec(1..12usize, 1..8),
        restart_every in 1..40usize,
    ) {
        let always_told = fences.iter().all(|(_, rules)| rules.schedule.is_none());
        let index = ruled(fences);
        let in_order = run(&index, drive, &rules());
        let mut shuffled = Truck::new();
        let mut batched = Truck::new();
        let (mut late, mut size) = (Vec::new(), batches.iter().cycle());
        let mut most = *size.next().unwrap();
        let mut saved = Vec::new();
        for (i, position) in arrival.into_iter().enumerate() {
            shuffled.take(&index, position.clone(), &rules());
            if i % restart_every == 0 {
                shuffled.restart(&mut saved);
            }
            // The dataflow corrects by the batch.
            if batched.state.latest.as_ref().is_some_and(|l| position.fix_time < l.live().position.fix_time) {
                late.push(position);
            } else {
                batched.correct(&index, &std::mem::take(&mut late), &rules());
                batched.take(&index, position, &rules());
            }
            if late.len() >= most {
                batched.correct(&index, &std::mem::take(&mut late), &rules());
                most = *size.next().unwrap();
            }
        }
        batched.correct(&index, &late, &rules());
        for other in [&shuffled, &batched] {
            prop_assert_eq!(other.standing(), in_order.standing());
            prop_assert_eq!(&other.state.standing, &in_order.state.standing);
            if always_told {
                check_alternation(other)?;
            }
        }
    }
}
