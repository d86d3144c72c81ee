//! Nobody sees or changes what is another organisation's, or what their role keeps from them.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::json;
use system::user::{User, channel_and_rule, share};
use system::{System, device, event, in_ms, live, position, unknown_device};

/// Every operation of the description, asked for what is ours by another organisation's owner, by nobody, and by a viewer.
#[tokio::test]
async fn nobody_reaches_what_is_not_theirs() {
    let system = System::start().await;
    system.edit(device("Secret van", "ours-1", "north")).await;
    system.edit(unknown_device("stray-1", "Secret protocol", "north")).await;
    system.move_to("north", vec![live("ours-1", "north", 1, 10.0)]).await;
    system.archive(vec![position("ours-1", "north", 1, 10.0)], vec![event("ours-1", "north", 1)]).await;
    let admin = User::sign_in(&system, "admin").await;
    while admin.get("/api/devices/ours-1").await["position"].is_null() {}
    let square = json!({ "type": "Feature", "properties": { "name": "Secret yard" },
        "geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] } });
    let yard = admin.ask(Method::POST, "/api/geofences", Some(&square)).await.1;
    let yard = yard["properties"]["id"].as_str().unwrap();
    let stop = json!({ "instruction": "engine_stop" });
    let command = admin.ask(Method::POST, "/api/devices/ours-1/commands", Some(&stop)).await.1;
    let command = command["id"].as_str().unwrap().to_owned();
    let (link, _) = share(&admin, "ours-1", Some("Secret guest")).await;
    let description = admin.get("/api/openapi.json").await;

    let query = admin.ask(Method::POST, "/api/queries", Some(&json!({ "name": "Secret", "query": "SELECT 10.0" }))).await.1;
    let query = query["id"].as_str().unwrap();

    let (channel, rule) = channel_and_rule(&admin).await;
    let mail = json!({ "name": "Secret mail", "type": "email", "to": ["boss@example.org"] });
    let mail = admin.ask(Method::POST, "/api/notifications/channels", Some(&mail)).await.1;
    let summary = json!({
        "name": "Mine", "every": "day", "time": "07:00", "time_zone": "UTC", "format": "csv", "channel": mail["id"],
    });
    let mut secret = summary.clone();
    secret["name"] = json!("Secret summary");
    let report = admin.ask(Method::POST, "/api/notifications/reports", Some(&secret)).await.1;
    let report = report["id"].as_str().unwrap();
    let test = admin.ask(Method::POST, &format!("/api/notifications/channels/{channel}/test"), None).await.1;
    let delivery = test["delivery"].as_str().unwrap();

    let alert = event("ours-1", "north", 1).id.to_string();
    let alert_in_path = alert.replace('/', "%2F");
    let acknowledgement = format!("/api/alerts/{alert_in_path}/acknowledgement");
    let seen = json!({ "note": "Secret note" });
    assert_eq!(admin.ask(Method::POST, &acknowledgement, Some(&seen)).await.0, 200);

    let (status, offer) = admin.ask(Method::POST, "/api/devices/ours-1/transfer", None).await;
    assert_eq!(status, 201, "{offer}");

    let mut mine = square.clone();
    mine["properties"]["name"] = json!("Mine");
    let (other, nobody) = (User::sign_in(&system, "other").await, User::nobody(&system));
    let viewer = User::sign_in(&system, "viewer").await;
    let (mut asked, mut refused) = (0, 0);
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let id = match path.as_str() {
                p if p.starts_with("/api/fleets") => "north",
                p if p.starts_with("/api/users") => "admin",
                p if p.starts_with("/api/geofences") => yard,
                p if p.starts_with("/api/queries") => query,
                p if p.starts_with("/api/alerts") => &alert_in_path,
                p if p.starts_with("/api/notifications/channels") => &channel,
                p if p.starts_with("/api/notifications/rules") => &rule,
                p if p.starts_with("/api/notifications/reports") => report,
                p if p.starts_with("/api/notifications/deliveries") => delivery,
                p if p.starts_with("/api/unknown-devices") => "stray-1",
                _ => "ours-1",
            };
            let mut address = path.replace("{id}", id).replace("{command}", &command).replace("{link}", &link);
            match path.as_str() {
                "/api/export" => address += "?format=lines&device=ours-1",
                "/api/events" => address += "?device=ours-1",
                "/api/audit" => address += "?user=admin",
                "/api/devices" => address += "?fleet=north",
                _ => {}
            }
            let body = match path.as_str() {
                p if p.starts_with("/api/geofences") => Some(mine.clone()),
                p if p.starts_with("/api/queries") => Some(json!({ "name": "Mine", "query": "SELECT 1" })),
                p if p.starts_with("/api/notifications/channels") => {
                    Some(json!({ "name": "Mine", "type": "mqtt", "topic": "x" }))
                }
                p if p.starts_with("/api/notifications/rules") => {
                    Some(json!({ "name": "Mine", "kinds": ["enter"], "channel": channel }))
                }
                "/api/users" => Some(json!({ "id": "admin", "role": "viewer" })),
                "/api/users/{id}" => Some(json!({ "role": "viewer" })),
                "/api/tokens" => Some(json!({ "name": "Mine", "scopes": ["read"] })),
                "/api/notices" => Some(json!({ "text": "Mine" })),
                "/api/vehicles" => Some(json!({ "fleet": "north" })),
                "/api/session/second-factor" => Some(json!({ "secret": "AAAA", "code": "000000" })),
                "/api/session/second-factor/removal" => Some(json!({ "code": "000000" })),
                "/api/alerts/{id}/acknowledgement" => Some(json!({ "note": "Mine" })),
                "/api/alerts/acknowledgements" => Some(json!({ "event_ids": [alert], "note": "Mine" })),
                p if p.starts_with("/api/notifications/reports") => Some(summary.clone()),
                "/api/unknown-device-policy" => Some(json!({ "policy": "tray" })),
                p if p.ends_with("/retention") => Some(json!({ "days": 30 })),
                p if p.ends_with("/addresses") => Some(json!({ "addresses": ["10.0.0.0/8"] })),
                p if p.ends_with("/share-links") => Some(json!({ "expires_at": in_ms(60_000) })),
                "/api/transfers/redeem" => {
                    Some(json!({ "code": "0123-4567-89ab-cdef-0123-4567", "name": "Mine", "fleet": "their" }))
                }
                p if p.ends_with("/commands") => Some(json!({ "instruction": "engine_stop" })),
                "/api/sql" => Some(json!({ "query": "SELECT device, lat FROM positions" })),
                p if p.starts_with("/api/devices") || p.starts_with("/api/unknown-devices") => {
                    Some(json!({ "name": "Mine", "fleet": "their" }))
                }
                "/api/export" => Some(json!({ "format": "lines", "devices": ["ours-1"], "from": 0, "to": in_ms(0) })),
                "/api/session/preferences" => Some(json!({ "units": "metric", "time_zone": null })),
                "/api/session" | "/api/session/password" => continue,
                _ => Some(json!({ "id": "north", "name": "Mine" })),
            };
            let body = body.filter(|_| method != "get" && method != "delete");
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, answer) = other.ask(method.clone(), &address, body.as_ref()).await;
            let shown = answer.to_string().replace(&address, "");
            assert!(!shown.contains("Secret") && !shown.contains("10.0"), "{method} {address}: {answer}");
            if (path.contains("{id}") && path != "/api/devices/{id}/track") || path == "/api/vehicles" {
                assert_eq!(status, 404, "{method} {address}: {answer}");
            }
            // What has not the form that it has to have is refused before anybody asks whose it is.
            assert!(![415, 422].contains(&status.as_u16()), "{method} {address}: {answer}");
            if path != "/api/config" && !path.starts_with("/api/session/oidc") {
                assert_eq!(nobody.ask(method.clone(), &address, body.as_ref()).await.0, 401, "{method} {address}");
            }
            // What is one's own, and questions that are too long for an address.
            let is_open_to_viewers = ["/api/session", "/api/tokens", "/api/sql", "/api/vehicles", "/api/export"];
            if method != Method::GET && !is_open_to_viewers.iter().any(|open| path.starts_with(open)) {
                let (status, answer) = viewer.ask(method.clone(), &address, body.as_ref()).await;
                assert_eq!(status, 403, "{method} {address} as a viewer: {answer}");
                refused += 1;
            }
            asked += 1;
        }
    }
    assert!(asked >= 40 && refused >= 30, "{asked} operations, {refused} of them refused to viewers");

    // What is ours, named in what is theirs.
    let mut fence = mine.clone();
    fence["properties"]["fleet"] = json!("north");
    let rule = |field: &str, id: &str| {
        let mut rule = json!({ "name": "Mine", "kinds": ["enter"], "channel": channel });
        rule[field] = json!([id]);
        rule
    };
    let mut summary = summary;
    summary["fleets"] = json!(["north"]);
    for (method, path, body, status) in [
        (Method::POST, "/api/geofences", fence, 404),
        (Method::PUT, "/api/devices/theirs-1", json!({ "name": "Mine", "fleet": "north" }), 404),
        (Method::POST, "/api/notifications/rules", rule("fleets", "north"), 400),
        (Method::POST, "/api/notifications/rules", rule("geofences", yard), 400),
        (Method::POST, "/api/notifications/reports", summary, 400),
    ] {
        let (told, answer) = other.ask(method, path, Some(&body)).await;
        assert_eq!(told, status, "{path} {body}: {answer}");
        assert!(answer["error"].as_str().is_some_and(|error| error.contains("there is no ")), "{path} {body}: {answer}");
    }
    let named = json!({ "devices": ["ours-1"], "limit": 10 });
    let listed = other.ask(Method::POST, "/api/vehicles", Some(&named)).await.1;
    assert_eq!((&listed["count"], &listed["matching"], &listed["vehicles"]), (&json!(0), &json!(0), &json!([])));

    assert_eq!(admin.get("/api/queries").await[0]["name"], "Secret");
    assert_eq!(admin.get("/api/fleets").await.as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/api/users").await.as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/api/alerts/acknowledgements").await[0]["note"], "Secret note");
    let commands = admin.get("/api/devices/ours-1/commands").await;
    assert_eq!((commands.as_array().unwrap().len(), &commands[0]["state"]), (1, &json!("queued")));
    assert_eq!(admin.get("/api/devices/ours-1/share-links").await[0]["label"], "Secret guest");
    assert_eq!(admin.get("/api/notifications/channels").await[0]["name"], "Secret hook");
    assert_eq!(admin.get("/api/notifications/reports").await[0]["name"], "Secret summary");
    assert_eq!(admin.get("/api/notifications/rules").await[0]["name"], "Secret depot");
    assert_eq!(admin.get("/api/devices/ours-1").await["name"], "Secret van");
    assert_eq!(admin.get("/api/transfers").await, json!([offer["transfer"]]));
    assert_eq!(admin.get("/api/unknown-devices").await[0]["protocol"], "Secret protocol");
    assert_eq!(admin.get("/api/geofences").await["features"][0]["properties"]["name"], "Secret yard");
    system.stop().await;
}
