//! `waystream geofence` against answers that others have computed: `shared/data/truth` and `shared/geofence-workload`.
#![allow(clippy::unwrap_used)]

use flate2::read::GzDecoder;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use waystream::geofence::{GeofenceJob, Sighting, Summary, events, run};
use waystream_domain::geofence::{Checks, Defaults, from_geojson};
use waystream_domain::{AttributeValue, DeviceId, EventKind, Geofence, LatLon, Timestamp};

fn shared(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared").join(path)
}

/// `device_id,fence_id,kind,time` lines.
async fn computed(tracks: &str, fences: &[&str], workers: usize, as_received: bool) -> (BTreeSet<String>, Summary) {
    let job = GeofenceJob {
        fences: fences.iter().map(|f| shared(&format!("data/fences/{f}.geojson"))).collect(),
        tracks: vec![shared(&format!("data/tracks/{tracks}.csv.gz"))],
        as_received,
        workers,
    };
    let mut out = Vec::new();
    let summary = run(&job, &mut out).await.unwrap();
    let lines: Vec<String> = String::from_utf8(out).unwrap().lines().skip(1).map(str::to_owned).collect();
    let set: BTreeSet<String> = lines.iter().cloned().collect();
    assert_eq!(set.len(), lines.len(), "an event is told twice");
    (set, summary)
}

fn truth(name: &str) -> BTreeSet<String> {
    let mut text = String::new();
    let file = File::open(shared(&format!("data/truth/{name}.events.csv.gz"))).unwrap();
    GzDecoder::new(file).read_to_string(&mut text).unwrap();
    text.lines().skip(1).map(str::to_owned).collect()
}

/// Fixes within 1e-7 degree of an edge (1 cm of a circle), `device,fence,`: times at which other arithmetic may decide otherwise.
fn near_boundary(name: &str) -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(shared(&format!("data/truth/{name}.near_boundary.csv"))).unwrap();
    let mut out: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        out.entry(format!("{},{},", fields[0], fields[2])).or_default().push(fields[1].to_owned());
    }
    out
}

/// Events that differ, without those that depend on a fix near a boundary: such a fix, decided otherwise, makes or unmakes an event
/// at its own time and one at the next fix.
fn differences(name: &str, found: &BTreeSet<String>, wanted: &BTreeSet<String>) -> Vec<String> {
    let mut differ: Vec<String> = found.symmetric_difference(wanted).cloned().collect();
    for (pair, times) in near_boundary(name) {
        for time in times {
            let of_fix = |line: &String| line.starts_with(&pair) && line.rsplit(',').next().unwrap() >= time.as_str();
            // Times of one format sort as text.
            let mut excused: Vec<String> = differ.iter().filter(|line| of_fix(line)).cloned().collect();
            excused.sort_by(|a, b| a.rsplit(',').next().cmp(&b.rsplit(',').next()));
            if excused.first().is_some_and(|first| first.ends_with(&time)) {
                differ.retain(|line| !excused[..excused.len().min(2)].contains(line));
            }
        }
    }
    differ
}

async fn check(tracks: &str, truth_name: &str, fences: &[&str], workers: &[usize]) {
    check_order(tracks, truth_name, fences, workers, false).await;
}

/// The rows of these are not in order of time, or repeat a time at another place.
async fn check_as_received(tracks: &str, truth_name: &str, fences: &[&str], workers: &[usize]) {
    check_order(tracks, truth_name, fences, workers, true).await;
}

