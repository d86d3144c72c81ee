//! A device that goes from one organisation to another, with the consent of both: offered with a code, taken with it, once.

#![allow(clippy::unwrap_used)]

use crate::system;

use reqwest::Method;
use serde_json::{Value, json};
use system::browser::Browser;
use system::user::User;
use system::{START_MS, System, at, device, event, id, live, position};
use waystream_domain::catalog::{Fleet, Organisation, Role};
use waystream_domain::{CatalogEntry, Transfer};

const EVERYTHING: fn() -> Value = || json!({ "fleets": null, "alerts_after": null });

/// Offers a device; its code.
async fn offer(user: &User, device: &str) -> String {
    let (status, offered) = user.ask(Method::POST, &format!("/api/devices/{device}/transfer"), None).await;
    assert_eq!(status, 201, "{offered}");
    offered["code"].as_str().unwrap().to_owned()
}

/// Takes a device.
async fn redeem(user: &User, code: &str, name: &str, fleet: &str) -> (u16, Value) {
    let request = json!({ "code": code, "name": name, "fleet": fleet });
    let (status, answer) = user.ask(Method::POST, "/api/transfers/redeem", Some(&request)).await;
    (status.as_u16(), answer)
}

fn column<'a>(answer: &'a Value, name: &str) -> Vec<&'a str> {
    answer["changes"].as_array().unwrap().iter().map(|change| change[name].as_str().unwrap_or("-")).collect()
}

