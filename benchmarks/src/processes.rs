//! The program itself, in as many processes as a deployment has, and the servers that it needs.

use crate::process::{Usage, usage};
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};

/// Kafka and QuestDB, until dropped.
pub struct Servers {
    held: Child,
    input: Option<ChildStdin>,
    folder: PathBuf,
    /// Of Kafka.
    pub kafka: u16,
    /// Of QuestDB's HTTP.
    pub questdb: u16,
}

impl Servers {
    /// Starts both, empty, with data below a folder.
    pub fn start(folder: &Path) -> Result<Self> {
        let folder = folder.canonicalize()?;
        let (kafka, questdb, postgres) = (free_port()?, free_port()?, free_port()?);
        let stack = Path::new(env!("CARGO_MANIFEST_DIR")).join("../compose/stack");
        let mut held = Command::new(stack)
            .args(["hold", "kafka", "questdb"])
            .env("WAYSTREAM_STACK_DIR", &folder)
            .env("KAFKA_PORT", kafka.to_string())
            .env("QUESTDB_HTTP_PORT", questdb.to_string())
            .env("QUESTDB_PG_PORT", postgres.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("compose/stack")?;
        let (input, output) = (held.stdin.take(), held.stdout.take().context("its output")?);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        ensure!(line.trim() == "ready", "compose/stack could not start the servers");
        Ok(Self { held, input, folder, kafka, questdb })
    }

    /// What a server has used.
    pub fn usage(&self, server: &str) -> Result<Usage> {
        usage(std::fs::read_to_string(self.folder.join(server).join("pid"))?.trim())
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        drop(self.input.take());
        // It ends with its input, and there is nobody to tell if it does not.
        drop(self.held.wait());
    }
}

/// One process of the program; ended when dropped.
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
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A port that was free a moment ago, below those that the kernel gives to whoever asks for any.
fn free_port() -> Result<u16> {
    let free = |port: &u16| [*port, port + 1].iter().all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
    std::iter::repeat_with(|| rand::random_range(12_000..32_000)).take(1_000).find(free).context("no port is free")
}
