//! People of an organisation: invited, given a role, let go.

#![allow(clippy::unwrap_used)]

use crate::system;

use futures::future::join_all;
use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use system::System;
use system::browser::Browser;
use system::user::User;
use waystream_domain::catalog::Role;
use waystream_log::catalog::CatalogFollower;
use waystream_log::{Log, Offsets, Topic};

/// Follows a link once: the cookie that it gives, if it gives one.
async fn follow(system: &System, link: &Value) -> Option<String> {
    let browser = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let answer = browser.get(format!("{}{}", system.url, link["path"].as_str().unwrap())).send().await.unwrap();
    let cookie = answer.headers().get("set-cookie")?.to_str().unwrap().split(';').next()?.to_owned();
    assert_eq!(answer.status(), 303);
    Some(cookie)
}

async fn invite(owner: &User, id: &str, role: &str) -> Value {
    let (status, link) = owner.ask(Method::POST, "/api/users", Some(&json!({ "id": id, "role": role }))).await;
    assert_eq!(status, 201, "{link}");
    link
}

#[tokio::test]
async fn an_invitation_signs_in_once_and_whoever_is_let_go_is_out_at_once() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let link = invite(&admin, "anna", "dispatcher").await;
    let cookie = follow(&system, &link).await.expect("the link signs in");
    assert_eq!(follow(&system, &link).await, None, "once");
    let anna = User { http: Client::new(), url: system.url.clone(), cookie };
    let session = anna.get("/api/session").await;
    assert_eq!(
        (&session["user"], &session["role"], &session["organisation"]),
        (&json!("anna"), &json!("dispatcher"), &json!("ours"))
    );

    // A password of her own, and a link for when it is forgotten.
    let password = json!({ "password": "correct horse battery" });
    assert_eq!(anna.ask(Method::PUT, "/api/session/password", Some(&password)).await.0, 204);
    let known = admin.get("/api/users").await;
    let of_anna = known.as_array().unwrap().iter().find(|user| user["id"] == "anna").unwrap();
    assert_eq!(of_anna, &json!({ "id": "anna", "role": "dispatcher", "has_password": true }));
    let (status, again) = admin.ask(Method::POST, "/api/users/anna/link", None).await;
    assert_eq!(status, 201);
    assert!(follow(&system, &again).await.is_some());

    // What she may do changes with the next request.
    let fleet = json!({ "name": "Hers" });
    assert_eq!(anna.ask(Method::POST, "/api/fleets", Some(&fleet)).await.0, 201);
    assert_eq!(admin.ask(Method::PUT, "/api/users/anna", Some(&json!({ "role": "viewer" }))).await.0, 204);
    assert_eq!(anna.ask(Method::POST, "/api/fleets", Some(&fleet)).await.0, 403);

    // Gone: session, socket, password, links not yet used.
    let unused = admin.ask(Method::POST, "/api/users/anna/link", None).await.1;
    let (mut socket, _) = Browser::watching(&system.url, &anna.cookie, "websocket", json!({ "fleets": null })).await;
    assert_eq!(admin.ask(Method::DELETE, "/api/users/anna", None).await.0, 204);
    socket.until("disconnect").await;
    assert_eq!(anna.ask(Method::GET, "/api/session", None).await.0, 401);
    assert_eq!(follow(&system, &unused).await, None);
    let sign_in = json!({ "user": "anna", "password": "correct horse battery" });
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/session", Some(&sign_in)).await.0, 401);
    // Somebody else of that name is somebody else.
    invite(&admin, "anna", "viewer").await;
    assert_eq!(anna.ask(Method::GET, "/api/session", None).await.0, 401);
    assert_eq!(follow(&system, &again).await, None);
    system.stop().await;
}

#[tokio::test]
async fn whoever_chooses_something_as_he_is_demoted_or_let_go_stays_so() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (viewer, metric) = (json!({ "role": "viewer" }), json!({ "units": "metric", "time_zone": null }));
    for n in 0..10 {
        let (name, path) = (format!("anna-{n}"), format!("/api/users/anna-{n}"));
        let link = invite(&admin, &name, "dispatcher").await;
        let cookie = follow(&system, &link).await.expect("the link signs in");
        let anna = User { http: Client::new(), url: system.url.clone(), cookie };
        let choose = || anna.ask(Method::PUT, "/api/session/preferences", Some(&metric));
        let (demoted, chosen) = tokio::join!(admin.ask(Method::PUT, &path, Some(&viewer)), choose());
        assert_eq!((demoted.0.as_u16(), chosen.0.as_u16()), (204, 204));
        let session = anna.get("/api/session").await;
        assert_eq!((&session["role"], &session["preferences"]), (&json!("viewer"), &metric));
        let (gone, _) = tokio::join!(admin.ask(Method::DELETE, &path, None), choose());
        assert_eq!(gone.0, 204);
        let known = admin.get("/api/users").await;
        assert!(known.as_array().unwrap().iter().all(|user| user["id"] != name.as_str()), "{known}");
    }
    system.stop().await;
}

