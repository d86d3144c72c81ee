//! A process that writes to the embedded store is killed (SIGKILL) at random moments.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::Arc;
use waystream_domain::Timestamp;
use waystream_log::Offsets;
use waystream_store::Store;
use waystream_store::contract::{Dice, History};
use waystream_store::parquet::{ParquetOptions, ParquetStore};

const FOLDER: &str = "WAYSTREAM_TEST_STORE";

/// The log of all processes of this test.
fn history() -> History {
    let mut history = History::default();
    Dice::new(8).write(&mut history, 6_000);
    history
}

async fn open(folder: &std::path::Path) -> (Arc<ParquetStore>, History) {
    let store = ParquetStore::open(folder, ParquetOptions::default()).expect("opens");
    let mut history = history();
    history.rewind(store.covered().await.expect("answers"));
    (store, history)
}

fn rows(covered: &Offsets) -> u64 {
    covered.values().sum()
}

/// Only does something as a child of the other test: writes until it is killed, and tells what it believes to be durable.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let (store, mut history) = open(folder.as_ref()).await;
    let now = Timestamp::from_millis(30_000 * 86_400_000).expect("a time");
    for round in 1.. {
        history.append(store.as_ref(), 20).await;
        let covered = store.flush().await.expect("flushes");
        writeln!(std::io::stdout(), "\ndurable {}", rows(&covered)).expect("somebody reads");
        if round % 9 == 0 {
            store.maintain(now).await.expect("keeps house");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_loses_and_doubles_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut dice = Dice::new(9);
    for _ in 0..12 {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "child", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let told = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
        let told = told.filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let durable = told.take(1 + dice.roll(12) as usize).last().expect("it flushes");
        child.kill().expect("it runs");
        child.wait().expect("it ended");
        let (store, history) = open(dir.path()).await;
        let covered = store.covered().await.expect("answers");
        assert!(rows(&covered) >= durable, "{durable} rows were durable, {} are", rows(&covered));
        assert!(store.damage().is_empty());
        drop((store, history));
    }
    let (store, mut history) = open(dir.path()).await;
    history.append_all(store.as_ref()).await;
    history.check(store.as_ref()).await;
}
