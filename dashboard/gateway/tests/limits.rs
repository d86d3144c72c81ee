//! What the dashboard's port takes of anybody, and what is told when it is too much; and what a browser is told with every answer.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use system::browser::Browser;
use system::raw::{Packet, Raw};
use system::user::User;
use system::{START_MS, System, live, position};
use waystream_gateway::wire::frame::{Frame, decode_frame};
use waystream_gateway::{DetailLimits, GatewayConfig};
use waystream_sql::SqlOptions;

/// Longest body and longest message, bytes.
const MAX_BODY: usize = 8 << 20;
const MAX_MESSAGE: usize = 64 * 1024;
const WATCH: &str = r#"420["watch",{"fleets":null,"alerts_after":null}]"#;

/// Says something that is answered, as `43` and the number of the question, and gives the answer; none: the socket has been cut.
async fn ask(raw: &mut Raw, text: &str) -> Option<Value> {
    let number: String = text.chars().skip(2).take_while(char::is_ascii_digit).collect();
    raw.say(&[Packet::text(text)]).await;
    answer(raw, &number).await
}

async fn answer(raw: &mut Raw, number: &str) -> Option<Value> {
    let beginning = format!("43{number}");
    let text = raw.hear_from(&format!("{beginning}[")).await?;
    let mut answer: Vec<Value> = serde_json::from_str(&text[beginning.len()..]).unwrap();
    Some(answer.remove(0))
}

