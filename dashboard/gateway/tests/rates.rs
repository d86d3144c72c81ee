//! How many requests a session, a token or an address may make.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use system::System;
use system::raw::Raw;
use system::user::User;
use waystream_gateway::GatewayConfig;

#[tokio::test]
async fn a_session_that_asks_too_much_is_told_when_to_ask_again() {
    let system = System::start_with(GatewayConfig { requests_per_s: 1, ..GatewayConfig::default() }).await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let mut asked = 0;
    // Answers may take a while, and what there may be grows with time.
    while admin.ask(Method::GET, "/api/fleets", None).await.0 == StatusCode::OK {
        asked += 1;
        assert!(asked < 10_000, "nobody is refused");
    }
    assert!(asked >= 20, "{asked} at once");
    let refused = loop {
        let request = admin.http.get(format!("{}/api/fleets", system.url)).header("cookie", &admin.cookie);
        let answer = request.send().await.unwrap();
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
    };
    assert_eq!(refused.headers()["retry-after"], "1");
    assert!(refused.text().await.unwrap().contains("too many requests"));
    assert_eq!(viewer.ask(Method::GET, "/api/fleets", None).await.0, 200);
    let nobody = User::nobody(&system);
    assert_eq!(nobody.ask(Method::GET, "/api/fleets", None).await.0, 401);
    while nobody.ask(Method::GET, "/api/config", None).await.0 == StatusCode::OK {}
    // An address that has shown nothing keeps nobody out who shows something.
    assert_eq!(viewer.ask(Method::GET, "/api/fleets", None).await.0, 200);
    system.stop().await;
}

#[tokio::test]
async fn who_opens_sockets_and_is_nobody_is_told_when_to_open_another() {
    let system = System::start_with(GatewayConfig { requests_per_s: 1, ..GatewayConfig::default() }).await;
    let nobody = User::nobody(&system);
    let mut opened = 0;
    loop {
        match nobody.ask(Method::GET, "/socket.io/?EIO=4&transport=polling", None).await {
            (StatusCode::OK, _) => opened += 1,
            (StatusCode::TOO_MANY_REQUESTS, told) => break assert_eq!(told["error"], "too many requests"),
            other => panic!("{other:?}"),
        }
        assert!(opened < 1_000, "nobody is refused");
    }
    assert!(opened > 0, "who has opened none may open one");
    // Nobody else notices: who signs in from there, and who is signed in.
    assert_eq!(nobody.ask(Method::GET, "/api/config", None).await.0, 200);
    let cookie = system.cookie("admin").await;
    for transport in ["websocket", "polling"] {
        for _ in 0..30 {
            Raw::connected(&system.url, &cookie, transport).await;
        }
    }
    system.stop().await;
}
