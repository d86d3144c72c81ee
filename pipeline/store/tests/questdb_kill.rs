//! QuestDB is killed (SIGKILL) at random moments while the archive writes to it: it has exactly the rows of the log.

use crate::server::Server;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use waystream_domain::EventKind;
use waystream_domain::codec::{encode_event, encode_position};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Offsets, Record, Topic};
use waystream_store::contract::{Dice, History, event, events, positions};
use waystream_store::questdb::QuestDbStore;
use waystream_store::{Archive, ArchiveConfig, Store};

const KILLS: usize = 20;
const ROWS_A_ROUND: usize = 1_500;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_of_questdb_loses_and_doubles_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("SEED={seed}");
    let mut dice = Dice::new(seed);
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
    let server = Server::start();
    let options = server.options();
    let store = QuestDbStore::open(options.clone()).expect("opens");
    let config = ArchiveConfig {
        batch_records: 200,
        flush_rows: 300,
        flush_after: Duration::from_millis(5),
        retry_at_most: Duration::from_millis(50),
        ..ArchiveConfig::default()
    };
    let token = CancellationToken::new();
    let archive = tokio::spawn(Archive::new(config).run(log.clone(), store.clone(), token.clone()));

    let covered = async || store.covered().await.unwrap_or_default();
    let mut history = History::default();
    for round in 0..=KILLS {
        let (mut rows, mut happenings) = (Vec::new(), Vec::new());
        for n in 0..ROWS_A_ROUND {
            let mut p = dice.position();
            // Most fixes are new, the rest are late or sent again.
            if dice.roll(4) > 0 {
                p.fix_time = p.fix_time.plus_millis((round * ROWS_A_ROUND + n) as i64);
            }
            if dice.roll(5) == 0 {
                let e = event(&p, EventKind::Exit);
                happenings.push(Record::new(e.device.as_str().to_owned(), encode_event(&e)));
                history.event(e);
            }
            rows.push(Record::new(p.device.as_str().to_owned(), encode_position(&p)));
            history.position(p);
        }
        log.append(Topic::Positions, rows).await.expect("appends");
        log.append(Topic::Events, happenings).await.expect("appends");
        if round < KILLS {
            // It is at work again, and hardly ready.
            let before = covered().await;
            let works = async {
                while covered().await == before {
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
            };
            let works = tokio::time::timeout(Duration::from_secs(60), works).await;
            assert!(works.is_ok(), "it does not go on after {round} kills; the store says {:?}", store.damage());
            tokio::time::sleep(Duration::from_micros(dice.roll(200_000))).await;
            tokio::task::block_in_place(|| {
                server.kill();
                server.restart();
            });
        }
    }

    let mut end = Offsets::new();
    for topic in [Topic::Positions, Topic::Events] {
        let bounds = log.bounds(topic).await.expect("answers");
        end.extend(bounds.into_iter().enumerate().filter(|(_, b)| b.next > 0).map(|(p, b)| ((topic, p as u32), b.next)));
    }
    let all_covered = async {
        while covered().await != end {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let caught_up = tokio::time::timeout(Duration::from_secs(60), all_covered).await;
    assert!(caught_up.is_ok(), "it has not caught up; the store says {:?}", store.damage());
    token.cancel();
    archive.await.expect("no panic").expect("an orderly end");

    // Received in the same millisecond, what is last in the log is kept: within a device both have the same order.
    assert_eq!(positions(store.as_ref(), &[]).await, history.expected_positions());
    let ids =
        |rows: Vec<waystream_store::Archived<waystream_domain::Event>>| rows.into_iter().map(|e| e.row).collect::<Vec<_>>();
    assert_eq!(ids(events(store.as_ref(), &[]).await), ids(history.expected_events()));
    assert_eq!(server.count(&options, "positions").await, history.expected_positions().len() as u64);
    assert_eq!(server.count(&options, "events").await, history.expected_events().len() as u64);
}
