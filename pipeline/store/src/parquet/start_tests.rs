//! What a store reads when it is opened: its manifest, however much there is.

use super::disk::Disk;
use super::manifest::{FileEntry, Manifest, Section};
use super::{ParquetOptions, ParquetStore};
use crate::{Store, Table};
use std::fs::{self, File};
use std::path::Path;

/// Of each file. They have holes only, which take no place, and whoever reads them finds no rows.
const BYTES: u64 = 1 << 30;
const DAY_MS: i64 = 86_400_000;
/// More than reading what the system says of a thread.
const A_LITTLE: u64 = 4_096;

/// A store of so many large files; bytes of its manifest.
fn fill(folder: &Path, files: i64) -> u64 {
    let mut manifest = Manifest::default();
    for table in Table::ALL {
        fs::create_dir_all(folder.join(table.name())).expect("a folder");
    }
    for day in 0..files {
        let path = format!("{}/{day:06}.parquet", Table::Positions.name());
        File::create(folder.join(&path)).and_then(|file| file.set_len(BYTES)).expect("a file");
        manifest.files.push(FileEntry {
            path,
            table: Table::Positions,
            period: "years".to_owned(),
            level: 3,
            rows: 16 << 20,
            bytes: BYTES,
            crc32: 0,
            fix_time: (day * DAY_MS, (day + 1) * DAY_MS - 1),
            device: ("a".to_owned(), "z".to_owned()),
            last_offset: day,
            thinned: None,
            fleets: Some([("north".to_owned(), 16 << 20)].into()),
            newest: Some(Section { at: BYTES / 2, bytes: 1 << 20, crc32: 0 }),
        });
    }
    manifest.save(folder, &Disk::default()).expect("saved");
    fs::metadata(folder.join("manifest.json")).expect("a manifest").len()
}

/// How often the calling thread has read from files so far, and how many bytes.
fn read_so_far() -> (u64, u64) {
    let told = fs::read_to_string("/proc/thread-self/io").expect("the system counts it");
    let figure = |name: &str| told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
    figure("syscr:").zip(figure("rchar:")).expect("two figures")
}

#[test]
fn a_terabyte_of_history_is_opened_by_reading_its_manifest() {
    let [few, many] = [10, 1_000].map(|files| {
        let dir = tempfile::tempdir().expect("a folder");
        let manifest_bytes = fill(dir.path(), files);
        let (reads_before, bytes_before) = read_so_far();
        let store = ParquetStore::open(dir.path(), ParquetOptions::default()).expect("opens");
        let (reads, bytes) = read_so_far();
        let (reads, bytes) = (reads - reads_before, bytes - bytes_before);
        assert!(bytes <= manifest_bytes + A_LITTLE, "{files} files: {bytes} bytes read, {manifest_bytes} of them the manifest");
        // None is left out for damage.
        let (first, last) = store.fix_times().expect("there are rows");
        assert_eq!((first.as_millis(), last.as_millis()), (0, files * DAY_MS - 1));
        reads
    });
    assert!(many <= few + 10, "{few} reads for 10 files, {many} for 1,000");
}
