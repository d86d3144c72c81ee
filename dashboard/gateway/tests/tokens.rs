//! API tokens: made and removed by people, used by programs, for what they were made for and nothing else.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use system::user::User;
use system::{System, id};
use waystream_domain::CatalogEntry;
use waystream_domain::catalog::Role;
use waystream_sql::SqlOptions;

/// A program with a token.
struct Program {
    url: String,
    secret: String,
}

impl Program {
    async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> StatusCode {
        // No cookie, no header of our page.
        let mut request = reqwest::Client::new().request(method, format!("{}{path}", self.url)).bearer_auth(&self.secret);
        if let Some(body) = body {
            request = request.json(body);
        }
        request.send().await.unwrap().status()
    }
}

async fn make(user: &User, scopes: &[&str]) -> (String, Program) {
    let request = json!({ "name": "Report", "scopes": scopes });
    let (status, made) = user.ask(Method::POST, "/api/tokens", Some(&request)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let secret = made["secret"].as_str().unwrap().to_owned();
    (made["token"]["id"].as_str().unwrap().to_owned(), Program { url: user.url.clone(), secret })
}

#[tokio::test]
async fn a_token_does_what_it_was_made_for_until_it_is_removed() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let fleet = json!({ "name": "East" });
    let sql = json!({ "query": "SELECT count(*) FROM positions", "format": "csv" });
    let vehicles = json!({ "limit": 10 });
    let wanted = [
        (Method::GET, "/api/fleets", None),
        (Method::POST, "/api/sql", Some(&sql)),
        (Method::POST, "/api/fleets", Some(&fleet)),
        // A question, though it is sent like a change.
        (Method::POST, "/api/vehicles", Some(&vehicles)),
    ];
    let mut ids = Vec::new();
    for (scopes, expected) in [
        (&["read"][..], [200, 403, 403, 200]),
        (&["sql"], [403, 200, 403, 403]),
        (&["edit"], [403, 403, 201, 403]),
        (&["read", "sql"], [200, 200, 403, 200]),
    ] {
        let (token, program) = make(&admin, scopes).await;
        for ((method, path, body), expected) in wanted.iter().zip(expected) {
            assert_eq!(program.ask(method.clone(), path, *body).await, expected, "{scopes:?} {method} {path}");
        }
        // Whatever its scopes: tokens, passwords and sessions are for people.
        let password = json!({ "password": "correct horse battery" });
        let preferences = json!({ "units": "metric", "time_zone": null });
        let token_of_its_own = json!({ "name": "Mine", "scopes": ["edit"] });
        for (method, path, body) in [
            (Method::GET, "/api/tokens", None),
            (Method::POST, "/api/tokens", Some(&token_of_its_own)),
            (Method::DELETE, "/api/tokens/x", None),
            (Method::PUT, "/api/session/password", Some(&password)),
            (Method::PUT, "/api/session/preferences", Some(&preferences)),
            (Method::DELETE, "/api/session", None),
        ] {
            assert_eq!(program.ask(method.clone(), path, body).await, 403, "{scopes:?} {method} {path}");
        }
        ids.push((token, program));
    }
    let shown = admin.get("/api/tokens").await;
    assert_eq!(shown.as_array().unwrap().len(), 4);
    assert!(ids.iter().all(|(_, program)| !shown.to_string().contains(&program.secret)));
    let kept = format!("{:?}", system.catalog.shared().read().unwrap().api_tokens);
    assert!(ids.iter().all(|(_, program)| !kept.contains(&program.secret[20..])));

    let (read, program) = &ids[0];
    assert_eq!(admin.ask(Method::DELETE, &format!("/api/tokens/{read}"), None).await.0, 204);
    assert_eq!(program.ask(Method::GET, "/api/fleets", None).await, 401);
    assert_eq!(admin.ask(Method::DELETE, &format!("/api/tokens/{read}"), None).await.0, 404);
    for wrong in ["", "ws_", "nonsense", &ids[1].1.secret[..80], &format!("{}0", ids[3].1.secret)] {
        let program = Program { url: system.url.clone(), secret: wrong.to_owned() };
        assert_eq!(program.ask(Method::GET, "/api/fleets", None).await, 401, "{wrong}");
    }
    system.stop().await;
}

#[tokio::test]
async fn a_bearer_speaks_for_itself_only() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    // With a cookie that is good and a token that isn't: nobody.
    let request = admin.http.get(format!("{}/api/fleets", system.url)).header("cookie", &admin.cookie).bearer_auth("ws_1_2");
    assert_eq!(request.send().await.unwrap().status(), 401);
    let basic =
        admin.http.get(format!("{}/api/fleets", system.url)).header("cookie", &admin.cookie).basic_auth("admin", Some("x"));
    assert_eq!(basic.send().await.unwrap().status(), 401);
    // The token of a viewer changes nothing, whatever its scopes.
    let viewer = User::sign_in(&system, "viewer").await;
    let (_, program) = make(&viewer, &["read", "edit"]).await;
    assert_eq!(program.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "Mine" }))).await, 403);
    assert_eq!(program.ask(Method::GET, "/api/fleets", None).await, 200);
    // A user who is gone takes the tokens along; one with another role has that role.
    system.edit(user("viewer", "ours", Role::Dispatcher)).await;
    assert_eq!(program.ask(Method::POST, "/api/fleets", Some(&json!({ "name": "Mine" }))).await, 201);
    let key = waystream_domain::CatalogKey::User(id("viewer"));
    system.catalog.edit(&waystream_domain::Actor::CommandLine, vec![waystream_domain::CatalogEdit::Remove(key)]).await.unwrap();
    assert_eq!(program.ask(Method::GET, "/api/fleets", None).await, 401);
    system.stop().await;
}

