//! A real Redis of a test's own, started by `compose/stack` and gone when the test is.

use crate::common::free_port;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, Command, Stdio};

pub(crate) struct Redis {
    /// Holds the server until its input is closed.
    held: Child,
    folder: tempfile::TempDir,
    port: u16,
}

impl Redis {
    pub(crate) fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let mut held =
            stack(folder.path(), port).args(["hold", "redis"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(held.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "compose/stack could not start Redis");
        Self { held, folder, port }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// kill -9; returns when it is dead.
    pub(crate) fn kill(&self) {
        let pid = std::fs::read_to_string(self.folder.path().join("redis/pid")).unwrap();
        assert!(Command::new("kill").args(["-9", pid.trim()]).status().unwrap().success());
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Starts it again; returns when it answers.
    pub(crate) fn restart(&self) {
        let started = stack(self.folder.path(), self.port).args(["up", "redis"]).stdout(Stdio::null()).status().unwrap();
        assert!(started.success(), "Redis starts again");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.held.stdin.take());
        drop(self.held.wait());
    }
}

fn stack(folder: &Path, port: u16) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("stack"));
    command.env("WAYSTREAM_STACK_DIR", folder).env("REDIS_PORT", port.to_string());
    command
}
