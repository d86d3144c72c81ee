//! Fleets with more vehicles than a browser is told of one by one: the real gateway on a real log, socket.io-client from npm.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use system::browser::Browser;
use system::user::User;
use system::{System, device, event, live};
use waystream_gateway::{DetailLimits, GatewayConfig};

/// More than five vehicles are too many, and more than three in sight are counted.
fn few() -> GatewayConfig {
    GatewayConfig { detail: DetailLimits { fleet_vehicles: 5, view_vehicles: 3 }, ..GatewayConfig::default() }
}

const WORLD: fn() -> Value = || json!({ "zoom": 2, "x": 0, "y": 0, "w": 4, "h": 4 });
/// A tile of 5.6 degrees: 16.9 to 22.5 degrees east, 5.6 to 11.2 degrees north.
const TENTH_NORTH: fn() -> Value = || json!({ "zoom": 6, "x": 35, "y": 30, "w": 1, "h": 1 });

fn watch(viewport: Value, follow: &[&str]) -> Value {
    json!({ "fleets": null, "alerts_after": null, "viewport": viewport, "follow": follow })
}

/// Eight vehicles of ours at 10, 20, 30 degrees north and so on, and six of theirs.
async fn large() -> System {
    let system = System::start_with(few()).await;
    for (n, name) in (1..).zip(["a", "b", "c", "d", "e", "f", "g", "h"]) {
        let fleet = if n % 2 == 0 { "south" } else { "north" };
        system.move_to(fleet, vec![live(name, fleet, 1, f64::from(n) * 10.0)]).await;
    }
    system.move_to("their", ["u", "v", "w", "x", "y", "z"].map(|name| live(name, "their", 1, 10.5)).into()).await;
    // Once one socket has seen all of them, the gateway knows them.
    let (mut browser, _) =
        Browser::watching(&system.url, &system.cookie("admin").await, "websocket", watch(WORLD(), &[])).await;
    browser.until_so(|b| b.cells.values().sum::<u32>() == 8 || b.map.len() == 8).await;
    let (mut browser, _) =
        Browser::watching(&system.url, &system.cookie("other").await, "websocket", watch(WORLD(), &[])).await;
    browser.until_so(|b| b.cells.values().sum::<u32>() == 6 || b.map.len() == 6).await;
    system
}

#[tokio::test]
async fn a_large_fleet_is_counted_where_it_is_dense_and_told_of_where_it_is_not() {
    let system = large().await;
    let cookie = system.cookie("admin").await;
    for (round, transports) in (10..).step_by(10).zip(["websocket", "polling"]) {
        let (mut browser, answer) = Browser::watching(&system.url, &cookie, transports, watch(WORLD(), &[])).await;
        assert_eq!(answer["whole"], false);
        browser.until_so(|b| b.complete && b.cells.values().sum::<u32>() == 8).await;
        assert!(browser.map.is_empty() && browser.slots.is_empty(), "cells tell no names");
        // One moves into another cell.
        let before = browser.cells.clone();
        system.move_to("south", vec![live("h", "south", round, -40.0)]).await;
        browser.until_so(|b| b.cells != before && b.cells.values().sum::<u32>() == 8).await;
        // Nearer.
        browser.emit(json!(["viewport", TENTH_NORTH()])).await;
        browser.until_so(|b| b.viewport.is_none() && b.cells.is_empty() && b.map.len() == 1).await;
        assert_eq!(browser.map["a"], 10.0);
        system.move_to("south", vec![live("h", "south", round + 1, 9.0)]).await;
        browser.until_so(|b| b.map.get("h") == Some(&9.0)).await;
        system.move_to("south", vec![live("h", "south", round + 2, 80.0)]).await;
        browser.until_so(|b| !b.map.contains_key("h")).await;
        // Four in sight are too many; two are few again.
        for name in ["b", "d", "f"] {
            system.move_to("south", vec![live(name, "south", round, 10.0)]).await;
        }
        browser.until_so(|b| b.map.is_empty() && b.cells.values().sum::<u32>() == 4).await;
        for (lat, name) in [(20.0, "b"), (40.0, "d"), (60.0, "f")] {
            system.move_to("south", vec![live(name, "south", round + 1, lat)]).await;
        }
        browser.until_so(|b| b.cells.is_empty() && b.map.len() == 1).await;
        assert!(browser.names.keys().all(|name| !"uvwxyz".contains(name)), "another organisation's vehicle");
        for wrong in [json!({ "zoom": 6, "x": 64, "y": 0, "w": 1, "h": 1 }), json!({ "zoom": 40 }), json!(null)] {
            browser.emit(json!(["viewport", wrong])).await;
        }
        system.move_to("north", vec![live("a", "north", round, 10.1)]).await;
        browser.until_so(|b| b.map["a"] == 10.1).await;
        system.move_to("north", vec![live("a", "north", round + 1, 10.0)]).await;
    }
    let mut browser = Browser::open(&system.url, &cookie, "websocket");
    browser.until("connect").await;
    let answer = browser.ask(json!(["watch", watch(json!({ "zoom": 30, "x": 0, "y": 0, "w": 1, "h": 1 }), &[])])).await;
    assert!(answer["error"].as_str().unwrap().contains("no such part of the map"), "{answer}");
    system.stop().await;
}

