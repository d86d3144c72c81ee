//! What the demo puts into the catalog: fleets, vehicles with number plates, depots and city zones.

use super::drive::City;
use super::roads::Point;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::f64::consts::TAU;
use waystream_domain::catalog::{Device, Fleet};
use waystream_domain::geofence::{Geofence, Polygon, Shape};
use waystream_domain::{CatalogEdit, CatalogEntry, DeviceId, FleetId, GeofenceId, OrganisationId, Timestamp};

/// Where the made-up city lies: the plain north of Munich, far from seas and borders.
pub const CENTRE: (f64, f64) = (48.30, 11.60);
/// Depots in the city; every fleet has some.
pub const DEPOTS: usize = 10;
/// Customers that vehicles drive to.
pub const CUSTOMERS: usize = 160;

/// Id, name and share of all vehicles.
const FLEETS: [(&str, &str, f64); 5] = [
    ("parcel", "Parcel vans", 0.36),
    ("taxi", "Taxis", 0.24),
    ("service", "Field service", 0.20),
    ("grocery", "Grocery delivery", 0.12),
    ("waste", "Waste collection", 0.08),
];

/// How a vehicle's tracker reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reporting {
    /// TCP, 15-digit IMEI.
    Teltonika,
    /// HTTP.
    OsmAnd,
    /// MQTT.
    OwnTracks,
}

impl Reporting {
    /// The protocol's name in history.
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Teltonika => "teltonika",
            Self::OsmAnd => "osmand",
            Self::OwnTracks => "owntracks",
        }
    }
}

/// One vehicle of the demo.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its entry in the catalog.
    pub device: Device,
    /// How it reports.
    pub reporting: Reporting,
    /// Stop number of its depot.
    pub home: usize,
    /// Decides its way.
    pub seed: u64,
    /// Milliseconds between two reports.
    pub period_ms: i64,
}

/// The vehicles: seven of ten with Teltonika trackers, two with OsmAnd, one with OwnTracks.
pub fn members(count: usize, seed: u64) -> Vec<Member> {
    let mut rng = StdRng::seed_from_u64(seed ^ 0x5EED);
    (0..count)
        .map(|n| {
            let fleet = fleet_of((n as f64 + 0.5) * 0.618_034 % 1.0);
            let reporting = match n % 10 {
                0..7 => Reporting::Teltonika,
                7 | 8 => Reporting::OsmAnd,
                _ => Reporting::OwnTracks,
            };
            let id = match reporting {
                Reporting::Teltonika => imei(n as u64),
                Reporting::OsmAnd => format!("{}", 480_000 + n),
                Reporting::OwnTracks => format!("owntracks/{}/van{n:04}", FLEETS[fleet].0),
            };
            Member {
                device: Device {
                    id: DeviceId::new(id).expect("made of digits and letters"),
                    fleet: FleetId::new(FLEETS[fleet].0).expect("not empty"),
                    name: plate(n, &mut rng),
                },
                reporting,
                home: (fleet * 2 + n % 2) % DEPOTS,
                seed: rng.random(),
                period_ms: rng.random_range(5_000..15_000),
            }
        })
        .collect()
}

/// Fleets, vehicles and geofences of the demo.
pub fn catalog(organisation: &OrganisationId, city: &City, members: &[Member], now: Timestamp) -> Vec<CatalogEdit> {
    let fleets = FLEETS.iter().map(|(id, name, _)| {
        CatalogEntry::Fleet(Fleet {
            id: FleetId::new(id).expect("not empty"),
            organisation: organisation.clone(),
            name: (*name).to_owned(),
            rules: Default::default(),
        })
    });
    let devices = members.iter().map(|m| CatalogEntry::Device(m.device.clone()));
    let fences = geofences(organisation, city, now).into_iter().map(CatalogEntry::Geofence);
    fleets.chain(devices).chain(fences).map(CatalogEdit::Put).collect()
}

fn fleet_of(part: f64) -> usize {
    let mut left = part;
    FLEETS
        .iter()
        .position(|(.., share)| {
            left -= share;
            left < 0.0
        })
        .unwrap_or(0)
}

