//! REST of notifications: channels, rules and deliveries, each organisation its own.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use system::user::{User, channel_and_rule};
use system::{START_MS, System};
use waystream_domain::notify::{Content, Delivery, DeliveryState};
use waystream_log::{Log, Record, Topic};

#[tokio::test]
async fn channels_and_rules_are_edited_and_each_organisation_has_its_own() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (viewer, other) = (User::sign_in(&system, "viewer").await, User::sign_in(&system, "other").await);
    let (channel, rule) = channel_and_rule(&admin).await;
    let (of_channel, of_rule) = (format!("/api/notifications/channels/{channel}"), format!("/api/notifications/rules/{rule}"));

    // A change keeps the secret, which is never shown.
    let moved = json!({ "name": "Hook", "type": "webhook", "url": "https://hooks.example.org/out" });
    assert_eq!(admin.ask(Method::PUT, &of_channel, Some(&moved)).await.0, 200);
    let known = admin.get("/api/notifications/channels").await;
    assert_eq!(known, json!([{ "id": channel, "name": "Hook", "type": "webhook", "url": "https://hooks.example.org/out" }]));
    let night = json!({
        "name": "Night", "enabled": false, "kinds": ["alarm", "exit"], "fleets": ["north"], "geofences": [],
        "quiet_hours": { "time_zone": "Europe/Warsaw", "hours": ["mon-fri 06:00-22:00"] }, "at_most_every_min": 15, "channel": channel,
    });
    let (status, changed) = admin.ask(Method::PUT, &of_rule, Some(&night)).await;
    assert_eq!(status, 200, "{changed}");
    let mut expected = json!({ "id": rule });
    expected.as_object_mut().unwrap().extend(night.as_object().unwrap().clone());
    // As they are numbered: first what is listed first.
    expected["kinds"] = json!(["exit", "alarm"]);
    assert_eq!(viewer.get("/api/notifications/rules").await, json!([expected]));

    // Who may only look may not, and others don't see it.
    for (method, path, body) in [
        (Method::GET, "/api/notifications/channels", None),
        (Method::POST, "/api/notifications/channels", Some(&moved)),
        (Method::PUT, of_rule.as_str(), Some(&night)),
        (Method::POST, &format!("{of_channel}/test"), None),
        (Method::POST, "/api/notifications/deliveries/x/retry", None),
    ] {
        assert_eq!(viewer.ask(method, path, body).await.0, 403, "{path}");
    }
    assert_eq!(other.get("/api/notifications/rules").await, json!([]));
    assert_eq!(other.get("/api/notifications/channels").await, json!([]));
    for (method, path) in
        [(Method::PUT, &of_channel), (Method::DELETE, &of_channel), (Method::POST, &format!("{of_channel}/test"))]
    {
        assert_eq!(other.ask(method, path, Some(&moved)).await.0, 404, "{path}");
    }
    assert_eq!(other.ask(Method::PUT, &of_rule, Some(&night)).await.0, 404);
    let theirs = json!({ "name": "Theirs", "kinds": ["enter"], "channel": channel });
    assert_eq!(other.ask(Method::POST, "/api/notifications/rules", Some(&theirs)).await.0, 400);
    assert_eq!(User::nobody(&system).ask(Method::GET, "/api/notifications/rules", None).await.0, 401);

    assert_eq!(admin.ask(Method::DELETE, &of_channel, None).await.0, 409);
    assert_eq!(admin.ask(Method::DELETE, &of_rule, None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, &of_channel, None).await.0, 204);
    assert_eq!(admin.get("/api/notifications/rules").await, json!([]));
    system.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_channel_or_rule_is_told_by_field() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (channel, rule) = channel_and_rule(&admin).await;
    let hook = json!({ "name": "x", "type": "webhook", "url": "https://example.org", "secret": "0123456789abcdef" });
    let mail = json!({ "name": "x", "type": "email", "to": ["a@example.org"] });
    let mqtt = json!({ "name": "x", "type": "mqtt", "topic": "{device}" });
    let plain = json!({ "name": "x", "kinds": ["enter"], "channel": channel });
    let with = |base: &Value, field: &str, value: Value| {
        let mut body = base.clone();
        body[field] = value;
        body
    };
    let channels = [
        (with(&hook, "name", json!(" ")), "a name "),
        (with(&hook, "type", json!("pigeon")), "type: "),
        (with(&hook, "url", json!("example.org")), "url: "),
        (with(&hook, "url", Value::Null), "url: "),
        (with(&hook, "secret", json!("short")), "secret: "),
        (with(&hook, "to", json!(["a@example.org"])), "to: "),
        (with(&mail, "to", json!([])), "to: "),
        (with(&mail, "to", json!(["a@example.org\nBcc: b@example.org"])), "to: "),
        (with(&mail, "secret", json!("0123456789abcdef")), "secret: "),
        (with(&mqtt, "topic", json!("a/#")), "topic: "),
        (with(&mqtt, "topic", json!("{tyre}")), "topic: "),
    ];
    for (body, beginning) in channels {
        let (status, answer) = admin.ask(Method::POST, "/api/notifications/channels", Some(&body)).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().starts_with(beginning), "{body}: {answer}");
    }
    let rules = [
        (with(&plain, "kinds", json!([])), "kinds: "),
        (with(&plain, "kinds", json!(["flying"])), "kinds: \"flying\""),
        (with(&plain, "fleets", json!(["their"])), "fleets: "),
        (with(&plain, "geofences", json!(["nowhere"])), "geofences: "),
        (with(&plain, "at_most_every_min", json!(1441)), "at_most_every_min: "),
        (with(&plain, "quiet_hours", json!({ "time_zone": "Mars", "hours": ["mon 08:00-18:00"] })), "quiet_hours: \"Mars\""),
        (with(&plain, "quiet_hours", json!({ "time_zone": "UTC", "hours": ["monday"] })), "quiet_hours: \"monday\""),
        (with(&plain, "channel", json!("gone")), "channel: "),
    ];
    for (body, beginning) in rules {
        let (status, answer) = admin.ask(Method::PUT, &format!("/api/notifications/rules/{rule}"), Some(&body)).await;
        assert_eq!(status, 400, "{body}");
        assert!(answer["error"].as_str().unwrap().starts_with(beginning), "{body}: {answer}");
    }
    system.stop().await;
}

