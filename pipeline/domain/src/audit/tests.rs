//! Records as they come of edits.

use super::*;
use crate::catalog::{Device, Fleet, Organisation, Preferences, Role, SavedQuery, Units, UserPassword, UserPreferences};
use crate::command::{Command, Instruction, Progress};
use crate::geofence::{Checks, Defaults, from_geojson};
use crate::notify::{Channel, Content, DeliveryState, NotificationRule, Secret, Target};
use crate::scram::{Key, ScramKeys};
use crate::second_factor::SecondFactor;
use crate::{
    Acknowledgement, ApiToken, Claim, DeviceAddresses, DeviceToken, Erasure, EventId, EventKind, NewToken, Retention,
    ShareLink, SignInLink, TokenScope, Transfer, UnknownDevice, UnknownDevicePolicy, UnknownDeviceRule,
};
use serde_json::json;
use std::collections::BTreeSet;

/// Marks every secret.
const SECRET: &str = "5ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2e75ec2";

fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect("an id")
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms).expect("a time")
}

fn anna(session: &str) -> Actor {
    Actor::User {
        user: id("anna"),
        organisation: id("ours"),
        via: Access::Session { session: session_name(session) },
        address: Some([192, 0, 2, 1].into()),
    }
}

fn own_password(hash: &str) -> CatalogEntry {
    CatalogEntry::UserPassword(UserPassword { user: id("anna"), organisation: id("ours"), hash: hash.to_owned() })
}

fn user(password_hash: Option<&str>) -> CatalogEntry {
    let password_hash = password_hash.map(str::to_owned);
    CatalogEntry::User(User { id: id("anna"), organisation: id("ours"), role: Role::Owner, password_hash, preferences: None })
}

fn fleet(name: &str, organisation: &str) -> CatalogEntry {
    CatalogEntry::Fleet(Fleet {
        id: id(name),
        organisation: id(organisation),
        name: name.to_uppercase(),
        rules: Default::default(),
    })
}

fn device(fleet: &str) -> CatalogEntry {
    CatalogEntry::Device(Device { id: id("van"), fleet: id(fleet), name: "Van".into() })
}

fn webhook(path: &str, secret: &str) -> CatalogEntry {
    let target = Target::Webhook { url: format!("https://hooks.example.org/{path}"), secret: Secret(secret.into()) };
    CatalogEntry::Channel(Channel { id: id("hook"), organisation: id("ours"), name: "Hook".into(), target })
}

fn token() -> CatalogEntry {
    let scopes = BTreeSet::from([TokenScope::Sql]);
    let new = NewToken { user: id("anna"), name: "Report".into(), scopes, created_at: at(0), expires_at: None };
    let (token, _) = ApiToken::issue(new, &[7; 40]);
    let key = Key::try_from(SECRET.to_owned()).expect("64 hex digits");
    CatalogEntry::ApiToken(ApiToken { sha256: key, scram: Some(ScramKeys { stored_key: key, server_key: key }), ..token })
}

fn session(token_sha256: &str) -> CatalogEntry {
    let (user, expires_at) = (id("anna"), at(1_000));
    CatalogEntry::Session(Session { token_sha256: token_sha256.into(), user, expires_at, password_until: None })
}

