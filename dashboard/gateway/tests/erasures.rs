//! The history of a device is erased because an owner asks for it.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::user::User;
use system::{System, device, event, position};
use tokio_util::sync::CancellationToken;
use waystream_store::erasing;

async fn erase(user: &User, device: &str) -> (u16, Value) {
    let (status, answer) = user.ask(Method::DELETE, &format!("/api/devices/{device}/history"), None).await;
    (status.as_u16(), answer)
}

async fn positions(user: &User, device: &str) -> usize {
    user.get(&format!("/api/devices/{device}/track")).await["positions"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_has_the_history_of_a_device_erased_as_far_as_it_is_the_organisations() {
    let system = System::start().await;
    system.edit(device("Van 7", "van-7", "north")).await;
    system.edit(device("Theirs", "theirs", "their")).await;
    let told = [("van-7", "north"), ("removed", "south"), ("theirs", "their"), ("both", "their"), ("both", "north")];
    let told = told.into_iter().zip(0..).map(|((device, fleet), n)| position(device, fleet, n, 52.0)).collect();
    system.archive(told, vec![event("van-7", "north", 0), event("theirs", "their", 1)]).await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let other = User::sign_in(&system, "other").await;

    assert_eq!(erase(&viewer, "van-7").await.0, 403);
    assert_eq!(viewer.ask(Method::GET, "/api/erasures", None).await.0, 403);
    assert_eq!(erase(&admin, "theirs").await.0, 404);
    assert_eq!(erase(&admin, "nobody").await.0, 404);
    assert_eq!(admin.get("/api/erasures").await, json!([]));

    // Also one that is in no catalog any more.
    for name in ["van-7", "removed", "both"] {
        let (status, answer) = erase(&admin, name).await;
        assert_eq!((status, &answer["device"], &answer["done_at"]), (202, &json!(name), &Value::Null), "{answer}");
    }
    assert_eq!(erase(&admin, "van-7").await.0, 409, "nobody has carried it out yet");
    let stop = CancellationToken::new();
    let running = tokio::spawn(erasing::run(system.catalog.clone(), system.store.clone(), stop.clone()));
    let done = async {
        while admin.get("/api/erasures").await.as_array().unwrap().iter().any(|erasure| erasure["done_at"].is_null()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), done).await.unwrap();
    for name in ["van-7", "removed", "both"] {
        assert_eq!(positions(&admin, name).await, 0, "{name}");
    }
    assert_eq!(admin.get("/api/events").await["events"], json!([]));
    // What is another organisation's is its own to erase.
    assert_eq!((positions(&other, "theirs").await, positions(&other, "both").await), (1, 1));
    assert_eq!(other.get("/api/events").await["events"].as_array().unwrap().len(), 1);
    assert_eq!(other.get("/api/erasures").await, json!([]));

    // Asked for and done, both are on record.
    let changes = admin.get("/api/audit?kind=erasure").await["changes"].clone();
    let of_van: Vec<_> = changes.as_array().unwrap().iter().filter(|change| change["thing"] == "van-7").collect();
    assert_eq!((of_van.len(), &of_van[1]["user"], &of_van[0]["by"]), (2, &json!("admin"), &json!("program")), "{changes}");
    assert_eq!(erase(&admin, "van-7").await.0, 202, "it may have told something since");
    stop.cancel();
    running.await.unwrap().unwrap();
    system.stop().await;
}
