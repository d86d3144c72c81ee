//! kill -9 of Kafka while it is worked with: of the only broker, which comes back, and of each node of a cluster, where the others go
//! on; and a wire to it that swallows everything, or is cut. What was acknowledged is there, no key's order changes, each commit has happened
//! whole or not at all, and each partition is somebody's again who may commit it. `FAULTS` says how many times all of it happens (1).

#[path = "../../../compose/tests/system/bad_wire.rs"]
#[allow(clippy::unwrap_used)]
mod bad_wire;
#[path = "support/kafka.rs"]
mod kafka;
#[path = "support/shares.rs"]
mod shares;
mod support;

use bad_wire::{BadWire, Weather};
use kafka::Broker;
use shares::{Shares, group, open, soon, work};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use support::{numbers, record};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use waystream_log::kafka::{KafkaLog, KafkaOptions};
use waystream_log::{Group, Log, LogError, Offsets, Topic};

/// These tests take turns: three clusters at once would only wait for each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Between two looks at how far somebody is: who comes back needs the processors.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The only broker of those tests that may find it with what another has left in it.
fn only_broker() -> Arc<Broker> {
    static ONLY: OnceLock<Arc<Broker>> = OnceLock::new();
    Arc::clone(ONLY.get_or_init(|| Arc::new(Broker::start_cluster(1))))
}

/// An outage.
#[derive(Clone, Copy)]
struct Kill {
    node: u16,
    away: Duration,
    /// The others have to go on without it.
    missed: bool,
}

const fn kill(node: u16, away_s: u64, missed: bool) -> Kill {
    Kill { node, away: Duration::from_secs(away_s), missed }
}

/// kill -9; `meanwhile` happens while the node is away.
async fn outage(broker: &Arc<Broker>, kill: Kill, meanwhile: impl Future<Output = ()>) {
    let blocking = |work: fn(&Broker, u16)| {
        let broker = Arc::clone(broker);
        async move { tokio::task::spawn_blocking(move || work(&broker, kill.node)).await.expect("kills and starts") }
    };
    blocking(Broker::kill_node).await;
    tokio::time::sleep(kill.away).await;
    if kill.missed {
        meanwhile.await;
    }
    blocking(|broker, _| broker.restart()).await;
}

/// Writers of positions, and somebody who commits.
struct Traffic {
    log: Arc<KafkaLog>,
    stop: CancellationToken,
    /// By key, the numbers that were acknowledged.
    acknowledged: Arc<Mutex<BTreeMap<String, Vec<u64>>>>,
    writers: JoinSet<()>,
    committer: JoinHandle<u64>,
}

impl Traffic {
    const WRITERS: usize = 8;

    fn start(log: &Arc<KafkaLog>) -> Self {
        let stop = CancellationToken::new();
        let acknowledged = Arc::new(Mutex::new(BTreeMap::<String, Vec<u64>>::new()));
        let mut writers = JoinSet::new();
        for writer in 0..Self::WRITERS {
            let (log, stop, acknowledged) = (log.clone(), stop.clone(), Arc::clone(&acknowledged));
            let key = format!("device-{writer}");
            writers.spawn(async move {
                for n in 0.. {
                    if stop.is_cancelled() {
                        break;
                    }
                    if log.append(Topic::Positions, vec![record(key.clone(), n)]).await.is_ok() {
                        acknowledged.lock().expect("no panic").entry(key.clone()).or_default().push(n);
                    }
                }
            });
        }
        let committer = tokio::spawn(commit_until(stop.clone(), log.clone()));
        Self { log: log.clone(), stop, acknowledged, writers, committer }
    }