async fn check_order(tracks: &str, truth_name: &str, fences: &[&str], workers: &[usize], as_received: bool) {
    let wanted = truth(truth_name);
    for &workers in workers {
        let (found, summary) = computed(tracks, fences, workers, as_received).await;
        let differ = differences(truth_name, &found, &wanted);
        assert!(
            differ.is_empty(),
            "{truth_name}, {workers} workers, as received {as_received}: {summary}; {} events differ: {differ:.10?}",
            differ.len()
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warsaw_buses_and_districts() {
    check("warsaw_bus", "warsaw_bus", &["warsaw_districts"], &[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn warsaw_buses_and_stops_by_geodesic_distance() {
    check("warsaw_bus", "warsaw_bus_circles", &["warsaw_stop_circles"], &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn austin_buses_and_neighborhoods_without_null_island() {
    check("austin_bus", "austin_bus_nozero", &["austin_neighborhoods"], &[1, 2]).await;
    check_as_received("austin_bus", "austin_bus_nozero", &["austin_neighborhoods"], &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn austin_buses_over_the_change_to_summer_time() {
    check("austin_bus_dst", "austin_bus_dst", &["austin_neighborhoods"], &[1, 2]).await;
    check_as_received("austin_bus_dst", "austin_bus_dst", &["austin_neighborhoods"], &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storms_over_the_antimeridian() {
    check("storms_nepac", "storms_nepac", &["pacific_seas_50m", "world_countries_50m"], &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ships_and_islands_in_new_york() {
    check("nyharbor_ais", "nyharbor_ais", &["nyc_boroughs"], &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_receivers_at_the_poles() {
    check("ais_awkward", "ais_awkward", &["world_countries_50m", "pacific_seas_50m"], &[1, 2]).await;
    check_as_received("ais_awkward", "ais_awkward", &["world_countries_50m", "pacific_seas_50m"], &[1, 2]).await;
}

/// Compiles the generator of the shared workload and runs it for a number of geofences.
fn generate(fences: usize, dir: &Path) {
    let program = dir.join("gen");
    let source = shared("geofence-workload/gen.rs");
    let compiled = Command::new("rustc").args(["-O", "--edition", "2021", "-o"]).arg(&program).arg(&source).status().unwrap();
    assert!(compiled.success());
    assert!(Command::new(&program).arg(fences.to_string()).arg(dir).status().unwrap().success());
}

fn workload_fences(path: &Path) -> Vec<Geofence> {
    let text = std::fs::read_to_string(path).unwrap();
    // Lines {"id":0,"kind":"circle64","geometry":…} are features but for the type.
    let features: Vec<String> = text.lines().map(|line| line.replacen('{', r#"{"type":"Feature","#, 1)).collect();
    let collection = format!(r#"{{"type":"FeatureCollection","features":[{}]}}"#, features.join(","));
    let defaults =
        Defaults { organisation: "default".parse().unwrap(), fleet: None, id: None, version: 1, checks: Checks::EvenOdd };
    from_geojson(&collection, &defaults).unwrap()
}

/// Records of 24 bytes: device u32, time_ms i64, lat_e7 i32, lon_e7 i32, speed and fleet u16.
fn workload_positions(path: &Path) -> Vec<Sighting> {
    let bytes = std::fs::read(path).unwrap();
    let sighting = |r: &[u8]| Sighting {
        device: DeviceId::new(u32::from_le_bytes(r[0..4].try_into().unwrap()).to_string()).unwrap(),
        fix_time: Timestamp::from_millis(i64::from_le_bytes(r[4..12].try_into().unwrap())).unwrap(),
        location: LatLon::from_e7(
            i32::from_le_bytes(r[12..16].try_into().unwrap()),
            i32::from_le_bytes(r[16..20].try_into().unwrap()),
        )
        .unwrap(),
        valid: true,
    };
    bytes.chunks_exact(24).map(sighting).collect()
}

/// Lines `seq,device,fence,kind` with kind `i` inside at the first fix, `e` enter, `x` exit.
async fn check_workload(size: usize, workers: &[usize]) {
    let dir = tempfile::tempdir().unwrap();
    generate(size, dir.path());
    let fences = workload_fences(&dir.path().join(format!("fences-{size}.ndjson")));
    let positions = workload_positions(&dir.path().join(format!("positions-{size}.bin")));
    let seqs: HashMap<(DeviceId, Timestamp), usize> =
        positions.iter().enumerate().map(|(seq, p)| ((p.device.clone(), p.fix_time), seq)).collect();
    assert_eq!(seqs.len(), positions.len());
    let truth = std::fs::read_to_string(dir.path().join(format!("events-{size}.csv"))).unwrap();
    let wanted: BTreeSet<String> = truth.lines().map(str::to_owned).collect();
    for &workers in workers {
        let found = events(fences.clone(), positions.clone(), workers).await.unwrap();
        let line = |e: &waystream_domain::Event| {
            let initial = e.attributes.get("initial") == Some(&AttributeValue::Bool(true));
            let kind = match e.kind {
                EventKind::Enter if initial => "i",
                EventKind::Enter => "e",
                EventKind::Exit => "x",
                other => panic!("{other:?}"),
            };
            let seq = seqs[&(e.device.clone(), e.fix_time)];
            format!("{seq},{},{},{kind}", e.device, e.geofence.as_ref().unwrap())
        };
        let lines: BTreeSet<String> = found.iter().map(line).collect();
        assert_eq!(lines.len(), found.len(), "an event is told twice");
        let differ: Vec<&String> = lines.symmetric_difference(&wanted).collect();
        assert!(differ.is_empty(), "{size} geofences, {workers} workers: {} differ: {differ:.10?}", differ.len());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_with_100_geofences() {
    check_workload(100, &[1, 2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_with_1000_geofences() {
    check_workload(1000, &[2]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_workload_with_10000_geofences() {
    check_workload(10_000, &[1]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_out_of_order_give_the_same_events_put_in_order_or_taken_as_received() {
    let dir = tempfile::tempdir().unwrap();
    let (tracks, fences) = (dir.path().join("tracks.csv"), dir.path().join("fences.geojson"));
    let square = r#"{"type":"Polygon","coordinates":[[[1,1],[3,1],[3,3],[1,3],[1,1]]]}"#;
    std::fs::write(&fences, format!(r#"{{"type":"Feature","id":"a,b","properties":{{}},"geometry":{square}}}"#)).unwrap();
    std::fs::write(
        &tracks,
        "device_id,time,lat,lon\n\
         bus,2024-01-01T00:00:20Z,5,5\n\
         bus,2024-01-01T00:00:10Z,2,2\n\
         bus,2024-01-01T00:00:10Z,9,9\n\
         bus,2024-01-01T00:00:30Z,91,2\n\
         bus,2024-01-01T00:00:40Z,0,0\n",
    )
    .unwrap();
    let wanted = "bus,\"a,b\",enter,2024-01-01T00:00:10.000Z\nbus,\"a,b\",exit,2024-01-01T00:00:20.000Z\n";
    for as_received in [false, true] {
        let job = GeofenceJob { fences: vec![fences.clone()], tracks: vec![tracks.clone()], as_received, workers: 1 };
        let mut out = Vec::new();
        let summary = run(&job, &mut out).await.unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("device_id,fence_id,kind,time\n{wanted}"));
        assert_eq!(summary.dropped, BTreeMap::from([("out_of_range", 1)]));
    }
}
