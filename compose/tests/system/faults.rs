//! Faults of every kind at random moments, while trackers report: nothing answered is lost, nothing doubled, and each process goes on
//! by itself. `SEED` repeats a run, `FAULTS` says how many of each kind (1), `KINDS` which (`Kafka,DataflowFrozen`; by default all).

use crate::common::System;
use crate::deployment::Deployment;
use crate::recorded::Recorded;
use crate::redis::Redis;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_log::{Log, Topic};

const RECORDS_PER_PACKET: usize = 5;
const POSITIONS_PER_FAULT: usize = 6_000;
/// A single one may leave transactions open for ever when it is killed (ARCHITECTURE.md, "What it took to outlive a Kafka that is killed").
const KAFKA_NODES: u16 = 3;
/// Nothing takes so long unless it never ends.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Longer than a process may be silent without losing its partitions.
const FROZEN: Duration = Duration::from_secs(8);
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// kill -9, and started again at once; of Kafka one of three nodes.
    Connect,
    Dataflow,
    Archive,
    Gateway,
    Kafka,
    QuestDb,
    Redis,
    /// kill -9, and started again only when the others have taken over.
    DataflowLost,
    /// SIGSTOP until the others have taken over, and then SIGCONT.
    DataflowFrozen,
    /// SIGSTOP, and SIGCONT after a while in which nobody takes over.
    ConnectFrozen,
    ArchiveFrozen,
    GatewayFrozen,
    KafkaFrozen,
    QuestDbFrozen,
    RedisFrozen,
    /// One process more.
    DataflowJoins,
    /// One less, asked to stop.
    DataflowLeaves,
}

impl Fault {
    const ALL: [Self; 17] = [
        Self::Connect,
        Self::Dataflow,
        Self::Archive,
        Self::Gateway,
        Self::Kafka,
        Self::QuestDb,
        Self::Redis,
        Self::DataflowLost,
        Self::DataflowFrozen,
        Self::ConnectFrozen,
        Self::ArchiveFrozen,
        Self::GatewayFrozen,
        Self::KafkaFrozen,
        Self::QuestDbFrozen,
        Self::RedisFrozen,
        Self::DataflowJoins,
        Self::DataflowLeaves,
    ];
}

/// From a fault until the victim is back, if it is started again at once; all that is reported in its round is answered; its events
/// are committed; and it can be asked for.
struct Recovery {
    back: Duration,
    answered: Duration,
    told: Duration,
    kept: Duration,
}

/// The processes, by name.
struct Processes<'a> {
    deployment: &'a Deployment,
    redis: Redis,
    running: BTreeMap<String, System>,
    dataflows_ever: usize,
}

impl Processes<'_> {
    fn start(&mut self, name: &str, roles: &str) {
        let system = self.deployment.process(name, roles);
        self.running.insert(name.to_owned(), system);
    }

    fn start_gateway(&mut self) {
        let system = self.deployment.gateway_with("gateway", &self.redis.url());
        self.running.insert("gateway".to_owned(), system);
    }

    fn kill(&mut self, name: &str) {
        self.running.remove(name).unwrap().kill().unwrap();
    }

    fn add_dataflow(&mut self) {
        self.dataflows_ever += 1;
        self.start(&format!("dataflow-{}", self.dataflows_ever), "dataflow");
    }

    fn some_dataflow(&self, rng: &mut StdRng) -> String {
        let names: Vec<&String> = self.running.keys().filter(|name| name.starts_with("dataflow")).collect();
        names[rng.random_range(0..names.len())].clone()
    }

    fn dataflows(&self) -> usize {
        self.running.keys().filter(|name| name.starts_with("dataflow")).count()
    }

    fn check_alive(&mut self) {
        for (name, system) in &mut self.running {
            if let Some(status) = system.ended() {
                panic!("{name} has ended by itself: {status}");
            }
        }
    }
}

