//! A second organisation in a system that has to stand something: whatever happens, its owner is told of its own vehicles and of no others.

use crate::browser::Browser;
use crate::common::{System, cookie_by};
use serde_json::json;
use std::collections::BTreeMap;
use waystream::people::PeopleOrder;
use waystream_domain::catalog::{Device, Fleet, Organisation, Role, User};
use waystream_domain::{CatalogEntry, DeviceId, OrganisationId, UserId};

const NAME: &str = "rival";

fn owner() -> UserId {
    UserId::new("rita").unwrap()
}

/// The organisation and its owner, with these devices.
pub(crate) fn entries<'a>(devices: impl IntoIterator<Item = &'a DeviceId>) -> Vec<CatalogEntry> {
    let organisation = OrganisationId::new(NAME).unwrap();
    let mut entries = organisation_of(NAME, devices);
    let owner = User { id: owner(), organisation, role: Role::Owner, password_hash: None, preferences: None };
    entries.push(CatalogEntry::User(owner));
    entries
}

/// An organisation of this name, with one fleet that has these devices.
pub(crate) fn organisation_of<'a>(name: &str, devices: impl IntoIterator<Item = &'a DeviceId>) -> Vec<CatalogEntry> {
    let (id, name) = (OrganisationId::new(name).unwrap(), name.to_owned());
    let fleet = Fleet { id: name.parse().unwrap(), organisation: id.clone(), name: name.clone(), rules: Default::default() };
    let device = |id: &DeviceId| Device { id: id.clone(), fleet: fleet.id.clone(), name: format!("{name} {id}") };
    let devices: Vec<_> = devices.into_iter().map(|id| CatalogEntry::Device(device(id))).collect();
    let organisation = Organisation { id, name };
    [vec![CatalogEntry::Organisation(organisation), CatalogEntry::Fleet(fleet)], devices].concat()
}

/// Panics unless its owner sees these devices, each with so many positions, and nothing else: in history, and over a socket. And no label of
/// a metric names it or what it has.
pub(crate) async fn check(system: &System, positions: &BTreeMap<DeviceId, usize>) {
    let link = system.remote().people(&PeopleOrder::Link { id: owner() }).await.unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let cookie = cookie_by(&format!("{url}{}", link.trim())).await;
    let http = reqwest::Client::new();
    let ask = async |query: &str| {
        let question = json!({ "query": query, "format": "csv" });
        let request = http.post(format!("{url}/api/sql")).header("cookie", &cookie).header("x-waystream", "1").json(&question);
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    };
    let is_own = |device: &str| positions.keys().any(|own| own.as_str() == device);

    let counted: String = positions.iter().map(|(device, count)| format!("{device},{count}\n")).collect();
    let told = ask("SELECT device, count(*) AS n FROM positions GROUP BY device ORDER BY device").await;
    assert_eq!(told, format!("device,n\n{counted}"), "positions that another organisation is told of");
    for table in ["events", "latest_positions", "devices"] {
        let told = ask(&format!("SELECT DISTINCT device FROM {table}")).await;
        let foreign: Vec<&str> = told.lines().skip(1).filter(|device| !is_own(device)).collect();
        assert!(foreign.is_empty(), "another organisation is told of {foreign:?} in {table}");
    }
    assert_eq!(ask("SELECT count(*) AS n FROM geofences").await, "n\n0\n");

    let metrics = http.get(format!("{url}/metrics")).send().await.unwrap().error_for_status().unwrap().text().await.unwrap();
    for line in metrics.lines() {
        let labels = line.split_once('{').map_or("", |(_, rest)| rest.split('}').next().unwrap());
        assert!(!labels.contains(NAME) && !positions.keys().any(|device| labels.contains(device.as_str())), "{line}");
    }

    // From the first event on, so that all that was ever told goes by.
    let events: usize = ask("SELECT count(*) AS n FROM events").await.lines().nth(1).unwrap().parse().unwrap();
    let everything = json!({ "fleets": null, "alerts_after": "" });
    let (mut browser, answer) = Browser::watching(&url, &cookie, "websocket", everything).await;
    assert_eq!(answer["fleets"], json!([NAME]));
    browser.until_so(|b| b.map.len() >= positions.len() && b.alerts.len() >= events).await;
    assert!(browser.map.keys().chain(browser.names.keys()).all(|device| is_own(device)), "{:?}", browser.names);
    let foreign = browser.alerts.iter().find(|alert| !is_own(alert["device"].as_str().unwrap()) || alert["fleet"] != NAME);
    assert!(foreign.is_none(), "{foreign:?}");
}
