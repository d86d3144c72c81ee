//! What follows from time passing: who is silent, and who has been inside of a geofence for long. On the real dataflow, whose clock
//! looks when it starts and every ten seconds: what is told may not depend on when it looked, nor on what died meanwhile.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::faulty::{Fault, Faulty};
use common::{all_events, append, box_of, caught_up, edit, fix, open, own, start_with};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use waystream_dataflow::{DataflowConfig, DataflowError};
use waystream_domain::geofence::FenceRules;
use waystream_domain::{CatalogEdit, CatalogEntry, Event, EventKind, Geofence, Position, Timestamp};
use waystream_log::{Log, LogError};

/// When the positions of the tests were received, seconds.
const RECEIVED: i64 = 1_700_000_000;

fn config(workers: usize) -> DataflowConfig {
    DataflowConfig { workers, trips: false, late_after_s: 100, offline_after_s: 500, ..DataflowConfig::default() }
}

/// `truck-1 device_late@100`, seconds after [`RECEIVED`], in the order of the ids.
fn silences(events: &[Event]) -> Vec<String> {
    let kinds = [EventKind::DeviceLate, EventKind::DeviceOffline, EventKind::DeviceOnline];
    let line =
        |e: &Event| format!("{} {}@{}", e.device, e.kind.as_str(), (e.fix_time.as_millis() - RECEIVED * 1000) as f64 / 1000.0);
    let mut lines: Vec<_> = events.iter().filter(|e| kinds.contains(&e.kind)).map(line).collect();
    lines.sort();
    lines
}

/// Looks into the log until it holds so many events that count.
async fn until(log: &dyn Log, many: usize, counts: impl Fn(&Event) -> bool) {
    let mut tick = tokio::time::interval(std::time::Duration::from_millis(5));
    while all_events(log).await.iter().filter(|e| counts(e)).count() < many {
        tick.tick().await;
    }
}

fn of_trucks(event: &Event) -> bool {
    event.device.as_str().starts_with("truck")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_is_told_as_of_the_moment_that_was_awaited_and_that_it_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    edit(&*log, vec![own("north")]).await;
    append(&*log, &[fix("truck", "north", 7, 1.0, 1.0)]).await;
    let running = start_with(log.clone(), config(1));
    until(&*log, 2, of_trucks).await;
    let told = all_events(&*log).await;
    assert_eq!(silences(&told), ["truck device_late@100", "truck device_offline@500"]);
    // Where it was seen last, learned when it was so.
    assert!(told.iter().all(|e| e.location == fix("truck", "north", 7, 1.0, 1.0).location && e.received_at == e.fix_time));

    let now = Timestamp::from_millis(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64).unwrap();
    // Alive, but without a usable fix.
    append(&*log, &[Position { received_at: now, valid: false, ..fix("truck", "north", 8, 1.0, 1.0) }]).await;
    until(&*log, 3, of_trucks).await;
    running.stop().await.unwrap();
    // A restart looks again, and has nothing to add: it was heard just now.
    let running = start_with(log.clone(), config(2));
    append(&*log, &[fix("other", "north", 0, 1.0, 1.0)]).await;
    until(&*log, 2, |e| e.device.as_str() == "other").await;
    running.stop().await.unwrap();
    let told = all_events(&*log).await;
    let online: Vec<_> = told.iter().filter(|e| e.kind == EventKind::DeviceOnline).collect();
    assert_eq!(online.iter().map(|e| e.fix_time).collect::<Vec<_>>(), [now]);
    assert_eq!(told.iter().filter(|e| of_trucks(e)).count(), 3);
}

