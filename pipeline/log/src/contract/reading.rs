//! Checks of readers, bounds and times.

use super::{Subject, beginning, key_in, now_ms, read_all, reader, record, soon, text};
use crate::{Batch, LogReader, Offsets, Topic};
use futures::FutureExt;
use std::collections::BTreeSet;

/// Two positions long enough for several internal batches.
const MANY: usize = 2000;

/// A reader that waits is woken by the next append, in whichever of its partitions.
pub async fn a_waiting_reader_wakes_when_records_come(subject: &mut dyn Subject) {
    let log = subject.log();
    let mut reader = reader(&*log, Topic::Events).await;
    assert!(reader.try_next(10).await.expect("reads").is_none(), "an empty log has nothing to read");
    for partition in 0..log.partitions(Topic::Events) {
        let waiting = tokio::spawn(async move {
            let batch = soon("a wake-up", reader.next(10)).await.expect("reads");
            (reader, batch)
        });
        let key = key_in(&*log, Topic::Events, partition);
        log.append(Topic::Events, vec![record(key, "ring")]).await.expect("appends");
        let batch;
        (reader, batch) = waiting.await.expect("the reader lives");
        assert_eq!((batch.partition, batch.entries.len()), (partition, 1));
    }
}

/// While one partition has much to read, the others are read too.
pub async fn partitions_take_turns(subject: &mut dyn Subject) {
    let log = subject.log();
    for partition in 0..4 {
        let key = key_in(&*log, Topic::Positions, partition);
        let records = (0..MANY).map(|n| record(key.clone(), n.to_string())).collect();
        log.append(Topic::Positions, records).await.expect("appends");
    }
    let mut reader = reader(&*log, Topic::Positions).await;
    let mut first_four = BTreeSet::new();
    for _ in 0..4 {
        first_four.insert(soon("a batch", reader.next(10)).await.expect("reads").partition);
    }
    assert_eq!(first_four, BTreeSet::from([0, 1, 2, 3]));
}

/// Dropping a `next` half-way, however often, loses and repeats nothing.
pub async fn a_cancelled_next_loses_nothing(subject: &mut dyn Subject) {
    let log = subject.log();
    let key = key_in(&*log, Topic::Positions, 3);
    let writer = {
        let (log, key) = (log.clone(), key.clone());
        tokio::spawn(async move {
            for call in 0..MANY / 10 {
                let records = (0..10).map(|n| record(key.clone(), (call * 10 + n).to_string())).collect();
                log.append(Topic::Positions, records).await.expect("appends");
            }
        })
    };
    let mut got = Vec::new();
    for fresh in [false, true] {
        // The second reader comes when all is written, so it reads what the first may have had from memory from the disk.
        if fresh {
            subject.reopen().await;
        }
        let log = subject.log();
        let mut reader = reader(&*log, Topic::Positions).await;
        let mut before = got.len();
        while got.len() < before + MANY {
            // Polled once and dropped; then a little longer; then for good.
            let batch = match reader.next(7).now_or_never() {
                Some(batch) => batch,
                None => {
                    let cancelled = tokio::select! {
                        biased;
                        batch = reader.next(7) => Some(batch),
                        () = tokio::task::yield_now() => None,
                    };
                    match cancelled {
                        Some(batch) => batch,
                        None => soon("a record", reader.next(7)).await,
                    }
                }
            };
            got.extend(batch.expect("reads").entries);
        }
        if !fresh {
            soon("the writer", async {
                while !writer.is_finished() {
                    tokio::task::yield_now().await
                }
            })
            .await;
        }
        before = got.len() - MANY;
        let values: Vec<_> = got[before..].iter().map(|e| text(e.value.as_deref().unwrap_or_default())).collect();
        assert_eq!(values, (0..MANY).map(|n| n.to_string()).collect::<Vec<_>>());
    }
}

