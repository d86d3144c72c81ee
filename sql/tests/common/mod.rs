//! A small history of two organisations.
#![allow(dead_code)] // each test uses a part

use std::sync::{Arc, RwLock};
use waystream_domain::catalog::{Device, Fleet, Organisation};
use waystream_domain::geofence::{Geofence, Shape};
use waystream_domain::{
    Catalog, CatalogEdit, CatalogEntry, DeviceId, Event, EventId, EventKind, FleetId, LatLon, OrganisationId, Position,
    SharedCatalog, Timestamp,
};
use waystream_sql::{Scope, SqlEngine, SqlOptions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{ArchiveBatch, Archived, Store};

pub(crate) fn organisation(name: &str) -> OrganisationId {
    OrganisationId::new(name).unwrap()
}

pub(crate) fn fleet(name: &str) -> FleetId {
    FleetId::new(name).unwrap()
}

pub(crate) fn device(name: &str) -> DeviceId {
    DeviceId::new(name).unwrap()
}

pub(crate) fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub(crate) fn position(device_id: &str, fleet_id: &str, fix_time: Timestamp, lat: f64, lon: f64) -> Position {
    Position {
        device: device(device_id),
        fleet: fleet(fleet_id),
        fix_time,
        received_at: fix_time.plus_millis(1_500),
        location: LatLon::new(lat, lon).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: Some(10.0),
        course_deg: None,
        accuracy_m: None,
        protocol: "test".into(),
        attributes: [("ignition", true)].into_iter().collect(),
    }
}

pub(crate) fn event(p: &Position, kind: EventKind) -> Event {
    Event {
        id: EventId::of(&p.device, None, kind, p.fix_time),
        kind,
        device: p.device.clone(),
        fleet: p.fleet.clone(),
        geofence: None,
        geofence_version: None,
        fix_time: p.fix_time,
        received_at: p.received_at,
        location: p.location,
        revises: None,
        retracted: false,
        attributes: Default::default(),
    }
}

pub(crate) struct Fixture {
    pub(crate) engine: Arc<SqlEngine>,
    pub(crate) catalog: SharedCatalog,
    pub(crate) store: Arc<dyn Store>,
    /// Organisation `acme` with fleets `north` and `south`.
    pub(crate) acme: Scope,
    /// Organisation `bolt` with fleet `east`.
    pub(crate) bolt: Scope,
    _dir: tempfile::TempDir,
}

/// Fleets `north` (n0…n4), `south` (s0…s4) of acme and `east` (e0…e4) of bolt; each of 15 devices has 100 positions, ten seconds and 111 m
/// apart; each organisation has a yard of 1,000 m round the first one.
pub(crate) async fn fixture(options: SqlOptions) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = ParquetStore::open(dir.path(), ParquetOptions::default()).unwrap();
    let mut catalog = Catalog::default();
    let mut put = |entry| catalog.apply(CatalogEdit::Put(entry));
    let mut positions = Vec::new();
    for (organisation_id, fleets) in [("acme", &["north", "south"][..]), ("bolt", &["east"])] {
        put(CatalogEntry::Organisation(Organisation { id: organisation(organisation_id), name: organisation_id.into() }));
        put(CatalogEntry::Geofence(Geofence {
            id: format!("yard-{organisation_id}").parse().unwrap(),
            organisation: organisation(organisation_id),
            fleet: None,
            group: None,
            name: format!("Yard of {organisation_id}"),
            version: 1,
            shape: Shape::Circle { centre: LatLon::new(52.0, 13.0).unwrap(), radius_m: 1_000.0 },
            colour: None,
            rules: Default::default(),
        }));
        for fleet_id in fleets {
            put(CatalogEntry::Fleet(Fleet {
                id: fleet(fleet_id),
                organisation: organisation(organisation_id),
                name: fleet_id.to_uppercase(),
                rules: Default::default(),
            }));
            for d in 0..5 {
                let id = format!("{}{d}", &fleet_id[..1]);
                put(CatalogEntry::Device(Device { id: device(&id), fleet: fleet(fleet_id), name: format!("van {id}") }));
                for i in 0..100 {
                    let time = at("2026-03-04T23:55:00Z").plus_millis(i * 10_000);
                    positions.push(position(&id, fleet_id, time, 52.0 + i as f64 / 1e3, 13.0));
                }
            }
        }
    }
    let place = |i: usize| (i % 4) as u32;
    let events = positions.iter().step_by(10).map(|p| event(p, EventKind::Enter)).enumerate();
    let batch = ArchiveBatch {
        events: events.map(|(i, row)| Archived { partition: place(i), offset: i as u64, row }).collect(),
        positions: positions.into_iter().enumerate().map(|(i, row)| Archived { partition: 0, offset: i as u64, row }).collect(),
        offsets: (0..4).map(|p| ((waystream_log::Topic::Events, p), 150)).collect(),
    };
    store.append(Arc::new(batch)).await.unwrap();
    let acme = Scope::of_organisation(organisation("acme"), &catalog);
    let bolt = Scope::of_organisation(organisation("bolt"), &catalog);
    let catalog = Arc::new(RwLock::new(catalog));
    // What else runs on the machine must not make deadlines of tests come before answers.
    let options = SqlOptions { nice: 0, ..options };
    let engine = Arc::new(SqlEngine::new(store.clone(), catalog.clone(), options).unwrap());
    Fixture { engine, catalog, store, acme, bolt, _dir: dir }
}
