//! How large one process can be: memory of many devices' states, how long restoring them takes, and what an edit costs among many
//! geofences and devices.

use crate::devices::{self, Kind};
use crate::process;
use crate::report::{Row, grouped, per_second};
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::{Duration, Instant};
use waystream_domain::catalog::Fleet;
use waystream_domain::codec::{decode_segments, decode_state, encode_segments, encode_state};
use waystream_domain::geofence::validate::circle;
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, CatalogKey, DeviceState, FleetId, Geofence, LatLon, Position, Rules, States,
    Timestamp,
};

/// Edits that are timed, of each kind.
const EDITS: usize = 1000;

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

/// States and their last fixes as they are written.
pub type Saved = Vec<(Vec<u8>, Vec<u8>)>;

/// Some devices of a kind with full rings.
pub fn models(kind: &str, late_bytes: usize, tracks: &Path) -> Result<Saved> {
    let mut models = devices::models(&Kind::parse(kind), tracks, late_bytes)?;
    ensure!(!models.is_empty(), "no device has enough fixes");
    let save = |s: &mut DeviceState| (encode_state(s), s.recent.take_unsaved().map(encode_segments).unwrap_or_default());
    Ok(models.iter_mut().map(save).collect())
}

/// States of so many devices, as the dataflow keeps them.
fn restored(saved: &Saved, devices: usize) -> Result<States> {
    let (index, mut states) = (index(), States::default());
    for n in 0..devices {
        let mut state = decode_state(&saved[n % saved.len()].0)?;
        state.device = devices::name(n);
        let number = states.put(state);
        states.file(number, &index);
    }
    for n in 0..devices {
        let number = states.find(&devices::name(n)).context("it was put in")?;
        let closed = &saved[n % saved.len()].1;
        if !closed.is_empty() {
            states.get_mut(number).recent.restore_closed(decode_segments(closed)?);
        }
    }
    Ok(states)
}

/// Memory of so many devices. To be measured in a process that has done nothing else: memory that was freed before is not seen to be
/// taken again.
pub fn memory(what: &str, saved: &Saved, devices: usize) -> Result<Row> {
    let before = process::usage("self")?;
    let states = restored(saved, devices)?;
    let used = process::usage("self")?.rss.saturating_sub(before.rss);
    let all = (0..devices as u32).map(|n| &states.get(n).recent);
    let (ring, fixes) = all.fold((0, 0), |(ring, fixes), r| (ring + r.heap_bytes(), fixes + r.len()));
    let figure = format!(
        "{} MiB, {} bytes a device, of which {} for its last {} fixes",
        used >> 20,
        used / devices.max(1) as u64,
        ring / devices.max(1),
        fixes / devices.max(1),
    );
    Ok(Row::new(format!("states of {} devices, {what}", grouped(devices as u64)), figure))
}

/// What a start does with many states: decodes each and its last fixes, and files it.
pub fn restore(what: &str, saved: &Saved, devices: usize) -> Result<Row> {
    let bytes: usize = (0..devices).map(|n| &saved[n % saved.len()]).map(|(state, closed)| state.len() + closed.len()).sum();
    let started = Instant::now();
    let states = restored(saved, devices)?;
    let took = started.elapsed();
    for (number, (state, _)) in (0..).zip(saved).take(devices) {
        let mut again = decode_state(state)?;
        again.device = states.get(number).device.clone();
        ensure!(again.standing == states.get(number).standing, "not the same");
    }
    let figure = format!(
        "{:.2} s in one thread ({} devices/s), from {} MB",
        took.as_secs_f64(),
        per_second(devices, took),
        bytes / 1_000_000
    );
    Ok(Row::new(format!("states of {} devices restored, {what}", grouped(devices as u64)), figure))
}

fn place(n: usize) -> Result<LatLon> {
    LatLon::new(30.0 + (n / 1000) as f64 * 0.02, 5.0 + (n % 1000) as f64 * 0.02).context("on Earth")
}