/// Readers start where they are told: in the middle, at the end, before the beginning; only in the partitions named.
pub async fn a_reader_starts_at_its_offsets(subject: &mut dyn Subject) {
    let log = subject.log();
    let keys: Vec<_> = (0..2).map(|p| key_in(&*log, Topic::Positions, p)).collect();
    for n in 0..MANY {
        if n % 100 == 0 {
            let records = (n..n + 100).flat_map(|n| keys.iter().map(move |k| record(k.clone(), n.to_string()))).collect();
            log.append(Topic::Positions, records).await.expect("appends");
        }
    }
    let all = read_all(&*log, Topic::Positions).await;
    for reopened in [false, true] {
        if reopened {
            subject.reopen().await;
        }
        let log = subject.log();
        for start in [0, 1, 99, 100, 1234, MANY - 1] {
            let wanted = &all[&1][start];
            let from = Offsets::from([((Topic::Positions, 1), wanted.offset), ((Topic::Events, 0), 5)]);
            let mut reader = log.read(Topic::Positions, &from).await.expect("a reader");
            let Batch { partition, entries, .. } = soon("a record", reader.next(3)).await.expect("reads");
            assert_eq!((partition, &entries[0]), (1, wanted));
            let more = drain(&mut *reader).await + entries.len();
            assert_eq!(more, MANY - start, "all from {start} on and no other partition");
        }
        let end = log.bounds(Topic::Positions).await.expect("bounds")[1].next;
        let mut reader = log.read(Topic::Positions, &Offsets::from([((Topic::Positions, 1), end)])).await.expect("a reader");
        assert!(reader.try_next(1).await.expect("reads").is_none(), "nothing after the end");
    }
}

async fn drain(reader: &mut dyn LogReader) -> usize {
    let mut records = 0;
    while let Some(batch) = reader.try_next(1000).await.expect("reads") {
        records += batch.entries.len();
    }
    records
}

/// `first` and `next` enclose what a reader gets; an empty partition has them equal.
pub async fn bounds_tell_what_can_be_read(subject: &mut dyn Subject) {
    let log = subject.log();
    let key = key_in(&*log, Topic::Events, 5);
    log.append(Topic::Events, (0..10).map(|n| record(key.clone(), n.to_string())).collect()).await.expect("appends");
    for _ in 0..2 {
        let log = subject.log();
        let bounds = log.bounds(Topic::Events).await.expect("bounds");
        assert_eq!(bounds.len(), log.partitions(Topic::Events) as usize);
        for (partition, bound) in bounds.iter().enumerate() {
            assert_eq!(bound.first == bound.next, partition != 5, "only partition 5 has records");
        }
        let entries = &read_all(&*log, Topic::Events).await[&5];
        assert_eq!(bounds[5].first, entries[0].offset);
        assert!(bounds[5].next > entries[9].offset);
        subject.reopen().await;
    }
}

/// `offsets_at` finds the first record from a time on.
pub async fn a_time_leads_to_an_offset(subject: &mut dyn Subject) {
    let log = subject.log();
    let key = key_in(&*log, Topic::Events, 2);
    for n in 0..5 {
        log.append(Topic::Events, (0..10).map(|m| record(key.clone(), format!("{n} {m}"))).collect()).await.expect("appends");
        let appended = now_ms();
        soon("the clock", async {
            while now_ms() <= appended {
                tokio::task::yield_now().await
            }
        })
        .await;
    }
    let entries = read_all(&*log, Topic::Events).await.remove(&2).expect("records");
    assert!(entries.is_sorted_by_key(|e| e.appended_at_ms));
    for entry in &entries {
        let found = log.offsets_at(Topic::Events, entry.appended_at_ms).await.expect("offsets");
        let first = entries.iter().find(|e| e.appended_at_ms >= entry.appended_at_ms).expect("itself at least");
        assert_eq!(found[&(Topic::Events, 2)], first.offset);
        assert_eq!(found.len(), log.partitions(Topic::Events) as usize);
    }
    let bounds = log.bounds(Topic::Events).await.expect("bounds");
    assert_eq!(log.offsets_at(Topic::Events, 0).await.expect("offsets")[&(Topic::Events, 2)], entries[0].offset);
    let never = log.offsets_at(Topic::Events, now_ms() + 3_600_000).await.expect("offsets");
    assert_eq!(never.into_values().collect::<Vec<_>>(), bounds.iter().map(|b| b.next).collect::<Vec<_>>());
    assert_eq!(beginning(&*log, Topic::Events).len(), bounds.len());
}
