//! What a replay reads is what is stored, each row once, however history lies in pieces, files and memory.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, device, fixture, position};
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::{AttributeValue, Position, Timestamp};
use waystream_sql::{Devices, Fix, FixRequest, FixStream, Mark, Roster, SqlOptions};
use waystream_store::{ArchiveBatch, Archived};

const MARKS: &[Mark] = &[("ignition", |value| u8::from(*value == AttributeValue::Bool(true))), ("alarm", |_| 2)];

const VEHICLES: i64 = 40;

fn name(vehicle: i64) -> String {
    format!("v{vehicle:02}")
}

/// Two hours of forty vehicles, in the order in which it comes: half at its time, some an hour late, some a second time with another place.
fn history() -> [Vec<Position>; 3] {
    let begin = at("2026-03-05T11:00:00Z");
    let [mut in_time, mut late, mut again] = [(); 3].map(|()| Vec::new());
    for vehicle in 0..VEHICLES {
        for n in 0..550 {
            let time = begin.plus_millis(n * 13_000 + vehicle * 37);
            let fleet = if vehicle == 7 { "east" } else { ["north", "south"][(vehicle % 2) as usize] };
            let mut p = position(&name(vehicle), fleet, time, 40.0 + n as f64 / 1e4, vehicle as f64);
            p.valid = n % 50 != 3;
            p.speed_mps = (n % 3 != 0).then_some(n as f32 / 8.0);
            p.course_deg = (n % 5 != 0).then_some((n % 360) as f32);
            p.attributes = match n % 4 {
                0 => Default::default(),
                1 => [("ignition", AttributeValue::from(true)), ("note", "say \"alarm\"".into())].into_iter().collect(),
                2 => [("alarm", AttributeValue::from("sos")), ("ignition", false.into())].into_iter().collect(),
                _ => [("odometer_m", n as f64)].into_iter().collect(),
            };
            if n % 11 == 5 {
                let location = waystream_domain::LatLon::new(-5.0, n as f64 / 10.0).unwrap();
                again.push(Position { location, received_at: p.received_at.plus_millis(3_600_000), ..p.clone() });
            }
            let into = if n % 4 == 2 { &mut late } else { &mut in_time };
            into.push(p);
        }
    }
    [in_time, late, again]
}

/// What must come of all that.
fn expected(history: &[Vec<Position>], roster: &Roster, from: Timestamp, to: Timestamp) -> Vec<Fix> {
    let mut rows = BTreeMap::new();
    for p in history.iter().flatten() {
        rows.insert((p.fix_time, p.device.clone()), p);
    }
    let inside = rows.into_values().filter(|p| p.valid && p.fleet.as_str() != "east" && from <= p.fix_time && p.fix_time <= to);
    let fix = |p: &Position| {
        let on = p.attributes.get("ignition") == Some(&AttributeValue::Bool(true));
        Some(Fix {
            device: roster.place(p.device.as_str())?,
            fix_time: p.fix_time,
            location: p.location,
            speed_mps: p.speed_mps,
            course_deg: p.course_deg,
            marks: u8::from(on) | if p.attributes.get("alarm").is_some() { 2 } else { 0 },
        })
    };
    inside.filter_map(fix).collect()
}

async fn all(mut stream: FixStream) -> Vec<Fix> {
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        let batch = batch.unwrap();
        assert!(!batch.is_empty());
        all.extend(batch);
    }
    all
}

#[tokio::test]
async fn fixes_are_the_stored_rows_in_order_of_time() {
    let f = fixture(SqlOptions::default()).await;
    let history = history();
    let mut offset = 10_000;
    for (part, rows) in history.iter().enumerate() {
        let positions = rows.iter().map(|row| {
            offset += 1;
            Archived { partition: 0, offset, row: row.clone() }
        });
        f.store.append(Arc::new(ArchiveBatch { positions: positions.collect(), ..ArchiveBatch::default() })).await.unwrap();
        if part < 2 {
            f.store.flush().await.unwrap();
        }
    }
    let few: Roster = (0..VEHICLES).map(|vehicle| device(&name(vehicle))).collect();
    // Who is not there costs nothing; of a large fleet little time is tried at first.
    let many: Roster = (0..30_000).map(|n| device(&format!("u{n}"))).chain((0..VEHICLES).map(|v| device(&name(v)))).collect();
    let named = Devices::Only(vec![device("v01"), device("v07"), device("v30")]);
    let some: Roster = [device("v01"), device("v07"), device("v30")].into_iter().collect();
    let (begin, end) = (at("2026-03-05T10:00:00Z"), at("2026-03-05T14:00:00Z"));
    for (devices, roster, from, to) in [
        (Devices::All, &few, begin, end),
        (Devices::All, &many, at("2026-03-05T11:00:00Z"), end),
        (Devices::All, &some, begin, end),
        (named, &some, at("2026-03-05T11:30:00Z"), at("2026-03-05T12:00:00.500Z")),
        (Devices::All, &few, at("1970-01-01"), at("2099-01-01")),
        (Devices::All, &few, end, begin),
    ] {
        let request = FixRequest { devices: devices.clone(), roster: roster.clone(), from, to, marks: MARKS };
        let expected = expected(&history, roster, from, to);
        let fixes = all(f.engine.fixes(&f.acme, request.clone())).await;
        assert_eq!(fixes.len(), expected.len(), "{devices:?} {from} {to}");
        assert!(fixes == expected, "{devices:?} {from} {to}");

        let mut last: BTreeMap<u32, Fix> = BTreeMap::new();
        last.extend(expected.iter().map(|fix| (fix.device, *fix)));
        let mut found = f.engine.last_fixes(&f.acme, request).await.unwrap();
        found.sort_by_key(|fix| fix.device);
        assert_eq!(found, last.into_values().collect::<Vec<_>>(), "{devices:?} {from} {to}");
    }
    let everybody = FixRequest { devices: Devices::All, roster: few.clone(), from: begin, to: end, marks: MARKS };
    let theirs = all(f.engine.fixes(&f.bolt, everybody)).await;
    assert!(!theirs.is_empty() && theirs.iter().all(|fix| few.device(fix.device) == Some(&device("v07"))));

    let reporters = f.engine.reporters(&f.acme, &Devices::All, (begin, end)).await.unwrap();
    let firsts: BTreeMap<_, _> =
        history.iter().flatten().filter(|p| p.fleet.as_str() != "east").fold(BTreeMap::new(), |mut firsts, p| {
            let first = firsts.entry(p.device.clone()).or_insert((p.fleet.clone(), p.fix_time));
            first.1 = first.1.min(p.fix_time);
            firsts
        });
    let found: Vec<_> = reporters.into_iter().map(|r| (r.device, (r.fleet, r.first))).collect();
    assert_eq!(found, firsts.into_iter().collect::<Vec<_>>());
}
