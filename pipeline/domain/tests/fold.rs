//! The fold and the geofence index, against the plain definition of enter and exit.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use waystream_domain::geofence::validate::{Checks, circle, polygons};
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, PreparedGeofence, Shape, Touched};
use waystream_domain::{
    Advance, AttributeValue, Attributes, CatalogEdit, CatalogEntry, CatalogKey, DeviceState, Event, EventId, EventKind,
    FleetId, Geofence, GeofenceId, LatLon, Position, Rules, Timestamp, TripRules, catalog::Device, catalog::Fleet,
};

fn fence(id: &str, version: u64, fleet: Option<&str>, shape: Shape) -> Geofence {
    Geofence {
        id: id.parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: fleet.map(|f| f.parse().unwrap()),
        group: None,
        name: id.to_owned(),
        version,
        shape,
        colour: None,
        rules: Default::default(),
    }
}

fn box_of(west: f64, south: f64, east: f64, north: f64) -> Shape {
    let ring = vec![(west, south), (east, south), (east, north), (west, north)];
    polygons(&[vec![ring]], Checks::Strict).unwrap()
}

fn put(fence: Geofence) -> CatalogEdit {
    CatalogEdit::Put(CatalogEntry::Geofence(fence))
}

fn own(fleet: &str, organisation: &str) -> CatalogEdit {
    let (id, organisation) = (fleet.parse().unwrap(), organisation.parse().unwrap());
    CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: String::new(), rules: Default::default() }))
}

fn remove(fence: &str) -> CatalogEdit {
    CatalogEdit::Remove(CatalogKey::Geofence(fence.parse().unwrap()))
}

fn edit(index: &mut GeofenceIndex, edit: &CatalogEdit) -> Touched {
    let mut touched = Touched::default();
    if let Some(edit) = IndexEdit::new(edit) {
        index.apply(edit, &mut touched);
    }
    touched
}

fn index(edits: impl IntoIterator<Item = CatalogEdit>) -> GeofenceIndex {
    let mut index = GeofenceIndex::default();
    for e in edits {
        edit(&mut index, &e);
    }
    index
}

fn at(lat: f64, lon: f64) -> LatLon {
    LatLon::new(lat, lon).unwrap()
}

