//! What the dataflow remembers of a device whose history is erased: nothing of the time before, also after a restart.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{append, caught_up, edit, fix, open, own, start};
use std::sync::Arc;
use std::time::Duration;
use waystream_domain::codec::decode_state;
use waystream_domain::{CatalogEdit, CatalogEntry, Erasure, Position, Timestamp};
use waystream_log::{Log, Offsets, Record, Topic};

/// When what is to be erased was received, seconds.
const RECEIVED: i64 = 1_700_000_000;

/// What stands last under a device's key.
async fn newest(log: &dyn Log, topic: Topic, device: &str) -> Option<Vec<u8>> {
    let from: Offsets = (0..log.partitions(topic)).map(|p| ((topic, p), 0)).collect();
    let mut reader = log.read(topic, &from).await.unwrap();
    let mut newest = None;
    while let Some(batch) = reader.try_next(1_000).await.unwrap() {
        for entry in batch.entries.into_iter().filter(|entry| *entry.key == *device.as_bytes()) {
            newest = entry.value.map(|value| value.to_vec());
        }
    }
    newest
}

/// The fix time of a device's newest position, seconds.
async fn remembered(log: &dyn Log, device: &str) -> Option<i64> {
    let state = decode_state(&newest(log, Topic::States, device).await?).unwrap();
    state.latest.map(|latest| latest.into_live().position.fix_time.as_millis() / 1_000)
}

fn received_after(position: Position, seconds: i64) -> Position {
    Position { received_at: Timestamp::from_secs(RECEIVED + seconds).unwrap(), ..position }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_remembered_of_a_device_whose_history_is_erased() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north")]).await;
    let running = start(log.clone() as Arc<dyn Log>, 1);
    // So many that some of them are saved apart.
    let drive = |device: &str| -> Vec<Position> {
        (0..400).map(|i| fix(device, "north", i * 10, 10.0 + i as f64 / 1_000.0, 20.0)).collect()
    };
    for device in ["truck", "other"] {
        append(&*log, &drive(device)).await;
    }
    caught_up(&*log).await;
    assert_eq!(remembered(&*log, "truck").await, Some(3_990));
    assert!(newest(&*log, Topic::Recent, "truck").await.is_some());

    let (device, until) = ("truck".parse().unwrap(), Timestamp::from_secs(RECEIVED + 10).unwrap());
    let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
    edit(&*log, vec![CatalogEdit::Put(CatalogEntry::Erasure(erasure.clone()))]).await;
    caught_up(&*log).await;
    assert_eq!((newest(&*log, Topic::States, "truck").await, newest(&*log, Topic::Recent, "truck").await), (None, None));
    assert_eq!(remembered(&*log, "other").await, Some(3_990));

    // What was under way counts as erased, what came later is new: also when it is said that it is done, and after a restart.
    append(&*log, &[received_after(fix("truck", "north", 5_000, 11.0, 20.0), 9)]).await;
    caught_up(&*log).await;
    assert_eq!(remembered(&*log, "truck").await, None);
    append(&*log, &[received_after(fix("truck", "north", 4_000, 12.0, 20.0), 11)]).await;
    caught_up(&*log).await;
    assert_eq!(remembered(&*log, "truck").await, Some(4_000));
    let done = Erasure { done_at: Some(until), ..erasure };
    edit(&*log, vec![CatalogEdit::Put(CatalogEntry::Erasure(done))]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    let running = start(log.clone() as Arc<dyn Log>, 1);
    append(&*log, &[received_after(fix("truck", "north", 4_010, 12.0, 20.0), 21)]).await;
    caught_up(&*log).await;
    assert_eq!((remembered(&*log, "truck").await, newest(&*log, Topic::Recent, "truck").await), (Some(4_010), None));
    running.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_state_that_the_log_still_holds_is_forgotten_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north")]).await;
    let running = start(log.clone() as Arc<dyn Log>, 1);
    append(&*log, &[received_after(fix("truck", "north", 100, 10.0, 20.0), 1)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    // Asked for while nobody runs.
    let (device, until) = ("truck".parse().unwrap(), Timestamp::from_secs(RECEIVED + 10).unwrap());
    let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
    edit(&*log, vec![CatalogEdit::Put(CatalogEntry::Erasure(erasure))]).await;
    let running = start(log.clone() as Arc<dyn Log>, 1);
    let forgotten = async {
        while newest(&*log, Topic::States, "truck").await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), forgotten).await.expect("without a new position");
    // A removal on which nothing follows.
    log.append(Topic::States, vec![Record::removal("nobody")]).await.unwrap();
    running.stop().await.unwrap();
    let running = start(log.clone() as Arc<dyn Log>, 1);
    append(&*log, &[received_after(fix("truck", "north", 200, 10.0, 20.0), 20)]).await;
    caught_up(&*log).await;
    assert_eq!(remembered(&*log, "truck").await, Some(200));
    running.stop().await.unwrap();
}
