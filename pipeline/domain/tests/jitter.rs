//! Exit margin, dwell time and opening hours; and what a widespread tracking server does wrong, each with our answer.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use waystream_domain::geofence::validate::{Checks, circle, polygons};
use waystream_domain::geofence::{FenceRules, GeofenceIndex, IndexEdit, Schedule, Shape, Touched};
use waystream_domain::{
    Advance, Attributes, CatalogEdit, CatalogEntry, DeviceState, Event, Geofence, LatLon, Position, Rules, Timestamp,
    catalog::Fleet,
};

fn index(shape: Shape, rules: FenceRules) -> GeofenceIndex {
    let fleet = Fleet {
        id: "north".parse().unwrap(),
        organisation: "org".parse().unwrap(),
        name: String::new(),
        rules: Default::default(),
    };
    let fence = Geofence {
        id: "depot".parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: None,
        group: None,
        name: "Depot".into(),
        version: 1,
        shape,
        colour: None,
        rules,
    };
    let mut index = GeofenceIndex::default();
    for entry in [CatalogEntry::Fleet(fleet), CatalogEntry::Geofence(fence)] {
        index.apply(IndexEdit::new(&CatalogEdit::Put(entry)).unwrap(), &mut Touched::default());
    }
    index
}

/// 200 m square, its east side on the meridian of 10°.
fn square() -> Shape {
    let degrees = 200.0 / 111_195.08;
    polygons(&[vec![vec![(10.0 - degrees, 0.0), (10.0, 0.0), (10.0, degrees), (10.0 - degrees, degrees)]]], Checks::Strict)
        .unwrap()
}