async fn soon<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting: {what}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_at_random_moments_lose_nothing_and_double_nothing() {
    let number = |name: &str| std::env::var(name).ok().and_then(|s| s.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| rand::rng().random());
    let each = number("FAULTS").unwrap_or(1) as usize;
    eprintln!("SEED={seed} FAULTS={each}");
    let mut rng = StdRng::seed_from_u64(seed);
    let kinds = std::env::var("KINDS").ok();
    let asked = |fault: &Fault| kinds.as_deref().is_none_or(|kinds| kinds.split(',').any(|kind| kind == format!("{fault:?}")));
    let mut faults = Fault::ALL.into_iter().filter(asked).collect::<Vec<_>>().repeat(each);
    faults.shuffle(&mut rng);

    let recorded = Recorded::read(&[("warsaw_bus", faults.len() * POSITIONS_PER_FAULT)]);
    let deployment = Deployment::start_with_brokers(KAFKA_NODES, &["warsaw_districts"]).await;
    deployment.put(recorded.catalog()).await;
    let redis = Redis::start();
    let mut processes = Processes { deployment: &deployment, redis, running: BTreeMap::new(), dataflows_ever: 0 };
    processes.start("connect", "connect");
    processes.add_dataflow();
    processes.add_dataflow();
    processes.start("archive", "archive");
    processes.start_gateway();
    let log = deployment.log().await;

    // Each track is cut into as many parts as there are rounds; a part is reported once its round has begun.
    let rounds = faults.len();
    let round_of = move |packet: usize, packets: usize| packet * rounds / packets;
    let mut due = vec![0; rounds];
    let (begin, begun) = watch::channel(None);
    let (answered, progress) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
    let mut trackers = JoinSet::new();
    for (imei, fixes) in recorded.tracks.clone() {
        let packets = fixes.len().div_ceil(RECORDS_PER_PACKET);
        for (n, packet) in fixes.chunks(RECORDS_PER_PACKET).enumerate() {
            due[round_of(n, packets)] += packet.len();
        }
        let (answered, progress, mut begun) = (Arc::clone(&answered), Arc::clone(&progress), begun.clone());
        let mut tracker = Tracker::Teltonika(Teltonika::new(deployment.trackers, imei.as_str()));
        trackers.spawn(async move {
            for (n, packet) in fixes.chunks(RECORDS_PER_PACKET).enumerate() {
                begun.wait_for(|round| round.is_some_and(|round| round >= round_of(n, packets))).await.unwrap();
                tracker.deliver(packet).await.unwrap();
                answered.fetch_add(packet.len(), Ordering::SeqCst);
                progress.notify_one();
            }
        });
    }
    let until_answered = async |positions: usize| {
        while answered.load(Ordering::SeqCst) < positions {
            progress.notified().await;
        }
    };

    let mut recoveries: BTreeMap<Fault, Vec<Recovery>> = BTreeMap::new();
    let mut before = 0;
    for (round, fault) in faults.into_iter().enumerate() {
        begin.send(Some(round)).unwrap();
        let moment = before + rng.random_range(0..=due[round]);
        soon("answers before a fault", until_answered(moment)).await;
        // Not always right after an answer.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        before += due[round];
        let since = Instant::now();
        let victim = inject(fault, &mut processes, &mut rng);
        let back = since.elapsed();
        soon("answers", until_answered(before)).await;
        let answered = since.elapsed();
        soon("events", until_told(log.as_ref())).await;
        let told = since.elapsed();
        match fault {
            Fault::DataflowLost => processes.start(&victim, "dataflow"),
            Fault::DataflowFrozen => processes.running[&victim].signal("CONT").unwrap(),
            _ => {}
        }
        let gateway = processes.running["gateway"].remote();
        soon("history", async {
            while let Err(error) = gateway.settle().await {
                eprintln!("history is not settled: {error:#}");
                processes.check_alive();
                tokio::time::sleep(SETTLE_AGAIN).await;
            }
        })
        .await;
        let kept = since.elapsed();
        eprintln!("{round}: {fault:?} {victim}: back {back:.1?}, answered {answered:.1?}, told {told:.1?}, kept {kept:.1?}");
        recoveries.entry(fault).or_default().push(Recovery { back, answered, told, kept });
        processes.check_alive();
    }
    trackers.join_all().await;
    assert_eq!(answered.load(Ordering::SeqCst), recorded.positions());
    deployment.check(&recorded).await;
    recorded.check_rival(&processes.running["gateway"]).await;
    processes.running.values().for_each(System::check_memory);
    report(&recoveries);
}

