//! A real Redis of a test's own, started by `compose/stack` and gone when the test is.

use crate::common::free_port;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

pub(crate) struct Redis {
    /// Holds the server until its input is closed.
    held: Child,
    folder: tempfile::TempDir,
    port: u16,
    /// Set: it speaks TLS, with those who have this and a certificate of its authority.
    password: Option<String>,
}

impl Redis {
    pub(crate) fn start() -> Self {
        Self::start_with(None)
    }

    /// One that speaks TLS, with those who have this password and a certificate of its authority.
    pub(crate) fn start_encrypted(password: &str) -> Self {
        Self::start_with(Some(password.to_owned()))
    }

    fn start_with(password: Option<String>) -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port().unwrap());
        let mut hold = stack(folder.path(), port, password.as_deref());
        let mut held = hold.args(["hold", "redis"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(held.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "ready", "compose/stack could not start Redis");
        Self { held, folder, port, password }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub(crate) fn url(&self) -> String {
        let scheme = if self.password.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{}", self.address())
    }

    /// Where `ca.pem` is, and `server.crt` with `server.key`, which anybody may show.
    pub(crate) fn certificates(&self) -> PathBuf {
        self.folder.path().join("redis/tls")
    }

    /// kill -9; returns when it is dead.
    pub(crate) fn kill(&self) {
        self.signal("KILL");
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.path().join("redis/pid")).unwrap();
        assert!(Command::new("kill").args([format!("-{signal}").as_str(), pid.trim()]).status().unwrap().success());
    }

    /// Starts it again; returns when it answers.
    pub(crate) fn restart(&self) {
        let mut up = stack(self.folder.path(), self.port, self.password.as_deref());
        let started = up.args(["up", "redis"]).stdout(Stdio::null()).status().unwrap();
        assert!(started.success(), "Redis starts again");
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        drop(self.held.stdin.take());
        drop(self.held.wait());
    }
}

fn stack(folder: &Path, port: u16, password: Option<&str>) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("stack"));
    command.env("WAYSTREAM_STACK_DIR", folder).env("REDIS_PORT", port.to_string());
    if let Some(password) = password {
        command.env("REDIS_PASSWORD", password).env("REDIS_TLS_CLIENTS", "yes");
    }
    command
}
