//! Devices that are refused are noted in the catalog, for their owners to adopt.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, Tracker, data, login};
use common::{System, in_time};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_connectors::{ConnectorsConfig, UnknownDevices};
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::{
    Actor, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, UnknownDevice, UnknownDevicePolicy, UnknownDeviceRule,
};

const IMEI: &str = "356307042441013";

/// Connectors that refuse unknown devices, which would belong to a fleet that there is.
async fn refusing() -> System {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let fleet = Fleet {
        id: "default".parse().unwrap(),
        organisation: "ours".parse().unwrap(),
        name: "Default".into(),
        rules: Default::default(),
    };
    system
        .catalog
        .edit(&waystream_domain::Actor::CommandLine, vec![CatalogEdit::Put(CatalogEntry::Fleet(fleet))])
        .await
        .unwrap();
    system
}

/// Returns when the device is in the tray.
async fn noted(system: &System, device: &str) -> UnknownDevice {
    let id: DeviceId = device.parse().unwrap();
    let mut edits = system.catalog.subscribe();
    loop {
        let found = system.catalog.shared().read().unwrap().unknown_devices.get(&id).cloned();
        if let Some(found) = found {
            return found.as_ref().clone();
        }
        in_time(edits.recv()).await.unwrap();
    }
}

/// Everybody who is in the tray.
fn tray(system: &System) -> Vec<String> {
    system.catalog.shared().read().unwrap().unknown_devices.keys().map(ToString::to_string).collect()
}

/// A report over HTTP, which is refused. `id` as it stands in an address.
async fn report(system: &System, id: &str) {
    let mut stream = in_time(TcpStream::connect(system.address("osmand"))).await.unwrap();
    let head = "Host: localhost\r\nConnection: close\r\n";
    let request = format!("GET /?id={id}&lat=52.1&lon=21.0&timestamp=1718000000 HTTP/1.1\r\n{head}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
}

#[tokio::test]
async fn who_is_refused_is_noted_and_once_adopted_accepted_at_once() {
    let system = refusing().await;
    let mut tracker = Tracker::connect(system.address("teltonika")).await;
    tracker.send(&login(IMEI)).await;
    assert_eq!(tracker.answer(1).await.unwrap(), [0]);
    let device = noted(&system, IMEI).await;
    assert_eq!((device.protocol.as_str(), device.fleet.as_str(), device.times), ("teltonika", "default", 1));
    assert_eq!(device.address.unwrap().to_string(), "127.0.0.1");
    assert_eq!(device.first_seen, device.last_seen);

    let van = Device { id: device.id.clone(), fleet: device.fleet, name: "Van".into() };
    let adopted = vec![CatalogEdit::Put(CatalogEntry::Device(van)), CatalogEdit::Remove(CatalogKey::UnknownDevice(device.id))];
    system.catalog.edit(&waystream_domain::Actor::CommandLine, adopted).await.unwrap();
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(tracker.report(&data(START_MS, 1)).await.unwrap(), 1);
    assert!(tray(&system).is_empty());
    system.stop().await;
}

#[tokio::test]
async fn an_organisation_may_let_in_less_than_the_installation() {
    let system = System::start().await;
    system.enter_fleets("ours", &["default"]).await;
    let say = async |policy: UnknownDevicePolicy| {
        let rule = UnknownDeviceRule { organisation: "ours".parse().unwrap(), policy };
        let edits = vec![CatalogEdit::Put(CatalogEntry::UnknownDeviceRule(rule))];
        system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();
    };
    // Not seen in the tray, though it came before the one that is.
    say(UnknownDevicePolicy::Refuse).await;
    report(&system, "unseen").await;
    say(UnknownDevicePolicy::Tray).await;
    report(&system, "seen").await;
    let device = noted(&system, "seen").await;
    assert_eq!(device.fleet.as_str(), "default");
    assert_eq!(tray(&system), ["seen"]);
    // What the installation takes is taken again, and a device that is known stays so.
    for policy in [UnknownDevicePolicy::Accept, UnknownDevicePolicy::Refuse] {
        say(policy).await;
        let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
        assert_eq!(tracker.report(&data(START_MS, 1)).await.unwrap(), 1);
    }
    system.stop().await;

    // It can't let in more.
    let system = refusing().await;
    let rule = UnknownDeviceRule { organisation: "ours".parse().unwrap(), policy: UnknownDevicePolicy::Accept };
    let edits = vec![CatalogEdit::Put(CatalogEntry::UnknownDeviceRule(rule))];
    system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();
    report(&system, "stranger").await;
    noted(&system, "stranger").await;
    system.stop().await;
}

#[tokio::test]
async fn made_up_identifiers_cost_nothing_and_those_that_deceive_are_not_noted() {
    let system = refusing().await;
    // Right-to-left, and without width.
    report(&system, "%E2%80%AEnav").await;
    report(&system, "van%E2%80%8B").await;
    report(&system, "van").await;
    noted(&system, "van").await;
    assert_eq!(tray(&system), ["van"]);

    let began = Instant::now();
    for n in 0..200 {
        report(&system, &format!("made-up-{n}")).await;
    }
    let seconds = usize::try_from(began.elapsed().as_secs()).unwrap() + 2;
    let noted = tray(&system).len();
    assert!(noted <= 1 + 5 * seconds, "{noted} within {seconds} s");
    system.stop().await;
}
