//! Checks of compacted topics. An adapter that can't be told to compact now keeps more than it must, which is allowed.

use super::{Subject, read_all, reader, record, soon, text};
use crate::{Log, Record, Topic};
use std::collections::BTreeMap;

/// Newest value and offset of each key, as a reader from the beginning ends up with them.
async fn newest(log: &dyn Log, topic: Topic) -> BTreeMap<String, (u64, Option<String>)> {
    let entries = read_all(log, topic).await.into_values().flatten();
    entries.map(|e| (text(&e.key), (e.offset, e.value.as_deref().map(text)))).collect()
}

/// Keys with values, as most users of a compacted topic see it.
async fn present(log: &dyn Log, topic: Topic) -> BTreeMap<String, String> {
    newest(log, topic).await.into_iter().filter_map(|(key, (_, value))| Some((key, value?))).collect()
}

/// The newest value of each key stays, at its offset, also after a restart.
pub async fn compaction_keeps_the_newest_value_in_its_place(subject: &mut dyn Subject) {
    let log = subject.log();
    for round in 0..40 {
        let keys = (0..200).filter(|key| round < 20 || key % 3 == 0);
        log.append(Topic::States, keys.map(|key| record(format!("key-{key}"), format!("{round} {key}"))).collect())
            .await
            .expect("appends");
        if round % 10 == 5 {
            subject.compact().await;
        }
    }
    let before = newest(&*log, Topic::States).await;
    let ends: Vec<_> = log.bounds(Topic::States).await.expect("bounds").iter().map(|b| b.next).collect();
    drop(log);
    for _ in 0..2 {
        subject.compact().await;
        let log = subject.log();
        assert_eq!(newest(&*log, Topic::States).await, before);
        let bounds = log.bounds(Topic::States).await.expect("bounds");
        assert_eq!(bounds.iter().map(|b| b.next).collect::<Vec<_>>(), ends, "partitions end where they ended");
        subject.reopen().await;
    }
    for key in 0..200 {
        let round = if key % 3 == 0 { 39 } else { 19 };
        assert_eq!(before[&format!("key-{key}")].1, Some(format!("{round} {key}")));
    }
}

/// A removed key does not come back; one that is put again does.
pub async fn a_removed_key_stays_removed(subject: &mut dyn Subject) {
    let log = subject.log();
    let put = |value: &str| (0..30).map(|key| record(format!("key-{key}"), value)).collect::<Vec<_>>();
    log.append(Topic::Catalog, put("old")).await.expect("appends");
    log.append(Topic::Catalog, (0..20).map(|key| Record::removal(format!("key-{key}"))).collect()).await.expect("appends");
    log.append(Topic::Catalog, (0..10).map(|key| record(format!("key-{key}"), "new")).collect()).await.expect("appends");
    let expected: BTreeMap<_, _> = (0..30)
        .filter(|key| !(10..20).contains(key))
        .map(|key| (format!("key-{key}"), if key < 10 { "new".to_owned() } else { "old".to_owned() }))
        .collect();
    for _ in 0..3 {
        assert_eq!(present(&*subject.log(), Topic::Catalog).await, expected);
        subject.compact().await;
        subject.reopen().await;
    }
}

/// A reader that has read half goes on after a compaction, in order, and ends with the newest value of every key.
pub async fn a_reader_goes_on_through_a_compaction(subject: &mut dyn Subject) {
    let log = subject.log();
    for round in 0..30 {
        log.append(Topic::States, (0..100).map(|key| record(format!("key-{key}"), round.to_string())).collect())
            .await
            .expect("appends");
    }
    let mut reader = reader(&*log, Topic::States).await;
    let mut seen: BTreeMap<String, (u64, String)> = BTreeMap::new();
    let mut records = 0;
    while seen.len() < 100 || seen.values().any(|(_, value)| value != "29") {
        let batch = soon("the newest values", reader.next(11)).await.expect("reads");
        records += batch.entries.len();
        for entry in batch.entries {
            let value = text(entry.value.as_deref().unwrap_or_default());
            if let Some((offset, _)) = seen.insert(text(&entry.key), (entry.offset, value)) {
                assert!(entry.offset > offset, "offsets of a key grow");
            }
        }
        if records % 7 == 0 {
            subject.compact().await;
        }
    }
}

/// Compaction while keys are overwritten all the time never loses the last value.
pub async fn compaction_beside_appends_loses_nothing(subject: &mut dyn Subject) {
    let log = subject.log();
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            for round in 0..60 {
                let records = (0..50).map(|key| record(format!("key-{key}"), round.to_string())).collect();
                log.append(Topic::States, records).await.expect("appends");
            }
        })
    };
    while !writer.is_finished() {
        subject.compact().await;
        tokio::task::yield_now().await;
    }
    soon("the writer", writer).await.expect("appends");
    drop(log);
    for _ in 0..2 {
        subject.compact().await;
        let present = present(&*subject.log(), Topic::States).await;
        assert_eq!(present.len(), 50);
        assert!(present.values().all(|value| value == "59"), "the last value of each key: {present:?}");
        subject.reopen().await;
    }
}
