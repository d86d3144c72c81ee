//! The dataflow on an embedded log: positions and edits in, events, states and snapshots out.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{
    all_events, append, box_of, caught_up, edit, events, fix, open, out_of_order, own, place, put, put_for, records, remove,
    snapshots, start, start_with, told,
};
use std::collections::HashMap;
use waystream_dataflow::DataflowConfig;
use waystream_domain::catalog::Fleet;
use waystream_domain::codec::decode_state;
use waystream_domain::geofence::validate::{self, Checks, MAX_VERTICES};
use waystream_domain::{CatalogEdit, CatalogEntry, EventKind, Position};
use waystream_log::{Log, Record, Topic};

/// Trucks on a round trip through two geofences, seen at every whole degree of longitude from 0 to 9 and back.
fn round_trips(trucks: usize, rounds: i64) -> Vec<Position> {
    let mut out = Vec::new();
    for step in 0..rounds * 18 {
        let lon = (9 - (step % 18 - 9).abs()) as f64;
        out.extend((0..trucks).map(|t| fix(&format!("truck-{t}"), "north", step * 10, 1.0, lon)));
    }
    out
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_and_two_workers_agree_and_a_restart_goes_on_where_it_was() {
    let trips = round_trips(40, 4);
    let mut results = Vec::new();
    for (workers, pieces) in [(1, 1), (2, 1), (2, 5)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        edit(&*log, vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0)), put("b", 1, box_of(3.0, 0.0, 6.0, 2.0))]).await;
        for piece in trips.chunks(trips.len().div_ceil(pieces)) {
            let running = start(log.clone(), workers);
            append(&*log, piece).await;
            caught_up(&*log).await;
            running.stop().await.unwrap();
        }
        let mut all = events(&*log).await;
        all.sort_by(|a, b| a.id.cmp(&b.id));
        assert_eq!(all.len(), 40 * 4 * 2 * 4);
        results.push(all);
    }
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_and_repeated_positions_end_with_the_events_of_in_order_arrival() {
    let trips = round_trips(20, 12);
    let mut wanted: Option<Vec<_>> = None;
    for (late, workers, pieces) in [(false, 1, 1), (true, 1, 1), (true, 2, 1), (true, 4, 6)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        edit(&*log, vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0)), put("b", 1, box_of(3.0, 0.0, 6.0, 2.0))]).await;
        let arrival = if late { out_of_order(&trips) } else { trips.clone() };
        for piece in arrival.chunks(arrival.len().div_ceil(pieces)) {
            let running = start(log.clone(), workers);
            append(&*log, piece).await;
            caught_up(&*log).await;
            running.stop().await.unwrap();
        }
        let told = events(&*log).await;
        let retracted = told.iter().filter(|e| e.retracted).count();
        // Within an epoch what is told and retracted is not told at all; a restart ends the epoch in the middle of a piece.
        assert!(late || retracted == 0, "{retracted} events retracted");
        assert!(pieces == 1 || retracted > 0);
        let standing = common::standing(told);
        assert_eq!(standing.len(), 20 * 12 * 2 * 4);
        assert_eq!(wanted.get_or_insert_with(|| standing.clone()), &standing, "{workers} workers, {pieces} restarts");
    }
}

