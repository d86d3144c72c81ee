//! What only the embedded log promises: one owner, retention, bounded queue, and clear words about damaged files.

mod support;

use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use support::{now_ms, numbers, quiet, read_all, record};
use tokio::task::JoinSet;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Group, Keep, Log, LogError, Offsets, Record, Topic};

const BLOBS: TableDefinition<'static, (u8, u32, u64), &'static [u8]> = TableDefinition::new("blobs");
const CHILD: &str = "WAYSTREAM_TEST_LOG_SECOND";

fn file(dir: &Path) -> std::path::PathBuf {
    dir.join("log.redb")
}

#[tokio::test]
async fn a_second_owner_is_refused_in_this_process_and_in_another() {
    if let Ok(dir) = std::env::var(CHILD) {
        let refused = EmbeddedLog::open(Path::new(&dir), quiet());
        assert!(matches!(&refused, Err(LogError::Closed(why)) if why.contains("in use")), "{refused:?}");
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    let refused = EmbeddedLog::open(dir.path(), quiet());
    assert!(matches!(&refused, Err(LogError::Closed(why)) if why.contains("in use")), "{refused:?}");
    let other = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_second_owner_is_refused_in_this_process_and_in_another"])
        .env(CHILD, dir.path())
        .status()
        .expect("another process");
    assert!(other.success());
    log.append(Topic::Events, vec![record("a", 1)]).await.expect("the owner is not disturbed");
    drop(log);
    EmbeddedLog::open(dir.path(), quiet()).expect("free after the owner is dropped");
}

#[test]
fn other_partition_numbers_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let three = || EmbeddedOptions { partitions: BTreeMap::from([(Topic::Events, 3)]), ..quiet() };
    drop(EmbeddedLog::open(dir.path(), three()).expect("opens"));
    let refused = EmbeddedLog::open(dir.path(), quiet());
    assert!(matches!(&refused, Err(LogError::Refused(why)) if why.contains("events has 3 partitions")), "{refused:?}");
    assert_eq!(EmbeddedLog::open(dir.path(), three()).expect("opens").partitions(Topic::Events), 3);
}

#[tokio::test]
async fn old_records_go_and_offsets_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let hour = Duration::from_secs(3600);
    let options = EmbeddedOptions { keep: BTreeMap::from([(Topic::Events, Keep::For(hour))]), ..quiet() };
    let log = EmbeddedLog::open(dir.path(), options.clone()).expect("opens");
    for n in 0..20 {
        log.append(Topic::Events, vec![record("a", n)]).await.expect("appends");
    }
    let before = read_all(&*log, Topic::Events).await.expect("reads");
    assert_eq!(log.maintain(now_ms() + 3_500_000).await.expect("maintains").expired, 0, "nothing is an hour old");
    let dropped = log.maintain(now_ms() + 3_700_000).await.expect("maintains");
    assert_eq!(dropped.expired, 19, "all but the newest, which says where the partition ends");
    log.close().await;
    let log = EmbeddedLog::open(dir.path(), options).expect("opens");
    log.append(Topic::Events, vec![record("a", 20)]).await.expect("appends");
    let after = read_all(&*log, Topic::Events).await.expect("reads");
    assert_eq!((after.len(), &after[0], after[1].offset), (2, &before[19], before[19].offset + 1));
    let partition = waystream_log::partition_of(b"a", log.partitions(Topic::Events));
    let bounds = log.bounds(Topic::Events).await.expect("bounds")[partition as usize];
    assert_eq!((bounds.first, bounds.next), (before[19].offset, before[19].offset + 2));
}

#[tokio::test]
async fn a_removed_key_is_forgotten_after_a_day() {
    const DAY_MS: i64 = 24 * 3_600_000;
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    for record in [record("a", 1), record("b", 2), Record::removal("a"), record("c", 3)] {
        log.append(Topic::Catalog, vec![record]).await.expect("appends");
    }
    let keys = async |log: &EmbeddedLog| {
        let entries = read_all(log, Topic::Catalog).await.expect("reads");
        entries.iter().map(|e| String::from_utf8_lossy(&e.key).into_owned()).collect::<Vec<_>>()
    };
    log.maintain(now_ms()).await.expect("maintains");
    log.close().await;
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    assert_eq!(keys(&log).await, ["b", "a", "c"], "the removal is still told");
    log.maintain(now_ms() + DAY_MS + 1000).await.expect("maintains");
    log.close().await;
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    assert_eq!(keys(&log).await, ["b", "c"]);
}

#[tokio::test]
async fn compaction_happens_by_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = EmbeddedOptions { maintenance_every: Duration::from_millis(1), recent_bytes: 0, ..quiet() };
    let log = EmbeddedLog::open(dir.path(), options).expect("opens");
    let mut written = 0;
    loop {
        let records = (0..5000).map(|n| record("same key", written + n)).collect();
        log.append(Topic::States, records).await.expect("appends");
        written += 5000;
        let left = numbers(&*log, Topic::States).await.remove("same key").expect("the key");
        assert_eq!(left.last(), Some(&(written - 1)));
        if (left.len() as u64) < written / 2 {
            break;
        }
    }
}