#[tokio::test]
async fn only_owners_manage_people_and_one_of_them_stays() {
    let system = System::start().await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let other = User::sign_in(&system, "other").await;
    let anna = json!({ "id": "anna", "role": "owner" });
    let role = json!({ "role": "owner" });
    for (method, path, body) in [
        (Method::GET, "/api/users", None),
        (Method::POST, "/api/users", Some(&anna)),
        (Method::PUT, "/api/users/viewer", Some(&role)),
        (Method::DELETE, "/api/users/admin", None),
        (Method::POST, "/api/users/admin/link", None),
    ] {
        assert_eq!(viewer.ask(method.clone(), path, body).await.0, 403, "{method} {path}");
    }
    // Another organisation's people are not there, except that their names are taken.
    for (method, path) in
        [(Method::PUT, "/api/users/viewer"), (Method::DELETE, "/api/users/viewer"), (Method::POST, "/api/users/viewer/link")]
    {
        assert_eq!(other.ask(method.clone(), path, Some(&role)).await.0, 404, "{method} {path}");
    }
    assert_eq!(other.ask(Method::POST, "/api/users", Some(&json!({ "id": "viewer", "role": "viewer" }))).await.0, 409);
    let shown = other.get("/api/users").await;
    assert_eq!(shown, json!([{ "id": "other", "role": "owner", "has_password": false }]));

    for bad in [
        json!({ "id": " ", "role": "viewer" }),
        json!({ "id": "x".repeat(400), "role": "viewer" }),
        json!({ "id": "otto", "role": "god" }),
    ] {
        let (status, answer) = admin.ask(Method::POST, "/api/users", Some(&bad)).await;
        assert!(status == 400 || status == 422, "{bad}: {status} {answer}");
    }
    // The last owner can't go, nor become anything else.
    let viewers = json!({ "role": "viewer" });
    assert_eq!(admin.ask(Method::DELETE, "/api/users/admin", None).await.0, 409);
    assert_eq!(admin.ask(Method::PUT, "/api/users/admin", Some(&viewers)).await.0, 409);
    invite(&admin, "anna", "owner").await;
    assert_eq!(admin.ask(Method::PUT, "/api/users/admin", Some(&viewers)).await.0, 204);
    assert_eq!(admin.ask(Method::GET, "/api/users", None).await.0, 403);
    system.stop().await;
}

#[tokio::test]
async fn of_two_owners_who_let_each_other_go_at_once_one_stays() {
    for at_two_gateways in [false, true] {
        let system = System::start().await;
        let admin = User::sign_in(&system, "admin").await;
        let link = invite(&admin, "anna", "owner").await;
        let cookie = follow(&system, &link).await.expect("the link signs in");
        let another = if at_two_gateways { Some(system.another().await) } else { None };
        let url = another.as_ref().map_or(&system.url, |another| &another.url).clone();
        let anna = User { http: Client::new(), url, cookie };
        let viewers = json!({ "role": "viewer" });
        let (of_anna, of_admin) = tokio::join!(
            admin.ask(Method::DELETE, "/api/users/anna", None),
            anna.ask(Method::PUT, "/api/users/admin", Some(&viewers))
        );
        let (catalog, _follower) = CatalogFollower::start(system.log.clone()).await.unwrap();
        let owners: Vec<String> = {
            let shared = catalog.shared();
            let known = shared.read().unwrap();
            let ours = known.users.values().filter(|user| user.organisation.as_str() == "ours" && user.role == Role::Owner);
            ours.map(|user| user.id.to_string()).collect()
        };
        match (of_anna.0.as_u16(), of_admin.0.as_u16()) {
            // Who was let go before the request came may be nobody any more.
            (204, 401 | 403 | 409) => assert_eq!(owners, ["admin"]),
            (403 | 409, 204) => assert_eq!(owners, ["anna"]),
            (409, 409) if at_two_gateways => assert_eq!(owners, ["admin", "anna"]),
            _ => panic!("{of_anna:?} {of_admin:?} {owners:?}"),
        }
        system.stop().await;
        if let Some(another) = another {
            another.ended().await;
        }
    }
}

