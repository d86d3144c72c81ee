//! A store that dies between any two of its effects on disk, and comes back; and one whose disk is full for a while.

use super::disk::Disk;
use super::{Manifest, ParquetOptions, ParquetStore};
use crate::contract::{Dice, History, event, position};
use crate::{Store, StoreError, Table};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use waystream_domain::{Erasure, EventKind, Timestamp};

/// Ten flushes over two days, late rows and new versions among them: enough for compactions of several files.
fn history() -> History {
    let mut dice = Dice::new(7);
    let mut history = History::default();
    for _ in 0..400 {
        let fix_time = Timestamp::from_millis((20_000 + dice.roll(2) as i64) * 86_400_000 + dice.roll(60) as i64 * 60_000);
        let mut p = position(["a", "b", "c"][dice.roll(3) as usize], fix_time.expect("a time"));
        p.received_at = p.fix_time.plus_millis(dice.roll(3) as i64);
        p.altitude_m = Some(dice.roll(1_000) as f32);
        if dice.roll(9) == 0 {
            history.event(event(&p, EventKind::Enter));
        }
        history.position(p);
    }
    history
}

/// Long after the days of [`history`].
fn later() -> Timestamp {
    Timestamp::from_millis(20_100 * 86_400_000).expect("a time")
}

async fn work(store: &dyn Store, history: &mut History) -> Result<(), StoreError> {
    for round in 0..10 {
        history.append(store, 14).await;
        store.flush().await?;
        if round % 5 == 4 {
            store.maintain(later()).await?;
        }
    }
    Ok(())
}

fn open(folder: &Path, disk: Disk) -> Result<Arc<ParquetStore>, StoreError> {
    ParquetStore::open_on(folder, ParquetOptions::default(), disk)
}

/// No file is there that the manifest doesn't name, and none is missing.
fn check_files(folder: &Path) {
    let manifest = Manifest::load(folder).expect("readable").expect("there");
    let named: BTreeSet<String> = manifest.files.into_iter().map(|f| f.path).collect();
    let there: BTreeSet<String> = Table::ALL
        .into_iter()
        .flat_map(|t| std::fs::read_dir(folder.join(t.name())).expect("a folder").map(move |f| (t, f.expect("an entry"))))
        .map(|(t, f)| format!("{}/{}", t.name(), f.file_name().to_string_lossy()))
        .collect();
    assert_eq!(there, named);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_it_loses_and_doubles_nothing() {
    for after in 0.. {
        let dir = tempfile::tempdir().expect("a folder");
        let died = match open(dir.path(), Disk::dying(after)) {
            Ok(store) => work(store.as_ref(), &mut history()).await.is_err(),
            Err(_) => true,
        };
        let store = open(dir.path(), Disk::default()).unwrap_or_else(|e| panic!("after {after} effects: {e}"));
        let mut history = history();
        history.rewind(store.covered().await.expect("answers"));
        history.append_all(store.as_ref()).await;
        history.check(store.as_ref()).await;
        store.flush().await.expect("flushes");
        store.maintain(later()).await.expect("keeps house");
        history.check(store.as_ref()).await;
        assert!(store.damage().is_empty());
        drop(store);
        check_files(dir.path());
        if !died {
            assert!(after > 100, "all of the work was under test");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_erases_it_loses_nothing_else_and_can_do_it_again() {
    let device = "b".parse().expect("an id");
    let erasure = Erasure { device, organisation: None, fleets: None, until: later(), done_at: None, problem: None };
    for after in 0.. {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = Disk::dying(u64::MAX);
        let store = open(dir.path(), disk.clone()).expect("opens");
        let mut history = history();
        work(store.as_ref(), &mut history).await.expect("works");
        disk.dies_after(after);
        let died = store.erase(&erasure).await.is_err();
        drop(store);
        let store = open(dir.path(), Disk::default()).unwrap_or_else(|e| panic!("after {after} effects: {e}"));
        store.erase(&erasure).await.expect("erases");
        history.erase(erasure.clone());
        history.rewind(store.covered().await.expect("answers"));
        history.append_all(store.as_ref()).await;
        history.check(store.as_ref()).await;
        store.flush().await.expect("flushes");
        drop(store);
        check_files(dir.path());
        if !died {
            assert!(after > 5, "files were rewritten");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_passing_trouble() {
    for after in (3..80).step_by(7) {
        let dir = tempfile::tempdir().expect("a folder");
        let disk = Disk::dying(u64::MAX);
        let store = open(dir.path(), disk.clone()).expect("opens");
        let mut history = history();
        history.append(store.as_ref(), 50).await;
        disk.dies_after(after);
        if let Err(error) = work(store.as_ref(), &mut history).await {
            assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
        }
        disk.dies_after(u64::MAX);
        history.append_all(store.as_ref()).await;
        history.check(store.as_ref()).await;
        store.flush().await.expect("flushes again");
        store.maintain(later()).await.expect("keeps house again");
        history.check(store.as_ref()).await;
        drop(store);
        let store = open(dir.path(), Disk::default()).expect("opens");
        assert_eq!(store.covered().await.expect("answers"), history.end());
        history.check(store.as_ref()).await;
        drop(store);
        check_files(dir.path());
    }
}