#[tokio::test]
async fn followed_vehicles_are_told_of_wherever_they_are_and_only_one_s_own() {
    let system = large().await;
    let cookie = system.cookie("admin").await;
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", watch(TENTH_NORTH(), &["g", "z"])).await;
    browser.until_so(|b| b.map.len() == 1 && b.followed.get("g") == Some(&70.0)).await;
    system.move_to("north", vec![live("g", "north", 2, 71.0)]).await;
    browser.until_so(|b| b.followed["g"] == 71.0).await;
    // Into the viewport and out again: it stays followed.
    system.move_to("north", vec![live("g", "north", 3, 10.0)]).await;
    browser.until_so(|b| b.followed["g"] == 10.0 && b.map.contains_key("g")).await;
    system.move_to("north", vec![live("g", "north", 4, 72.0)]).await;
    browser.until_so(|b| b.followed["g"] == 72.0 && !b.map.contains_key("g")).await;
    browser.emit(json!(["follow", { "devices": ["e", "new"] }])).await;
    browser.until_so(|b| b.followed.len() == 1 && b.followed.contains_key("e")).await;
    system.move_to("north", vec![live("new", "north", 1, 50.0)]).await;
    browser.until_so(|b| b.followed.contains_key("new")).await;
    system.edit(device("Name", "e", "north")).await;
    browser.until_so(|b| b.names["e"] == "Name").await;
    system.edit(device("Name", "e", "their")).await;
    browser.until_so(|b| !b.followed.contains_key("e")).await;
    assert!(!browser.names.contains_key("z"), "another organisation's vehicle");
    // Another viewport of the same socket, and whom it followed is still told of.
    browser.emit(json!(["viewport", WORLD()])).await;
    browser.until_so(|b| b.cells.values().sum::<u32>() == 8 && b.map.is_empty() && b.followed.contains_key("new")).await;
    system.stop().await;
}

#[tokio::test]
async fn a_followed_vehicle_s_new_name_comes_however_far_behind_its_frames_are() {
    let system = large().await;
    let cookie = system.cookie("admin").await;
    let (mut browser, _) = Browser::watching(&system.url, &cookie, "websocket", watch(TENTH_NORTH(), &["g"])).await;
    browser.until_so(|b| b.complete && b.followed.get("g") == Some(&70.0)).await;
    browser.command(json!({ "acknowledge": false })).await;
    // As many small frames as go ahead of their acknowledgements.
    for n in 2..=13 {
        let lat = 60.0 + n as f64;
        system.move_to("north", vec![live("g", "north", n, lat)]).await;
        browser.until_so(|b| b.followed["g"] == lat).await;
    }
    system.edit(device("Name", "g", "north")).await;
    browser.until_so(|b| b.names["g"] == "Name").await;
    system.stop().await;
}

#[tokio::test]
async fn cells_count_one_fleet_if_that_is_asked_and_alerts_of_the_others_still_come() {
    let system = large().await;
    let cookie = system.cookie("admin").await;
    let mut request = watch(WORLD(), &["a"]);
    request["only"] = json!("south");
    let (mut browser, answer) = Browser::watching(&system.url, &cookie, "websocket", request).await;
    assert_eq!((&answer["whole"], &answer["fleets"]), (&json!(false), &json!(["north", "south"])));
    let count = |b: &Browser| b.cells.values().sum::<u32>();
    browser.until_so(|b| b.complete && count(b) == 4 && b.followed.get("a") == Some(&10.0)).await;
    system.happen(&event("a", "north", 1)).await;
    browser.until_so(|b| b.alerts.len() == 1).await;
    system.move_to("north", vec![live("i", "north", 1, 15.0), live("j", "north", 2, 15.0)]).await;
    system.move_to("south", vec![live("k", "south", 1, 15.0)]).await;
    browser.until_so(|b| count(b) == 5).await;
    // Counted are those of the other fleet.
    browser.emit(json!(["only", { "fleet": "north" }])).await;
    browser.until_so(|b| count(b) == 6).await;
    browser.emit(json!(["only", { "fleet": null }])).await;
    browser.until_so(|b| count(b) == 11).await;
    // A fleet of somebody else, and one that there isn't: nobody. What is no id is not understood.
    for nobody in ["their", "nowhere"] {
        browser.emit(json!(["only", { "fleet": nobody }])).await;
        browser.until_so(|b| b.cells.is_empty()).await;
        browser.emit(json!(["only", { "fleet": "" }])).await;
        browser.emit(json!(["only", { "fleet": null }])).await;
        browser.until_so(|b| count(b) == 11).await;
    }
    assert!(browser.map.is_empty() && !browser.names.contains_key("z"), "another organisation's vehicle");
    let mut request = watch(WORLD(), &[]);
    request["only"] = json!("");
    let answer = browser.ask(json!(["watch", request])).await;
    assert!(answer["error"].as_str().unwrap().starts_with("only: "), "{answer}");
    system.stop().await;
}

