//! Processes that share the partitions of a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use waystream_log::kafka::{KafkaLog, KafkaOptions};
use waystream_log::{Group, Log};

pub(crate) async fn open(options: &KafkaOptions) -> Arc<KafkaLog> {
    KafkaLog::open(options.clone()).await.expect("opens")
}

pub(crate) fn group(member: u32) -> Group {
    Group { name: "dataflow".into(), member }
}

/// Panics if it never ends.
pub(crate) async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(120), work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting: {what}"),
    }
}

/// What each of several processes has now.
#[derive(Default)]
pub(crate) struct Shares {
    held: Mutex<BTreeMap<usize, Vec<u32>>>,
    changed: Notify,
}

impl Shares {
    /// Nobody may have what another still has.
    fn take(&self, process: usize, partitions: Vec<u32>) {
        let mut held = self.held.lock().expect("no panic");
        for (other, theirs) in &*held {
            assert!(
                partitions.iter().all(|p| !theirs.contains(p)),
                "{partitions:?} is given to {process}, {other} has {theirs:?}"
            );
        }
        held.insert(process, partitions);
        drop(held);
        self.changed.notify_one();
    }

    fn give_back(&self, process: usize) {
        self.held.lock().expect("no panic").remove(&process);
    }

    /// Once all partitions are held, evenly, by so many.
    pub(crate) async fn settled(&self, processes: usize, partitions: usize) -> BTreeMap<usize, Vec<u32>> {
        loop {
            {
                let held = self.held.lock().expect("no panic");
                let even = held.values().all(|share| share.len().abs_diff(partitions / processes) <= 1);
                if held.len() == processes && even && held.values().map(Vec::len).sum::<usize>() == partitions {
                    return held.clone();
                }
            }
            self.changed.notified().await;
        }
    }
}

/// A process of a group, until it is stopped.
pub(crate) async fn work(log: Arc<KafkaLog>, group: &str, process: usize, shares: Arc<Shares>, stop: CancellationToken) {
    let mut member = log.join(group).await.expect("joins");
    while let Some(share) = stop.run_until_cancelled(member.share()).await {
        let share = share.expect("a member");
        shares.take(process, share.partitions.clone());
        stop.run_until_cancelled(share.ends.cancelled()).await;
        shares.give_back(process);
    }
}
