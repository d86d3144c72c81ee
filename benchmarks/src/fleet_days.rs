//! Days of a fleet's life, the same for the same sizes: trips of half an hour or so between stops, a fix every 30 s while driving and
//! every 5 minutes while parked, with ignition, fuel, odometer, model, load, now and then an alarm, and trouble codes of the engine
//! during some of the stops.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use waystream_domain::{Attributes, LatLon, Position, Timestamp};

/// 2026-03-01T00:00:00Z.
pub const START_MS: i64 = 1_772_323_200_000;
const DAY_MS: i64 = 86_400_000;
/// Vehicles belong to so many fleets.
const FLEETS: u32 = 50;
/// Where fleets are at home.
const CITIES: [(f64, f64); 5] =
    [(52.52, 13.405), (48.8566, 2.3522), (51.5074, -0.1278), (52.2297, 21.0122), (38.7223, -9.1393)];

/// What vehicles of one kind have in common.
pub struct Model {
    /// What they report as the attribute `model`.
    pub name: &'static str,
    /// What they may carry; the attribute `load_kg` is below it.
    pub rated_kg: f64,
    /// Fuel that their maker promises, litres per 100 km. They use 6, whatever was promised.
    pub nominal_l: f64,
}

/// The models there are; neighbours in number are of different ones.
pub static MODELS: [Model; 3] = [
    Model { name: "van", rated_kg: 1_200.0, nominal_l: 5.0 },
    Model { name: "box", rated_kg: 3_500.0, nominal_l: 6.5 },
    Model { name: "rigid", rated_kg: 7_500.0, nominal_l: 7.0 },
];

/// How many of the stops are for repair.
const REPAIRS: f64 = 0.05;

/// The id of a vehicle.
pub fn device(number: u32) -> String {
    format!("v{number:06}")
}

/// The id of a fleet.
pub fn fleet(number: u32) -> String {
    format!("fleet-{number:03}")
}

/// Numbers of the fleets that so many vehicles have.
pub fn fleets(vehicles: u32) -> u32 {
    vehicles.min(FLEETS)
}

/// Positions of all vehicles in order of time, without end.
pub struct FleetDays {
    vehicles: Vec<Vehicle>,
    /// When each reports next.
    next: BinaryHeap<Reverse<(i64, u32)>>,
}

struct Vehicle {
    random: Random,
    /// For load and trouble alone, so that ways and times do not depend on them.
    fortune: Random,
    model: &'static Model,
    load_kg: f64,
    in_trouble: bool,
    home: (f64, f64),
    at: (f64, f64),
    course_deg: f64,
    speed_mps: f64,
    odometer_m: f64,
    fuel_l: f64,
    driving: bool,
    /// When it starts or stops.
    changes_at: i64,
    last: i64,
}

impl FleetDays {
    /// All parked on the first morning.
    pub fn new(vehicles: u32) -> Self {
        let mut next = BinaryHeap::new();
        let vehicle = |number: u32| {
            let mut random = Random(u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
            let city = CITIES[(number % fleets(vehicles)) as usize % CITIES.len()];
            let home = (city.0 + random.between(-0.2, 0.2), city.1 + random.between(-0.3, 0.3));
            let first = START_MS + random.between(0.0, 300_000.0) as i64;
            next.push(Reverse((first, number)));
            Vehicle {
                home,
                at: home,
                course_deg: random.between(0.0, 360.0),
                speed_mps: 0.0,
                odometer_m: random.between(1e6, 2e8).round(),
                fuel_l: random.between(20.0, 80.0),
                driving: false,
                changes_at: START_MS + random.between(6.0, 8.0) as i64 * 3_600_000,
                last: first,
                random,
                fortune: Random(u64::from(number).wrapping_mul(0xD1B5_4A32_D192_ED03) | 1),
                model: &MODELS[number as usize % MODELS.len()],
                load_kg: 0.0,
                in_trouble: false,
            }
        };
        let vehicles = (0..vehicles).map(vehicle).collect();
        Self { vehicles, next }
    }
}

impl Iterator for FleetDays {
    type Item = Position;

