//! Replay over the same socket and frames as the live map.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Instant;
use system::browser::{Browser, frame};
use system::user::User;
use system::{START_MS, System, device, event, live, position};
use waystream_domain::{LatLon, Position};
use waystream_gateway::wire::frame::{FrameKind, flags};
use waystream_store::Store;

#[tokio::test]
async fn history_is_replayed_by_its_own_clock_with_its_alerts() {
    let system = System::start().await;
    system.edit(device("Van 1", "a", "north")).await;
    let mut positions: Vec<_> = (0..600).map(|n| position("a", "north", n, n as f64 / 10.0)).collect();
    positions.extend((0..600).map(|n| position("b", "south", n, -(n as f64) / 10.0)));
    positions.extend((0..600).map(|n| position("z", "their", n, 1.0)));
    let events = vec![event("a", "north", 100), event("b", "south", 250), event("z", "their", 260), event("a", "north", 401)];
    system.archive(positions, events).await;
    let cookie = system.cookie("admin").await;
    for transports in ["websocket", "polling"] {
        let mut browser = Browser::open(&system.url, &cookie, transports);
        browser.until("connect").await;
        let (from, to) = (START_MS + 60_000, START_MS + 500_000);
        let open = json!({ "id": 7, "action": "open", "devices": null, "fleet": null, "from": from, "to": to, "speed": 200 });
        let answer = browser.ask(json!(["replay", open])).await;
        assert_eq!(answer["ok"], true, "{answer}");
        assert_eq!(answer["slots"], json!([[0, "a", "Van 1", "north"], [1, "b", "b", "south"]]));
        let first = frame(&browser.until("r").await.args[1]);
        assert_eq!((first.head.kind, first.t0_ms, first.records.len()), (FrameKind::Snapshot, from, 2));
        assert_eq!(first.head.flags & (flags::REPLAY | flags::LAST), flags::REPLAY | flags::LAST);
        assert_eq!(first.records[0].lat_e6, 6_000_000);
        let state = browser.until("replay_state").await.args.remove(0);
        assert_eq!(state, json!({ "id": 7, "at": from, "playing": false, "speed": 200, "done": false }));

        browser.emit(json!(["replay", { "id": 7, "action": "play" }])).await;
        let (mut clock, mut alerts, mut last) = (from, Vec::new(), None);
        loop {
            let said = browser.next().await;
            match said.event.as_str() {
                "r" => {
                    let frame = frame(&said.args[1]);
                    assert!(frame.t0_ms > clock, "the clock only goes on");
                    clock = frame.t0_ms;
                    assert!(frame.records.iter().all(|r| r.fix_time_ms <= clock && clock - r.fix_time_ms < 1_010));
                    last = Some(frame);
                }
                "replay_alert" => {
                    assert!(said.args[0]["fix_time"].as_i64().unwrap() <= to);
                    alerts.push((said.args[0]["id"].clone(), said.args[0]["fix_time"].as_i64().unwrap() - START_MS));
                }
                "replay_state" if said.args[0]["done"] == true => break,
                _ => {}
            }
        }
        assert_eq!(alerts, [(json!(7), 100_000), (json!(7), 250_000), (json!(7), 401_000)]);
        let last = last.unwrap();
        assert_eq!((last.t0_ms, last.records[0].lat_e6, last.records[1].lat_e6), (to, 50_000_000, -50_000_000));

        browser.emit(json!(["replay", { "id": 7, "action": "seek", "at": START_MS + 300_000 }])).await;
        let there = frame(&browser.until("r").await.args[1]);
        assert_eq!((there.head.kind, there.records[0].lat_e6), (FrameKind::Snapshot, 30_000_000));
        browser.emit(json!(["replay", { "id": 7, "action": "close" }])).await;

        let open = json!({ "id": 8, "action": "open", "devices": ["b", "z"], "from": from, "to": to });
        let answer = browser.ask(json!(["replay", open])).await;
        assert_eq!(answer["slots"], json!([[0, "b", "b", "south"]]), "only one's own devices");
        for bad in [json!({ "from": to, "to": from }), json!({ "fleet": "their", "from": from, "to": to })] {
            let mut request = bad.clone();
            request["id"] = json!(9);
            request["action"] = json!("open");
            assert_eq!(browser.ask(json!(["replay", request])).await["ok"], false, "{bad}");
        }
    }
    system.stop().await;
}

