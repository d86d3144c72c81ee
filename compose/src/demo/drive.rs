//! One simulated vehicle: drives from delivery to delivery, brakes for bends, waits at lights, parks. Pure: time comes in steps.

use super::roads::{Class, Edge, Frame, Roads};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::Arc;
use waystream_connectors::protocol::Fix;
use waystream_domain::{AttributeValue, Timestamp};

/// Metres per second squared; a loaded van's.
const ACCELERATION: f64 = 1.4;
const BRAKING: f64 = 2.2;
/// Longest step of the simulation, seconds.
const STEP_S: f64 = 1.0;

/// A city with everything a vehicle needs to find its way.
pub struct City {
    /// Where the metres lie on Earth.
    pub frame: Frame,
    /// The network.
    pub roads: Roads,
    /// Places that vehicles drive to.
    pub stops: Vec<Stop>,
    /// The first so many stops are depots.
    pub depots: usize,
}

/// A place to drive to, with the way there from everywhere.
pub struct Stop {
    /// The junction at its door.
    pub node: u32,
    /// For every junction the edge to take.
    next: Vec<u32>,
}

impl City {
    /// The demo's city: depots on arterial roads, customers anywhere.
    pub fn new(frame: Frame, seed: u64, depots: usize, customers: usize) -> Self {
        let roads = Roads::city(seed);
        let mut rng = StdRng::seed_from_u64(seed ^ 0xD3);
        let mut stops = Vec::new();
        while stops.len() < depots + customers {
            let node = rng.random_range(0..roads.nodes.len() as u32);
            let arterial = roads.leaving(node).iter().any(|e| roads.edges[*e as usize].class == Class::Arterial);
            let motorway = roads.leaving(node).iter().any(|e| roads.edges[*e as usize].class == Class::Motorway);
            let wanted = if stops.len() < depots { arterial && !motorway } else { !motorway };
            if wanted {
                stops.push(Stop { node, next: roads.towards(node) });
            }
        }
        Self { frame, roads, stops, depots }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Doing {
    Driving,
    /// At a light or in traffic: engine on.
    Waiting {
        left_s: f64,
    },
    /// At a stop: engine off.
    Parked {
        left_s: f64,
    },
}

/// A vehicle on the road.
pub struct Vehicle {
    city: Arc<City>,
    rng: StdRng,
    /// The depot it returns to.
    home: usize,
    goal: usize,
    trips: u32,
    edge: u32,
    along_m: f64,
    speed_mps: f64,
    doing: Doing,
    odometer_m: f64,
    /// How this driver takes speed limits.
    boldness: f64,
}

impl Vehicle {
    /// A vehicle somewhere in the city, in the middle of its day.
    pub fn new(city: Arc<City>, seed: u64, home: usize) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let edge = rng.random_range(0..city.roads.edges.len() as u32);
        let along_m = rng.random_range(0.0..1.0) * city.roads.edges[edge as usize].length_m();
        let odometer_m = rng.random_range(1e6..2.5e8);
        let boldness = rng.random_range(0.82..1.06);
        let doing = if rng.random_bool(0.2) { Doing::Parked { left_s: rng.random_range(1.0..200.0) } } else { Doing::Driving };
        let mut vehicle =
            Self { city, rng, home, goal: home, trips: 0, edge, along_m, speed_mps: 0.0, doing, odometer_m, boldness };
        vehicle.goal = vehicle.next_goal();
        vehicle
    }

    /// Lets this many seconds pass.
    pub fn step(&mut self, seconds: f64) {
        let mut left = seconds;
        while left > 1e-9 {
            let dt = left.min(STEP_S);
            left -= dt;
            self.doing = match self.doing {
                Doing::Waiting { left_s } if left_s > dt => Doing::Waiting { left_s: left_s - dt },
                Doing::Parked { left_s } if left_s > dt => Doing::Parked { left_s: left_s - dt },
                Doing::Waiting { .. } | Doing::Parked { .. } => Doing::Driving,
                Doing::Driving => self.drive(dt),
            };
        }
    }

    /// What its receiver says now.
    pub fn fix(&mut self, time: Timestamp) -> Fix {
        let (mut at, course) = self.edge().at(self.along_m);
        // Right-hand traffic, and a receiver's noise of a metre or two.
        let right = (course + 90.0).to_radians();
        for (axis, side) in at.iter_mut().zip([right.sin(), right.cos()]) {
            *axis += 2.5 * side + self.rng.random_range(-1.5..1.5);
        }
        let ignition = !matches!(self.doing, Doing::Parked { .. });
        Fix {
            device: None,
            fix_time: time,
            location: self.city.frame.place(at),
            valid: true,
            altitude_m: Some(520.0),
            speed_mps: Some(self.speed_mps as f32),
            course_deg: Some(course as f32 % 360.0),
            accuracy_m: None,
            attributes: [
                ("ignition", AttributeValue::Bool(ignition)),
                ("odometer_m", AttributeValue::Int(self.odometer_m as i64)),
                ("power_v", AttributeValue::Float(if ignition { 13.8 } else { 12.5 })),
            ]
            .into_iter()
            .collect(),
        }
    }

    fn edge(&self) -> &Edge {
        &self.city.roads.edges[self.edge as usize]
    }

    /// The edge that leads on from the end of this one; none if the goal is there.
    fn onward(&self) -> Option<u32> {
        let stop = &self.city.stops[self.goal];
        let node = self.edge().to;
        (node != stop.node).then(|| stop.next[node as usize])
    }

    fn drive(&mut self, dt: f64) -> Doing {
        let onward = self.onward();
        let edge = &self.city.roads.edges[self.edge as usize];
        let length_m = edge.length_m();
        let left_m = length_m - self.along_m;
        // Slow enough to take the bend at the end of this road, or to stop there.
        let end_mps = onward.map_or(0.5, |next| bend_speed_mps(edge, &self.city.roads.edges[next as usize]));
        let braking_mps = (end_mps * end_mps + 2.0 * BRAKING * left_m).sqrt();
        let wanted = (edge.class.limit_mps() * self.boldness).min(braking_mps);
        let change = (wanted - self.speed_mps).clamp(-BRAKING * 1.5 * dt, ACCELERATION * dt);
        self.speed_mps = (self.speed_mps + change).max(0.5);
        let moved = self.speed_mps * dt;
        self.along_m += moved;
        self.odometer_m += moved;
        if self.along_m < length_m {
            return Doing::Driving;
        }
        match onward {
            Some(next) => self.pass_junction(next),
            None => self.arrive(),
        }
    }

    fn pass_junction(&mut self, next: u32) -> Doing {
        let over = self.along_m - self.edge().length_m();
        let slow = |class: Class| matches!(class, Class::Main | Class::Arterial | Class::Ramp);
        let lights = slow(self.edge().class) && self.city.roads.leaving(self.edge().to).len() >= 4;
        self.edge = next;
        self.along_m = over.min(self.edge().length_m());
        if lights && self.rng.random_bool(0.12) {
            self.speed_mps = 0.0;
            return Doing::Waiting { left_s: self.rng.random_range(4.0..35.0) };
        }
        Doing::Driving
    }

    fn arrive(&mut self) -> Doing {
        self.along_m = self.edge().length_m();
        self.speed_mps = 0.0;
        self.trips += 1;
        let at_home = self.goal == self.home;
        self.goal = self.next_goal();
        let left_s = if at_home { self.rng.random_range(240.0..900.0) } else { self.rng.random_range(45.0..240.0) };
        // Turned round at the door, to leave by the way that leads on.
        self.edge = self.onward().unwrap_or(self.edge ^ 1);
        self.along_m = 0.0;
        Doing::Parked { left_s }
    }

    /// The nearest of some customers drawn at random, so that most trips are short; now and then the depot.
    fn next_goal(&mut self) -> usize {
        if self.trips % 7 == 6 {
            return self.home;
        }
        let [x, y] = self.edge().at(self.along_m).0;
        let (depots, all) = (self.city.depots, self.city.stops.len());
        let candidates: [usize; 3] = std::array::from_fn(|_| self.rng.random_range(depots..all));
        let distance = |stop: usize| {
            let [a, b] = self.city.roads.nodes[self.city.stops[stop].node as usize];
            (a - x).hypot(b - y)
        };
        // Not where it is already.
        let far_enough = candidates.into_iter().filter(|s| distance(*s) > 300.0);
        far_enough.min_by(|a, b| distance(*a).total_cmp(&distance(*b))).unwrap_or(self.home)
    }
}

/// How fast one goes round from one road into the next.
fn bend_speed_mps(from: &Edge, into: &Edge) -> f64 {
    let turn = (into.end_courses().0 - from.end_courses().1 + 540.0).rem_euclid(360.0) - 180.0;
    let bend = match turn.abs() {
        t if t < 20.0 => f64::INFINITY,
        t if t < 50.0 => 11.0,
        t if t < 120.0 => 5.5,
        _ => 2.5,
    };
    bend.min(into.class.limit_mps() * 1.05)
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::{LatLon, haversine_m};

    fn city() -> Arc<City> {
        let centre = LatLon::new(48.137, 11.575).expect("on Earth");
        Arc::new(City::new(Frame::around(centre), 3, 3, 20))
    }

    #[test]
    fn a_vehicle_moves_as_far_as_its_speed_allows_and_gets_somewhere() {
        let mut vehicle = Vehicle::new(city(), 11, 0);
        let start = Timestamp::from_millis(1_700_000_000_000).expect("in range");
        let mut last = vehicle.fix(start);
        let (first, mut parked, mut total_m) = (last.location, 0, 0.0);
        for second in 1..=3600_i64 {
            vehicle.step(1.0);
            let fix = vehicle.fix(start.plus_millis(second * 1000));
            let moved = haversine_m(last.location, fix.location);
            // 110 km/h with a bold driver is 32.4 m/s; a turn swaps sides of the road, and the receiver is noisy.
            assert!(moved < 45.0, "{moved} m in a second at {second} s");
            parked += u32::from(fix.attributes.get("ignition") == Some(&AttributeValue::Bool(false)));
            total_m += moved;
            last = fix;
        }
        assert!(total_m > 5_000.0, "drove {total_m} m in an hour");
        assert!(haversine_m(first, last.location) < 60_000.0, "stays in its region");
        assert!((1..3600).contains(&parked), "parks at times, not always");
    }

    #[test]
    fn the_same_seed_drives_the_same_way() {
        let time = Timestamp::default();
        let drive = |seed| {
            let mut vehicle = Vehicle::new(city(), seed, 1);
            vehicle.step(600.0);
            vehicle.fix(time)
        };
        assert_eq!(drive(5), drive(5));
        assert_ne!(drive(5).location, drive(6).location);
    }
}
