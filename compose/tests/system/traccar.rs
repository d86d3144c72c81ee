//! A fleet moves here from Traccar: recorded buses, as its tables and as its REST interface would have them.

use crate::commands::{rows, text, well};
use crate::common::{System, settings, shared};
use axum::extract::Query;
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::io::Read;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use tokio::net::{TcpListener, TcpStream};
use waystream_domain::Timestamp;
use waystream_tls::{Encryption, Entrance, TlsFiles, TlsStream, Welcome};

/// A recording, and what Traccar would know of it.
struct Recorded {
    csv: String,
    devices: Vec<Value>,
    positions: Vec<Value>,
}

impl Recorded {
    fn read() -> Self {
        let file = std::fs::File::open(shared("data/tracks/liverpool_bus.csv.gz")).unwrap();
        let mut csv = String::new();
        flate2::read::MultiGzDecoder::new(file).read_to_string(&mut csv).unwrap();
        let mut keys: BTreeMap<String, usize> = BTreeMap::new();
        let mut positions = Vec::new();
        for line in csv.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let next = keys.len() + 1;
            let key = *keys.entry(fields[0].to_owned()).or_insert(next);
            let number = |field: &str| field.parse::<f64>().unwrap();
            positions.push(json!({
                "id": positions.len(), "deviceId": key, "protocol": "teltonika", "fixTime": fields[1], "valid": true, "address": null,
                "latitude": number(fields[2]), "longitude": number(fields[3]), "altitude": 0.0, "speed": 10.0, "course": 90.0,
                "accuracy": 0.0, "attributes": { "ignition": true, "totalDistance": 12.5 },
            }));
        }
        let device = |(id, key): (&String, &usize)| json!({ "id": key, "uniqueId": id, "name": format!("Bus {key}"), "groupId": key % 2 });
        Self { csv, devices: keys.iter().map(device).collect(), positions }
    }
}

fn groups() -> Value {
    json!([{ "id": 1, "name": "Odd buses" }])
}

fn geofences() -> Value {
    json!([
        { "id": 4, "name": "Depot", "area": "CIRCLE (53.4 -2.98, 300)", "attributes": {} },
        { "id": 5, "name": "Bow tie", "area": "POLYGON ((53.0 -2.0, 53.1 -2.1, 53.1 -2.0, 53.0 -2.1, 53.0 -2.0))", "attributes": {} },
    ])
}

/// Three who may come, one who sees a single bus, and three who may not sign in there.
fn users() -> Value {
    let user = |id: u64, email: &str, changed: Value| {
        let mut user = json!({
            "id": id, "name": format!("User {id}"), "login": null, "email": email, "phone": "", "administrator": false, "readonly": false,
            "deviceReadonly": false, "limitCommands": false, "disabled": false, "temporary": false, "expirationTime": null,
            "hashedPassword": "5a1d0c", "salt": "77",
        });
        user.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        user
    };
    json!([
        user(1, "boss@example.org", json!({ "administrator": true })),
        user(2, "office@example.org", json!({})),
        user(3, "wall@example.org", json!({ "readonly": true })),
        user(4, "driver@example.org", json!({})),
        user(5, "gone@example.org", json!({ "disabled": true })),
        user(6, "guest@example.org", json!({ "expirationTime": "2020-01-01T00:00:00.000+00:00" })),
        user(7, "", json!({})),
    ])
}

/// Whether a device is linked to a user. The odd ones are not, to those who have their group.
fn is_linked(user: u64, device: u64) -> bool {
    match user {
        2 | 3 => device.is_multiple_of(2),
        _ => device == 3,
    }
}

/// As a database writes it: columns in capital letters, quotes doubled.
fn write_table(folder: &Path, name: &str, rows: &[Value]) {
    let columns: Vec<&String> = rows[0].as_object().unwrap().keys().collect();
    let mut csv = columns.iter().map(|name| name.to_ascii_uppercase()).collect::<Vec<_>>().join(",") + "\n";
    for row in rows {
        let field = |name: &&String| match &row[name.as_str()] {
            Value::Null => String::new(),
            Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
            other => format!("\"{}\"", other.to_string().replace('"', "\"\"")),
        };
        writeln!(csv, "{}", columns.iter().map(field).collect::<Vec<_>>().join(",")).unwrap();
    }
    std::fs::write(folder.join(format!("tc_{name}.csv")), csv).unwrap();
}