/// Fifteen digits with a valid Luhn check digit; the type allocation code 00-1019… is reserved for tests.
fn imei(n: u64) -> String {
    let body = format!("00101900{n:06}");
    let sum: u32 = body
        .bytes()
        .enumerate()
        .map(|(i, digit)| {
            let doubled = u32::from(digit - b'0') * if i % 2 == 1 { 2 } else { 1 };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

fn plate(n: usize, rng: &mut StdRng) -> String {
    let letter = |rng: &mut StdRng| char::from(b'A' + rng.random_range(0..26_u8));
    let (a, b) = (letter(rng), letter(rng));
    // The number is the vehicle's own, so that no two plates are alike.
    format!("WS-{a}{b} {}", 1000 + n)
}

fn geofences(organisation: &OrganisationId, city: &City, now: Timestamp) -> Vec<Geofence> {
    let fence = |id: String, name: String, fleet: Option<&str>, colour: &str, shape: Shape| Geofence {
        id: GeofenceId::new(id).expect("not empty"),
        organisation: organisation.clone(),
        fleet: fleet.map(|f| FleetId::new(f).expect("not empty")),
        group: None,
        name,
        version: now.as_millis().unsigned_abs(),
        shape,
        colour: Some(colour.to_owned()),
        rules: Default::default(),
    };
    let mut all = Vec::new();
    for depot in 0..DEPOTS {
        let (fleet, name, _) = FLEETS[depot / 2 % FLEETS.len()];
        let place = city.frame.place(city.roads.nodes[city.stops[depot].node as usize]);
        let shape = Shape::Circle { centre: place, radius_m: 160.0 };
        all.push(fence(format!("depot-{depot}"), format!("{name}: depot {}", depot % 2 + 1), Some(fleet), "#e07b39", shape));
    }
    let zone = |ring: Vec<Point>| {
        let mut places: Vec<_> = ring.into_iter().map(|p| city.frame.place(p)).collect();
        places.push(places[0]);
        Shape::Polygons { polygons: vec![Polygon { rings: vec![places] }] }
    };
    let arc = |radius: f64, from: f64, to: f64, steps: usize| {
        (0..=steps).map(move |k| {
            let angle = from + (to - from) * k as f64 / steps as f64;
            let r = radius * (1.0 + 0.06 * (3.0 * angle).sin());
            [r * angle.cos(), r * angle.sin()]
        })
    };
    all.push(fence(
        "low-emission-zone".into(),
        "Low emission zone".into(),
        None,
        "#3a8f5c",
        zone(arc(1_900.0, 0.0, TAU * 47.0 / 48.0, 47).collect()),
    ));
    let directions = ["East", "North-east", "North", "North-west", "West", "South-west", "South", "South-east"];
    for (k, direction) in directions.iter().enumerate() {
        let (from, to) = ((k as f64 - 0.5) * TAU / 8.0, (k as f64 + 0.5) * TAU / 8.0);
        let ring = arc(5_600.0, from, to, 12).chain(arc(2_300.0, to, from, 12)).collect();
        all.push(fence(format!("district-{k}"), format!("{direction} district"), None, "#5a78c9", zone(ring)));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn vehicles_are_told_apart_and_fleets_have_their_shares() {
        let members = members(1000, 1);
        let ids: BTreeSet<_> = members.iter().map(|m| &m.device.id).collect();
        let names: BTreeSet<_> = members.iter().map(|m| &m.device.name).collect();
        assert_eq!((ids.len(), names.len()), (1000, 1000));
        let parcel = members.iter().filter(|m| m.device.fleet.as_str() == "parcel").count();
        assert!((340..380).contains(&parcel), "{parcel} parcel vans of 1000");
    }

    #[test]
    fn an_imei_ends_with_its_luhn_digit() {
        // The example of the GSMA's numbering guidelines has the check digit 8: 49-015420-323751.
        assert_eq!(imei(0).len(), 15);
        let luhn = |text: &str| {
            text.bytes()
                .rev()
                .enumerate()
                .map(|(i, d)| {
                    let v = u32::from(d - b'0') * if i % 2 == 1 { 2 } else { 1 };
                    v / 10 + v % 10
                })
                .sum::<u32>()
                % 10
        };
        assert_eq!(luhn("490154203237518"), 0);
        for n in [0, 7, 123_456] {
            assert_eq!(luhn(&imei(n)), 0);
        }
    }
}
