//! A real Kafka for the tests of one program, started and ended by `compose/stack`.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use waystream_log::Topic;
use waystream_log::kafka::KafkaOptions;

/// A Kafka of its own. It ends when this program does, or when it is dropped.
pub(crate) struct Broker {
    /// Its standard input is what keeps the server.
    held: Child,
    folder: PathBuf,
    /// Of the first node; each has [`PORTS_OF_A_NODE`].
    port: u16,
    nodes: u16,
}

const PORTS_OF_A_NODE: u16 = 3;
/// Starts in half the time, and leaves the processors to the tests: none of them works it for so long that better code would pay.
const JVM: &str = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC";

impl Broker {
    /// A new one, without data.
    pub(crate) fn start() -> Self {
        Self::start_for(1, &[])
    }

    /// A cluster of so many nodes; each may be killed.
    pub(crate) fn start_cluster(nodes: u16) -> Self {
        Self::start_for(nodes, &[])
    }

    /// One that also listens over TLS, to this user.
    pub(crate) fn start_secure(user: &str, password: &str) -> Self {
        Self::start_for(1, &[("KAFKA_USER", user), ("KAFKA_PASSWORD", password)])
    }

    /// One whose clients reach it over this port, behind which somebody passes on to [`Broker::far_end`].
    pub(crate) fn start_far(port: u16) -> Self {
        Self::start_for(1, &[("KAFKA_FAR_PORT", &port.to_string())])
    }

    /// Of a far one, where its own end is.
    pub(crate) fn far_end(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port + 2).into()
    }

    fn start_for(nodes: u16, environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let port = free_ports(nodes * PORTS_OF_A_NODE);
        let mut held = stack(&folder, port, nodes);
        let held = held
            .envs(environment.iter().copied())
            .arg("hold")
            .arg("kafka")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn();
        let mut held = held.expect("compose/stack runs");
        let mut line = String::new();
        let said = BufReader::new(held.stdout.take().expect("it is piped")).read_line(&mut line);
        said.expect("compose/stack speaks");
        assert_eq!(line.trim(), "ready", "compose/stack could not start Kafka");
        Self { held, folder, port, nodes }
    }

    /// That of this test program.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Of each node, as settings name them.
    pub(crate) fn address(&self) -> String {
        (1..=self.nodes).map(|node| format!("127.0.0.1:{}", self.node_port(node))).collect::<Vec<_>>().join(",")
    }

    fn node_port(&self, node: u16) -> u16 {
        self.port + (node - 1) * PORTS_OF_A_NODE
    }

    /// Of a secure one, where it listens over TLS.
    pub(crate) fn secure_address(&self) -> String {
        format!("127.0.0.1:{}", self.port + 2)
    }

    /// Of a secure one, the authority behind its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.join("kafka/tls/ca.pem")
    }

    /// kill -9; returns when it is dead.
    pub(crate) fn kill(&self) {
        self.kill_node(1);
    }

    /// kill -9 of one node, counted from 1.
    pub(crate) fn kill_node(&self, node: u16) {
        self.signal_node(node, "KILL");
        // Its ports are free some time after it has gone.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.node_port(node))).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Sends one node a signal.
    pub(crate) fn signal_node(&self, node: u16, signal: &str) {
        let name = if node == 1 { "kafka".to_owned() } else { format!("kafka-{node}") };
        let pid = std::fs::read_to_string(self.folder.join(name).join("pid")).expect("it is running");
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.trim()).status().expect("kill runs");
        assert!(sent.success());
    }

    /// Starts again what was killed, on the same data; returns when it answers, and all copies of a cluster are in sync: who loses
    /// one node after the other before that has lost two.
    pub(crate) fn restart(&self) {
        let started = stack(&self.folder, self.port, self.nodes).args(["up", "kafka"]).stdout(Stdio::null()).status();
        assert!(started.expect("compose/stack runs").success(), "Kafka starts again");
        self.until_in_sync();
    }

    /// Returns when every node says that all copies are in sync.
    pub(crate) fn until_in_sync(&self) {
        for _ in 0..240 {
            if self.nodes == 1 || (1..=self.nodes).all(|node| self.is_in_sync_to(node)) {
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        panic!("the copies are not in sync two minutes after all nodes were back: {}", self.out_of_sync());
    }

    /// One that was asleep may not know yet.
    fn is_in_sync_to(&self, node: u16) -> bool {
        let told = self.told_by(node);
        let mut partitions = partitions(&told).peekable();
        partitions.peek().is_some() && partitions.all(is_in_sync)
    }

    /// What each node says of partitions that lack copies.
    pub(crate) fn out_of_sync(&self) -> String {
        let of_node = |node| {
            let told = self.told_by(node);
            let lacking: Vec<&str> = partitions(&told).filter(|line| !is_in_sync(line)).map(str::trim).collect();
            format!("node {node} knows {} partitions; not in sync: {lacking:?}", partitions(&told).count())
        };
        (1..=self.nodes).map(of_node).collect::<Vec<_>>().join("\n")
    }

    /// What kcat is told by a node of all topics.
    fn told_by(&self, node: u16) -> String {
        let node = format!("127.0.0.1:{}", self.node_port(node));
        let told = Command::new("kcat").args(["-b", &node, "-L"]).output().expect("kcat is installed").stdout;
        String::from_utf8_lossy(&told).into_owned()
    }

    /// Settings of a log that no other test uses, with few partitions.
    pub(crate) fn options(&self) -> KafkaOptions {
        static LOGS: AtomicUsize = AtomicUsize::new(0);
        let devices = Topic::ALL.into_iter().filter(|topic| topic.is_shared_out()).map(|topic| (topic, 6));
        KafkaOptions {
            brokers: self.address(),
            prefix: format!("test-{}.", LOGS.fetch_add(1, Ordering::Relaxed)),
            partitions: devices.chain([(Topic::Snapshots, 2)]).collect(),
            replication: self.nodes.min(3),
            session_timeout: Duration::from_secs(6),
            ..KafkaOptions::default()
        }
    }
}

/// Of what kcat is told: `partition 0, leader 2, replicas: 2,3,1, isrs: 2,1,3`.
fn partitions(told: &str) -> impl Iterator<Item = &str> {
    told.lines().filter(|line| line.trim_start().starts_with("partition "))
}

fn is_in_sync(partition: &str) -> bool {
    let count = |of: &str| {
        let ids = partition.split_once(of).map(|(_, ids)| ids.split(' ').next().unwrap_or(""));
        ids.map(|ids| ids.split(',').filter(|id| !id.is_empty()).count())
    };
    count("replicas: ") == count("isrs: ")
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.held.stdin.take());
        drop(self.held.wait());
    }
}

fn stack(folder: &Path, port: u16, nodes: u16) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("compose/stack")).find(|p| p.is_file());
    let mut command = Command::new(script.expect("compose/stack is in this checkout"));
    command.env("WAYSTREAM_STACK_DIR", folder).env("KAFKA_HEAP", "512m").env("JAVA_TOOL_OPTIONS", JVM);
    command.env("KAFKA_PORT", port.to_string()).env("KAFKA_NODES", nodes.to_string());
    command
}

/// The first of so many neighbouring ports that were free a moment ago.
fn free_ports(count: u16) -> u16 {
    // Below those that the kernel gives to whoever asks for any: it would give one of these away before it is listened on.
    let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let all_free = |first: &u16| (*first..first + count).all(free);
    std::iter::repeat_with(|| rand::random_range(12_000..32_000))
        .take(1_000)
        .find(all_free)
        .expect("neighbouring ports are free")
}