#[tokio::test]
async fn a_device_goes_to_another_organisation_and_its_past_stays() {
    let system = System::start().await;
    system.edit(device("Van 7", "van", "north")).await;
    let (admin, viewer) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "viewer").await);
    let other = User::sign_in(&system, "other").await;
    let (mut ours, _) = Browser::watching(&system.url, &admin.cookie, "websocket", EVERYTHING()).await;
    let (mut theirs, _) = Browser::watching(&system.url, &other.cookie, "websocket", EVERYTHING()).await;
    system.move_to("north", vec![live("van", "north", 1, 10.0)]).await;
    ours.until_so(|b| b.map.contains_key("van")).await;
    system.happen(&event("van", "north", 2)).await;
    while admin.get("/api/devices/van").await["inside"] == json!([]) {}
    let stop = json!({ "instruction": "engine_stop" });
    assert_eq!(admin.ask(Method::POST, "/api/devices/van/commands", Some(&stop)).await.0, 201);

    // Offered: shown once, listed, and nothing has changed yet.
    let path = "/api/devices/van/transfer";
    for (method, path) in [(Method::POST, path), (Method::DELETE, path), (Method::GET, "/api/transfers")] {
        assert_eq!(viewer.ask(method, path, None).await.0, 403, "{path}");
    }
    assert_eq!(other.ask(Method::POST, path, None).await.0, 404);
    assert_eq!(admin.ask(Method::POST, "/api/devices/nothing/transfer", None).await.0, 404);
    let (status, offered) = admin.ask(Method::POST, path, None).await;
    let (code, transfer) = (offered["code"].as_str().unwrap(), &offered["transfer"]);
    assert_eq!((status.as_u16(), &transfer["device"], &transfer["name"]), (201, &json!("van"), &json!("Van 7")));
    assert_eq!(transfer["expires_at"].as_i64().unwrap() - transfer["offered_at"].as_i64().unwrap(), Transfer::VALID_MS);
    assert_eq!(admin.get("/api/transfers").await, json!([transfer]));
    assert_eq!(other.get("/api/transfers").await, json!([]));
    assert_eq!(admin.ask(Method::POST, path, None).await.0, 409);
    assert!(!format!("{:?}", system.catalog.shared().read().unwrap().transfers).contains(code));

    // Taken back, the code is good for nothing.
    assert_eq!(other.ask(Method::DELETE, path, None).await.0, 404);
    assert_eq!(admin.ask(Method::DELETE, path, None).await.0, 204);
    assert_eq!(admin.ask(Method::DELETE, path, None).await.0, 404);
    assert_eq!(redeem(&other, code, "Lorry", "their").await.0, 404);

    let code = offer(&admin, "van").await;
    assert_eq!(redeem(&other, "0123-4567-89ab-cdef-0123-4567", "Lorry", "their").await.0, 404);
    assert_eq!(redeem(&other, &code, "Lorry", "north").await.0, 404);
    assert_eq!(redeem(&other, &code, " ", "their").await.0, 400);
    assert_eq!(redeem(&viewer, &code, "Lorry", "north").await.0, 403);
    assert_eq!(redeem(&admin, &code, "Lorry", "north").await.0, 409);
    assert_eq!(User::nobody(&system).ask(Method::POST, "/api/transfers/redeem", None).await.0, 401);
    assert_eq!(admin.get("/api/devices/van").await["name"], "Van 7");
    let (status, taken) = redeem(&other, &code.to_uppercase().replace('-', " "), "Lorry", "their").await;
    assert_eq!((status, taken), (201, json!({ "id": "van", "name": "Lorry", "fleet": "their" })));
    assert_eq!(redeem(&other, &code, "Lorry", "their").await.0, 404);

    // Gone for the one, at once; begun anew for the other.
    ours.until_so(|b| !b.map.contains_key("van")).await;
    assert_eq!(admin.ask(Method::GET, "/api/devices/van", None).await.0, 404);
    assert_eq!((admin.get("/api/transfers").await, admin.get("/api/devices").await), (json!([]), json!([])));
    let details = other.get("/api/devices/van").await;
    assert_eq!((&details["position"], &details["received_at"], &details["inside"]), (&Value::Null, &Value::Null, &json!([])));
    assert_eq!(other.get("/api/devices/van/commands").await, json!([]));
    // Nor does a command say where it was.
    let command = other.ask(Method::POST, "/api/devices/van/commands", Some(&stop)).await.1;
    assert_eq!(command["state"], "queued");
    let places = {
        let catalog = system.catalog.shared();
        let catalog = catalog.read().unwrap();
        catalog.commands_of(&id("van")).map(|command| command.place).collect::<Vec<_>>()
    };
    assert_eq!(places, [None]);
    system.move_to("their", vec![live("marker", "their", 1, 3.0)]).await;
    theirs.until_so(|b| b.map.contains_key("marker")).await;
    assert!(!theirs.map.contains_key("van"), "{:?}", theirs.map);
    // One that was under way, and one from there.
    system.move_to("north", vec![live("van", "north", 2, 11.0), live("marker-2", "north", 2, 4.0)]).await;
    system.move_to("their", vec![live("van", "their", 3, 20.0)]).await;
    theirs.until_so(|b| b.map.get("van") == Some(&20.0)).await;
    assert_eq!(theirs.names["van"], "Lorry");
    ours.until_so(|b| b.map.contains_key("marker-2")).await;
    assert!(!ours.map.contains_key("van"), "{:?}", ours.map);
    assert_eq!(other.get("/api/devices/van").await["inside"], json!([]));

    // History is split, and so is what it is called.
    let rows = vec![position("van", "north", 1, 10.0), position("van", "north", 2, 11.0), position("van", "their", 3, 20.0)];
    system.archive(rows, vec![event("van", "north", 2), event("van", "their", 4)]).await;
    let sql = json!({ "query": "SELECT lat FROM positions WHERE device = 'van' ORDER BY lat" });
    for (user, lats, called) in [(&admin, json!([[10.0], [11.0]]), "van"), (&other, json!([[20.0]]), "Lorry")] {
        assert_eq!(user.ask(Method::POST, "/api/sql", Some(&sql)).await.1["rows"], lats);
        let track = user.get(&format!("/api/devices/van/track?from={START_MS}&to={}", START_MS + 60_000)).await;
        assert_eq!(track["positions"].as_array().unwrap().len(), lats.as_array().unwrap().len());
        let events = user.get("/api/events?device=van").await;
        let names: Vec<_> = events["events"].as_array().unwrap().iter().map(|e| e["device_name"].as_str().unwrap()).collect();
        assert_eq!(names, [called]);
    }

    // Each side sees its own part, and nobody of the other.
    let seen = admin.get("/api/audit?kind=transfer").await;
    assert_eq!(column(&seen, "by"), ["program", "program", "user", "user", "user", "user"]);
    assert_eq!(column(&seen, "change"), ["removed", "put", "put", "removed", "put", "put"]);
    let whole = admin.get("/api/audit?limit=500").await.to_string();
    assert!(!whole.contains("\"other\"") && !whole.contains("their") && !whole.contains("Lorry"), "{whole}");
    assert_eq!(column(&admin.get("/api/audit?kind=device").await, "change")[0], "removed");
    let seen = other.get("/api/audit?kind=device").await;
    assert_eq!((column(&seen, "user"), column(&seen, "change")), (vec!["other"], vec!["put"]));
    let whole = other.get("/api/audit?limit=500").await.to_string();
    assert!(!whole.contains("admin") && !whole.contains("north") && !whole.contains("Van 7"), "{whole}");
    system.stop().await;
}

