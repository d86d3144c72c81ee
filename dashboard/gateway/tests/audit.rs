//! Who changed what: recorded whatever way it came, shown to owners of what is theirs, without secrets.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::System;
use system::user::{User, channel_and_rule};
use waystream_domain::UserId;
use waystream_log::audit::{AuditFilter, newest};

/// Everything that is recorded, as it is kept.
async fn kept(system: &System) -> Vec<String> {
    let page = newest(&*system.log, &AuditFilter { limit: 1_000, ..AuditFilter::default() }).await.unwrap();
    assert_eq!(page.before, None);
    page.records.iter().map(|(_, record)| serde_json::to_string(record).unwrap()).collect()
}

fn column<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    answer["changes"].as_array().unwrap().iter().map(|change| change[name].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn owners_see_who_changed_what_and_only_what_is_theirs() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let put = |name: &str| json!({ "name": name, "fleet": "north" });
    assert_eq!(admin.ask(Method::PUT, "/api/devices/v7", Some(&put("Van 7"))).await.0, 200);
    let token = json!({ "name": "Import", "scopes": ["edit"] });
    let token = admin.ask(Method::POST, "/api/tokens", Some(&token)).await.1;
    let program = reqwest::Client::new().put(format!("{}/api/devices/v7", system.url)).json(&put("Truck"));
    assert_eq!(program.bearer_auth(token["secret"].as_str().unwrap()).send().await.unwrap().status(), 200);
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/v7", None).await.0, 204);

    let seen = admin.get("/api/audit?kind=device").await;
    assert_eq!(seen["before"], Value::Null);
    assert_eq!(column(&seen, "change"), ["removed", "put", "put"]);
    assert_eq!(column(&seen, "via"), ["session", "token", "session"]);
    for name in ["by", "user", "address", "kind", "thing"] {
        let expected = match name {
            "by" => "user",
            "user" => "admin",
            "address" => "127.0.0.1",
            "kind" => "device",
            _ => "v7",
        };
        assert_eq!(column(&seen, name), [expected; 3], "{name}");
    }
    assert_eq!(seen["changes"][1]["access"], token["token"]["id"]);
    let names = |n: usize| (seen["changes"][n]["before"]["name"].clone(), seen["changes"][n]["after"]["name"].clone());
    assert_eq!(names(0), (json!("Truck"), Value::Null));
    assert_eq!(names(1), (json!("Van 7"), json!("Truck")));
    assert_eq!(names(2), (Value::Null, json!("Van 7")));

    // Page by page it is the same.
    let all = admin.get("/api/audit").await;
    let (mut paged, mut address) = (Vec::new(), "/api/audit?limit=2".to_owned());
    loop {
        let page = admin.get(&address).await;
        paged.extend(page["changes"].as_array().unwrap().clone());
        match page["before"].as_str() {
            Some(before) => address = format!("/api/audit?limit=2&before={before}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), all["changes"]);
    let now = all["changes"][0]["at"].as_i64().unwrap();
    let at = |from: i64| format!("/api/audit?kind=device&from={from}");
    assert_eq!(column(&admin.get(&at(now)).await, "change").first(), Some(&"removed"));
    assert!(column(&admin.get(&at(now + 1)).await, "change").is_empty());
    assert!(column(&admin.get(&format!("/api/audit?to={}", now - 600_000)).await, "change").is_empty());

    let other = User::sign_in(&system, "other").await;
    let theirs = other.get("/api/audit").await;
    assert!(column(&theirs, "change").contains(&"signed_in"));
    assert!(!theirs.to_string().contains("v7") && !theirs.to_string().contains("north"), "{theirs}");
    assert!(!theirs.to_string().contains("admin"), "{theirs}");
    let viewer = User::sign_in(&system, "viewer").await;
    assert_eq!(viewer.ask(Method::GET, "/api/audit", None).await.0, 403);
    assert_eq!(User::nobody(&system).ask(Method::GET, "/api/audit", None).await.0, 401);
    for wrong in ["kind=tyre", "limit=0", "limit=501", "from=soon", "before=x", "user=%20", "since=2026"] {
        assert_eq!(admin.ask(Method::GET, &format!("/api/audit?{wrong}"), None).await.0, 400, "{wrong}");
    }
    system.stop().await;
}

#[tokio::test]
async fn sign_ins_and_passwords_are_recorded_without_what_nobody_may_know() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let password = "correct horse battery";
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&json!({ "password": password }))).await.0, 204);
    let nobody = User::nobody(&system);
    let sign_in = async |user: &str, password: &str| {
        nobody.ask(Method::POST, "/api/session", Some(&json!({ "user": user, "password": password }))).await.0.as_u16()
    };
    assert_eq!(sign_in("admin", password).await, 200);
    // Whoever mistakes the one field for the other.
    assert_eq!(sign_in(password, "admin").await, 401);
    for status in [401, 401, 401, 401, 429] {
        assert_eq!(sign_in("admin", "wrong horse battery").await, status);
    }
    channel_and_rule(&admin).await;
    let token = json!({ "name": "Report", "scopes": ["sql"] });
    let secret = admin.ask(Method::POST, "/api/tokens", Some(&token)).await.1["secret"].as_str().unwrap().to_owned();
    assert_eq!(admin.ask(Method::DELETE, "/api/session", None).await.0, 204);

    let owner = User::sign_in(&system, "admin").await;
    let seen = owner.get("/api/audit?kind=user&user=admin").await;
    // What the throttle has kept away is not recorded, so nobody can fill the log with guesses.
    let failed = "sign_in_failed";
    assert_eq!(column(&seen, "change"), [failed, failed, failed, failed, "password_changed"]);
    assert_eq!(seen["changes"][0]["after"], json!({ "next_try_in_s": 1 }));
    assert_eq!((&seen["changes"][0]["by"], &seen["changes"][0]["address"]), (&json!("nobody"), &json!("127.0.0.1")));
    assert_eq!(seen["changes"][4]["after"]["password"], "hidden, changed");
    let sessions = owner.get("/api/audit?kind=session").await;
    assert_eq!(column(&sessions, "change"), ["signed_in", "signed_out", "signed_in", "signed_in"]);
    assert_eq!(column(&sessions, "via"), ["link", "session", "password", "link"]);

    let kept = kept(&system).await;
    assert!(kept.iter().any(|record| record.contains("\"user/?\"")), "the one who does not exist, for the command line");
    let id: UserId = system::id("admin");
    let hash = system.catalog.shared().read().unwrap().user_passwords[&id].hash.clone();
    let sessions: Vec<String> = system.catalog.shared().read().unwrap().sessions.keys().cloned().collect();
    let tokens = [&admin.cookie, &owner.cookie].map(|cookie| cookie.split_once('=').unwrap().1.to_owned());
    let secrets = [
        password.to_owned(),
        "wrong horse".to_owned(),
        hash,
        secret[20..].to_owned(),
        "0123456789abcdef".to_owned(),
        "token=7".to_owned(),
    ];
    for hidden in secrets.iter().chain(&sessions).chain(&tokens) {
        assert!(kept.iter().all(|record| !record.contains(hidden)), "{hidden} in {kept:#?}");
    }
    system.stop().await;
}