#[tokio::test]
async fn a_fleet_that_grows_and_shrinks_is_told_of_in_parts_and_whole_again() {
    let system = System::start_with(few()).await;
    let cookie = system.cookie("admin").await;
    let (mut browser, answer) = Browser::watching(&system.url, &cookie, "websocket", watch(TENTH_NORTH(), &["c"])).await;
    assert_eq!(answer["whole"], true);
    // Somebody who says no viewport is told of all, however many.
    let (mut plain, answer) =
        Browser::watching(&system.url, &cookie, "websocket", json!({ "fleets": null, "alerts_after": null })).await;
    assert_eq!(answer["whole"], true);
    let mut moving: Vec<(f64, &str)> = (1..).map(|n| f64::from(n) * 10.0).zip(["a", "b", "c", "d", "e"]).collect();
    for (lat, name) in &moving {
        system.move_to("north", vec![live(name, "north", 1, *lat)]).await;
    }
    browser.until_so(|b| b.map.len() == 5).await;
    moving.extend([(60.0, "f"), (70.0, "g")]);
    for (lat, name) in &moving[5..] {
        system.move_to("north", vec![live(name, "north", 1, *lat)]).await;
    }
    browser.until_so(|b| b.whole == Some(false) && b.map.len() == 1 && b.followed.contains_key("c")).await;
    plain.until_so(|b| b.map.len() == 7).await;
    for name in ["d", "e", "f"] {
        system.edit(device(name, name, "their")).await;
    }
    browser.until_so(|b| b.whole == Some(true) && b.map.len() == 4 && b.followed.is_empty()).await;
    assert_eq!(plain.whole, None);
    system.stop().await;
}

#[tokio::test]
async fn the_list_of_vehicles_comes_from_the_server_in_pages() {
    let system = large().await;
    system.edit(device("Bus 10", "a", "north")).await;
    system.edit(device("bus 9", "c", "north")).await;
    let everything = json!({ "fleets": null, "alerts_after": null });
    let (mut browser, _) = Browser::watching(&system.url, &system.cookie("admin").await, "websocket", everything).await;
    browser.until_so(|b| b.names.get("c").is_some_and(|name| name == "bus 9")).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let list = async |user: &User, request: Value| {
        let (status, answer) = user.ask(Method::POST, "/api/vehicles", Some(&request)).await;
        assert_eq!(status, 200, "{answer}");
        let names: Vec<String> =
            answer["vehicles"].as_array().unwrap().iter().map(|v| v["name"].as_str().unwrap().into()).collect();
        (names, answer)
    };
    let (names, answer) = list(&admin, json!({})).await;
    assert_eq!((names.len(), &answer["count"], &answer["matching"]), (0, &json!(8), &json!(8)));
    let (names, answer) = list(&admin, json!({ "limit": 100 })).await;
    assert_eq!(names, ["b", "bus 9", "Bus 10", "d", "e", "f", "g", "h"]);
    assert_eq!((&answer["count"], &answer["matching"]), (&json!(8), &json!(8)));
    assert_eq!(answer["looks"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).sum::<u64>(), 8);
    assert_eq!(answer["vehicles"][2]["lat"], 10.0);
    let (names, answer) = list(&admin, json!({ "from": 6, "limit": 5 })).await;
    assert_eq!((names, &answer["from"]), (vec!["g".into(), "h".into()], &json!(6)));
    assert_eq!(list(&admin, json!({ "text": "BUS", "limit": 5 })).await.0, ["bus 9", "Bus 10"]);
    let (names, answer) = list(&admin, json!({ "fleet": "south", "sort": "age", "limit": 1 })).await;
    assert_eq!((names.len(), &answer["count"], &answer["matching"]), (1, &json!(8), &json!(4)));
    assert_eq!(list(&admin, json!({ "devices": ["g", "z"], "limit": 5 })).await.0, ["g"]);
    assert_eq!(list(&other, json!({ "limit": 100 })).await.0, ["u", "v", "w", "x", "y", "z"]);
    for (request, status) in [
        (json!({ "fleet": "their" }), StatusCode::NOT_FOUND),
        (json!({ "looks": [6] }), StatusCode::BAD_REQUEST),
        (json!({ "text": "x".repeat(201) }), StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(admin.ask(Method::POST, "/api/vehicles", Some(&request)).await.0, status, "{request}");
    }
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/vehicles", Some(&json!({}))).await.0, StatusCode::UNAUTHORIZED);
    system.stop().await;
}
