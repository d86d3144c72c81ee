//! A system from start to end: it stops in time, keeps what it answered and who is signed in, and says when a port is taken.

use crate::common::{BINARY, System, free_port, settings};
use futures::TryStreamExt;
use std::collections::BTreeSet;
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinSet;
use waystream::demo::sockets::Sockets;
use waystream::demo::world::Reporting;
use waystream::history::Selection;
use waystream::tasks::GRACE;
use waystream_connectors::protocol::Fix;
use waystream_domain::{Attributes, DeviceId, LatLon, Timestamp};

/// What is told in this second by a vehicle that drives north in Warsaw.
pub(crate) fn fix(second: i64) -> Fix {
    fix_at(second, 52.2 + second as f64 * 1e-5, 21.0)
}

/// What is told in this second at this place.
pub(crate) fn fix_at(second: i64, lat_deg: f64, lon_deg: f64) -> Fix {
    Fix {
        device: None,
        fix_time: Timestamp::from_secs(1_700_000_000 + second).unwrap(),
        location: LatLon::new(lat_deg, lon_deg).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: Some(10.0),
        course_deg: Some(0.0),
        accuracy_m: None,
        attributes: Attributes::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_stops_it_in_time_with_nothing_answered_lost_and_nobody_signed_out() {
    let folder = tempfile::tempdir().unwrap();
    // The dashboard keeps its address, so that the browser's cookie is for both.
    let settings = settings(&[]).replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap()));
    let system = System::start(folder.path(), &settings).unwrap();
    let browser = system.browser().await;
    let session = format!("http://{}/api/session", system.address("dashboard"));
    let signed_in = async || browser.get(&session).send().await.unwrap().status();
    assert_eq!(signed_in().await, 200);

    let sockets = Sockets::new(system.address("teltonika"), system.address("osmand"), system.address("mqtt"));
    let kinds = [Reporting::Teltonika, Reporting::OsmAnd, Reporting::OwnTracks];
    let answered: Arc<Mutex<BTreeSet<(DeviceId, Timestamp)>>> = Arc::default();
    let (enough, mut had_enough) = tokio::sync::mpsc::channel(1);
    let mut trackers = JoinSet::new();
    for n in 0..12_usize {
        let device = match kinds[n % 3] {
            Reporting::OwnTracks => format!("owntracks/driver/phone{n}"),
            _ => format!("{n:015}"),
        };
        let device = DeviceId::new(device).unwrap();
        let mut tracker = sockets.tracker(kinds[n % 3], &device);
        let (answered, enough) = (Arc::clone(&answered), enough.clone());
        trackers.spawn(async move {
            for second in 0.. {
                let fix = fix(second);
                let time = fix.fix_time;
                // Reports go on while the system stops: one is answered, or it is not.
                if tracker.send(&[fix]).await.is_err() {
                    return;
                }
                let mut answered = answered.lock().unwrap();
                answered.insert((device.clone(), time));
                if answered.len() == 600 {
                    enough.try_send(()).unwrap();
                }
            }
        });
    }
    had_enough.recv().await.unwrap();
    let (status, took) = tokio::task::spawn_blocking(|| system.terminate()).await.unwrap().unwrap();
    assert!(status.success(), "{status}");
    assert!(took < GRACE + Duration::from_secs(2), "took {took:?}");
    while let Some(ended) = trackers.join_next().await {
        ended.unwrap();
    }

    let system = System::start(folder.path(), &settings).unwrap();
    assert_eq!(signed_in().await, 200, "a restart signs nobody out");
    let remote = system.remote();
    remote.settle().await.unwrap();
    let positions = remote.positions(&Selection::default()).await.unwrap();
    let batches: Vec<_> = positions.try_collect().await.unwrap();
    let stored: BTreeSet<_> = batches.into_iter().flatten().map(|p| (p.device, p.fix_time)).collect();
    let answered = answered.lock().unwrap();
    let lost: Vec<_> = answered.difference(&stored).collect();
    assert!(lost.is_empty(), "answered, but not in history: {lost:?}");
}

#[test]
fn a_taken_port_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let folder = tempfile::tempdir().unwrap();
    let error = System::start(folder.path(), &settings(&[("gt06", port)])).err().unwrap();
    assert!(error.to_string().contains("ended before it was ready"), "{error}");
    let output = Command::new(BINARY)
        .args(["run", "--config"])
        .arg(folder.path().join("settings.toml"))
        .arg("--data")
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("gt06") && said.contains(&port.to_string()) && said.contains("in use"), "{said}");
}

#[test]
fn a_folder_has_one_system() {
    let folder = tempfile::tempdir().unwrap();
    let _system = System::start(folder.path(), &settings(&[])).unwrap();
    let output = Command::new(BINARY).args(["run", "--data"]).arg(folder.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("another waystream runs"), "{said}");
}

#[tokio::test]
async fn every_role_tells_operators_how_it_is() {
    let settings = settings(&[]) + "[health]\naddress = \"127.0.0.1:0\"\n";
    let folder = tempfile::tempdir().unwrap();
    for roles in ["connect", "dataflow", "archive", "gateway,sql"] {
        let system = System::start_command(&folder.path().join(roles), &settings, &["run", "--roles", roles]).unwrap();
        let ask = async |path: &str| {
            let answer = reqwest::get(format!("http://{}{path}", system.address("health"))).await.unwrap();
            (answer.status().as_u16(), answer.text().await.unwrap())
        };
        assert_eq!(ask("/healthz").await, (200, "alive".to_owned()), "{roles}");
        assert_eq!(ask("/readyz").await.0, 200, "{roles}");
        let (status, metrics) = ask("/metrics").await;
        assert!(status == 200 && metrics.contains("waystream_"), "{roles}: {metrics}");
    }
}
