//! Checks of what is kept, and of which version.

use super::{Dice, History, Subject, at, event, position};
use std::collections::BTreeSet;
use waystream_domain::{Erasure, EventKind, FleetId, LatLon, Timestamp};

/// A store shows rows as soon as `append` returns, and again says how far it is readable.
pub async fn rows_are_readable_once_appended(subject: &mut impl Subject) {
    let store = subject.store();
    let mut history = History::default();
    history.check(store.as_ref()).await;
    Dice::new(1).write(&mut history, 50);
    history.append_all(store.as_ref()).await;
    history.check(store.as_ref()).await;
    for (at, end) in history.end() {
        assert!(store.readable()[&at] >= end, "what is in the tables is readable");
    }
}

/// What a flush has answered to cover is there after a crash.
pub async fn flushed_rows_survive_a_crash(subject: &mut impl Subject) {
    let mut history = History::default();
    Dice::new(2).write(&mut history, 500);
    history.append_all(subject.store().as_ref()).await;
    let covered = subject.store().flush().await.expect("flushes");
    for (at, end) in history.end() {
        assert_eq!(covered.get(&at), Some(&end), "a flush covers all that was appended");
    }
    subject.reopen().await;
    assert_eq!(subject.store().covered().await.expect("answers"), covered);
    history.check(subject.store().as_ref()).await;
}

/// A store never claims to cover what a crash can take; appended again it is there once.
pub async fn what_is_not_covered_can_be_appended_again(subject: &mut impl Subject) {
    let mut history = History::default();
    let mut dice = Dice::new(3);
    dice.write(&mut history, 200);
    history.append_all(subject.store().as_ref()).await;
    subject.store().flush().await.expect("flushes");
    dice.write(&mut history, 200);
    history.append_all(subject.store().as_ref()).await;
    subject.reopen().await;
    history.rewind(subject.store().covered().await.expect("answers"));
    history.append_all(subject.store().as_ref()).await;
    history.check(subject.store().as_ref()).await;
    // All of it again, from the beginning, as after the loss of the offsets.
    history.rewind(Default::default());
    history.append_all(subject.store().as_ref()).await;
    history.check(subject.store().as_ref()).await;
}

/// Of versions of a position that which was received last is kept, then that which is last in the log; in whatever order and however far
/// apart they are appended.
pub async fn the_version_received_last_is_kept(subject: &mut impl Subject) {
    let fix_time = at("2026-03-04T10:00:00Z");
    let version = |received_after_ms: i64, altitude_m: f32| {
        let mut p = position("356307042441013", fix_time);
        p.received_at = fix_time.plus_millis(received_after_ms);
        p.altitude_m = Some(altitude_m);
        // The fleet is no part of the identity.
        p.fleet = FleetId::new(format!("fleet {altitude_m}")).expect("an id");
        p
    };
    let mut history = History::default();
    for (versions, kept) in [
        (&[(10, 1.0), (20, 2.0)][..], 2.0),
        (&[(15, 3.0)], 2.0),
        (&[(20, 4.0)], 4.0),
        (&[(30, 5.0), (25, 6.0), (30, 7.0)], 7.0),
    ] {
        versions.iter().for_each(|(after, altitude)| history.position(version(*after, *altitude)));
        history.append_all(subject.store().as_ref()).await;
        for flushed in [false, true] {
            let rows = super::positions(subject.store().as_ref(), &[]).await;
            assert_eq!(rows.iter().map(|p| p.altitude_m).collect::<Vec<_>>(), [Some(kept)], "flushed: {flushed}");
            subject.store().flush().await.expect("flushes");
        }
    }
}

/// The same event again is one event; told differently, the last in the log is kept.
pub async fn an_event_is_kept_once_by_its_id(subject: &mut impl Subject) {
    let p = position("356307042441013", at("2026-03-04T10:00:00Z"));
    let mut history = History::default();
    for retracted in [false, false, true] {
        for kind in [EventKind::Enter, EventKind::Exit] {
            history.event(waystream_domain::Event { retracted, ..event(&p, kind) });
        }
        history.append_all(subject.store().as_ref()).await;
        history.check(subject.store().as_ref()).await;
        subject.store().flush().await.expect("flushes");
    }
    let rows = super::events(subject.store().as_ref(), &[]).await;
    assert_eq!(
        rows.iter().map(|e| (e.row.kind, e.row.retracted)).collect::<Vec<_>>(),
        [(EventKind::Enter, true), (EventKind::Exit, true)]
    );
}

