//! Recorded tracks through the store and SQL, against distances that others have computed and journeys that the fold has told.
#![allow(clippy::unwrap_used)]

mod common;
#[path = "../../pipeline/store/tests/support/questdb.rs"]
mod questdb;

use flate2::read::GzDecoder;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use waystream_domain::catalog::Fleet;
use waystream_domain::geofence::GeofenceIndex;
use waystream_domain::{Advance, Catalog, CatalogEdit, CatalogEntry, DeviceState, Rules, Timestamp, TripRules};
use waystream_sql::output::{self, Format};
use waystream_sql::{Devices, Scope, SqlEngine, SqlOptions, TrackRequest};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{ArchiveBatch, Archived, Store};

/// Beside the workspace: recorded tracks and what is true of them.
fn data(path: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")).join(path)
}

struct Row {
    device: String,
    time: String,
    lat: f64,
    lon: f64,
    /// At most seven decimals, which is what a `LatLon` holds.
    exact: bool,
}

/// Rows of a track file whose place is on Earth, in file order.
fn track(set: &str) -> Vec<Row> {
    let file = GzDecoder::new(File::open(data(&format!("tracks/{set}.csv.gz"))).unwrap());
    let exact = |text: &str| text.split_once('.').is_none_or(|(_, decimals)| decimals.len() <= 7);
    let rows = csv::Reader::from_reader(file).into_records().map(|record| {
        let record = record.unwrap();
        let number = |i: usize| record[i].parse().unwrap_or(f64::NAN);
        Row {
            device: record[0].into(),
            time: record[1].into(),
            lat: number(2),
            lon: number(3),
            exact: exact(&record[2]) && exact(&record[3]),
        }
    });
    rows.filter(|r| r.lat.abs() <= 90.0 && r.lon.abs() <= 180.0).collect()
}

/// Those of every so many-th device, in file order: some thousands of rows of each kind prove what all prove, and tests compute slowly.
fn track_of_some(set: &str, one_in: usize) -> Vec<Row> {
    let mut rows = track(set);
    let devices: BTreeSet<&str> = rows.iter().map(|r| r.device.as_str()).collect();
    let kept: BTreeSet<String> = devices.into_iter().step_by(one_in).map(str::to_owned).collect();
    rows.retain(|r| kept.contains(&r.device));
    rows
}

/// One organisation whose only fleet is `bus`.
fn city(store: Arc<dyn Store>, options: SqlOptions) -> (SqlEngine, Scope) {
    let fleet = Fleet {
        id: common::fleet("bus"),
        organisation: common::organisation("city"),
        name: "bus".into(),
        rules: Default::default(),
    };
    let mut catalog = Catalog::default();
    catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
    let scope = Scope::of_organisation(common::organisation("city"), &catalog);
    (SqlEngine::new(store, Arc::new(RwLock::new(catalog)), options).unwrap(), scope)
}

/// Imports a set, or one in so many of its devices, in several files and memory, and asks for the distance of each device and day.
///
/// The truth keeps the first of rows with the same device and time, the store the last received: so they come from the last to the first.
async fn check(set: &str, one_in: usize) {
    let dir = tempfile::tempdir().unwrap();
    check_in(ParquetStore::open(dir.path(), ParquetOptions::default()).unwrap(), set, one_in).await;
}

/// The same in QuestDB.
async fn check_in_questdb(set: &str, one_in: usize) {
    let options = questdb::Server::shared().options();
    check_in(waystream_store::questdb::QuestDbStore::open(options).unwrap(), set, one_in).await;
}

