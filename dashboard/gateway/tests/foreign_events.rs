//! Every event that a browser may say over its socket, tried with another organisation's session.

#![allow(clippy::unwrap_used)]

use crate::system;

use serde_json::{Value, json};
use std::collections::BTreeSet;
use system::browser::Browser;
use system::{START_MS, System, event, geofence, live, position};
use waystream_gateway::{DetailLimits, GatewayConfig};

/// Where all that is heard is written.
const SOCKETS: &str = include_str!("../src/live/sockets.rs");
const WORLD: fn() -> Value = || json!({ "zoom": 2, "x": 0, "y": 0, "w": 4, "h": 4 });
/// Where the other organisation's vehicles are: 10 degrees north, 21 degrees east.
const THERE: fn() -> Value = || json!({ "zoom": 6, "x": 35, "y": 30, "w": 1, "h": 1 });

/// Event, what is said with it, and whether it is answered.
fn tried() -> Vec<(&'static str, Value, bool)> {
    let watch = |more: Value| {
        let mut request = json!({ "fleets": null, "alerts_after": "0:0", "viewport": WORLD(), "follow": ["v1", "t1"] });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    let (from, to) = (START_MS, START_MS + 60_000);
    vec![
        ("watch", watch(json!({ "fleets": ["north"] })), true),
        ("watch", watch(json!({ "fleets": ["their", "north"] })), true),
        ("watch", watch(json!({ "only": "north" })), true),
        ("watch", watch(json!({ "viewport": THERE() })), true),
        ("viewport", THERE(), false),
        ("viewport", WORLD(), false),
        ("follow", json!({ "devices": ["v1", "v2", "t1"] }), false),
        ("only", json!({ "fleet": "north" }), false),
        ("only", json!({ "fleet": null }), false),
        ("inside", json!({ "on": true }), false),
        ("ack", json!(1), false),
        ("replay", json!({ "id": 7, "action": "open", "fleet": "north", "from": from, "to": to }), true),
        ("replay", json!({ "id": 8, "action": "open", "devices": ["v1"], "from": from, "to": to }), true),
        ("replay", json!({ "id": 8, "action": "play" }), false),
        // What is open is open on one socket: these are the numbers of the other organisation's.
        ("replay", json!({ "id": 1, "action": "play" }), false),
        ("replay", json!({ "id": 1, "action": "seek", "at": to }), false),
        ("replay", json!({ "id": 1, "action": "step", "device": "v1" }), false),
        ("replay", json!({ "id": 1, "action": "speed", "speed": 9 }), false),
        ("replay", json!({ "id": 1, "action": "close" }), false),
        ("replay_ack", json!({ "id": 1, "seq": 1 }), false),
    ]
}

#[test]
fn every_event_of_a_browser_is_in_the_table() {
    let heard: BTreeSet<&str> = SOCKETS.split("socket.on(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert!(heard.len() > 5, "{heard:?}");
    assert_eq!(heard, tried().into_iter().map(|(event, ..)| event).collect());
}

/// Nothing that another organisation has was told. A frame of a vehicle that has no name here is a panic of the browser.
fn check(browser: &Browser, after: &str) {
    let mut devices = browser.names.keys().chain(browser.map.keys());
    assert!(devices.all(|device| device.starts_with('t')), "{after}: {:?}", browser.names);
    assert!(browser.followed.keys().all(|device| device == "t1"), "{after}: {:?}", browser.followed);
    assert!(browser.cells.values().sum::<u32>() <= 3, "{after}: {:?}", browser.cells);
    assert!(browser.inside.iter().all(|told| told["counts"] == json!([])), "{after}: {:?}", browser.inside);
    let mut alerts = browser.alerts.iter();
    assert!(alerts.all(|alert| alert["device"] == "t1" && alert["fleet"] == "their"), "{after}: {:?}", browser.alerts);
}

#[tokio::test]
async fn no_event_of_a_browser_tells_or_does_anything_of_another_organisation() {
    let detail = DetailLimits { fleet_vehicles: 2, view_vehicles: 1 };
    let system = System::start_with(GatewayConfig { detail, ..GatewayConfig::default() }).await;
    for (fleet, devices, lat) in [("north", ["v1", "v2", "v3"], 10.0), ("their", ["t1", "t2", "t3"], 40.0)] {
        system.move_to(fleet, devices.map(|device| live(device, fleet, 1, lat)).into()).await;
    }
    let positions = [("v1", "north"), ("t1", "their")];
    system.archive(positions.map(|(device, fleet)| position(device, fleet, 1, 10.0)).into(), Vec::new()).await;
    system.edit(geofence("Yard", "yard", "ours")).await;
    let (admin, other) = (system.cookie("admin").await, system.cookie("other").await);

    let everything = json!({ "fleets": null, "alerts_after": null });
    let (mut ours, _) = Browser::watching(&system.url, &admin, "websocket", everything.clone()).await;
    ours.until_so(|b| b.map.len() == 3).await;
    let open = json!({ "id": 1, "action": "open", "from": START_MS, "to": START_MS + 60_000 });
    assert_eq!(ours.ask(json!(["replay", open])).await["ok"], true);
    ours.until("replay_state").await;
    let (mut theirs, _) = Browser::watching(&system.url, &other, "websocket", everything).await;
    theirs.until_so(|b| b.map.len() == 3).await;
    // Now that there are too many to be told of one by one, who is followed is told of apart.
    let request = json!({ "fleets": null, "alerts_after": null, "viewport": WORLD(), "follow": ["t1"] });
    assert_eq!(theirs.ask(json!(["watch", request])).await["whole"], false);

    for (n, (event_name, said, is_answered)) in (2_u32..).zip(tried()) {
        let told = format!("{event_name} {said}");
        if is_answered {
            let names_theirs = [&said["fleets"], &said["fleet"]].iter().any(|fleets| fleets.to_string().contains("north"));
            let answer = theirs.ask(json!([event_name, said])).await;
            assert_eq!(answer["error"].is_string(), names_theirs, "{told}: {answer}");
            assert!(answer["slots"].as_array().is_none_or(Vec::is_empty), "{told}: {answer}");
            assert!(!answer["fleets"].to_string().contains("north"), "{told}: {answer}");
        } else {
            theirs.emit(json!([event_name, said])).await;
        }
        // What is told of theirs comes after what would have been told of ours.
        let lat = f64::from(n);
        system.move_to("north", vec![live("v1", "north", u64::from(n), lat)]).await;
        ours.until_so(|b| b.map.get("v1") == Some(&lat)).await;
        let (a, b) = (event("v1", "north", i64::from(n)), event("t1", "their", i64::from(n)));
        system.happen(&a).await;
        system.happen(&b).await;
        system.move_to("their", vec![live("t1", "their", u64::from(n), 40.0 + lat)]).await;
        let newest = b.id.to_string();
        theirs
            .until_so(|seen| {
                seen.followed.get("t1") == Some(&(40.0 + lat)) && seen.alerts.iter().any(|alert| alert["event_id"] == newest)
            })
            .await;
        check(&theirs, &told);
    }
    // How many are inside is told once a second only.
    theirs.until_so(|seen| !seen.inside.is_empty()).await;
    check(&theirs, "inside");
    // And what was open there stands where it stood.
    ours.emit(json!(["replay", { "id": 1, "action": "pause" }])).await;
    let state = ours.until("replay_state").await.args.remove(0);
    assert_eq!(state, json!({ "id": 1, "at": START_MS, "playing": false, "speed": 1, "done": false }));
    system.stop().await;
}
