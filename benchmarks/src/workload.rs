//! The deterministic geofence workload of the shared folder: built from its source, read, and its truth to compare with.

use anyhow::{Context, Result, ensure};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use waystream_domain::catalog::Fleet;
use waystream_domain::geofence::{Checks, Defaults, from_geojson};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, DeviceId, Event, EventKind, LatLon, OrganisationId, Position, Timestamp,
};

/// Sizes of a workload.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Number of geofences: 100, 1000 or 10000.
    pub fences: usize,
    /// Number of devices.
    pub devices: usize,
    /// Fixes of each device.
    pub ticks: usize,
}

/// One set: geofences, positions in the order of their arrival, and what must come out.
#[derive(Debug)]
pub struct Workload {
    /// Its fleets and geofences.
    pub catalog: Vec<CatalogEdit>,
    /// In the order of arrival.
    pub positions: Vec<Position>,
    /// Every event.
    pub truth: BTreeSet<Outcome>,
}

/// An event as the truth has it. Fix times of a device are unique, so they tell which position it was.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    device: u32,
    fix_time_ms: i64,
    fence: u32,
    /// `i` inside at the first fix, `e` enter, `x` exit.
    kind: char,
}

/// Compiles the generator into `dir`.
pub fn build_generator(source: &Path, dir: &Path) -> Result<PathBuf> {
    let program = dir.join("gen");
    let built = Command::new("rustc").args(["-O", "--edition", "2021"]).arg(source).arg("-o").arg(&program).status();
    ensure!(built.context("starting rustc")?.success(), "rustc could not build {}", source.display());
    Ok(program)
}

/// Generates a set in `dir` and reads it.
pub fn generate(generator: &Path, dir: &Path, size: Size) -> Result<Workload> {
    let Size { fences, devices, ticks } = size;
    let numbers = [fences.to_string(), dir.display().to_string(), devices.to_string(), ticks.to_string()];
    let made = Command::new(generator).args(numbers).output().context("starting the generator")?;
    ensure!(made.status.success(), "the generator failed: {}", String::from_utf8_lossy(&made.stderr));
    let file = |name: String| {
        let path = dir.join(name);
        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))
    };
    let (positions, fleets) = positions(&file(format!("positions-{fences}.bin"))?)?;
    let mut catalog: Vec<_> = (0..=fleets).map(|n| CatalogEdit::Put(CatalogEntry::Fleet(fleet(n)))).collect();
    catalog.extend(geofences(&file(format!("fences-{fences}.ndjson"))?)?);
    let truth = truth(&file(format!("events-{fences}.csv"))?, &positions)?;
    Ok(Workload { catalog, positions, truth })
}

fn organisation() -> OrganisationId {
    "workload".parse().expect("an id")
}

fn fleet(number: u16) -> Fleet {
    let id = format!("fleet-{number}").parse().expect("an id");
    Fleet { id, organisation: organisation(), name: format!("Fleet {number}"), rules: Default::default() }
}

fn geofences(ndjson: &[u8]) -> Result<Vec<CatalogEdit>> {
    let text = std::str::from_utf8(ndjson)?;
    let defaults = Defaults { organisation: organisation(), fleet: None, id: None, version: 1, checks: Checks::default() };
    let mut edits = Vec::new();
    for line in text.lines() {
        let fence: serde_json::Value = serde_json::from_str(line)?;
        let feature = serde_json::json!({
            "type": "Feature", "properties": { "id": fence["id"].to_string() }, "geometry": fence["geometry"],
        });
        for fence in from_geojson(&feature.to_string(), &defaults)? {
            edits.push(CatalogEdit::Put(CatalogEntry::Geofence(fence)));
        }
    }
    Ok(edits)
}

/// `device u32 | time_ms i64 | lat_e7 i32 | lon_e7 i32 | speed_cm_s u16 | fleet u16`, little endian. And the highest fleet.
fn positions(bytes: &[u8]) -> Result<(Vec<Position>, u16)> {
    let (records, rest) = bytes.as_chunks::<24>();
    ensure!(rest.is_empty(), "the file of positions is torn");
    let received_at = Timestamp::from_millis(1_760_000_000_000).context("a time")?;
    let mut highest = 0;
    let positions = records.iter().map(|record| {
        let (device, rest) = record.split_first_chunk().context("device")?;
        let (time, rest) = rest.split_first_chunk().context("time")?;
        let (lat, rest) = rest.split_first_chunk().context("lat")?;
        let (lon, rest) = rest.split_first_chunk().context("lon")?;
        let (speed, rest) = rest.split_first_chunk().context("speed")?;
        let (fleet, _) = rest.split_first_chunk().context("fleet")?;
        let fleet = u16::from_le_bytes(*fleet);
        highest = highest.max(fleet);
        Ok(Position {
            device: DeviceId::new(u32::from_le_bytes(*device).to_string())?,
            fleet: format!("fleet-{fleet}").parse()?,
            fix_time: Timestamp::from_millis(i64::from_le_bytes(*time)).context("time out of range")?,
            received_at,
            location: LatLon::from_e7(i32::from_le_bytes(*lat), i32::from_le_bytes(*lon)).context("no place")?,
            valid: true,
            altitude_m: None,
            speed_mps: Some(f32::from(u16::from_le_bytes(*speed)) / 100.0),
            course_deg: None,
            accuracy_m: None,
            protocol: "workload".into(),
            attributes: Attributes::default(),
        })
    });
    let positions = positions.collect::<Result<Vec<_>>>()?;
    Ok((positions, highest))
}

fn truth(csv: &[u8], positions: &[Position]) -> Result<BTreeSet<Outcome>> {
    let text = std::str::from_utf8(csv)?;
    text.lines()
        .filter(|line| line.starts_with(|c: char| c.is_ascii_digit()))
        .map(|line| {
            let [seq, device, fence, kind] = line.split(',').collect::<Vec<_>>()[..] else {
                anyhow::bail!("not a line of the truth: {line}")
            };
            let position = positions.get(seq.parse::<usize>()?).context("no such position")?;
            Ok(Outcome {
                device: device.parse()?,
                fix_time_ms: position.fix_time.as_millis(),
                fence: fence.parse()?,
                kind: kind.chars().next().context("no kind")?,
            })
        })
        .collect()
}

/// An event as the truth would have it; `None`: it is about something else.
pub fn outcome(event: &Event) -> Result<Option<Outcome>> {
    let kind = match event.kind {
        EventKind::Exit => 'x',
        EventKind::Enter if event.attributes.get("initial").is_some() => 'i',
        EventKind::Enter => 'e',
        _ => return Ok(None),
    };
    let fence = event.geofence.as_ref().context("an event without geofence")?;
    Ok(Some(Outcome {
        device: event.device.as_str().parse()?,
        fix_time_ms: event.fix_time.as_millis(),
        fence: fence.as_str().parse()?,
        kind,
    }))
}

/// Compares as sets, and says what differs.
pub fn check(what: &str, truth: &BTreeSet<Outcome>, found: &[Outcome]) -> Result<()> {
    let unique: BTreeSet<_> = found.iter().cloned().collect();
    let missing: Vec<_> = truth.difference(&unique).collect();
    let wrong: Vec<_> = unique.difference(truth).collect();
    ensure!(
        missing.is_empty() && wrong.is_empty() && unique.len() == found.len(),
        "{what}: {} events missing ({:?}…), {} wrong ({:?}…), {} repeated",
        missing.len(),
        missing.first(),
        wrong.len(),
        wrong.first(),
        found.len() - unique.len()
    );
    Ok(())
}