fn fix(fleet: &str, seconds: i64, location: LatLon) -> Position {
    Position {
        device: "truck".parse().unwrap(),
        fleet: fleet.parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(1_000_000 + seconds).unwrap(),
        location,
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

fn state() -> DeviceState {
    DeviceState::new("truck".parse().unwrap(), "north".parse().unwrap())
}

/// `enter depot@10` and so on.
fn told(events: &[Event]) -> Vec<String> {
    let line = |e: &Event| format!("{} {}@{}", e.kind.as_str(), e.geofence.as_ref().unwrap(), e.fix_time.as_millis() / 1000);
    events.iter().map(line).collect()
}

fn moved(advance: Advance) -> Vec<Event> {
    match advance {
        Advance::Moved { events, .. } => events,
        other => panic!("{other:?}"),
    }
}

#[test]
fn enters_and_exits_are_told_exits_first() {
    let fences = [("b", 0.0, 2.0), ("a", 0.0, 2.0), ("d", 3.0, 5.0), ("c", 3.0, 5.0)];
    let fences = fences.map(|(id, west, east)| put(fence(id, 1, None, box_of(west, 0.0, east, 2.0))));
    let index = index([own("north", "org")].into_iter().chain(fences));
    let mut truck = state();
    let first = moved(truck.advance(fix("north", 0, at(1.0, 1.0)), 1, &index, &Rules::default()));
    assert_eq!(told(&first), ["enter a@0", "enter b@0"]);
    assert_eq!(first[0].attributes.get("initial"), Some(&AttributeValue::Bool(true)));
    let next = moved(truck.advance(fix("north", 10, at(1.0, 4.0)), 2, &index, &Rules::default()));
    assert_eq!(told(&next), ["exit a@10", "exit b@10", "enter c@10", "enter d@10"]);
    assert!(next.iter().all(|e| e.attributes.is_empty()));
    let id =
        EventId::of(&"truck".parse().unwrap(), Some(&"a".parse().unwrap()), EventKind::Exit, Timestamp::from_secs(10).unwrap());
    assert_eq!(next[0].id, id);
}

#[test]
fn late_repeated_and_invalid_positions_do_not_move_it() {
    let index = index([own("north", "org"), put(fence("a", 1, None, box_of(0.0, 0.0, 2.0, 2.0)))]);
    let mut truck = state();
    moved(truck.advance(fix("north", 100, at(1.0, 1.0)), 1, &index, &Rules::default()));
    let before = truck.clone();
    assert_eq!(truck.advance(fix("north", 100, at(5.0, 5.0)), 2, &index, &Rules::default()), Advance::Duplicate);
    assert!(matches!(truck.advance(fix("north", 99, at(5.0, 5.0)), 3, &index, &Rules::default()), Advance::Late(_)));
    assert_eq!(truck.advance(fix("north", 101, at(0.0, 0.0)), 4, &index, &Rules::default()), Advance::Invalid);
    let no_fix = Position { valid: false, ..fix("north", 2_000_000, at(5.0, 5.0)) };
    assert_eq!(truck.advance(no_fix, 5, &index, &Rules::default()), Advance::Invalid);
    assert_eq!(truck, before);
}

#[test]
fn a_geofence_applies_to_its_fleet_and_never_to_another_organisation() {
    let everywhere = || box_of(-10.0, -10.0, 10.0, 10.0);
    let foreign = Geofence { organisation: "other".parse().unwrap(), ..fence("stolen", 1, Some("north"), everywhere()) };
    let index = index([
        own("north", "org"),
        own("south", "org"),
        own("elsewhere", "other"),
        put(fence("all", 1, None, everywhere())),
        put(fence("southern", 1, Some("south"), everywhere())),
        put(foreign),
    ]);
    let holding = |fleet: &str| {
        let fleet: FleetId = fleet.parse().unwrap();
        index.holding(&fleet, at(1.0, 1.0)).into_iter().map(|f| f.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(holding("north"), ["all"]);
    assert_eq!(holding("south"), ["all", "southern"]);
    assert!(holding("elsewhere").is_empty());
    assert!(holding("unknown").is_empty());
}

#[test]
fn a_device_that_changes_its_fleet_leaves_the_old_one() {
    let here = || box_of(0.0, 0.0, 2.0, 2.0);
    let index = index([
        own("north", "org"),
        own("south", "org"),
        put(fence("northern", 1, Some("north"), here())),
        put(fence("southern", 1, Some("south"), here())),
    ]);
    let mut truck = state();
    moved(truck.advance(fix("north", 0, at(1.0, 1.0)), 1, &index, &Rules::default()));
    let Advance::Moved { events, left } = truck.advance(fix("south", 1, at(1.0, 1.0)), 2, &index, &Rules::default()) else {
        panic!("moves")
    };
    assert_eq!(left, Some("north".parse().unwrap()));
    assert_eq!(told(&events), ["exit northern@1", "enter southern@1"]);
    assert_eq!(events.iter().map(|e| e.fleet.as_str()).collect::<Vec<_>>(), ["north", "south"]);
}

#[test]
fn an_edited_geofence_is_decided_at_once_round_a_standing_vehicle() {
    let mut index = index([own("north", "org")]);
    let mut truck = state();
    moved(truck.advance(fix("north", 7, at(1.0, 1.0)), 1, &index, &Rules::default()));
    let mut ids = BTreeSet::new();
    let mut check = |index: &mut GeofenceIndex, truck: &mut DeviceState, e: CatalogEdit, wanted: &[&str], reason: &str| {
        let touched = edit(index, &e);
        assert_eq!(touched.concerns(truck), !wanted.is_empty() || reason == "nothing");
        let events = truck.reconsider(index, &Rules::default());
        assert_eq!(told(&events), wanted);
        for event in events {
            assert_eq!(event.attributes.get("reason"), Some(&AttributeValue::from(reason)));
            assert!(ids.insert(event.id.clone()), "{} twice", event.id);
        }
    };
    let (round, beside) = (|| box_of(0.0, 0.0, 2.0, 2.0), || box_of(3.0, 0.0, 5.0, 2.0));
    check(&mut index, &mut truck, put(fence("a", 1, None, beside())), &[], "");
    check(&mut index, &mut truck, put(fence("a", 2, None, round())), &["enter a@7"], "fence_changed");
    check(&mut index, &mut truck, put(fence("a", 3, None, round())), &[], "nothing");
    check(&mut index, &mut truck, put(fence("a", 4, None, beside())), &["exit a@7"], "fence_changed");
    check(&mut index, &mut truck, put(fence("a", 5, None, round())), &["enter a@7"], "fence_changed");
    check(&mut index, &mut truck, remove("a"), &["exit a@7"], "fence_removed");
    check(&mut index, &mut truck, put(fence("a", 6, None, round())), &["enter a@7"], "fence_changed");
    assert_eq!(truck.standing.inside.iter().map(|i| i.version).collect::<Vec<_>>(), [6]);
}

#[test]
fn a_device_given_to_another_fleet_is_decided_at_once() {
    let here = || box_of(0.0, 0.0, 2.0, 2.0);
    let place = |fleet: &str| {
        let device = Device { id: "truck".parse().unwrap(), fleet: fleet.parse().unwrap(), name: String::new() };
        CatalogEdit::Put(CatalogEntry::Device(device))
    };
    let mut index = index([
        own("north", "org"),
        own("south", "org"),
        put(fence("all", 1, None, here())),
        put(fence("northern", 1, Some("north"), here())),
        put(fence("southern", 1, Some("south"), here())),
        place("north"),
    ]);
    let mut truck = state();
    moved(truck.advance(fix("north", 7, at(1.0, 1.0)), 1, &index, &Rules::default()));
    assert!(!edit(&mut index, &place("north")).concerns(&truck));
    assert!(edit(&mut index, &place("south")).concerns(&truck));
    let events = truck.reconsider(&index, &Rules::default());
    assert_eq!(told(&events), ["exit northern@7", "enter southern@7"]);
    assert_eq!(events.iter().map(|e| e.fleet.as_str()).collect::<Vec<_>>(), ["north", "south"]);
    assert!(events.iter().all(|e| e.attributes.get("reason") == Some(&AttributeValue::from("fleet_changed"))));
    assert_eq!(truck.reconsider(&index, &Rules::default()), []);
    // Its next position comes with the new fleet.
    let next = truck.advance(fix("south", 8, at(1.0, 1.0)), 2, &index, &Rules::default());
    assert_eq!(next, Advance::Moved { events: vec![], left: None });
}

#[test]
fn trips_are_told_beside_geofences_if_there_are_rules() {
    let index = index([own("north", "org"), put(fence("a", 1, None, box_of(0.0, 0.0, 0.5, 0.5)))]);
    let mut truck = state();
    let mut all = Vec::new();
    for (seconds, lon) in [(0, 0.1), (60, 0.1001), (120, 0.2), (180, 0.6), (240, 0.6), (400, 0.6)] {
        all.append(&mut moved(truck.advance(
            fix("north", seconds, at(0.1, lon)),
            0,
            &index,
            &Rules { trips: Some(TripRules::default()), ..Rules::default() },
        )));
    }
    let line = |e: &Event| format!("{} {}", e.fix_time.as_millis() / 1000, e.kind.as_str());
    assert_eq!(
        all.iter().map(line).collect::<Vec<_>>(),
        ["0 enter", "120 moving", "120 trip_start", "180 exit", "400 stopped", "400 trip_end"]
    );
    assert_eq!(all[5].id.as_str(), "truck/-/trip_end/400000");
    assert!(all[5].attributes.get("distance_m").is_some());
}

fn shapes() -> impl Strategy<Value = Shape> {
    let corner = || (-40..40i32, -40..40i32);
    let boxes = (corner(), 1..20i32, 1..20i32)
        .prop_map(|((x, y), w, h)| box_of(f64::from(x), f64::from(y), f64::from(x + w), f64::from(y + h)));
    let triangles = (corner(), corner(), corner()).prop_filter_map("a line", |(a, b, c)| {
        let ring = [a, b, c].map(|(x, y)| (f64::from(x), f64::from(y))).to_vec();
        polygons(&[vec![ring]], Checks::Strict).ok()
    });
    let circles = (corner(), 1.0..2_000_000.0f64)
        .prop_map(|((x, y), radius_m)| circle(at(f64::from(y), f64::from(x)), radius_m).unwrap());
    // Over the 180th meridian, in two.
    let over = (170..179i32, -179..-170i32, -40..39i32)
        .prop_map(|(west, east, y)| box_of(f64::from(west), f64::from(y), f64::from(east), f64::from(y + 1)));
    prop_oneof![boxes, triangles, circles, over]
}

/// Whole degrees hit edges and vertices often.
fn places() -> impl Strategy<Value = LatLon> {
    let near = (-42..42i32, -42..42i32).prop_map(|(lat, lon)| at(f64::from(lat), f64::from(lon)));
    let far = (-42..42i32, 168..=180i32, any::<bool>())
        .prop_map(|(lat, lon, west)| at(f64::from(lat), f64::from(if west { -lon } else { lon })));
    // Receivers without a fix say 0, 0: that is no place.
    prop_oneof![3 => near, 1 => far].prop_filter("null island", |place| !place.is_null_island())
}

proptest! {
    /// At the ends of the world too.
    #[test]
    fn a_geofence_covers_nothing_outside_of_its_bounds(
        centre in (-89.0..89.0f64, -180.0..180.0f64),
        radius_m in 1.0..2_000_000.0f64,
        other in shapes(),
        aside in prop::collection::vec((-30.0..30.0f64, -60.0..60.0f64), 40),
    ) {
        let circle = circle(at(centre.0, centre.1), radius_m).unwrap();
        for fence in [circle, other].map(|shape| PreparedGeofence::new(&fence("f", 1, None, shape))) {
            let [west, south, east, north] = fence.bounds_deg();
            for (up, right) in &aside {
                let (lat, lon) = ((centre.0 + up).clamp(-90.0, 90.0), (centre.1 + right + 540.0).rem_euclid(360.0) - 180.0);
                let is_within = west <= lon && lon <= east && south <= lat && lat <= north;
                prop_assert!(is_within || !fence.covers(at(lat, lon)), "{lat} {lon}: {:?}", fence.bounds_deg());
            }
        }
    }

    #[test]
    fn the_index_finds_what_a_look_at_every_geofence_finds(
        steps in prop::collection::vec((0..12usize, prop::option::weighted(0.8, shapes())), 1..40),
        probes in prop::collection::vec(places(), 1..40),
    ) {
        let mut index = index([own("north", "org")]);
        let mut all: BTreeMap<GeofenceId, PreparedGeofence> = BTreeMap::new();
        for (version, (id, shape)) in steps.into_iter().enumerate() {
            let id = format!("f{id}");
            match shape {
                Some(shape) => {
                    let fence = fence(&id, version as u64, None, shape);
                    all.insert(fence.id.clone(), PreparedGeofence::new(&fence));
                    edit(&mut index, &put(fence));
                }
                None => {
                    all.remove(&id.parse().unwrap());
                    edit(&mut index, &remove(&id));
                }
            }
            prop_assert_eq!(index.len(), all.len());
        }
        for place in probes {
            let found: Vec<_> = index.holding(&"north".parse().unwrap(), place).into_iter().map(|f| f.id.clone()).collect();
            let wanted: Vec<_> = all.values().filter(|f| f.covers(place)).map(|f| f.id.clone()).collect();
            prop_assert_eq!(found, wanted);
        }
    }

    #[test]
    fn enter_and_exit_alternate_and_duplicates_change_nothing(
        fences in prop::collection::vec(shapes(), 1..10),
        fixes in prop::collection::vec((0..60i64, places(), any::<bool>()), 1..60),
    ) {
        let fences = fences.into_iter().enumerate().map(|(i, shape)| put(fence(&format!("f{i}"), 1, None, shape)));
        let index = index([own("north", "org")].into_iter().chain(fences));
        let run = |repeat: bool| {
            let mut truck = state();
            let mut events = Vec::new();
            for (seq, (seconds, place, valid)) in fixes.iter().enumerate() {
                for _ in 0..=usize::from(repeat) {
                    let position = Position { valid: *valid, ..fix("north", *seconds, *place) };
                    if let Advance::Moved { events: mut new, .. } = truck.advance(position, seq as u64, &index, &Rules::default()) {
                        events.append(&mut new);
                    }
                }
            }
            (truck, events)
        };
        let (truck, events) = run(false);
        prop_assert_eq!(&run(true), &(truck.clone(), events.clone()));
        let mut inside: BTreeSet<GeofenceId> = BTreeSet::new();
        let mut ids = BTreeSet::new();
        for event in events {
            let id = event.geofence.clone().unwrap();
            let changed = if event.kind == EventKind::Enter { inside.insert(id) } else { inside.remove(&id) };
            prop_assert!(changed, "{:?} twice in a row", event);
            prop_assert!(ids.insert(event.id.clone()));
        }
        prop_assert_eq!(inside.into_iter().collect::<Vec<_>>(), truck.standing.inside.iter().map(|i| i.geofence.clone()).collect::<Vec<_>>());
    }

    #[test]
    fn edits_in_any_order_end_where_a_fresh_look_ends(
        steps in prop::collection::vec((0..4usize, prop::option::weighted(0.8, shapes())), 1..12),
        place in places(),
    ) {
        let mut index = index([own("north", "org")]);
        let mut truck = state();
        moved(truck.advance(fix("north", 0, place), 1, &index, &Rules::default()));
        for (version, (id, shape)) in steps.into_iter().enumerate() {
            let id = format!("f{id}");
            let e = match shape {
                Some(shape) => put(fence(&id, version as u64, None, shape)),
                None => remove(&id),
            };
            let before = truck.clone();
            let concerned = edit(&mut index, &e).concerns(&truck);
            truck.reconsider(&index, &Rules::default());
            prop_assert!(concerned || truck == before);
        }
        let found: Vec<_> = index.holding(&truck.standing.fleet, place).into_iter().map(|f| f.id.clone()).collect();
        prop_assert_eq!(found, truck.standing.inside.iter().map(|i| i.geofence.clone()).collect::<Vec<_>>());
    }
}
