//! A store whose files were mangled: rows of files that are as they were written are all there, those of the others are not, and every
//! such file is named; or the store says that its manifest can't be read. `SEED` says one run again, `CASES` tries more.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::time::timeout;
use waystream_domain::{DeviceId, Event, EventId, EventKind, LatLon, Position, Timestamp};
use waystream_store::contract::{Dice, History, at, event, events, position, positions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{Archived, Store, StoreError};

const CASES: u64 = 40;
/// Who has not read some thousand rows after so long never will.
const PATIENCE: Duration = Duration::from_secs(60);
const MANIFEST: &str = "manifest.json";

/// Contents by path below the store's folder.
type Files = BTreeMap<String, Vec<u8>>;

/// Which rows are in a file.
#[derive(Debug, Default)]
struct Rows {
    positions: BTreeSet<(DeviceId, Timestamp)>,
    events: BTreeSet<EventId>,
}

/// A store as it was written.
struct Whole {
    files: Files,
    positions: Vec<Position>,
    events: Vec<Archived<Event>>,
    rows: BTreeMap<String, Rows>,
}

impl Whole {
    /// Some thousand rows of some days, each once; files as they were flushed and one of several that were merged.
    async fn new(dice: &mut Dice) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(&dir).expect("opens");
        let mut history = History::default();
        for (half, day) in [(0, "2026-03-04"), (1, "2026-03-04"), (0, "2026-03-05"), (0, "2026-03-06"), (0, "2026-04-07")] {
            for device in 0..4 {
                for i in 0..300 {
                    let mut position = position(&format!("device-{device}"), at(day).plus_millis((half * 300 + i) * 60_000));
                    let (lat, lon) = (dice.roll(900_000_000) as i32, dice.roll(1_800_000_000) as i32);
                    position.location = LatLon::from_e7(lat, lon).expect("on Earth");
                    if i % 20 == 0 {
                        history.event(event(&position, EventKind::ALL[dice.roll(2) as usize]));
                    }
                    history.position(position);
                }
            }
            history.append_all(store.as_ref()).await;
            store.flush().await.expect("flushes");
        }
        store.maintain(at("2026-03-06T12:00:00Z")).await.expect("keeps house");
        history.check(store.as_ref()).await;
        drop(store);
        let mut whole = Self {
            files: files(dir.path()),
            positions: history.expected_positions(),
            events: history.expected_events(),
            rows: BTreeMap::new(),
        };
        for path in whole.files.keys().filter(|path| *path != MANIFEST) {
            // A file's rows are those that go with it.
            let mut without = whole.files.clone();
            without.remove(path);
            let dir = folder(&without);
            let store = open(&dir).expect("opens");
            let left: BTreeSet<_> = positions(store.as_ref(), &[]).await.iter().map(key).collect();
            let left_events: BTreeSet<_> = events(store.as_ref(), &[]).await.into_iter().map(|event| event.row.id).collect();
            let rows = Rows {
                positions: whole.positions.iter().map(key).filter(|key| !left.contains(key)).collect(),
                events: whole.events.iter().map(|e| e.row.id.clone()).filter(|id| !left_events.contains(id)).collect(),
            };
            assert!(rows.positions.len() + rows.events.len() > 0, "{path} has no rows");
            whole.rows.insert(path.clone(), rows);
        }
        assert!(whole.rows.len() > 3, "{:?}", whole.rows.keys());
        whole
    }

    /// Panics unless a store has all rows but those of these files, and no others.
    async fn check_without(&self, store: &ParquetStore, changed: &BTreeSet<String>, case: &str) {
        let gone = |of: &dyn Fn(&Rows) -> bool| changed.iter().any(|path| of(&self.rows[path]));
        let expected = self.positions.iter().filter(|p| !gone(&|rows: &Rows| rows.positions.contains(&key(p))));
        let found = positions(store, &[]).await;
        assert!(found.iter().eq(expected), "{case}: positions without {changed:?}");
        let expected = self.events.iter().filter(|e| !gone(&|rows: &Rows| rows.events.contains(&e.row.id)));
        let found = events(store, &[]).await;
        assert!(found.iter().eq(expected), "{case}: events without {changed:?}");
    }
}

fn key(position: &Position) -> (DeviceId, Timestamp) {
    (position.device.clone(), position.fix_time)
}

fn open(dir: &TempDir) -> Result<Arc<ParquetStore>, StoreError> {
    ParquetStore::open(dir.path(), ParquetOptions::default())
}

fn files(dir: &Path) -> Files {
    let mut files = Files::new();
    for folder in ["", "positions", "events"] {
        for entry in std::fs::read_dir(dir.join(folder)).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(dir).expect("below it").to_string_lossy().into_owned();
            if path.is_file() && name != "lock" {
                files.insert(name, std::fs::read(&path).expect("readable"));
            }
        }
    }
    files
}

