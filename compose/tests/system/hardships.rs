//! What a machine or strangers do to a system in one process: a disk that fills up or is slow, a clock that jumps, floods, poison, clients
//! that freeze. Nothing answered is lost, nothing doubled, and it goes on by itself. `SEED` repeats a run. The same on the distributed
//! system: `machines.rs`; everybody who comes at once: `storms.rs`.

use crate::browser::Browser;
use crate::clock::Clock;
use crate::common::{BINARY, System, fixed, seed};
use crate::recorded::{PATIENCE, Recorded, Reporting, SILENCE};
use crate::small_disk::SmallDisk;
use crate::strangers::{self, Strangers};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream::trackers::teltonika::login;
use waystream_sql::output::Format;

const RECORDS_PER_PACKET: usize = 25;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_answers_back_and_loses_nothing() {
    let recorded = Recorded::read(&[("warsaw_bus", 100_000)]);
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(folder.path(), 400);
    let (settings, server) = fixed();
    let start = || System::spawn(disk.command(), &disk.path(), disk.folder(), &settings).unwrap();
    let mut system = start();
    recorded.introduce_to(&system).await;
    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    reporting.until(recorded.positions() / 10).await;

    // Files whose writing failed are cleared away, which makes room: it is filled until nobody is answered any more.
    let answered = loop {
        disk.fill();
        let before = reporting.answered();
        tokio::time::sleep(SILENCE).await;
        if reporting.answered() == before {
            break before;
        }
    };
    assert!(answered < recorded.positions(), "the disk was never full");
    assert!(system.ended().is_none(), "it has ended");

    disk.free();
    reporting.until(recorded.positions()).await;
    reporting.end().await;
    recorded.check_in(&system).await;
    // And what is on disk is whole.
    system.kill().unwrap();
    recorded.check_in(&start()).await;
}

/// The system, on a disk that takes 0.3 s for everything that has to be on it: strace stands between the two.
fn on_a_slow_disk() -> Command {
    let mut command = Command::new("strace");
    // -D: the system is our own child all the same, so that signals reach it. Of its calls only those that are named are stopped.
    command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null", "-e", "trace=fsync,fdatasync,sync_file_range"]);
    command.args(["-e", "inject=fsync,fdatasync,sync_file_range:delay_exit=300000", BINARY, "run"]);
    command
}

/// While this lives the slow disk does nothing at all.
struct Halted {
    tracer: String,
}

impl Halted {
    fn disk_of(system: &System) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{}/status", system.id())).unwrap();
        let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:")).unwrap().trim().to_owned();
        assert_ne!(tracer, "0", "nobody stands between the system and its disk");
        assert!(Command::new("kill").args(["-STOP", &tracer]).status().unwrap().success());
        Self { tracer }
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        drop(Command::new("kill").args(["-CONT", &self.tracer]).status());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_delays_answers_and_loses_nothing() {
    let recorded = Recorded::read(&[("warsaw_bus", 10_000)]);
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let mut system = System::spawn(on_a_slow_disk(), folder.path(), folder.path(), &settings).unwrap();
    recorded.introduce_to(&system).await;
    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    reporting.until(recorded.positions() / 4).await;

    // Who comes meanwhile is heard, and who asks is answered.
    let newcomer = async {
        let mut tracker = TcpStream::connect(server).await.unwrap();
        tracker.write_all(&login("999999999999999")).await.unwrap();
        assert_eq!(tracker.read_u8().await.unwrap(), 1);
        system.remote().ask("SELECT count(*) AS n FROM positions", Format::Csv).await.unwrap();
    };
    assert!(tokio::time::timeout(PATIENCE, newcomer).await.is_ok(), "nobody new is heard");

    // Nothing gets to the disk: nobody is answered until it does.
    let halted = Halted::disk_of(&system);
    reporting.until_silence().await;
    assert!(reporting.answered() < recorded.positions(), "answered without being on disk");
    assert!(system.ended().is_none(), "it has ended");
    drop(halted);

    reporting.until(recorded.positions()).await;
    reporting.end().await;
    recorded.check_in(&system).await;
    // And what is on disk is whole.
    system.kill().unwrap();
    recorded.check_in(&System::start(folder.path(), &settings).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_loses_and_doubles_nothing() {
    const HOUR: i64 = 3_600;
    let mut rng = StdRng::seed_from_u64(seed());
    let recorded = Recorded::read(&[("warsaw_bus", 20_000)]);
    let (folder, of_clock) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let clock = Clock::new(of_clock.path());
    let mut command = Command::new(BINARY);
    clock.rule(command.arg("run"));
    let (settings, server) = fixed();
    let system = System::spawn(command, folder.path(), folder.path(), &settings).unwrap();
    recorded.introduce_to(&system).await;
    let started = served_at(&system).await;

    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    let mut jumps = [HOUR, 24 * HOUR, -HOUR, -24 * HOUR, 0];
    jumps.shuffle(&mut rng);
    for (n, to) in jumps.into_iter().enumerate() {
        reporting.until(recorded.positions() * n / jumps.len()).await;
        clock.jump(to);
        let off = served_at(&system).await - started - to;
        assert!((-5..600).contains(&off), "its clock is {off} s from where it was put");
    }
    reporting.until(recorded.positions()).await;
    reporting.end().await;
    recorded.check_in(&system).await;
}

/// The system's clock, seconds since 1970.
async fn served_at(system: &System) -> i64 {
    let now = system.remote().ask("SELECT extract(epoch FROM now()) AS s", Format::Csv).await.unwrap();
    let seconds: f64 = String::from_utf8(now).unwrap().lines().nth(1).unwrap().parse().unwrap();
    seconds as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_sends_poison_or_freezes_harms_nobody_who_reports() {
    let rng = StdRng::seed_from_u64(seed());
    let recorded = Recorded::read(&[("warsaw_bus", 30_000)]);
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    recorded.introduce_to(&system).await;
    system.remote().add(strangers::entries()).await.unwrap();
    let (url, cookie) = (format!("http://{}", system.address("dashboard")), system.cookie().await);

    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    reporting.until(recorded.positions() / 10).await;
    let mut frozen_dashboards = Vec::new();
    for transport in ["websocket", "polling"] {
        let everything = json!({ "fleets": null, "alerts_after": null });
        let (mut dashboard, _) = Browser::watching(&url, &cookie, transport, everything).await;
        dashboard.until_so(|b| b.complete).await;
        let stopped = Command::new("kill").args(["-STOP", &dashboard.pid().to_string()]).status().unwrap();
        assert!(stopped.success());
        frozen_dashboards.push(dashboard);
    }
    let elsewhere: Vec<SocketAddr> = system.contact.listeners.values().copied().collect();
    let strangers = Strangers::come(server, elsewhere, rng).await;

    reporting.until(recorded.positions()).await;
    reporting.end().await;
    strangers.leave().await;
    recorded.check_in(&system).await;
}
