//! What a device has to show: set by whoever enters devices, shown to nobody else, gone with the device.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{System, device, id};
use waystream_domain::{CatalogKey, DeviceId};

#[tokio::test]
async fn a_device_token_is_shown_once_and_revoked() {
    let system = System::start().await;
    system.edit(device("Van", "van", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let (viewer, other) = (User::sign_in(&system, "viewer").await, User::sign_in(&system, "other").await);
    let nothing = json!({ "token": null, "addresses": [] });
    assert_eq!(admin.get("/api/devices/van/access").await, nothing);
    let (status, made) = admin.ask(Method::POST, "/api/devices/van/token", None).await;
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(status == 201 && secret.starts_with("wdev_"), "{made}");
    {
        let catalog = system.catalog.shared();
        let catalog = catalog.read().unwrap();
        assert!(catalog.device_tokens[&id::<DeviceId>("van")].is(&secret));
    }
    let shown = admin.get("/api/devices/van/access").await;
    assert_eq!(shown["token"]["made_by"], "admin");
    let records = admin.get("/api/audit").await.to_string();
    assert!(records.contains("\"device_token\""), "{records}");
    for told in [&shown.to_string(), &records] {
        assert!(!told.contains(&secret), "{told}");
    }

    for (method, path, body) in [
        (Method::GET, "access", None),
        (Method::POST, "token", None),
        (Method::DELETE, "token", None),
        (Method::PUT, "addresses", Some(json!({ "addresses": [] }))),
    ] {
        let path = format!("/api/devices/van/{path}");
        let asked = async |user: &User| user.ask(method.clone(), &path, body.as_ref()).await.0.as_u16();
        assert_eq!((asked(&viewer).await, asked(&other).await), (403, 404), "{method} {path}");
    }
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/van/token", None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/van/token", None).await.0, 404);
    assert_eq!(admin.get("/api/devices/van/access").await, nothing);
    system.stop().await;
}

#[tokio::test]
async fn addresses_are_ranges_and_go_with_the_device() {
    let system = System::start().await;
    system.edit(device("Van", "van", "north")).await;
    let admin = User::sign_in(&system, "admin").await;
    let set = async |addresses: Value| {
        let body = json!({ "addresses": addresses });
        admin.ask(Method::PUT, "/api/devices/van/addresses", Some(&body)).await
    };
    for wrong in [json!(["anywhere"]), json!(["10.0.0.0/33"]), json!(vec!["10.0.0.1"; 33])] {
        assert_eq!(set(wrong.clone()).await.0, 400, "{wrong}");
    }
    let (status, shown) = set(json!(["10.20.7.9/16", "2001:db8::1"])).await;
    let ranges = json!(["10.20.0.0/16", "2001:db8::1/128"]);
    assert_eq!((status.as_u16(), &shown["addresses"]), (200, &ranges));
    assert_eq!(set(json!([])).await.1["addresses"], json!([]));

    // Whoever gets a device of this name next has chosen neither.
    assert_eq!(set(ranges).await.0, 200);
    assert_eq!(admin.ask(Method::POST, "/api/devices/van/token", None).await.0, 201);
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/van", None).await.0, 204);
    let catalog = system.catalog.shared();
    {
        let catalog = catalog.read().unwrap();
        for key in [CatalogKey::DeviceToken(id("van")), CatalogKey::DeviceAddresses(id("van"))] {
            assert!(!catalog.knows(&key), "{key}");
        }
    }
    system.stop().await;
}