/// What is beyond a horizon that memory has shortened is the same however many workers there are and wherever epochs end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_of_memory_forgets_the_same_in_every_run() {
    let trips = round_trips(20, 12);
    // Some come so late that they are beyond, some only just.
    let mut arrival: Vec<_> = trips.iter().enumerate().filter(|(n, _)| n % 7 != 3).map(|(_, p)| p.clone()).collect();
    for (late, position) in trips.iter().enumerate().filter(|(n, _)| n % 7 == 3).map(|(n, p)| (n + (n * 37) % 2500, p)) {
        arrival.insert(late.min(arrival.len()), position.clone());
    }
    let (mut full, mut wanted) = (Vec::new(), None);
    for (late_bytes, workers, pieces) in [(1 << 20, 1, 1), (300, 1, 1), (300, 2, 1), (300, 4, 9)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        edit(&*log, vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0)), put("b", 1, box_of(3.0, 0.0, 6.0, 2.0))]).await;
        for piece in arrival.chunks(arrival.len().div_ceil(pieces)) {
            let running =
                start_with(log.clone(), DataflowConfig { workers, late_after_s: 0, late_bytes, ..DataflowConfig::default() });
            append(&*log, piece).await;
            caught_up(&*log).await;
            running.stop().await.unwrap();
        }
        let standing = common::standing(events(&*log).await);
        if late_bytes > 300 {
            // With all the memory that they want nothing is beyond.
            assert_eq!(standing.len(), 20 * 12 * 2 * 4);
            full = standing;
            continue;
        }
        assert_ne!(standing, full, "something is beyond");
        assert_eq!(wanted.get_or_insert_with(|| standing.clone()), &standing, "{workers} workers, {pieces} restarts");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_that_comes_newest_first_tells_what_happened_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north"), put("a", 1, box_of(2.0, 0.0, 4.0, 2.0))]).await;
    let backlog: Vec<_> = (0..100i32).rev().map(|i| fix("truck", "north", i64::from(i), 1.0, f64::from(i) / 20.0)).collect();
    append(&*log, &backlog).await;
    let running = start(log.clone(), 1);
    caught_up(&*log).await;
    running.stop().await.unwrap();
    assert_eq!(told(&events(&*log).await), ["truck enter a@40", "truck exit a@81"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_before_the_stop_is_committed() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north"), put("a", 1, box_of(0.0, 0.0, 2.0, 2.0))]).await;
    append(&*log, &[fix("truck", "north", 0, 1.0, 1.0)]).await;
    let running = start(log.clone(), 2);
    caught_up(&*log).await;
    running.stop().await.unwrap();
    assert_eq!(told(&events(&*log).await), ["truck enter a@0"]);
    let states = records(&*log, Topic::States).await;
    assert_eq!(decode_state(&states[0]).unwrap().standing.inside.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edits_reach_standing_vehicles_on_every_worker() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let here = || box_of(0.0, 0.0, 2.0, 2.0);
    edit(&*log, vec![own("north")]).await;
    let running = start(log.clone(), 2);
    let parked: Vec<_> = (0..8).map(|t| fix(&format!("t{t}"), "north", 5, 1.0, 1.0)).collect();
    append(&*log, &parked).await;
    caught_up(&*log).await;
    assert!(events(&*log).await.is_empty());
    edit(&*log, vec![put("a", 1, here())]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    let mut wanted: Vec<_> = (0..8).map(|t| format!("t{t} enter a@5")).collect();
    assert_eq!(told(&events(&*log).await), wanted);

    // Removed and drawn anew while the dataflow is down, and changed without consequence.
    edit(&*log, vec![remove("a"), put("b", 2, here())]).await;
    let running = start(log.clone(), 1);
    caught_up(&*log).await;
    edit(&*log, vec![put("b", 3, here())]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    for t in 0..8 {
        wanted.extend([format!("t{t} exit a@5"), format!("t{t} enter b@5")]);
    }
    wanted.sort();
    let all = events(&*log).await;
    assert_eq!(told(&all), wanted);
    assert!(all.iter().all(|e| e.attributes.get("reason").is_some()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_given_to_another_fleet_is_decided_at_once_or_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let here = || box_of(0.0, 0.0, 2.0, 2.0);
    edit(&*log, vec![own("north"), own("south"), put_for("n", "north", here()), put_for("s", "south", here())]).await;
    let running = start(log.clone(), 2);
    append(&*log, &[fix("truck", "north", 5, 1.0, 1.0)]).await;
    caught_up(&*log).await;
    edit(&*log, vec![place("truck", "south")]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    let mut wanted = vec!["truck enter n@5", "truck enter s@5", "truck exit n@5"];
    assert_eq!(told(&events(&*log).await), wanted);

    edit(&*log, vec![place("truck", "north")]).await;
    let running = start(log.clone(), 1);
    append(&*log, &[fix("truck", "north", 9, 1.0, 1.0)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    wanted.extend(["truck enter n@5", "truck exit s@5"]);
    wanted.sort_unstable();
    assert_eq!(told(&events(&*log).await), wanted);
    let left: Vec<_> =
        snapshots(&*log).await.into_iter().flat_map(|s| s.left.into_iter().map(move |_| s.fleet.to_string())).collect();
    assert_eq!(left, ["north", "south"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_show_the_latest_never_go_back_and_name_who_left() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north"), own("south")]).await;
    let running = start(log.clone(), 2);
    for piece in round_trips(30, 2).chunks(100) {
        append(&*log, piece).await;
    }
    let late = fix("truck-3", "north", 1, 1.0, 50.0);
    append(&*log, &[late, fix("truck-7", "south", 100_000, 2.0, 2.0)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    let running = start(log.clone(), 1);
    append(&*log, &[fix("truck-9", "north", 100_000, 3.0, 3.0)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();

    // Per fleet in log order; a device is in one partition of positions, so its seq grows.
    let mut seqs: HashMap<(String, String), u64> = HashMap::new();
    let mut last: HashMap<String, Position> = HashMap::new();
    let mut left = Vec::new();
    for snapshot in snapshots(&*log).await {
        for live in snapshot.live {
            let device = live.position.device.to_string();
            let seen = seqs.entry((snapshot.fleet.to_string(), device.clone())).or_insert(0);
            assert!(*seen <= live.seq, "{device} goes back");
            *seen = live.seq;
            let newest = last.entry(device).or_insert_with(|| live.position.clone());
            if newest.fix_time <= live.position.fix_time {
                *newest = live.position;
            }
        }
        left.extend(snapshot.left.into_iter().map(|d| (snapshot.fleet.to_string(), d.to_string())));
    }
    assert_eq!(left, [("north".to_owned(), "truck-7".to_owned())]);
    assert_eq!(last.len(), 30);
    assert_eq!(last["truck-7"].fleet.as_str(), "south");
    assert_eq!(last["truck-9"].location.lat_deg(), 3.0);
    assert_eq!(last["truck-3"].location.lon_deg(), 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_geofence_goes_through_the_log() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let vertex = |i: usize| {
        let (sin, cos) = (i as f64 / MAX_VERTICES as f64 * std::f64::consts::TAU).sin_cos();
        (-100.0 + 79.1234567 * cos, -10.0 + 79.1234567 * sin)
    };
    let circle = validate::polygons(&[vec![(0..MAX_VERTICES).map(vertex).collect()]], Checks::Strict).unwrap();
    edit(&*log, vec![own("north"), put("a", 1, circle)]).await;
    let running = start(log.clone(), 1);
    append(&*log, &[fix("in", "north", 0, 1.0, -50.0), fix("out", "north", 0, 1.0, 50.0)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    assert_eq!(told(&events(&*log).await), ["in enter a@0"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rubbish_in_the_log_harms_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north"), put("a", 1, box_of(0.0, 0.0, 2.0, 2.0))]).await;
    log.append(Topic::Catalog, vec![Record::new("geofence/x", "{"), Record::removal("nonsense")]).await.unwrap();
    let running = start(log.clone(), 1);
    let rubbish = vec![Record::new("truck", vec![9, 9]), Record::removal("truck"), Record::new("truck", vec![1, 255])];
    log.append(Topic::Positions, rubbish).await.unwrap();
    log.append(Topic::Positions, vec![Record::new("truck", vec![0; 300 << 10])]).await.unwrap();
    let no_fix = Position { valid: false, ..fix("truck", "north", 0, 1.0, 1.0) };
    append(&*log, &[no_fix, fix("truck", "north", 1, 1.0, 1.0)]).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    assert_eq!(told(&events(&*log).await), ["truck enter a@1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_device_stays_with_the_organisation_that_had_it() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let theirs = Fleet {
        id: "their".parse().unwrap(),
        organisation: "others".parse().unwrap(),
        name: "Theirs".into(),
        rules: Default::default(),
    };
    edit(&*log, vec![own("north"), CatalogEdit::Put(CatalogEntry::Fleet(theirs)), place("truck", "north")]).await;
    let on_its_way = |from: i64, fleet: &str| -> Vec<_> {
        (0..20).map(|n| fix("truck", fleet, from + n * 30, 1.0 + n as f64 * 0.01, 1.0)).collect()
    };
    let running = start(log.clone(), 2);
    append(&*log, &on_its_way(0, "north")).await;
    caught_up(&*log).await;
    assert!(all_events(&*log).await.iter().any(|e| e.kind == EventKind::TripStart), "a trip is under way");

    // While it runs; then, as if it had been removed and taken in again, while it doesn't.
    edit(&*log, vec![place("truck", "their")]).await;
    caught_up(&*log).await;
    let state = decode_state(records(&*log, Topic::States).await.last().unwrap()).unwrap();
    assert_eq!((state.standing.fleet.as_str(), state.latest), ("their", None));
    // One that was under way is nobody's.
    append(&*log, &[fix("truck", "north", 700, 9.0, 9.0)]).await;
    append(&*log, &on_its_way(1_000, "their")).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();
    edit(&*log, vec![place("truck", "north")]).await;
    let running = start(log.clone(), 1);
    append(&*log, &on_its_way(2_000, "north")).await;
    caught_up(&*log).await;
    running.stop().await.unwrap();

    // Each stretch begins with itself, and nothing that either is told is of the other's time.
    let starts: Vec<_> = all_events(&*log)
        .await
        .into_iter()
        .filter(|e| e.kind == EventKind::TripStart)
        .map(|e| (e.fleet.to_string(), e.fix_time.as_millis() / 1_000_000))
        .collect();
    assert_eq!(starts, [("north".to_owned(), 0), ("their".to_owned(), 1), ("north".to_owned(), 2)]);
    for event in all_events(&*log).await {
        let told = format!("{:?}", event.attributes);
        let of_their_time = (1_000..2_000).contains(&(event.fix_time.as_millis() / 1_000));
        assert_eq!(event.fleet.as_str() == "their", of_their_time, "{event:?}");
        assert!(event.fleet.as_str() != "their" || !told.contains("1970-01-01T00:0"), "{told}");
    }
}
