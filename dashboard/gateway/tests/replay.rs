//! Replay over the same socket and frames as the live map.

#![allow(clippy::unwrap_used)]

mod system;

use reqwest::Method;
use serde_json::json;
use system::browser::{Browser, frame};
use system::user::User;
use system::{START_MS, System, device, event, position};
use waystream_gateway::wire::frame::{FrameKind, flags};

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
