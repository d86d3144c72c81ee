//! How REST refuses: in one form, whoever refuses, and as described. `compose/tests/system/rest_fuzz.rs` asks much more of this kind.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::System;
use system::user::User;

#[tokio::test]
async fn what_is_refused_is_told_in_one_form_whoever_refuses_it() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let not_utf8: &[u8] = &[b'{', 0xff];
    for (method, path, kind, body, status) in [
        (Method::POST, "/api/fleets", None, &b""[..], 415),
        (Method::POST, "/api/fleets", Some("text/plain"), b"{\"name\": \"x\"}", 415),
        (Method::POST, "/api/fleets", Some("application/json"), b"{", 400),
        (Method::POST, "/api/fleets", Some("application/json"), b"{\"name\": 7}", 422),
        (Method::POST, "/api/fleets", Some("application/json"), not_utf8, 400),
        (Method::POST, "/api/geofences/import", Some("text/plain"), not_utf8, 400),
        (Method::GET, "/api/events?limit=-1", None, b"", 400),
        (Method::GET, "/api/audit?nothing=1", None, b"", 400),
        (Method::GET, "/api/export", None, b"", 400),
        (Method::POST, "/api/export", Some("application/json"), br#"{"format":"pdf","devices":[],"from":0,"to":1}"#, 400),
        (Method::POST, "/api/export", Some("application/json"), br#"{"format":"csv","devices":[""],"from":0,"to":1}"#, 400),
        (Method::GET, "/api/devices/%FF", None, b"", 400),
        (Method::GET, "/api/devices/nobody", None, b"", 404),
        (Method::GET, "/api/nothing", None, b"", 404),
        (Method::PATCH, "/api/fleets", None, b"", 405),
    ] {
        let mut request = admin.http.request(method.clone(), format!("{}{path}", system.url)).body(body.to_vec());
        request = request.header("cookie", &admin.cookie).header("x-waystream", "1");
        if let Some(kind) = kind {
            request = request.header("content-type", kind);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{method} {path}");
        assert_eq!(answer.headers()["content-type"], "application/json", "{method} {path}");
        assert_eq!(answer.headers().contains_key("allow"), status == 405, "{method} {path}");
        let told: Value = answer.json().await.unwrap();
        assert!(told["error"].as_str().is_some_and(|error| !error.is_empty()), "{method} {path}: {told}");
    }
    system.stop().await;
}

#[tokio::test]
async fn every_operation_s_refusals_are_described() {
    let system = System::start().await;
    let description = User::nobody(&system).get("/api/openapi.json").await;
    let form = json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ErrorAnswer" } } });
    for (path, operations) in description["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let is_open = path == "/api/config" || (path == "/api/session" && method == "post");
            let mut statuses = vec!["403", "429"];
            statuses.extend((!is_open).then_some("401"));
            statuses.extend(path.contains('{').then_some("400"));
            if operation["requestBody"].is_object() {
                statuses.extend(["400", "413", "415", "422"]);
            }
            for status in statuses {
                let described = &operation["responses"][status];
                assert!(described.is_object(), "{method} {path} {status}");
                // An operation that answers people may say otherwise.
                let is_ours = described["content"].is_null() || described["content"] == form;
                assert!(is_ours, "{method} {path} {status}: {described}");
            }
        }
    }
    // What may be null, or of any type, is not said to be an object.
    let property = |schema: &str, name: &str| &description["components"]["schemas"][schema]["properties"][name];
    for name in ["before", "after"] {
        assert_eq!(property("ChangeInfo", name)["type"], json!(["object", "null"]));
    }
    for (schema, name) in [("SlotsMessage", "slots"), ("SqlAnswer", "rows")] {
        assert_eq!(property(schema, name)["items"]["items"], json!({}), "{schema}");
    }
    system.stop().await;
}

/// Whoever has not signed in gets no memory for what is longer than a name and a password.
#[tokio::test]
async fn signing_in_takes_no_long_body() {
    let system = System::start().await;
    let nobody = User::nobody(&system);
    let of = |length: usize| json!({ "user": "admin", "password": "x".repeat(length) });
    assert_eq!(nobody.ask(Method::POST, "/api/session", Some(&of(1_000))).await.0, 401);
    let (status, told) = nobody.ask(Method::POST, "/api/session", Some(&of(17_000))).await;
    assert_eq!((status.as_u16(), told["error"].is_string()), (413, true), "{told}");
    system.stop().await;
}
