//! REST: signing in, the catalog.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use system::user::User;
use system::{System, device, live};
use waystream_gateway::GatewayConfig;
use waystream_sql::{Scope, SqlError, SqlOptions};

#[tokio::test]
async fn signing_in_works_once_by_link_then_by_password() {
    let system = System::start().await;
    let nobody = User::nobody(&system);
    assert_eq!(nobody.ask(Method::GET, "/api/session", None).await.0, 401);
    let link = system.links.link(&system::id("admin")).await.unwrap();
    let http = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let first = http.get(&link).send().await.unwrap();
    assert_eq!((first.status(), first.headers()["location"].to_str().unwrap()), (StatusCode::SEE_OTHER, "/"));
    assert_eq!(http.get(&link).send().await.unwrap().status(), 401);

    let admin = User::sign_in(&system, "admin").await;
    let session = admin.get("/api/session").await;
    assert_eq!(
        (&session["user"], &session["role"], &session["has_password"]),
        (&json!("admin"), &json!("owner"), &json!(false))
    );
    assert_eq!(session["fleets"], json!([{ "id": "north", "name": "NORTH" }, { "id": "south", "name": "SOUTH" }]));
    let password = |text: &str| json!({ "password": text });
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&password("short"))).await.0, 400);
    let long = "correct horse battery";
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&password(long))).await.0, 204);

    // What a user chooses is the user's, in whatever browser.
    let preferences = json!({ "units": "imperial", "time_zone": "Asia/Tokyo" });
    assert_eq!(session["preferences"], Value::Null);
    assert_eq!(admin.ask(Method::PUT, "/api/session/preferences", Some(&preferences)).await.0, 204);
    for bad in [json!({ "units": "cubits", "time_zone": null }), json!({ "units": "metric", "time_zone": "<b>" })] {
        assert!(admin.ask(Method::PUT, "/api/session/preferences", Some(&bad)).await.0.is_client_error(), "{bad}");
    }
    assert_eq!(User::sign_in(&system, "admin").await.get("/api/session").await["preferences"], preferences);
    assert_eq!(User::sign_in(&system, "viewer").await.get("/api/session").await["preferences"], Value::Null);

    let sign_in = |user: &str, password: &str| json!({ "user": user, "password": password });
    for (user, wrong) in [("admin", "wrong horse battery"), ("nobody", long), ("viewer", ""), ("", "")] {
        let (status, answer) = nobody.ask(Method::POST, "/api/session", Some(&sign_in(user, wrong))).await;
        assert_eq!((status, answer["error"].as_str()), (StatusCode::UNAUTHORIZED, Some("user or password is wrong")));
    }
    let (status, session) = nobody.ask(Method::POST, "/api/session", Some(&sign_in("admin", long))).await;
    assert_eq!((status, &session["has_password"]), (StatusCode::OK, &json!(true)));
    for _ in 0..8 {
        nobody.ask(Method::POST, "/api/session", Some(&sign_in("admin", "guess"))).await;
    }
    assert_eq!(nobody.ask(Method::POST, "/api/session", Some(&sign_in("admin", long))).await.0, 429);
    assert_eq!(admin.ask(Method::DELETE, "/api/session", None).await.0, 204);
    assert_eq!(admin.ask(Method::GET, "/api/session", None).await.0, 401);
    system.stop().await;
}

#[tokio::test]
async fn other_web_sites_may_not_speak_for_a_user() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let fleets = format!("{}/api/fleets", system.url);
    let post = || admin.http.post(&fleets).header("cookie", &admin.cookie).json(&json!({ "name": "East" }));
    assert_eq!(post().send().await.unwrap().status(), 403);
    assert_eq!(post().header("x-waystream", "1").header("origin", "http://evil.example").send().await.unwrap().status(), 403);
    assert_eq!(post().header("x-waystream", "1").header("origin", &system.url).send().await.unwrap().status(), 201);
    let page = admin.http.get(&system.url).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("img-src 'self' data: blob: https://tile.openstreetmap.org;"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
    system.stop().await;
}