fn fix(seconds: i64, east_m: f64) -> Position {
    Position {
        device: "truck".parse().unwrap(),
        fleet: "north".parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(seconds).unwrap(),
        // On the equator a metre is as long eastwards as northwards.
        location: LatLon::new(100.0 / 111_195.08, 10.0 + east_m / 111_195.08).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

/// The events that stand in the end, in order of time.
fn stand(index: &GeofenceIndex, fixes: impl IntoIterator<Item = Position>) -> Vec<String> {
    let mut truck = DeviceState::new("truck".parse().unwrap(), "north".parse().unwrap());
    let mut told: Vec<Event> = Vec::new();
    for position in fixes {
        match truck.advance(position, 0, index, &Rules::default()) {
            Advance::Moved { events, .. } => told.extend(events),
            Advance::Late(position) => told.extend(truck.correct(&[*position], index, &Rules::default()).events),
            Advance::Duplicate | Advance::Invalid => {}
        }
    }
    let mut last: Vec<Event> = Vec::new();
    for event in told {
        last.retain(|e| e.id != event.id);
        last.push(event);
    }
    last.retain(|e| !e.retracted);
    last.sort_by_key(|e| e.fix_time);
    last.iter().map(|e| format!("{} {}", e.kind.as_str(), e.fix_time.as_millis() / 1000)).collect()
}

/// (seconds, metres east of the side: negative is inside).
fn tell(rules: &FenceRules, fixes: &[(i64, f64)]) -> Vec<String> {
    stand(&index(square(), rules.clone()), fixes.iter().map(|&(seconds, east_m)| fix(seconds, east_m)))
}

#[test]
fn margin_and_dwell_hold_back_what_does_not_last() {
    let plain = FenceRules::default();
    let margin = FenceRules { exit_margin_m: 20.0, ..FenceRules::default() };
    let dwell = FenceRules { min_dwell_s: 60, ..FenceRules::default() };
    let edge = [(0, 5.0), (10, -5.0), (20, 5.0), (30, -5.0), (40, 5.0), (50, 30.0)];
    assert_eq!(tell(&plain, &edge), ["enter 10", "exit 20", "enter 30", "exit 40"]);
    assert_eq!(tell(&margin, &edge), ["enter 10", "exit 50"]);
    assert_eq!(tell(&dwell, &edge), [""; 0]);
    // Both count from when they began.
    let visit = [(0, 50.0), (10, -50.0), (40, -50.0), (70, -50.0), (80, 50.0), (100, -50.0), (200, 50.0), (300, 50.0)];
    assert_eq!(tell(&dwell, &visit), ["enter 10", "exit 200"]);
    // Passing by is no visit; the first fix has to last too.
    assert_eq!(tell(&dwell, &[(0, -50.0), (30, 50.0), (200, -50.0), (210, 50.0)]), [""; 0]);
    assert_eq!(tell(&dwell, &[(0, -50.0), (90, -50.0)]), ["enter 0"]);
}

#[test]
fn a_schedule_gates_events_and_nothing_else() {
    let hours = serde_json::json!({"time_zone": "UTC", "hours": ["mon-sun 08:00-18:00"]});
    let rules = FenceRules::new(0.0, 0, Some(serde_json::from_value::<Schedule>(hours).unwrap())).unwrap();
    let hour = |h: i64| h * 3600;
    let day = [(hour(6), 50.0), (hour(7), -50.0), (hour(9), 50.0), (hour(10), -50.0), (hour(19), 50.0)];
    assert_eq!(tell(&rules, &day), [format!("exit {}", hour(9)), format!("enter {}", hour(10))]);
}

#[test]
fn where_another_server_errs() {
    // As observed with Traccar 6.14.5; its answers are in shared/geofence-workload/traccar-geofence-behaviour.jsonl.
    let index = index(square(), FenceRules::default());
    let (inside, outside) = (|s| fix(s, -50.0), |s| fix(s, 50.0));
    let check = |name: &str, fixes: Vec<Position>, wanted: &[&str]| assert_eq!(stand(&index, fixes), wanted, "{name}");
    check("first fix inside", vec![inside(0)], &["enter 0"]);
    let margin = FenceRules { exit_margin_m: 60.0, ..FenceRules::default() };
    let flutter = [(0, 50.0), (1, -50.0), (2, 50.0), (3, -50.0), (4, 50.0)];
    assert_eq!(tell(&margin, &flutter), ["enter 1"], "jitter");
    check("in order", vec![outside(0), inside(10), outside(20)], &["enter 10", "exit 20"]);
    check("late", vec![outside(0), outside(20), inside(10)], &["enter 10", "exit 20"]);
    let no_fix = Position { valid: false, ..outside(10) };
    check("invalid fix outside while inside", vec![outside(0), inside(5), no_fix, inside(20)], &["enter 5"]);
    let vague = Position { accuracy_m: Some(2000.0), ..outside(10) };
    check("accuracy 2000 m outside while inside", vec![inside(0), vague, inside(20)], &["enter 0"]);
    check("same fix time, two places", vec![inside(0), outside(10), inside(10)], &["enter 0", "exit 10"]);
    check("resent", vec![outside(0), inside(10), inside(10), inside(10)], &["enter 10"]);
    // A clock that is ten minutes ahead silences nothing: what comes then is in order before it.
    check(
        "future fix, then a crossing",
        vec![outside(0), outside(3610), inside(3020), outside(3030)],
        &["enter 3020", "exit 3030"],
    );
}

#[test]
fn a_fix_that_may_be_anywhere_says_nothing_about_a_small_area() {
    let vague = |seconds, east_m, accuracy_m| Position { accuracy_m: Some(accuracy_m), ..fix(seconds, east_m) };
    let index = index(square(), FenceRules::default());
    // 200 m wide: a fix good for 150 m does not tell inside from outside, one good for 50 m does.
    assert_eq!(stand(&index, [fix(0, 50.0), vague(10, -50.0, 150.0), fix(20, 50.0)]), [""; 0]);
    assert_eq!(stand(&index, [fix(0, 50.0), vague(10, -50.0, 50.0)]), ["enter 10"]);
    // Far outside is outside, however vague.
    assert_eq!(stand(&index, [fix(0, -50.0), vague(10, 500.0, 150.0)]), ["enter 0", "exit 10"]);
    // Cell towers.
    assert_eq!(stand(&index, [vague(0, -50.0, 3_000.0), fix(10, -50.0)]), ["enter 10"]);
}

proptest! {
    #[test]
    fn a_parked_vehicle_at_the_edge_is_told_at_most_once(
        stands_m in -8.0..8.0f64,
        // 4 m noise: about 99.99 % of fixes are within 16 m.
        noise in prop::collection::vec((-16.0..16.0f64, 1..60i64), 1..300),
        round in any::<bool>(),
    ) {
        let shape = if round {
            circle(LatLon::new(100.0 / 111_195.08, 10.0 - 100.0 / 111_195.08).unwrap(), 100.0).unwrap()
        } else {
            square()
        };
        let index = index(shape, FenceRules { exit_margin_m: 30.0, ..FenceRules::default() });
        let mut seconds = 0;
        let fixes: Vec<_> = noise.into_iter().map(|(off_m, wait)| {
            seconds += wait;
            fix(seconds, stands_m + off_m)
        }).collect();
        let told = stand(&index, fixes);
        prop_assert!(told.len() <= 1, "{told:?}");
    }
}
