//! How long sessions last, and how many one user has.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;
use system::browser::Browser;
use system::user::User;
use system::{System, at, id, in_ms};
use waystream_domain::CatalogEntry;
use waystream_domain::catalog::{SessionLimits, SessionUse};
use waystream_gateway::GatewayConfig;

const DAY_MS: i64 = 24 * 3_600 * 1_000;

/// The sessions of a user, by the hashes of their tokens.
fn sessions(system: &System, user: &str) -> Vec<String> {
    let shared = system.catalog.shared();
    let known = shared.read().unwrap();
    let own = known.sessions.values().filter(|session| session.user == id(user));
    own.map(|session| session.token_sha256.clone()).collect()
}

/// As if the session was used last so long ago.
async fn used(system: &System, session: &str, ago_ms: i64) {
    let used = SessionUse { token_sha256: session.to_owned(), used_at: at(in_ms(-ago_ms)) };
    system.edit(CatalogEntry::SessionUse(used)).await;
}

/// Returns when it is written down that a session was used after this moment.
async fn noted(system: &System, session: &str, after_ms: i64) {
    let mut edits = system.catalog.subscribe();
    let used_at = || system.catalog.shared().read().unwrap().session_uses[session].used_at.as_millis();
    while used_at() <= after_ms {
        tokio::time::timeout(Duration::from_secs(60), edits.recv()).await.expect("it is written down").unwrap();
    }
}

fn everything() -> Value {
    json!({ "fleets": null, "alerts_after": null })
}

async fn status(user: &User) -> u16 {
    user.ask(Method::GET, "/api/fleets", None).await.0.as_u16()
}

#[tokio::test]
async fn a_session_that_nobody_uses_ends_and_takes_its_sockets_with_it() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let session = sessions(&system, "admin").remove(0);
    let (mut browser, _) = Browser::watching(&system.url, &admin.cookie, "websocket", everything()).await;
    used(&system, &session, 13 * DAY_MS).await;
    assert_eq!(status(&admin).await, 200);
    noted(&system, &session, in_ms(-DAY_MS)).await;
    used(&system, &session, 14 * DAY_MS).await;
    assert_eq!(status(&admin).await, 401);
    browser.until("disconnect").await;
    assert_eq!(browser.until("connect_error").await.args[0], "unauthorised");
    // The next who signs in clears it away.
    User::sign_in(&system, "viewer").await;
    assert!(sessions(&system, "admin").is_empty());
    system.stop().await;
}

#[tokio::test]
async fn that_a_session_is_used_is_written_down_and_every_gateway_knows() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let session = sessions(&system, "admin").remove(0);
    used(&system, &session, DAY_MS).await;
    assert_eq!(status(&admin).await, 200);
    noted(&system, &session, in_ms(-DAY_MS / 2)).await;
    // What is in the log is known after a restart, and elsewhere.
    let used_at = |system: &System| system.catalog.shared().read().unwrap().session_uses[&session].used_at;
    let known = used_at(&system);
    let system = system.restart(GatewayConfig::default()).await;
    assert_eq!(used_at(&system), known);
    let admin = User { url: system.url.clone(), ..admin };
    assert_eq!(status(&admin).await, 200);
    // It is no change that somebody would look for.
    let changes = admin.get("/api/audit").await;
    assert!(!changes.to_string().contains("session_use"), "{changes}");
    system.stop().await;
}

#[tokio::test]
async fn with_one_browser_too_many_the_oldest_is_signed_out() {
    let limits = SessionLimits { per_user: 2, ..SessionLimits::default() };
    let system = System::start_with(GatewayConfig { sessions: limits, ..GatewayConfig::default() }).await;
    let viewer = User::sign_in(&system, "viewer").await;
    let first = User::sign_in(&system, "admin").await;
    let (mut browser, _) = Browser::watching(&system.url, &first.cookie, "websocket", everything()).await;
    let second = User::sign_in(&system, "admin").await;
    assert_eq!((status(&first).await, status(&second).await), (200, 200));
    let third = User::sign_in(&system, "admin").await;
    assert_eq!((status(&first).await, status(&second).await, status(&third).await), (401, 200, 200));
    browser.until("disconnect").await;
    assert_eq!(status(&viewer).await, 200, "of each user");
    assert_eq!(sessions(&system, "admin").len(), 2);
    // Nothing is left of those that have ended, or who signs in and out again and again would fill the memory.
    assert_eq!(third.ask(Method::DELETE, "/api/session", None).await.0, 204);
    {
        let shared = system.catalog.shared();
        let known = shared.read().unwrap();
        assert_eq!(known.session_uses.keys().collect::<Vec<_>>(), known.sessions.keys().collect::<Vec<_>>());
    }
    system.stop().await;
}

