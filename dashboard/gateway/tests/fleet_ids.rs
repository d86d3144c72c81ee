//! History is kept by the id of a fleet: it stays with the organisation that had it first.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use system::user::User;
use system::{System, event, position};
use waystream_gateway::GatewayConfig;

/// The devices in history, and how many events there are.
async fn sees(user: &User) -> (Value, usize) {
    let (status, answer) = user.ask(Method::POST, "/api/sql", Some(&json!({ "query": "SELECT device FROM positions" }))).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    (answer["rows"].clone(), user.get("/api/events").await["events"].as_array().unwrap().len())
}

#[tokio::test]
async fn the_id_of_a_fleet_that_is_gone_and_its_history_stay_with_the_organisation() {
    let mut system = System::start().await;
    let vans = json!({ "name": "Vans" });
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.ask(Method::POST, "/api/fleets", Some(&vans)).await.0, 201);
    system.archive(vec![position("ours-1", "vans", 1, 10.0)], vec![event("ours-1", "vans", 1)]).await;
    let history = (json!([["ours-1"]]), 1);
    assert_eq!(sees(&admin).await, history);
    assert_eq!(admin.ask(Method::DELETE, "/api/fleets/vans", None).await.0, 204);

    // Whatever it is called, and after a restart too.
    for _ in 0..2 {
        let other = User::sign_in(&system, "other").await;
        for fleet in [&vans, &json!({ "id": "vans", "name": "Mine" })] {
            let (status, answer) = other.ask(Method::POST, "/api/fleets", Some(fleet)).await;
            assert_eq!((status, &answer["error"]), (StatusCode::CONFLICT, &json!("the fleet id vans is taken")));
        }
        assert_eq!(sees(&other).await, (json!([]), 0));
        system = system.restart(GatewayConfig::default()).await;
    }
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.ask(Method::POST, "/api/fleets", Some(&vans)).await.0, 201);
    assert_eq!(sees(&admin).await, history);
    system.stop().await;
}
