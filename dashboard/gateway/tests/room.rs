//! How much one organisation may have.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{System, device, unknown_device};
use waystream_domain::OrganisationLimits;
use waystream_gateway::GatewayConfig;

const SQUARE: [[f64; 2]; 5] = [[21.0, 52.0], [21.1, 52.0], [21.1, 52.1], [21.0, 52.1], [21.0, 52.0]];

fn fence(corners: &[[f64; 2]]) -> Value {
    json!({ "type": "Feature", "properties": { "name": "Yard" }, "geometry": { "type": "Polygon", "coordinates": [corners] } })
}

/// Whether it was taken, or what is said of why not.
async fn ask(user: &User, method: Method, path: &str, body: &Value) -> Option<String> {
    let (status, answer) = user.ask(method, path, Some(body)).await;
    match status.as_u16() {
        200 | 201 => None,
        409 => Some(answer["error"].as_str().unwrap().to_owned()),
        _ => panic!("{path}: {status} {answer}"),
    }
}

#[tokio::test]
async fn an_organisation_adds_so_much_and_the_others_don_t_notice() {
    let most = OrganisationLimits { devices: 2, fleets: 3, geofences: 2, vertices: 12 };
    let system = System::start_with(GatewayConfig { most, ..GatewayConfig::default() }).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let in_fleet = |fleet: &str| json!({ "name": "Van", "fleet": fleet });
    let told = |what: &str| Some(format!("an organisation has at most {what}"));

    for (van, refused) in [("van-1", None), ("van-2", None), ("van-3", told("2 devices")), ("van-1", None)] {
        assert_eq!(ask(&admin, Method::PUT, &format!("/api/devices/{van}"), &in_fleet("north")).await, refused, "{van}");
    }
    assert_eq!(ask(&other, Method::PUT, "/api/devices/van-3", &in_fleet("their")).await, None);
    // By no other way either: out of the tray, or from another organisation.
    system.edit(unknown_device("stray", "gt06", "north")).await;
    assert_eq!(ask(&admin, Method::POST, "/api/unknown-devices/stray/adopt", &in_fleet("south")).await, told("2 devices"));
    let offer = other.ask(Method::POST, "/api/devices/van-3/transfer", None).await.1;
    let code = json!({ "code": offer["code"], "name": "Van", "fleet": "south" });
    assert_eq!(ask(&admin, Method::POST, "/api/transfers/redeem", &code).await, told("2 devices"));
    // Who makes room takes it: the offer is as good as before.
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/van-2", None).await.0, 204);
    assert_eq!(ask(&admin, Method::POST, "/api/transfers/redeem", &code).await, None);
    // What is there by the command line stays, and can be edited.
    system.edit(device("Van 9", "van-9", "north")).await;
    assert_eq!(ask(&admin, Method::PUT, "/api/devices/van-9", &in_fleet("south")).await, None);

    assert_eq!(ask(&admin, Method::POST, "/api/fleets", &json!({ "name": "West" })).await, None);
    assert_eq!(ask(&admin, Method::POST, "/api/fleets", &json!({ "name": "East" })).await, told("3 fleets"));

    let fences = json!({ "type": "FeatureCollection", "features": [fence(&SQUARE), fence(&SQUARE), fence(&SQUARE)] });
    let (status, answer) = admin.ask(Method::POST, "/api/geofences/import", Some(&fences)).await;
    assert_eq!((status.as_u16(), answer["error"].as_str().unwrap()), (409, "an organisation has at most 2 geofences"));
    assert_eq!(admin.get("/api/geofences").await["features"], json!([]));
    for refused in [None, None, told("2 geofences")] {
        assert_eq!(ask(&admin, Method::POST, "/api/geofences", &fence(&SQUARE)).await, refused);
    }
    let drawn = admin.get("/api/geofences").await;
    let path = format!("/api/geofences/{}", drawn["features"][0]["properties"]["id"].as_str().unwrap());
    let many: Vec<[f64; 2]> = (0..20).map(|n| f64::from(n) * 0.31).map(|turn| [21.0 + turn.cos(), 52.0 + turn.sin()]).collect();
    let many = [&many[..], &many[..1]].concat();
    let refused = ask(&admin, Method::PUT, &path, &fence(&many)).await.unwrap();
    assert_eq!(refused, "the geofences of an organisation have at most 12 vertices together");
    assert_eq!(ask(&other, Method::POST, "/api/geofences", &fence(&SQUARE)).await, None);
    system.stop().await;
}

#[tokio::test]
async fn what_was_erased_is_kept_for_ever_and_so_it_is_bounded() {
    let most = OrganisationLimits { devices: 1, ..OrganisationLimits::default() };
    let system = System::start_with(GatewayConfig { most, ..GatewayConfig::default() }).await;
    let admin = User::sign_in(&system, "admin").await;
    let fleets = admin.get("/api/fleets").await.as_array().unwrap().len();
    let erased = 10 / (1 + fleets);
    // Each makes room for the next.
    for n in 0..=erased {
        let van = format!("/api/devices/van-{n}");
        assert_eq!(ask(&admin, Method::PUT, &van, &json!({ "name": "Van", "fleet": "north" })).await, None);
        let (status, answer) = admin.ask(Method::DELETE, &format!("{van}/history"), None).await;
        assert_eq!(status.as_u16(), if n < erased { 202 } else { 409 }, "{n}: {answer}");
        assert_eq!(answer.to_string().contains("erasures are kept for ever"), n == erased, "{answer}");
        assert_eq!(admin.ask(Method::DELETE, &van, None).await.0, 204);
    }
    system.stop().await;
}

#[tokio::test]
async fn of_many_who_add_at_once_so_many_find_room_and_no_more() {
    let most = OrganisationLimits { devices: 2, ..OrganisationLimits::default() };
    let system = System::start_with(GatewayConfig { most, ..GatewayConfig::default() }).await;
    let admin = User::sign_in(&system, "admin").await;
    let body = json!({ "name": "Van", "fleet": "north" });
    let paths: Vec<String> = (0..20).map(|n| format!("/api/devices/van-{n}")).collect();
    let asked = futures::future::join_all(paths.iter().map(|path| ask(&admin, Method::PUT, path, &body))).await;
    assert_eq!(asked.iter().filter(|refused| refused.is_none()).count(), 2, "{asked:?}");
    assert_eq!(admin.get("/api/devices").await.as_array().unwrap().len(), 2);
    system.stop().await;
}

#[tokio::test]
async fn of_two_who_change_a_geofence_at_once_one_is_told_of_the_other() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (status, drawn) = admin.ask(Method::POST, "/api/geofences", Some(&fence(&SQUARE))).await;
    assert_eq!(status, 201, "{drawn}");
    let path = format!("/api/geofences/{}", drawn["properties"]["id"].as_str().unwrap());
    let named = |name: &str| {
        let mut edit = drawn.clone();
        edit["properties"]["name"] = json!(name);
        edit
    };
    let (one, other) = (named("One"), named("Other"));
    let told = tokio::join!(ask(&admin, Method::PUT, &path, &one), ask(&admin, Method::PUT, &path, &other));
    let told: Vec<String> = [told.0, told.1].into_iter().flatten().collect();
    assert_eq!(told, ["somebody has changed the geofence meanwhile"]);
    system.stop().await;
}