/// The same in a store that is empty.
async fn check_in(store: Arc<dyn Store>, set: &str, one_in: usize) {
    let rows = track_of_some(set, one_in);
    let parts = 4;
    let mut offset = 0;
    let reversed: Vec<&Row> = rows.iter().rev().collect();
    for (i, part) in reversed.chunks(rows.len().div_ceil(parts)).enumerate() {
        let archived = part.iter().map(|r| {
            offset += 1;
            let mut row = common::position(&r.device, "bus", common::at(&r.time), r.lat, r.lon);
            row.received_at = Timestamp::default();
            Archived { partition: 0, offset, row }
        });
        let batch = ArchiveBatch { positions: archived.collect(), ..ArchiveBatch::default() };
        store.append(Arc::new(batch)).await.unwrap();
        if i + 1 < parts {
            store.flush().await.unwrap();
        }
    }
    let deadline = std::time::Duration::from_secs(600);
    let (engine, scope) = city(store, SqlOptions { deadline, max_rows: 1_000_000, ..SqlOptions::default() });

    let distinct: HashSet<(&str, &str)> = rows.iter().map(|r| (r.device.as_str(), r.time.as_str())).collect();
    let count = ask(&engine, &scope, "SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions").await;
    let devices: HashSet<&str> = rows.iter().map(|r| r.device.as_str()).collect();
    assert_eq!(count, [[distinct.len().to_string(), devices.len().to_string()]], "{set}: rows and devices");

    let answer = ask(
        &engine,
        &scope,
        "SELECT device, CAST(day AS DATE) AS day, count(*) AS fixes, coalesce(sum(m), 0) AS haversine_m, coalesce(sum(geodesic), 0) AS geodesic_m,
           path_m(lat, lon ORDER BY fix_time) AS path_m FROM (
           SELECT device, date_trunc('day', fix_time) AS day, haversine_m(lag(lat) OVER w, lag(lon) OVER w, lat, lon) AS m,
             geodesic_m(lag(lat) OVER w, lag(lon) OVER w, lat, lon) AS geodesic, lat, lon, fix_time
           FROM positions WINDOW w AS (PARTITION BY device, date_trunc('day', fix_time) ORDER BY fix_time))
         GROUP BY device, day",
    )
    .await;
    let answer: BTreeMap<(String, String), [f64; 4]> = answer
        .into_iter()
        .map(|r| ((r[0].clone(), r[1].clone()), std::array::from_fn(|i| r[2 + i].parse().unwrap())))
        .collect();
    let inexact: BTreeSet<&str> = rows.iter().filter(|r| !r.exact).map(|r| r.device.as_str()).collect();
    let mut days = 0;
    for record in csv::Reader::from_path(data(&format!("truth/{set}.distance.csv"))).unwrap().into_records() {
        let record = record.unwrap();
        let (device, day) = (&record[0], &record[1]);
        if !devices.contains(device) {
            continue;
        }
        let [true_fixes, true_m, true_geodesic_m] = std::array::from_fn(|i| record[2 + i].parse::<f64>().unwrap());
        let [fixes, m, geodesic_m, path_m] = answer[&(device.to_owned(), day.to_owned())];
        assert_eq!(fixes, true_fixes, "{set}: fixes of {device} on {day}");
        // The truth is rounded to the millimetre. A place with more than seven decimals is moved by up to 8 mm.
        let tolerance = if inexact.contains(device) { 0.016 * fixes } else { 0.000_6 };
        assert!((m - true_m).abs() <= tolerance, "{set}: {device} drove {true_m} m on {day}, not {m} m");
        assert!((path_m - m).abs() <= 1e-6, "{set}: {device} drove {m} m on {day}, not {path_m} m");
        let off = (geodesic_m - true_geodesic_m).abs();
        assert!(off <= tolerance, "{set}: {device} drove {true_geodesic_m} m of geodesics on {day}, not {geodesic_m} m");
        days += 1;
    }
    assert_eq!(answer.len(), days, "{set}: device-days");
    assert!(inexact.len() < devices.len(), "{set}: some are exact");
}

/// Told by the fold as positions come in, and asked for by the same rules afterwards.
async fn check_journeys(set: &str, one_in: usize, rules: TripRules, arguments: &str) {
    let dir = tempfile::tempdir().unwrap();
    let store = ParquetStore::open(dir.path(), ParquetOptions::default()).unwrap();
    let mut rows = track_of_some(set, one_in);
    rows.sort_by(|a, b| (&a.device, &a.time).cmp(&(&b.device, &b.time)));
    rows.dedup_by(|a, b| (&a.device, &a.time) == (&b.device, &b.time));
    let rules = Rules { trips: Some(rules), ..Rules::default() };
    let (index, mut states) = (GeofenceIndex::default(), BTreeMap::new());
    let mut batch = ArchiveBatch::default();
    for (i, r) in rows.iter().enumerate() {
        let mut row = common::position(&r.device, "bus", common::at(&r.time), r.lat, r.lon);
        row.speed_mps = (i % 5 > 0).then_some((i % 37) as f32);
        // An engine that is switched off now and then, and an odometer that not every report has.
        row.attributes = [("ignition", i / 40 % 7 > 0)].into_iter().collect();
        if i % 3 > 0 {
            row.attributes.set("odometer_m", i as f64 * 30.0);
        }
        let new = || DeviceState::new(row.device.clone(), row.fleet.clone());
        let state: &mut DeviceState = states.entry(row.device.clone()).or_insert_with(new);
        if let Advance::Moved { events, .. } = state.advance(row.clone(), i as u64, &index, &rules) {
            for row in events {
                let offset = batch.events.len() as u64;
                batch.events.push(Archived { partition: 0, offset, row });
            }
        }
        batch.positions.push(Archived { partition: 0, offset: i as u64, row });
    }
    store.append(Arc::new(batch)).await.unwrap();
    let (engine, scope) = city(store, SqlOptions { max_rows: 1_000_000, ..SqlOptions::default() });
    for table in ["trips", "stops"] {
        let all = |from: &str| format!("SELECT * FROM {from} ORDER BY device, started_at");
        let told = ask(&engine, &scope, &all(table)).await;
        let asked = ask(&engine, &scope, &all(&format!("{table}{arguments}"))).await;
        assert!(told.len() > 20, "{set}: {} {table}", told.len());
        assert_eq!(asked, told, "{set}: {table}{arguments}");
        let one = format!("SELECT count(*) AS n FROM {table}{arguments} WHERE device = '{}'", told[0][0]);
        let of_device = told.iter().filter(|row| row[0] == told[0][0]).count();
        assert_eq!(ask(&engine, &scope, &one).await, [[of_device.to_string()]], "{set}: {one}");
    }
}

