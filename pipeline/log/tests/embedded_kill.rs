//! Killed at any moment, the embedded log has every acknowledged record exactly once and every commit whole.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use support::{now_ms, numbers, quiet, record};
use tokio::task::JoinSet;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Group, Log, Offsets, Topic};

/// Folder of the log for the child; unset in the parent.
const CHILD: &str = "WAYSTREAM_TEST_LOG_CHILD";
const QUICK: &str = "WAYSTREAM_TEST_LOG_QUICK_REPAIR";
const CALLERS: u64 = 8;
const KILLS: u64 = 20;

/// Not a test in the parent: the child's life, which ends by being killed.
#[test]
fn child() {
    if let Ok(dir) = std::env::var(CHILD) {
        let options = EmbeddedOptions { quick_repair: std::env::var(QUICK).is_ok(), ..quiet() };
        let log = EmbeddedLog::open(Path::new(&dir), options).expect("opens");
        tokio::runtime::Runtime::new().expect("a runtime").block_on(work(log));
    }
}

async fn work(log: Arc<EmbeddedLog>) {
    let mut tasks = JoinSet::new();
    let before = numbers(&*log, Topic::Positions).await;
    for caller in 0..CALLERS {
        let key = format!("caller-{caller}");
        let mut next = before.get(&key).map_or(0, |values| values.len() as u64);
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            loop {
                let size = 1 + (next * 7 + caller) % 40;
                let records = (next..next + size).map(|n| record(&*key, n)).collect();
                log.append(Topic::Positions, records).await.expect("appends");
                next += size;
                acknowledged(&key, next);
            }
        });
    }
    let mut next = log.committed("killed", Topic::Positions).await.expect("offsets")[&(Topic::Positions, 0)];
    let committing = Arc::clone(&log);
    tasks.spawn(async move {
        loop {
            let group = Group { name: "killed".into(), member: 0 };
            let records = vec![(Topic::Events, record("commit", next)), (Topic::States, record(format!("{}", next % 3), next))];
            next += 1;
            let offsets = Offsets::from([((Topic::Positions, 0), next)]);
            committing.commit(&group, records, &offsets).await.expect("commits");
            acknowledged("commit", next);
        }
    });
    tasks.spawn(async move {
        loop {
            log.maintain(now_ms()).await.expect("maintains");
        }
    });
    tasks.join_next().await;
}

/// One line, past the test harness.
fn acknowledged(who: &str, records: u64) {
    writeln!(std::io::stdout(), "\nACK {who} {records}").expect("the parent listens");
}

#[tokio::test]
async fn every_acknowledged_record_is_there_exactly_once_after_a_kill() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut seed = 0x2545_f491_4f6c_dd1d_u64 ^ now_ms() as u64;
    for kill in 0..KILLS {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let acknowledgements = 1 + seed % 300;
        let acknowledged = run_and_kill(dir.path(), acknowledgements, kill % 2 == 0);

        let log = EmbeddedLog::open(dir.path(), quiet()).expect("opens after a kill");
        let positions = numbers(&*log, Topic::Positions).await;
        let events = numbers(&*log, Topic::Events).await;
        for (who, least) in acknowledged {
            let values = if who == "commit" { &events[&who] } else { &positions[&who] };
            assert!(values.len() as u64 >= least, "kill {kill} (seed {seed}): {who} was promised {least} records");
        }
        for (key, values) in positions.iter().chain(&events) {
            assert!(values.iter().copied().eq(0..values.len() as u64), "kill {kill}: {key} has each number once, in order");
        }
        let committed = log.committed("killed", Topic::Positions).await.expect("offsets")[&(Topic::Positions, 0)];
        let commits = events.get("commit").map_or(0, Vec::len) as u64;
        assert_eq!(committed, commits, "kill {kill}: records and offsets of commits");
        for (key, values) in numbers(&*log, Topic::States).await {
            let newest = (0..commits).rev().find(|n| (n % 3).to_string() == key);
            assert_eq!(values.last().copied(), newest, "kill {kill}: newest state of {key}");
        }
        log.close().await;
    }
}

/// Runs the child until it has acknowledged so many times, kills it, and gives the newest acknowledgement of each caller.
fn run_and_kill(dir: &Path, acknowledgements: u64, quick: bool) -> Vec<(String, u64)> {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["--exact", "child", "--nocapture", "--test-threads=1"]).env(CHILD, dir).stdout(Stdio::piped());
    if quick {
        command.env(QUICK, "1");
    }
    let mut child = command.spawn().expect("the child starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut newest = std::collections::BTreeMap::new();
    let mut take = |line: String| {
        let mut words = line.strip_prefix("ACK ")?.split(' ');
        let (who, records) = (words.next()?, words.next()?.parse().ok()?);
        newest.insert(who.to_owned(), records)
    };
    let mut seen = 0;
    while seen < acknowledgements {
        let line = lines.next().expect("the child lives until it is killed").expect("text");
        seen += u64::from(line.starts_with("ACK "));
        take(line);
    }
    child.kill().expect("killed");
    // What it had acknowledged before it died is still in the pipe; a torn last line is no acknowledgement.
    let rest: Vec<_> = lines.map_while(Result::ok).collect();
    for line in rest.iter().take(rest.len().saturating_sub(1)) {
        take(line.clone());
    }
    child.wait().expect("the child is gone");
    newest.into_iter().collect()
}
