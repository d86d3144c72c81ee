//! REST: signing in, the catalog, history, and that nobody sees or changes what is another organisation's.

#![allow(clippy::unwrap_used)]

mod system;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use system::user::{User, channel_and_rule, share};
use system::{START_MS, System, device, event, in_ms, live, position, unknown_device};
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

    let square = json!({ "type": "Feature", "properties": { "name": "Yard", "colour": "#ff0000", "fleet": "north" },
        "geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] } });
    let (status, yard) = admin.ask(Method::POST, "/api/geofences", Some(&square)).await;
    assert_eq!((status, &yard["properties"]["name"]), (StatusCode::CREATED, &json!("Yard")));
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
    let mut bad = square.clone();
    bad["geometry"]["coordinates"] = json!([[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]);
    let (status, answer) = admin.ask(Method::POST, "/api/geofences", Some(&bad)).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("crosses"), "{answer}");
    for (change, value) in [
        ("colour", json!("red")),
        ("fleet", json!("their")),
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
    let cursor = events["cursor"].as_str().unwrap();
    assert_eq!(admin.get(&format!("/api/events?after={cursor}")).await["events"], json!([]));
    let (_, answer) =
        admin.ask(Method::POST, "/api/sql", Some(&json!({ "query": "SELECT count(*) AS n, max(lat) FROM positions" }))).await;
    assert_eq!((&answer["columns"][0]["name"], &answer["rows"]), (&json!("n"), &json!([[100, 9.9]])));
    for query in ["DELETE FROM positions", "SELECT", "SELECT nonsense FROM positions"] {
        assert_eq!(admin.ask(Method::POST, "/api/sql", Some(&json!({ "query": query }))).await.0, 400, "{query}");
    }
    for bad in ["/api/events?after=x", "/api/events?kind=party", "/api/devices/a/track?from=soon", "/api/export?format=pdf"] {
        assert_eq!(admin.ask(Method::GET, bad, None).await.0, 400, "{bad}");
    }
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
    let mut asked = 0;
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
                "/api/export" => address += "?format=csv&device=ours-1",
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
                "/api/users/{id}" => Some(json!({ "role": "viewer" })),
                "/api/alerts/acknowledgements" => Some(json!({ "event_ids": [alert], "note": "Mine" })),
                p if p.starts_with("/api/notifications/reports") => Some(summary.clone()),
                p if p.ends_with("/share-links") => Some(json!({ "expires_at": in_ms(60_000) })),
                "/api/transfers/redeem" => {
                    Some(json!({ "code": "0123-4567-89ab-cdef-0123-4567", "name": "Mine", "fleet": "their" }))
                }
                p if p.ends_with("/commands") => Some(json!({ "instruction": "engine_stop" })),
                "/api/sql" => Some(json!({ "query": "SELECT device, lat FROM positions" })),
                p if p.starts_with("/api/devices") || p.starts_with("/api/unknown-devices") => {
                    Some(json!({ "name": "Mine", "fleet": "their" }))
                }
                "/api/session" | "/api/session/password" => continue,
                _ => Some(json!({ "id": "north", "name": "Mine" })),
            };
            let body = body.filter(|_| method != "get" && method != "delete");
            let method: Method = method.to_uppercase().parse().unwrap();
            let (status, answer) = other.ask(method.clone(), &address, body.as_ref()).await;
            let shown = answer.to_string().replace(&address, "");
            assert!(!shown.contains("Secret") && !shown.contains("10.0"), "{method} {address}: {answer}");
            if path.contains("{id}") && path != "/api/devices/{id}/track" {
                assert_eq!(status, 404, "{method} {address}: {answer}");
            }
            if path != "/api/config" && !path.starts_with("/api/session/oidc") {
                assert_eq!(nobody.ask(method.clone(), &address, body.as_ref()).await.0, 401, "{method} {address}");
            }
            asked += 1;
        }
    }
    assert!(asked >= 40, "{asked} operations");
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
    system.stop().await;
}

#[tokio::test]
async fn a_query_ends_when_its_client_goes_away() {
    let long = std::time::Duration::from_secs(3_600);
    let limits =
        SqlOptions { queries: 1, busy_after: std::time::Duration::from_millis(500), deadline: long, ..Default::default() };
    let system = System::start_asking(Default::default(), limits).await;
    let scope = Scope::new("ours".parse().unwrap(), ["north".parse().unwrap()]);
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
