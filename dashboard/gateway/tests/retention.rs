//! How long an organisation keeps its history, as its owners say.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{System, device, id, position};
use waystream_domain::OrganisationId;

async fn put(user: &User, path: &str, days: Value) -> u16 {
    user.ask(Method::PUT, path, Some(&json!({ "days": days }))).await.0.as_u16()
}

#[tokio::test]
async fn owners_say_how_long_history_is_kept_of_all_and_of_single_devices() {
    let system = System::start().await;
    system.edit(device("Van 7", "van-7", "north")).await;
    system.edit(device("Theirs", "theirs", "their")).await;
    system.archive(vec![position("removed", "south", 0, 52.0)], Vec::new()).await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let other = User::sign_in(&system, "other").await;
    let (all, van) = ("/api/retention", "/api/devices/van-7/retention");

    assert_eq!((put(&viewer, all, json!(30)).await, put(&viewer, van, json!(30)).await), (403, 403));
    assert_eq!(viewer.ask(Method::GET, all, None).await.0, 403);
    assert_eq!((put(&admin, all, json!(0)).await, put(&admin, van, json!(36_501)).await), (400, 400));
    for path in ["/api/devices/theirs/retention", "/api/devices/nobody/retention"] {
        assert_eq!(put(&admin, path, json!(30)).await, 404, "{path}");
    }
    assert_eq!(admin.get(all).await, json!({ "days": null, "devices": {} }));
    assert_eq!((put(&admin, van, json!(10)).await, put(&admin, all, json!(30)).await), (204, 204));
    assert_eq!(put(&admin, "/api/devices/removed/retention", json!(1)).await, 204);
    assert_eq!(admin.get(all).await, json!({ "days": 30, "devices": { "removed": 1, "van-7": 10 } }));
    assert_eq!(other.get(all).await, json!({ "days": null, "devices": {} }));
    // Another name doesn't change it.
    system.edit(device("Van 8", "van-7", "south")).await;
    assert_eq!(put(&admin, "/api/devices/removed/retention", Value::Null).await, 204);
    assert_eq!(admin.get(all).await, json!({ "days": 30, "devices": { "van-7": 10 } }));
    assert_eq!((put(&admin, all, Value::Null).await, put(&admin, van, Value::Null).await), (204, 204));
    let ours: OrganisationId = id("ours");
    assert!(!system.catalog.shared().read().unwrap().retentions.contains_key(&ours));
    let changes = admin.get("/api/audit?kind=retention").await["changes"].clone();
    assert_eq!((changes.as_array().unwrap().len(), &changes[0]["user"]), (6, &json!("admin")));
    system.stop().await;
}
