//! Newest rows of the embedded store: the table that may leave out older ones, beside the one that has all.

use datafusion::logical_expr::{Expr, col, lit, not};
use datafusion::scalar::ScalarValue;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tempfile::TempDir;
use waystream_domain::{DeviceId, Erasure, FleetId, Position, Timestamp};
use waystream_store::contract::{Dice, History, at, position, positions, read};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{Store, newest_only, rows};

fn open(dir: &TempDir) -> Arc<ParquetStore> {
    ParquetStore::open(dir.path(), ParquetOptions::default()).expect("opens")
}

fn time(text: &str) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(at(text).as_millis()), Some("UTC".into())))
}

/// What is asked; with each filter another row is a device's newest.
fn filters() -> Vec<Vec<Expr>> {
    let since = || col("fix_time").gt_eq(time("2024-03-01T06:00:00Z"));
    vec![
        vec![],
        vec![col("device").eq(lit("device-03"))],
        vec![col("device").in_list(vec![lit("device-00"), lit("device-06"), lit("nobody")], false)],
        vec![col("fleet").eq(lit("south"))],
        vec![col("fleet").in_list(vec![lit("north"), lit("south")], false), since()],
        vec![since(), col("fix_time").lt(time("2024-03-02T12:00:00Z")), col("fleet").eq(lit("north"))],
        vec![col("fix_time").lt(time("1970-01-01T00:00:00Z"))],
        vec![not(col("valid"))],
        vec![col("speed_mps").gt(lit(15.0_f32)), col("fleet").eq(lit("north"))],
        vec![col("log_offset").lt(lit(100_i64))],
        vec![col("fleet").eq(lit("nobody's"))],
    ]
}

fn newest(rows: &[Position]) -> BTreeMap<&DeviceId, &Position> {
    let mut newest: BTreeMap<&DeviceId, &Position> = BTreeMap::new();
    for row in rows {
        let known = newest.entry(&row.device).or_insert(row);
        if row.fix_time > known.fix_time {
            *known = row;
        }
    }
    newest
}

/// The newest rows are those of the table that has all, and nothing is made up; how many rows came.
async fn check(store: &dyn Store, filters: &[Expr], when: &str) -> usize {
    let all = positions(store, filters).await;
    let table = newest_only(&store.positions()).expect("a table of files");
    let batches = read(table, filters, None).await;
    let some: Vec<Position> = batches.iter().flat_map(|b| rows::positions_from(b).expect("positions")).collect();
    let by_key: BTreeMap<_, _> = all.iter().map(|p| ((&p.device, p.fix_time), p)).collect();
    for row in &some {
        assert_eq!(by_key.get(&(&row.device, row.fix_time)), Some(&row), "{when}: {filters:?}");
    }
    assert_eq!(newest(&some), newest(&all), "{when}: {filters:?}");
    some.len()
}

