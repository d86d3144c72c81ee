//! Checks of `append`: durable, in order, in place, each call for itself.

use super::{Subject, beginning, read_all, record, soon, text, values_by_key};
use crate::{LogError, Record, Topic, partition_of};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;

/// What was acknowledged is there after a restart, and later records come after it.
pub async fn appended_records_survive_a_restart(subject: &mut dyn Subject) {
    let log = subject.log();
    for topic in Topic::ALL {
        let records = (0..50).map(|n| record(format!("key-{n}"), format!("{} {n}", topic.name()))).collect();
        log.append(topic, records).await.expect("appends");
    }
    drop(log);
    subject.reopen().await;
    let log = subject.log();
    for topic in Topic::ALL {
        log.append(topic, vec![record("key-7", "later")]).await.expect("appends");
        let values = values_by_key(&*log, topic).await;
        assert_eq!(values.len(), 50, "every key of {} is there", topic.name());
        assert_eq!(values["key-7"].last(), Some(&Some("later".into())), "what came later is read later");
    }
}

/// Calls for one key are kept in their order, also among many callers.
pub async fn each_key_keeps_the_order_of_the_calls(subject: &mut dyn Subject) {
    let log = subject.log();
    let mut callers = JoinSet::new();
    for caller in 0..20 {
        let log = log.clone();
        callers.spawn(async move {
            for call in 0..25 {
                let records = (0..4).map(|n| record(format!("key-{caller}"), format!("{}", call * 4 + n))).collect();
                log.append(Topic::Positions, records).await.expect("appends");
            }
        });
    }
    soon("all callers", callers.join_all()).await;
    let expected: Vec<_> = (0..100).map(|n| Some(n.to_string())).collect();
    let values = values_by_key(&*log, Topic::Positions).await;
    assert_eq!(values.len(), 20);
    for (key, values) in values {
        assert_eq!(values, expected, "order of {key}");
    }
}

/// A key decides its partition by CRC-32, before and after a restart.
pub async fn a_key_never_changes_its_partition(subject: &mut dyn Subject) {
    for _ in 0..2 {
        let records = (0..200).map(|n| record(format!("key-{n}"), "x")).collect();
        subject.log().append(Topic::Positions, records).await.expect("appends");
        subject.reopen().await;
    }
    let log = subject.log();
    let mut seen = 0;
    for (partition, entries) in read_all(&*log, Topic::Positions).await {
        for entry in entries {
            assert_eq!(
                partition,
                partition_of(&entry.key, log.partitions(Topic::Positions)),
                "partition of {}",
                text(&entry.key)
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 400);
}

/// A thousand calls at the same time: each is answered, each record is there exactly once.
pub async fn concurrent_appends_are_all_there_once(subject: &mut dyn Subject) {
    let log = subject.log();
    let mut callers = JoinSet::new();
    for caller in 0..1000 {
        let log = log.clone();
        callers.spawn(async move {
            log.append(Topic::Events, vec![record(format!("key-{caller}"), "once")]).await.expect("appends");
        });
    }
    soon("all callers", callers.join_all()).await;
    drop(log);
    subject.reopen().await;
    let values = values_by_key(&*subject.log(), Topic::Events).await;
    let once = vec![Some("once".to_owned())];
    assert!((0..1000).all(|n| values.get(&format!("key-{n}")) == Some(&once)), "each record once");
    assert_eq!(values.len(), 1000);
}

/// A record that the log will never take is refused with its whole call; calls beside it are not touched.
pub async fn a_refused_record_harms_no_other(subject: &mut dyn Subject) {
    let log = subject.log();
    let mut callers = JoinSet::new();
    for caller in 0..40 {
        let log = log.clone();
        let too_large = vec![0; subject.refused_bytes()];
        callers.spawn(async move {
            let mut records = vec![record(format!("key-{caller}"), "x")];
            if caller % 4 == 0 {
                records.push(Record::new(format!("key-{caller}"), too_large));
                let refused = log.append(Topic::Positions, records).await;
                assert!(matches!(refused, Err(LogError::Refused(_))), "too large: {refused:?}");
            } else {
                log.append(Topic::Positions, records).await.expect("appends");
            }
        });
    }
    soon("all callers", callers.join_all()).await;
    let keys: BTreeSet<_> = values_by_key(&*log, Topic::Positions).await.into_keys().collect();
    let expected: BTreeSet<_> = (0..40).filter(|n| n % 4 != 0).map(|n| format!("key-{n}")).collect();
    assert_eq!(keys, expected);

    let mut nowhere = beginning(&*log, Topic::Positions);
    nowhere.insert((Topic::Positions, log.partitions(Topic::Positions)), 0);
    assert!(matches!(log.read(Topic::Positions, &nowhere).await, Err(LogError::Refused(_))), "no such partition");
}

/// Empty keys, empty values and removals come out as they went in.
pub async fn an_empty_value_is_not_a_removal(subject: &mut dyn Subject) {
    let log = subject.log();
    let records = vec![record("empty", ""), Record::removal("removed"), record("", "no key")];
    log.append(Topic::States, records).await.expect("appends");
    log.append(Topic::States, Vec::new()).await.expect("nothing to append is no trouble");
    let expected = BTreeMap::from([
        ("empty".to_owned(), vec![Some(String::new())]),
        ("removed".to_owned(), vec![None]),
        (String::new(), vec![Some("no key".to_owned())]),
    ]);
    assert_eq!(values_by_key(&*log, Topic::States).await, expected);
}
