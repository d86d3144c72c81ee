//! Installers: they enter and adopt devices and see where they were last, and nothing else of their organisation.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::json;
use system::browser::Browser;
use system::user::User;
use system::{System, device, event, id, live, position, unknown_device};
use waystream_domain::{CatalogEntry, catalog};

/// All that the description has for them. Whatever else it has, now or later, is refused.
const MAY: [(&str, &str); 25] = [
    ("get", "/api/config"),
    ("get", "/api/session"),
    ("post", "/api/session"),
    ("delete", "/api/session"),
    ("put", "/api/session/password"),
    ("put", "/api/session/preferences"),
    ("get", "/api/session/second-factor"),
    ("post", "/api/session/second-factor"),
    ("put", "/api/session/second-factor"),
    ("post", "/api/session/second-factor/removal"),
    ("get", "/api/tokens"),
    ("post", "/api/tokens"),
    ("delete", "/api/tokens/{id}"),
    ("get", "/api/fleets"),
    ("get", "/api/slots"),
    ("get", "/api/devices"),
    ("get", "/api/devices/{id}"),
    ("put", "/api/devices/{id}"),
    ("get", "/api/devices/{id}/access"),
    ("post", "/api/devices/{id}/token"),
    ("delete", "/api/devices/{id}/token"),
    ("put", "/api/devices/{id}/addresses"),
    ("get", "/api/unknown-devices"),
    ("post", "/api/unknown-devices/{id}/adopt"),
    ("post", "/api/vehicles"),
];

fn installer(name: &str) -> CatalogEntry {
    let role = catalog::Role::Installer;
    let user = catalog::User { id: id(name), organisation: id("ours"), role, password_hash: None, preferences: None };
    CatalogEntry::User(user)
}

async fn with_installer(system: &System) -> User {
    system.edit(installer("fitter")).await;
    User::sign_in(system, "fitter").await
}

#[tokio::test]
async fn an_installer_enters_and_adopts_devices_and_sees_their_last_fix() {
    let system = System::start().await;
    let fitter = with_installer(&system).await;
    assert_eq!(fitter.get("/api/session").await["role"], "installer");
    let van = json!({ "name": "Van 7", "fleet": "north" });
    assert_eq!(fitter.ask(Method::PUT, "/api/devices/van-7", Some(&van)).await.0, 200);
    assert_eq!(fitter.ask(Method::PUT, "/api/devices/van-8", Some(&json!({ "name": "Van 8", "fleet": "their" }))).await.0, 404);
    system.edit(unknown_device("stray", "gt06", "north")).await;
    assert_eq!(fitter.get("/api/unknown-devices").await[0]["id"], "stray");
    assert_eq!(fitter.ask(Method::POST, "/api/unknown-devices/stray/adopt", Some(&van)).await.0, 201);
    system.move_to("north", vec![live("van-7", "north", 1, 10.0)]).await;
    while fitter.get("/api/devices/van-7").await["position"]["lat"] != json!(10.0) {}
    system.stop().await;
}

#[tokio::test]
async fn an_installer_reaches_nothing_else() {
    let system = System::start().await;
    system.edit(device("Van", "van", "north")).await;
    system.edit(unknown_device("stray", "gt06", "north")).await;
    system.archive(vec![position("van", "north", 1, 10.0)], vec![event("van", "north", 1)]).await;
    let (admin, fitter) = (User::sign_in(&system, "admin").await, with_installer(&system).await);
    let token = json!({ "name": "mine", "scopes": ["read", "edit", "sql"] });
    let token = fitter.ask(Method::POST, "/api/tokens", Some(&token)).await.1["secret"].as_str().unwrap().to_owned();
    let description = admin.get("/api/openapi.json").await;
    let mut refused = 0;
    for (path, operations) in description["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            // Nobody is asked who it is there: on the way to a provider and back, and by who has a share link.
            let is_open = path.starts_with("/api/session/oidc") || path.starts_with("/api/share");
            if is_open || MAY.contains(&(method.as_str(), path.as_str())) {
                continue;
            }
            let address = path.replace("{id}", "van").replace("{command}", "x").replace("{link}", "x");
            let method: Method = method.to_uppercase().parse().unwrap();
            let body = match (path.as_str(), &method) {
                ("/api/users", _) => Some(json!({ "id": "otto", "role": "viewer" })),
                ("/api/users/{id}", &Method::PUT) => Some(json!({ "role": "viewer" })),
                _ => None,
            };
            let (status, answer) = fitter.ask(method.clone(), &address, body.as_ref()).await;
            assert_eq!(status, StatusCode::FORBIDDEN, "{method} {address}: {answer}");
            let asking = fitter.http.request(method.clone(), format!("{}{address}", system.url)).bearer_auth(&token);
            let answer = asking.header("x-waystream", "1").send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{method} {address} by a token");
            refused += 1;
        }
    }
    assert!(refused >= 30, "{refused} operations");
    system.stop().await;
}

#[tokio::test]
async fn an_installer_s_map_has_vehicles_and_neither_alerts_nor_geofences_nor_replays() {
    let system = System::start().await;
    system.edit(device("Van", "van", "north")).await;
    system.move_to("north", vec![live("van", "north", 1, 10.0)]).await;
    let (admin, fitter) = (User::sign_in(&system, "admin").await, with_installer(&system).await);
    let (mut map, _) =
        Browser::watching(&system.url, &fitter.cookie, "websocket", json!({ "fleets": null, "inside": true })).await;
    map.until_so(|b| b.map.contains_key("van")).await;
    let replay = json!({ "id": 1, "action": "open", "devices": ["van"], "from": 0, "to": 1, "speed": 1.0 });
    let answer = map.ask(json!(["replay", replay])).await;
    assert_eq!(answer["error"], "installers see no history");

    // Of what happens in this order it is told the last only.
    let square = json!({ "type": "Feature", "properties": { "name": "Yard" },
        "geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] } });
    assert_eq!(admin.ask(Method::POST, "/api/geofences", Some(&square)).await.0, 201);
    let (mut of_admin, _) = Browser::watching(&system.url, &admin.cookie, "websocket", json!({ "fleets": null })).await;
    of_admin.until_so(|b| b.complete).await;
    system.happen(&event("van", "north", 1)).await;
    of_admin.until("alert").await;
    assert_eq!(admin.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "East" }))).await.0, 201);
    loop {
        let said = map.next().await;
        assert!(!["alert", "inside"].contains(&said.event.as_str()), "{said:?}");
        if said.event == "catalog" {
            assert_eq!(said.args[0]["kind"], "fleet", "{said:?}");
            break;
        }
    }

    // Whoever is made one is cut, and is told as much when coming back.
    system.edit(installer("admin")).await;
    of_admin.until("disconnect").await;
    system.stop().await;
}
