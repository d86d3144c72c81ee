//! Checks of `commit`: records and offsets together or not at all.

use super::{Subject, reader, record, soon, text, values_by_key};
use crate::{Group, Log, LogError, Offsets, Record, Topic};
use std::collections::BTreeSet;

fn group(member: u32) -> Group {
    Group { name: "checkers".into(), member }
}

async fn committed(log: &dyn Log) -> u64 {
    log.committed("checkers", Topic::Positions).await.expect("offsets")[&(Topic::Positions, 0)]
}

/// Whoever sees a committed offset can read the records that belong to it; after a restart both are exactly there.
pub async fn a_commit_happens_whole(subject: &mut dyn Subject) {
    const COMMITS: u64 = 150;
    let log = subject.log();
    let watcher = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut readers = [reader(&*log, Topic::Events).await, reader(&*log, Topic::States).await];
            let mut seen = [BTreeSet::new(), BTreeSet::new()];
            let mut offset = 0;
            while offset < COMMITS {
                offset = committed(&*log).await;
                for (reader, seen) in readers.iter_mut().zip(&mut seen) {
                    while (0..offset).any(|n| !seen.contains(&n.to_string())) {
                        let batch = soon("the records of a committed offset", reader.next(100)).await.expect("reads");
                        seen.extend(batch.entries.iter().map(|e| text(e.value.as_deref().unwrap_or_default())));
                    }
                }
                tokio::task::yield_now().await;
            }
        })
    };
    for n in 0..COMMITS {
        let records = vec![
            (Topic::Events, record(format!("key-{}", n % 7), n.to_string())),
            (Topic::States, record(format!("state-{n}"), n.to_string())),
        ];
        log.commit(&group(0), records, &Offsets::from([((Topic::Positions, 0), n + 1)])).await.expect("commits");
    }
    soon("the watcher", watcher).await.expect("records with their offsets");
    drop(log);
    subject.reopen().await;
    let log = subject.log();
    assert_eq!(committed(&*log).await, COMMITS);
    for topic in [Topic::Events, Topic::States] {
        assert_eq!(values_by_key(&*log, topic).await.into_values().flatten().count() as u64, COMMITS);
    }
}

/// If one record is refused, none is written and no offset moves.
pub async fn a_refused_commit_changes_nothing(subject: &mut dyn Subject) {
    let log = subject.log();
    log.commit(&group(0), vec![(Topic::Events, record("a", "1"))], &Offsets::from([((Topic::Positions, 0), 1)]))
        .await
        .expect("commits");
    let records = vec![(Topic::Events, record("a", "2")), (Topic::States, Record::new("a", vec![0; subject.refused_bytes()]))];
    let refused = log.commit(&group(0), records, &Offsets::from([((Topic::Positions, 0), 2)])).await;
    assert!(matches!(refused, Err(LogError::Refused(_))), "{refused:?}");
    let nowhere = Offsets::from([((Topic::Positions, log.partitions(Topic::Positions)), 2)]);
    let refused = log.commit(&group(0), vec![(Topic::Events, record("a", "3"))], &nowhere).await;
    assert!(matches!(refused, Err(LogError::Refused(_))), "{refused:?}");
    assert_eq!(committed(&*log).await, 1);
    assert_eq!(values_by_key(&*log, Topic::Events).await["a"], [Some("1".to_owned())]);
}

/// Each member commits its own partitions; the group has them all, another group none.
pub async fn committed_offsets_are_those_of_all_members(subject: &mut dyn Subject) {
    let log = subject.log();
    for member in 0..3 {
        let offsets = Offsets::from([
            ((Topic::Positions, member), u64::from(member) + 10),
            ((Topic::Catalog, 0), u64::from(member) + 100),
        ]);
        log.commit(&group(member), Vec::new(), &offsets).await.expect("commits");
    }
    for _ in 0..2 {
        let log = subject.log();
        let positions = log.committed("checkers", Topic::Positions).await.expect("offsets");
        for partition in 0..log.partitions(Topic::Positions) {
            let expected = if partition < 3 { u64::from(partition) + 10 } else { 0 };
            assert_eq!(positions[&(Topic::Positions, partition)], expected, "partition {partition}");
        }
        let catalog = log.committed("checkers", Topic::Catalog).await.expect("offsets");
        assert_eq!(catalog, Offsets::from([((Topic::Catalog, 0), 102)]), "the last commit counts");
        let others = log.committed("others", Topic::Positions).await.expect("offsets");
        assert!(others.values().all(|offset| *offset == 0), "groups are apart");
        subject.reopen().await;
    }
}

/// Records of one key in one commit, and in commits one after another, keep their order.
pub async fn a_commit_keeps_the_order_of_each_key(subject: &mut dyn Subject) {
    let log = subject.log();
    for call in 0..10 {
        let records = (0..50).map(|n| (Topic::Events, record(format!("key-{}", n % 3), format!("{}", call * 50 + n))));
        log.commit(&group(0), records.collect(), &Offsets::new()).await.expect("commits");
    }
    for (key, values) in values_by_key(&*log, Topic::Events).await {
        let numbers: Vec<u32> = values.iter().map(|v| v.as_deref().unwrap_or_default().parse().expect("a number")).collect();
        assert!(numbers.is_sorted(), "order of {key}");
    }
}
