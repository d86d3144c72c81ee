//! Questions that need more memory than there is: right answers by way of files, which are bounded, and gone when the question is.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Fixture, fixture};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use waystream_sql::output::{self, Format};
use waystream_sql::{SqlError, SqlOptions};

/// So that exchanges between threads, which may have as much again, need no files: DataFusion 55.2 may stand still over those.
const MEMORY: usize = 16 << 20;

/// Some 20 MB of rows. 7919 has no divisor in common with 300007, so each place from 1 on is there once.
const SORT: &str = "SELECT (value * 7919) % 300007 AS place, 'the position of device number ' || CAST(value AS TEXT) AS text \
                    FROM generate_series(1, 300006) ORDER BY place";
/// 150001 groups of two values each.
const GROUPING: &str = "SELECT 'device number ' || CAST((value * 7919) % 150001 AS TEXT) AS device, count(*) AS n, sum(value) AS total \
                        FROM generate_series(1, 300002) GROUP BY device";
/// Writes files until it is stopped.
const WITHOUT_END: &str = "SELECT value % 300007 AS place, 'the position of device number ' || CAST(value AS TEXT) AS text \
                           FROM generate_series(1, 1000000000000) ORDER BY place";
/// The table of a join has to be in memory.
const JOIN: &str = "SELECT count(*) FROM generate_series(1, 3000000) a JOIN generate_series(1, 3000000) b ON a.value = b.value";

/// An engine with little memory, and the folder for its files.
async fn small(limits: SqlOptions) -> (Fixture, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let spill_folder = Some(folder.path().join("spill"));
    let options = SqlOptions { memory_bytes: MEMORY, threads: 2, max_rows: 1_000_000, spill_folder, ..limits };
    (fixture(options).await, folder)
}

fn patient() -> SqlOptions {
    SqlOptions { deadline: Duration::from_secs(300), spill_bytes: 256 << 20, ..SqlOptions::default() }
}

async fn answer(f: &Fixture, sql: &str) -> Result<String, SqlError> {
    let mut out = Vec::new();
    output::write(f.engine.query(&f.acme, sql).await?, Format::Csv, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

/// Bytes of all files in a folder. Files may go while it is read.
fn bytes(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |path: &Path| match path.is_dir() {
        true => bytes(path),
        false => path.metadata().map_or(0, |file| file.len()),
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// What comes of some work, and the most that was in the folder meanwhile.
async fn watched<T>(folder: &Path, work: impl Future<Output = T>) -> (T, u64) {
    let mut work = pin!(work);
    let mut most = 0;
    let mut looks = tokio::time::interval(Duration::from_millis(5));
    loop {
        tokio::select! {
            done = &mut work => return (done, most),
            _ = looks.tick() => most = bytes(folder).max(most),
        }
    }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn nothing_is_left(f: &Fixture, folder: &TempDir) {
    until("files are left", || bytes(folder.path()) == 0).await;
    until("it still runs", || f.engine.running() == 0).await;
    assert_eq!(answer(f, "SELECT count(*) AS n FROM events").await.unwrap(), "n\n100\n");
}

/// Files that an operator of this name wrote, by what `EXPLAIN ANALYZE` tells.
fn files_of(operator: &str, plan: &str) -> u64 {
    let told = plan.lines().filter(|line| line.contains(operator)).filter_map(|line| line.split_once("spill_count="));
    told.map(|(_, count)| count.chars().take_while(char::is_ascii_digit).collect::<String>().parse::<u64>().unwrap()).sum()
}

#[tokio::test]
async fn a_sort_beyond_the_memory_is_right_and_used_files() {
    let (f, folder) = small(patient()).await;
    let (text, most) = watched(folder.path(), answer(&f, SORT)).await;
    let text = text.unwrap();
    let mut rows = 0;
    for (line, expected) in text.lines().skip(1).zip(1_u64..) {
        let (place, text) = line.split_once(',').unwrap();
        let number: u64 = text.strip_prefix("the position of device number ").unwrap().parse().unwrap();
        assert_eq!((place.parse::<u64>().unwrap(), number * 7919 % 300_007), (expected, expected), "{line}");
        rows += 1;
    }
    assert_eq!(rows, 300_006);
    assert!((1..=256 << 20).contains(&most), "{most} bytes in files");
    nothing_is_left(&f, &folder).await;
    let plan = answer(&f, &format!("EXPLAIN ANALYZE {SORT}")).await.unwrap();
    assert!(files_of("SortExec", &plan) > 0, "{plan}");
    nothing_is_left(&f, &folder).await;
}

#[tokio::test]
async fn a_grouping_beyond_the_memory_is_right_and_used_files() {
    let (f, folder) = small(patient()).await;
    let (text, most) = watched(folder.path(), answer(&f, GROUPING)).await;
    let (mut groups, mut sum) = (0, 0);
    for line in text.unwrap().lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        assert_eq!(fields[1], "2", "{line}");
        sum += fields[2].parse::<u64>().unwrap();
        groups += 1;
    }
    assert_eq!((groups, sum), (150_001, 300_002 * 300_003 / 2));
    assert!((1..=256 << 20).contains(&most), "{most} bytes in files");
    nothing_is_left(&f, &folder).await;
    let plan = answer(&f, &format!("EXPLAIN ANALYZE {GROUPING}")).await.unwrap();
    assert!(files_of("AggregateExec", &plan) > 0, "{plan}");
    nothing_is_left(&f, &folder).await;
}

#[tokio::test]
async fn files_grow_to_their_limit_and_no_further() {
    let limit = 4 << 20;
    let (f, folder) = small(SqlOptions { spill_bytes: limit, ..patient() }).await;
    let (error, most) = watched(folder.path(), answer(&f, SORT)).await;
    let Err(SqlError::Memory(why)) = error else { panic!("{error:?}") };
    assert!(why.contains("limit of 4.0 MB") && !why.contains("datafusion."), "{why}");
    assert!(most <= limit, "{most} bytes in files");
    nothing_is_left(&f, &folder).await;
}

#[tokio::test]
async fn files_go_with_a_query_that_is_cancelled_or_too_late() {
    let (f, folder) = small(SqlOptions { spill_bytes: 1 << 30, ..patient() }).await;
    let running = f.engine.query(&f.acme, WITHOUT_END).await.unwrap();
    until("no files were written", || bytes(folder.path()) > 0).await;
    assert_eq!(f.engine.running(), 1);
    drop(running);
    nothing_is_left(&f, &folder).await;

    let (f, folder) = small(SqlOptions { deadline: Duration::from_secs(5), ..SqlOptions::default() }).await;
    let (error, most) = watched(folder.path(), answer(&f, WITHOUT_END)).await;
    assert!(matches!(error, Err(SqlError::Deadline(_))), "{error:?}");
    assert!(most > 0, "no files were written");
    nothing_is_left(&f, &folder).await;
}

#[tokio::test]
async fn what_cannot_use_files_ends_and_says_which_limit_it_met() {
    let (f, folder) = small(patient()).await;
    let error = answer(&f, JOIN).await;
    let Err(SqlError::Memory(why)) = error else { panic!("{error:?}") };
    assert!(why.contains("HashJoin") && why.contains("16.0 MB that the queries of an organisation may use"), "{why}");
    nothing_is_left(&f, &folder).await;
}