/// Round the place of device `n`.
fn fence(n: usize, version: u64, radius_m: f64) -> Result<IndexEdit> {
    let fence = Geofence {
        id: format!("fence-{n}").parse()?,
        organisation: "organisation".parse()?,
        fleet: None,
        group: None,
        name: format!("Fence {n}"),
        version,
        shape: circle(place(n)?, radius_m)?,
        colour: None,
        rules: Default::default(),
    };
    IndexEdit::new(&CatalogEdit::Put(CatalogEntry::Geofence(fence))).context("geofences matter to the index")
}

/// Many geofences with a device in each: memory, and what an edit of one costs, from the edit to the bytes of what has changed.
pub fn edits(fences: usize, devices: usize) -> Result<Vec<Row>> {
    let before = process::usage("self")?;
    let started = Instant::now();
    let mut index = index();
    for n in 0..fences {
        index.apply(fence(n, 1, 200.0)?, &mut Touched::default());
    }
    let took = started.elapsed();
    let used = process::usage("self")?.rss.saturating_sub(before.rss);
    let built = format!("{:.1} s to build, {} MB", took.as_secs_f64(), used / 1_000_000);
    let mut rows = vec![Row::new(format!("{} geofences", grouped(fences as u64)), built)];
    let mut states = States::default();
    let rules = Rules::default();
    for n in 0..devices {
        let mut state = DeviceState::new(devices::name(n), fleet());
        state.advance(standing_at(n)?, 1, &index, &rules);
        let number = states.put(state);
        states.file(number, &index);
    }
    let count = EDITS.min(fences.min(devices));
    let chosen: Vec<usize> = (0..count).map(|n| n * (fences.min(devices) / count)).collect();
    let removal = |n: usize| -> Result<IndexEdit> {
        let key = CatalogKey::Geofence(format!("fence-{n}").parse()?);
        IndexEdit::new(&CatalogEdit::Remove(key)).context("geofences matter to the index")
    };
    type Edit<'a> = &'a dyn Fn(usize) -> Result<IndexEdit>;
    let kinds: [(&str, usize, Edit<'_>); 4] = [
        ("made larger, the device stays inside", 0, &|n| fence(n, 2, 250.0)),
        ("removed, the device exits", 1, &removal),
        ("drawn, the device enters", 1, &|n| fence(n, 3, 200.0)),
        ("made so large that it holds hundreds of others", 1000, &|n| fence(n, 4, 35_000.0)),
    ];
    for (what, most, edit) in kinds {
        let (mut took, mut events, mut concerned) = (Vec::new(), 0, 0);
        for &n in &chosen[..if most > 1 { count.min(20) } else { count }] {
            let edit = edit(n)?;
            let started = Instant::now();
            let mut touched = Touched::default();
            index.apply(edit, &mut touched);
            for number in states.concerned(&touched) {
                concerned += 1;
                events += states.get_mut(number).reconsider(&index, &rules).len();
                states.file(number, &index);
                std::hint::black_box(encode_state(states.get(number)));
            }
            took.push(started.elapsed());
        }
        if most <= 1 {
            ensure!(events == most * took.len(), "{events} events of {} edits", took.len());
        }
        took.sort_unstable();
        let us = |at: usize| took.get(at).map_or(0.0, |d: &Duration| d.as_secs_f64() * 1e6);
        let each = concerned as f64 / took.len().max(1) as f64;
        let figure = format!(
            "p50 {:.0} µs, p99 {:.0} µs, max {:.0} µs; concerns {each:.0} devices",
            us(took.len() / 2),
            us(took.len() * 99 / 100),
            us(took.len().saturating_sub(1))
        );
        let among = format!("{} geofences and {} devices", grouped(fences as u64), grouped(devices as u64));
        rows.push(Row::new(format!("an edit among {among}: {what}"), figure));
    }
    Ok(rows)
}

fn standing_at(n: usize) -> Result<Position> {
    let fix_time = Timestamp::from_secs(1_760_000_000).context("a time")?;
    Ok(Position {
        device: devices::name(n),
        fleet: fleet(),
        fix_time,
        received_at: fix_time,
        location: place(n)?,
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "teltonika".into(),
        attributes: Attributes::default(),
    })
}
