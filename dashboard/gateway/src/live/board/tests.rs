//! Tests of the board, and positions for tests of others.

use super::*;
use crate::wire::frame::status;
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::{CatalogEdit, CatalogEntry, LatLon};

pub(crate) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a time")
}

pub(crate) fn live(device: &str, fleet: &str, seq: u64, lat: f64, lon: f64) -> LivePosition {
    let time = at(1_000 * seq as i64);
    LivePosition {
        seq,
        position: Position {
            device: device.parse().expect("an id"),
            fleet: fleet.parse().expect("an id"),
            fix_time: time,
            received_at: time,
            location: LatLon::new(lat, lon).expect("a place"),
            valid: true,
            altitude_m: None,
            speed_mps: Some(10.0),
            course_deg: Some(359.9),
            accuracy_m: None,
            protocol: "test".into(),
            attributes: [("ignition", true)].into_iter().collect(),
        },
    }
}

#[test]
fn a_repeat_changes_nothing_and_time_makes_it_late() {
    let mut board = Board::new(1, LinkLimits::default());
    let catalog = Catalog::default();
    assert_eq!(board.apply(live("a", "f", 5, 1.0, 2.0), &catalog, at(5_000)), (0, Update::Placed));
    assert_eq!(board.apply(live("a", "f", 5, 9.0, 9.0), &catalog, at(5_000)), (0, Update::None));
    assert_eq!(board.apply(live("a", "f", 6, 1.1, 2.0), &catalog, at(6_000)), (0, Update::Moved));
    assert_eq!(board.apply(live("b", "f", 1, 1.1, 2.0), &catalog, at(6_000)), (1, Update::Placed));
    assert_eq!(board.record(0).status, status::IGNITION | status::MOVING | status::VALID);
    assert_eq!((board.record(0).speed, board.record(0).course), (360, 0));
    assert_eq!(board.sweep(at(125_999)), [1]);
    assert_eq!(board.sweep(at(126_000)), [0]);
    assert_eq!(board.sweep(at(126_001)), [0u32; 0]);
    assert_eq!(board.record(0).status & 0x30, status::LATE);
    assert_eq!(board.sweep(at(606_000)), [0, 1]);
    assert_eq!(board.record(0).status & 0x30, status::OFFLINE);
}

fn told(enter: bool, seconds: i64, retracted: bool) -> Event {
    let kind = if enter { EventKind::Enter } else { EventKind::Exit };
    let (fence, p): (GeofenceId, Position) = ("depot".parse().expect("id"), live("a", "f", 1, 1.0, 2.0).position);
    Event {
        id: EventId::of(&p.device, Some(&fence), kind, at(seconds)),
        kind,
        device: p.device,
        fleet: p.fleet,
        geofence: Some(fence),
        geofence_version: Some(1),
        fix_time: at(seconds),
        received_at: p.received_at,
        location: p.location,
        revises: None,
        retracted,
        attributes: Default::default(),
    }
}

/// Vehicles of a fleet that are counted inside of `depot`.
fn counted(board: &Board, fleet: &str) -> usize {
    board.occupancy().inside(&"depot".parse().expect("id"), |f| f.as_str() == fleet)
}

#[test]
fn corrections_of_the_past_leave_the_vehicle_where_it_is() {
    let (enter, exit) = (|t| told(true, t, false), |t| told(false, t, false));
    let (not_enter, not_exit) = (|t| told(true, t, true), |t| told(false, t, true));
    for (name, events, inside) in [
        ("plain", vec![enter(10), exit(20), enter(30)], Some(30)),
        ("visit in between", vec![enter(10), exit(20), enter(12), exit(14)], None),
        ("left earlier", vec![enter(10), exit(20), not_exit(20), exit(15)], None),
        ("left earlier, and is back", vec![enter(10), exit(20), enter(30), not_exit(20), exit(15)], Some(30)),
        ("came earlier, and has left", vec![enter(10), exit(20), not_enter(10), enter(5)], None),
        ("came earlier", vec![enter(10), not_enter(10), enter(5)], Some(5)),
        ("an earlier visit", vec![enter(30), enter(10), exit(20)], Some(30)),
        ("area drawn, moved and drawn again", vec![enter(7), exit(7), enter(7)], Some(7)),
    ] {
        let mut board = Board::new(1, LinkLimits::default());
        board.apply(live("a", "f", 1, 1.0, 2.0), &Catalog::default(), at(0));
        events.iter().for_each(|event| board.note_event(event));
        let since: Vec<i64> = board.vehicle(0).inside.iter().map(|(_, since)| since.as_millis()).collect();
        assert_eq!(since, inside.into_iter().collect::<Vec<_>>(), "{name}");
        assert_eq!(counted(&board, "f"), since.len(), "{name}");
    }
}

