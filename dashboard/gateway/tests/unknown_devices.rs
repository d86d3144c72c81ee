//! Devices that were refused: owners see those of their organisation, adopt and dismiss them.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::json;
use system::user::User;
use system::{START_MS, System, device, id, unknown_device};
use waystream_domain::{CatalogKey, DeviceId};

#[tokio::test]
async fn a_refused_device_is_adopted_or_dismissed_by_owners() {
    let system = System::start().await;
    for (id, fleet) in [("356307042441013", "north"), ("jane/phone", "south"), ("356307042441014", "their")] {
        system.edit(unknown_device(id, "gt06", fleet)).await;
    }
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let shown = |id: &str, fleet: &str| {
        json!({ "id": id, "protocol": "gt06", "address": "203.0.113.7", "fleet": fleet,
            "first_seen": START_MS, "last_seen": START_MS + 600_000, "times": 12 })
    };
    let (van, phone) = (shown("356307042441013", "north"), shown("jane/phone", "south"));
    assert_eq!(admin.get("/api/unknown-devices").await, json!([van, phone]));

    // Who may only look doesn't see them, and nobody adopts what is another's, or into what is another's.
    let (adopt, edit) = ("/api/unknown-devices/356307042441013/adopt", json!({ "name": "Van 7", "fleet": "south" }));
    assert_eq!(viewer.ask(Method::GET, "/api/unknown-devices", None).await.0, 403);
    assert_eq!(viewer.ask(Method::POST, adopt, Some(&edit)).await.0, 403);
    assert_eq!(viewer.ask(Method::DELETE, "/api/unknown-devices/356307042441013", None).await.0, 403);
    assert_eq!(admin.ask(Method::POST, "/api/unknown-devices/356307042441014/adopt", Some(&edit)).await.0, 404);
    assert_eq!(admin.ask(Method::DELETE, "/api/unknown-devices/356307042441014", None).await.0, 404);
    assert_eq!(admin.ask(Method::POST, adopt, Some(&json!({ "name": "Van 7", "fleet": "their" }))).await.0, 404);
    assert_eq!(admin.ask(Method::POST, adopt, Some(&json!({ "name": " ", "fleet": "south" }))).await.0, 400);
    assert_eq!(admin.get("/api/unknown-devices").await, json!([van, phone]));

    let (status, adopted) = admin.ask(Method::POST, adopt, Some(&edit)).await;
    assert_eq!((status.as_u16(), &adopted), (201, &json!({ "id": "356307042441013", "name": "Van 7", "fleet": "south" })));
    assert_eq!(admin.get("/api/devices/356307042441013").await["name"], "Van 7");
    assert_eq!(admin.ask(Method::POST, adopt, Some(&edit)).await.0, 404);
    assert_eq!(admin.get("/api/unknown-devices").await, json!([phone]));
    {
        let catalog = system.catalog.shared();
        let catalog = catalog.read().unwrap();
        let van: DeviceId = id("356307042441013");
        assert!(catalog.devices.contains_key(&van) && !catalog.knows(&CatalogKey::UnknownDevice(van)));
    }

    // Dismissed, it isn't shown again when it speaks again, nor after a restart.
    assert_eq!(admin.ask(Method::DELETE, "/api/unknown-devices/jane%2Fphone", None).await.0, 204);
    assert_eq!(admin.get("/api/unknown-devices").await, json!([]));
    assert_eq!(admin.ask(Method::DELETE, "/api/unknown-devices/jane%2Fphone", None).await.0, 404);
    let system = system.restart(Default::default()).await;
    let admin = User::sign_in(&system, "admin").await;
    assert_eq!(admin.get("/api/unknown-devices").await, json!([]));

    // One that is entered by hand leaves too.
    system.edit(unknown_device("by-hand", "gt06", "north")).await;
    assert_eq!(admin.get("/api/unknown-devices").await[0]["id"], "by-hand");
    system.edit(device("Van 8", "by-hand", "north")).await;
    assert_eq!(admin.get("/api/unknown-devices").await, json!([]));
    system.stop().await;
}

#[tokio::test]
async fn owners_say_what_happens_to_devices_that_nobody_has_entered() {
    let system = System::start().await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let other = User::sign_in(&system, "other").await;
    let path = "/api/unknown-device-policy";
    let say = async |user: &User, policy: serde_json::Value| {
        user.ask(Method::PUT, path, Some(&json!({ "policy": policy }))).await.0.as_u16()
    };
    assert_eq!((viewer.ask(Method::GET, path, None).await.0.as_u16(), say(&viewer, json!("accept")).await), (403, 403));
    assert_eq!(admin.get(path).await, json!({ "policy": null }));
    assert_eq!(say(&admin, json!("sometimes")).await, 422);
    for policy in [json!("tray"), json!("refuse"), json!("accept")] {
        assert_eq!(say(&admin, policy.clone()).await, 204);
        assert_eq!(admin.get(path).await, json!({ "policy": policy }));
        assert_eq!(other.get(path).await, json!({ "policy": null }), "it is the organisation's");
    }
    assert_eq!(say(&admin, json!(null)).await, 204);
    assert_eq!(admin.get(path).await, json!({ "policy": null }));
    assert!(system.catalog.shared().read().unwrap().unknown_device_rules.is_empty());
    let changes = admin.get("/api/audit?kind=unknown_device_rule").await["changes"].clone();
    assert_eq!((changes.as_array().unwrap().len(), &changes[0]["change"]), (4, &json!("removed")));
    system.stop().await;
}