#[tokio::test]
async fn an_offer_ends_with_its_time_or_with_the_device() {
    let system = System::start().await;
    for name in ["old", "gone", "moved"] {
        system.edit(device(name, name, "north")).await;
    }
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let (expired, code) = Transfer::offer(id("old"), id("ours"), id("admin"), at(START_MS), &[7; 12]);
    system.edit(CatalogEntry::Transfer(expired)).await;
    assert_eq!(redeem(&other, code.as_str(), "Old", "their").await.0, 404);
    assert_eq!(admin.get("/api/transfers").await, json!([]));
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/old/transfer", None).await.0, 404);
    // It stands in no other's way.
    let renewed = offer(&admin, "old").await;

    let code = offer(&admin, "gone").await;
    assert_eq!(admin.ask(Method::DELETE, "/api/devices/gone", None).await.0, 204);
    assert_eq!(redeem(&other, &code, "Gone", "their").await.0, 404);
    // Also if it comes back.
    system.edit(device("gone", "gone", "north")).await;
    assert_eq!(redeem(&other, &code, "Gone", "their").await.0, 404);

    // Within the organisation it may move, also across a restart.
    let code = offer(&admin, "moved").await;
    system.edit(device("moved", "moved", "south")).await;
    let system = system.restart(Default::default()).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let offered = admin.get("/api/transfers").await;
    let offered: Vec<_> = offered.as_array().unwrap().iter().map(|offer| offer["device"].as_str().unwrap()).collect();
    assert_eq!(offered, ["moved", "old"]);
    assert_eq!(redeem(&other, &code, "Moved", "their").await.0, 201);
    assert_eq!(redeem(&other, &renewed, "Old", "their").await.0, 201);
    // And back again.
    let code = offer(&other, "moved").await;
    assert_eq!(redeem(&admin, &code, "Home", "north").await.0, 201);
    system.stop().await;
}

#[tokio::test]
async fn who_guesses_codes_has_to_wait_and_nobody_else() {
    let system = System::start().await;
    system.edit(device("Ours", "ours-1", "north")).await;
    system.edit(device("Theirs", "theirs-1", "their")).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    let code = offer(&admin, "ours-1").await;
    for guess in 0..5 {
        assert_eq!(redeem(&other, &format!("{guess:024}"), "Mine", "their").await.0, 404);
    }
    // However slow this is, the waits grow faster.
    for guess in 5..12 {
        assert_ne!(redeem(&other, &format!("{guess:024}"), "Mine", "their").await.0, 201);
    }
    // The right one too: who guesses doesn't learn which it is.
    assert_eq!(redeem(&other, &code, "Mine", "their").await.0, 429);
    assert_eq!(admin.get("/api/devices/ours-1").await["name"], "Ours");
    let code = offer(&other, "theirs-1").await;
    assert_eq!(redeem(&admin, &code, "Home", "north").await.0, 201);
    User::sign_in(&system, "other").await.get("/api/session").await;
    system.stop().await;
}

#[tokio::test]
async fn of_two_who_take_a_device_at_once_one_gets_it() {
    let system = System::start().await;
    let third = Organisation { id: id("third"), name: "Third".into() };
    system.edit(CatalogEntry::Organisation(third)).await;
    let fleet = Fleet { id: id("thirds"), organisation: id("third"), name: "Thirds".into(), rules: Default::default() };
    system.edit(CatalogEntry::Fleet(fleet)).await;
    let user = waystream_domain::catalog::User {
        id: id("third-owner"),
        organisation: id("third"),
        role: Role::Owner,
        password_hash: None,
        preferences: None,
    };
    system.edit(CatalogEntry::User(user)).await;
    let (admin, other) = (User::sign_in(&system, "admin").await, User::sign_in(&system, "other").await);
    // Each at a gateway of its own.
    let another = system.another().await;
    let at_another = |user: User| User { url: another.url.clone(), ..user };
    let third = at_another(User::sign_in(&system, "third-owner").await);
    let elsewhere = at_another(User::sign_in(&system, "admin").await);
    for round in 0..4 {
        let van = format!("van-{round}");
        system.edit(device("Van", &van, "north")).await;
        let code = offer(&admin, &van).await;
        while elsewhere.ask(Method::GET, "/api/transfers", None).await.1 != admin.get("/api/transfers").await {}
        let (one, two) = tokio::join!(redeem(&other, &code, "One", "their"), redeem(&third, &code, "Two", "thirds"));
        assert_ne!(one.0 == 201, two.0 == 201, "{one:?} {two:?}");
        let (winner, won, loser) = if one.0 == 201 { (&other, one, &third) } else { (&third, two, &other) };
        let address = format!("/api/devices/{van}");
        assert_eq!(winner.get(&address).await["fleet"], won.1["fleet"]);
        while loser.ask(Method::GET, &address, None).await.0 != 404 {}
        while admin.ask(Method::GET, &address, None).await.0 != 404 {}

        // Taken back in the moment in which it is taken: one of both happens.
        let lorry = format!("lorry-{round}");
        system.edit(device("Lorry", &lorry, "north")).await;
        let code = offer(&admin, &lorry).await;
        while elsewhere.ask(Method::GET, "/api/transfers", None).await.1 != admin.get("/api/transfers").await {}
        let path = format!("/api/devices/{lorry}/transfer");
        let (back, taken) = tokio::join!(admin.ask(Method::DELETE, &path, None), redeem(&third, &code, "Two", "thirds"));
        assert_ne!(back.0 == 204, taken.0 == 201, "{back:?} {taken:?}");
        let is_ours = || system.catalog.shared().read().unwrap().owner_of(&id(&lorry)) == Some(&id("ours"));
        while is_ours() != (back.0 == 204) {
            tokio::task::yield_now().await;
        }
    }
    system.stop().await;
    another.ended().await;
}