#[tokio::test]
async fn trips_and_stops_out_of_positions_are_those_that_were_told() {
    check_journeys("nyharbor_ais", 1, TripRules::default(), "()").await;
    check_journeys("austin_bus_dst", 3, TripRules::default(), "(NULL, '2100-01-01')").await;
    let rules = TripRules { leave_m: 50.5, stop_after_ms: 600_000, gap_ms: 900_000 };
    check_journeys("nyharbor_ais", 1, rules, "('2000-01-01', NULL, 600, 50.5, 900)").await;
}

async fn ask(engine: &SqlEngine, scope: &Scope, sql: &str) -> Vec<Vec<String>> {
    let mut text = Vec::new();
    output::write(engine.query(scope, sql).await.unwrap(), Format::Csv, &mut text).await.unwrap();
    let rows = csv::Reader::from_reader(text.as_slice()).into_records();
    rows.map(|r| r.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[tokio::test]
async fn distances_of_ships_in_a_harbour_are_true() {
    check("nyharbor_ais", 1).await;
}

#[tokio::test]
async fn distances_of_storms_since_1949_are_true() {
    check("storms_nepac", 1).await;
}

#[tokio::test]
async fn distances_of_buses_out_of_order_are_true() {
    check("austin_bus_dst", 1).await;
    check("austin_bus", 1).await;
}

#[tokio::test]
async fn distances_of_a_citys_buses_are_true() {
    check("warsaw_bus", 8).await;
}

/// Days of silence let a step of the track grow; what is recorded after them is more rows than a step may have.
#[tokio::test]
async fn a_citys_track_comes_whole_however_it_got_into_history() {
    let mut rows = track("warsaw_bus");
    rows.sort_by(|a, b| a.time.cmp(&b.time));
    rows.truncate(160_000);
    let dir = tempfile::tempdir().unwrap();
    let store = ParquetStore::open(dir.path(), ParquetOptions::default()).unwrap();
    let distinct: HashSet<(&str, &str)> = rows.iter().map(|r| (r.device.as_str(), r.time.as_str())).collect();
    let mut offset = 0;
    // As the archive does it while trackers report: little by little.
    for part in rows.chunks(8_000) {
        let archived = part.iter().map(|r| {
            offset += 1;
            let mut row = common::position(&r.device, "bus", common::at(&r.time), r.lat, r.lon);
            row.attributes.set("odometer_m", offset as f64);
            Archived { partition: 0, offset, row }
        });
        let batch = ArchiveBatch { positions: archived.collect(), ..ArchiveBatch::default() };
        store.append(Arc::new(batch)).await.unwrap();
    }
    // No more memory than a step's rows need: how much of history lies in one step must not matter.
    let (engine, scope) = city(store, SqlOptions { memory_bytes: 32 << 20, ..SqlOptions::default() });
    let (from, to) = engine.time_range(&scope).await.unwrap().unwrap();
    let request = TrackRequest { devices: Devices::All, from, to, max_rows: usize::MAX };
    let mut stream = engine.track(&scope, request);
    let (mut count, mut last) = (0, from);
    while let Some(positions) = stream.next().await {
        let positions = positions.unwrap();
        count += positions.len();
        assert!(positions.is_sorted_by_key(|p| p.fix_time) && positions[0].fix_time >= last, "in order");
        last = positions[positions.len() - 1].fix_time;
    }
    assert_eq!(count, distinct.len());
}

#[tokio::test]
async fn distances_of_ships_and_storms_are_true_in_questdb() {
    check_in_questdb("nyharbor_ais", 1).await;
    check_in_questdb("storms_nepac", 1).await;
}

#[tokio::test]
async fn distances_of_buses_out_of_order_are_true_in_questdb() {
    check_in_questdb("austin_bus_dst", 3).await;
    check_in_questdb("austin_bus", 3).await;
}