/// Makes it happen; gives the name of the process that it happens to.
fn inject(fault: Fault, processes: &mut Processes<'_>, rng: &mut StdRng) -> String {
    // Those that go on alone must be there.
    if matches!(fault, Fault::DataflowLost | Fault::DataflowFrozen | Fault::DataflowLeaves) && processes.dataflows() < 2 {
        processes.add_dataflow();
    }
    let dataflow = processes.some_dataflow(rng);
    let again = |processes: &mut Processes<'_>, name: &str, roles: &str| {
        processes.kill(name);
        processes.start(name, roles);
        name.to_owned()
    };
    match fault {
        Fault::Connect => again(processes, "connect", "connect"),
        Fault::Archive => again(processes, "archive", "archive"),
        Fault::Gateway => {
            processes.kill("gateway");
            processes.start_gateway();
            "gateway".to_owned()
        }
        Fault::Dataflow => again(processes, &dataflow, "dataflow"),
        Fault::Kafka => {
            let node = rng.random_range(1..=KAFKA_NODES);
            processes.deployment.broker.kill_node(node);
            processes.deployment.broker.restart();
            format!("kafka {node}")
        }
        Fault::QuestDb => {
            processes.deployment.questdb.kill();
            processes.deployment.questdb.restart();
            "questdb".to_owned()
        }
        Fault::Redis => {
            processes.redis.kill();
            processes.redis.restart();
            "redis".to_owned()
        }
        Fault::DataflowLost => {
            processes.kill(&dataflow);
            dataflow
        }
        Fault::DataflowFrozen => {
            processes.running[&dataflow].signal("STOP").unwrap();
            dataflow
        }
        Fault::ConnectFrozen => freeze("connect", |name| processes.running["connect"].signal(name).unwrap()),
        Fault::ArchiveFrozen => freeze("archive", |name| processes.running["archive"].signal(name).unwrap()),
        Fault::GatewayFrozen => freeze("gateway", |name| processes.running["gateway"].signal(name).unwrap()),
        Fault::KafkaFrozen => {
            let node = rng.random_range(1..=KAFKA_NODES);
            freeze(&format!("kafka {node}"), |name| processes.deployment.broker.signal_node(node, name))
        }
        Fault::QuestDbFrozen => freeze("questdb", |name| drop(processes.deployment.questdb.signal(name))),
        Fault::RedisFrozen => freeze("redis", |name| processes.redis.signal(name)),
        Fault::DataflowJoins => {
            processes.add_dataflow();
            format!("dataflow-{}", processes.dataflows_ever)
        }
        Fault::DataflowLeaves => {
            let (status, _) = processes.running.remove(&dataflow).unwrap().terminate().unwrap();
            assert!(status.success(), "{dataflow} leaves in order: {status}");
            dataflow
        }
    }
}

/// Who sends signals to a process of this name lets it stand still for a while.
fn freeze(name: &str, signal: impl Fn(&str)) -> String {
    signal("STOP");
    std::thread::sleep(FROZEN);
    signal("CONT");
    name.to_owned()
}

/// Until every position that is in the log now has been worked out. Kafka may be coming back.
async fn until_told(log: &dyn Log) {
    let ends = loop {
        match log.bounds(Topic::Positions).await {
            Ok(bounds) => break bounds,
            Err(_) => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    loop {
        if let Ok(committed) = log.committed("dataflow", Topic::Positions).await
            && ends.iter().zip(0..).all(|(end, partition)| committed[&(Topic::Positions, partition)] >= end.next)
        {
            return;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn report(recoveries: &BTreeMap<Fault, Vec<Recovery>>) {
    eprintln!("fault | times | back: median, most | answered again | events again | history again");
    for (fault, recoveries) in recoveries {
        let column = |of: fn(&Recovery) -> Duration| {
            let mut times: Vec<Duration> = recoveries.iter().map(of).collect();
            times.sort_unstable();
            format!("{:.1?}, {:.1?}", times[times.len() / 2], times[times.len() - 1])
        };
        let (back, answered, told, kept) = (column(|r| r.back), column(|r| r.answered), column(|r| r.told), column(|r| r.kept));
        eprintln!("{fault:?} | {} | {back} | {answered} | {told} | {kept}", recoveries.len());
    }
}
