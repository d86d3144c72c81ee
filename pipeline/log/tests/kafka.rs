//! What only the log on Kafka has: topics with settings, fenced writers, partitions handed from process to process.

#[path = "support/kafka_contract.rs"]
mod contract;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/shares.rs"]
mod shares;
mod support;

use kafka::Broker;
use shares::{Shares, group, open, soon, work};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use support::{numbers, record};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_log::kafka::{KafkaLog, KafkaOptions, Sasl, Security, Tls};
use waystream_log::{Keep, Log, LogError, Membership, Offsets, Share, Topic};

async fn shared() -> &'static Broker {
    tokio::task::spawn_blocking(Broker::shared).await.expect("starts")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_differ_from_the_settings_are_refused_with_every_difference() {
    let options = shared().await.options();
    open(&options).await.close().await;
    let mut others = options.clone();
    others.partitions.iter_mut().filter(|(topic, _)| topic.is_shared_out()).for_each(|(_, partitions)| *partitions = 8);
    others.keep.insert(Topic::Events, Keep::For(Duration::from_secs(3600)));
    others.keep.insert(Topic::Catalog, Keep::For(Duration::from_secs(60)));
    others.max_record_bytes *= 2;
    let Err(LogError::Refused(told)) = KafkaLog::open(others).await else { panic!("opened") };
    for part in [
        format!("topic {}positions has 6 partitions, but the settings say 8", options.prefix),
        format!("topic {}events: retention.ms is 2592000000, but the settings say 3600000", options.prefix),
        format!("topic {}catalog: cleanup.policy is compact, but the settings say delete", options.prefix),
        format!("topic {}snapshots: max.message.bytes is 4195328, but the settings say at least 8389632", options.prefix),
    ] {
        assert!(told.contains(&part), "{part} is missing in: {told}");
    }
    let too_many = KafkaOptions { replication: 3, ..shared().await.options() };
    let refused = KafkaLog::open(too_many).await;
    assert!(matches!(&refused, Err(LogError::Refused(told)) if told.contains("positions")), "{:?}", refused.err());
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_the_cluster_is_asked() {
    let nowhere = KafkaOptions { brokers: "127.0.0.1:1".into(), ..KafkaOptions::default() };
    let uneven = |topic| KafkaOptions { partitions: [(topic, 3)].into(), ..nowhere.clone() };
    let nameless = KafkaOptions { instance: String::new(), ..nowhere.clone() };
    let mut cases = vec![(nameless, "instance")];
    let of_devices = Topic::ALL.into_iter().filter(|topic| topic.is_shared_out());
    cases.extend(of_devices.map(|topic| (uneven(topic), "same number of partitions")));
    if cfg!(not(feature = "kafka-tls")) {
        let tls = Security { tls: Some(Tls::default()), sasl: None };
        let scram = Sasl { mechanism: "SCRAM-SHA-256".into(), user: "u".into(), password: "secret".into() };
        let scram = Security { tls: None, sasl: Some(scram) };
        cases.push((KafkaOptions { security: tls, ..nowhere.clone() }, "kafka-tls"));
        cases.push((KafkaOptions { security: scram, ..nowhere }, "kafka-tls"));
    }
    for (options, named) in cases {
        assert!(!format!("{options:?}").contains("secret"), "secrets are not for logs");
        let refused = KafkaLog::open(options).await;
        assert!(matches!(&refused, Err(LogError::Refused(told)) if told.contains(named)), "{:?}", refused.err());
    }
}

/// Two processes under one name: the older one commits nothing any more, and is told to stop.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_older_process_of_the_same_name_is_shut_out() {
    let options = shared().await.options();
    let (old, new) = (open(&options).await, open(&options).await);
    let at = |offset| Offsets::from([((Topic::Positions, 0), offset)]);
    old.commit(&group(0), vec![(Topic::Events, record("a", 1))], &at(1)).await.expect("commits");
    new.commit(&group(0), vec![(Topic::Events, record("a", 2))], &at(2)).await.expect("commits");
    for _ in 0..2 {
        let shut_out = old.commit(&group(0), vec![(Topic::Events, record("a", 3))], &at(3)).await;
        assert!(matches!(shut_out, Err(LogError::Closed(_))), "{shut_out:?}");
    }
    new.commit(&group(0), vec![(Topic::Events, record("a", 4))], &at(4)).await.expect("commits");
    assert_eq!(numbers(&*old, Topic::Events).await["a"], [1, 2, 4]);
    assert_eq!(new.committed("dataflow", Topic::Positions).await.expect("offsets")[&(Topic::Positions, 0)], 4);
}

