//! Connection storms: everybody comes at once, again and again, also after a crash that has cut them all off.

use crate::common::{System, fixed, free_port};
use crate::lifecycle::fix;
use crate::raw::{Packet, Raw};
use crate::recorded::PATIENCE;
use std::time::Duration;
use tokio::task::JoinSet;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_gateway::wire::frame::decode_frame;
use waystream_sql::output::Format;

const AT_ONCE: usize = 5_000;
const STORMS: usize = 3;
/// More than frames round to, and less than the vehicle moves.
const NEAR_DEG: f64 = 3e-6;

/// All of it, unless somebody waits for ever.
async fn all<T: 'static>(storm: usize, work: JoinSet<T>) -> Vec<T> {
    let all = tokio::time::timeout(PATIENCE, work.join_all()).await;
    all.unwrap_or_else(|_| panic!("storm {storm}: somebody waits for ever"))
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_trackers_that_come_at_once_are_all_answered_again_and_again() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    for storm in 0..STORMS {
        // Nobody's connection outlives its storm.
        let mut trackers = JoinSet::new();
        for n in 0..AT_ONCE {
            let mut tracker = Tracker::Teltonika(Teltonika::new(server, format!("{n:015}")));
            trackers.spawn(async move { tracker.deliver(&[fix(storm as i64)]).await.unwrap() });
        }
        all(storm, trackers).await;
    }
    let remote = system.remote();
    remote.settle().await.unwrap();
    let counted = remote.ask("SELECT count(DISTINCT device) AS d, count(*) AS n FROM positions", Format::Csv).await.unwrap();
    let expected = format!("{AT_ONCE},{}", AT_ONCE * STORMS);
    assert_eq!(String::from_utf8(counted).unwrap().lines().nth(1), Some(expected.as_str()));
    system.check_memory();
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_dashboards_that_a_crash_cuts_off_come_back_at_once_and_see_the_map() {
    rlimit::increase_nofile_limit(u64::MAX).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    // It keeps its address, so that the cookie is for it after the crash too.
    let settings = settings.replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap()));
    let mut system = System::start(folder.path(), &settings).unwrap();
    let (url, cookie) = (format!("http://{}", system.address("dashboard")), system.cookie().await);
    let mut tracker = Tracker::Teltonika(Teltonika::new(server, "356307042441013"));
    let mut connected = Vec::new();
    for storm in 0..2 {
        if storm > 0 {
            system.kill().unwrap();
            connected.clear();
            system = System::start(folder.path(), &settings).unwrap();
        }
        let seen = fix(storm as i64);
        tracker.deliver(std::slice::from_ref(&seen)).await.unwrap();
        let mut dashboards = JoinSet::new();
        for _ in 0..AT_ONCE {
            dashboards.spawn(watch_until(url.clone(), cookie.clone(), seen.location.lat_deg()));
        }
        connected = all(storm, dashboards).await;
        assert_eq!(connected.len(), AT_ONCE);
        system.check_memory();
    }
}

/// A dashboard that has seen the one vehicle where it is. Cut off for its slowness, of which so many have enough on few cores, it comes again as
/// browsers do.
async fn watch_until(url: String, cookie: String, lat_deg: f64) -> Raw {
    loop {
        if let Some(dashboard) = watch_once(&url, &cookie, lat_deg).await {
            return dashboard;
        }
        tokio::time::sleep(Duration::from_millis(rand::random_range(100..2_000))).await;
    }
}

async fn watch_once(url: &str, cookie: &str, lat_deg: f64) -> Option<Raw> {
    let mut dashboard = Raw::try_connected(url, cookie).await?;
    dashboard.say(&[Packet::text(r#"420["watch",{"fleets":null,"alerts_after":null}]"#)]).await;
    loop {
        let Packet::Binary(bytes) = dashboard.hear().await? else { continue };
        let Ok(frame) = decode_frame(&bytes) else { continue };
        let is_there = |lat_e6: i32| (f64::from(lat_e6) / 1e6 - lat_deg).abs() < NEAR_DEG;
        if frame.records.iter().any(|vehicle| is_there(vehicle.lat_e6)) {
            return Some(dashboard);
        }
    }
}
