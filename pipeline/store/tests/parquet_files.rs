//! What the embedded store does with its files: where rows go, how many files stay, what damage does.

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::prelude::{SessionContext, col, lit};
use parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;
use waystream_domain::catalog::Fleet;
use waystream_domain::{Catalog, CatalogEdit, CatalogEntry, Erasure, LatLon, OrganisationId, Position, Retention, Timestamp};
use waystream_store::contract::{Dice, History, at, position, positions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{RetentionRules, Store, StoreError};

fn open(dir: &TempDir) -> Arc<ParquetStore> {
    ParquetStore::open(dir.path(), ParquetOptions::default()).expect("opens")
}

/// Names of the Parquet files of positions, without their numbers.
fn periods(dir: &TempDir) -> Vec<String> {
    let mut names: Vec<String> =
        files(dir.path()).iter().map(|f| f.file_stem().expect("a name").to_string_lossy().into_owned()).collect();
    names.iter_mut().for_each(|name| name.truncate(name.len() - "-000000".len()));
    names.sort();
    names
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let files = std::fs::read_dir(dir.join("positions")).expect("a folder");
    files.map(|f| f.expect("an entry").path()).collect()
}

async fn append(store: &dyn Store, rows: impl IntoIterator<Item = Position>) {
    let mut history = History::default();
    rows.into_iter().for_each(|p| history.position(p));
    history.append_all(store).await;
}

/// A vehicle's drive: a fix every ten seconds, a few metres on.
fn drive(device: &str, from: Timestamp, fixes: i64) -> Vec<Position> {
    let mut dice = Dice::new(fixes as u64);
    let (mut lat, mut lon) = (522_421_311, 211_359_898);
    let fix = |i| {
        lat += dice.roll(2_000) as i32 - 700;
        lon += dice.roll(3_000) as i32 - 1_000;
        let mut p = position(device, from.plus_millis(i * 10_000));
        p.received_at = p.fix_time.plus_millis(300 + dice.roll(900) as i64);
        p.location = LatLon::from_e7(lat, lon).expect("on Earth");
        p.speed_mps = Some(dice.roll(250) as f32 / 10.0);
        p.course_deg = Some(dice.roll(360) as f32);
        p
    };
    (0..fixes).map(fix).collect()
}

/// What is the same size without compression costs no question its time; what is worth it stays compressed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_shrinks_is_stored_compressed() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    let mut dice = Dice::new(7);
    let mut rows = drive("van", at("2026-03-04T06:00:00Z"), 5_000);
    rows.iter_mut().for_each(|p| p.fix_time = p.fix_time.plus_millis(dice.roll(9_000) as i64));
    append(store.as_ref(), rows).await;
    store.flush().await.expect("flushes");
    // Into the file of its day.
    store.maintain(at("2026-04-04T00:00:00Z")).await.expect("maintains");
    let [file] = <[PathBuf; 1]>::try_from(files(dir.path())).expect("one file");
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(file).expect("opens")).expect("Parquet");
    let sizes = |column: &str| {
        let all = reader.metadata().row_group(0).columns().iter();
        let found = all.into_iter().find(|c| c.column_path().string() == column).expect("a column");
        (found.compressed_size(), found.uncompressed_size())
    };
    for column in ["fix_time", "lat", "lon"] {
        let (stored, plain) = sizes(column);
        assert_eq!(stored, plain, "{column}");
    }
    let (stored, plain) = sizes("altitude_m");
    assert!(stored * 10 < plain * 9, "{stored} of {plain}");
}