#[tokio::test]
async fn a_replay_waits_for_a_client_that_is_slow() {
    let system = System::start().await;
    let positions = (0..3_000).map(|n| position("a", "north", n, n as f64 / 100.0)).collect();
    system.archive(positions, Vec::new()).await;
    let cookie = system.cookie("admin").await;
    let mut browser = Browser::open(&system.url, &cookie, "websocket");
    browser.until("connect").await;
    browser.command(json!({ "acknowledge": false })).await;
    let open = json!({ "id": 1, "action": "open", "from": START_MS, "to": START_MS + 3_000_000, "speed": 100 });
    assert_eq!(browser.ask(json!(["replay", open])).await["ok"], true);
    browser.emit(json!(["replay", { "id": 1, "action": "play" }])).await;
    let mut frames = Vec::new();
    while frames.len() < 3 {
        let said = browser.until("r").await;
        frames.push(frame(&said.args[1]));
    }
    // The window is full. Whatever is asked now is answered without another frame.
    browser.emit(json!(["replay", { "id": 1, "action": "pause" }])).await;
    loop {
        let said = browser.next().await;
        assert_ne!(said.event, "r");
        if said.event == "replay_state" && said.args[0]["playing"] == false {
            assert_eq!(said.args[0]["at"].as_i64().unwrap(), frames[2].t0_ms, "the clock stands where the client is");
            break;
        }
    }
    system.stop().await;
}

/// Slot and place of everybody in a frame.
fn shown(hex: &Value) -> Vec<(u32, i32)> {
    frame(hex).records.iter().map(|r| (r.slot, r.lat_e6)).collect()
}

#[tokio::test]
async fn who_is_parked_is_there_from_the_beginning_and_after_a_jump() {
    let system = System::start().await;
    let hours = |h: i64| 3_600 * h;
    let mut positions: Vec<_> = (0..120).map(|n| position("a", "north", 60 * n, n as f64 / 10.0)).collect();
    positions.push(position("gone", "north", hours(-25), 51.0));
    positions.push(position("later", "south", 6_600, 52.0));
    positions.push(position("parked", "north", hours(-20), 50.0));
    system.archive(positions, Vec::new()).await;
    let cookie = system.cookie("admin").await;
    let mut browser = Browser::open(&system.url, &cookie, "websocket");
    browser.until("connect").await;
    let (from, to) = (START_MS + 3_600_000, START_MS + 7_200_000);
    let open = json!({ "id": 1, "action": "open", "from": from, "to": to });
    let answer = browser.ask(json!(["replay", open])).await;
    let slots = json!([[0, "a", "a", "north"], [1, "later", "later", "south"], [2, "parked", "parked", "north"]]);
    assert_eq!(answer["slots"], slots, "{answer}");
    assert_eq!(shown(&browser.until("r").await.args[1]), [(0, 6_000_000), (2, 50_000_000)]);
    browser.emit(json!(["replay", { "id": 1, "action": "seek", "at": START_MS + 7_000_000 }])).await;
    let there = [(0, 11_600_000), (1, 52_000_000), (2, 50_000_000)];
    assert_eq!(shown(&browser.until("r").await.args[1]), there, "as if it had been played until then");

    let open = json!({ "id": 2, "action": "open", "devices": ["parked"], "from": from, "to": to });
    assert_eq!(browser.ask(json!(["replay", open])).await["slots"], json!([[0, "parked", "parked", "north"]]));
    assert_eq!(shown(&browser.until("r").await.args[1]), [(0, 50_000_000)]);
    system.stop().await;
}

/// The clock and who has moved, of the next frame of a replay; then its state.
async fn stepped(browser: &mut Browser, step: Value) -> (i64, Vec<(u32, i32)>) {
    browser.emit(json!(["replay", step])).await;
    let hex = browser.until("r").await.args.remove(1);
    let state = browser.until("replay_state").await.args.remove(0);
    let clock = frame(&hex).t0_ms;
    assert_eq!((state["at"].as_i64(), state["playing"].as_bool()), (Some(clock), Some(false)), "{state}");
    (clock - START_MS, shown(&hex))
}

