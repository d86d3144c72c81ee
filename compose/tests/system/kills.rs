//! kill -9 and SIGSTOP of the whole process while trackers report: what was answered is in history exactly once, and the events are those
//! of an undisturbed run.

use crate::common::{System, fences, fixed, put, seed};
use crate::recorded::{Recorded, Reporting};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::time::Duration;
use waystream::config::{Config, Overrides};

const POSITIONS: usize = 100_000;
const KILLS: usize = 20;
const RECORDS_PER_PACKET: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_survives_twenty_kills_and_no_event_is_lost_or_doubled() {
    let mut rng = StdRng::seed_from_u64(seed());

    let recorded = Recorded::read(&[("warsaw_bus", POSITIONS)]);
    let positions = recorded.positions();

    let folder = tempfile::tempdir().unwrap();
    let config = Config::load(None, &Overrides { data: Some(folder.path().to_owned()), roles: None }).unwrap();
    put(&config, [fences("data/fences/warsaw_districts.geojson"), recorded.catalog()].concat()).await;
    let (settings, server) = fixed();
    let mut system = System::start(folder.path(), &settings).unwrap();

    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    let mut moments: Vec<usize> = (0..KILLS).map(|_| rng.random_range(1..positions * 95 / 100)).collect();
    moments.sort_unstable();
    for moment in moments {
        reporting.until(moment).await;
        // Not always right after an answer.
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        system.kill().unwrap();
        system = System::start(folder.path(), &settings).unwrap();
    }
    reporting.until(positions).await;
    reporting.end().await;
    recorded.check_in(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stands_still_again_and_again_loses_and_doubles_nothing() {
    const STOPS: usize = 3;
    let mut rng = StdRng::seed_from_u64(seed());
    let recorded = Recorded::read(&[("warsaw_bus", 30_000)]);
    let positions = recorded.positions();
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    recorded.introduce_to(&system).await;

    let reporting = Reporting::start(&recorded, server, RECORDS_PER_PACKET);
    for n in 1..=STOPS {
        reporting.until(positions * n / (STOPS + 1)).await;
        tokio::time::sleep(Duration::from_micros(rng.random_range(0..30_000))).await;
        system.signal("STOP").unwrap();
        // What it had answered before may still be on its way.
        reporting.until_silence().await;
        assert!(reporting.answered() < positions, "it does not stand still: all are answered");
        system.signal("CONT").unwrap();
    }
    reporting.until(positions).await;
    reporting.end().await;
    recorded.check_in(&system).await;
}