/// The index of a file's pages is read with its footer, once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_file_is_kept_with_the_index_of_its_pages() {
    let dir = TempDir::new().expect("a folder");
    let store = open(&dir);
    append(store.as_ref(), drive("van", at("2026-03-04T06:00:00Z"), 100)).await;
    store.flush().await.expect("flushes");
    let context = SessionContext::new();
    let rows = context.read_table(store.positions()).expect("a table").filter(col("speed_mps").gt(lit(5.0))).expect("a filter");
    assert!(rows.count().await.expect("rows") > 0);
    let kept = context.runtime_env().cache_manager.get_file_metadata_cache().list_entries();
    assert!(!kept.is_empty());
    for file in kept.into_values() {
        let known = file.value.file_metadata.extra_info();
        assert_eq!(known.get("page_index").map(String::as_str), Some("true"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_go_to_the_file_of_their_day() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    append(store.as_ref(), drive("a", at("2026-03-04T00:00:00Z"), 10_640)).await;
    store.flush().await.expect("flushes");
    // The second day has fewer rows than are worth a file among several days', but is the only such one.
    assert_eq!(periods(&dir), ["2026-03-04", "2026-03-05"]);
    append(
        store.as_ref(),
        ["1949-06-11", "1949-08-01", "2026-03-01", "2026-03-02", "9999-12-31"].map(|day| position("a", at(day))),
    )
    .await;
    store.flush().await.expect("flushes");
    assert_eq!(periods(&dir), ["2026-03-04", "2026-03-05", "years"]);
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 10_645);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn small_files_become_one_and_none_is_left_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    let day = at("2026-03-04T00:00:00Z");
    let write = async |hours: std::ops::Range<i64>| {
        for hour in hours {
            append(store.as_ref(), drive("a", day.plus_millis(hour * 3_600_000), 300)).await;
            store.flush().await.expect("flushes");
        }
    };
    write(0..8).await;
    assert_eq!(files(dir.path()).len(), 8);
    // While the day goes on, files of one level are merged once there are eight; when it is over, all.
    store.maintain(at("2026-03-04T08:00:00Z")).await.expect("keeps house");
    assert_eq!(files(dir.path()).len(), 1);
    write(8..10).await;
    store.maintain(at("2026-03-04T10:00:00Z")).await.expect("keeps house");
    assert_eq!(files(dir.path()).len(), 3);
    store.maintain(at("2026-03-05T10:00:00Z")).await.expect("keeps house");
    assert_eq!(periods(&dir), ["2026-03-04"]);
    // A late row doesn't have the day rewritten; it is there all the same.
    append(store.as_ref(), [position("z", day)]).await;
    store.flush().await.expect("flushes");
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 3_001);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compacted_position_takes_few_bytes() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    for part in 0..2 {
        let from = at("2026-03-04T00:00:00Z").plus_millis(part * 30_000_000);
        append(store.as_ref(), (0..20).flat_map(|d| drive(&format!("35630704244{d:04}"), from, 3_000))).await;
        store.flush().await.expect("flushes");
    }
    store.maintain(at("2026-03-06T00:00:00Z")).await.expect("keeps house");
    let [file] = files(dir.path()).try_into().expect("one file");
    let bytes = std::fs::metadata(file).expect("a file").len();
    assert!(bytes <= 120_000 * 10, "{} bytes per position", bytes as f64 / 120_000.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_programs_read_the_places_of_files_in_degrees() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    append(store.as_ref(), [position("a", at("2026-03-04"))]).await;
    store.flush().await.expect("flushes");
    let [file] = files(dir.path()).try_into().expect("one file");
    // What a file tells Arrow's libraries alone is left aside.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(File::open(file).expect("a file"), options);
    let rows = reader.and_then(|reader| reader.build()).expect("readable").next().expect("rows").expect("readable");
    let text = |name: &str| {
        let column = cast(rows.column_by_name(name).expect("a column"), &DataType::Utf8).expect("text");
        column.as_string::<i32>().value(0).to_owned()
    };
    assert_eq!([text("lat"), text("lon")], ["52.2421311", "21.1359898"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn how_far_history_goes_is_known_without_reading_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    assert_eq!(store.fix_times(), None);
    let (first, last) = (at("1949-06-11T00:00:00Z"), at("2026-03-04T00:00:00Z"));
    append(store.as_ref(), [position("a", last)]).await;
    assert_eq!(store.fix_times(), Some((last, last)), "in memory");
    store.flush().await.expect("flushes");
    append(store.as_ref(), [position("b", first)]).await;
    assert_eq!(store.fix_times(), Some((first, last)), "in both");
    store.flush().await.expect("flushes");
    drop(store);
    assert_eq!(open(&dir).fix_times(), Some((first, last)), "in files");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_older_than_retention_goes() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = ParquetOptions { retention_days: Some(30), ..ParquetOptions::default() };
    let store = ParquetStore::open(dir.path(), options).expect("opens");
    let days = ["2026-01-10", "2026-01-20", "2026-03-20", "2026-03-21"];
    append(store.as_ref(), days.iter().map(|day| position("a", at(day)))).await;
    store.flush().await.expect("flushes");
    assert_eq!(periods(&dir), ["2026"]);
    let left = async |now: &str| {
        store.maintain(at(now)).await.expect("keeps house");
        positions(store.as_ref(), &[]).await.iter().map(|p| p.fix_time.to_string()[..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(left("2026-02-01T00:00:00Z").await, days);
    // A row that lies in a file with others is in no table any more, though the file stays.
    assert_eq!(left("2026-02-15T00:00:00Z").await, days[1..]);
    assert_eq!(periods(&dir), ["2026"]);
    // The file of several days is rewritten when it holds rows a month past retention, and goes when all of it is past.
    assert_eq!(left("2026-03-25T00:00:00Z").await, days[2..]);
    assert_eq!(left("2026-04-25T00:00:00Z").await, [""; 0]);
    assert!(files(dir.path()).is_empty());
    // Nor is one that comes too late.
    append(store.as_ref(), [position("a", at(days[0]))]).await;
    assert!(positions(store.as_ref(), &[]).await.is_empty());
    assert_eq!(store.fix_times(), None);
}

/// North's organisation keeps 30 days, and 10 of one device.
fn rules() -> RetentionRules {
    let organisation: OrganisationId = "ours".parse().expect("an id");
    let id = "north".parse().expect("an id");
    let fleet = Fleet { id, organisation: organisation.clone(), name: "North".into(), rules: Default::default() };
    let devices = [("brief", 10)].into_iter().map(|(device, days)| (device.parse().expect("an id"), days));
    let retention = Retention { organisation, days: Some(30), devices: devices.collect() };
    let mut catalog = Catalog::default();
    for entry in [CatalogEntry::Fleet(fleet), CatalogEntry::Retention(retention)] {
        catalog.apply(CatalogEdit::Put(entry));
    }
    RetentionRules::of(&catalog)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_organisation_and_a_device_are_kept_for_less_time_than_others() {
    let row = |device: &str, day: &str| {
        let fleet = if device == "free" { "south" } else { "north" };
        Position { fleet: fleet.parse().expect("an id"), ..position(device, at(day)) }
    };
    let left = async |store: &ParquetStore, now: &str| {
        store.maintain(at(now)).await.expect("keeps house");
        let mut devices: Vec<_> = positions(store, &[]).await.iter().map(|p| p.device.to_string()).collect();
        devices.dedup();
        devices
    };
    // A file of one day.
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    append(store.as_ref(), ["any", "brief", "free"].map(|device| row(device, "2026-03-04"))).await;
    store.flush().await.expect("flushes");
    assert_eq!(left(store.as_ref(), "2026-06-01T00:00:00Z").await, ["any", "brief", "free"], "nobody has said anything");
    store.keep_only(rules());
    assert_eq!(left(store.as_ref(), "2026-03-13T12:00:00Z").await, ["any", "brief", "free"]);
    assert_eq!(left(store.as_ref(), "2026-03-15T12:00:00Z").await, ["any", "free"]);
    let before = files(dir.path());
    assert_eq!(left(store.as_ref(), "2026-03-16T12:00:00Z").await, ["any", "free"]);
    assert_eq!(files(dir.path()), before, "there was nothing to do");
    drop(store);
    let store = open(&dir);
    store.keep_only(rules());
    assert_eq!(left(store.as_ref(), "2026-04-05T00:00:00Z").await, ["free"]);
    assert_eq!(left(store.as_ref(), "2036-04-05T00:00:00Z").await, ["free"]);

    // One of several days is rewritten when a month of it is past.
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    let days = ["2026-01-01", "2026-02-01", "2026-03-01"];
    append(store.as_ref(), days.iter().flat_map(|day| ["any", "free"].map(|device| row(device, day)))).await;
    store.flush().await.expect("flushes");
    store.keep_only(rules());
    for (now, rows) in [("2026-02-05", 6), ("2026-02-20", 5), ("2026-03-10", 5), ("2026-04-02", 3), ("2027-01-01", 3)] {
        store.maintain(at(now)).await.expect("keeps house");
        assert_eq!(positions(store.as_ref(), &[]).await.len(), rows, "{now}");
    }
}

/// The files below a folder that have these bytes.
fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_with(&path, bytes));
        } else if std::fs::read(&path).expect("readable").windows(bytes.len()).any(|some| some == bytes) {
            found.push(path);
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erased_device_is_in_no_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    // The first by name: it is in the bounds of the files, uncompressed.
    let (erased, other) = ("352093081452251", "352093081452252");
    let append_days = async |days: [&str; 2]| {
        for day in days {
            append(store.as_ref(), [erased, other].iter().flat_map(|device| drive(device, at(day), 300))).await;
            store.flush().await.expect("flushes");
        }
    };
    append_days(["2026-03-04", "2026-03-04"]).await;
    store.maintain(at("2026-03-06T00:00:00Z")).await.expect("keeps house");
    append_days(["2026-03-05", "2025-07-01"]).await;
    append(store.as_ref(), drive(erased, at("2026-03-05T20:00:00Z"), 10)).await;
    assert!(files_with(dir.path(), erased.as_bytes()).len() > 3, "three files and the manifest");

    let (device, until) = (erased.parse().expect("an id"), at("2026-03-07T00:00:00Z"));
    let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
    let reader = store.positions();
    let waiting = tokio::time::timeout(std::time::Duration::from_millis(300), store.erase(&erasure)).await;
    assert!(waiting.is_err(), "somebody reads the files");
    drop(reader);
    store.erase(&erasure).await.expect("erases");
    assert_eq!(files_with(dir.path(), erased.as_bytes()), Vec::<PathBuf>::new());
    let rows = positions(store.as_ref(), &[]).await;
    assert!(rows.len() == 900 && rows.iter().all(|p| p.device.as_str() == other), "{} rows", rows.len());

    // What the log still has of it is left out, also after a restart.
    append_days(["2026-03-04", "2026-03-05"]).await;
    drop(store);
    let store = open(&dir);
    append(store.as_ref(), drive(erased, at("2026-03-04"), 300)).await;
    store.flush().await.expect("flushes");
    assert_eq!(files_with(dir.path(), erased.as_bytes()), Vec::<PathBuf>::new());
    assert_eq!(positions(store.as_ref(), &[]).await.len(), 900);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_erasure_that_a_damaged_file_prevents_says_so() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = open(&dir);
    for day in ["2026-03-04", "2026-03-05"] {
        append(store.as_ref(), drive("a", at(day), 300)).await;
        store.flush().await.expect("flushes");
    }
    drop(store);
    let damaged = files(dir.path()).into_iter().find(|f| f.to_string_lossy().contains("2026-03-05")).expect("a file");
    std::fs::write(&damaged, "nonsense").expect("writable");
    let store = open(&dir);
    let (device, until) = ("a".parse().expect("an id"), at("2026-03-07T00:00:00Z"));
    let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
    let told = store.erase(&erasure).await;
    assert!(matches!(&told, Err(StoreError::Damaged(why)) if why.contains("2026-03-05")), "{told:?}");
    // The others are done.
    assert!(positions(store.as_ref(), &[]).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_file_is_named_and_the_rest_is_read() {
    type Harm = fn(&Path);
    let middle: Harm = |path| {
        let mut bytes = std::fs::read(path).expect("readable");
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0xff;
        std::fs::write(path, bytes).expect("writable");
    };
    let cut: Harm = |path| {
        let bytes = std::fs::read(path).expect("readable");
        std::fs::write(path, &bytes[..bytes.len() - 1]).expect("writable");
    };
    let gone: Harm = |path| std::fs::remove_file(path).expect("removable");
    for harm in [middle, cut, gone] {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(&dir);
        for (day, fixes) in [("2026-03-04", 10), ("2026-03-05", 20), ("2026-03-06", 40)] {
            append(store.as_ref(), drive("a", at(day), fixes)).await;
            store.flush().await.expect("flushes");
        }
        drop(store);
        harm(files(dir.path()).iter().find(|f| f.to_string_lossy().contains("2026-03-05")).expect("a file"));
        let store = open(&dir);
        for _ in 0..2 {
            assert_eq!(positions(store.as_ref(), &[]).await.len(), 50);
            store.maintain(at("2026-04-01T00:00:00Z")).await.expect("keeps house");
            store.check().await.expect("checks");
        }
        let damage = store.damage();
        assert!(
            damage.len() == 1 && damage[0].contains("positions/2026-03-05-") && damage[0].contains("20 rows"),
            "{damage:?}"
        );
    }
}

#[test]
fn a_folder_without_its_manifest_is_not_taken_for_a_new_one() {
    let dir = tempfile::tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let store = open(&dir);
        append(store.as_ref(), [position("a", at("2026-03-04"))]).await;
        store.flush().await.expect("flushes");
    });
    std::fs::remove_file(dir.path().join("manifest.json")).expect("there");
    assert!(matches!(ParquetStore::open(dir.path(), ParquetOptions::default()), Err(StoreError::Damaged(_))));
    assert_eq!(files(dir.path()).into_iter().collect::<BTreeSet<_>>().len(), 1);
}