#[tokio::test]
async fn the_cookie_lasts_as_long_as_a_session_can() {
    let limits = SessionLimits::of_days(1, 7, 20);
    let system = System::start_with(GatewayConfig { sessions: limits, ..GatewayConfig::default() }).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.get(system.links.link(&id("admin")).await.unwrap()).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("Max-Age=604800"), "{cookie}");
    let ends_in_ms = {
        let shared = system.catalog.shared();
        let known = shared.read().unwrap();
        known.sessions.values().next().unwrap().expires_at.as_millis() - in_ms(0)
    };
    assert!((6 * DAY_MS..=7 * DAY_MS).contains(&ends_in_ms), "{ends_in_ms}");
    system.stop().await;
}

#[tokio::test]
async fn behind_tls_no_neighbour_can_plant_a_session() {
    let system = System::start_with(GatewayConfig { behind_tls: true, ..GatewayConfig::default() }).await;
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let answer = http.get(system.links.link(&id("admin")).await.unwrap()).send().await.unwrap();
    let set = answer.headers()["set-cookie"].to_str().unwrap();
    // What browsers ask of a cookie of such a name.
    assert!(
        set.starts_with("__Host-") && set.contains("; Secure") && set.contains("; Path=/;") && !set.contains("Domain"),
        "{set}"
    );
    let cookie = set.split(';').next().unwrap().to_owned();
    let planted = cookie.strip_prefix("__Host-").unwrap().to_owned();
    for (cookie, is_taken) in [(cookie.clone(), 200), (planted.clone(), 401), (format!("{planted}x; {cookie}"), 200)] {
        assert_eq!(status(&User { cookie, ..User::nobody(&system) }).await, is_taken);
    }
    system.stop().await;
}

#[tokio::test]
async fn another_password_ends_other_sessions_and_links_that_wait() {
    let system = System::start().await;
    let (admin, elsewhere) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "admin").await);
    let (waiting, of_viewer) =
        (system.links.link(&id("admin")).await.unwrap(), system.links.link(&id("viewer")).await.unwrap());
    let password = json!({ "password": "correct horse battery" });
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&password)).await.0, 204);
    assert_eq!((status(&admin).await, status(&elsewhere).await), (200, 401));
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    assert_eq!(http.get(waiting).send().await.unwrap().status(), 401);
    assert_eq!(http.get(of_viewer).send().await.unwrap().status(), 303);
    system.stop().await;
}

#[tokio::test]
async fn a_browser_that_is_left_signed_in_turns_no_second_factor_on_or_off() {
    const FACTOR: &str = "/api/session/second-factor";
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let password = json!({ "password": "correct horse battery" });
    assert_eq!(admin.ask(Method::PUT, "/api/session/password", Some(&password)).await.0, 204);
    let signing_in = reqwest::Client::new().post(format!("{}/api/session", system.url)).header("x-waystream", "1");
    let answer = signing_in.json(&json!({ "user": "admin", "password": "correct horse battery" })).send().await.unwrap();
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let left_signed_in = User { cookie, ..User::nobody(&system) };

    let secret = left_signed_in.ask(Method::POST, FACTOR, None).await.1["secret"].as_str().unwrap().to_owned();
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(&secret).unwrap()).build().unwrap();
    let turn_on = async |user: &User, present: Option<&str>| {
        let code = totp.generate(u64::try_from(in_ms(0) / 1_000).unwrap()).to_string();
        let mut start = json!({ "secret": secret, "code": code });
        if let Some(present) = present {
            start["present"] = json!(present);
        }
        user.ask(Method::PUT, FACTOR, Some(&start)).await.0.as_u16()
    };
    assert_eq!(turn_on(&left_signed_in, None).await, 428);
    assert_eq!(turn_on(&left_signed_in, Some("a wrong horse")).await, 400);
    assert_eq!(left_signed_in.get(FACTOR).await["since"], Value::Null);
    assert_eq!(turn_on(&left_signed_in, Some("correct horse battery")).await, 200);

    // Nor is there another way: owners turn off that of others, and make links for others only.
    assert_eq!(left_signed_in.ask(Method::DELETE, "/api/users/admin/second-factor", None).await.0, 409);
    assert_eq!(left_signed_in.ask(Method::POST, "/api/users/admin/link", None).await.0, 409);
    assert_ne!(left_signed_in.get(FACTOR).await["since"], Value::Null);
    assert_eq!(left_signed_in.ask(Method::POST, "/api/users/viewer/link", None).await.0, 201);

    // Whoever has just come by a link may have forgotten the one and lost the other.
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.ask(Method::DELETE, "/api/users/admin/second-factor", None).await.0, 204);
    assert_eq!(turn_on(&admin, None).await, 200);
    system.stop().await;
}
