//! How large one process can be: memory of many devices' states, how long restoring them takes, and what an edit costs among many
//! geofences.

use crate::process;
use crate::report::{Row, grouped, per_second};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use waystream_domain::catalog::Fleet;
use waystream_domain::codec::{decode_segments, decode_state, encode_segments, encode_state};
use waystream_domain::geofence::validate::circle;
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, DeviceState, FleetId, Geofence, Horizon, LatLon, Position, Rules, Timestamp,
    TripRules,
};

/// Edits that are timed.
const EDITS: usize = 2000;

fn fleet() -> FleetId {
    "fleet".parse().expect("an id")
}

fn index() -> GeofenceIndex {
    let mut index = GeofenceIndex::default();
    let organisation = "organisation".parse().expect("an id");
    let fleet = Fleet { id: fleet(), organisation, name: "Fleet".into(), rules: Default::default() };
    let edit = IndexEdit::new(&CatalogEdit::Put(CatalogEntry::Fleet(fleet))).expect("fleets matter to the index");
    index.apply(edit, &mut Touched::default());
    index
}

/// Where a vehicle is after so many fixes: it drives about, each its own way, and stands for a while.
fn place(device: usize, fix: usize) -> LatLon {
    let angle = device as f64 * 2.399_963 + (fix / 40) as f64;
    let (x, y) = ((device % 1000) as f64 * 0.02, (device / 1000) as f64 * 0.02);
    let gone = if fix % 40 < 30 { (fix % 40) as f64 } else { 30.0 } * 0.0015;
    // Noise of some metres, always the same.
    let noise = |n: usize| ((device * 31 + fix * 17 + n) % 101) as f64 * 1e-6;
    LatLon::new(30.0 + y + gone * angle.sin() + noise(3), 5.0 + x + gone * angle.cos() + noise(7)).expect("on Earth")
}

fn position(device: usize, fix: usize) -> Position {
    let mut attributes: Attributes = [("ignition", true)].into_iter().collect();
    attributes.set("odometer_m", (fix * 150) as f64);
    attributes.set("satellites", 11i64);
    attributes.set("power_v", 13.8);
    Position {
        device: format!("35630704{device:07}").parse().expect("an id"),
        fleet: fleet(),
        fix_time: Timestamp::from_secs(1_760_000_000 + fix as i64 * 10).expect("a time"),
        received_at: Timestamp::from_secs(1_760_000_001 + fix as i64 * 10).expect("a time"),
        location: place(device, fix),
        valid: true,
        altitude_m: Some(230.0),
        speed_mps: Some(if fix % 40 < 30 { 13.9 } else { 0.0 }),
        course_deg: Some((device % 360) as f32),
        accuracy_m: None,
        protocol: "teltonika".into(),
        attributes,
    }
}

/// States of many devices after so many fixes each, with so many last fixes remembered: memory of each, and of the process.
pub fn states(devices: usize, fixes: usize, remembered: usize) -> Result<(Vec<Box<DeviceState>>, Row)> {
    let rules = Rules {
        trips: Some(TripRules::default()),
        horizon: Horizon { fixes: remembered, ..Horizon::default() },
        ..Rules::default()
    };
    let index = index();
    let before = process::usage("self")?;
    let states: Vec<_> = (0..devices)
        .map(|device| {
            let mut state = Box::new(DeviceState::new(position(device, 0).device, fleet()));
            for fix in 0..fixes {
                state.hear(position(device, fix).received_at);
                state.advance(position(device, fix), fix as u64, &index, &rules);
            }
            state
        })
        .collect();
    let used = process::usage("self")?.rss.saturating_sub(before.rss);
    let ring: usize = states.iter().map(|s| s.recent.heap_bytes()).sum();
    let figure = format!(
        "{} MB, {} bytes a device, of which {} for its last {} fixes",
        used / 1_000_000,
        used / devices.max(1) as u64,
        ring / devices.max(1),
        states.first().map_or(0, |s| s.recent.len()),
    );
    Ok((states, Row::new(format!("states of {} devices", grouped(devices as u64)), figure)))
}

/// What a start does with them: decodes each state and its last fixes.
pub fn restore(states: &mut [Box<DeviceState>]) -> Result<Row> {
    let saved: Vec<_> =
        states.iter_mut().map(|s| (encode_state(s), s.recent.take_unsaved().map(encode_segments))).collect();
    let bytes: usize = saved.iter().map(|(state, closed)| state.len() + closed.as_ref().map_or(0, Vec::len)).sum();
    let started = Instant::now();
    let mut restored = Vec::with_capacity(saved.len());
    for (state, closed) in &saved {
        let mut state = Box::new(decode_state(state)?);
        if let Some(closed) = closed {
            state.recent.restore_closed(decode_segments(closed)?);
        }
        restored.push(state);
    }
    let took = started.elapsed();
    ensure!(restored.iter().zip(states.iter()).all(|(a, b)| a.standing == b.standing && a.recent == b.recent), "not the same");
    let figure = format!(
        "{:.2} s in one thread ({} devices/s), from {} MB",
        took.as_secs_f64(),
        per_second(saved.len(), took),
        bytes / 1_000_000
    );
    Ok(Row::new(format!("states of {} devices restored", grouped(saved.len() as u64)), figure))
}

fn fence(n: usize, version: u64) -> Result<IndexEdit> {
    let centre = LatLon::new(30.0 + (n / 1000) as f64 * 0.02, 5.0 + (n % 1000) as f64 * 0.02).context("on Earth")?;
    let fence = Geofence {
        id: format!("fence-{n}").parse()?,
        organisation: "organisation".parse()?,
        fleet: None,
        name: format!("Fence {n}"),
        version,
        shape: circle(centre, 200.0 + version as f64)?,
        colour: None,
        rules: Default::default(),
    };
    IndexEdit::new(&CatalogEdit::Put(CatalogEntry::Geofence(fence))).context("geofences matter to the index")
}

/// Many geofences in one index: memory, and what an edit of one costs.
pub fn fences(count: usize) -> Result<Vec<Row>> {
    let before = process::usage("self")?;
    let started = Instant::now();
    let mut index = index();
    for n in 0..count {
        index.apply(fence(n, 1)?, &mut Touched::default());
    }
    let took = started.elapsed();
    let used = process::usage("self")?.rss.saturating_sub(before.rss);
    let mut edits = Vec::new();
    for n in 0..EDITS.min(count) {
        let edit = fence(n * (count / EDITS.min(count)), 2)?;
        let started = Instant::now();
        index.apply(edit, &mut Touched::default());
        edits.push(started.elapsed());
    }
    ensure!(index.len() == count, "an edit replaces");
    let what = format!("{} geofences", grouped(count as u64));
    let built = format!("{:.1} s to build, {} MB", took.as_secs_f64(), used / 1_000_000);
    edits.sort_unstable();
    let us = |at: usize| edits.get(at).map_or(0.0, |d: &Duration| d.as_secs_f64() * 1e6);
    let edits = format!("p50 {:.1} µs, max {:.1} µs", us(edits.len() / 2), us(edits.len().saturating_sub(1)));
    Ok(vec![Row::new(what.clone(), built), Row::new(format!("an edit among {what}"), edits)])
}
