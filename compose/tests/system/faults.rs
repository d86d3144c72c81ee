//! Faults of every kind at random moments, while trackers report: nothing answered is lost, nothing doubled, and each process goes on
//! by itself. `SEED` repeats a run, `FAULTS` says how many of each kind (1), `KINDS` which (`Kafka,DataflowFrozen`; by default all).

use crate::common::System;
use crate::deployment::Deployment;
use crate::kafka::Broker;
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
use tokio::task::{JoinHandle, JoinSet};
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
/// Longer than a process may be silent without losing its partitions, and than a node of Kafka may be without its others going on.
const FROZEN: Duration = Duration::from_secs(8);
const SETTLE_AGAIN: Duration = Duration::from_millis(500);

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// kill -9, and started again at once; of Kafka one of three nodes. Nobody waits for servers to be back but the next fault.
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
    /// SIGSTOP, and SIGCONT after a while in which nobody takes over, but of Kafka the other nodes.
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

/// From a fault until all that is reported in its round is answered; its events are committed; it can be asked for; and until the
/// victim is back, if it comes back by then: a node of Kafka with all copies in sync.
struct Recovery {
    answered: Duration,
    told: Duration,
    kept: Duration,
    back: Duration,
}

/// What has been done to whom.
struct Injected {
    victim: String,
    back: Back,
}

/// When a victim is back.
enum Back {
    /// It was waited for, or does not come back.
    Already(Instant),
    /// It comes back while the others are looked at.
    Coming(JoinHandle<Instant>),
}

impl Back {
    async fn at(self) -> Instant {
        match self {
            Self::Already(at) => at,
            Self::Coming(coming) => coming.await.unwrap(),
        }
    }
}

/// The processes, by name.
struct Processes<'a> {
    deployment: &'a Deployment,
    redis: Arc<Redis>,
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

async fn soon<T>(kafka: &Broker, what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(done) => done,
        Err(_) => panic!("still waiting: {what}; of Kafka's nodes\n{}", kafka.out_of_sync()),
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
    let redis = Arc::new(Redis::start());
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
        soon(&deployment.broker, "answers before a fault", until_answered(moment)).await;
        // Not always right after an answer.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        before += due[round];
        let since = Instant::now();
        let Injected { victim, back } = inject(fault, &mut processes, &mut rng);
        soon(&deployment.broker, "answers", until_answered(before)).await;
        let answered = since.elapsed();
        soon(&deployment.broker, "events", until_told(log.as_ref())).await;
        let told = since.elapsed();
        match fault {
            Fault::DataflowLost => processes.start(&victim, "dataflow"),
            Fault::DataflowFrozen => processes.running[&victim].signal("CONT").unwrap(),
            _ => {}
        }
        let gateway = processes.running["gateway"].remote();
        soon(&deployment.broker, "history", async {
            while let Err(error) = gateway.settle().await {
                eprintln!("history is not settled: {error:#}");
                processes.check_alive();
                tokio::time::sleep(SETTLE_AGAIN).await;
            }
        })
        .await;
        let kept = since.elapsed();
        // Who loses one node after the other before the first is back has lost two.
        let back = soon(&deployment.broker, "the victim", back.at()).await.duration_since(since);
        eprintln!("{round}: {fault:?} {victim}: answered {answered:.1?}, told {told:.1?}, kept {kept:.1?}; back {back:.1?}");
        recoveries.entry(fault).or_default().push(Recovery { answered, told, kept, back });
        processes.check_alive();
    }
    trackers.join_all().await;
    assert_eq!(answered.load(Ordering::SeqCst), recorded.positions());
    deployment.check(&recorded).await;
    recorded.check_rival(&processes.running["gateway"]).await;
    processes.running.values().for_each(System::check_memory);
    report(&recoveries);
}

/// Makes it happen. Processes of ours are ready when it returns, servers and who sleeps come back by themselves.
fn inject(fault: Fault, processes: &mut Processes<'_>, rng: &mut StdRng) -> Injected {
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
    let victim = match fault {
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
            let broker = processes.deployment.broker.clone();
            broker.kill_node(node);
            return coming(format!("kafka {node}"), move || broker.restart());
        }
        Fault::QuestDb => {
            let questdb = processes.deployment.questdb.clone();
            questdb.kill();
            return coming("questdb".to_owned(), move || questdb.restart());
        }
        Fault::Redis => {
            let redis = Arc::clone(&processes.redis);
            redis.kill();
            return coming("redis".to_owned(), move || redis.restart());
        }
        Fault::DataflowLost => {
            processes.kill(&dataflow);
            dataflow
        }
        Fault::DataflowFrozen => {
            processes.running[&dataflow].signal("STOP").unwrap();
            dataflow
        }
        Fault::ConnectFrozen => freeze(&processes.running, "connect"),
        Fault::ArchiveFrozen => freeze(&processes.running, "archive"),
        Fault::GatewayFrozen => freeze(&processes.running, "gateway"),
        Fault::KafkaFrozen => {
            let node = rng.random_range(1..=KAFKA_NODES);
            let broker = processes.deployment.broker.clone();
            broker.signal_node(node, "STOP");
            return coming(format!("kafka {node}"), move || {
                std::thread::sleep(FROZEN);
                broker.signal_node(node, "CONT");
                broker.until_in_sync();
            });
        }
        Fault::QuestDbFrozen => {
            let questdb = processes.deployment.questdb.clone();
            questdb.signal("STOP");
            return coming("questdb".to_owned(), move || {
                std::thread::sleep(FROZEN);
                questdb.signal("CONT");
            });
        }
        Fault::RedisFrozen => {
            let redis = Arc::clone(&processes.redis);
            redis.signal("STOP");
            return coming("redis".to_owned(), move || {
                std::thread::sleep(FROZEN);
                redis.signal("CONT");
            });
        }
        Fault::DataflowJoins => {
            processes.add_dataflow();
            format!("dataflow-{}", processes.dataflows_ever)
        }
        Fault::DataflowLeaves => {
            let (status, _) = processes.running.remove(&dataflow).unwrap().terminate().unwrap();
            assert!(status.success(), "{dataflow} leaves in order: {status}");
            dataflow
        }
    };
    Injected { victim, back: Back::Already(Instant::now()) }
}

/// A victim comes back by this, on a thread of its own.
fn coming(victim: String, come: impl FnOnce() + Send + 'static) -> Injected {
    let come = move || {
        come();
        Instant::now()
    };
    Injected { victim, back: Back::Coming(tokio::task::spawn_blocking(come)) }
}

/// Lets a process of ours stand still for a while.
fn freeze(running: &BTreeMap<String, System>, name: &str) -> String {
    running[name].signal("STOP").unwrap();
    std::thread::sleep(FROZEN);
    running[name].signal("CONT").unwrap();
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
    eprintln!("fault | times | answered again: median, most | events again | history again | the victim is back");
    for (fault, recoveries) in recoveries {
        let column = |of: fn(&Recovery) -> Duration| {
            let mut times: Vec<Duration> = recoveries.iter().map(of).collect();
            times.sort_unstable();
            format!("{:.1?}, {:.1?}", times[times.len() / 2], times[times.len() - 1])
        };
        let (answered, told, kept, back) = (column(|r| r.answered), column(|r| r.told), column(|r| r.kept), column(|r| r.back));
        eprintln!("{fault:?} | {} | {answered} | {told} | {kept} | {back}", recoveries.len());
    }
}
