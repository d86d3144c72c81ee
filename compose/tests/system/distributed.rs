//! The distributed form: each role its own process on a real Kafka. Trackers report to one, two others work out the events, one of
//! them dies; what is in Kafka is the truth, read by a client of another maker.

use crate::common::{System, TruthEvent, free_port, put_fences, settings, shared, truth};
use crate::kafka::Broker;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use waystream::config::{Config, Overrides, Role};
use waystream::demo::playback::Tracks;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_domain::{DeviceId, codec};
use waystream_sql::output::Format;

const POSITIONS: usize = 40_000;
const RECORDS_PER_PACKET: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn processes_on_kafka_tell_the_truth_though_one_of_them_is_killed() {
    let broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let tracks = Tracks::read(&[shared("data/tracks/warsaw_bus.csv.gz")]).unwrap();
    let mut buses = BTreeMap::new();
    let mut positions = 0;
    for (device, fixes) in tracks.devices {
        if positions < POSITIONS {
            positions += fixes.len();
            buses.insert(device, fixes);
        }
    }
    let imei = |n: usize| DeviceId::new(format!("{n:015}")).unwrap();
    let names: BTreeMap<DeviceId, DeviceId> = buses.keys().enumerate().map(|(n, bus)| (imei(n), bus.clone())).collect();

    let folder = tempfile::tempdir().unwrap();
    let port = free_port().unwrap();
    let server: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let log = format!(
        "[log]\nkind = \"kafka\"\nbrokers = \"{}\"\nprefix = \"fleet.\"\npartitions = 8\nsession_timeout_s = 6\n",
        broker.address()
    );
    let settings = settings(&[("teltonika", port)]) + &log;
    let file = folder.path().join("settings.toml");
    std::fs::write(&file, &settings).unwrap();
    let data = Some(folder.path().join("setting-up"));
    let config = Config::load(Some(&file), &Overrides { data, roles: Some([Role::Connect].into()) }).unwrap();
    put_fences(&config, "data/fences/warsaw_districts.geojson").await;

    let start = |name: &str, roles: &str| {
        System::start_command(&folder.path().join(name), &settings, &["run", "--roles", roles]).unwrap()
    };
    let _connect = start("connect", "connect");
    let mut killed = Some(start("dataflow-1", "dataflow"));
    let _stays = start("dataflow-2", "dataflow");
    let archive = start("archive", "archive,gateway,sql");
    let mut joined = None;

    let answered = Arc::new(AtomicUsize::new(0));
    let progress = Arc::new(Notify::new());
    let mut trackers = JoinSet::new();
    let mut sent = BTreeSet::new();
    for (n, fixes) in buses.into_values().enumerate() {
        sent.extend(fixes.iter().map(|fix| (imei(n), fix.fix_time)));
        let (answered, progress) = (Arc::clone(&answered), Arc::clone(&progress));
        let mut tracker = Tracker::Teltonika(Teltonika::new(server, imei(n).as_str()));
        trackers.spawn(async move {
            for packet in fixes.chunks(RECORDS_PER_PACKET) {
                tracker.deliver(packet).await.unwrap();
                answered.fetch_add(packet.len(), Ordering::SeqCst);
                progress.notify_one();
            }
        });
    }
    while answered.load(Ordering::SeqCst) < positions {
        progress.notified().await;
        if answered.load(Ordering::SeqCst) > positions / 3
            && let Some(system) = killed.take()
        {
            system.kill().unwrap();
            joined = Some(start("dataflow-3", "dataflow"));
        }
    }
    trackers.join_all().await;
    assert!(joined.is_some(), "one was killed and another has joined");

    archive.remote().settle().await.unwrap();
    let events = events_in_kafka(&broker.address(), "fleet.events");
    let count = events.len();
    let events: BTreeSet<TruthEvent> = events
        .into_iter()
        .map(|(device, fence, kind, time)| (names[&DeviceId::new(device).unwrap()].to_string(), fence, kind, time))
        .collect();
    assert_eq!(events.len(), count, "an event is told twice");
    let buses: BTreeSet<String> = names.values().map(ToString::to_string).collect();
    let expected: BTreeSet<_> = truth("warsaw_bus").unwrap().into_iter().filter(|(bus, ..)| buses.contains(bus)).collect();
    let missing: Vec<_> = expected.difference(&events).take(5).collect();
    let wrong: Vec<_> = events.difference(&expected).take(5).collect();
    assert!(missing.is_empty() && wrong.is_empty(), "missing: {missing:?}, wrong: {wrong:?}");

    let query = "SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions";
    let history = archive.remote().ask(query, Format::Csv).await.unwrap();
    assert_eq!(String::from_utf8(history).unwrap(), format!("n,d\n{},{}\n", sent.len(), names.len()));
}

/// The enters and exits in a topic as kcat, which is not of our making, reads them when it is told to read what is committed.
fn events_in_kafka(brokers: &str, topic: &str) -> Vec<TruthEvent> {
    let arguments = ["-b", brokers, "-C", "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%S %s\n"];
    let kcat = Command::new("kcat").args(arguments).args(["-X", "isolation.level=read_committed"]).output();
    let kcat = kcat.expect("kcat is installed");
    assert!(kcat.status.success(), "{}", String::from_utf8_lossy(&kcat.stderr));
    let mut bytes = kcat.stdout.as_slice();
    let mut events = Vec::new();
    while let Some(space) = bytes.iter().position(|b| *b == b' ') {
        let length: usize = std::str::from_utf8(&bytes[..space]).unwrap().parse().unwrap();
        let (value, rest) = bytes[space + 1..].split_at(length);
        bytes = &rest[1..];
        let event = codec::decode_event(value).unwrap();
        if let Some(geofence) = event.geofence {
            let kind = event.kind.as_str().to_owned();
            events.push((event.device.to_string(), geofence.to_string(), kind, event.fix_time.to_string()));
        }
    }
    events
}
