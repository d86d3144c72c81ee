//! Track files: what is written is read again, and recorded receiver logs give what gpsd made of them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tempfile::TempDir;
use waystream_connectors::files::write::{Format, writer};
use waystream_connectors::files::{self, RowFault, TrackPoint};
use waystream_domain::{Attributes, LatLon, Position, Timestamp};

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn position(device: &str, n: i32) -> Position {
    Position {
        device: device.parse().unwrap(),
        fleet: "default".parse().unwrap(),
        fix_time: Timestamp::from_millis(1_718_000_000_123 + i64::from(n) * 1000).unwrap(),
        received_at: Timestamp::from_millis(1_718_000_100_000).unwrap(),
        location: LatLon::from_e7(-521_234_567 + n, 1_799_999_999).unwrap(),
        valid: n != 1,
        altitude_m: (n != 2).then_some(12.5),
        speed_mps: (n != 0).then_some(17.434_444),
        course_deg: Some(359.5),
        accuracy_m: None,
        protocol: "teltonika".into(),
        attributes: Attributes::from_iter([("ignition", true)]),
    }
}

fn written(format: Format) -> (Vec<Position>, String) {
    let positions: Vec<_> = ["a \"<&>, b", "b"].iter().flat_map(|device| (0..3).map(|n| position(device, n))).collect();
    let output = Shared::default();
    let mut writer = writer(format, output.clone()).unwrap();
    for position in &positions {
        writer.write(position).unwrap();
    }
    writer.finish().unwrap();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    (positions, text)
}

fn read_again(text: &str, extension: &str) -> Vec<TrackPoint> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("export.{extension}"));
    std::fs::write(&path, text).unwrap();
    files::open(&path).unwrap().map(Result::unwrap).collect()
}

#[test]
fn csv_is_read_as_it_was_written() {
    let (positions, text) = written(Format::Csv);
    let points = read_again(&text, "csv");
    assert_eq!(points.len(), positions.len());
    for (point, position) in points.iter().zip(&positions) {
        assert_eq!((&point.device, point.fix.fix_time), (&position.device, position.fix_time));
        assert_eq!((point.fix.location, point.fix.valid), (position.location, position.valid));
        assert_eq!((point.fix.altitude_m, point.fix.course_deg), (position.altitude_m, position.course_deg));
        assert_eq!(point.fix.speed_mps.is_some(), position.speed_mps.is_some());
        assert_eq!(point.fix.attributes, position.attributes);
    }
}

#[test]
fn gpx_is_read_as_it_was_written() {
    let (positions, text) = written(Format::Gpx);
    let points = read_again(&text, "gpx");
    assert_eq!(points.len(), positions.len());
    for (point, position) in points.iter().zip(&positions) {
        assert_eq!((&point.device, point.fix.fix_time), (&position.device, position.fix_time));
        assert_eq!((point.fix.location, point.fix.valid), (position.location, position.valid));
        assert_eq!((point.fix.altitude_m, point.fix.speed_mps), (position.altitude_m, position.speed_mps));
        assert_eq!(point.fix.course_deg, position.course_deg);
    }
}

#[test]
fn geojson_is_a_feature_per_position() {
    let (positions, text) = written(Format::GeoJson);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let features = json["features"].as_array().unwrap();
    assert_eq!(features.len(), positions.len());
    assert_eq!(features[3]["properties"]["device_id"], "b");
    assert_eq!(features[3]["geometry"]["coordinates"], serde_json::json!([179.999_999_9, -52.123_456_7, 12.5]));
    assert_eq!(features[3]["properties"]["time"], "2024-06-10T06:13:20.123Z");
}

#[test]
fn kml_is_read_as_it_was_written_but_for_what_is_not_trusted() {
    let (positions, text) = written(Format::Kml);
    assert_eq!(text.matches("<Placemark>").count(), 2, "{text}");
    let points = read_again(&text, "kml");
    let trusted: Vec<_> = positions.iter().filter(|position| position.valid).collect();
    assert_eq!(points.len(), trusted.len());
    for (point, position) in points.iter().zip(trusted) {
        assert_eq!((point.fix.fix_time, point.fix.location), (position.fix_time, position.location));
        assert_eq!(point.fix.altitude_m, position.altitude_m);
    }
}

