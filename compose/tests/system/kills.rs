//! kill -9 of the whole process while trackers report: what was answered is in history exactly once, and the events are those
//! of an undisturbed run.

use crate::common::{System, free_port, put_fences, settings};
use crate::recorded::Recorded;
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use waystream::config::{Config, Overrides};
use waystream::history::Selection;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_sql::output::Format;

const POSITIONS: usize = 100_000;
const KILLS: usize = 20;
const RECORDS_PER_PACKET: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_survives_twenty_kills_and_no_event_is_lost_or_doubled() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(|| rand::rng().random());
    eprintln!("SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);

    let recorded = Recorded::read(&[("warsaw_bus", POSITIONS)]);
    let positions = recorded.positions();

    let folder = tempfile::tempdir().unwrap();
    let config = Config::load(None, &Overrides { data: Some(folder.path().to_owned()), roles: None }).unwrap();
    put_fences(&config, "data/fences/warsaw_districts.geojson").await;
    let port = free_port().unwrap();
    let server: SocketAddr = (Ipv4Addr::LOCALHOST, port).into();
    let settings = settings(&[("teltonika", port)]);
    let mut system = System::start(folder.path(), &settings).unwrap();

    let answered = Arc::new(AtomicUsize::new(0));
    let progress = Arc::new(Notify::new());
    let mut trackers = JoinSet::new();
    for (imei, fixes) in recorded.tracks.clone() {
        let (answered, progress) = (Arc::clone(&answered), Arc::clone(&progress));
        let mut tracker = Tracker::Teltonika(Teltonika::new(server, imei.as_str()));
        trackers.spawn(async move {
            for packet in fixes.chunks(RECORDS_PER_PACKET) {
                tracker.deliver(packet).await.unwrap();
                answered.fetch_add(packet.len(), Ordering::SeqCst);
                progress.notify_one();
            }
        });
    }

    let mut moments: Vec<usize> = (0..KILLS).map(|_| rng.random_range(1..positions * 95 / 100)).collect();
    moments.sort_unstable();
    for moment in moments {
        while answered.load(Ordering::SeqCst) < moment {
            progress.notified().await;
        }
        // Not always right after an answer.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        system.kill().unwrap();
        system = System::start(folder.path(), &settings).unwrap();
    }
    while let Some(ended) = trackers.join_next().await {
        ended.unwrap();
    }
    assert_eq!(answered.load(Ordering::SeqCst), positions);

    let remote = system.remote();
    remote.settle().await.unwrap();
    let mut stored = BTreeSet::new();
    let mut batches = std::pin::pin!(remote.positions(&Selection::default()).await.unwrap());
    while let Some(batch) = batches.try_next().await.unwrap() {
        for position in batch {
            let key = (position.device, position.fix_time);
            assert!(!stored.contains(&key), "{key:?} is in history twice");
            stored.insert(key);
        }
    }
    let sent = recorded.rows();
    assert!(stored == sent, "{} positions sent, {} in history", sent.len(), stored.len());

    let query = "SELECT device, geofence, kind, fix_time FROM events WHERE kind IN ('enter', 'exit') AND NOT retracted";
    let csv = String::from_utf8(remote.ask(query, Format::Csv).await.unwrap()).unwrap();
    recorded.check(crate::common::events(&csv).unwrap());
}
