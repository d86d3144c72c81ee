//! Devices of several kinds as a large fleet has them, to measure what remembering them costs.

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::path::Path;
use waystream_domain::geofence::GeofenceIndex;
use waystream_domain::{Attributes, DeviceState, Horizon, LatLon, Position, Rules, Timestamp, TripRules, units};

/// Different devices of a kind; the others are copies.
const MODELS: usize = 1000;
/// Fixes of each: enough for the last 256 in whole segments.
const FIXES: usize = 400;

/// What the devices do.
#[derive(Debug, Clone)]
pub enum Kind {
    /// They stand, report every minute, and their receivers have a noise of some metres.
    Parked,
    /// They drive about with pauses, and report every ten seconds, odometer and ignition too.
    Road,
    /// Recorded tracks; those with enough fixes.
    Recorded(String),
    /// Each fix is anywhere, with another speed, odometer, fuel and wait: nothing can be foreseen.
    Worst,
}

impl Kind {
    /// `parked`, `road`, `worst`, or the name of recorded tracks.
    pub fn parse(text: &str) -> Self {
        match text {
            "parked" => Self::Parked,
            "road" => Self::Road,
            "worst" => Self::Worst,
            set => Self::Recorded(set.to_owned()),
        }
    }
}

/// Settings as the product has them, but for what a device may remember.
pub fn rules(late_bytes: usize) -> Rules {
    // Recorded tracks may have a night in between; here rings are to be full.
    let horizon = Horizon { bytes: late_bytes, age_ms: i64::MAX, ..Horizon::default() };
    Rules { trips: Some(TripRules::default()), horizon, ..Rules::default() }
}

/// Some devices of a kind after their last fix, with full rings.
pub fn models(kind: &Kind, tracks: &Path, late_bytes: usize) -> Result<Vec<DeviceState>> {
    let (index, rules) = (GeofenceIndex::default(), rules(late_bytes));
    let drive = |positions: Vec<Position>| {
        let first = positions.first()?;
        let mut state = DeviceState::new(first.device.clone(), first.fleet.clone());
        for (seq, position) in (0..).zip(positions) {
            state.hear(position.received_at);
            state.advance(position, seq, &index, &rules);
        }
        Some(state)
    };
    Ok(match kind {
        Kind::Recorded(set) => recorded(&tracks.join(format!("{set}.csv.gz")))?
            .into_values()
            .filter(|positions| positions.len() >= 256)
            .filter_map(drive)
            .collect(),
        made => (0..MODELS).filter_map(|device| drive((0..FIXES).map(|fix| position(made, device, fix)).collect())).collect(),
    })
}

fn position(kind: &Kind, device: usize, fix: usize) -> Position {
    let mut rng = StdRng::seed_from_u64((device * FIXES + fix) as u64);
    let mut attributes: Attributes = [("satellites", 11i64)].into_iter().collect();
    attributes.set("power_v", 13.8);
    let (x, y) = (5.0 + (device % 100) as f64 * 0.2, 40.0 + (device / 100) as f64 * 0.2);
    let mut noise = |most: f64| (rng.random::<f64>() - rng.random::<f64>()) * most;
    let drives = fix % 40 < 30;
    // A degree of latitude has 111 km.
    let (lat, lon, speed_mps, after_s) = match kind {
        Kind::Road => {
            let (angle, gone) = (device as f64 * 2.4 + (fix / 40) as f64, fix.min(fix / 40 * 40 + 30) % 40);
            let gone = gone as f64 * 0.0013 + noise(0.0003);
            let speed = if drives { 14.0 + noise(3.0) } else { 0.0 };
            (y + gone * angle.sin() + noise(2e-5), x + gone * angle.cos() + noise(3e-5), speed, 10 * fix as i64)
        }
        Kind::Worst => (noise(80.0), noise(170.0), noise(100.0).abs(), 1000 * fix as i64 + noise(900.0) as i64),
        Kind::Parked | Kind::Recorded(_) => (y + noise(4e-5), x + noise(6e-5), 0.0, 60 * fix as i64),
    };
    match kind {
        Kind::Road => {
            attributes.set("ignition", drives);
            attributes.set("odometer_m", (1_000_000 + fix * 140) as f64);
        }
        Kind::Worst => {
            attributes.set("odometer_m", noise(2e9).abs());
            attributes.set("fuel_l", noise(6000.0).abs());
        }
        Kind::Parked | Kind::Recorded(_) => attributes.set("ignition", false),
    }
    let fix_time = Timestamp::from_secs(1_760_000_000 + after_s).expect("a time of today");
    Position {
        device: name(device),
        fleet: "fleet".parse().expect("an id"),
        fix_time,
        received_at: fix_time.plus_millis(700),
        location: LatLon::new(lat, lon).expect("on Earth"),
        valid: true,
        altitude_m: Some(230.0),
        speed_mps: Some(speed_mps as f32),
        course_deg: Some((device % 360) as f32),
        accuracy_m: None,
        protocol: "teltonika".into(),
        attributes,
    }
}

/// Fifteen digits, as trackers have.
pub fn name(device: usize) -> waystream_domain::DeviceId {
    format!("35630704{device:07}").parse().expect("an id")
}

/// Positions by device, in the order of their times.
fn recorded(path: &Path) -> Result<BTreeMap<String, Vec<Position>>> {
    let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let mut devices: BTreeMap<String, Vec<Position>> = BTreeMap::new();
    for record in csv::Reader::from_reader(GzDecoder::new(file)).records() {
        let record = record?;
        let [device, time, lat, lon, speed_kmh, ..] = record.iter().collect::<Vec<_>>()[..] else { bail!("too few columns") };
        let degrees = |text: &str| text.parse().unwrap_or(f64::NAN);
        // Recorded faults and all; what is no fix is left out as at the door.
        let (Some(fix_time), Some(location)) = (Timestamp::parse(time), LatLon::new(degrees(lat), degrees(lon))) else {
            continue;
        };
        let model = position(&Kind::Parked, 0, 0);
        let speed_mps = speed_kmh.parse().ok().map(units::mps_from_kmh);
        let position = Position { device: device.parse()?, fix_time, received_at: fix_time, location, speed_mps, ..model };
        devices.entry(device.to_owned()).or_default().push(position);
    }
    devices.values_mut().for_each(|positions| positions.sort_by_key(|p| p.fix_time));
    Ok(devices)
}
