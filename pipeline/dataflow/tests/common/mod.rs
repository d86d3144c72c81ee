//! What the dataflow's tests share: an embedded log in a folder, geofences and positions in it, and what came out.
#![allow(clippy::unwrap_used, dead_code)]

pub(crate) mod faulty;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waystream_dataflow::{Dataflow, DataflowConfig, DataflowError, lag};
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::codec::{decode_event, decode_snapshot, encode_catalog, encode_position};
use waystream_domain::geofence::{Checks, Shape, validate};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, CatalogKey, Event, EventKind, FleetSnapshot, Geofence, LatLon, Position, Timestamp,
};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Offsets, Record, Topic};

pub(crate) fn open(dir: &Path) -> Arc<EmbeddedLog> {
    let options = EmbeddedOptions { quick_repair: false, ..EmbeddedOptions::default() };
    EmbeddedLog::open(dir, options).unwrap()
}

/// A dataflow that runs until it is stopped.
pub(crate) struct Running {
    pub(crate) token: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), DataflowError>>,
}

pub(crate) fn start(log: Arc<dyn Log>, workers: usize) -> Running {
    // Times are made up here: everybody has been silent for long.
    start_with(log, DataflowConfig { workers, late_after_s: 0, ..DataflowConfig::default() })
}

pub(crate) fn start_with(log: Arc<dyn Log>, config: DataflowConfig) -> Running {
    let token = CancellationToken::new();
    let config = DataflowConfig { epoch_ms: 10, ..config };
    let dataflow = Dataflow::new(config);
    Running { task: tokio::spawn(dataflow.run(log, token.clone())), token }
}

impl Running {
    pub(crate) async fn stop(self) -> Result<(), DataflowError> {
        self.token.cancel();
        self.task.await.unwrap()
    }
}

/// Returns when everything appended so far is concluded.
pub(crate) async fn caught_up(log: &dyn Log) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
    while lag(log).await.unwrap() > 0 {
        tick.tick().await;
    }
}

pub(crate) async fn edit(log: &dyn Log, edits: Vec<CatalogEdit>) {
    let records = edits.iter().map(|edit| {
        let (key, value) = encode_catalog(edit);
        Record { key: key.into(), value: value.map(Into::into) }
    });
    log.append(Topic::Catalog, records.collect()).await.unwrap();
}

pub(crate) fn own(fleet: &str) -> CatalogEdit {
    let fleet = Fleet {
        id: fleet.parse().unwrap(),
        organisation: "org".parse().unwrap(),
        name: fleet.to_owned(),
        rules: Default::default(),
    };
    CatalogEdit::Put(CatalogEntry::Fleet(fleet))
}

fn geofence(id: &str, version: u64, shape: Shape) -> Geofence {
    Geofence {
        id: id.parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: None,
        group: None,
        name: id.to_owned(),
        version,
        shape,
        colour: None,
        rules: Default::default(),
    }
}

pub(crate) fn put(id: &str, version: u64, shape: Shape) -> CatalogEdit {
    CatalogEdit::Put(CatalogEntry::Geofence(geofence(id, version, shape)))
}

/// Only for one fleet.
pub(crate) fn put_for(id: &str, fleet: &str, shape: Shape) -> CatalogEdit {
    CatalogEdit::Put(CatalogEntry::Geofence(Geofence { fleet: Some(fleet.parse().unwrap()), ..geofence(id, 1, shape) }))
}

/// A device in a fleet.
pub(crate) fn place(device: &str, fleet: &str) -> CatalogEdit {
    let device = Device { id: device.parse().unwrap(), fleet: fleet.parse().unwrap(), name: device.to_owned() };
    CatalogEdit::Put(CatalogEntry::Device(device))
}

pub(crate) fn remove(id: &str) -> CatalogEdit {
    CatalogEdit::Remove(CatalogKey::Geofence(id.parse().unwrap()))
}

pub(crate) fn box_of(west: f64, south: f64, east: f64, north: f64) -> Shape {
    let ring = vec![(west, south), (east, south), (east, north), (west, north)];
    validate::polygons(&[vec![ring]], Checks::Strict).unwrap()
}

pub(crate) fn fix(device: &str, fleet: &str, seconds: i64, lat: f64, lon: f64) -> Position {
    Position {
        device: device.parse().unwrap(),
        fleet: fleet.parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(1_700_000_000).unwrap(),
        location: LatLon::new(lat, lon).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

pub(crate) async fn append(log: &dyn Log, positions: &[Position]) {
    let record = |p: &Position| Record::new(p.device.to_string(), encode_position(p));
    log.append(Topic::Positions, positions.iter().map(record).collect()).await.unwrap();
}

/// Every record of a topic, partition by partition, in order.
pub(crate) async fn records(log: &dyn Log, topic: Topic) -> Vec<Vec<u8>> {
    let from: Offsets = (0..log.partitions(topic)).map(|p| ((topic, p), 0)).collect();
    let mut reader = log.read(topic, &from).await.unwrap();
    let mut out = Vec::new();
    while let Some(batch) = reader.try_next(1024).await.unwrap() {
        out.extend(batch.entries.into_iter().filter_map(|e| Some(e.value?.to_vec())));
    }
    out
}

/// Enters and exits.
pub(crate) async fn events(log: &dyn Log) -> Vec<Event> {
    let crossing = |e: &Event| matches!(e.kind, EventKind::Enter | EventKind::Exit);
    all_events(log).await.into_iter().filter(crossing).collect()
}

pub(crate) async fn all_events(log: &dyn Log) -> Vec<Event> {
    records(log, Topic::Events).await.iter().map(|v| decode_event(v).unwrap()).collect()
}

pub(crate) async fn snapshots(log: &dyn Log) -> Vec<FleetSnapshot> {
    records(log, Topic::Snapshots).await.iter().map(|v| decode_snapshot(v).unwrap()).collect()
}

/// `truck enter depot@10`, sorted.
pub(crate) fn told(events: &[Event]) -> Vec<String> {
    let line = |e: &Event| {
        let fence = e.geofence.as_ref().unwrap();
        format!("{} {} {fence}@{}", e.device, e.kind.as_str(), e.fix_time.as_millis() / 1000)
    };
    let mut lines: Vec<_> = events.iter().map(line).collect();
    lines.sort();
    lines
}

/// The same positions as a bad network brings them: pieces of some minutes newest first, others shuffled, some repeated. Always
/// the same.
pub(crate) fn out_of_order(positions: &[Position]) -> Vec<Position> {
    let mut out = Vec::new();
    let mut random = 7u64;
    for (n, piece) in positions.chunks(positions.len().div_ceil(9)).enumerate() {
        let mut piece = piece.to_vec();
        match n % 3 {
            0 => piece.reverse(),
            1 => (1..piece.len()).rev().for_each(|i| {
                // xorshift64 (Marsaglia 2003).
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                piece.swap(i, (random % (i as u64 + 1)) as usize);
            }),
            _ => {}
        }
        let again: Vec<_> = piece.iter().step_by(5).cloned().collect();
        out.extend(piece);
        out.extend(again);
    }
    out
}

/// What stands in the end: of each event the last word, if that is not that it did not happen; without when it was learned.
pub(crate) fn standing(events: Vec<Event>) -> Vec<Event> {
    let last: BTreeMap<_, _> = events.into_iter().map(|e| (e.id.clone(), e)).collect();
    let stands = last.into_values().filter(|e| !e.retracted);
    stands.map(|e| Event { revises: None, received_at: Timestamp::default(), ..e }).collect()
}
