//! A simulated fleet: vehicles around the cities of a box the size of Germany, some of them moving at a time.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use waystream_domain::{DeviceId, FleetId, FleetSnapshot, LatLon, LivePosition, Position, Timestamp};

/// Degrees of latitude in a metre.
const DEGREES_PER_M: f64 = 1.0 / 111_320.0;
const CITIES: usize = 40;

/// How big it is and how often it is written.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// How many.
    pub vehicles: usize,
    /// Vehicle i belongs to fleet i modulo this.
    pub fleets: usize,
    /// Parts that a second is cut into.
    pub hz: usize,
    /// Each moves once in so many seconds.
    pub period_s: usize,
}

impl Sizes {
    /// Calls of [`Fleet::tick`] until everybody has moved once.
    pub fn round(&self) -> usize {
        self.hz * self.period_s
    }
}

struct Vehicle {
    device: DeviceId,
    fleet: FleetId,
    lat: f64,
    lon: f64,
    speed_mps: f64,
    course_deg: f64,
}

/// See the module. The same seed gives the same fleet.
pub struct Fleet {
    sizes: Sizes,
    vehicles: Vec<Vehicle>,
    rng: StdRng,
    ticks: usize,
}

impl Fleet {
    /// A quarter of the vehicles is scattered far around its city, the rest near its centre; the first city, Berlin, has the most.
    pub fn new(sizes: Sizes) -> Self {
        let mut rng = StdRng::seed_from_u64(42);
        let mut cities = vec![(52.52, 13.405)];
        cities.extend((1..CITIES).map(|_| (47.8 + rng.random::<f64>() * 6.4, 6.6 + rng.random::<f64>() * 7.6)));
        let vehicles = (0..sizes.vehicles).map(|i| {
            let (lat, lon) = if rng.random_bool(0.1) { cities[0] } else { cities[rng.random_range(0..CITIES)] };
            let spread = if rng.random_bool(0.25) { 0.5 } else { 0.07 };
            // The sum of some uniform numbers is near enough to normal.
            let mut normal = || (0..6).map(|_| rng.random::<f64>()).sum::<f64>() - 3.0;
            let (north, east) = (normal() * spread, normal() * spread * 1.6);
            Vehicle {
                device: DeviceId::new(format!("v{i:07}")).expect("short and plain"),
                fleet: fleet_id(i % sizes.fleets),
                lat: lat + north,
                lon: lon + east,
                speed_mps: rng.random_range(5.0..30.0),
                course_deg: rng.random_range(0.0..360.0),
            }
        });
        let vehicles = vehicles.collect();
        Self { sizes, vehicles, rng, ticks: 0 }
    }

    /// All vehicles, with the fleets that they belong to.
    pub fn devices(&self) -> impl Iterator<Item = (&DeviceId, &FleetId)> {
        self.vehicles.iter().map(|v| (&v.device, &v.fleet))
    }

    /// The next part moves; one snapshot per fleet that has some of it.
    pub fn tick(&mut self, now: Timestamp) -> Vec<FleetSnapshot> {
        let Sizes { fleets, period_s, .. } = self.sizes;
        let parts = self.sizes.round();
        let part = self.ticks % parts;
        self.ticks += 1;
        let seq = self.ticks as u64;
        let mut snapshots: Vec<FleetSnapshot> = (0..fleets)
            .map(|f| FleetSnapshot { fleet: fleet_id(f), closed_at: now, live: Vec::new(), left: Vec::new() })
            .collect();
        // Consecutive runs of vehicles, so that every part holds some of every fleet.
        let (from, to) = (self.vehicles.len() * part / parts, self.vehicles.len() * (part + 1) / parts);
        for (i, vehicle) in (from..to).zip(&mut self.vehicles[from..to]) {
            vehicle.step(period_s as f64, &mut self.rng);
            snapshots[i % fleets].live.push(LivePosition { seq, position: vehicle.position(now) });
        }
        snapshots.retain(|s| !s.live.is_empty());
        snapshots
    }
}

/// Its name is its number.
pub fn fleet_id(n: usize) -> FleetId {
    FleetId::new(format!("fleet-{n}")).expect("short and plain")
}

impl Vehicle {
    fn step(&mut self, elapsed_s: f64, rng: &mut StdRng) {
        self.course_deg = (self.course_deg + rng.random_range(-12.0..12.0)).rem_euclid(360.0);
        self.speed_mps = (self.speed_mps + rng.random_range(-1.0..1.0)).clamp(1.0, 33.0);
        let (sin, cos) = self.course_deg.to_radians().sin_cos();
        let way_m = self.speed_mps * elapsed_s;
        self.lat += way_m * cos * DEGREES_PER_M;
        self.lon += way_m * sin * DEGREES_PER_M / self.lat.to_radians().cos();
    }

    fn position(&self, now: Timestamp) -> Position {
        Position {
            device: self.device.clone(),
            fleet: self.fleet.clone(),
            fix_time: now,
            received_at: now,
            location: LatLon::new(self.lat, self.lon).expect("it stays in Europe"),
            valid: true,
            altitude_m: None,
            speed_mps: Some(self.speed_mps as f32),
            course_deg: Some(self.course_deg as f32),
            accuracy_m: None,
            protocol: "teltonika".into(),
            attributes: Default::default(),
        }
    }
}
