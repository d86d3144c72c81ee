//! Geofences from files and back: what is exported is imported again, from each form, and a broken file changes nothing.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use system::System;
use system::user::User;

async fn import(user: &User, text: &str) -> (StatusCode, Value) {
    let request = user.http.post(format!("{}/api/geofences/import", user.url)).header("content-type", "text/plain");
    let request = request.header("cookie", &user.cookie).header("x-waystream", "1").body(text.to_owned());
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

/// All geofences but for what the server gives them, by name.
async fn kept(user: &User) -> Vec<Value> {
    let mut all = user.get("/api/geofences").await;
    let mut features = std::mem::take(all["features"].as_array_mut().unwrap());
    for feature in &mut features {
        let properties = feature["properties"].as_object_mut().unwrap();
        assert!(properties.remove("id").is_some() && properties.remove("version").is_some());
    }
    features.sort_by_key(|f| f["properties"]["name"].as_str().unwrap().to_owned());
    features
}

fn all_kinds() -> Value {
    let square = |from: f64, to: f64| json!([[from, from], [to, from], [to, to], [from, to], [from, from]]);
    let feature =
        |properties: Value, geometry: Value| json!({ "type": "Feature", "properties": properties, "geometry": geometry });
    json!({ "type": "FeatureCollection", "features": [
        feature(json!({ "name": "Hole", "colour": "#be185d", "fleet": "north", "group": "Yards" }),
            json!({ "type": "Polygon", "coordinates": [square(1.0, 2.0), square(1.25, 1.75)] })),
        feature(json!({ "name": "Circle", "radius_m": 250.5 }), json!({ "type": "Point", "coordinates": [3.0, 4.0] })),
        feature(json!({ "name": "Corridor", "width_m": 80.0, "exit_margin_m": 20.0, "cross": true,
            "schedule": { "time_zone": "Europe/Warsaw", "hours": ["mon-fri 08:00-18:00"], "closed": ["2026-12-25"] } }),
            json!({ "type": "LineString", "coordinates": [[5.0, 5.0], [5.5, 5.25], [6.0, 5.0]] })),
    ] })
}

#[tokio::test]
async fn what_is_exported_is_imported_again_by_whoever_may_edit() {
    let system = System::start().await;
    let (admin, viewer, other) =
        (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await, User::sign_in(&system, "other").await);
    let (status, imported) = import(&admin, &all_kinds().to_string()).await;
    assert_eq!((status, imported["features"].as_array().unwrap().len()), (StatusCode::OK, 3), "{imported}");
    let first = kept(&admin).await;
    let names: Vec<_> = first.iter().map(|f| f["properties"]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Circle", "Corridor", "Hole"]);
    assert_eq!(first[2]["geometry"]["coordinates"].as_array().unwrap().len(), 2, "its hole");
    assert_eq!(first[2]["properties"]["group"], "Yards");
    assert_eq!(first[1]["properties"]["schedule"]["hours"], json!(["mon-fri 08:00-18:00"]));

    // Changed and put back: the same geofences, which know that they are newer.
    let mut exported = admin.get("/api/geofences").await;
    for feature in exported["features"].as_array_mut().unwrap() {
        let name = format!("New {}", feature["properties"]["name"].as_str().unwrap());
        feature["properties"]["name"] = json!(name);
    }
    let (status, answer) = import(&admin, &exported.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let again = admin.get("/api/geofences").await;
    let of = |all: &Value, key: &str| -> Vec<Value> {
        all["features"].as_array().unwrap().iter().map(|f| f["properties"][key].clone()).collect()
    };
    assert_eq!((of(&again, "id"), of(&again, "name")), (of(&exported, "id"), of(&exported, "name")));
    let versions = |all: &Value| -> Vec<u64> { of(all, "version").iter().map(|v| v.as_u64().unwrap()).collect() };
    assert!(versions(&again).iter().zip(versions(&exported)).all(|(new, old)| *new > old));
    let shapes = |all: &[Value]| -> Vec<Value> { all.iter().map(|f| f["geometry"].clone()).collect() };
    assert_eq!(shapes(&kept(&admin).await), shapes(&first), "as it was");

    // Ids of another organisation's are no ids here; its fleet is none, so that file is left.
    let mut theirs = exported.clone();
    for feature in theirs["features"].as_array_mut().unwrap() {
        feature["properties"]["fleet"] = Value::Null;
    }
    let (status, answer) = import(&other, &theirs.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert!(of(&other.get("/api/geofences").await, "id").iter().all(|id| !of(&exported, "id").contains(id)));
    assert_eq!(import(&other, &exported.to_string()).await.0, StatusCode::NOT_FOUND);
    assert_eq!(import(&viewer, &exported.to_string()).await.0, StatusCode::FORBIDDEN);
    assert_eq!(admin.get("/api/geofences").await, again);
    system.stop().await;
}

#[tokio::test]
async fn kml_and_well_known_text_are_imported_and_a_broken_file_changes_nothing() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let kml = "<kml xmlns=\"http://www.opengis.net/kml/2.2\"><Document><Placemark><name>From KML</name>\
        <ExtendedData><Data name=\"group\"><value>Depots</value></Data>\
        <Data name=\"exit_margin_m\"><value>15</value></Data></ExtendedData>\
        <Polygon><outerBoundaryIs><LinearRing><coordinates>1,1 2,1 2,2 1,1</coordinates></LinearRing></outerBoundaryIs>\
        </Polygon></Placemark></Document></kml>";
    for (text, name) in [(kml, "From KML"), ("From text;POLYGON((1 1,2 1,2 2,1 1))", "From text")] {
        let (status, answer) = import(&admin, text).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let told = &answer["features"][0];
        assert_eq!((&told["properties"]["name"], &told["geometry"]["type"]), (&json!(name), &json!("Polygon")));
    }
    let before = kept(&admin).await;
    assert_eq!((before.len(), &before[0]["properties"]["group"]), (2, &json!("Depots")));
    assert_eq!(before[0]["properties"]["exit_margin_m"], 15.0);
    let mut bow_tie = all_kinds();
    bow_tie["features"][0]["geometry"]["coordinates"] = json!([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]);
    let mut nameless = all_kinds();
    nameless["features"][2]["properties"]["name"] = json!(" ");
    for (text, problem) in [
        ("{".to_owned(), "not JSON"),
        (kml[..kml.len() / 2].to_owned(), ""),
        ("From text;POLYGON((1 1,2 1".to_owned(), ""),
        ("hello".to_owned(), "line 1"),
        (bow_tie.to_string(), "feature 0"),
        (nameless.to_string(), "a name has"),
    ] {
        let (status, answer) = import(&admin, &text).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        assert!(answer["error"].as_str().is_some_and(|e| !e.is_empty() && e.contains(problem)), "{text}: {answer}");
    }
    // All or none: the good ones beside the bad one are not there either.
    assert_eq!(kept(&admin).await, before);
    let (status, _) = admin.ask(Method::DELETE, "/api/geofences/nobody", None).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    system.stop().await;
}