/// Receivers report from before 1970 and from years to come; places at the edges of the map are places.
pub async fn times_of_all_centuries_are_kept(subject: &mut impl Subject) {
    let mut history = History::default();
    for (time, lat, lon) in [
        ("0001-01-01T00:00:00.000Z", 90.0, 180.0),
        ("1949-06-11T06:00:00.001Z", -90.0, -180.0),
        ("1969-12-31T23:59:59.999Z", 0.0, 0.0),
        ("1970-01-01T00:00:00.000Z", 0.0, 0.0),
        ("9999-12-31T23:59:59.999Z", 52.2421311, 21.1359898),
    ] {
        let mut p = position("far away", at(time));
        p.location = LatLon::new(lat, lon).expect("on Earth");
        history.position(p);
    }
    history.append_all(subject.store().as_ref()).await;
    history.check(subject.store().as_ref()).await;
    subject.store().flush().await.expect("flushes");
    subject.reopen().await;
    history.check(subject.store().as_ref()).await;
    assert_eq!(history.expected_positions().len(), 5);
}

/// What was erased is gone from the tables, in memory or stored, and does not come back when the log is read again. What was received
/// later stays, and what other devices and other fleets have.
pub async fn what_was_erased_stays_erased(subject: &mut impl Subject) {
    let mut history = History::default();
    let mut dice = Dice::new(6);
    for rows in [300, 100] {
        dice.write(&mut history, rows);
        for (fleet, hour) in [("north", 8), ("south", 9)] {
            let mut p = position("moved", at(&format!("2024-03-01T{hour:02}:00:00Z")).plus_millis(rows as i64));
            p.fleet = FleetId::new(fleet).expect("an id");
            history.position(p);
        }
        subject.store().flush().await.expect("flushes");
        history.append_all(subject.store().as_ref()).await;
    }
    let north = BTreeSet::from([FleetId::new("north").expect("an id")]);
    for (device, fleets) in [("device-03", None), ("moved", Some(north))] {
        let (device, until) = (device.parse().expect("an id"), at("2024-03-02T12:00:00Z"));
        let erasure = Erasure { device, organisation: None, fleets, until, done_at: None, problem: None };
        subject.store().erase(&erasure).await.expect("erases");
        history.erase(erasure);
        history.check(subject.store().as_ref()).await;
    }
    history.position(position("device-03", at("2024-03-02T12:00:00Z")));
    for _ in 0..2 {
        history.rewind(Default::default());
        history.append_all(subject.store().as_ref()).await;
        history.check(subject.store().as_ref()).await;
        subject.store().flush().await.expect("flushes");
        subject.reopen().await;
        history.check(subject.store().as_ref()).await;
    }
}

/// Appends, flushes, housekeeping and crashes in random order: at every moment each appended row is there once, in its kept version.
pub async fn whatever_happens_each_row_is_there_once(subject: &mut impl Subject) {
    let mut dice = Dice::new(4);
    let mut history = History::default();
    for round in 0..60 {
        match dice.roll(8) {
            0 => drop(subject.store().flush().await.expect("flushes")),
            1 => {
                subject.reopen().await;
                history.rewind(subject.store().covered().await.expect("answers"));
            }
            2 => subject.store().maintain(Timestamp::default()).await.expect("keeps house"),
            _ => {
                let rows = dice.roll(40);
                dice.write(&mut history, rows);
            }
        }
        history.append_all(subject.store().as_ref()).await;
        if round % 5 == 4 {
            history.check(subject.store().as_ref()).await;
        }
    }
    history.check(subject.store().as_ref()).await;
    assert!(subject.store().damage().is_empty());
}
