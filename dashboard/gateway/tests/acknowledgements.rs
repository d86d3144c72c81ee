//! Alerts that somebody has seen to: on every gateway and dashboard of the organisation, and nowhere else.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::browser::Browser;
use system::user::User;
use system::{System, event};
use waystream_gateway::GatewayConfig;

const EVERYTHING: fn() -> Value = || json!({ "fleets": null, "alerts_after": null });

fn path(event_id: &str) -> String {
    format!("/api/alerts/{}/acknowledgement", event_id.replace('/', "%2F"))
}

/// What browsers are told of acknowledgements next.
async fn told(browser: &mut Browser) -> Value {
    loop {
        let said = browser.until("catalog").await.args.remove(0);
        if said["kind"] == "acknowledgements" {
            return said;
        }
    }
}

fn said(given: &[&Value], taken_back: &[&str]) -> Value {
    json!({ "kind": "acknowledgements", "whole": false, "given": given, "taken_back": taken_back })
}

#[tokio::test]
async fn an_acknowledgement_is_on_every_dashboard_of_the_organisation_at_once_and_stays() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (viewer, other) = (system.cookie("viewer").await, system.cookie("other").await);
    let second = system.another().await;
    let admin_there = User { url: second.url.clone(), cookie: admin.cookie.clone(), http: admin.http.clone() };
    let (mut here, _) = Browser::watching(&system.url, &admin.cookie, "websocket", EVERYTHING()).await;
    // It watches another fleet, but may see that vehicle.
    let south = json!({ "fleets": ["south"], "alerts_after": null });
    let (mut beside, _) = Browser::watching(&system.url, &viewer, "polling", south).await;
    let (mut there, _) = Browser::watching(&second.url, &viewer, "websocket", EVERYTHING()).await;
    let (mut stranger, _) = Browser::watching(&second.url, &other, "websocket", EVERYTHING()).await;
    // One that the archive does not have yet, and one that it has and nobody has been told of.
    let (live, old) = (event("jo/phone", "north", 1), event("b", "south", 2));
    system.happen(&live).await;
    system.archive(Vec::new(), vec![old.clone()]).await;
    here.until_so(|b| b.alerts.len() == 1).await;
    there.until_so(|b| b.alerts.len() == 1).await;
    assert_eq!(here.alerts[0]["acknowledged"], Value::Null);
    let (live, old) = (live.id.to_string(), old.id.to_string());

    let note = json!({ "note": " called the driver " });
    let (status, first) = admin.ask(Method::POST, &path(&live), Some(&note)).await;
    assert_eq!(status, 200, "{first}");
    assert_eq!(
        (&first["event_id"], &first["by"], &first["note"]),
        (&json!(live), &json!("admin"), &json!("called the driver"))
    );
    assert!(first["at"].as_i64().unwrap() > system::START_MS);
    for browser in [&mut here, &mut beside, &mut there] {
        assert_eq!(told(browser).await, said(&[&first], &[]));
    }
    // The first word stands: said again it changes nothing, and of two only the new one is told.
    let both = json!({ "event_ids": [live, old], "note": "both" });
    let (status, answer) = admin.ask(Method::POST, "/api/alerts/acknowledgements", Some(&both)).await;
    assert_eq!((status.as_u16(), answer.as_array().unwrap().len()), (200, 2), "{answer}");
    assert!(answer.as_array().unwrap().contains(&first), "{answer}");
    let second_one = answer.as_array().unwrap().iter().find(|a| a["event_id"] == old.as_str()).unwrap();
    for browser in [&mut here, &mut beside, &mut there] {
        assert_eq!(told(browser).await, said(&[second_one], &[]));
    }
    assert_eq!(admin.get("/api/alerts/acknowledgements").await.as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/api/events").await["events"][0]["acknowledged"], *second_one);

    // Taken back at the other gateway, twice: it is so already.
    for _ in 0..2 {
        assert_eq!(admin_there.ask(Method::DELETE, &path(&live), None).await.0, 204);
    }
    for browser in [&mut here, &mut beside, &mut there] {
        assert_eq!(told(browser).await, said(&[], &[live.as_str()]));
    }
    system.happen(&event("z", "their", 3)).await;
    while stranger.alerts.is_empty() {
        assert_ne!(stranger.next().await.event, "catalog", "another organisation's acknowledgement");
    }

    // Who comes back is told all that there are.
    let cursor = here.alerts[0]["cursor"].clone();
    drop((here, beside, there, stranger));
    let system = system.restart(GatewayConfig::default()).await;
    second.ended().await;
    let again = json!({ "fleets": null, "alerts_after": cursor });
    let (mut back, _) = Browser::watching(&system.url, &viewer, "websocket", again).await;
    assert_eq!(
        told(&mut back).await,
        json!({ "kind": "acknowledgements", "whole": true, "given": [second_one], "taken_back": [] })
    );
    // What was missed can be acknowledged, although only the log has it.
    let missed = json!({ "fleets": null, "alerts_after": "" });
    let (mut late, _) = Browser::watching(&system.url, &viewer, "websocket", missed).await;
    late.until_so(|b| b.alerts.iter().any(|alert| alert["event_id"] == live.as_str())).await;
    let admin = User { url: system.url.clone(), ..admin };
    assert_eq!(admin.ask(Method::POST, &path(&live), Some(&json!({}))).await.0, 200);
    let given = told(&mut back).await;
    assert_eq!((&given["given"][0]["event_id"], &given["given"][0]["note"]), (&json!(live), &Value::Null));
    system.stop().await;
}

