//! A real Kafka for the tests of one program, started and ended by `compose/stack`.
#![allow(dead_code, reason = "each test program uses its part")]

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
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
    port: u16,
}

impl Broker {
    /// A new one, without data.
    pub(crate) fn start() -> Self {
        Self::start_for(&[])
    }

    /// One that also listens over TLS, to this user.
    pub(crate) fn start_secure(user: &str, password: &str) -> Self {
        Self::start_for(&[("KAFKA_USER", user), ("KAFKA_PASSWORD", password)])
    }

    fn start_for(environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder").keep();
        let port = free_ports();
        let mut held = stack(&folder, port);
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
        Self { held, folder, port }
    }

    /// That of this test program.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
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
        let pid = std::fs::read_to_string(self.folder.join("kafka/pid")).expect("it is running");
        let killed = Command::new("kill").arg("-KILL").arg(pid.trim()).status().expect("kill runs");
        assert!(killed.success());
        // Its ports are free some time after it has gone.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Starts it again on the same data; returns when it answers.
    pub(crate) fn restart(&self) {
        let started = stack(&self.folder, self.port).args(["up", "kafka"]).stdout(Stdio::null()).status();
        assert!(started.expect("compose/stack runs").success(), "Kafka starts again");
    }

    /// Settings of a log that no other test uses, with few partitions.
    pub(crate) fn options(&self) -> KafkaOptions {
        static LOGS: AtomicUsize = AtomicUsize::new(0);
        let devices = Topic::ALL.into_iter().filter(|topic| topic.is_shared_out()).map(|topic| (topic, 6));
        KafkaOptions {
            brokers: self.address(),
            prefix: format!("test-{}.", LOGS.fetch_add(1, Ordering::Relaxed)),
            partitions: devices.chain([(Topic::Snapshots, 2)]).collect(),
            session_timeout: Duration::from_secs(6),
            ..KafkaOptions::default()
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        drop(self.held.stdin.take());
        drop(self.held.wait());
    }
}

fn stack(folder: &Path, port: u16) -> Command {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|up| up.join("compose/stack")).find(|p| p.is_file());
    let mut command = Command::new(script.expect("compose/stack is in this checkout"));
    command.env("WAYSTREAM_STACK_DIR", folder).env("KAFKA_PORT", port.to_string()).env("KAFKA_HEAP", "512m");
    command
}

/// The first of three neighbouring ports that were free a moment ago.
fn free_ports() -> u16 {
    let listen = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    (0..1000)
        .find_map(|_| {
            let first = listen(0).ok()?;
            let port = first.local_addr().ok()?.port();
            let (second, third) = (listen(port.checked_add(1)?).ok()?, listen(port.checked_add(2)?).ok()?);
            drop((first, second, third));
            Some(port)
        })
        .expect("three ports are free")
}
