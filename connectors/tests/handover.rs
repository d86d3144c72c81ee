//! A device that goes to another organisation while it is connected: what it tells belongs to who had it at that time.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::System;
use common::teltonika::{Tracker, data};
use std::time::{SystemTime, UNIX_EPOCH};
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, Timestamp, Transfer};

const IMEI: &str = "356307042441013";

async fn edit(system: &System, edits: Vec<CatalogEdit>) {
    system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();
}

/// Every position in the log: its fix time from `now` on, and its fleet.
async fn told(system: &System, now: u64) -> Vec<(i64, String)> {
    let positions = system.positions().await.into_iter();
    let mut told: Vec<_> = positions.map(|p| (p.fix_time.as_millis() - now as i64, p.fleet.to_string())).collect();
    told.sort();
    told
}

#[tokio::test]
async fn what_is_told_late_belongs_to_who_had_the_device_then() {
    let system = System::start().await;
    let fleet = |id: &str, organisation: &str| {
        let (id, organisation, name) = (id.parse().unwrap(), organisation.parse().unwrap(), id.to_owned());
        CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name, rules: Default::default() }))
    };
    edit(&system, vec![fleet("default", "ours"), fleet("their", "theirs")]).await;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let mut tracker = Tracker::login(system.address("teltonika"), IMEI).await;
    assert_eq!(tracker.report(&data(now - 60_000, 1)).await.unwrap(), 1);

    let (device, at): (DeviceId, _) = (IMEI.parse().unwrap(), Timestamp::from_millis(now as i64).unwrap());
    let (offer, _) = Transfer::offer(device.clone(), "ours".parse().unwrap(), "anna".parse().unwrap(), at, &[1; 12]);
    let to = Device { id: device, fleet: "their".parse().unwrap(), name: "Theirs".into() };
    let edits = system.catalog.shared().read().unwrap().transfer_edits(&offer, to, at).unwrap();
    edit(&system, edits).await;

    // The device has not noticed: the same connection, and what it had not told yet.
    assert_eq!(tracker.report(&data(now - 2_000, 4)).await.unwrap(), 4);
    let split = [(-60_000, "default"), (-2_000, "default"), (-1_000, "default"), (0, "their"), (1_000, "their")];
    let split: [(i64, String); 5] = split.map(|(at, fleet)| (at, fleet.to_owned()));
    assert_eq!(told(&system, now).await, split);

    // Where that fleet is gone nobody sees it: least of all who has the device now.
    edit(&system, vec![CatalogEdit::Remove(CatalogKey::Fleet("default".parse().unwrap()))]).await;
    assert_eq!(tracker.report(&data(now - 30_000, 1)).await.unwrap(), 1);
    assert_eq!(told(&system, now).await, split);
    system.stop().await;
}