async fn check_all(store: &dyn Store, when: &str) {
    for filters in filters() {
        check(store, &filters, when).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_rows_are_the_same_whatever_is_left_out() {
    for seed in 0..4 {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(&dir);
        let (mut dice, mut history) = (Dice::new(seed), History::default());
        check_all(store.as_ref(), "empty").await;
        for rows in [200, 100, 50] {
            dice.write(&mut history, rows);
            history.append_all(store.as_ref()).await;
            check_all(store.as_ref(), "in memory and in files").await;
            store.flush().await.expect("flushes");
        }
        check_all(store.as_ref(), "in files").await;
        let device = DeviceId::new("device-03").expect("an id");
        let until = at("2030-01-01T00:00:00Z");
        let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
        store.erase(&erasure).await.expect("erases");
        history.erase(erasure);
        check_all(store.as_ref(), "without a device").await;
        store.maintain(at("2026-05-01T00:00:00Z")).await.expect("keeps house");
        check_all(store.as_ref(), "in fewer files").await;
        drop(store);
        let store = open(&dir);
        check_all(store.as_ref(), "opened again").await;
        history.check(store.as_ref()).await;
    }
}

/// Six hours of five devices, each in one fleet but the last, which changes it.
fn hours(from: Timestamp) -> Vec<Position> {
    let mut rows = Vec::new();
    for device in 0..5 {
        for minute in 0..360 {
            let mut p = position(&format!("device-{device:02}"), from.plus_millis(minute * 60_000));
            let fleet = if device < 3 || (device == 4 && minute < 100) { "north" } else { "south" };
            p.fleet = FleetId::new(fleet).expect("an id");
            rows.push(p);
        }
    }
    rows
}

async fn append(store: &dyn Store, rows: impl IntoIterator<Item = Position>) {
    let mut history = History::default();
    rows.into_iter().for_each(|p| history.position(p));
    history.append_all(store).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_newest_rows_is_read_of_devices_that_stay_in_their_fleets() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    for day in ["2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"] {
        append(store.as_ref(), hours(at(day))).await;
        store.flush().await.expect("flushes");
    }
    // Late, and so not the newest; and another version of the newest.
    let mut again = position("device-00", at("2026-03-05T05:59:00Z"));
    again.received_at = at("2026-03-06T00:00:00Z");
    again.speed_mps = Some(7.0);
    append(store.as_ref(), [position("device-01", at("2026-03-05T00:00:30Z")), again]).await;
    let of = |fleet: &str| vec![col("fleet").eq(lit(fleet))];
    let now = col("fix_time").gt_eq(time("2026-03-05T05:00:00Z"));
    for when in ["in memory and in files", "in files"] {
        assert_eq!(check(store.as_ref(), &[], when).await, 5, "{when}");
        assert_eq!(check(store.as_ref(), std::slice::from_ref(&now), when).await, 5, "{when}");
        assert_eq!(check(store.as_ref(), &of("south"), when).await, 2, "{when}");
        assert_eq!(check(store.as_ref(), &[of("north"), vec![now.clone()]].concat(), when).await, 3, "{when}");
        assert_eq!(check(store.as_ref(), &of("nobody's"), when).await, 0, "{when}");
        // The one that was in the fleet before: of it, all that was in there.
        assert_eq!(check(store.as_ref(), &of("north"), when).await, 3 + 2 * 100, "{when}");
        store.flush().await.expect("flushes");
        store.maintain(at("2026-03-07T00:00:00Z")).await.expect("keeps house");
    }
}

/// As an older program would have written it.
fn without_what_is_new(dir: &Path) {
    let path = dir.join("manifest.json");
    let text = std::fs::read_to_string(&path).expect("readable");
    let mut manifest: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    for file in manifest["files"].as_array_mut().expect("files") {
        let file = file.as_object_mut().expect("a file");
        assert!(file.remove("fleets").is_some());
        assert_eq!(file.remove("newest").is_some(), file["table"] == "positions");
    }
    let json = manifest.to_string();
    std::fs::write(&path, format!("{json}\n{:08x}\n", crc32fast::hash(json.as_bytes()))).expect("writable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_older_programs_are_read_whole() {
    let dir = tempfile::tempdir().expect("a folder");
    let (mut dice, mut history) = (Dice::new(8), History::default());
    dice.write(&mut history, 300);
    let store = open(&dir);
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    drop(store);
    without_what_is_new(dir.path());
    let store = open(&dir);
    let all = positions(store.as_ref(), &[]).await.len();
    assert_eq!(check(store.as_ref(), &[], "as they are").await, all);
    check_all(store.as_ref(), "as they are").await;
    dice.write(&mut history, 100);
    history.append_all(store.as_ref()).await;
    check_all(store.as_ref(), "with others in memory").await;
    history.check(store.as_ref()).await;
}

/// Changes a bit of the newest rows in the file of a day. The file was good when it was written: only reading finds out.
fn rot(dir: &Path, day: &str) {
    let text = std::fs::read_to_string(dir.join("manifest.json")).expect("readable");
    let manifest: serde_json::Value = serde_json::from_str(text.lines().next().expect("a line")).expect("JSON");
    let mut files = manifest["files"].as_array().expect("files").iter();
    let file = files.find(|file| file["table"] == "positions" && file["period"] == day).expect("a file");
    let path = dir.join(file["path"].as_str().expect("a path"));
    let mut bytes = std::fs::read(&path).expect("readable");
    bytes[file["newest"]["at"].as_u64().expect("a place") as usize + 100] ^= 1;
    std::fs::write(&path, bytes).expect("writable");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_rows_that_rot_in_a_file_are_not_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    append(store.as_ref(), hours(at("2026-03-04T00:00:00Z"))).await;
    store.flush().await.expect("flushes");
    rot(dir.path(), "2026-03-04");
    let table = newest_only(&store.positions()).expect("a table of files");
    assert_eq!(read(table, &[], None).await.iter().map(|batch| batch.num_rows()).sum::<usize>(), 0);
    assert_eq!(store.damage().len(), 1, "{:?}", store.damage());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_files_are_not_looked_at_for_devices_that_are_named() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    for day in ["2026-03-04T00:00:00Z", "2026-03-05T00:00:00Z"] {
        append(store.as_ref(), hours(at(day))).await;
        store.flush().await.expect("flushes");
    }
    // Who looks at the newest rows of the older file finds out.
    rot(dir.path(), "2026-03-04");
    let of = |devices: &[&str]| vec![col("device").in_list(devices.iter().map(|device| lit(*device)).collect(), false)];
    assert_eq!(check(store.as_ref(), &of(&["device-01"]), "one").await, 1);
    assert_eq!(check(store.as_ref(), &of(&["device-01", "device-03"]), "two").await, 2);
    assert_eq!(check(store.as_ref(), &of(&["device-00", "device-01", "device-02", "device-03"]), "most").await, 4);
    let now = col("fix_time").gt_eq(time("2026-03-04T01:00:00Z"));
    assert_eq!(check(store.as_ref(), &[of(&["device-01"]), vec![now]].concat(), "with a time").await, 1);
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    // Of one that isn't in the newer file, nobody knows before.
    let table = newest_only(&store.positions()).expect("a table of files");
    assert_eq!(read(table, &of(&["device-01", "nobody"]), None).await.iter().map(|b| b.num_rows()).sum::<usize>(), 360);
    assert_eq!(store.damage().len(), 1, "{:?}", store.damage());
}