#[tokio::test]
async fn what_has_not_happened_to_one_s_own_vehicles_or_may_only_be_looked_at_is_not_acknowledged() {
    let system = System::start().await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let (ours, theirs) = (event("a", "north", 1), event("z", "their", 2));
    system.archive(Vec::new(), vec![ours.clone(), theirs.clone()]).await;
    let (mut told_live, _) = Browser::watching(&system.url, &admin.cookie, "websocket", EVERYTHING()).await;
    let their_live = event("z", "their", 4);
    system.happen(&their_live).await;
    system.happen(&event("a", "north", 3)).await;
    told_live.until_so(|b| b.alerts.len() == 1).await;
    let all = "/api/alerts/acknowledgements";
    let never = event("a", "north", 99).id.to_string();
    let (ours, theirs, their_live) = (ours.id.to_string(), theirs.id.to_string(), their_live.id.to_string());
    for stranger in [never.as_str(), &theirs, &their_live, "a", "nonsense/of/many/slashes", &"x/".repeat(500)] {
        for method in [Method::POST, Method::DELETE] {
            let (status, answer) = admin.ask(method.clone(), &path(stranger), Some(&json!({}))).await;
            assert_eq!(status, 404, "{method} {stranger}: {answer}");
        }
        // All or none.
        let (status, answer) = admin.ask(Method::POST, all, Some(&json!({ "event_ids": [ours, stranger] }))).await;
        assert_eq!(status, 404, "{stranger}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(stranger), "{answer}");
    }
    let many: Vec<&str> = vec![ours.as_str(); 1_001];
    for bad in
        [json!({ "event_ids": [] }), json!({ "event_ids": many }), json!({ "event_ids": [ours], "note": "x".repeat(501) })]
    {
        assert_eq!(admin.ask(Method::POST, all, Some(&bad)).await.0, 400);
    }
    assert_eq!(viewer.ask(Method::POST, &path(&ours), Some(&json!({}))).await.0, 403);
    assert_eq!(viewer.ask(Method::POST, all, Some(&json!({ "event_ids": [ours] }))).await.0, 403);
    assert_eq!(admin.get(all).await, json!([]));
    assert_eq!(admin.ask(Method::POST, &path(&ours), Some(&json!({}))).await.0, 200);
    assert_eq!(viewer.ask(Method::DELETE, &path(&ours), None).await.0, 403);
    assert_eq!(viewer.get(all).await[0]["by"], "admin");
    system.stop().await;
}
