//! Files as programs before this one have written them: places are floating-point numbers there, and nothing is kept of fleets and newest rows.

use super::degrees::converted;
use super::disk::{Disk, checksum};
use super::manifest::Manifest;
use super::{ParquetOptions, ParquetStore};
use crate::Store;
use crate::contract::{Dice, History, positions};
use arrow::datatypes::DataType;
use datafusion::logical_expr::{col, lit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::fs::{self, File};
use std::path::Path;
use waystream_domain::{Position, Timestamp};

fn reader(path: &Path) -> ParquetRecordBatchReaderBuilder<File> {
    ParquetRecordBatchReaderBuilder::try_new(File::open(path).expect("a file")).expect("readable")
}

/// Writes all files of a store again as an older program would have written them.
fn age(folder: &Path) {
    let mut manifest = Manifest::load(folder).expect("readable").expect("there");
    for entry in &mut manifest.files {
        let (path, schema) = (folder.join(&entry.path), entry.table.schema());
        let batches = reader(&path).build().expect("readable");
        let batches: Vec<_> = batches.map(|rows| converted(&rows.expect("readable"), &schema).expect("degrees")).collect();
        let file = File::create(&path).expect("writable");
        let mut writer = ArrowWriter::try_new(file, schema, None).expect("writable");
        batches.iter().for_each(|rows| writer.write(rows).expect("written"));
        writer.close().expect("written");
        entry.bytes = fs::metadata(&path).expect("a file").len();
        entry.crc32 = checksum(&path).expect("readable");
        (entry.newest, entry.fleets) = (None, None);
    }
    manifest.save(folder, &Disk::default()).expect("saved");
}

/// Of each file its level, and the type of its latitudes.
fn types(folder: &Path) -> Vec<(u32, DataType)> {
    let manifest = Manifest::load(folder).expect("readable").expect("there");
    let lat = |path: &str| reader(&folder.join(path)).schema().field_with_name("lat").expect("a column").data_type().clone();
    manifest.files.iter().map(|file| (file.level, lat(&file.path))).collect()
}

fn where_lat(rows: &[Position], passes: impl Fn(f64) -> bool) -> Vec<Position> {
    rows.iter().filter(|p| passes(p.location.lat_deg())).cloned().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_older_programs_are_read_beside_new_ones_and_merged_with_them() {
    let dir = tempfile::tempdir().expect("a folder");
    let open = || ParquetStore::open(dir.path(), ParquetOptions::default()).expect("opens");
    let (mut dice, mut history) = (Dice::new(11), History::default());
    let store = open();
    dice.write(&mut history, 500);
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    drop(store);
    age(dir.path());
    assert!(types(dir.path()).iter().all(|(_, lat)| *lat == DataType::Float64));

    let store = open();
    history.check(store.as_ref()).await;
    // New versions of old rows among them.
    dice.write(&mut history, 500);
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    for compacted in [false, true] {
        history.check(store.as_ref()).await;
        let all = history.expected_positions();
        let one = all[all.len() / 2].location.lat_deg();
        for (filter, expected) in [
            (col("lat").gt(lit(45.0)), where_lat(&all, |lat| lat > 45.0)),
            // To the last bit.
            (col("lat").eq(lit(one)), where_lat(&all, |lat| lat == one)),
        ] {
            assert!(!expected.is_empty(), "{filter}");
            assert_eq!(positions(store.as_ref(), std::slice::from_ref(&filter)).await, expected, "{filter}");
        }
        if !compacted {
            store.maintain(Timestamp::from_millis(30_000 * 86_400_000).expect("a time")).await.expect("keeps house");
        }
    }
    drop(store);
    let compacted: Vec<_> = types(dir.path()).into_iter().filter(|(level, _)| *level > 0).collect();
    assert!(!compacted.is_empty() && compacted.iter().all(|(_, lat)| *lat != DataType::Float64), "{compacted:?}");
}