/// Every device is told late and offline once, whichever call to the log the dataflow dies at, with any number of workers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_call_silence_is_told_once_and_as_of_the_same_moment() {
    let trucks = 7;
    let positions: Vec<_> = (0..3 * trucks).map(|n| fix(&format!("truck-{}", n % trucks), "north", n, 1.0, 1.0)).collect();
    let mut wanted: Vec<_> =
        (0..trucks).flat_map(|t| [format!("truck-{t} device_late@100"), format!("truck-{t} device_offline@500")]).collect();
    wanted.sort();
    for (fault, workers) in [(Fault::DieBefore, 1), (Fault::DieAfter, 2), (Fault::IndeterminateAfter, 4)] {
        for at in 0.. {
            let dir = tempfile::tempdir().unwrap();
            let log = open(dir.path());
            edit(&*log, vec![own("north")]).await;
            append(&*log, &positions).await;
            let faulty = Arc::new(Faulty { inner: log.clone(), calls: AtomicU64::new(0), at, fault });
            let mut running = start_with(faulty.clone(), config(workers));
            tokio::select! {
                ended = &mut running.task => assert!(matches!(ended.unwrap(), Err(DataflowError::Log(LogError::Closed(_))))),
                () = until(&*log, wanted.len(), of_trucks) => {
                    running.token.cancel();
                    // Stopped in the middle of the trouble it may say so.
                    drop(running.task.await.unwrap());
                }
            }
            let met = faulty.calls.load(Ordering::SeqCst) > at;
            let running = start_with(log.clone(), config(workers));
            until(&*log, wanted.len(), of_trucks).await;
            caught_up(&*log).await;
            running.stop().await.unwrap();
            let told: Vec<_> = all_events(&*log).await.into_iter().filter(of_trucks).collect();
            assert_eq!(silences(&told), wanted, "{fault:?} at call {at}, {workers} workers");
            if !met {
                break;
            }
        }
    }
}

fn yard(loitering_s: u32) -> CatalogEdit {
    CatalogEdit::Put(CatalogEntry::Geofence(Geofence {
        id: "yard".parse().unwrap(),
        organisation: "org".parse().unwrap(),
        fleet: None,
        group: None,
        name: "yard".to_owned(),
        version: 1,
        shape: box_of(0.0, 0.0, 2.0, 2.0),
        colour: None,
        rules: FenceRules { loitering_s, ..FenceRules::default() },
    }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_stay_is_told_by_the_clock_and_taken_back_if_it_was_not_so() {
    // The clock looks at another moment in each run; a fix in time means that nothing is ever told.
    for (silent, restart) in [(true, false), (true, true), (false, false)] {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path());
        edit(&*log, vec![own("north"), yard(600)]).await;
        append(&*log, &[fix("truck", "north", 1000, 1.0, 1.0)]).await;
        let left = fix("truck", "north", 1599, 1.0, 3.0);
        if !silent {
            append(&*log, std::slice::from_ref(&left)).await;
        }
        let stay = |e: &Event| e.kind == EventKind::Dwell;
        let config = || DataflowConfig { late_after_s: 0, ..config(1) };
        let mut running = start_with(log.clone(), config());
        if silent {
            until(&*log, 1, stay).await;
            if restart {
                running.stop().await.unwrap();
                running = start_with(log.clone(), config());
            }
            append(&*log, &[left]).await;
        }
        caught_up(&*log).await;
        running.stop().await.unwrap();
        let told = all_events(&*log).await;
        let stays: Vec<_> = told.iter().filter(|e| stay(e)).collect();
        if silent {
            // Learned when it was over, whenever somebody looked; the same event again, retracted.
            assert_eq!(stays[0].id.as_str(), "truck/yard/dwell/1600000");
            assert_eq!(stays[0].received_at, stays[0].fix_time);
            assert_eq!(
                stays.iter().map(|e| (&e.id, e.retracted)).collect::<Vec<_>>(),
                [(&stays[0].id, false), (&stays[0].id, true)]
            );
        } else {
            assert!(stays.is_empty(), "{stays:?}");
        }
        let crossings = common::standing(told).into_iter().map(|e| e.id.to_string()).collect::<Vec<_>>();
        assert_eq!(crossings, ["truck/yard/enter/1000000", "truck/yard/exit/1599000"]);
    }
}
