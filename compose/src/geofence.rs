//! `waystream geofence`: the events of recorded tracks, by the very dataflow that runs live, on a log in a temporary folder.

use anyhow::{Context, bail};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use waystream_connectors::files::{self, RowFault};
use waystream_dataflow::{Dataflow, DataflowConfig, lag};
use waystream_domain::catalog::Fleet;
use waystream_domain::codec::{decode_event, encode_position};
use waystream_domain::geofence::{Checks, Defaults, from_text};
use waystream_domain::{
    Actor, Attributes, CatalogEdit, CatalogEntry, DeviceId, Event, EventKind, FleetId, Geofence, LatLon, OrganisationId,
    Position, Timestamp,
};
use waystream_log::catalog;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Offsets, Record, Topic};

/// Records of one append.
const BATCH: usize = 8192;
/// How often to look whether the dataflow is done; and its epochs: nobody is looking at a map here.
const LOOK_EVERY: Duration = Duration::from_millis(10);
const EPOCH_MS: u64 = 20;

/// Fixes of a device that are remembered for late ones, if there may be such, however old: any file that was ever recorded live.
const LATE_FIXES: usize = 8192;

/// What to compute.
#[derive(Debug, Clone)]
pub struct GeofenceJob {
    /// GeoJSON, KML or WKT files.
    pub fences: Vec<PathBuf>,
    /// Track files.
    pub tracks: Vec<PathBuf>,
    /// Take rows in file order; otherwise each device's are put in order of time first (of equal times the first stands).
    pub as_received: bool,
    /// Dataflow workers.
    pub workers: usize,
}

/// What was computed.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Summary {
    /// Fixes given to the dataflow.
    pub fixes: usize,
    /// Events written.
    pub events: usize,
    /// Rows that are no fix, by reason.
    pub dropped: BTreeMap<&'static str, usize>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} fixes, {} events", self.fixes, self.events)?;
        for (reason, rows) in &self.dropped {
            write!(f, ", {rows} rows dropped ({reason})")?;
        }
        Ok(())
    }
}

/// Where and when a device was: all of a fix that geofences need.
#[derive(Debug, Clone, PartialEq)]
pub struct Sighting {
    /// Who.
    pub device: DeviceId,
    /// When.
    pub fix_time: Timestamp,
    /// Where.
    pub location: LatLon,
    /// Whether it counts.
    pub valid: bool,
}

/// Writes the events as CSV `device_id,fence_id,kind,time`, sorted by device, time and fence.
pub async fn run(job: &GeofenceJob, out: &mut impl Write) -> anyhow::Result<Summary> {
    let files = job.clone();
    let read = move || -> anyhow::Result<_> {
        let fences = read_fences(&files.fences)?;
        let (sightings, dropped) = read_tracks(&files.tracks, files.as_received)?;
        Ok((fences, sightings, dropped))
    };
    let (fences, sightings, dropped) = tokio::task::spawn_blocking(read).await??;
    let fixes = sightings.len();
    let mut events = events(fences, sightings, job.workers).await?;
    events.sort_by(|a, b| (&a.device, a.fix_time, &a.geofence).cmp(&(&b.device, b.fix_time, &b.geofence)));
    writeln!(out, "device_id,fence_id,kind,time")?;
    for event in &events {
        let fence = event.geofence.as_ref().map_or("", |g| g.as_str());
        let (device, kind) = (event.device.as_str(), event.kind.as_str());
        writeln!(out, "{},{},{kind},{}", Field(device), Field(fence), event.fix_time)?;
    }
    out.flush()?;
    Ok(Summary { fixes, events: events.len(), dropped })
}

/// A CSV field, quoted if it must be (RFC 4180).
struct Field<'a>(&'a str);

impl fmt::Display for Field<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.contains(['"', ',']) { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) } else { f.write_str(self.0) }
    }
}

fn organisation() -> OrganisationId {
    "default".parse().expect("a plain word is an id")
}

fn fleet() -> FleetId {
    "default".parse().expect("a plain word is an id")
}

fn read_fences(paths: &[PathBuf]) -> anyhow::Result<Vec<Geofence>> {
    // Published data has rings that nobody would be allowed to draw: inside is what the even-odd rule says.
    let defaults = Defaults { organisation: organisation(), fleet: None, id: None, version: 1, checks: Checks::EvenOdd };
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for path in paths {
        let text = std::fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
        let fences = from_text(&text, &defaults).with_context(|| path.display().to_string())?;
        for fence in fences {
            if !seen.insert(fence.id.clone()) {
                bail!("{}: the geofence id {} is used twice", path.display(), fence.id);
            }
            out.push(Geofence { fleet: None, ..fence });
        }
    }
    Ok(out)
}

