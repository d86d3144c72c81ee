//! A process of its own, killed or short of file descriptors: what was acknowledged is in the log, and the listener stays.
#![allow(clippy::unwrap_used)]

mod common;

use common::in_time;
use common::teltonika::{START_MS, Tracker, data};
use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use waystream_connectors::{Connectors, ConnectorsConfig, Listen, ListenerName};
use waystream_domain::codec;
use waystream_log::catalog::CatalogFollower;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Topic};

/// Names the data folder to the process that this test starts from its own program.
const FOLDER: &str = "WAYSTREAM_TEST_SERVER_FOLDER";

/// Not a test by itself: the server of the other tests, which call it in a process of its own.
#[tokio::test(flavor = "multi_thread")]
async fn server() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let log = EmbeddedLog::open(Path::new(&folder), EmbeddedOptions::default()).unwrap();
    let (catalog, follower) = CatalogFollower::start(log.clone()).await.unwrap();
    tokio::spawn(follower.run(CancellationToken::new()));
    // Only these, so that the number of protocols does not decide how many file descriptors are left for connections.
    let used = ["teltonika", "mqtt"];
    let listens = |name: ListenerName| if used.contains(&name.as_str()) { Listen::Port(0) } else { Listen::Switch(false) };
    let listeners = ListenerName::all().map(|name| (name, listens(name))).collect();
    let bound = Connectors::new(ConnectorsConfig { listeners, ..ConnectorsConfig::default() }).bind().await.unwrap();
    for name in used {
        // The test harness may have written the beginning of this line.
        eprintln!("\nlistening {name} {}", bound.address_of(name).unwrap());
    }
    bound.run(log, catalog, CancellationToken::new()).await.unwrap();
}

fn imei(n: usize) -> String {
    format!("{:015}", 350_000_000_000_000 + n)
}

struct Server {
    child: Child,
    teltonika: SocketAddr,
    mqtt: SocketAddr,
}

impl Server {
    async fn start(folder: &Path, open_files: u32) -> Self {
        let program = std::env::current_exe().unwrap();
        let limited = format!("ulimit -n {open_files} && exec \"$0\" --exact server --nocapture");
        let mut command = Command::new("sh");
        command.args(["-c", &limited]).arg(program).env(FOLDER, folder).kill_on_drop(true);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut addresses = Vec::new();
        while addresses.len() < 2 {
            let line = in_time(lines.next_line()).await.unwrap().expect("the server starts");
            if let Some(listening) = line.strip_prefix("listening ") {
                addresses.push(listening.split_once(' ').unwrap().1.parse().unwrap());
            }
        }
        // So that the server never waits for a reader.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, teltonika: addresses[0], mqtt: addresses[1] }
    }

    /// kill -9.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// (device, fix_time in ms) of all positions in a folder's log.
async fn stored(folder: &Path) -> BTreeSet<(String, i64)> {
    let log = EmbeddedLog::open(folder, EmbeddedOptions::default()).unwrap();
    let from = (0..log.partitions(Topic::Positions)).map(|p| ((Topic::Positions, p), 0)).collect();
    let mut reader = log.read(Topic::Positions, &from).await.unwrap();
    let mut all = BTreeSet::new();
    while let Some(batch) = reader.try_next(1000).await.unwrap() {
        for entry in batch.entries {
            let position = codec::decode_position(&entry.value.unwrap()).unwrap();
            all.insert((position.device.to_string(), position.fix_time.as_millis()));
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 1024).await;

    // Trackers report without a pause until the process is gone.
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..20).map(|_| AtomicU64::new(0)).collect());
    let trackers: Vec<_> = (0..acknowledged.len())
        .map(|n| {
            let (address, acknowledged) = (server.teltonika, Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut tracker = Tracker::login(address, &imei(n)).await;
                for packet in 0.. {
                    if tracker.try_report(&data(START_MS + packet * 10_000, 10)).await.is_err() {
                        break;
                    }
                    acknowledged[n].store(packet + 1, Ordering::SeqCst);
                }
            })
        })
        .collect();

    let options = MqttOptions::new("phone", server.mqtt.ip().to_string(), server.mqtt.port());
    let (client, mut events) = AsyncClient::new(options, 400);
    let start = (START_MS / 1000) as i64;
    for n in 0..300 {
        let payload = format!(r#"{{"_type":"location","lat":52.1,"lon":21.0,"tst":{}}}"#, start + n);
        client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, payload).await.unwrap();
    }
    let mut publications = 0;
    while publications < 300 {
        let event = in_time(events.poll()).await.unwrap();
        publications += i64::from(matches!(event, Event::Incoming(Packet::PubAck(_))));
    }
    server.kill().await;
    for tracker in trackers {
        in_time(tracker).await.unwrap();
    }

    let stored = stored(folder.path()).await;
    let published = stored.iter().filter(|(device, _)| device == "owntracks/jane/phone").count();
    assert_eq!(published, 300);
    for (n, packets) in acknowledged.iter().enumerate() {
        let packets = packets.load(Ordering::SeqCst);
        assert!(packets > 0, "tracker {n} had its turn");
        for record in 0..packets * 10 {
            let position = (imei(n), (START_MS + record * 1000) as i64);
            assert!(stored.contains(&position), "{position:?} was acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_file_descriptors_the_listener_waits_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(folder.path(), 64).await;
    let mut first = Tracker::login(server.teltonika, &imei(1)).await;
    // More than the process can hold: some are accepted, some wait in the kernel, none breaks anything.
    let mut many = Vec::new();
    for _ in 0..100 {
        many.push(Tracker::connect(server.teltonika).await);
    }
    assert_eq!(first.report(&data(START_MS, 1)).await.unwrap(), 1);
    drop(many);
    let mut next = in_time(async {
        loop {
            let mut next = Tracker::connect(server.teltonika).await;
            if next.try_login(&imei(2)).await.is_ok() {
                break next;
            }
        }
    })
    .await;
    assert_eq!(next.report(&data(START_MS, 1)).await.unwrap(), 1);
    server.kill().await;
}