/// What has to be there afterwards.
fn check(data: &str, recorded: &Recorded) {
    assert_eq!(rows(&well(&["export", "--data", data])), rows(&recorded.csv));
    let ask = |query: &str| well(&["sql", query, "--data", data, "--format", "csv"]);
    let fleets =
        "SELECT f.name, count(*) AS devices FROM devices d JOIN fleets f ON f.fleet = d.fleet GROUP BY f.name ORDER BY f.name";
    assert_eq!(ask(fleets), "name,devices\nDefault fleet,4\nOdd buses,4\n");
    assert_eq!(ask("SELECT name FROM geofences"), "name\nDepot\n");
    let told = "SELECT DISTINCT round(speed_mps, 3) AS mps, attributes FROM positions";
    let known = well(&["user", "list", "--data", data]);
    let expected = [("boss", "owner"), ("office", "dispatcher"), ("wall", "viewer")];
    let expected = expected.map(|(name, role)| format!("{name}@example.org\tdefault\t{role}\tno\n")).concat();
    assert_eq!(known, format!("user\torganisation\trole\tpassword\nadmin\tdefault\towner\tno\n{expected}"));
    assert_eq!(ask(told), "mps,attributes\n5.144,\"{\"\"ignition\"\":true}\"\n");
}

#[test]
fn tables_of_traccar_become_fleets_devices_geofences_and_history() {
    let recorded = Recorded::read();
    let (tables, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_table(tables.path(), "devices", &recorded.devices);
    write_table(tables.path(), "groups", groups().as_array().unwrap());
    write_table(tables.path(), "geofences", geofences().as_array().unwrap());
    let mut positions = recorded.positions.clone();
    positions.push(json!({ "deviceId": 99, "fixTime": "2024-06-03 04:11:04" }));
    write_table(tables.path(), "positions", &positions);

    write_table(tables.path(), "users", users().as_array().unwrap());
    let links = |user| {
        (1..=8).filter(move |device| is_linked(user, *device)).map(move |device| json!({ "userId": user, "deviceId": device }))
    };
    let links: Vec<Value> = [2, 3, 4].into_iter().flat_map(links).collect();
    write_table(tables.path(), "user_device", &links);
    write_table(tables.path(), "user_group", &[2, 3].map(|user| json!({ "userId": user, "groupId": 1 })));

    let data = text(folder.path());
    let import = || well(&["import", "traccar", text(tables.path()), "--data", data]);
    // The bow tie, four users, and the position of a device that there is not.
    let said = import();
    let (counts, invitation) = said.split_once('\n').unwrap();
    assert_eq!(counts, "10 fleets, devices and geofences, 3 users and 1533 positions imported, 6 rows left out");
    assert!(invitation.contains("`waystream user link NAME`"), "{invitation}");
    assert!(invitation.ends_with(": boss@example.org, office@example.org, wall@example.org\n"), "{invitation}");
    check(data, &recorded);
    let link = well(&["user", "link", "office@example.org", "--data", data]);
    assert!(link.starts_with("/sign-in?token="), "{link}");
    // Once more, into a system that runs: what is there stays as it is.
    let _system = System::start(folder.path(), &settings(&[])).unwrap();
    assert_eq!(import(), "0 fleets, devices and geofences, 0 users and 1533 positions imported, 6 rows left out\n");
    check(data, &recorded);
    // Who saw one bus sees all, if that is wanted.
    let said = well(&["import", "traccar", text(tables.path()), "--all-users", "--data", data]);
    assert!(said.contains(" 1 users and ") && said.ends_with(": driver@example.org\n"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_runs_is_asked_for_all_of_it() {
    let recorded = std::sync::Arc::new(Recorded::read());
    let token = |headers: &HeaderMap| ["Bearer known", "Bearer plain"].iter().any(|known| headers["authorization"] == *known);
    let fixed = |answer: Value| {
        get(async move |headers: HeaderMap| match token(&headers) {
            true => Json(answer.clone()).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        })
    };
    let positions = {
        let recorded = std::sync::Arc::clone(&recorded);
        get(async move |Query(asked): Query<HashMap<String, String>>| {
            let time = |name: &str| Timestamp::parse(&asked[name]).unwrap();
            let (from, to, key) = (time("from"), time("to"), asked["deviceId"].parse::<u64>().unwrap());
            let wanted = |p: &&Value| {
                p["deviceId"] == key && (from..=to).contains(&Timestamp::parse(p["fixTime"].as_str().unwrap()).unwrap())
            };
            Json(recorded.positions.iter().filter(wanted).cloned().collect::<Vec<_>>())
        })
    };
    let devices = {
        let devices = recorded.devices.clone();
        get(async move |headers: HeaderMap, Query(asked): Query<HashMap<String, String>>| {
            let user = asked.get("userId").map(|user| user.parse::<u64>().unwrap());
            let wanted = |device: &&Value| match user {
                Some(user) => is_linked(user, device["id"].as_u64().unwrap()),
                // What is linked to who asks is nothing.
                None => asked.contains_key("all"),
            };
            match token(&headers) {
                true => Json(devices.iter().filter(wanted).cloned().collect::<Vec<_>>()).into_response(),
                false => StatusCode::UNAUTHORIZED.into_response(),
            }
        })
    };
    let groups = get(async move |headers: HeaderMap, Query(asked): Query<HashMap<String, String>>| {
        let wanted = asked.get("userId").is_none_or(|user| ["2", "3"].contains(&user.as_str()));
        match token(&headers) {
            true => Json(if wanted { groups() } else { json!([]) }).into_response(),
            false => StatusCode::UNAUTHORIZED.into_response(),
        }
    });
    let people = get(async |headers: HeaderMap| match headers["authorization"] == "Bearer known" {
        true => Json(users()).into_response(),
        // So is who is no administrator.
        false => StatusCode::BAD_REQUEST.into_response(),
    });
    let router = Router::new()
        .route("/fleet/api/devices", devices)
        .route("/fleet/api/users", people)
        .route("/fleet/api/groups", groups)
        .route("/fleet/api/geofences", fixed(geofences()))
        .route("/fleet/api/positions", positions);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/fleet", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });

    let times: BTreeSet<&str> = recorded.positions.iter().map(|p| p["fixTime"].as_str().unwrap()).collect();
    let since = times.first().unwrap().to_string();
    let (folder, wanted) = (tempfile::tempdir().unwrap(), std::sync::Arc::clone(&recorded));
    tokio::task::spawn_blocking(move || {
        let data = text(folder.path());
        let import = |token: &str| {
            crate::common::run(&["import", "traccar", "--url", &url, "--token", token, "--since", &since, "--data", data])
                .unwrap()
        };
        let (_, why, ended_well) = import("unknown");
        assert!(!ended_well && why.contains("/fleet/api/groups of 127.0.0.1") && why.contains("401"), "{why}");
        let (said, why, ended_well) = import("plain");
        assert!(ended_well && said.starts_with("10 fleets, devices and geofences, 0 users and 1533 positions"), "{said} {why}");
        assert!(why.contains("only an administrator's token is told of them"), "{why}");
        let (said, why, ended_well) = import("known");
        assert!(ended_well && said.starts_with("0 fleets, devices and geofences, 3 users and 1533 positions"), "{said} {why}");
        assert!(why.contains("driver@example.org sees 1 of 8 devices there"), "{why}");
        check(data, &wanted);
        // It leads to this machine as well, but is none of the addresses of which that is known.
        let elsewhere = url.replace("127.0.0.1", "0.0.0.0");
        let asked = ["import", "traccar", "--url", &elsewhere, "--token", "unknown", "--since", &since, "--data", data];
        let (_, why, ended_well) = crate::common::run(&asked).unwrap();
        assert!(!ended_well && why.contains("others could read the token on its way to 0.0.0.0:"), "{why}");
        let (_, why, ended_well) = crate::common::run(&[&asked[..], &["--insecure"]].concat()).unwrap();
        assert!(!ended_well && why.contains("/fleet/api/groups of 0.0.0.0") && why.contains("401"), "{why}");
    })
    .await
    .unwrap();
}

/// Speaks TLS and nothing else.
struct Encrypted {
    listener: TcpListener,
    entrance: Entrance,
}

impl Listener for Encrypted {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, peer) = TcpListener::accept(&self.listener).await.unwrap();
            let Ok(Welcome::Tls(acceptor)) = self.entrance.welcome(&stream, peer.ip()).await else { continue };
            if let Ok(stream) = acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// `ca.pem`, `stranger.pem`, and of the first a certificate for this machine: `server.pem` and `server.key`.
fn certificates(folder: &Path) -> TlsFiles {
    let openssl = |arguments: &str| {
        let output =
            Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    for name in ["ca", "stranger"] {
        openssl(&format!("req -x509 {key} -keyout {name}.key -out {name}.pem -subj /CN={name} -days 2"));
    }
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    openssl(&format!("req {key} -keyout server.key -out server.csr -subj /CN=localhost"));
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names");
    TlsFiles { certificate: folder.join("server.pem"), key: folder.join("server.key") }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_asked_encrypted_if_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let files = certificates(folder.path());
    let entrance = Encryption { files: Some(files), insecure: false }.entrance("traccar", &[]).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let router = Router::new()
        .route("/api/devices", get(async || Json(json!([{ "id": 1, "uniqueId": "van-1", "name": "Van" }]))))
        .fallback(async || Json(json!([])));
    tokio::spawn(async move { axum::serve(Encrypted { listener, entrance }, router).await });

    tokio::task::spawn_blocking(move || {
        let data = folder.path().join("data");
        std::fs::create_dir(&data).unwrap();
        let import = |authority: &str| {
            let authority = folder.path().join(authority);
            let asked = ["import", "traccar", "--url", &url, "--token", "known", "--since", "2026-11-30T00:00:00Z"];
            crate::common::run(&[&asked[..], &["--ca-file", text(&authority), "--data", text(&data)]].concat()).unwrap()
        };
        let (_, why, ended_well) = import("stranger.pem");
        assert!(!ended_well && why.contains("/api/groups of localhost: the server's certificate is not trusted"), "{why}");
        let (_, why, ended_well) = import("nowhere.pem");
        assert!(!ended_well && why.contains("--ca-file") && why.contains("nowhere.pem"), "{why}");
        let (said, why, ended_well) = import("ca.pem");
        assert!(ended_well && said.starts_with("1 fleets, devices and geofences, 0 users and 0 positions"), "{said} {why}");
    })
    .await
    .unwrap();
}