    /// Until each writer has been answered, and commits have been made, ten times more.
    async fn progress(&self) {
        let written = || {
            let acknowledged = self.acknowledged.lock().expect("no panic");
            let least = acknowledged.values().map(Vec::len).min().unwrap_or(0);
            if acknowledged.len() == Self::WRITERS { least } else { 0 }
        };
        // Kafka may be coming back.
        let committed = async || loop {
            if let Ok(at) = self.log.committed("dataflow", Topic::Positions).await {
                break at[&(Topic::Positions, 0)];
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        let (goal, written_goal) = (committed().await + 10, written() + 10);
        while written() < written_goal || committed().await < goal {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Panics unless everything is there, once and in order.
    async fn finish_and_check(self) {
        self.stop.cancel();
        let committed = soon("the committer", self.committer).await.expect("commits");
        soon("the writers", self.writers.join_all()).await;
        let positions = numbers(&*self.log, Topic::Positions).await;
        for (key, acknowledged) in &*self.acknowledged.lock().expect("no panic") {
            let read = &positions[key];
            let once: BTreeSet<u64> = read.iter().copied().collect();
            assert_eq!(once.len(), read.len(), "{key}: nothing twice");
            assert!(read.is_sorted(), "{key}: in order");
            assert!(acknowledged.iter().all(|n| once.contains(n)), "{key}: all that was acknowledged");
        }
        let all: Vec<u64> = (1..=committed).collect();
        assert_eq!(numbers(&*self.log, Topic::Events).await["c"], all, "each commit once");
        // Compacted, perhaps.
        assert_eq!(numbers(&*self.log, Topic::States).await["c"].last(), Some(&committed));
    }
}

/// Each commit tells the offset that it moves to, in a record of each of two topics. Gives the last.
async fn commit_until(stop: CancellationToken, log: Arc<KafkaLog>) -> u64 {
    let mut offset = 0;
    while !stop.is_cancelled() {
        let tried = offset + 1;
        let records = vec![(Topic::Events, record("c", tried)), (Topic::States, record("c", tried))];
        match log.commit(&group(0), records, &Offsets::from([((Topic::Positions, 0), tried)])).await {
            Ok(()) => offset = tried,
            Err(LogError::Unavailable(_)) => {}
            // Only the log knows.
            Err(LogError::Indeterminate(_)) => {
                if let Ok(committed) = log.committed("dataflow", Topic::Positions).await {
                    offset = committed[&(Topic::Positions, 0)];
                }
            }
            Err(error) => panic!("{error}"),
        }
    }
    offset
}

/// A group, and the logs of its processes.
struct Sharers {
    group: &'static str,
    shares: Arc<Shares>,
    logs: Vec<Arc<KafkaLog>>,
}

/// Processes that share the partitions of a log of their own in two groups: one of several, one of one.
struct Sharing {
    partitions: usize,
    groups: Vec<Sharers>,
    /// What was committed last.
    offset: u64,
    stop: CancellationToken,
    running: JoinSet<()>,
}

impl Sharing {
    async fn start(options: &KafkaOptions) -> Self {
        let partitions = options.partitions[&Topic::Positions] as usize;
        let (stop, mut running, mut groups) = (CancellationToken::new(), JoinSet::new(), Vec::new());
        for (group, processes) in [("dataflow", 3), ("archive", 1)] {
            let (shares, mut logs) = (Arc::new(Shares::default()), Vec::new());
            for n in 0..processes {
                let log = open(&KafkaOptions { instance: format!("{group}-{n}"), ..options.clone() }).await;
                running.spawn(work(log.clone(), group, n, Arc::clone(&shares), stop.clone()));
                logs.push(log);
            }
            groups.push(Sharers { group, shares, logs });
        }
        Self { partitions, groups, offset: 0, stop, running }
    }

    /// Until each partition has one owner, who may commit it.
    async fn all_can_commit(&mut self) {
        self.offset += 1;
        let offset = self.offset;
        for Sharers { group, shares, logs } in &self.groups {
            // What was held before it was known that the broker has forgotten it may still be refused.
            soon("each partition's owner may commit it", async {
                loop {
                    let held = shares.settled(logs.len(), self.partitions).await;
                    let commits: JoinSet<_> = held
                        .into_iter()
                        .map(|(n, share)| {
                            let offsets = share.into_iter().map(|partition| ((Topic::Positions, partition), offset)).collect();
                            let (log, group) = (logs[n].clone(), Group { name: (*group).into(), member: 0 });
                            async move { log.commit(&group, Vec::new(), &offsets).await.err() }
                        })
                        .collect();
                    match commits.join_all().await.into_iter().flatten().next() {
                        None => break,
                        Some(LogError::Indeterminate(_) | LogError::Unavailable(_)) => {
                            tokio::time::sleep(Duration::from_millis(100)).await;
                        }
                        Some(error) => panic!("{group}: {error}"),
                    }
                }
            })
            .await;
        }
    }

    async fn finish(self) {
        self.stop.cancel();
        self.running.join_all().await;
    }
}

/// Everything that uses a log, through these outages of one cluster.
async fn all_survive(start: fn() -> Arc<Broker>, kills: &[Kill]) {
    let _turn = TURN.lock().await;
    let broker = tokio::task::spawn_blocking(start).await.expect("starts");
    let times = std::env::var("FAULTS").ok().and_then(|times| times.parse().ok()).unwrap_or(1);
    let log = open(&broker.options()).await;
    let traffic = Traffic::start(&log);
    let mut sharing = Sharing::start(&broker.options()).await;
    for kill in kills.repeat(times) {
        soon("progress before a kill", traffic.progress()).await;
        sharing.all_can_commit().await;
        outage(&broker, kill, async {
            soon("progress without a node", traffic.progress()).await;
            sharing.all_can_commit().await;
        })
        .await;
    }
    soon("progress after the last kill", traffic.progress()).await;
    sharing.all_can_commit().await;
    sharing.finish().await;
    traffic.finish_and_check().await;
}

/// For longer than a session, and for no longer than it takes to start again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_only_broker_may_be_killed_at_any_time() {
    all_survive(only_broker, &[kill(1, 7, false), kill(1, 0, false)]).await;
}

/// Each node leads partitions, of the topics as of the groups and the transactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_goes_on_without_any_of_its_nodes() {
    all_survive(|| Arc::new(Broker::start_cluster(3)), &[kill(1, 0, true), kill(2, 0, true), kill(3, 0, true)]).await;
}

/// For less and for more than a session; cut; and far away.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wire_to_the_only_broker_may_be_dead_or_slow() {
    let _turn = TURN.lock().await;
    let wire = BadWire::to_nowhere(0).await;
    let port = wire.address.port();
    let broker = tokio::task::spawn_blocking(move || Broker::start_far(port)).await.expect("starts");
    wire.lead_to(broker.far_end());
    let log = open(&KafkaOptions { brokers: wire.address.to_string(), ..broker.options() }).await;
    let traffic = Traffic::start(&log);
    for dead_s in [3, 8] {
        soon("progress before nothing gets through", traffic.progress()).await;
        wire.set(Weather { black_hole: true, ..Weather::default() });
        tokio::time::sleep(Duration::from_secs(dead_s)).await;
        wire.set(Weather::default());
    }
    soon("progress before it is cut", traffic.progress()).await;
    wire.cut();
    wire.set(Weather { delay: Duration::from_millis(50), ..Weather::default() });
    soon("progress from far away", traffic.progress()).await;
    wire.set(Weather::default());
    traffic.finish_and_check().await;
}

/// Seconds of processor time that threads of this name have used, in this process.
fn processor_s(thread: &str) -> f64 {
    const TICKS_PER_S: f64 = 100.0;
    let mut ticks = 0.0;
    for task in std::fs::read_dir("/proc/self/task").expect("linux").flatten() {
        // A thread may end meanwhile.
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let (named, times) = stat.rsplit_once(") ").expect("a name in brackets");
        if named.ends_with(&format!("({thread}")) {
            ticks += times.split(' ').skip(11).take(2).map(|field| field.parse::<f64>().expect("a number")).sum::<f64>();
        }
    }
    ticks / TICKS_PER_S
}

/// What comes back needs the processors itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_waits_quietly_while_kafka_is_away() {
    const AWAY_S: u64 = 5;
    let _turn = TURN.lock().await;
    let broker = tokio::task::spawn_blocking(only_broker).await.expect("starts");
    let log = open(&broker.options()).await;
    let stop = CancellationToken::new();
    let going_on = tokio::spawn(commit_until(stop.clone(), log.clone()));
    let is_under_way =
        async || while log.committed("dataflow", Topic::Positions).await.expect("is there")[&(Topic::Positions, 0)] == 0 {};
    soon("a first commit", is_under_way()).await;
    let mut used = f64::NAN;
    outage(&broker, kill(1, 0, true), async {
        let before = processor_s("kafka-commit");
        tokio::time::sleep(Duration::from_secs(AWAY_S)).await;
        used = processor_s("kafka-commit") - before;
    })
    .await;
    stop.cancel();
    soon("the commit that waited", going_on).await.expect("ends");
    assert!(used < AWAY_S as f64 / 10.0, "{used} s of processor time in {AWAY_S} s of waiting");
}