#[tokio::test]
async fn a_fleet_is_replayed_step_by_step() {
    let system = System::start().await;
    let mut positions: Vec<_> = (0..100).map(|n| position("a", "north", 10 * n, n as f64 / 10.0)).collect();
    positions.extend((1..10).map(|n| position("b", "north", 100 * n + 3, -(n as f64) / 10.0)));
    positions.push(position("c", "south", 15, 1.0));
    system.archive(positions, Vec::new()).await;
    let cookie = system.cookie("viewer").await;
    let mut browser = Browser::open(&system.url, &cookie, "websocket");
    browser.until("connect").await;
    let open = json!({ "id": 1, "action": "open", "fleet": "north", "from": START_MS, "to": START_MS + 990_000 });
    let answer = browser.ask(json!(["replay", open])).await;
    assert_eq!(answer["slots"], json!([[0, "a", "a", "north"], [1, "b", "b", "north"]]), "nobody of another fleet: {answer}");
    assert_eq!(shown(&browser.until("r").await.args[1]), [(0, 0)]);
    browser.until("replay_state").await;

    let step = |to: Option<i64>, device: Option<&str>| json!({ "id": 1, "action": "step", "to": to.map(|ms| START_MS + ms), "device": device });
    assert_eq!(stepped(&mut browser, step(None, None)).await, (10_000, vec![(0, 100_000)]), "anybody's next fix");
    let passed = vec![(0, 1_000_000), (1, -100_000)];
    assert_eq!(stepped(&mut browser, step(None, Some("b"))).await, (103_000, passed), "and who moved until then");
    assert_eq!(stepped(&mut browser, step(None, Some("a"))).await, (110_000, vec![(0, 1_100_000)]));
    assert_eq!(stepped(&mut browser, step(Some(125_000), None)).await, (125_000, vec![(0, 1_200_000)]), "to a moment");
    // A step goes on only: nothing is told anew.
    browser.emit(json!(["replay", step(Some(0), None)])).await;
    let said = browser.next().await;
    assert_eq!((said.event.as_str(), said.args[0]["at"].as_i64()), ("replay_state", Some(START_MS + 125_000)));
    // What is no device, or one that is not replayed, is nobody's step; after the last fix the replay is over.
    browser.emit(json!(["replay", step(None, Some(" "))])).await;
    browser.emit(json!(["replay", step(None, Some("c"))])).await;
    browser.emit(json!(["replay", { "id": 1, "action": "seek", "at": START_MS + 985_000 }])).await;
    assert_eq!(shown(&browser.until("r").await.args[1]), [(0, 9_800_000), (1, -900_000)]);
    browser.until("replay_state").await;
    assert_eq!(stepped(&mut browser, step(None, None)).await, (990_000, vec![(0, 9_900_000)]));
    system.stop().await;
}

#[tokio::test]
async fn a_replay_goes_on_beside_the_live_map_and_changes_its_speed_while_it_runs() {
    let system = System::start().await;
    system.archive((0..1_000).map(|n| position("a", "north", n, n as f64 / 100.0)).collect(), Vec::new()).await;
    system.move_to("north", vec![live("a", "north", 5_000, 40.0)]).await;
    let cookie = system.cookie("admin").await;
    let watch = json!({ "fleets": null, "alerts_after": null });
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", watch).await;
    browser.until_so(|b| b.map.get("a") == Some(&40.0)).await;
    let open = json!({ "id": 1, "action": "open", "from": START_MS, "to": START_MS + 999_000, "speed": 0.25 });
    assert_eq!(browser.ask(json!(["replay", open])).await["ok"], true);
    browser.until("replay_state").await;
    let began = Instant::now();
    browser.emit(json!(["replay", { "id": 1, "action": "play" }])).await;
    let mut at = START_MS;
    while at == START_MS {
        let state = browser.until("replay_state").await.args.remove(0);
        assert_eq!((state["speed"].as_f64(), state["playing"].as_bool()), (Some(0.25), Some(true)));
        at = state["at"].as_i64().unwrap();
    }
    // Not a limit on time: it was no faster than it was told to be.
    assert!((at - START_MS) as f64 <= began.elapsed().as_secs_f64() * 250.0 + 1.0);
    browser.emit(json!(["replay", { "id": 1, "action": "speed", "speed": 5_000 }])).await;
    let mut speed = 0.25;
    while speed < 1.0 {
        let state = browser.until("replay_state").await.args.remove(0);
        assert_eq!(state["playing"], true);
        speed = state["speed"].as_f64().unwrap();
    }
    assert_eq!(speed, 1_000.0, "the fastest there is");
    // The live map goes on meanwhile.
    system.move_to("north", vec![live("a", "north", 5_001, 41.0)]).await;
    let (mut done, mut last) = (false, None);
    while !done || browser.map["a"] != 41.0 {
        let said = browser.next().await;
        match said.event.as_str() {
            "r" => last = Some(shown(&said.args[1])),
            "replay_state" => done = said.args[0]["done"] == true,
            _ => {}
        }
    }
    assert_eq!(last, Some(vec![(0, 9_990_000)]), "nothing of the present in the past");
    system.stop().await;
}

