//! The live map as a client of another maker sees it: the real gateway on a real log, socket.io-client from npm.

#![allow(clippy::unwrap_used)]

use crate::system;

use futures::future::join_all;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use system::browser::Browser;
use system::{System, device, event, geofence, id, live};
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use waystream_domain::catalog::{Fleet, Role};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, CatalogKey, Event};
use waystream_gateway::GatewayConfig;

const EVERYTHING: fn() -> Value = || json!({ "fleets": null, "alerts_after": null });

#[tokio::test]
async fn vehicles_are_seen_and_move_over_websocket_and_over_polling() {
    let system = System::start().await;
    system.edit(device("Van 1", "a", "north")).await;
    system.remember(live("a", "north", 1, 10.0)).await;
    // States are read at the start, so this one is known before anything moves.
    let system = system.restart(GatewayConfig::default()).await;
    system.move_to("south", vec![live("b", "south", 1, 20.0)]).await;
    system.move_to("their", vec![live("z", "their", 1, 30.0)]).await;
    let cookie = system.cookie("admin").await;
    for (round, transports) in (2..).zip(["websocket", "polling", "polling,websocket"]) {
        let (mut browser, answer) = Browser::watching(&system.url, &cookie, transports, EVERYTHING()).await;
        assert_eq!(answer["fleets"], json!(["north", "south"]));
        browser.until_so(|b| b.complete && b.map.len() == 2).await;
        assert_eq!(browser.names["a"], "Van 1");
        for step in 0..5 {
            let n = round * 10 + step;
            system.move_to("north", vec![live("a", "north", n, n as f64)]).await;
            browser.until_so(|b| b.map["a"] == n as f64).await;
        }
        assert!(!browser.names.contains_key("z"), "another organisation's vehicle");
    }
    system.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_watches_as_soon_as_it_is_connected_is_heard() {
    // In turns of so many at once, which keep the gateway busy between saying so and listening.
    const TURNS: usize = 20;
    const AT_ONCE: usize = 50;
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let at = format!("{}/socket.io/?EIO=4&transport=websocket", system.url.replace("http:", "ws:"));
    for turn in 0..TURNS {
        let mut browsers = JoinSet::new();
        for _ in 0..AT_ONCE {
            let mut request = at.as_str().into_client_request().unwrap();
            request.headers_mut().insert("Cookie", cookie.parse().unwrap());
            browsers.spawn(async move {
                let (mut socket, _) = connect_async(request).await.unwrap();
                // What it does not understand is answered too.
                for (say, heard) in [
                    ("40", "40"),
                    (r#"420["watch",{"fleets":7}]"#, r#"430[{"epoch""#),
                    (r#"421["watch",{"fleets":null,"alerts_after":null}]"#, "431[{"),
                ] {
                    socket.send(Message::text(say)).await.unwrap();
                    while !socket.next().await.unwrap().unwrap().into_text().unwrap_or_default().starts_with(heard) {}
                }
            });
        }
        let all = tokio::time::timeout(Duration::from_secs(30), browsers.join_all()).await;
        assert!(all.is_ok(), "turn {turn}: somebody was not heard");
    }
    system.stop().await;
}

#[tokio::test]
async fn edits_of_the_catalog_reach_an_open_map() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let (mut north, _) = Browser::watching(&system.url, &cookie, "websocket", json!({ "fleets": ["north"] })).await;
    browser.until_so(|b| b.complete).await;
    system.move_to("north", vec![live("new", "north", 1, 1.0)]).await;
    browser.until_so(|b| b.map.contains_key("new")).await;
    north.until_so(|b| b.map.contains_key("new")).await;
    system.edit(device("Truck", "new", "north")).await;
    let told = browser.until("catalog").await;
    assert_eq!(
        told.args[0],
        json!({ "kind": "device", "id": "new", "value": { "id": "new", "name": "Truck", "fleet": "north" } })
    );
    browser.until_so(|b| b.names["new"] == "Truck").await;
    // To another fleet: gone from who watches the old one, without a new position.
    system.edit(device("Truck", "new", "south")).await;
    north.until_so(|b| !b.map.contains_key("new")).await;
    // To another organisation: gone, and where it was is not told there, nor after a restart.
    let other = system.cookie("other").await;
    let (mut theirs, _) = Browser::watching(&system.url, &other, "websocket", EVERYTHING()).await;
    system.remember(live("new", "south", 2, 1.0)).await;
    system.edit(device("Truck", "new", "their")).await;
    browser.until_so(|b| !b.map.contains_key("new")).await;
    system.move_to("their", vec![live("marker", "their", 1, 3.0)]).await;
    theirs.until_so(|b| b.map.contains_key("marker")).await;
    assert!(!theirs.map.contains_key("new"), "{:?}", theirs.map);
    let system = system.restart(GatewayConfig::default()).await;
    let (mut theirs, _) = Browser::watching(&system.url, &other, "websocket", EVERYTHING()).await;
    theirs.until_so(|b| b.complete).await;
    assert!(!theirs.map.contains_key("new"), "{:?}", theirs.map);
    // Until it reports there.
    system.move_to("their", vec![live("new", "their", 3, 4.0)]).await;
    theirs.until_so(|b| b.map.get("new") == Some(&4.0)).await;
    system.stop().await;
}

#[tokio::test]
async fn renamed_fleets_and_edited_geofences_reach_an_open_map() {
    let system = System::start().await;
    let (cookie, other) = (system.cookie("admin").await, system.cookie("other").await);
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let (mut theirs, _) = Browser::watching(&system.url, &other, "websocket", EVERYTHING()).await;
    system.move_to("south", vec![live("b", "south", 1, 1.0)]).await;
    browser.until_so(|b| b.map.contains_key("b")).await;
    let fleet = |name: &str| {
        CatalogEntry::Fleet(Fleet { id: id("south"), organisation: id("ours"), name: name.into(), rules: Default::default() })
    };
    system.edit(fleet("South-west")).await;
    assert_eq!(
        browser.until("catalog").await.args[0],
        json!({ "kind": "fleet", "id": "south", "value": { "id": "south", "name": "South-west" } })
    );
    for name in ["Yard", "Old yard"] {
        system.edit(geofence(name, "yard", "ours")).await;
        let told = browser.until("catalog").await.args.remove(0);
        assert_eq!((&told["kind"], &told["id"]), (&json!("geofence"), &json!("yard")));
        let value = &told["value"];
        assert_eq!((&value["properties"]["name"], &value["geometry"]["type"]), (&json!(name), &json!("Point")));
    }
    let gone = [(CatalogKey::Geofence(id("yard")), "geofence", "yard"), (CatalogKey::Fleet(id("south")), "fleet", "south")];
    for (key, kind, id) in gone {
        system.catalog.edit(&Actor::CommandLine, vec![CatalogEdit::Remove(key)]).await.unwrap();
        assert_eq!(browser.until("catalog").await.args[0], json!({ "kind": kind, "id": id, "value": null }));
    }
    // Nobody sees who was in it.
    browser.until_so(|b| !b.map.contains_key("b")).await;
    // Another organisation is told of its own edits only: this is the first that it hears of.
    system.edit(geofence("Gate", "gate", "theirs")).await;
    assert_eq!(theirs.until("catalog").await.args[0]["id"], "gate");
    system.stop().await;
}

#[tokio::test]
async fn how_many_vehicles_are_inside_of_a_geofence_is_told_to_whoever_asks_and_may_see_them() {
    let system = System::start().await;
    system.edit(geofence("Yard", "yard", "ours")).await;
    system.edit(geofence("Gate", "gate", "theirs")).await;
    let told = |whole: bool, counts: Value| json!({ "whole": whole, "counts": counts });
    let asking = |fleets: Value| json!({ "fleets": fleets, "inside": true });
    let (cookie, other) = (system.cookie("admin").await, system.cookie("other").await);
    let (mut all, _) = Browser::watching(&system.url, &cookie, "websocket", asking(Value::Null)).await;
    let (mut north, _) = Browser::watching(&system.url, &cookie, "websocket", asking(json!(["north"]))).await;
    let (mut theirs, _) = Browser::watching(&system.url, &other, "websocket", asking(Value::Null)).await;
    for browser in [&mut all, &mut north, &mut theirs] {
        browser.until_so(|b| b.inside == [told(true, json!([]))]).await;
    }
    for (device, fleet) in [("a", "north"), ("b", "south"), ("z", "their")] {
        system.move_to(fleet, vec![live(device, fleet, 1, 1.0)]).await;
    }
    all.until_so(|b| b.map.len() == 2).await;
    theirs.until_so(|b| b.map.len() == 1).await;
    system.happen(&event("a", "north", 0)).await;
    all.until_so(|b| b.inside.last() == Some(&told(false, json!([["yard", 1]])))).await;
    north.until_so(|b| b.inside.last() == Some(&told(false, json!([["yard", 1]])))).await;
    system.happen(&event("b", "south", 0)).await;
    all.until_so(|b| b.inside.last() == Some(&told(false, json!([["yard", 2]])))).await;
    system.happen(&Event { geofence: Some(id("gate")), ..event("z", "their", 0) }).await;
    theirs.until_so(|b| b.inside.last() == Some(&told(false, json!([["gate", 1]])))).await;
    assert_eq!(theirs.inside.iter().filter(|told| told.to_string().contains("yard")).count(), 0, "another organisation's");
    // Who does not ask is told nothing, and all when it asks again.
    north.ask(json!(["watch", { "fleets": ["north"] }])).await;
    let before = north.inside.len();
    system.happen(&event("a", "north", 1)).await;
    all.until_so(|b| b.inside.last() == Some(&told(false, json!([["yard", 1]])))).await;
    north.emit(json!(["inside", { "on": true }])).await;
    north.until_so(|b| b.inside.last() == Some(&told(true, json!([])))).await;
    assert_eq!(north.inside.len(), before + 1);
    // An edited geofence may be another one.
    system.edit(geofence("Old yard", "yard", "ours")).await;
    all.until_so(|b| b.inside.last() == Some(&told(true, json!([["yard", 1]])))).await;
    // The event of one whose first position comes later.
    let alerts = all.alerts.len();
    system.happen(&event("c", "south", 0)).await;
    all.until_so(|b| b.alerts.len() == alerts + 1).await;
    system.move_to("south", vec![live("c", "south", 1, 1.0)]).await;
    all.until_so(|b| b.inside.last() == Some(&told(false, json!([["yard", 2]])))).await;
    system.stop().await;
}

/// A socket takes few messages at once, and frames wait behind those that must all arrive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_alerts_at_once_are_written_in_few_ticks() {
    const ALERTS: usize = 1_500;
    /// With what a socket takes at once written in each tick and no sooner, it would be 94.
    const TICKS: u64 = 47;
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let (mut all, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let (mut south, _) = Browser::watching(&system.url, &cookie, "websocket", json!({ "fleets": ["south"] })).await;
    all.until_so(|b| b.complete).await;
    south.until_so(|b| b.complete).await;
    let alerts: Vec<Event> = (0..ALERTS).map(|n| event(&format!("d{}", n % 50), "north", n as i64)).collect();
    join_all(alerts.iter().map(|alert| system.happen(alert))).await;
    let mut ticks = 0;
    let moving = async {
        loop {
            ticks += 1;
            let at = ticks as f64 / 2.0;
            system.move_to("south", vec![live("s", "south", ticks, at)]).await;
            south.until_so(|b| b.map.get("s") == Some(&at)).await;
        }
    };
    tokio::select! {
        () = all.until_so(|b| b.alerts.len() == ALERTS) => {}
        () = moving => {}
    }
    assert!(ticks < TICKS, "{ticks} ticks");
    system.stop().await;
}

#[tokio::test]
async fn missed_alerts_come_after_a_reconnection_in_order_none_twice_none_lost() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let devices = ["a", "b", "c", "d"];
    for n in 0..40 {
        system.happen(&event(devices[n as usize % 4], "north", n)).await;
        system.happen(&event("z", "their", n)).await;
    }
    browser.until_so(|b| b.alerts.len() == 40).await;
    let mut all = browser.alerts.clone();
    // Alerts of one moment may come in another order of devices, so a cursor in the midst of them is the hardest.
    all.truncate(25);
    let cursor = all[24]["cursor"].clone();
    drop(browser);
    for n in 40..1_000 {
        system.happen(&event(devices[n as usize % 4], "north", n)).await;
    }
    // Also across a restart of the gateway.
    let system = system.restart(GatewayConfig::default()).await;
    for transports in ["websocket", "polling"] {
        let watch = json!({ "fleets": null, "alerts_after": cursor });
        let (mut browser, _) = Browser::watching(&system.url, &cookie, transports, watch).await;
        let last = if transports == "websocket" { 1_000 } else { 1_001 };
        system.happen(&event("a", "north", last)).await;
        let newest = event("a", "north", last).id.to_string();
        browser.until_so(|b| b.alerts.iter().any(|alert| alert["event_id"] == newest)).await;
        let told: Vec<Value> = all.iter().chain(&browser.alerts).cloned().collect();
        let mut by_device: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for alert in &told {
            by_device.entry(alert["device"].as_str().unwrap().into()).or_default().push(alert["fix_time"].as_i64().unwrap());
        }
        assert_eq!(told.len() as i64, last + 1, "none twice, none lost");
        assert!(by_device.values().all(|times| times.is_sorted()), "in order");
        assert!(!by_device.contains_key("z"), "another organisation's alert");
    }
    system.stop().await;
}

#[tokio::test]
async fn strangers_get_nothing() {
    let system = System::start().await;
    system.move_to("their", vec![live("z", "their", 1, 30.0)]).await;
    let cookie = system.cookie("admin").await;
    for (cookie, transports) in [("", "websocket"), ("waystream_session=0000", "polling")] {
        let mut browser = Browser::open(&system.url, cookie, transports);
        assert_eq!(browser.next().await.args[0], "unauthorised");
    }
    for transports in ["websocket", "polling"] {
        let mut browser = Browser::open_from(&system.url, &cookie, transports, Some("http://evil.example"));
        assert_eq!(browser.next().await.event, "connect_error");
    }
    let mut browser = Browser::open_from(&system.url, &cookie, "websocket", Some(&system.url));
    browser.until("connect").await;
    for fleet in ["their", "nowhere", ""] {
        let answer = browser.ask(json!(["watch", { "fleets": [fleet] }])).await;
        assert_eq!((&answer["error"], &answer["fleets"]), (&json!(format!("there is no fleet {fleet}")), &json!([])));
    }
    let answer = browser.ask(json!(["replay", { "id": 1, "action": "open", "fleet": "their", "from": 0, "to": 1 }])).await;
    assert_eq!(answer["ok"], false);
    system.stop().await;
}

#[tokio::test]
async fn a_slow_client_gets_the_newest_state_in_one_frame() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let (mut quick, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let (mut slow, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    slow.until_so(|b| b.complete).await;
    slow.command(json!({ "acknowledge": false })).await;
    for n in 1..=30 {
        system.move_to("north", vec![live("a", "north", n, n as f64), live("b", "north", n, -(n as f64))]).await;
        quick.until_so(|b| b.map.get("a") == Some(&(n as f64))).await;
    }
    assert!(quick.frames >= 30);
    // The snapshot, twelve small ones that it did not acknowledge, and no more until it does.
    slow.until_so(|b| b.frames == 13).await;
    assert!(slow.map["a"] < 14.0);
    slow.command(json!({ "acknowledge": true })).await;
    slow.until_so(|b| b.map["a"] == 30.0 && b.map["b"] == -30.0).await;
    assert_eq!(slow.frames, 14, "one frame tells the newest state");
    system.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_takes_its_sockets_with_it() {
    let system = System::start().await;
    let (cookie, other) = (system.cookie("admin").await, system.cookie("viewer").await);
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let (mut polling, _) = Browser::watching(&system.url, &cookie, "polling", EVERYTHING()).await;
    let (mut viewer, _) = Browser::watching(&system.url, &other, "websocket", EVERYTHING()).await;
    browser.until_so(|b| b.complete).await;
    polling.until_so(|b| b.complete).await;
    let http = reqwest::Client::new();
    let sign_out = http.delete(format!("{}/api/session", system.url)).header("cookie", &cookie).header("x-waystream", "1");
    assert_eq!(sign_out.send().await.unwrap().status(), 204);
    browser.until("disconnect").await;
    assert_eq!(browser.until("connect_error").await.args[0], "unauthorised");
    polling.until("disconnect").await;
    // Nobody else is cut; a user who loses the organisation is.
    system.move_to("north", vec![live("a", "north", 1, 5.0)]).await;
    viewer.until_so(|b| b.map.contains_key("a")).await;
    let user = waystream_domain::catalog::User {
        id: id("viewer"),
        organisation: id("theirs"),
        role: Role::Viewer,
        password_hash: None,
        preferences: None,
    };
    system.catalog.edit(&Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::User(user))]).await.unwrap();
    viewer.until("disconnect").await;
    system.stop().await;
}

/// Not by an edit: nothing is said when the time of a session is over.
#[tokio::test]
async fn a_session_that_is_over_its_time_takes_its_sockets_with_it() {
    let system = System::start().await;
    let (cookie, other) = (system.cookie("admin").await, system.cookie("viewer").await);
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", EVERYTHING()).await;
    let mut silent = Browser::open(&system.url, &cookie, "polling");
    let (mut viewer, _) = Browser::watching(&system.url, &other, "websocket", EVERYTHING()).await;
    silent.until("connect").await;
    let session = {
        let shared = system.catalog.shared();
        let known = shared.read().unwrap();
        known.sessions.values().find(|session| session.user == system::id("admin")).unwrap().as_ref().clone()
    };
    let expires_at = system::at(system::in_ms(1_000));
    system.edit(waystream_domain::CatalogEntry::Session(waystream_domain::catalog::Session { expires_at, ..session })).await;
    browser.until("disconnect").await;
    assert_eq!(browser.until("connect_error").await.args[0], "unauthorised");
    silent.until("disconnect").await;
    system.move_to("north", vec![live("a", "north", 1, 5.0)]).await;
    viewer.until_so(|b| b.map.contains_key("a")).await;
    system.stop().await;
}

/// Engine.IO by hand, because the order of its steps matters here: the session upgrades before the socket connects.
#[tokio::test]
async fn a_socket_that_connects_after_the_upgrade_is_cut_too() {
    let config = GatewayConfig { cut_after: Duration::from_secs(2), ..GatewayConfig::default() };
    let system = System::start_with(config).await;
    let cookie = system.cookie("admin").await;
    let at = format!("{}/socket.io/?EIO=4", system.url);
    let http = reqwest::Client::new();
    let poll = async |sid: &str| {
        let answer = http.get(format!("{at}&transport=polling{sid}")).header("Cookie", &cookie).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    };
    let (_, opened) = poll("").await;
    let opened: Value = serde_json::from_str(opened.strip_prefix('0').unwrap()).unwrap();
    let sid = format!("&sid={}", opened["sid"].as_str().unwrap());
    let mut request = format!("{}&transport=websocket{sid}", at.replace("http:", "ws:")).into_client_request().unwrap();
    request.headers_mut().insert("Cookie", cookie.parse().unwrap());
    let (mut socket, _) = connect_async(request).await.unwrap();
    let watch = r#"420["watch",{"fleets":null,"alerts_after":null}]"#;
    for (say, heard) in [("2probe", "3probe"), ("5", ""), ("40", "40"), (watch, "430")] {
        socket.send(Message::text(say)).await.unwrap();
        while !heard.is_empty() && !socket.next().await.unwrap().unwrap().to_text().unwrap().starts_with(heard) {}
    }
    // It answers every ping, but takes over no frame.
    let closed = async {
        while let Some(Ok(message)) = socket.next().await {
            if message == Message::text("2") {
                socket.send(Message::text("3")).await.unwrap();
            }
        }
    };
    let moving = async {
        for n in 1.. {
            system.move_to("north", vec![live("a", "north", n, 50.0)]).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        ended = tokio::time::timeout(Duration::from_secs(30), closed) => ended.expect("it is cut"),
        () = moving => unreachable!("it goes on for ever"),
    }
    // Its session is over, whatever the client believes.
    assert_eq!(poll(&sid).await.0, 400);
    system.stop().await;
}