fn area() -> CatalogEntry {
    let defaults = Defaults { organisation: id("ours"), fleet: None, id: Some(id("yard")), version: 1, checks: Checks::Strict };
    let square = json!({ "type": "Feature", "properties": { "name": "Yard" },
        "geometry": { "type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]] } });
    let fences = from_geojson(&square.to_string(), &defaults).expect("a square");
    CatalogEntry::Geofence(fences.into_iter().next().expect("one"))
}

fn command() -> CatalogEntry {
    CatalogEntry::Command(Command {
        id: id("c"),
        device: id("van"),
        instruction: Instruction::EngineStop,
        by: id("anna"),
        queued_at: at(0),
        expires_at: at(1),
        place: None,
        progress: Progress::Queued,
    })
}

/// One of every kind.
fn all() -> Vec<CatalogEntry> {
    let rule = NotificationRule {
        id: id("rule"),
        organisation: id("ours"),
        name: "Depot".into(),
        enabled: true,
        kinds: [EventKind::Enter].into(),
        fleets: BTreeSet::new(),
        geofences: BTreeSet::new(),
        quiet_hours: None,
        at_most_every_min: 0,
        channel: id("hook"),
    };
    vec![
        CatalogEntry::Organisation(Organisation { id: id("ours"), name: "Ours".into() }),
        fleet("north", "ours"),
        user(Some(SECRET)),
        own_password(SECRET),
        CatalogEntry::UserPreferences(UserPreferences {
            user: id("anna"),
            organisation: id("ours"),
            preferences: Preferences { units: Units::Metric, time_zone: None },
        }),
        device("north"),
        area(),
        session(SECRET),
        CatalogEntry::Query(SavedQuery { id: id("q"), organisation: id("ours"), name: "All".into(), sql: "SELECT 1".into() }),
        command(),
        webhook(SECRET, SECRET),
        CatalogEntry::NotificationRule(rule),
        token(),
        CatalogEntry::SignInLink(SignInLink {
            token_sha256: SECRET.into(),
            user: id("anna"),
            organisation: Some(id("ours")),
            expires_at: at(1_000),
        }),
        CatalogEntry::SecondFactor(SecondFactor {
            user: id("anna"),
            secret: SECRET.into(),
            used_step: 1,
            recovery_sha256: BTreeSet::from([SECRET.to_owned()]),
            since: at(0),
        }),
        CatalogEntry::UnknownDevice(UnknownDevice {
            id: id("stranger"),
            aliases: Vec::new(),
            fleet: id("north"),
            protocol: "gt06".into(),
            address: None,
            first_seen: at(0),
            last_seen: at(0),
            times: 1,
            dismissed: false,
        }),
        CatalogEntry::Acknowledgement(Acknowledgement {
            event: EventId::from_text("e"),
            organisation: id("ours"),
            fleet: Some(id("north")),
            by: id("anna"),
            at: at(0),
            note: None,
        }),
        CatalogEntry::ShareLink(ShareLink {
            id: id("link"),
            organisation: id("ours"),
            device: id("van"),
            label: None,
            made_by: id("anna"),
            created_at: at(0),
            expires_at: at(1_000),
            sha256: Key::try_from(SECRET.to_owned()).expect("64 hex digits"),
        }),
        CatalogEntry::Transfer(offer()),
        CatalogEntry::DeviceToken(DeviceToken {
            device: id("van"),
            made_by: id("anna"),
            made_at: at(0),
            sha256: Key::try_from(SECRET.to_owned()).expect("64 hex digits"),
        }),
        CatalogEntry::DeviceAddresses(DeviceAddresses {
            device: id("van"),
            ranges: vec!["10.0.0.0/8".parse().expect("a range")],
        }),
        CatalogEntry::Erasure(Erasure {
            device: id("van"),
            organisation: Some(id("ours")),
            fleets: None,
            until: at(0),
            done_at: None,
            problem: None,
        }),
        CatalogEntry::Retention(Retention::none(id("ours"))),
        CatalogEntry::UnknownDeviceRule(UnknownDeviceRule { organisation: id("ours"), policy: UnknownDevicePolicy::Tray }),
    ]
}

fn offer() -> Transfer {
    let (offer, _) = Transfer::offer(id("van"), id("ours"), id("anna"), at(0), &[7; 12]);
    Transfer { code_sha256: SECRET.into(), ..offer }
}

fn catalog(entries: Vec<CatalogEntry>) -> Catalog {
    let mut catalog = Catalog::default();
    entries.into_iter().for_each(|entry| catalog.apply(CatalogEdit::Put(entry)));
    catalog
}

fn puts(entries: Vec<CatalogEntry>) -> Vec<CatalogEdit> {
    entries.into_iter().map(CatalogEdit::Put).collect()
}

fn only(records: Vec<AuditRecord>) -> AuditRecord {
    assert_eq!(records.len(), 1, "{records:?}");
    records.into_iter().next().expect("one")
}

#[test]
fn no_secret_gets_into_a_record() {
    let removals = all().iter().map(|entry| CatalogEdit::Remove(entry.key())).collect::<Vec<_>>();
    // Secrets that are put, that stay, that are replaced, and that go.
    let others = || puts(vec![user(Some("another")), own_password("another"), webhook("another", "another")]);
    let whole = catalog(all());
    let mut records = AuditRecord::of_edits(at(0), &anna(SECRET), &puts(all()), &Catalog::default());
    assert_eq!(records.len(), all().len(), "every kind is recorded");
    records.extend(AuditRecord::of_edits(at(0), &anna(SECRET), &puts(all()), &whole));
    records.extend(AuditRecord::of_edits(at(0), &anna(SECRET), &others(), &whole));
    records.extend(AuditRecord::of_edits(at(0), &Actor::CommandLine, &puts(all()), &catalog(vec![user(Some("another"))])));
    records.extend(AuditRecord::of_edits(at(0), &anna(SECRET), &removals, &whole));
    for record in records {
        let text = serde_json::to_string(&record).expect("JSON");
        assert!(!text.contains(SECRET) && !format!("{record:?}").contains(SECRET), "{text}");
    }
    // What the test looks for is there to be found.
    let kept = all().iter().filter(|entry| serde_json::to_string(entry).expect("JSON").contains(SECRET)).count();
    assert_eq!(kept, 10, "users, passwords, sessions, channels, both kinds of tokens and links, second factors, transfers");
}

#[test]
fn a_record_says_what_it_was_and_what_it_is_and_whose() {
    let known = catalog(vec![fleet("north", "ours"), device("north"), user(Some("old"))]);
    let record = |edit: CatalogEdit| only(AuditRecord::of_edits(at(5), &anna("s"), &[edit], &known));
    let van = CatalogEntry::Device(Device { id: id("van"), fleet: id("north"), name: "Truck".into() });
    let renamed = record(CatalogEdit::Put(van));
    assert_eq!((renamed.key.as_str(), renamed.kind(), renamed.change), ("device/van", "device", Change::Put));
    assert_eq!((renamed.at, &renamed.by, renamed.organisation), (at(5), &anna("s"), Some(id("ours"))));
    let shown = |view: Option<View>| view.map(|view| view.as_json().clone());
    assert_eq!(shown(renamed.before), Some(json!({ "id": "van", "fleet": "north", "name": "Van" })));
    assert_eq!(shown(renamed.after), Some(json!({ "id": "van", "fleet": "north", "name": "Truck" })));

    let gone = record(CatalogEdit::Remove(CatalogKey::Device(id("van"))));
    assert_eq!((gone.change, gone.after, gone.organisation), (Change::Removed, None, Some(id("ours"))));
    // Of a device that nobody has entered only the user says whose it is.
    let gone = record(CatalogEdit::Remove(CatalogKey::Device(id("stranger"))));
    assert_eq!((gone.before, gone.organisation), (None, Some(id("ours"))));

    let password = record(CatalogEdit::Put(user(Some("new"))));
    assert_eq!(password.change, Change::PasswordChanged);
    assert_eq!(shown(password.before).map(|view| view["password"].clone()), Some(json!("hidden")));
    assert_eq!(shown(password.after).map(|view| view["password"].clone()), Some(json!("hidden, changed")));
    let chosen = record(CatalogEdit::Put(own_password("new")));
    assert_eq!((chosen.change, chosen.key.as_str()), (Change::PasswordChanged, "user/anna"));
    assert_eq!(shown(chosen.after).map(|view| view["password"].clone()), Some(json!("hidden, changed")));
    let same = record(CatalogEdit::Put(user(Some("old"))));
    assert_eq!((same.change, same.before), (Change::Put, same.after));
}

#[test]
fn sessions_that_begin_and_end_are_told_as_such() {
    let known = catalog(vec![user(None), session("a-long-hash-of-a-token")]);
    let record = |by: &Actor, edit: CatalogEdit| only(AuditRecord::of_edits(at(0), by, &[edit], &known));
    let end = || CatalogEdit::Remove(CatalogKey::Session("a-long-hash-of-a-token".into()));
    let begun = record(&anna("x"), CatalogEdit::Put(session("another-hash-of-a-token")));
    assert_eq!((begun.change, begun.key.as_str()), (Change::SignedIn, "session/another-hash-of-"));
    assert_eq!(begun.organisation, Some(id("ours")));
    assert_eq!(record(&anna("a-long-hash-of-a-token"), end()).change, Change::SignedOut);
    assert_eq!(record(&anna("another-hash-of-a-token"), end()).change, Change::Removed);
    assert_eq!(record(&Actor::CommandLine, end()).change, Change::Removed);
}

#[test]
fn a_failed_sign_in_names_only_users_who_exist() {
    let CatalogEntry::User(user) = user(None) else { panic!("a user") };
    let address = IpAddr::from([192, 0, 2, 1]);
    let failed = AuditRecord::of_failed_sign_in(at(0), Some(&user), address, 0);
    assert_eq!((failed.key.as_str(), &failed.organisation, &failed.after), ("user/anna", &Some(id("ours")), &None));
    assert!(failed.is_about_user(&id("anna")) && !failed.is_about_user(&id("otto")));
    let nobody = AuditRecord::of_failed_sign_in(at(0), None, address, 2);
    assert_eq!((nobody.key.as_str(), &nobody.organisation), ("user/?", &None));
    assert_eq!(nobody.after.map(|view| view.as_json().clone()), Some(json!({ "next_try_in_s": 2 })));
}

#[test]
fn a_test_and_another_try_of_a_notification_are_told_apart() {
    let test = Delivery {
        id: id("test-1"),
        organisation: id("ours"),
        channel: id("hook"),
        content: Content::Test { by: id("anna") },
        matched_at: at(0),
        round: 0,
        attempts: 0,
        changed_at: at(0),
        state: DeliveryState::Dead { reason: "gone".into() },
    };
    let told = |delivery: &Delivery| {
        let record = AuditRecord::of_delivery(at(0), &anna("s"), delivery);
        assert_eq!(record.organisation, Some(id("ours")));
        (record.change, record.key)
    };
    assert_eq!(told(&test), (Change::Tested, "channel/hook".to_owned()));
    assert_eq!(told(&test.again(at(1)).expect("it is dead")), (Change::Retried, "delivery/test-1".to_owned()));
}

#[test]
fn kinds_are_those_of_the_catalog_and_notifications() {
    let keys = all().iter().map(|entry| entry.key().to_string()).collect::<Vec<_>>();
    for kind in keys.iter().filter_map(|key| Some(key.split_once('/')?.0)).chain(["delivery"]) {
        assert!(is_kind(kind), "{kind}");
    }
    for wrong in ["", "devices", "device/", "Device", " device"] {
        assert!(!is_kind(wrong), "{wrong}");
    }
}

#[test]
fn what_devices_cause_is_recorded_as_far_as_it_makes_devices() {
    let known = catalog(vec![fleet("north", "ours")]);
    let edits = puts(vec![device("north"), command()]);
    let record = only(AuditRecord::of_edits(at(0), &Actor::Connectors, &edits, &known));
    assert_eq!((record.key.as_str(), record.organisation), ("device/van", Some(id("ours"))));
    assert_eq!(AuditRecord::of_edits(at(0), &Actor::CommandLine, &edits, &known).len(), 2);
}

#[test]
fn what_changes_hands_is_told_to_both_and_neither_sees_the_other() {
    let known = catalog(vec![fleet("north", "ours"), device("north")]);
    // The fleet that it comes into is made by the same edits.
    let edits = puts(vec![fleet("their", "theirs"), device("their")]);
    let records = AuditRecord::of_edits(at(0), &Actor::CommandLine, &edits, &known);
    let told: Vec<_> = records.iter().map(|r| (r.organisation.as_ref().map(OrganisationId::as_str), r.change)).collect();
    assert_eq!(told, [(Some("theirs"), Change::Put), (Some("ours"), Change::Removed), (Some("theirs"), Change::Put)]);
    assert!(records[1].after.is_none() && records[2].before.is_none());
}

#[test]
fn who_hands_over_and_who_takes_are_told_to_their_own_only() {
    let known =
        vec![fleet("north", "ours"), fleet("their", "theirs"), device("north"), command(), CatalogEntry::Transfer(offer())];
    let known = catalog(known);
    let otto = Actor::User { user: id("otto"), organisation: id("theirs"), via: Access::Password, address: None };
    let to = Device { id: id("van"), fleet: id("their"), name: "Theirs now".into() };
    let mut edits = vec![CatalogEdit::Put(CatalogEntry::Transfer(offer().claimed(Claim { id: "c".into(), at: at(1) })))];
    edits.extend(known.transfer_edits(&offer(), to, at(2)).expect("it is ours"));
    let records = AuditRecord::of_edits(at(2), &otto, &edits, &known);
    let (ours, theirs): (Vec<_>, Vec<_>) = records.iter().partition(|record| record.organisation == Some(id("ours")));
    let told = |records: &[&AuditRecord]| {
        let told = records.iter().map(|record| (record.key.clone(), record.change));
        (told.collect::<Vec<_>>(), serde_json::to_string(records).expect("JSON"))
    };
    let (changes, text) = told(&ours);
    let (offered, command, van) = ("transfer/van".to_owned(), "command/c/van".to_owned(), "device/van".to_owned());
    let (put, removed) = (Change::Put, Change::Removed);
    assert_eq!(changes, [(offered.clone(), put), (command, removed), (van.clone(), removed), (offered, removed)]);
    assert!(!text.contains("otto") && !text.contains("their") && !text.contains("Theirs") && !text.contains(SECRET), "{text}");
    let (changes, text) = told(&theirs);
    assert_eq!(changes, [(van, put)]);
    assert!(text.contains("otto") && !text.contains("anna") && !text.contains("ours") && !text.contains("north"), "{text}");
}

#[test]
fn a_large_field_is_told_by_its_size_and_another_one_by_another_hash() {
    let query = |sql: String| {
        let query = SavedQuery { id: id("q"), organisation: id("ours"), name: "Long".into(), sql };
        let edit = CatalogEdit::Put(CatalogEntry::Query(query));
        let after = only(AuditRecord::of_edits(at(0), &Actor::CommandLine, &[edit], &Catalog::default())).after;
        after.expect("it is put").as_json()["sql"].clone()
    };
    let (long, other) = (query("x".repeat(60_000)), query("y".repeat(60_000)));
    assert_eq!((&long["bytes"], &other["bytes"]), (&json!(60_002), &json!(60_002)));
    assert_ne!(long["sha256"], other["sha256"]);
    assert_eq!(query("SELECT 1".into()), json!("SELECT 1"));
}