/// Whoever signs out, or may not come in any more, sees no more of it, also where a socket never watched anything.
#[tokio::test]
async fn a_replay_ends_with_the_session_that_opened_it() {
    let system = System::start().await;
    let positions = (0..3_000).map(|n| position("a", "north", n, n as f64 / 100.0)).collect();
    system.archive(positions, Vec::new()).await;
    for transports in ["websocket", "polling"] {
        let admin = User::sign_in(&system, "admin").await;
        let mut browser = Browser::open(&system.url, &admin.cookie, transports);
        browser.until("connect").await;
        let open = json!({ "id": 1, "action": "open", "from": START_MS, "to": START_MS + 3_000_000, "speed": 0.1 });
        assert_eq!(browser.ask(json!(["replay", open])).await["ok"], true);
        browser.emit(json!(["replay", { "id": 1, "action": "play" }])).await;
        browser.until("r").await;
        assert_eq!(admin.ask(Method::DELETE, "/api/session", None).await.0, 204);
        browser.until("disconnect").await;
    }
    // And with the user.
    let admin = User::sign_in(&system, "admin").await;
    let mut browser = Browser::open(&system.url, &system.cookie("viewer").await, "websocket");
    browser.until("connect").await;
    assert_eq!(admin.ask(Method::DELETE, "/api/users/viewer", None).await.0, 204);
    browser.until("disconnect").await;
    system.stop().await;
}

/// Every frame tells of each vehicle the newest stored position that the clock has passed since the frame before, and of no other.
#[tokio::test]
async fn what_is_replayed_is_what_is_stored_at_any_speed() {
    let system = System::start().await;
    let mut stored: BTreeMap<u32, BTreeMap<i64, i32>> = BTreeMap::new();
    let [mut in_time, mut late, mut again] = [(); 3].map(|()| Vec::new());
    for vehicle in 0..150 {
        for n in 0..90 {
            let mut p = position(&format!("v{vehicle:03}"), "north", 0, 10.0 + f64::from(n) / 1e3);
            let time_ms = i64::from(1_000 * n + 7 * vehicle);
            p.fix_time = p.fix_time.plus_millis(time_ms);
            p.received_at = p.fix_time;
            p.valid = n % 10 != 4;
            if n % 7 == 3 {
                again.push(Position { received_at: p.received_at.plus_millis(60_000), ..p.clone() });
                p.location = LatLon::new(-50.0, 0.0).unwrap();
            }
            if p.valid {
                stored.entry(vehicle as u32).or_default().insert(time_ms, 10_000_000 + 1_000 * n);
            }
            let into = if (n + vehicle) % 5 == 0 { &mut late } else { &mut in_time };
            into.push(p);
        }
    }
    for part in [in_time, late, again] {
        system.archive(part, Vec::new()).await;
        system.store.flush().await.unwrap();
    }
    let cookie = system.cookie("admin").await;
    let mut browser = Browser::open(&system.url, &cookie, "websocket");
    browser.until("connect").await;
    for (id, speed) in [(1, 40.0), (2, 250.0), (3, 1_000.0)] {
        let (from, to) = (20_000, 80_000);
        let open = json!({ "id": id, "action": "open", "from": START_MS + from, "to": START_MS + to, "speed": speed });
        let answer = browser.ask(json!(["replay", open])).await;
        assert_eq!(answer["slots"].as_array().unwrap().len(), 150, "{answer}");
        browser.emit(json!(["replay", { "id": id, "action": "play" }])).await;
        // What is passed since the beginning of history, then since the frame before. Parts of a frame have one clock.
        let (mut before, mut clock, mut seen) = (i64::MIN, from, BTreeMap::new());
        let check = |before: i64, clock: i64, seen: &BTreeMap<u32, i32>| {
            let passed = stored.iter().filter_map(|(slot, rows)| {
                let (_, lat) = rows.range(before.saturating_add(1)..=clock).next_back()?;
                Some((*slot, *lat))
            });
            assert_eq!(*seen, passed.collect::<BTreeMap<_, _>>(), "x{speed}, from {before} to {clock}");
        };
        loop {
            let said = browser.next().await;
            match said.event.as_str() {
                "r" => {
                    let frame = frame(&said.args[1]);
                    if frame.t0_ms - START_MS != clock {
                        check(before, clock, &seen);
                        (before, clock) = (clock, frame.t0_ms - START_MS);
                        seen.clear();
                    }
                    for r in &frame.records {
                        assert_eq!(seen.insert(r.slot, r.lat_e6), None, "nobody is told of twice");
                        let exact_ms = stored[&r.slot].range(..=clock).next_back().map(|(time_ms, _)| START_MS + time_ms);
                        assert!(exact_ms.is_some_and(|exact_ms| (0..10).contains(&(r.fix_time_ms - exact_ms))));
                    }
                }
                "replay_state" if said.args[0]["done"] == true => break,
                _ => {}
            }
        }
        check(before, clock, &seen);
        assert!(clock <= to);
        browser.emit(json!(["replay", { "id": id, "action": "close" }])).await;
    }
    system.stop().await;
}