fn folder(files: &Files) -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    for (path, bytes) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, bytes).expect("writable");
    }
    dir
}

fn mangle(bytes: &mut Vec<u8>, dice: &mut Dice) {
    let length = bytes.len() as u64;
    if length == 0 {
        return;
    }
    let at = dice.roll(length) as usize;
    let end = bytes.len().min(at + 1 + dice.roll(4_096) as usize);
    match dice.roll(8) {
        0..3 => bytes[at] ^= 1_u8 << dice.roll(8),
        3 => bytes[at..end].fill(0),
        4 => bytes[at..end].iter_mut().for_each(|byte| *byte = dice.roll(256) as u8),
        5 => {
            let (part, to) = (bytes[at..end].to_vec(), dice.roll(length) as usize);
            bytes.iter_mut().skip(to).zip(part).for_each(|(place, byte)| *place = byte);
        }
        6 => bytes.truncate(at),
        _ => bytes.extend((at..end).map(|_| dice.roll(256) as u8)),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|n| n.parse().ok())
}

/// What a run's chance comes from.
fn seed() -> u64 {
    let seed = number("SEED").unwrap_or_else(|| RandomState::new().hash_one(0));
    // Not for the test's own output, which is lost if the process is.
    writeln!(std::io::stderr(), "SEED={seed}").expect("written");
    seed
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_mangled_files_are_left_out_and_the_files_are_named() {
    let mut dice = Dice::new(seed());
    let whole = Whole::new(&mut dice).await;
    let paths: Vec<&String> = whole.files.keys().collect();
    for case in 0..number("CASES").unwrap_or(CASES) {
        let mut files = whole.files.clone();
        for _ in 0..1 + dice.roll(4) {
            let path = paths[dice.roll(paths.len() as u64) as usize];
            if dice.roll(12) == 0 {
                files.remove(path);
            } else if let Some(bytes) = files.get_mut(path) {
                mangle(bytes, &mut dice);
            }
        }
        let mut changed: BTreeSet<String> =
            whole.files.iter().filter(|(path, bytes)| files.get(*path) != Some(*bytes)).map(|(path, _)| path.clone()).collect();
        let dir = folder(&files);
        let case = format!("case {case}");
        let store = match open(&dir) {
            Ok(store) => store,
            Err(StoreError::Damaged(what)) if changed.contains(MANIFEST) => {
                assert!(what.contains("manifest"), "{case}: {what}");
                continue;
            }
            Err(other) => panic!("{case}: {other}"),
        };
        // What was changed of the manifest means nothing if it can be read.
        changed.remove(MANIFEST);
        whole.check_without(&store, &changed, &case).await;
        let damage = store.check().await.expect("checks");
        let unnamed: Vec<_> = changed.iter().filter(|path| !damage.iter().any(|what| what.contains(path.as_str()))).collect();
        assert!(unnamed.is_empty() && damage.len() == changed.len(), "{case}: {damage:?}, changed were {changed:?}");
        // Nor does housekeeping make others of them.
        store.maintain(at("2026-05-01T00:00:00Z")).await.expect("keeps house");
        whole.check_without(&store, &changed, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_rots_after_it_was_checked_takes_nobody_along() {
    let mut dice = Dice::new(seed());
    let whole = Whole::new(&mut dice).await;
    let paths: Vec<&String> = whole.rows.keys().collect();
    for case in 0..number("CASES").unwrap_or(CASES / 2) {
        let dir = folder(&whole.files);
        let store = open(&dir).expect("opens");
        whole.check_without(&store, &BTreeSet::new(), "whole").await;
        let path = paths[dice.roll(paths.len() as u64) as usize];
        let mut bytes = whole.files[path].clone();
        while bytes == whole.files[path] {
            // Its length stays: that of a file that is open doesn't change by itself.
            let at = dice.roll(bytes.len() as u64) as usize;
            let end = bytes.len().min(at + 1 + dice.roll(64) as usize);
            bytes[at..end].iter_mut().for_each(|byte| *byte ^= dice.roll(256) as u8);
        }
        std::fs::write(dir.path().join(path), &bytes).expect("writable");
        // Rows, an error, or a panic of who decodes them, which ends the query and nothing else.
        let reading = store.clone();
        let read = tokio::spawn(async move {
            positions(reading.as_ref(), &[]).await;
            events(reading.as_ref(), &[]).await;
        });
        assert!(timeout(PATIENCE, read).await.is_ok(), "case {case}: reading {path} has no end");
        let case = format!("case {case}");
        // Merging it would make its rows good ones.
        store.maintain(at("2026-05-01T00:00:00Z")).await.expect("keeps house");
        let damage = store.check().await.expect("checks");
        assert!(damage.len() == 1 && damage[0].contains(path.as_str()), "{case}: {damage:?} and not {path}");
        whole.check_without(&store, &BTreeSet::from([path.clone()]), &case).await;
    }
}
