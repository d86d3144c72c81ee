//! A disk that is full for a while costs calls, not records: no promise is broken, and writing goes on when there is room again.

mod support;

use rlimit::Resource;
use std::path::Path;
use std::process::Command;
use support::{numbers, quiet, record};
use waystream_log::embedded::EmbeddedLog;
use waystream_log::{Log, LogError, Topic};

const CHILD: &str = "WAYSTREAM_TEST_LOG_FULL";

/// In its own process, because a limit on file sizes stands in for the full disk.
#[test]
fn a_full_disk_is_survived() {
    if let Ok(dir) = std::env::var(CHILD) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        return runtime.block_on(fill_and_go_on(Path::new(&dir)));
    }
    let dir = tempfile::tempdir().expect("a folder");
    // Writing past the limit is an error only where the signal for it is ignored, which a child inherits from the shell.
    let child = Command::new("sh")
        .args(["-c", "trap '' XFSZ; exec \"$0\" --exact a_full_disk_is_survived --nocapture"])
        .arg(std::env::current_exe().expect("this program"))
        .env(CHILD, dir.path())
        .status()
        .expect("a child");
    assert!(child.success());
}

async fn fill_and_go_on(dir: &Path) {
    let log = EmbeddedLog::open(dir, quiet()).expect("opens");
    let mut acknowledged = Vec::new();
    let mut undecided = Vec::new();
    let mut next = 0;
    for round in 1..=3u64 {
        let (_, hard) = Resource::FSIZE.get().expect("a limit");
        Resource::FSIZE.set(round * (2 << 20), hard).expect("limited");
        let mut refused = 0;
        while refused < 20 {
            let records = vec![record("a", next), record(format!("{:05000}", 0), 0)];
            match log.append(Topic::Positions, records).await {
                Ok(()) => acknowledged.push(next),
                Err(LogError::Indeterminate(_)) => {
                    undecided.push(next);
                    refused += 1;
                }
                Err(LogError::Unavailable(_)) => refused += 1,
                Err(other) => panic!("{other}"),
            }
            next += 1;
        }
        numbers(&*log, Topic::Positions).await.get("a").expect("what was there can be read");
        Resource::FSIZE.set(hard, hard).expect("unlimited");
        log.append(Topic::Positions, vec![record("a", next)]).await.expect("there is room again");
        acknowledged.push(next);
        next += 1;
    }
    log.close().await;
    let log = EmbeddedLog::open(dir, quiet()).expect("opens");
    let found = numbers(&*log, Topic::Positions).await.remove("a").expect("records");
    assert!(found.is_sorted_by(|a, b| a < b), "each once, in order");
    assert!(acknowledged.iter().all(|n| found.contains(n)), "every acknowledged record is there");
    assert!(found.iter().all(|n| acknowledged.contains(n) || undecided.contains(n)), "no record that surely was not written");
}
