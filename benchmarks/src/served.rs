//! A server as a process of its own: the program `gateway` with a session of its owner, or another's.

use crate::process::{Usage, usage};
use crate::watcher::{Server, sign_in};
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// It; stopped when dropped.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// How a client comes in.
    pub server: Server,
}

impl Served {
    /// One that has been started and listens.
    pub fn new(child: Child, address: SocketAddr, server: Server) -> Self {
        Self { child, address, server }
    }

    /// Starts the program `gateway` beside this one, and waits until it is ready.
    pub async fn start(arguments: &[String], dir: &Path) -> Result<Self> {
        let program = std::env::current_exe()?.with_file_name("gateway");
        let mut child = Command::new(&program)
            .args(arguments)
            .arg("--dir")
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("could not start {}", program.display()))?;
        let mut lines = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut orders = child.stdin.take().context("no input")?;
        let mut line = || -> Result<String> { Ok(lines.next().context("the gateway has ended")??) };
        let address = line()?.trim_start_matches("http://").trim_end_matches('/').parse().context("an address")?;
        writeln!(orders)?;
        let cookie = sign_in(&line()?).await?;
        // It ends with its input.
        child.stdin = Some(orders);
        Ok(Self { child, address, server: Server::Ours(cookie) })
    }

    /// What it has used so far.
    pub fn usage(&self) -> Result<Usage> {
        usage(&self.child.id().to_string())
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
