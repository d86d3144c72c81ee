//! The program itself, in as many processes as a deployment has, and the servers that it needs.

use crate::process::{Usage, usage};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

/// Servers, until dropped.
pub struct Servers {
    held: Child,
    input: Option<ChildStdin>,
    folder: PathBuf,
    /// Of Kafka.
    pub kafka: u16,
    /// Of QuestDB's HTTP.
    pub questdb: u16,
    postgres: u16,
    /// Of Redis.
    pub redis: u16,
}

impl Servers {
    /// Starts those named, empty, with data below a folder.
    pub fn start(folder: &Path, names: &[&str]) -> Result<Self> {
        let folder = folder.canonicalize()?;
        let (kafka, questdb, postgres, redis) = (free_port()?, free_port()?, free_port()?, free_port()?);
        let mut command = stack(&folder, [kafka, questdb, postgres, redis]);
        let command = command.arg("hold").args(names).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut held = command.spawn().context("compose/stack")?;
        let (input, output) = (held.stdin.take(), held.stdout.take().context("its output")?);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "compose/stack could not start the servers");
        Ok(Self { held, input, folder, kafka, questdb, postgres, redis })
    }

    /// kill -9 of Kafka, and its start on the same data; returns when it answers.
    pub fn kill_kafka(&self) -> Result<()> {
        signal(&self.pid("kafka")?, "KILL")?;
        // Its port is free some time after it has gone.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.kafka)).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
        let mut up = stack(&self.folder, [self.kafka, self.questdb, self.postgres, self.redis]);
        ensure!(up.args(["up", "kafka"]).stdout(Stdio::null()).status()?.success(), "Kafka does not start again");
        Ok(())
    }

    fn pid(&self, server: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.folder.join(server).join("pid"))?.trim().to_owned())
    }

    /// What a server has used.
    pub fn usage(&self, server: &str) -> Result<Usage> {
        usage(&self.pid(server)?)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends with its input, and there is nobody to tell if it does not.
        drop(self.held.wait());
    }
}

/// The script that starts servers, with the ports of Kafka, QuestDB's HTTP and Postgres, and Redis.
fn stack(folder: &Path, [kafka, questdb, postgres, redis]: [u16; 4]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/stack"));
    command.env("WAYSTREAM_STACK_DIR", folder).env("KAFKA_PORT", kafka.to_string()).env("REDIS_PORT", redis.to_string());
    command.env("QUESTDB_HTTP_PORT", questdb.to_string()).env("QUESTDB_PG_PORT", postgres.to_string());
    command
}

fn signal(pid: &str, name: &str) -> Result<()> {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid).status()?;
    ensure!(status.success(), "kill -{name} {pid} failed");
    Ok(())
}

/// One process of the program; killed when dropped.
pub struct Process {
    child: Child,
    folder: PathBuf,
    /// By which a browser signs in, if it has a dashboard.
    pub link: Option<String>,
}

impl Process {
    /// Starts a binary with these settings and roles (all, if none), and waits until it is ready.
    pub fn start(binary: &Path, folder: &Path, settings: &Path, roles: Option<&str>) -> Result<Self> {
        let mut command = Command::new(binary);
        command.arg("run").arg("--config").arg(settings).arg("--data").arg(folder).stdout(Stdio::piped());
        if let Some(roles) = roles {
            command.args(["--roles", roles]);
        }
        let mut child = command.spawn().with_context(|| format!("starting {}", binary.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut link = None;
        loop {
            let Some(line) = lines.next() else { bail!("{roles:?} ended before it was ready: {}", child.wait()?) };
            let line = line?;
            link = link.or_else(|| line.split_whitespace().find(|word| word.contains("/sign-in?token=")).map(str::to_owned));
            if line.starts_with("Ready") {
                break;
            }
        }
        // Unread output must not stop it.
        std::thread::spawn(move || lines.for_each(drop));
        Ok(Self { child, folder: folder.to_owned(), link })
    }

    /// Where it listens for trackers of a protocol.
    pub fn listener(&self, protocol: &str) -> Result<SocketAddr> {
        let contact: Value = serde_json::from_slice(&std::fs::read(self.folder.join("control.json"))?)?;
        let address = contact["listeners"][protocol].as_str().with_context(|| format!("no listener for {protocol}"))?;
        Ok(address.parse()?)
    }

    /// What it has used.
    pub fn usage(&self) -> Result<Usage> {
        usage(&self.child.id().to_string())
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) -> Result<()> {
        signal(&self.child.id().to_string(), name)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago, below those that the kernel gives to whoever asks for any.
pub fn free_port() -> Result<u16> {
    let free = |port: &u16| [*port, port + 1].iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    std::iter::repeat_with(|| rand::random_range(12_000..32_000)).take(1_000).find(free).context("no port is free")
}
