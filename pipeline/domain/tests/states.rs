//! Of many states an edit finds those that it concerns, and no other way of looking finds more.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use waystream_domain::geofence::validate::circle;
use waystream_domain::geofence::{FenceRules, GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{
    Attributes, CatalogEdit, CatalogEntry, CatalogKey, DeviceState, Geofence, LatLon, Position, Rules, States, Timestamp,
    catalog::Device, catalog::Fleet,
};

#[derive(Debug, Clone)]
enum Happening {
    /// A device reports, perhaps vaguely.
    Report { device: u8, lat: i32, lon: i32, accuracy_m: Option<f32> },
    /// A geofence is drawn or changed.
    Draw { fence: u8, lat: i32, lon: i32, radius_m: f64, min_dwell_s: u32, margin_m: f64 },
    /// A geofence is removed.
    Remove { fence: u8 },
    /// A device is given to a fleet.
    Place { device: u8, fleet: u8 },
    /// A fleet gets other rules.
    Rule { fleet: u8, gap_s: u32 },
}

/// Places on both sides of ±180, a few hundred metres from each other, some far away.
fn places() -> impl Strategy<Value = (i32, i32)> {
    let near = (-30_000..30_000i32, -30_000..30_000i32).prop_map(|(lat, lon)| {
        let lon = if lon < 0 { -1_800_000_000 - lon } else { 1_800_000_000 - lon };
        (lat, lon)
    });
    prop_oneof![6 => near, 1 => (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000)]
}

fn happenings() -> impl Strategy<Value = Happening> {
    let report = (0..12u8, places(), prop::option::weighted(0.3, 1.0..2000.0f32))
        .prop_map(|(device, (lat, lon), accuracy_m)| Happening::Report { device, lat, lon, accuracy_m });
    let radii = prop_oneof![5 => 20.0..300.0f64, 1 => 300.0..2e5f64];
    let draw = (0..4u8, places(), radii, prop_oneof![Just(0u32), Just(3600)], prop_oneof![Just(0.0), 1.0..500.0f64]).prop_map(
        |(fence, (lat, lon), radius_m, min_dwell_s, margin_m)| Happening::Draw {
            fence,
            lat,
            lon,
            radius_m,
            min_dwell_s,
            margin_m,
        },
    );
    prop_oneof![
        8 => report,
        4 => draw,
        2 => (0..4u8).prop_map(|fence| Happening::Remove { fence }),
        1 => (0..12u8, 0..2u8).prop_map(|(device, fleet)| Happening::Place { device, fleet }),
        1 => (0..2u8, 10..1000u32).prop_map(|(fleet, gap_s)| Happening::Rule { fleet, gap_s }),
    ]
}

fn fleet(number: u8, gap_s: Option<u32>) -> CatalogEdit {
    let rules = waystream_domain::FleetRules { gap_s, ..Default::default() };
    let (id, organisation) = (format!("fleet-{number}").parse().unwrap(), "org".parse().unwrap());
    CatalogEdit::Put(CatalogEntry::Fleet(Fleet { id, organisation, name: String::new(), rules }))
}

fn edit(happening: &Happening, version: u64) -> Option<CatalogEdit> {
    Some(match *happening {
        Happening::Report { .. } => return None,
        Happening::Draw { fence, lat, lon, radius_m, min_dwell_s, margin_m } => {
            CatalogEdit::Put(CatalogEntry::Geofence(Geofence {
                id: format!("fence-{fence}").parse().unwrap(),
                organisation: "org".parse().unwrap(),
                fleet: (fence == 3).then(|| "fleet-1".parse().unwrap()),
                group: None,
                name: String::new(),
                version,
                shape: circle(LatLon::from_e7(lat, lon).unwrap(), radius_m).unwrap(),
                colour: None,
                rules: FenceRules::new(margin_m, min_dwell_s, None).unwrap(),
            }))
        }
        Happening::Remove { fence } => CatalogEdit::Remove(CatalogKey::Geofence(format!("fence-{fence}").parse().unwrap())),
        Happening::Place { device, fleet } => CatalogEdit::Put(CatalogEntry::Device(Device {
            id: format!("device-{device}").parse().unwrap(),
            fleet: format!("fleet-{fleet}").parse().unwrap(),
            name: String::new(),
        })),
        Happening::Rule { fleet: number, gap_s } => fleet(number, Some(gap_s)),
    })
}

fn position(device: u8, fleet: u8, seconds: i64, at: (i32, i32), accuracy_m: Option<f32>) -> Position {
    Position {
        device: format!("device-{device}").parse().unwrap(),
        fleet: format!("fleet-{fleet}").parse().unwrap(),
        fix_time: Timestamp::from_secs(seconds).unwrap(),
        received_at: Timestamp::from_secs(seconds).unwrap(),
        location: LatLon::from_e7(at.0, at.1).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: None,
        course_deg: None,
        accuracy_m,
        protocol: "test".into(),
        attributes: Attributes::default(),
    }
}

proptest! {
    #[test]
    fn an_edit_finds_the_devices_that_a_look_at_each_finds(all in prop::collection::vec(happenings(), 1..120)) {
        let (mut index, mut states, rules) = (GeofenceIndex::default(), States::default(), Rules::default());
        for number in 0..2 {
            index.apply(IndexEdit::new(&fleet(number, None)).unwrap(), &mut Touched::default());
        }
        // As the connectors would say.
        let mut fleets = [0; 12];
        for (seconds, happening) in (1..).zip(&all) {
            if let Happening::Place { device, fleet } = *happening {
                fleets[usize::from(device)] = fleet;
            }
            if let Happening::Report { device, lat, lon, accuracy_m } = *happening {
                let position = position(device, fleets[usize::from(device)], seconds, (lat, lon), accuracy_m);
                let number = match states.find(&position.device) {
                    Some(known) => known,
                    None => states.put(DeviceState::new(position.device.clone(), position.fleet.clone())),
                };
                states.get_mut(number).advance(position, 0, &index, &rules);
                states.file(number, &index);
            }
            let Some(edit) = edit(happening, seconds as u64) else { continue };
            let mut touched = Touched::default();
            index.apply(IndexEdit::new(&edit).unwrap(), &mut touched);
            let wanted: Vec<u32> = (0..states.len() as u32).filter(|n| touched.concerns(states.get(*n))).collect();
            let found = states.concerned(&touched);
            prop_assert_eq!(&found, &wanted, "{:?}", happening);
            for number in found {
                states.get_mut(number).reconsider(&index, &rules);
                states.file(number, &index);
            }
        }
    }
}