fn open_replay(id: usize) -> String {
    let request = json!({ "id": id, "action": "open", "from": START_MS, "to": START_MS + 60_000 });
    format!(r#"42{id}["replay",{request}]"#)
}

#[tokio::test]
async fn every_answer_says_what_a_page_may_do_also_where_it_refuses() {
    let system = System::start().await;
    let http = reqwest::Client::new();
    let ask = |method: Method, path: &str| http.request(method, format!("{}{path}", system.url));
    let sockets = "/socket.io/?EIO=4&transport=polling";
    for (request, status) in [
        (ask(Method::GET, "/"), 200),
        (ask(Method::GET, "/api/config"), 200),
        (ask(Method::GET, "/api/fleets"), 401),
        (ask(Method::POST, "/api/fleets"), 403),
        (ask(Method::POST, "/api/fleets").header("x-waystream", "1").header("origin", "http://evil.example"), 403),
        (ask(Method::GET, sockets).header("origin", "http://evil.example"), 403),
        (ask(Method::GET, &format!("{sockets}&sid=AAAAAAAAAAAAAAAA")), 400),
    ] {
        let answer = request.send().await.unwrap();
        let asked = answer.url().clone();
        assert_eq!(answer.status(), status, "{asked}");
        let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap());
        assert_eq!(header("x-frame-options"), Some("DENY"), "{asked}");
        assert_eq!(header("cross-origin-opener-policy"), Some("same-origin"), "{asked}");
        assert_eq!(header("x-content-type-options"), Some("nosniff"), "{asked}");
        assert!(header("content-security-policy").is_some_and(|told| told.contains("frame-ancestors 'none'")), "{asked}");
        assert!(header("referrer-policy").is_some(), "{asked}");
    }
    system.stop().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let fleet = json!({ "name": "x".repeat(MAX_BODY - r#"{"name":""}"#.len() + 1) });
    let (status, told) = admin.ask(Method::POST, "/api/fleets", Some(&fleet)).await;
    assert_eq!(status, 413, "{told}");
    assert!(told["error"].as_str().is_some_and(|error| !error.is_empty()), "{told}");
    assert_eq!(admin.get("/api/fleets").await.as_array().map(Vec::len), Some(2), "nothing was made of it");
    system.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_long_ends_its_socket_and_no_other() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let mut other = Raw::connected(&system.url, &cookie, "websocket").await;
    // Polling takes as many messages in one body as make twice as much.
    for (transport, longest) in [("websocket", MAX_MESSAGE), ("polling", 2 * MAX_MESSAGE)] {
        let said = |bytes: usize| format!(r#"421["watch",{{"fleets":["{}"]}}]"#, "x".repeat(bytes));
        let mut raw = Raw::connected(&system.url, &cookie, transport).await;
        let told = ask(&mut raw, &said(longest - 1_000)).await.expect("it is taken");
        assert!(told["error"].as_str().unwrap().starts_with("there is no fleet"), "{transport}");
        assert!(ask(&mut raw, &said(longest)).await.is_none(), "{transport}");
        assert!(ask(&mut other, WATCH).await.is_some(), "{transport}");
    }
    system.stop().await;
}

#[tokio::test]
async fn who_says_more_at_once_than_is_worked_on_is_cut_and_nobody_else() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let mut other = Raw::connected(&system.url, &cookie, "websocket").await;
    for transport in ["websocket", "polling"] {
        let mut raw = Raw::connected(&system.url, &cookie, transport).await;
        assert_eq!(ask(&mut raw, &open_replay(1)).await.unwrap()["ok"], true);
        // A replay takes sixteen before it has done the first, and then all have to wait for it.
        let pause = Packet::text(r#"42["replay",{"id":1,"action":"pause"}]"#);
        raw.say(&vec![pause; 500]).await;
        while raw.hear().await.is_some() {}
        assert!(ask(&mut other, WATCH).await.is_some(), "{transport}");
    }
    system.stop().await;
}

#[tokio::test]
async fn so_many_replays_are_open_of_one_socket_and_in_all_and_their_places_are_given_back() {
    let system = System::start().await;
    system.archive(vec![position("a", "north", 1, 1.0)], Vec::new()).await;
    let cookie = system.cookie("admin").await;
    // All asked for in one moment.
    let mut first = Raw::connected(&system.url, &cookie, "websocket").await;
    let packets: Vec<Packet> = (1..=8).map(|id| Packet::text(open_replay(id))).collect();
    first.say(&packets).await;
    let mut open = Vec::new();
    let mut refused = 0;
    while open.len() + refused < packets.len() {
        let Some(text) = first.hear_from("43").await else { panic!("it is cut") };
        let (id, told) = text[2..].split_once('[').unwrap();
        if told.contains(r#""ok":true"#) {
            open.push(id.to_owned());
        } else {
            assert!(told.contains("only 4 replays can be open at a time"), "{told}");
            refused += 1;
        }
    }
    assert_eq!((open.len(), refused), (4, 4));

    let mut all = vec![first];
    let mut late = loop {
        let mut raw = Raw::connected(&system.url, &cookie, "websocket").await;
        let mut refused = None;
        for id in 1..=4 {
            let told = ask(&mut raw, &open_replay(id)).await.unwrap();
            if told["ok"] == false {
                refused = Some(told["error"].clone());
                break;
            }
        }
        if let Some(error) = refused {
            assert_eq!(error, "too many replays of your organisation are open");
            break raw;
        }
        all.push(raw);
        assert!(all.len() <= 16, "there is no limit");
    };
    assert_eq!(all.len(), 8, "four times so many are half of all");
    // The other half is for others.
    let other = system.cookie("other").await;
    let mut other = Raw::connected(&system.url, &other, "websocket").await;
    assert_eq!(ask(&mut other, &open_replay(1)).await.unwrap()["ok"], true);
    // Who closes one makes room, and who goes too.
    let close = format!(r#"42["replay",{{"id":{},"action":"close"}}]"#, open[0]);
    all[0].say(&[Packet::text(close)]).await;
    while ask(&mut late, &open_replay(1)).await.unwrap()["ok"] == false {}
    drop(all.pop());
    while ask(&mut late, &open_replay(2)).await.unwrap()["ok"] == false {}
    system.stop().await;
}

#[tokio::test]
async fn an_organisation_that_asks_too_much_is_told_so_and_others_are_answered() {
    let patient = Duration::from_secs(3_600);
    let limits = SqlOptions { queries: 2, waiting: 0, busy_after: patient, deadline: patient, ..SqlOptions::default() };
    let system = System::start_asking(GatewayConfig::default(), limits).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let ask = |user: &User, query: &str| {
        let request = user.http.post(format!("{}/api/sql", user.url)).header("cookie", &user.cookie).header("x-waystream", "1");
        request.json(&json!({ "query": query, "format": "csv" })).send()
    };
    // Rows that nobody takes.
    let untaken = ask(&admin, "SELECT value FROM generate_series(1, 1000000000000)").await.unwrap();
    assert_eq!(untaken.status(), 200);
    let refused = ask(&admin, "SELECT 1").await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (429, "1"));
    assert!(refused.text().await.unwrap().contains("too many queries at once"));
    assert_eq!(ask(&other, "SELECT 1").await.unwrap().status(), 200);
    drop(untaken);
    while ask(&admin, "SELECT 1").await.unwrap().status() == 429 {}
    system.stop().await;
}

#[tokio::test]
async fn exports_of_one_organisation_leave_places_to_others() {
    let system = System::start().await;
    let devices = (10..30).map(|n| position(&format!("v{n}"), "north", 1, 1.0));
    system.archive(devices.chain([position("theirs", "their", 1, 1.0)]).collect(), Vec::new()).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let ask = |user: &User| user.http.get(format!("{}/api/export?format=long", user.url)).header("cookie", &user.cookie).send();
    // Files that nobody takes.
    let mut untaken = Vec::new();
    let refused = loop {
        let answer = ask(&admin).await.unwrap();
        if answer.status() != 200 {
            break answer;
        }
        untaken.push(answer);
        assert!(untaken.len() <= 16, "there is no limit");
    };
    assert_eq!((untaken.len(), refused.status().as_u16()), (8, 429));
    assert!(refused.text().await.unwrap().contains("too many exports of your organisation"));
    assert_eq!(ask(&other).await.unwrap().bytes().await.unwrap().len(), 1_000_000);
    drop(untaken.pop());
    while ask(&admin).await.unwrap().status() == 429 {}
    system.stop().await;
}

#[tokio::test]
async fn a_socket_follows_so_many_vehicles_and_no_more() {
    let detail = DetailLimits { fleet_vehicles: 5, view_vehicles: 3 };
    let system = System::start_with(GatewayConfig { detail, ..GatewayConfig::default() }).await;
    let names: Vec<String> = (10..30).map(|n| format!("v{n}")).collect();
    system.move_to("north", names.iter().map(|name| live(name, "north", 1, 40.0)).collect()).await;
    let cookie = system.cookie("admin").await;
    let (mut browser, _) =
        Browser::watching(&system.url, &cookie, "websocket", json!({ "fleets": null, "alerts_after": null })).await;
    browser.until_so(|b| b.map.len() == names.len()).await;
    // Where none of them is: who is followed is told of all the same.
    let elsewhere = json!({ "zoom": 6, "x": 35, "y": 30, "w": 1, "h": 1 });
    let watch = json!({ "fleets": null, "alerts_after": null, "viewport": elsewhere, "follow": names });
    assert_eq!(browser.ask(json!(["watch", watch])).await["whole"], false);
    browser.until_so(|b| b.followed.len() == 16).await;
    let moved = [&names[19], &names[0]].map(|name| live(name, "north", 2, 41.0));
    system.move_to("north", moved.into()).await;
    browser.until_so(|b| b.followed.get(&names[0]) == Some(&41.0)).await;
    assert!(browser.followed.keys().eq(&names[..16]), "{:?}", browser.followed);
    system.stop().await;
}

#[tokio::test]
async fn so_many_connections_are_served_and_who_comes_later_waits_for_a_place() {
    let mut config = GatewayConfig::default();
    config.limits.connections = 2;
    let system = System::start_with(config).await;
    let cookie = system.cookie("admin").await;
    let mut first = Raw::connected(&system.url, &cookie, "websocket").await;
    let mut second = Raw::connected(&system.url, &cookie, "websocket").await;
    let (url, known) = (system.url.clone(), cookie.clone());
    let late = tokio::spawn(async move { Raw::connected(&url, &known, "websocket").await });
    for _ in 0..20 {
        assert!(ask(&mut first, WATCH).await.is_some());
        assert!(ask(&mut second, WATCH).await.is_some());
    }
    assert!(!late.is_finished(), "there was no place");
    drop(first);
    assert!(ask(&mut late.await.unwrap(), WATCH).await.is_some());
    assert!(ask(&mut second, WATCH).await.is_some());
    system.stop().await;
}

/// The frame that tells that a vehicle is at this latitude; it is acknowledged.
async fn frame_with(raw: &mut Raw, lat: f64) -> Frame {
    loop {
        let Some(packet) = raw.hear().await else { panic!("it is cut") };
        let Packet::Binary(bytes) = packet else { continue };
        let frame = decode_frame(&bytes).unwrap();
        if frame.records.iter().any(|r| f64::from(r.lat_e6) == lat * 1e6) {
            raw.say(&[Packet::text(format!(r#"42["ack",{}]"#, frame.head.seq))]).await;
            return frame;
        }
    }
}

#[tokio::test]
async fn two_hundred_sockets_share_a_frame_and_the_next_have_another_that_says_the_same() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    system.move_to("north", vec![live("a", "north", 1, 1.0)]).await;
    let mut sockets = Vec::new();
    for _ in 0..201 {
        let mut raw = Raw::connected(&system.url, &cookie, "websocket").await;
        raw.say(&[Packet::text(WATCH)]).await;
        frame_with(&mut raw, 1.0).await;
        sockets.push(raw);
    }
    system.move_to("north", vec![live("a", "north", 2, 2.0)]).await;
    let mut frames = BTreeMap::new();
    for raw in &mut sockets {
        let frame = frame_with(raw, 2.0).await;
        *frames.entry(frame.head.seq).or_insert(0) += 1;
    }
    assert_eq!(frames.values().copied().collect::<BTreeSet<_>>(), BTreeSet::from([1, 200]));
    // Who goes makes room, and who watches again stays where it is.
    drop(sockets.remove(0));
    for raw in &mut sockets {
        assert!(ask(raw, WATCH).await.is_some_and(|told| told.get("error").is_none_or(Value::is_null)));
        frame_with(raw, 2.0).await;
    }
    system.move_to("north", vec![live("a", "north", 3, 3.0)]).await;
    for raw in &mut sockets {
        frame_with(raw, 3.0).await;
    }
    system.stop().await;
}

#[tokio::test]
async fn so_many_sockets_of_an_organisation_are_open_also_those_that_poll_and_others_find_a_place() {
    let mut config = GatewayConfig::default();
    config.limits.sockets = 6;
    let system = System::start_with(config).await;
    let (ours, theirs) = (system.cookie("admin").await, system.cookie("other").await);
    let mut open = Vec::new();
    for transport in ["polling", "websocket", "polling"] {
        open.push(Raw::connected(&system.url, &ours, transport).await);
    }
    // Whether it is let in, or why not.
    let told = async |cookie: &str| {
        let mut raw = Raw::open(&system.url, cookie, "polling").await;
        raw.say(&[Packet::text("40")]).await;
        raw.hear_from("4").await.expect("it is answered")
    };
    let refused = told(&ours).await;
    assert!(refused.starts_with("44") && refused.contains("too many sockets"), "{refused}");
    Raw::connected(&system.url, &theirs, "websocket").await;
    // Places are given back.
    drop(open.remove(1));
    while !told(&ours).await.starts_with("40") {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    system.stop().await;
}