fn read_tracks(paths: &[PathBuf], as_received: bool) -> anyhow::Result<(Vec<Sighting>, BTreeMap<&'static str, usize>)> {
    let mut sightings = Vec::new();
    let mut dropped = BTreeMap::new();
    for path in paths {
        read_track(path, &mut sightings, &mut dropped).with_context(|| format!("could not read {}", path.display()))?;
    }
    if !as_received {
        // Stable: of equal times the first in the file comes first, and stands.
        sightings.sort_by_key(|s| s.fix_time);
    }
    Ok((sightings, dropped))
}

fn read_track(path: &Path, sightings: &mut Vec<Sighting>, dropped: &mut BTreeMap<&'static str, usize>) -> anyhow::Result<()> {
    for point in files::open(path)? {
        match point {
            Ok(point) => sightings.push(Sighting {
                device: point.device,
                fix_time: point.fix.fix_time,
                location: point.fix.location,
                valid: point.fix.valid,
            }),
            Err(RowFault::Row { fault, .. }) => *dropped.entry(fault.kind.as_str()).or_default() += 1,
            Err(unreadable) => return Err(unreadable.into()),
        }
    }
    Ok(())
}

fn in_order(sightings: &[Sighting]) -> bool {
    let mut newest = HashMap::new();
    sightings.iter().all(|s| newest.insert(&s.device, s.fix_time).is_none_or(|before| before <= s.fix_time))
}

/// The events of these sightings, taken in this order, that stand in the end; in no particular order.
pub async fn events(fences: Vec<Geofence>, sightings: Vec<Sighting>, workers: usize) -> anyhow::Result<Vec<Event>> {
    let dir = tempfile::tempdir().context("no temporary folder")?;
    let folder = dir.path().to_owned();
    let open = move || EmbeddedLog::open(&folder, EmbeddedOptions { quick_repair: false, ..EmbeddedOptions::default() });
    let log = tokio::task::spawn_blocking(open).await??;
    let fleets = Fleet { id: fleet(), organisation: organisation(), name: String::new(), rules: Default::default() };
    let entries = [CatalogEntry::Fleet(fleets)].into_iter().chain(fences.into_iter().map(CatalogEntry::Geofence));
    let edits: Vec<CatalogEdit> = entries.map(CatalogEdit::Put).collect();
    for some in edits.chunks(BATCH) {
        catalog::begin(&*log, &Actor::CommandLine, some).await?;
    }

    let stop = CancellationToken::new();
    let dataflow = Dataflow::new(DataflowConfig {
        workers,
        epoch_ms: EPOCH_MS,
        late_fixes: if in_order(&sightings) { 0 } else { LATE_FIXES },
        late_hours: u32::MAX,
        // Only who entered and left is asked for, and nobody is silent in the past.
        trips: false,
        late_after_s: 0,
        ..DataflowConfig::default()
    });
    let running = dataflow.run(log.clone() as Arc<dyn Log>, stop.clone());
    let feeding = async {
        append(&*log, Topic::Positions, sightings.into_iter().map(position_record)).await?;
        let mut look = tokio::time::interval(LOOK_EVERY);
        while lag(&*log).await? > 0 {
            look.tick().await;
        }
        stop.cancel();
        Ok(())
    };
    tokio::try_join!(async { running.await.map_err(anyhow::Error::from) }, feeding)?;
    let events = read_events(&*log).await;
    log.close().await;
    events
}

async fn append(log: &dyn Log, topic: Topic, records: impl Iterator<Item = Record>) -> anyhow::Result<()> {
    let mut records = records.peekable();
    while records.peek().is_some() {
        log.append(topic, records.by_ref().take(BATCH).collect()).await?;
    }
    Ok(())
}

fn position_record(sighting: Sighting) -> Record {
    let position = Position {
        device: sighting.device,
        fleet: fleet(),
        fix_time: sighting.fix_time,
        received_at: sighting.fix_time,
        location: sighting.location,
        valid: sighting.valid,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "file".into(),
        attributes: Attributes::default(),
    };
    Record::new(position.device.to_string(), encode_position(&position))
}

async fn read_events(log: &dyn Log) -> anyhow::Result<Vec<Event>> {
    let from: Offsets = (0..log.partitions(Topic::Events)).map(|partition| ((Topic::Events, partition), 0)).collect();
    let mut reader = log.read(Topic::Events, &from).await?;
    // Of what is told again, corrected or retracted, the last word stands.
    let mut events = HashMap::new();
    while let Some(batch) = reader.try_next(BATCH).await? {
        for value in batch.entries.iter().filter_map(|entry| entry.value.as_ref()) {
            let event = decode_event(value)?;
            let word = event.clone();
            if events.insert(event.id.clone(), event).is_some_and(|before| before == word) {
                bail!("the dataflow has told {} twice", word.id);
            }
        }
    }
    let crossing = |event: &Event| matches!(event.kind, EventKind::Enter | EventKind::Exit);
    Ok(events.into_values().filter(|event| crossing(event) && !event.retracted).collect())
}