#[tokio::test]
async fn an_owner_who_was_let_go_lets_nobody_in_who_had_to_wait() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let link = invite(&admin, "anna", "owner").await;
    let cookie = follow(&system, &link).await.expect("the link signs in");
    let anna = User { http: Client::new(), url: system.url.clone(), cookie };
    // All at once: some of them come before she is let go, some wait behind that.
    let invitations = (0..20).map(|n| {
        let (anna, body) = (&anna, json!({ "id": format!("eve-{n}"), "role": "owner" }));
        async move { anna.ask(Method::POST, "/api/users", Some(&body)).await }
    });
    let (removed, _) = tokio::join!(admin.ask(Method::DELETE, "/api/users/anna", None), join_all(invitations));
    assert_eq!(removed.0, 204, "{}", removed.1);

    let mut reader = system.log.read(Topic::Catalog, &Offsets::from([((Topic::Catalog, 0), 0)])).await.unwrap();
    let mut edits = Vec::new();
    while let Some(batch) = reader.try_next(1_000).await.unwrap() {
        edits.extend(batch.entries.into_iter().map(|entry| (String::from_utf8_lossy(&entry.key).into_owned(), entry.value)));
    }
    let gone = edits.iter().position(|(key, value)| key == "user/anna" && value.is_none()).expect("she is gone");
    let later = edits[gone..].iter().filter(|(key, value)| key.starts_with("user/eve-") && value.is_some());
    assert_eq!(later.count(), 0);
    system.stop().await;
}

/// What an authenticator shows now.
fn shown(secret: &str, seconds_ahead: u64) -> String {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let totp = totp_rs::Builder::new().with_secret(totp_rs::Secret::try_from_base32(secret).unwrap()).build().unwrap();
    totp.generate(since_1970.as_secs() + seconds_ahead).to_string()
}

#[tokio::test]
async fn with_a_second_factor_a_password_alone_lets_nobody_in() {
    const FACTOR: &str = "/api/session/second-factor";
    let system = System::start().await;
    let (admin, viewer, nobody) =
        (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await, User::nobody(&system));
    let password = json!({ "password": "correct horse battery" });
    assert_eq!(viewer.ask(Method::PUT, "/api/session/password", Some(&password)).await.0, 204);
    let sign_in = async |code: Option<&str>| {
        let mut body = json!({ "user": "viewer", "password": "correct horse battery" });
        if let Some(code) = code {
            body["code"] = json!(code);
        }
        nobody.ask(Method::POST, "/api/session", Some(&body)).await.0.as_u16()
    };
    assert_eq!(sign_in(None).await, 200);

    let (status, proposal) = viewer.ask(Method::POST, FACTOR, None).await;
    assert_eq!(status, 200, "{proposal}");
    assert!(proposal["qr_svg"].as_str().unwrap().contains("<svg"), "{proposal}");
    let secret = proposal["secret"].as_str().unwrap();
    assert_eq!(viewer.get(FACTOR).await["since"], Value::Null, "nothing is asked for yet");
    for (secret, code) in [(secret, "000000"), ("AAAA", "000000"), ("not base32!", "000000")] {
        let start = json!({ "secret": secret, "code": code });
        assert_eq!(viewer.ask(Method::PUT, FACTOR, Some(&start)).await.0, 400, "{start}");
    }
    let start = json!({ "secret": secret, "code": shown(secret, 0) });
    let (status, recovery) = viewer.ask(Method::PUT, FACTOR, Some(&start)).await;
    assert_eq!((status.as_u16(), recovery["codes"].as_array().unwrap().len()), (200, 8));
    assert_eq!(viewer.ask(Method::PUT, FACTOR, Some(&start)).await.0, 409);
    let recovery = recovery["codes"][0].as_str().unwrap();

    // The code that turned it on is used up; the next step's is good once.
    assert_eq!(sign_in(None).await, 428);
    assert_eq!(sign_in(start["code"].as_str()).await, 401);
    let next = shown(secret, 30);
    assert_eq!([sign_in(Some(&next)).await, sign_in(Some(&next)).await], [200, 401]);
    assert_eq!([sign_in(Some(recovery)).await, sign_in(Some(recovery)).await], [200, 401]);
    assert_eq!(viewer.get(FACTOR).await["recovery_codes"], 7);
    let kept = format!("{:?}", system.catalog.shared().read().unwrap().second_factors);
    assert!(!kept.contains(secret), "{kept}");

    // Who guesses has to wait, and the password being right forgives nothing.
    while sign_in(Some("000000")).await != 429 {}
    assert_eq!(sign_in(None).await, 429);

    // Whoever has lost it is let in again by an owner, of the same organisation.
    let reset = "/api/users/viewer/second-factor";
    let other = User::sign_in(&system, "other").await;
    assert_eq!(other.ask(Method::DELETE, reset, None).await.0, 404);
    assert_eq!(viewer.ask(Method::DELETE, reset, None).await.0, 403);
    assert_eq!(admin.ask(Method::DELETE, reset, None).await.0, 204);
    assert_eq!(viewer.get(FACTOR).await["since"], Value::Null);
    system.stop().await;
}