/// Takes shares until one has so many partitions.
async fn share_of(member: &mut dyn Membership, partitions: usize) -> Share {
    soon("a share", async {
        loop {
            let share = member.share().await.expect("a member");
            if share.partitions.len() == partitions {
                return share;
            }
            share.ends.cancelled().await;
        }
    })
    .await
}

/// Partitions go from process to process without being anybody's twice: the old owner finishes first, and then may commit no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn partitions_are_handed_over_after_the_last_commit() {
    let options = shared().await.options();
    let named = |name: &str| KafkaOptions { instance: name.into(), ..options.clone() };
    let (a, b) = (open(&named("a")).await, open(&named("b")).await);
    let mut in_a = a.join("dataflow").await.expect("joins");
    assert!(matches!(a.join("dataflow").await, Err(LogError::Refused(_))), "once a process");
    let alone = share_of(&mut *in_a, 6).await;
    let commit = |log: Arc<KafkaLog>, partition: u32, n: u64| async move {
        let records = vec![(Topic::Events, record("k", n))];
        log.commit(&group(0), records, &Offsets::from([((Topic::Positions, partition), n)])).await
    };
    commit(a.clone(), 5, 1).await.expect("its own");

    let mut in_b = b.join("dataflow").await.expect("joins");
    let mut waiting = tokio::spawn(async move {
        let share = share_of(&mut *in_b, 3).await;
        (in_b, share)
    });
    soon("the end of the share", alone.ends.cancelled()).await;
    // Some of it is still ours until we give it back.
    for partition in 0..6 {
        commit(a.clone(), partition, 2).await.expect("still its own");
    }
    assert!(!waiting.is_finished(), "nobody has what another still works on");
    let rest = share_of(&mut *in_a, 3).await;
    let (in_b, of_b) = soon("the other's share", &mut waiting).await.expect("gets it");
    let both: BTreeSet<u32> = rest.partitions.iter().chain(&of_b.partitions).copied().collect();
    assert_eq!(both.len(), 6, "each partition is somebody's: {rest:?} {of_b:?}");
    for partition in 0..6 {
        let (owner, other) = if rest.partitions.contains(&partition) { (&a, &b) } else { (&b, &a) };
        commit(owner.clone(), partition, 3).await.expect("the owner's");
        let refused = commit(other.clone(), partition, 4).await;
        assert!(matches!(refused, Err(LogError::Indeterminate(_))), "partition {partition}: {refused:?}");
    }
    assert!(b.committed("dataflow", Topic::Positions).await.expect("offsets").values().all(|at| *at == 3));

    // A process that dies: after its session all is the other's.
    drop(in_b);
    b.close().await;
    soon("the end of the share", rest.ends.cancelled()).await;
    let all = share_of(&mut *in_a, 6).await;
    assert_eq!(all.partitions, [0, 1, 2, 3, 4, 5]);
}