#[test]
fn a_long_way_is_several_tracks_of_one_placemark_in_kml() {
    let output = Shared::default();
    let mut writer = writer(Format::Kml, output.clone()).unwrap();
    for n in 0..5_000 {
        writer.write(&position("truck", n)).unwrap();
    }
    writer.finish().unwrap();
    let text = String::from_utf8(output.0.lock().unwrap().clone()).unwrap();
    assert_eq!((text.matches("<Placemark>").count(), text.matches("<gx:Track>").count()), (1, 2));
    let points = read_again(&text, "kml");
    // One of them is not trusted.
    assert_eq!(points.len(), 4_999);
    assert!(points.is_sorted_by_key(|point| point.fix.fix_time));
}

#[test]
fn a_gzipped_file_that_is_cut_off_is_told() {
    let tracks = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/tracks/liverpool_bus.csv.gz");
    let whole = std::fs::read(tracks).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.csv.gz");
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let rows: Vec<_> = files::open(&path).unwrap().collect();
    assert!(rows.len() > 100);
    assert!(matches!(rows.last(), Some(Err(RowFault::Unreadable { .. }))));
}

/// Places by time.
type Track = BTreeMap<Timestamp, (f64, f64)>;

fn gpsd_logs() -> (TempDir, Vec<PathBuf>) {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/raw/gpsd/gpsd_logs.tar.gz");
    let folder = tempfile::tempdir().unwrap();
    assert!(Command::new("tar").args(["xzf", archive, "-C"]).arg(folder.path()).status().unwrap().success());
    let logs = std::fs::read_dir(folder.path().join("gpsd")).unwrap().map(|entry| entry.unwrap().path());
    let mut logs: Vec<_> = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log")).collect();
    logs.sort();
    (folder, logs)
}

/// What gpsd decoded from a log: its fixes that have a time.
fn expected(log: &Path) -> Track {
    let check = std::fs::read(log.with_extension("log.chk")).unwrap();
    let reports = check.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice::<serde_json::Value>(line).ok());
    reports
        .filter(|report| report["class"] == "TPV" && report["mode"].as_i64() >= Some(2))
        .filter_map(|report| {
            let time = Timestamp::parse(report["time"].as_str()?)?;
            Some((time, (report["lat"].as_f64()?, report["lon"].as_f64()?)))
        })
        .collect()
}

#[test]
fn receiver_logs_give_what_gpsd_made_of_them() {
    // gpsd takes the first one's week number for one 1,024 weeks later; sentences of the second run into each other; the last
    // three have GLL sentences whose times differ from those of the sentences that we read.
    let exceptions = ["neo-m8n.log", "tcp-torture.log", "garmin48.log", "bundg_zeus_9.log", "magellan315.log"];
    let (_folder, logs) = gpsd_logs();
    let (mut compared, mut fixes) = (0, 0);
    for log in logs {
        let name = log.file_name().unwrap().to_string_lossy().into_owned();
        let mut ours = Track::new();
        for row in files::open(&log).unwrap() {
            match row {
                Ok(point) if point.fix.valid => drop(ours.insert(point.fix.fix_time, point.fix.location.into())),
                Ok(_) | Err(RowFault::Row { .. }) => {}
                Err(unreadable) => panic!("{name}: {unreadable:?}"),
            }
        }
        // The others are binary.
        if ours.is_empty() || exceptions.contains(&name.as_str()) {
            continue;
        }
        let theirs = expected(&log);
        compared += 1;
        fixes += theirs.len();
        for (time, place) in &theirs {
            let our = ours.get(time).unwrap_or_else(|| panic!("{name}: no fix at {time}"));
            let apart_deg = (our.0 - place.0).abs().max((our.1 - place.1).abs());
            assert!(apart_deg < 1e-6, "{name} at {time}: {our:?}, not {place:?}");
        }
        // gpsd waits for a second fix before it believes the first, and the last epoch of a log may be cut off.
        assert!(ours.len() <= theirs.len() + 4, "{name}: {} fixes, gpsd has {}", ours.len(), theirs.len());
    }
    assert!(compared >= 25 && fixes >= 700, "{compared} logs, {fixes} fixes");
}