fn user(name: &str, organisation: &str, role: Role) -> CatalogEntry {
    let (id, organisation) = (id(name), id(organisation));
    CatalogEntry::User(waystream_domain::catalog::User { id, organisation, role, password_hash: None, preferences: None })
}

#[tokio::test]
async fn people_see_their_own_tokens_and_owners_those_of_the_organisation() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let viewer = User::sign_in(&system, "viewer").await;
    let other = User::sign_in(&system, "other").await;
    let (mine, _) = make(&viewer, &["read"]).await;
    let (admins, _) = make(&admin, &["read"]).await;
    make(&other, &["read"]).await;
    let count = |tokens: Value| tokens.as_array().unwrap().len();
    assert_eq!(count(admin.get("/api/tokens").await), 2);
    assert_eq!(count(viewer.get("/api/tokens").await), 1);
    assert_eq!(count(other.get("/api/tokens").await), 1);
    let remove = |token: &str| format!("/api/tokens/{token}");
    assert_eq!(viewer.ask(Method::DELETE, &remove(&admins), None).await.0, 404);
    assert_eq!(other.ask(Method::DELETE, &remove(&mine), None).await.0, 404);
    assert_eq!(admin.ask(Method::DELETE, &remove(&mine), None).await.0, 204);
    system.stop().await;
}

#[tokio::test]
async fn a_token_ends_when_it_was_said_to() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let until = |ms: i64| json!({ "name": "Short", "scopes": ["read"], "expires_at": ms });
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
    assert_eq!(admin.ask(Method::POST, "/api/tokens", Some(&until(now - 1))).await.0, 400);
    let (status, made) = admin.ask(Method::POST, "/api/tokens", Some(&until(now + 1_500))).await;
    assert_eq!((status, &made["token"]["expires_at"]), (StatusCode::CREATED, &json!(now + 1_500)));
    let program = Program { url: system.url.clone(), secret: made["secret"].as_str().unwrap().to_owned() };
    while program.ask(Method::GET, "/api/fleets", None).await != 401 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for wrong in [
        json!({ "name": "", "scopes": ["read"] }),
        json!({ "name": "x", "scopes": [] }),
        json!({ "name": "x", "scopes": ["all"] }),
        json!({ "name": "x", "scopes": ["read"], "user": "other" }),
    ] {
        assert!(admin.ask(Method::POST, "/api/tokens", Some(&wrong)).await.0.is_client_error(), "{wrong}");
    }
    // Without the header of our own page nobody makes one.
    let forged = admin.http.post(format!("{}/api/tokens", system.url)).header("cookie", &admin.cookie);
    assert_eq!(forged.json(&json!({ "name": "x", "scopes": ["read"] })).send().await.unwrap().status(), 403);
    system.stop().await;
}

/// Takes what comes of an answer until it breaks off.
async fn cut_off(mut answer: reqwest::Response) {
    let reading = async {
        while let Ok(chunk) = answer.chunk().await {
            assert!(chunk.is_some(), "half an answer ends as if it were whole");
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("it is cut off soon");
}

#[tokio::test]
async fn answers_under_way_end_with_the_token_or_session_they_were_asked_with() {
    let limits = SqlOptions { queries: 8, deadline: Duration::from_secs(3_600), ..Default::default() };
    let system = System::start_asking(Default::default(), limits).await;
    let admin = User::sign_in(&system, "admin").await;
    let viewer = User::sign_in(&system, "viewer").await;
    let (token, program) = make(&admin, &["sql"]).await;
    let rows = "SELECT value, 'some text to fill the way' AS text FROM generate_series(1, 1000000000000)";
    let post = |query: &str| {
        let body = json!({ "query": query, "format": "csv" });
        reqwest::Client::new().post(format!("{}/api/sql", system.url)).json(&body)
    };
    let by_token = |query: &str| post(query).bearer_auth(&program.secret).send();
    let by_session = post(rows).header("cookie", &viewer.cookie).header("x-waystream", "1").send();
    // One whose rows are taken, one whose rows nobody takes, one that has none yet, and one of a session.
    let mut taken = by_token(rows).await.unwrap();
    let untaken = by_token(rows).await.unwrap();
    let silent = tokio::spawn(by_token("SELECT sum(value) FROM generate_series(1, 1000000000000)"));
    let mut other = by_session.await.unwrap();
    for answer in [&mut taken, &mut other] {
        assert!(answer.chunk().await.unwrap().unwrap().starts_with(b"value"));
    }
    while system.sql.running() < 4 {
        tokio::task::yield_now().await;
    }

    assert_eq!(admin.ask(Method::DELETE, &format!("/api/tokens/{token}"), None).await.0, 204);
    cut_off(taken).await;
    assert_eq!(silent.await.unwrap().unwrap().status(), 401);
    let fewer = async {
        while system.sql.running() > 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), fewer).await.expect("also the query whose rows nobody takes ends");
    cut_off(untaken).await;

    assert!(other.chunk().await.unwrap().is_some(), "a session has nothing to do with a token");
    assert_eq!(viewer.ask(Method::DELETE, "/api/session", None).await.0, 204);
    cut_off(other).await;
    system.stop().await;
}
