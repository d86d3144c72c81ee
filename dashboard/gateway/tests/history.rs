//! History over REST: tracks, events, SQL.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{START_MS, System, event, position};

#[tokio::test]
async fn history_is_asked_for() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.get("/api/history/range").await, json!({ "from": null, "to": null }));
    assert_eq!(admin.get("/api/devices/a/track").await["positions"], json!([]));
    let positions = (0..100).map(|n| position("a", "north", n, n as f64 / 10.0)).collect();
    system.archive(positions, (0..10).map(|n| event("a", "north", n)).collect()).await;
    assert_eq!(admin.get("/api/history/range").await, json!({ "from": START_MS, "to": START_MS + 99_000 }));
    let track = admin.get(&format!("/api/devices/a/track?from={}&to=2025-11-01T00:00:20Z&limit=8", START_MS + 10_000)).await;
    assert_eq!((track["positions"].as_array().unwrap().len(), &track["truncated"]), (8, &json!(true)));
    assert_eq!(track["positions"][0]["fix_time"], json!(START_MS + 10_000));
    let events = admin.get("/api/events?limit=4&kind=enter").await;
    let times: Vec<_> =
        events["events"].as_array().unwrap().iter().map(|e| e["fix_time"].as_i64().unwrap() - START_MS).collect();
    assert_eq!(times, [2_000, 4_000, 6_000, 8_000]);
    let received = events["events"][1]["received_at"].as_i64().unwrap();
    let older = admin.get(&format!("/api/events?limit=2&kind=enter&received_to={received}")).await;
    let ids = |events: &Value| events.as_array().unwrap().iter().map(|e| e["event_id"].to_string()).collect::<Vec<_>>();
    assert_eq!(ids(&older["events"]), ids(&events["events"])[..2]);
    let cursor = events["cursor"].as_str().unwrap();
    assert_eq!(admin.get(&format!("/api/events?after={cursor}")).await["events"], json!([]));
    let (_, answer) =
        admin.ask(Method::POST, "/api/sql", Some(&json!({ "query": "SELECT count(*) AS n, max(lat) FROM positions" }))).await;
    assert_eq!((&answer["columns"][0]["name"], &answer["rows"]), (&json!("n"), &json!([[100, 9.9]])));
    for query in ["DELETE FROM positions", "SELECT", "SELECT nonsense FROM positions"] {
        assert_eq!(admin.ask(Method::POST, "/api/sql", Some(&json!({ "query": query }))).await.0, 400, "{query}");
    }
    for bad in [
        "/api/events?after=x",
        "/api/events?received_to=then",
        "/api/events?kind=party",
        "/api/devices/a/track?from=soon",
        "/api/export?format=pdf",
    ] {
        assert_eq!(admin.ask(Method::GET, bad, None).await.0, 400, "{bad}");
    }
    system.stop().await;
}

#[tokio::test]
async fn events_are_those_of_one_fleet_if_it_is_asked_for_and_ones_own() {
    let system = System::start().await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let events = [event("a", "north", 1), event("b", "south", 2), event("c", "their", 3), event("d", "north", 4)];
    system.archive(Vec::new(), events.into()).await;
    let devices = async |user: &User, query: &str| {
        let answer = user.get(&format!("/api/events{query}")).await;
        let of = |event: &Value| event["device"].as_str().unwrap().to_owned();
        answer["events"].as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    assert_eq!(devices(&admin, "").await, ["a", "b", "d"]);
    assert_eq!(devices(&admin, "?fleet=north").await, ["a", "d"]);
    assert_eq!(devices(&admin, "?fleet=north&kind=exit").await, ["a"]);
    assert_eq!(devices(&admin, "?fleet=").await, ["a", "b", "d"]);
    assert_eq!(devices(&other, "?fleet=their").await, ["c"]);
    for fleet in ["their", "nowhere", "%20"] {
        assert_eq!(admin.ask(Method::GET, &format!("/api/events?fleet={fleet}"), None).await.0, 404, "{fleet}");
    }
    system.stop().await;
}
