//! A real QuestDB of a test's own, started by `compose/stack` and gone when the test's process is.
#![allow(dead_code)] // each test uses a part

use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use waystream_store::questdb::QuestDbOptions;

/// Starts in half the time; and tables can be suspended on purpose.
const JVM: [(&str, &str); 2] =
    [("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"), ("QDB_DEV_MODE_ENABLED", "true")];

/// A server with data of its own.
pub(crate) struct Server {
    http_port: u16,
    pg_port: u16,
    folder: PathBuf,
    /// Holds the server until its input is closed.
    holder: Child,
}

fn stack() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose/stack"))
        .canonicalize()
        .or_else(|_| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../compose/stack")).canonicalize())
        .expect("the script of the checkout")
}

pub(crate) fn free_port() -> u16 {
    // Below those that the kernel gives to whoever asks for any: it would give this one away before it is listened on.
    let random = || 12_000 + (RandomState::new().hash_one(0) % 20_000) as u16;
    let free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(random).take(1_000).find(free).expect("a free port")
}

impl Server {
    /// A new, empty one.
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// One with more settings, as `QDB_…` variables. It is not restarted with them, and asks whoever comes for what they say.
    pub(crate) fn start_with(settings: &[(&str, &str)]) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("waystream-questdb-{}-{number}", std::process::id()));
        let (http_port, pg_port) = (free_port(), free_port());
        let mut hold = Command::new("sh");
        hold.args(["-c", "\"$0\" hold questdb; rm -rf \"$WAYSTREAM_STACK_DIR\""]).arg(stack());
        hold.env("WAYSTREAM_STACK_DIR", &folder)
            .env("QUESTDB_HTTP_PORT", http_port.to_string())
            .env("QUESTDB_PG_PORT", pg_port.to_string())
            .envs(JVM)
            .envs(settings.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut holder = hold.spawn().expect("a shell");
        let said = holder.stdout.take().expect("piped");
        let ready = BufReader::new(said).lines().map_while(Result::ok).any(|line| line == "ready");
        assert!(ready, "compose/stack could not start QuestDB");
        Self { http_port, pg_port, folder, holder }
    }

    /// One for all tests of this process that leave it running.
    pub(crate) fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(Self::start)
    }

    /// How to reach it, with tables that no other test has.
    pub(crate) fn options(&self) -> QuestDbOptions {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        QuestDbOptions {
            address: ("127.0.0.1".into(), self.http_port),
            table_prefix: format!("t{number}_"),
            max_exports: 4,
            ..QuestDbOptions::default()
        }
    }

    /// Its HTTP interface.
    pub(crate) fn http_port(&self) -> u16 {
        self.http_port
    }

    /// kill -9.
    pub(crate) fn kill(&self) {
        let pid = self.signal("KILL");
        // Until the system has taken its port and its locks back; a process without a command line has ended.
        let alive = || std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty());
        while alive() || std::net::TcpStream::connect(("127.0.0.1", self.http_port)).is_ok() {
            std::thread::yield_now();
        }
    }

    /// Sends it a signal; gives the number of its process.
    pub(crate) fn signal(&self, signal: &str) -> String {
        let pid = std::fs::read_to_string(self.folder.join("questdb/pid")).expect("a running server").trim().to_owned();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status().expect("kill");
        assert!(sent.success());
        pid
    }

    /// Starts it again on the same data.
    pub(crate) fn restart(&self) {
        let mut up = Command::new(stack());
        up.args(["up", "questdb"])
            .env("WAYSTREAM_STACK_DIR", &self.folder)
            .env("QUESTDB_HTTP_PORT", self.http_port.to_string())
            .env("QUESTDB_PG_PORT", self.pg_port.to_string())
            .envs(JVM)
            .stdout(Stdio::null());
        assert!(up.status().expect("a shell").success(), "compose/stack could not start QuestDB again");
    }

    /// Runs a statement in QuestDB's own SQL; the first row of the answer.
    pub(crate) async fn sql(&self, sql: &str) -> Vec<serde_json::Value> {
        let answer = reqwest::Client::new().get(format!("http://127.0.0.1:{}/exec", self.http_port)).query(&[("query", sql)]);
        let mut answer: serde_json::Value = answer.send().await.expect("an answer").json().await.expect("JSON");
        assert!(answer["error"].is_null(), "{sql}: {answer}");
        // Statements answer without rows.
        answer.pointer_mut("/dataset/0").and_then(|row| serde_json::from_value(row.take()).ok()).unwrap_or_default()
    }

    /// Rows of a table of a store, those of odd times included, counted by QuestDB.
    pub(crate) async fn count(&self, options: &QuestDbOptions, table: &str) -> u64 {
        let name = format!("{}{table}", options.table_prefix);
        let both =
            format!("SELECT sum(n) FROM (SELECT count() n FROM {name} UNION ALL SELECT count() n FROM {name}_odd_times)");
        self.sql(&both).await[0].as_u64().expect("a number")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        drop(self.holder.wait());
    }
}