#[tokio::test]
async fn deliveries_are_listed_newest_first_and_a_dead_one_is_tried_again() {
    let system = System::start().await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let (channel, _) = channel_and_rule(&admin).await;
    let (status, test) = admin.ask(Method::POST, &format!("/api/notifications/channels/{channel}/test"), None).await;
    assert_eq!(status, StatusCode::ACCEPTED);
    let listed = admin.get("/api/notifications/deliveries").await;
    let first = &listed["deliveries"][0];
    assert_eq!((&first["id"], &first["state"], &first["rule"]), (&test["delivery"], &json!("pending"), &Value::Null));

    // What the notifier would write.
    let put = async |id: &str, organisation: &str, at_ms: i64, state: DeliveryState| {
        let at = waystream_domain::Timestamp::from_millis(at_ms).unwrap();
        let delivery = Delivery {
            id: id.parse().unwrap(),
            organisation: organisation.parse().unwrap(),
            channel: channel.parse().unwrap(),
            content: Content::Test { by: "admin".parse().unwrap() },
            matched_at: at,
            round: 0,
            attempts: 3,
            changed_at: at,
            state,
        };
        system.log.append(Topic::Deliveries, vec![Record::new(id.to_owned(), delivery.encode())]).await.unwrap();
    };
    let dead = || DeliveryState::Dead { reason: "answered 404 Not Found".into() };
    put("one", "ours", START_MS, DeliveryState::Delivered).await;
    put("two", "ours", START_MS + 1, dead()).await;
    put("three", "ours", START_MS + 2, dead()).await;
    put("theirs", "theirs", START_MS + 3, dead()).await;
    let ids = |answer: Value| -> Vec<String> {
        answer["deliveries"].as_array().unwrap().iter().map(|d| d["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids(admin.get("/api/notifications/deliveries").await)[1..], ["three", "two", "one"]);
    let newest = admin.get("/api/notifications/deliveries?state=dead&limit=1").await;
    assert_eq!((&newest["truncated"], &newest["deliveries"][0]["note"]), (&json!(true), &json!("answered 404 Not Found")));
    assert_eq!(ids(newest), ["three"]);
    assert_eq!(ids(other.get("/api/notifications/deliveries").await), ["theirs"]);
    for wrong in ["state=gone", "limit=0", "limit=1001"] {
        assert_eq!(admin.ask(Method::GET, &format!("/api/notifications/deliveries?{wrong}"), None).await.0, 400, "{wrong}");
    }

    let retry =
        async |user: &User, id: &str| user.ask(Method::POST, &format!("/api/notifications/deliveries/{id}/retry"), None).await;
    let (status, again) = retry(&admin, "two").await;
    assert_eq!((status, &again["state"], &again["attempts"]), (StatusCode::ACCEPTED, &json!("pending"), &json!(0)));
    assert_eq!(retry(&admin, "two").await.0, 409);
    assert_eq!(retry(&admin, "one").await.0, 409);
    assert_eq!(retry(&admin, "theirs").await.0, 404);
    assert_eq!(retry(&admin, "gone").await.0, 404);
    assert_eq!(ids(admin.get("/api/notifications/deliveries?state=dead").await), ["three"]);
    system.stop().await;
}

#[tokio::test]
async fn reports_are_edited_and_each_organisation_has_its_own() {
    let system = System::start().await;
    let admin = User::sign_in(&system, "admin").await;
    let (viewer, other) = (User::sign_in(&system, "viewer").await, User::sign_in(&system, "other").await);
    let (hook, _) = channel_and_rule(&admin).await;
    let mail = json!({ "name": "Boss", "type": "email", "to": ["boss@example.org"] });
    let mail = admin.ask(Method::POST, "/api/notifications/channels", Some(&mail)).await.1;
    let path = "/api/notifications/reports";
    let plain = json!({
        "name": "Daily", "enabled": true, "fleets": ["north"], "every": "day", "time": "07:00", "time_zone": "Europe/Warsaw",
        "format": "xlsx", "channel": mail["id"],
    });
    let (status, made) = admin.ask(Method::POST, path, Some(&plain)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let of_report = format!("{path}/{}", made["id"].as_str().unwrap());
    let mut weekly = plain.clone();
    weekly["every"] = json!("week");
    weekly["per"] = json!("fleet");
    assert_eq!(admin.ask(Method::PUT, &of_report, Some(&weekly)).await.0, 200);
    let mut expected = json!({ "id": made["id"] });
    expected.as_object_mut().unwrap().extend(weekly.as_object().unwrap().clone());
    assert_eq!(viewer.get(path).await, json!([expected]));
    for (field, value, beginning) in [
        ("name", json!(""), "a name "),
        ("fleets", json!(["their"]), "fleets: "),
        ("per", json!("driver"), "per: \"driver\""),
        ("every", json!("hour"), "every: \"hour\""),
        ("time", json!("7 am"), "time: "),
        ("time_zone", json!("Mars"), "time_zone: "),
        ("format", json!("pdf"), "format: "),
        ("channel", json!("gone"), "channel: there is no"),
        ("channel", json!(hook), "channel: a report goes by e-mail, not by webhook"),
    ] {
        let mut wrong = plain.clone();
        wrong[field] = value;
        let (status, answer) = admin.ask(Method::POST, path, Some(&wrong)).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(answer["error"].as_str().unwrap().starts_with(beginning), "{wrong}: {answer}");
    }
    assert_eq!(viewer.ask(Method::POST, path, Some(&plain)).await.0, 403);
    assert_eq!(other.get(path).await, json!([]));
    assert_eq!(other.ask(Method::PUT, &of_report, Some(&plain)).await.0, 404);
    let of_mail = format!("/api/notifications/channels/{}", mail["id"].as_str().unwrap());
    assert_eq!(admin.ask(Method::DELETE, &of_mail, None).await.0, 409);
    assert_eq!(admin.ask(Method::DELETE, &of_report, None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, &of_mail, None).await.0, 204);
    system.stop().await;
}

#[tokio::test]
async fn an_organisation_tries_its_channels_so_often_and_others_don_t_notice() {
    let system = System::start().await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let ((ours, _), (theirs, _)) = (channel_and_rule(&admin).await, channel_and_rule(&other).await);
    let tried = async |user: &User, channel: &str| {
        user.ask(Method::POST, &format!("/api/notifications/channels/{channel}/test"), None).await.0.as_u16()
    };
    let mut tests = 0;
    loop {
        match tried(&admin, &ours).await {
            202 => tests += 1,
            429 => break,
            status => panic!("{status}"),
        }
        assert!(tests < 1_000, "nobody is refused");
    }
    assert!(tests >= 20, "{tests} at once");
    assert_eq!(tried(&other, &theirs).await, 202);
    system.stop().await;
}