/// What one gives up and another does not have yet is not forgotten if the first is killed meanwhile and comes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_comes_back_in_a_hand_over_leaves_no_partition_alone() {
    let options = shared().await.options();
    let named = |name: &str| KafkaOptions { instance: name.into(), ..options.clone() };
    let (a, b) = (open(&named("a")).await, open(&named("b")).await);
    let mut in_a = a.join("dataflow").await.expect("joins");
    let alone = share_of(&mut *in_a, 6).await;
    let mut in_b = b.join("dataflow").await.expect("joins");
    let waiting = tokio::spawn(async move {
        let share = share_of(&mut *in_b, 3).await;
        (in_b, share)
    });
    soon("the end of the share", alone.ends.cancelled()).await;
    // As if it had been killed: it gives nothing back, and one of its name is there.
    let again = open(&named("a")).await;
    let mut in_again = again.join("dataflow").await.expect("joins");
    let rest = share_of(&mut *in_again, 3).await;
    let (_in_b, of_b) = soon("the other's share", waiting).await.expect("gets it");
    let both: BTreeSet<u32> = rest.partitions.iter().chain(&of_b.partitions).copied().collect();
    assert_eq!(both.len(), 6, "each partition is somebody's: {rest:?} {of_b:?}");
    drop(in_a);
}

/// Two processes under one name: each joins anew once, as it might have been shut out by itself; then the older one is a member no more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_members_of_one_name_the_newer_one_stays_and_the_older_one_says_why_it_ends() {
    let options = shared().await.options();
    let (old, new) = (open(&options).await, open(&options).await);
    let mut in_old = old.join("dataflow").await.expect("joins");
    let alone = share_of(&mut *in_old, 6).await;
    let mut in_new = new.join("dataflow").await.expect("joins");
    soon("the end of the share", alone.ends.cancelled()).await;
    let ended = async {
        loop {
            match in_old.share().await {
                Ok(share) => share.ends.cancelled().await,
                Err(error) => return error,
            }
        }
    };
    let ended = soon("the end of the membership", ended).await;
    assert!(matches!(&ended, LogError::Closed(why) if why.contains(&options.instance)), "{ended:?}");
    let all = share_of(&mut *in_new, 6).await;
    let committed = new.commit(&group(0), Vec::new(), &Offsets::from([((Topic::Positions, 5), 1)])).await;
    committed.expect("its own");
    assert!(!all.ends.is_cancelled());
}

/// Each partition is one process's at any time and may be committed by that one only; the rest share out what others leave.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_processes_share_sixty_four_partitions() {
    const PARTITIONS: usize = 64;
    let mut options = shared().await.options();
    let of_devices = options.partitions.iter_mut().filter(|(topic, _)| topic.is_shared_out());
    of_devices.for_each(|(_, partitions)| *partitions = PARTITIONS as u32);
    let shares = Arc::new(Shares::default());
    let mut processes = Vec::new();
    let mut running = JoinSet::new();
    for n in 0..8 {
        let log = open(&KafkaOptions { instance: format!("process-{n}"), ..options.clone() }).await;
        let stop = CancellationToken::new();
        running.spawn(work(log.clone(), "dataflow", n, Arc::clone(&shares), stop.clone()));
        processes.push((log, stop));
    }
    let commit = |log: Arc<KafkaLog>, partitions: Vec<u32>, offset: u64| async move {
        let offsets = partitions.into_iter().map(|partition| ((Topic::Positions, partition), offset)).collect();
        log.commit(&group(0), Vec::new(), &offsets).await
    };
    let held = soon("a share for all eight", shares.settled(8, PARTITIONS)).await;
    for (n, share) in &held {
        commit(processes[*n].0.clone(), share.clone(), 1).await.expect("its own");
        let refused = commit(processes[*n].0.clone(), held[&((n + 1) % 8)].clone(), 2).await;
        assert!(matches!(refused, Err(LogError::Indeterminate(_))), "another's: {refused:?}");
    }
    for (log, stop) in processes.drain(..3) {
        stop.cancel();
        log.close().await;
    }
    let held = soon("a share for the five that are left", shares.settled(5, PARTITIONS)).await;
    for (n, share) in &held {
        commit(processes[n - 3].0.clone(), share.clone(), 3).await.expect("its own");
    }
    let committed = processes[0].0.committed("dataflow", Topic::Positions).await.expect("offsets");
    assert!(committed.len() == PARTITIONS && committed.values().all(|at| *at == 3), "{committed:?}");
    processes.iter().for_each(|(_, stop)| stop.cancel());
    running.join_all().await;
}