#[tokio::test]
async fn a_close_answers_everything_first() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    let mut reader = log.read(Topic::Catalog, &Offsets::from([((Topic::Catalog, 0), 0)])).await.expect("a reader");
    let mut calls = JoinSet::new();
    for n in 0..500 {
        let log = Arc::clone(&log);
        calls.spawn(async move { (n, log.append(Topic::Events, vec![record(format!("{n}"), n)]).await) });
    }
    tokio::task::yield_now().await;
    log.close().await;
    let mut kept = Vec::new();
    while let Some(answer) = calls.join_next().await {
        match answer.expect("joins") {
            (n, Ok(())) => kept.push(n),
            (_, Err(LogError::Closed(_))) => {}
            (n, Err(e)) => panic!("append {n}: {e}"),
        }
    }
    assert!(matches!(reader.next(1).await, Err(LogError::Closed(_))), "readers learn of the end");
    assert!(matches!(log.append(Topic::Events, vec![record("x", 1)]).await, Err(LogError::Closed(_))));
    log.close().await;
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    let mut found: Vec<u64> = numbers(&*log, Topic::Events).await.into_values().flatten().collect();
    found.sort_unstable();
    kept.sort_unstable();
    assert_eq!(found, kept);
}

#[tokio::test]
async fn a_full_queue_makes_callers_wait_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions { queue_bytes: 4096, ..quiet() }).expect("opens");
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let log = Arc::clone(&log);
        // Every tenth is larger than the whole queue, and goes through alone.
        let records = (0..if n % 10 == 0 { 500 } else { 5 }).map(|m| record(format!("{n}"), m)).collect();
        calls.spawn(async move { log.append(Topic::Positions, records).await.expect("appends") });
    }
    calls.join_all().await;
    assert_eq!(read_all(&*log, Topic::Positions).await.expect("reads").len(), 10 * 500 + 90 * 5);
}

/// A log with some records in every topic, properly closed.
async fn filled(dir: &Path) -> BTreeMap<Topic, Vec<waystream_log::Entry>> {
    let log = EmbeddedLog::open(dir, quiet()).expect("opens");
    for n in 0..30 {
        for topic in Topic::ALL {
            let records = (0..40).map(|m| record(format!("key-{}", m % 5), format!("{n} {m} {}", "x".repeat(200)))).collect();
            log.append(topic, records).await.expect("appends");
        }
    }
    let group = Group { name: "g".into(), member: 0 };
    log.commit(&group, Vec::new(), &Offsets::from([((Topic::Positions, 0), 5)])).await.expect("commits");
    let mut all = BTreeMap::new();
    for topic in Topic::ALL {
        all.insert(topic, read_all(&*log, topic).await.expect("reads"));
    }
    log.close().await;
    all
}

#[tokio::test]
async fn damaged_records_are_named_and_others_still_read() {
    let dir = tempfile::tempdir().expect("a folder");
    let all = filled(dir.path()).await;
    let key = {
        let db = Database::open(file(dir.path())).expect("opens");
        let read = db.begin_read().expect("reads").open_table(BLOBS).expect("the table");
        let of_positions = |k: &(u8, u32, u64)| k.0 == 0;
        let keys: Vec<_> = read.iter().expect("reads").map(|e| e.expect("reads").0.value()).filter(of_positions).collect();
        let key = keys[keys.len() / 2];
        let mut bytes = read.get(key).expect("reads").expect("there").value().to_vec();
        drop(read);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let write = db.begin_write().expect("writes");
        write.open_table(BLOBS).expect("the table").insert(key, &*bytes).expect("writes");
        write.commit().expect("writes");
        key
    };
    let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens");
    let error = read_all(&*log, Topic::Positions).await.expect_err("damaged");
    let place = format!("positions partition {} from offset {}", key.1, key.2);
    assert!(matches!(&error, LogError::Damaged(why) if why.contains(&place)), "{error} names {place}");
    assert_eq!(&read_all(&*log, Topic::Events).await.expect("reads"), &all[&Topic::Events]);
    log.append(Topic::Positions, vec![record("key-0", "more")]).await.expect("appends still work");
}

/// Whatever happens to the file: the records that were there, or an error. Never a panic, never other records.
#[tokio::test]
async fn a_torn_or_changed_file_gives_the_truth_or_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let all = filled(dir.path()).await;
    let whole = std::fs::read(file(dir.path())).expect("the file");
    let mut harmless = 0;
    for n in 0..80usize {
        let mut bytes = whole.clone();
        if n < 20 {
            bytes.truncate(whole.len() / 20 * n + n % 3);
        } else {
            let at = (n - 20) * (whole.len() / 60) + 64 * (n % 7);
            for byte in bytes.iter_mut().skip(at).take(1 + n % 64) {
                *byte = !*byte;
            }
        }
        let torn = tempfile::tempdir().expect("a folder");
        std::fs::write(file(torn.path()), &bytes).expect("written");
        let log = match EmbeddedLog::open(torn.path(), quiet()) {
            Ok(log) => log,
            Err(LogError::Damaged(_) | LogError::Unavailable(_)) => continue,
            Err(other) => panic!("case {n}: {other}"),
        };
        let mut right = 0;
        for topic in Topic::ALL {
            match read_all(&*log, topic).await {
                Ok(entries) if n == 0 => assert!(entries.is_empty(), "an empty file is a new log"),
                Ok(entries) => {
                    assert_eq!(entries, all[&topic], "case {n}: {}", topic.name());
                    right += 1;
                }
                Err(LogError::Damaged(_) | LogError::Unavailable(_) | LogError::Closed(_)) => {}
                Err(other) => panic!("case {n}: {other}"),
            }
        }
        harmless += usize::from(right == Topic::ALL.len());
        log.close().await;
    }
    assert!(harmless < 80, "some of the changes do harm");
}