    fn next(&mut self) -> Option<Position> {
        let Reverse((now, number)) = self.next.pop()?;
        let fleets = fleets(self.vehicles.len() as u32);
        let vehicle = &mut self.vehicles[number as usize];
        vehicle.go_on(now);
        let pause = if vehicle.driving { 30_000.0 } else { 300_000.0 };
        let next = now + (pause + vehicle.random.between(-1_000.0, 1_000.0)) as i64;
        self.next.push(Reverse((next, number)));
        Some(vehicle.report(now, number, number % fleets))
    }
}

impl Vehicle {
    fn go_on(&mut self, now: i64) {
        let seconds = (now - self.last) as f64 / 1e3;
        self.last = now;
        if self.driving {
            let wanted = match self.random.between(0.0, 1.0) {
                x if x < 0.2 => 0.0,
                x if x < 0.35 => self.random.between(25.0, 37.0),
                _ => self.random.between(7.0, 22.0),
            };
            self.speed_mps += (wanted - self.speed_mps) / 2.0;
            let home = (self.home.1 - self.at.1).atan2(self.home.0 - self.at.0).to_degrees();
            let far = (self.at.0 - self.home.0).hypot(self.at.1 - self.home.1) > 0.5;
            self.course_deg = if far { home } else { self.course_deg };
            self.course_deg = (self.course_deg + self.random.between(-35.0, 35.0)).rem_euclid(360.0);
            let metres = self.speed_mps * seconds;
            let (north, east) = (self.course_deg.to_radians().cos(), self.course_deg.to_radians().sin());
            self.at.0 += metres / 111_195.0 * north;
            self.at.1 += metres / 111_195.0 / self.at.0.to_radians().cos() * east;
            self.odometer_m += metres;
            self.fuel_l -= metres * 6e-5;
            if self.fuel_l < 5.0 {
                self.fuel_l = 80.0;
            }
        }
        if now < self.changes_at {
            return;
        }
        self.driving = !self.driving;
        if self.driving {
            self.load_kg = (self.model.rated_kg * self.fortune.between(0.0, 1.0)).floor();
        }
        self.in_trouble = !self.driving && self.fortune.between(0.0, 1.0) < REPAIRS;
        let of_day = (now - START_MS) % DAY_MS;
        let lasts = match self.driving {
            true => self.random.between(1_200e3, 5_400e3) as i64,
            // Until the next morning, in the evening.
            false if of_day > 19 * 3_600_000 => DAY_MS - of_day + self.random.between(5.0, 8.0) as i64 * 3_600_000,
            false => self.random.between(600e3, 2_700e3) as i64,
        };
        self.changes_at = now + lasts;
        if !self.driving {
            self.speed_mps = 0.0;
        }
    }

    fn report(&mut self, now: i64, number: u32, fleet_number: u32) -> Position {
        let mut attributes = Attributes::default();
        attributes.set("ignition", self.driving);
        attributes.set("fuel_l", (self.fuel_l * 10.0).round() / 10.0);
        attributes.set("odometer_m", self.odometer_m.round());
        attributes.set("model", self.model.name);
        attributes.set("load_kg", self.load_kg);
        if self.in_trouble {
            attributes.set("dtcs", "P0087");
        }
        if self.random.between(0.0, 1.0) < 0.03 {
            attributes.set("alarm", "harshBraking");
        }
        let mut noise = || self.random.between(-2e-5, 2e-5);
        let (lat, lon) = (self.at.0 + noise(), self.at.1 + noise());
        Position {
            device: device(number).parse().expect("letters and digits"),
            fleet: fleet(fleet_number).parse().expect("letters and digits"),
            fix_time: Timestamp::from_millis(now).expect("in this century"),
            received_at: Timestamp::from_millis(now + 900).expect("in this century"),
            location: LatLon::new(lat, lon).expect("near a city"),
            valid: true,
            altitude_m: Some(((self.at.0 * 1e3) % 300.0) as f32),
            speed_mps: Some((self.speed_mps * 10.0).round() as f32 / 10.0),
            course_deg: Some(self.course_deg.round() as f32 % 360.0),
            accuracy_m: None,
            protocol: "teltonika".into(),
            attributes,
        }
    }
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let bits = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11;
        low + (high - low) * (bits as f64 / (1_u64 << 53) as f64)
    }
}