#[tokio::test]
async fn the_catalog_is_edited() {
    let system = System::start().await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let (status, fleet) = admin.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "Night shift" }))).await;
    assert_eq!((status, &fleet["id"]), (StatusCode::CREATED, &json!("night-shift")));
    assert_eq!(admin.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "Night  shift" }))).await.0, 409);
    assert_eq!(viewer.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "Mine" }))).await.0, 403);
    let van = json!({ "name": "Van 7", "fleet": "night-shift" });
    assert_eq!(admin.ask(Method::PUT, "/api/devices/356307042441013", Some(&van)).await.0, 200);
    assert_eq!(admin.ask(Method::DELETE, "/api/fleets/night-shift", None).await.0, 409);
    assert_eq!(
        admin.get("/api/devices?fleet=night-shift").await,
        json!([{ "id": "356307042441013", "name": "Van 7", "fleet": "night-shift" }])
    );
    // It reports, and another one that nobody has entered.
    system.move_to("north", vec![live("356307042441013", "night-shift", 1, 10.0), live("unknown", "north", 1, 11.0)]).await;
    let mut details = Value::Null;
    while details["position"].is_null() {
        details = admin.get("/api/devices/356307042441013").await;
    }
    assert_eq!((&details["position"]["lat"], &details["position"]["attributes"]["ignition"]), (&json!(10.0), &json!(true)));
    assert_eq!(admin.get("/api/devices").await.as_array().unwrap().len(), 2);
    assert_eq!(admin.get("/api/slots").await["slots"].as_array().unwrap().len(), 2);

    let square = json!({ "type": "Feature", "properties": { "name": "Yard", "colour": "#ff0000", "fleet": "north", "group": " Depots " },
        "geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] } });
    let (status, yard) = admin.ask(Method::POST, "/api/geofences", Some(&square)).await;
    assert_eq!((status, &yard["properties"]["name"]), (StatusCode::CREATED, &json!("Yard")));
    assert_eq!(yard["properties"]["group"], "Depots");
    let id = yard["properties"]["id"].as_str().unwrap();
    let circle = json!({ "type": "Feature", "properties": { "name": "Round", "radius_m": 500 },
        "geometry": { "type": "Point", "coordinates": [21.0, 52.0] } });
    let (status, round) = admin.ask(Method::PUT, &format!("/api/geofences/{id}"), Some(&circle)).await;
    assert_eq!(
        (status, &round["properties"]["radius_m"], &round["properties"]["id"]),
        (StatusCode::OK, &json!(500.0), &json!(id))
    );
    assert!(round["properties"]["version"].as_u64() > yard["properties"]["version"].as_u64());
    let road = json!({ "type": "Feature", "geometry": { "type": "LineString", "coordinates": [[21, 52], [22, 52]] },
        "properties": { "name": "Road", "width_m": 50, "exit_margin_m": 20, "min_dwell_s": 30, "schedule": null } });
    let (status, road) = admin.ask(Method::PUT, &format!("/api/geofences/{id}"), Some(&road)).await;
    let told = |name: &str| road["properties"][name].as_f64();
    assert_eq!(
        (status, told("width_m"), told("exit_margin_m"), told("min_dwell_s")),
        (StatusCode::OK, Some(50.0), Some(20.0), Some(30.0))
    );
    // Who began with an older version would undo what was done since.
    let (status, answer) = admin.ask(Method::PUT, &format!("/api/geofences/{id}"), Some(&round)).await;
    assert_eq!(status, 409);
    assert!(answer["error"].as_str().unwrap().contains("meanwhile"), "{answer}");
    let mut renamed = road.clone();
    renamed["properties"]["name"] = json!("Narrow road");
    let (status, renamed) = admin.ask(Method::PUT, &format!("/api/geofences/{id}"), Some(&renamed)).await;
    assert_eq!((status, &renamed["properties"]["name"]), (StatusCode::OK, &json!("Narrow road")));
    let mut bad = square.clone();
    bad["geometry"]["coordinates"] = json!([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]);
    let (status, answer) = admin.ask(Method::POST, "/api/geofences", Some(&bad)).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("crosses"), "{answer}");
    for (change, value) in [
        ("colour", json!("red")),
        ("fleet", json!("their")),
        ("group", json!("g".repeat(201))),
        ("name", json!(" ")),
        ("exit_margin_m", json!(-1)),
        ("schedule", json!("always")),
    ] {
        let mut bad = square.clone();
        bad["properties"][change] = value;
        assert!(admin.ask(Method::POST, "/api/geofences", Some(&bad)).await.0.is_client_error(), "{change}");
    }
    assert_eq!(admin.get("/api/geofences").await["features"].as_array().unwrap().len(), 1);
    assert_eq!(admin.ask(Method::DELETE, &format!("/api/geofences/{id}"), None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/356307042441013", None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, "/api/fleets/night-shift", None).await.0, 204);
    system.stop().await;
}

#[tokio::test]
async fn commands_are_queued_listed_and_taken_back() {
    let system = System::start().await;
    system.edit(device("Van", "ours-1", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let path = "/api/devices/ours-1/commands";
    let give = async |user: &User, command: Value| user.ask(Method::POST, path, Some(&command)).await;
    let (status, stop) = give(&admin, json!({ "instruction": "engine_stop", "expires_in_s": 600 })).await;
    assert_eq!(status, 201, "{stop}");
    assert_eq!((&stop["instruction"], &stop["state"], &stop["by"]), (&json!("engine_stop"), &json!("queued"), &json!("admin")));
    assert_eq!(stop["expires_at"].as_i64().unwrap() - stop["queued_at"].as_i64().unwrap(), 600_000);
    let every = give(&admin, json!({ "instruction": "report_every", "seconds": 30 })).await.1;
    assert_eq!(every["parameters"], json!({ "seconds": 30 }));
    let listed = admin.get(path).await;
    assert_eq!(listed.as_array().unwrap().iter().map(|c| &c["id"]).collect::<Vec<_>>(), [&stop["id"], &every["id"]]);

    for (command, error) in [
        (json!({ "instruction": "report_every" }), "missing field `seconds`"),
        (json!({ "instruction": "report_every", "seconds": 0 }), "seconds are 1 to 86,400"),
        (json!({ "instruction": "self_destruct" }), "self_destruct"),
        (json!({ "instruction": "bytes", "hex": "0" }), "hex has two hexadecimal digits for each byte"),
        (json!({ "instruction": "restart", "expires_in_s": 0 }), "expires_in_s is 1 to 2592000"),
    ] {
        let (status, answer) = give(&admin, command.clone()).await;
        assert_eq!(status, 400, "{command}: {answer}");
        assert!(answer["error"].as_str().unwrap().contains(error), "{command}: {answer}");
    }
    // Who may only look sees them and gives none.
    let viewer = User::sign_in(&system, "viewer").await;
    assert_eq!(viewer.get(path).await.as_array().unwrap().len(), 2);
    assert_eq!(give(&viewer, json!({ "instruction": "engine_stop" })).await.0, 403);
    let one = format!("{path}/{}", stop["id"].as_str().unwrap());
    assert_eq!(viewer.ask(Method::DELETE, &one, None).await.0, 403);

    assert_eq!(admin.ask(Method::DELETE, &one, None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, &one, None).await.0, 409);
    assert_eq!(admin.get(path).await[0]["state"], "cancelled");
    assert_eq!(admin.ask(Method::DELETE, &format!("{path}/nothing"), None).await.0, 404);
    // So many wait for one device, no more; after a restart they still do.
    for _ in 0..31 {
        assert_eq!(give(&admin, json!({ "instruction": "restart" })).await.0, 201);
    }
    assert_eq!(give(&admin, json!({ "instruction": "restart" })).await.0, 409);
    let before = admin.get(path).await;
    let system = system.restart(GatewayConfig::default()).await;
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.get(path).await, before);
    system.stop().await;
}

#[tokio::test]
async fn queries_are_kept_for_the_organisation() {
    let system = System::start().await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let edit = json!({ "name": "Fast ones", "query": "SELECT device FROM positions WHERE speed_mps > 30" });
    let (status, kept) = admin.ask(Method::POST, "/api/queries", Some(&edit)).await;
    assert_eq!((status.as_u16(), &kept["query"]), (201, &edit["query"]));
    let address = format!("/api/queries/{}", kept["id"].as_str().unwrap());
    let other = json!({ "name": "All", "query": "SELECT 1" });
    assert_eq!(viewer.ask(Method::PUT, &address, Some(&other)).await.0, 403);
    assert_eq!(viewer.get("/api/queries").await, json!([kept]));
    assert_eq!(admin.ask(Method::PUT, &address, Some(&other)).await.1["name"], "All");
    for bad in [json!({ "name": "", "query": "SELECT 1" }), json!({ "name": "x", "query": " " })] {
        assert_eq!(admin.ask(Method::POST, "/api/queries", Some(&bad)).await.0, 400);
    }
    assert_eq!(admin.ask(Method::DELETE, &address, None).await.0, 204);
    assert_eq!((admin.get("/api/queries").await, admin.ask(Method::DELETE, &address, None).await.0.as_u16()), (json!([]), 404));
    system.stop().await;
}

#[tokio::test]
async fn the_map_answers_for_the_latest_positions() {
    let system = System::start().await;
    system.move_to("north", vec![live("a", "north", 1, 10.0)]).await;
    system.move_to("their", vec![live("b", "their", 1, 20.0)]).await;
    let admin = User::sign_in(&system, "admin").await;
    while admin.get("/api/devices/a").await["position"].is_null() {}
    let asked = json!({ "query": "SELECT device, fleet, lat, ignition FROM latest_positions" });
    let (_, answer) = admin.ask(Method::POST, "/api/sql", Some(&asked)).await;
    assert_eq!(answer["rows"], json!([["a", "north", 10.0, true]]));

    // More than are looked at before others may have the map, in two fleets, and somebody else's between them.
    for (fleet, many) in [("south", 700), ("their", 300), ("north", 500)] {
        let moved = (0..many).map(|n| live(&format!("{fleet}-{n}"), fleet, 2, 30.0));
        system.move_to(fleet, moved.collect()).await;
    }
    let asked = json!({ "query": "SELECT fleet, count(DISTINCT device) FROM latest_positions GROUP BY 1 ORDER BY 1" });
    let all = json!([["north", 501], ["south", 700]]);
    let told = async { while admin.ask(Method::POST, "/api/sql", Some(&asked)).await.1["rows"] != all {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), told).await.expect("all of them are told");
    system.stop().await;
}

#[tokio::test]
async fn a_query_ends_when_its_client_goes_away() {
    let long = std::time::Duration::from_secs(3_600);
    let limits =
        SqlOptions { queries: 1, busy_after: std::time::Duration::from_millis(500), deadline: long, ..Default::default() };
    let system = System::start_asking(Default::default(), limits).await;
    let scope = Scope::of_organisation(system::id("ours"), &system.catalog.shared().read().unwrap());
    let is_busy = async || match system.sql.query(&scope, "SELECT 1").await {
        Ok(mut rows) => rows.collect().await.is_err(),
        Err(SqlError::Busy) => true,
        Err(other) => panic!("{other}"),
    };
    let http = reqwest::Client::new();
    let cookie = system.cookie("admin").await;
    let post = |query: &str| {
        let body = json!({ "query": query, "format": "csv" });
        http.post(format!("{}/api/sql", system.url)).header("cookie", &cookie).header("x-waystream", "1").json(&body).send()
    };
    // One that sends rows, and one that computes in silence.
    let mut answer = post("SELECT value, value * 2 FROM generate_series(1, 1000000000000)").await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), answer.headers()["content-type"].to_str().unwrap()),
        (200, "text/csv; charset=utf-8")
    );
    assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"value"));
    assert!(is_busy().await);
    drop(answer);
    while is_busy().await {}

    let silent = tokio::spawn(post("SELECT sum(value) FROM generate_series(1, 1000000000000)"));
    while !is_busy().await {}
    silent.abort();
    while is_busy().await {}
    system.stop().await;
}

#[tokio::test]
async fn a_streamed_answer_arrives_whole_compressed_too() {
    let system = System::start().await;
    let cookie = system.cookie("admin").await;
    let sql = json!({ "query": "SELECT value FROM generate_series(1, 10000)", "format": "json" });
    for (encoding, head) in [("identity", b"{\""), ("gzip", b"\x1f\x8b")] {
        let request = reqwest::Client::new().post(format!("{}/api/sql", system.url)).json(&sql);
        let request = request.header("cookie", &cookie).header("x-waystream", "1").header("accept-encoding", encoding);
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.bytes().await.unwrap().starts_with(head), "{encoding}");
    }
    system.stop().await;
}
