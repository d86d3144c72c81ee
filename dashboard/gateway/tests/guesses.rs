//! Guessing passwords: who has to wait, and who has not.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::json;
use std::sync::Arc;
use system::System;
use system::user::User;
use tokio::task::JoinSet;
use waystream_domain::catalog::Session;
use waystream_domain::{CatalogEntry, Network};
use waystream_gateway::{GatewayConfig, ListenerLimits};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn guesses_at_once_are_no_more_than_one_after_the_other() {
    let system = System::start().await;
    let mut guessing = JoinSet::new();
    for n in 0..30 {
        let nobody = User::nobody(&system);
        let guess = json!({ "user": "admin", "password": format!("guess number {n}") });
        guessing.spawn(async move { nobody.ask(Method::POST, "/api/session", Some(&guess)).await.0.as_u16() });
    }
    let answers = guessing.join_all().await;
    // While the first are checked another wait may end, each time twice as late.
    let checked = answers.iter().filter(|status| **status == 401).count();
    assert!(checked < 10 && answers.iter().all(|status| [401, 429].contains(status)), "{answers:?}");
    system.stop().await;
}

#[tokio::test]
async fn who_is_behind_a_proxy_waits_alone() {
    let here: Network = "127.0.0.0/8".parse().unwrap();
    let limits = ListenerLimits { proxies: Arc::from([here]), ..ListenerLimits::default() };
    let trusting = GatewayConfig { limits, ..GatewayConfig::default() };
    for (config, is_trusted) in [(trusting, true), (GatewayConfig::default(), false)] {
        let system = System::start_with(config).await;
        let guess = async |from: &str, name: &str| {
            let request = reqwest::Client::new().post(format!("{}/api/session", system.url));
            let request = request.header("x-waystream", "1").header("x-forwarded-for", format!("127.0.0.1, {from}"));
            request.json(&json!({ "user": name, "password": "a wrong password" })).send().await.unwrap().status().as_u16()
        };
        let mut tried = 0;
        // Another name every time: only the address is what they have in common.
        while guess("203.0.113.7", &format!("name-{tried}")).await == 401 {
            tried += 1;
            assert!(tried < 30, "nobody has to wait");
        }
        assert!(tried >= 5);
        // Until then the address has waited for a minute and more at most, so this one still has to if it is the same.
        let mut others = 0;
        while others < 8 && guess(&format!("198.51.100.{others}"), &format!("other-{others}")).await == 401 {
            others += 1;
        }
        assert_eq!(others == 8, is_trusted, "{others}");
        if is_trusted {
            // The records say so too.
            assert_eq!(guess("198.51.100.77", "admin").await, 401);
            let owner = User::sign_in(&system, "admin").await;
            let failed = &owner.get("/api/audit?kind=user").await["changes"][0];
            assert_eq!((&failed["change"], &failed["address"]), (&json!("sign_in_failed"), &json!("198.51.100.77")));
        }
        system.stop().await;
    }
}

/// Whoever finds a browser that is signed in must not keep its owner out.
#[tokio::test]
async fn another_password_asks_for_the_present_one_unless_it_may_be_forgotten() {
    let system = System::start().await;
    let (first, second) = ("correct horse battery", "another horse battery");
    let choose = async |user: &User, new: &str, present: Option<&str>| {
        let mut body = json!({ "password": new });
        if let Some(present) = present {
            body["present"] = json!(present);
        }
        user.ask(Method::PUT, "/api/session/password", Some(&body)).await.0.as_u16()
    };
    assert_eq!(choose(&User::sign_in(&system, "admin").await, first, None).await, 204, "there is none to ask for");

    let signing_in = reqwest::Client::new().post(format!("{}/api/session", system.url)).header("x-waystream", "1");
    let answer = signing_in.json(&json!({ "user": "admin", "password": first })).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let admin = User { cookie, ..User::nobody(&system) };
    assert_eq!(choose(&admin, second, None).await, 428);
    assert_eq!(choose(&admin, second, Some("a wrong horse")).await, 400);
    assert_eq!(choose(&admin, second, Some(first)).await, 204);
    assert_eq!(choose(&admin, first, Some(first)).await, 400, "it is no longer that");

    // By a link without it, for an hour.
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(choose(&admin, first, None).await, 204);
    let session = {
        let shared = system.catalog.shared();
        let known = shared.read().unwrap();
        known.sessions.values().find(|session| session.user == system::id("admin")).unwrap().as_ref().clone()
    };
    let password_until = session.password_until.map(|until| until.plus_millis(-3_600_000));
    assert!(password_until.is_some());
    system.edit(CatalogEntry::Session(Session { password_until, ..session })).await;
    assert_eq!(choose(&admin, second, None).await, 428);

    // Guesses have to wait, and the right one with them.
    let mut guessed = 0;
    while choose(&admin, second, Some("a wrong horse")).await == 400 {
        guessed += 1;
        assert!(guessed < 20, "nobody has to wait");
    }
    assert_eq!(choose(&admin, second, Some(first)).await, 429);
    system.stop().await;
}