#[test]
fn who_is_inside_counts_where_the_vehicle_is() {
    let mut board = Board::new(1, LinkLimits::default());
    let mut catalog = Catalog::default();
    let device = Device { id: "a".parse().expect("id"), fleet: "g".parse().expect("id"), name: "Van".into() };
    let counts = |board: &Board| ["f", "g"].map(|fleet| counted(board, fleet));
    board.apply(live("a", "f", 1, 1.0, 2.0), &catalog, at(0));
    board.note_event(&told(true, 10, false));
    board.note_event(&told(true, 10, false));
    assert_eq!((counts(&board), board.take_occupied().len(), board.take_occupied().len()), ([1, 0], 1, 0));
    board.edit(&device.id, Some(&device));
    assert_eq!(counts(&board), [0, 1]);
    board.edit(&device.id, None);
    assert_eq!((counts(&board), board.occupancy().geofences().count()), ([0, 0], 0));
    // While it is hidden it leaves and comes back.
    board.note_event(&told(false, 20, false));
    board.note_event(&told(true, 30, false));
    assert_eq!(counts(&board), [0, 0]);
    board.apply(live("a", "f", 2, 1.0, 2.0), &catalog, at(0));
    assert_eq!(counts(&board), [1, 0]);
    // By a position it comes to the fleet of its entry.
    catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device.clone())));
    board.apply(live("a", "f", 3, 1.0, 2.0), &catalog, at(0));
    assert_eq!(counts(&board), [0, 1]);
    board.hand_over(&device.id);
    assert_eq!(counts(&board), [0, 0]);
    board.apply(live("a", "f", 4, 1.0, 2.0), &catalog, at(0));
    assert_eq!(counts(&board), [0, 0]);
    board.note_event(&told(true, 40, false));
    board.note_event(&told(false, 50, false));
    assert_eq!(counts(&board), [0, 0]);
}

#[test]
fn who_enters_before_its_first_position_is_seen_is_counted_once_it_is() {
    let mut board = Board::new(1, LinkLimits::default());
    board.note_event(&told(true, 10, false));
    assert_eq!(counted(&board, "f"), 0);
    board.take_occupied();
    board.apply(live("a", "f", 1, 1.0, 2.0), &Catalog::default(), at(0));
    assert_eq!((counted(&board, "f"), board.take_occupied().len()), (1, 1));
    board.note_event(&told(false, 20, false));
    assert_eq!(counted(&board, "f"), 0);
    // In order, and once.
    let mut board = Board::new(1, LinkLimits::default());
    [told(true, 10, false), told(false, 20, false), told(true, 30, false)].iter().for_each(|event| board.note_event(event));
    board.apply(live("a", "f", 1, 1.0, 2.0), &Catalog::default(), at(0));
    board.apply(live("a", "f", 2, 1.0, 2.0), &Catalog::default(), at(0));
    let inside: Vec<i64> = board.vehicle(0).inside.iter().map(|(_, since)| since.as_millis()).collect();
    assert_eq!((inside, counted(&board, "f")), (vec![30], 1));
}

#[test]
fn what_happened_under_a_former_owner_is_nothing_to_the_next() {
    let mut catalog = Catalog::default();
    for (fleet, organisation) in [("f", "theirs"), ("g", "ours")] {
        catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(Fleet {
            id: fleet.parse().expect("id"),
            organisation: organisation.parse().expect("id"),
            name: fleet.into(),
            rules: Default::default(),
        })));
    }
    let device = Device { id: "a".parse().expect("id"), fleet: "g".parse().expect("id"), name: "Van".into() };
    catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device)));
    let mut board = Board::new(1, LinkLimits::default());
    board.note_event(&told(true, 10, false));
    board.apply(live("a", "g", 1, 1.0, 2.0), &catalog, at(0));
    assert!(board.vehicle(0).inside.is_empty());
}

#[test]
fn the_catalog_names_and_moves_a_vehicle() {
    let mut board = Board::new(1, LinkLimits::default());
    let mut catalog = Catalog::default();
    let device = Device { id: "a".parse().expect("id"), fleet: "g".parse().expect("id"), name: "Van".into() };
    board.apply(live("a", "f", 1, 1.0, 2.0), &catalog, at(0));
    assert_eq!(board.edit(&device.id, Some(&device)), Some(0));
    assert_eq!(board.edit(&device.id, Some(&device)), None);
    let counts = |board: &Board| ["f", "g"].map(|fleet| board.vehicles_in(&fleet.parse().expect("id")));
    assert_eq!(counts(&board), [0, 1]);
    assert_eq!(board.row(0), (0, "a".into(), "Van".into(), "g".into()));
    catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device.clone())));
    assert_eq!(board.apply(live("a", "f", 2, 1.0, 2.0), &catalog, at(0)), (0, Update::Moved));
    assert_eq!(board.edit(&device.id, None), Some(0));
    assert!(board.vehicle(0).removed);
    assert_eq!(board.edit(&device.id, None), None);
    assert_eq!(counts(&board), [0, 0]);
    catalog.apply(CatalogEdit::Remove(waystream_domain::CatalogKey::Device(device.id)));
    assert_eq!(board.apply(live("a", "f", 3, 1.0, 2.0), &catalog, at(0)), (0, Update::Placed));
    assert_eq!(board.row(0), (0, "a".into(), "a".into(), "f".into()));
    assert_eq!(counts(&board), [1, 0]);
}
