//! What a machine or strangers do to a system: a disk that fills up or is slow, a clock that jumps, everybody who comes at once, floods,
//! poison, clients that freeze. Nothing answered is lost, nothing doubled, and it goes on by itself. `SEED` repeats a run.

use crate::browser::Browser;
use crate::common::{BINARY, System, add_districts, fixed, seed};
use crate::lifecycle::fix;
use crate::recorded::{PATIENCE, Recorded, Reporting, SILENCE};
use crate::rival::organisation_of;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::{Teltonika, login, packet};
use waystream_domain::DeviceId;
use waystream_sql::output::Format;

const RECORDS_PER_PACKET: usize = 25;

/// A file system of its own, in memory, in a namespace of its own: no rights are needed to make it, and nobody else's disk is filled.
struct SmallDisk {
    holder: Child,
    folder: PathBuf,
}

impl SmallDisk {
    fn new(folder: &Path, megabytes: usize) -> Self {
        let mount =
            format!("mount -t tmpfs -o size={megabytes}m small {} && echo mounted && exec sleep infinity", folder.display());
        let mut unshare = Command::new("unshare");
        let mut holder =
            unshare.args(["-r", "-m", "sh", "-c", &mount]).stdout(Stdio::piped()).spawn().expect("unshare is there");
        let mut said = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "mounted\n");
        Self { holder, folder: folder.to_owned() }
    }

    /// Where it is for us.
    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), self.folder.display()))
    }

    fn start(&self, settings: &str) -> System {
        let holder = self.holder.id().to_string();
        let mut command = Command::new("nsenter");
        command.args(["-t", &holder, "-U", "-m", "--preserve-credentials", BINARY, "run"]);
        System::spawn(command, &self.path(), &self.folder, settings).unwrap()
    }

    /// Writes until nothing more can be written, also where it was full before.
    fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.path().join("ballast")).unwrap();
        let mut block = vec![1_u8; 1 << 20];
        while !block.is_empty() {
            if ballast.write_all(&block).is_err() {
                block.truncate(block.len() / 2);
            }
        }
    }

    fn free(&self) {
        std::fs::remove_file(self.path().join("ballast")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_holds_answers_back_and_loses_nothing() {
    let recorded = Recorded::read(&[("warsaw_bus", 100_000)]);
    let folder = tempfile::tempdir().unwrap();
    let disk = SmallDisk::new(folder.path(), 400);
    let (settings, server) = fixed();
    let mut system = disk.start(&settings);
    add_districts(&system).await;
    system.remote().add(recorded.catalog()).await.unwrap();
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
    recorded.check_in(&disk.start(&settings)).await;
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
    add_districts(&system).await;
    system.remote().add(recorded.catalog()).await.unwrap();
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
    let folder = tempfile::tempdir().unwrap();
    let clock = folder.path().join("clock");
    let jump = |seconds: i64| {
        // In one step, as it is read at any time.
        let next = folder.path().join("clock.next");
        std::fs::write(&next, format!("{seconds:+}s\n")).unwrap();
        std::fs::rename(next, &clock).unwrap();
    };
    jump(0);
    let mut command = Command::new(BINARY);
    command.arg("run").env("LD_PRELOAD", faketime()).env("FAKETIME_TIMESTAMP_FILE", &clock);
    command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let (settings, server) = fixed();
    let system = System::spawn(command, folder.path(), folder.path(), &settings).unwrap();
    add_districts(&system).await;
    system.remote().add(recorded.catalog()).await.unwrap();
    let started = served_at(&system).await;

    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    let mut jumps = [HOUR, 24 * HOUR, -HOUR, -24 * HOUR, 0];
    jumps.shuffle(&mut rng);
    for (n, to) in jumps.into_iter().enumerate() {
        reporting.until(recorded.positions() * n / jumps.len()).await;
        jump(to);
        let off = served_at(&system).await - started - to;
        assert!((-5..600).contains(&off), "its clock is {off} s from where it was put");
    }
    reporting.until(recorded.positions()).await;
    reporting.end().await;
    recorded.check_in(&system).await;
}

/// The library that makes a program's clock jump.
fn faketime() -> PathBuf {
    let multiarch = Path::new("/usr/lib").join(format!("{}-linux-gnu", std::env::consts::ARCH));
    let library = multiarch.join("faketime/libfaketimeMT.so.1");
    assert!(library.is_file(), "faketime is not installed: there is no {}", library.display());
    library
}

/// The system's clock, seconds since 1970.
async fn served_at(system: &System) -> i64 {
    let now = system.remote().ask("SELECT extract(epoch FROM now()) AS s", Format::Csv).await.unwrap();
    let seconds: f64 = String::from_utf8(now).unwrap().lines().nth(1).unwrap().parse().unwrap();
    seconds as i64
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_trackers_that_come_at_once_are_all_answered_again_and_again() {
    const TRACKERS: usize = 5_000;
    const STORMS: usize = 3;
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    for storm in 0..STORMS {
        // Nobody's connection outlives its storm.
        let mut trackers = JoinSet::new();
        for n in 0..TRACKERS {
            let mut tracker = Tracker::Teltonika(Teltonika::new(server, format!("{n:015}")));
            trackers.spawn(async move { tracker.deliver(&[fix(storm as i64)]).await.unwrap() });
        }
        let all = tokio::time::timeout(PATIENCE, trackers.join_all()).await;
        assert!(all.is_ok(), "storm {storm}: somebody waits for ever");
    }
    let remote = system.remote();
    remote.settle().await.unwrap();
    let counted = remote.ask("SELECT count(DISTINCT device) AS d, count(*) AS n FROM positions", Format::Csv).await.unwrap();
    let expected = format!("{TRACKERS},{}", TRACKERS * STORMS);
    assert_eq!(String::from_utf8(counted).unwrap().lines().nth(1), Some(expected.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_sends_poison_or_freezes_harms_nobody_who_reports() {
    const FROZEN: usize = 50;
    let rng = StdRng::seed_from_u64(seed());
    let recorded = Recorded::read(&[("warsaw_bus", 30_000)]);
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    add_districts(&system).await;
    system.remote().add(recorded.catalog()).await.unwrap();
    // What they say that can be understood is not to be among what the others say.
    let strangers: Vec<DeviceId> = (0..FROZEN + 2).map(|n| DeviceId::new(format!("99{n:013}")).unwrap()).collect();
    system.remote().add(organisation_of("strangers", &strangers)).await.unwrap();
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
    let mut frozen_trackers = Vec::new();
    for name in &strangers[2..] {
        let (login, packet) = (login(name.as_str()), packet(&[fix(0)]));
        let mut stream = TcpStream::connect(server).await.unwrap();
        stream.write_all(&[&login[..], &packet[..packet.len() / 2]].concat()).await.unwrap();
        frozen_trackers.push(stream);
    }
    let others: Vec<SocketAddr> = system.contact.listeners.values().copied().collect();
    let flooding = tokio::spawn(flood(server, strangers[0].clone()));
    let poisoning = tokio::spawn(poison(server, others, strangers[1].clone(), rng));

    reporting.until(recorded.positions()).await;
    reporting.end().await;
    let poisoned = tokio::time::timeout(PATIENCE, poisoning).await;
    poisoned.expect("nobody who sends it waits for ever").unwrap();
    flooding.abort();
    recorded.check_in(&system).await;
}

/// Says as much as is taken, and waits for no answer.
async fn flood(server: SocketAddr, name: DeviceId) {
    let mut stream = TcpStream::connect(server).await.unwrap();
    stream.write_all(&login(name.as_str())).await.unwrap();
    for n in 0.. {
        // It may be sent away for it.
        if stream.write_all(&packet(&[fix(n)])).await.is_err() {
            return;
        }
    }
}

/// Packets that are cut off, changed, or of lengths that lie; and bytes that mean nothing, wherever somebody listens.
async fn poison(server: SocketAddr, others: Vec<SocketAddr>, name: DeviceId, mut rng: StdRng) {
    const CONNECTIONS: i64 = 1_000;
    for n in 0..CONNECTIONS {
        let (mut bytes, mut to) = (login(name.as_str()), server);
        // Its own name stays: under another one it would not be known whose it is.
        let begins = bytes.len();
        bytes.extend(packet(&[fix(n)]));
        match rng.random_range(0..4) {
            0 => bytes.truncate(rng.random_range(begins..bytes.len())),
            1 => {
                let at = rng.random_range(begins..bytes.len());
                bytes[at] ^= rng.random_range(1..=u8::MAX);
            }
            2 => bytes[begins + 4..begins + 8].copy_from_slice(&rng.random::<u32>().to_be_bytes()),
            _ => {
                bytes = (0..rng.random_range(0..2_000)).map(|_| rng.random::<u8>()).collect();
                to = others[rng.random_range(0..others.len())];
            }
        }
        // Some listen for datagrams only, and some close before all is said.
        let Ok(mut stream) = TcpStream::connect(to).await else { continue };
        if stream.write_all(&bytes).await.is_ok() {
            stream.shutdown().await.ok();
        }
    }
}
