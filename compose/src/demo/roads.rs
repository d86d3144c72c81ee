//! The demo's road network: a made-up city, the same for the same seed.
//!
//! Streets are a grid bent by smooth waves; every fifth is a main street, every tenth an arterial road. A ring motorway and
//! radial ones cross it on bridges, with ramps to the arterials, and lead to suburbs. Nothing here is a real street.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::f64::consts::TAU;
use waystream_domain::{LatLon, MEAN_EARTH_RADIUS_M};

/// Metres east and north of the city's centre.
pub type Point = [f64; 2];

/// From metres around a centre to places on Earth; good enough within some tens of kilometres.
#[derive(Debug, Clone, Copy)]
pub struct Frame {
    centre: LatLon,
}

impl Frame {
    /// Around this place.
    pub fn around(centre: LatLon) -> Self {
        Self { centre }
    }

    /// The place of a point.
    pub fn place(self, [east, north]: Point) -> LatLon {
        let lat = self.centre.lat_deg() + (north / MEAN_EARTH_RADIUS_M).to_degrees();
        let lon =
            self.centre.lon_deg() + (east / (MEAN_EARTH_RADIUS_M * self.centre.lat_deg().to_radians().cos())).to_degrees();
        LatLon::new(lat, lon).expect("the demo's city lies far from poles and the date line")
    }
}

/// What kind of road, and so how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Residential.
    Local,
    /// Every fifth street.
    Main,
    /// Every tenth.
    Arterial,
    /// On and off the motorway.
    Ramp,
    /// Ring and radials.
    Motorway,
}

impl Class {
    /// Speed limit in metres per second.
    pub const fn limit_mps(self) -> f64 {
        let kmh = match self {
            Self::Local => 30.0,
            Self::Main => 50.0,
            Self::Arterial => 70.0,
            Self::Ramp => 60.0,
            Self::Motorway => 110.0,
        };
        kmh / 3.6
    }
}

/// One direction of a road between two junctions. The opposite direction of edge `e` is `e ^ 1`.
#[derive(Debug, Clone)]
pub struct Edge {
    /// Junction where it begins.
    pub from: u32,
    /// Junction where it ends.
    pub to: u32,
    /// Its kind.
    pub class: Class,
    /// Its course, both junctions included.
    shape: Vec<Point>,
    /// Distance along it at each point of the shape.
    along_m: Vec<f64>,
}

impl Edge {
    /// Its length in metres.
    pub fn length_m(&self) -> f64 {
        *self.along_m.last().expect("a shape has at least two points")
    }

    /// Where one is after this many metres, and the course there in degrees.
    pub fn at(&self, distance_m: f64) -> (Point, f64) {
        let last = self.shape.len() - 2;
        let i = self.along_m.partition_point(|d| *d <= distance_m).saturating_sub(1).min(last);
        let (a, b) = (self.shape[i], self.shape[i + 1]);
        let part = ((distance_m - self.along_m[i]) / (self.along_m[i + 1] - self.along_m[i])).clamp(0.0, 1.0);
        ([a[0] + (b[0] - a[0]) * part, a[1] + (b[1] - a[1]) * part], course_deg(a, b))
    }

    /// Course at its very beginning and end, degrees.
    pub fn end_courses(&self) -> (f64, f64) {
        let n = self.shape.len();
        (course_deg(self.shape[0], self.shape[1]), course_deg(self.shape[n - 2], self.shape[n - 1]))
    }
}

/// Junctions and roads.
#[derive(Debug)]
pub struct Roads {
    /// Where the junctions are.
    pub nodes: Vec<Point>,
    /// All directions of all roads.
    pub edges: Vec<Edge>,
    /// Edges that leave a junction.
    leaving: Vec<Vec<u32>>,
}

/// Metres between streets.
const SPACING_M: f64 = 260.0;
/// Streets from the centre to the outermost, each way.
const HALF: i32 = 36;
/// Radius of the ring motorway, metres.
const RING_M: f64 = 6_500.0;
const RADIALS: usize = 8;

impl Roads {
    /// The city of this seed.
    pub fn city(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut plan = Plan { nodes: Vec::new(), roads: Vec::new(), waves: Waves::new(&mut rng) };
        let grid = plan.streets(&mut rng);
        plan.motorways(&grid, &mut rng);
        plan.build()
    }

    /// Edges that leave a junction.
    pub fn leaving(&self, node: u32) -> &[u32] {
        &self.leaving[node as usize]
    }

    /// For every junction the edge to take to reach `destination` fastest.
    pub fn towards(&self, destination: u32) -> Vec<u32> {
        let mut next = vec![u32::MAX; self.nodes.len()];
        let mut best = vec![u64::MAX; self.nodes.len()];
        // Milliseconds, because the heap wants a total order.
        let mut queue = BinaryHeap::from([Reverse((0_u64, destination))]);
        best[destination as usize] = 0;
        while let Some(Reverse((cost, node))) = queue.pop() {
            if cost > best[node as usize] {
                continue;
            }
            for &out in self.leaving(node) {
                // Roads go both ways: what leaves here, seen backwards, arrives here.
                let edge = &self.edges[out as usize];
                let total = cost + (edge.length_m() / edge.class.limit_mps() * 1000.0) as u64 + 4000;
                if total < best[edge.to as usize] {
                    best[edge.to as usize] = total;
                    next[edge.to as usize] = out ^ 1;
                    queue.push(Reverse((total, edge.to)));
                }
            }
        }
        next
    }
}

/// Smooth displacement that bends the grid.
struct Waves(Vec<[f64; 5]>);

impl Waves {
    fn new(rng: &mut StdRng) -> Self {
        let wave = |rng: &mut StdRng, length: f64, height: f64| {
            let angle: f64 = rng.random_range(0.0..TAU);
            let towards: f64 = rng.random_range(0.0..TAU);
            [
                angle.cos() * TAU / length,
                angle.sin() * TAU / length,
                rng.random_range(0.0..TAU),
                towards.cos() * height,
                towards.sin() * height,
            ]
        };
        Self([(9_000.0, 420.0), (6_500.0, 300.0), (3_100.0, 110.0), (1_900.0, 55.0)].map(|(l, h)| wave(rng, l, h)).to_vec())
    }

    fn bend(&self, [x, y]: Point) -> Point {
        self.0.iter().fold([x, y], |[bx, by], [kx, ky, phase, dx, dy]| {
            let s = (kx * x + ky * y + phase).sin();
            [bx + dx * s, by + dy * s]
        })
    }
}

/// Roads before both directions, lengths and connections are worked out.
struct Plan {
    nodes: Vec<Point>,
    roads: Vec<(u32, u32, Class, Vec<Point>)>,
    waves: Waves,
}

/// Which junction lies at a crossing of the grid, and what class its better street has.
struct Grid {
    crossings: Vec<(Point, u32, Class)>,
}

impl Plan {
    fn node(&mut self, at: Point) -> u32 {
        self.nodes.push(at);
        self.nodes.len() as u32 - 1
    }

    /// The straight road between two junctions, or, bent by the waves, the street between two crossings of the grid.
    fn road(&mut self, from: u32, to: u32, class: Class, between: Vec<Point>) {
        let mut shape = vec![self.nodes[from as usize]];
        shape.extend(between);
        shape.push(self.nodes[to as usize]);
        self.roads.push((from, to, class, shape));
    }

    fn streets(&mut self, rng: &mut StdRng) -> Grid {
        let lobes = [rng.random_range(0.0..TAU), rng.random_range(0.0..TAU)];
        let parks: Vec<(Point, f64)> = (0..5)
            .map(|_| ([rng.random_range(-6e3..6e3), rng.random_range(-6e3..6e3)], rng.random_range(500.0..1100.0)))
            .collect();
        let inside = |i: i32, j: i32| {
            let [x, y] = [f64::from(i) * SPACING_M, f64::from(j) * SPACING_M];
            let angle = y.atan2(x);
            let edge = 8_600.0 * (0.84 + 0.11 * (3.0 * angle + lobes[0]).sin() + 0.07 * (5.0 * angle + lobes[1]).sin());
            x.hypot(y) < edge
        };
        let class_of = |k: i32| match k {
            k if k % 10 == 0 => Class::Arterial,
            k if k % 5 == 0 => Class::Main,
            _ => Class::Local,
        };
        let better = |a: Class, b: Class| if a.limit_mps() > b.limit_mps() { a } else { b };
        let width = (2 * HALF + 1) as usize;
        let cell = |i: i32, j: i32| (i + HALF) as usize * width + (j + HALF) as usize;
        let mut at = vec![None; width * width];
        let mut crossings = Vec::new();
        for i in -HALF..=HALF {
            for j in -HALF..=HALF {
                if inside(i, j) {
                    let place = self.waves.bend([f64::from(i) * SPACING_M, f64::from(j) * SPACING_M]);
                    let node = self.node(place);
                    at[cell(i, j)] = Some(node);
                    crossings.push((place, node, better(class_of(i), class_of(j))));
                }
            }
        }
        for i in -HALF..=HALF {
            for j in -HALF..=HALF {
                // Along i the street is row j; along j it is column i.
                for (ni, nj, class) in [(i + 1, j, class_of(j)), (i, j + 1, class_of(i))] {
                    if ni > HALF || nj > HALF {
                        continue;
                    }
                    let (Some(a), Some(b)) = (at[cell(i, j)], at[cell(ni, nj)]) else { continue };
                    let step = |part: f64| {
                        let along = |k: i32, n: i32| (f64::from(k) + f64::from(n - k) * part) * SPACING_M;
                        [along(i, ni), along(j, nj)]
                    };
                    let middle = step(0.5);
                    let remote = middle[0].hypot(middle[1]) / 8_600.0;
                    let in_park = parks.iter().any(|(p, r)| (middle[0] - p[0]).hypot(middle[1] - p[1]) < *r);
                    let missing = if in_park { 1.0 } else { 0.12 + 0.3 * remote.powi(3) };
                    if class == Class::Local && rng.random_bool(f64::min(missing, 1.0)) {
                        continue;
                    }
                    let between = [0.25, 0.5, 0.75].map(|part| self.waves.bend(step(part))).to_vec();
                    self.road(a, b, class, between);
                }
            }
        }
        Grid { crossings }
    }

    fn motorways(&mut self, grid: &Grid, rng: &mut StdRng) {
        let steps = RADIALS * 6;
        let turn: f64 = rng.random_range(0.0..TAU);
        let ring: Vec<u32> = (0..steps)
            .map(|k| {
                let angle = turn + TAU * k as f64 / steps as f64;
                let radius = RING_M * (1.0 + 0.05 * (3.0 * angle).sin());
                self.node([radius * angle.cos(), radius * angle.sin()])
            })
            .collect();
        for k in 0..steps {
            self.road(ring[k], ring[(k + 1) % steps], Class::Motorway, Vec::new());
            if k % 3 == 1 {
                self.ramp(grid, ring[k]);
            }
        }
        for radial in 0..RADIALS {
            let angle = turn + TAU * radial as f64 / RADIALS as f64;
            let sway: f64 = rng.random_range(-0.25..0.25);
            let start = ring[radial * 6];
            let far: f64 = rng.random_range(13_500.0..17_000.0);
            let inner = self.radial(start, angle, sway, RING_M, 2_600.0);
            self.ramp(grid, inner);
            let outer = self.radial(start, angle, sway, RING_M, far);
            self.suburb(outer, rng);
        }
    }

    /// A motorway from the ring's junction inwards or outwards; gives its last junction.
    fn radial(&mut self, start: u32, angle: f64, sway: f64, from_m: f64, to_m: f64) -> u32 {
        let steps = ((to_m - from_m).abs() / 650.0).ceil() as usize;
        let origin = self.nodes[start as usize];
        let mut last = start;
        for k in 1..=steps {
            let part = k as f64 / steps as f64;
            let out = (to_m - from_m) * part;
            // Sideways sway grows from nothing at the ring, so that the road leaves it straight.
            let aside = sway * out * (part * TAU / 2.0).sin();
            let at = [origin[0] + out * angle.cos() - aside * angle.sin(), origin[1] + out * angle.sin() + aside * angle.cos()];
            let node = self.node(at);
            self.road(last, node, Class::Motorway, Vec::new());
            last = node;
        }
        last
    }

    /// Joins a motorway's junction with the nearest crossing of bigger streets.
    fn ramp(&mut self, grid: &Grid, junction: u32) {
        let [x, y] = self.nodes[junction as usize];
        let nearest = grid
            .crossings
            .iter()
            .filter(|(_, _, class)| *class != Class::Local)
            .min_by(|(a, ..), (b, ..)| (a[0] - x).hypot(a[1] - y).total_cmp(&(b[0] - x).hypot(b[1] - y)));
        if let Some(&(_, crossing, _)) = nearest {
            self.road(junction, crossing, Class::Ramp, Vec::new());
        }
    }

    fn suburb(&mut self, gate: u32, rng: &mut StdRng) {
        const SIDE: usize = 9;
        let [x, y] = self.nodes[gate as usize];
        let turn: f64 = rng.random_range(0.0..TAU);
        let nodes: Vec<u32> = (0..SIDE * SIDE)
            .map(|k| {
                let (i, j) = ((k / SIDE) as f64 - 4.0, (k % SIDE) as f64 - 4.0);
                let (u, v) = (i * 190.0, j * 190.0);
                let place = [x + 60.0 + u * turn.cos() - v * turn.sin(), y + 60.0 + u * turn.sin() + v * turn.cos()];
                let bent = self.waves.bend(place);
                let home = self.waves.bend([x, y]);
                self.node([bent[0] - home[0] + x, bent[1] - home[1] + y])
            })
            .collect();
        for k in 0..SIDE * SIDE {
            for (other, class) in [(k + SIDE, k % SIDE), (k + 1, k / SIDE)] {
                let row_end = other == k + 1 && k % SIDE == SIDE - 1;
                if other >= SIDE * SIDE || row_end {
                    continue;
                }
                let class = if class == SIDE / 2 { Class::Main } else { Class::Local };
                if class == Class::Main || rng.random_bool(0.8) {
                    self.road(nodes[k], nodes[other], class, Vec::new());
                }
            }
        }
        self.road(gate, nodes[SIDE * SIDE / 2], Class::Ramp, Vec::new());
    }

    /// Keeps what hangs together with the most junctions, and works out directions, lengths and connections.
    fn build(self) -> Roads {
        let kept = largest_component(self.nodes.len(), &self.roads);
        let mut number = vec![u32::MAX; self.nodes.len()];
        let mut nodes = Vec::new();
        for (old, at) in self.nodes.iter().enumerate() {
            if kept[old] {
                number[old] = nodes.len() as u32;
                nodes.push(*at);
            }
        }
        let mut edges = Vec::new();
        let mut leaving = vec![Vec::new(); nodes.len()];
        for (from, to, class, shape) in self.roads.into_iter().filter(|(from, ..)| kept[*from as usize]) {
            let (from, to) = (number[from as usize], number[to as usize]);
            let back: Vec<Point> = shape.iter().rev().copied().collect();
            for (from, to, shape) in [(from, to, shape), (to, from, back)] {
                leaving[from as usize].push(edges.len() as u32);
                let mut along_m = vec![0.0];
                for pair in shape.windows(2) {
                    along_m.push(along_m[along_m.len() - 1] + (pair[1][0] - pair[0][0]).hypot(pair[1][1] - pair[0][1]));
                }
                edges.push(Edge { from, to, class, shape, along_m });
            }
        }
        Roads { nodes, edges, leaving }
    }
}

fn largest_component(nodes: usize, roads: &[(u32, u32, Class, Vec<Point>)]) -> Vec<bool> {
    let mut neighbours = vec![Vec::new(); nodes];
    for &(a, b, ..) in roads {
        neighbours[a as usize].push(b);
        neighbours[b as usize].push(a);
    }
    let mut seen = vec![false; nodes];
    let mut largest = Vec::new();
    for start in 0..nodes as u32 {
        if seen[start as usize] {
            continue;
        }
        seen[start as usize] = true;
        let mut component = vec![start];
        let mut done = 0;
        while let Some(&node) = component.get(done) {
            done += 1;
            for &other in &neighbours[node as usize] {
                if !std::mem::replace(&mut seen[other as usize], true) {
                    component.push(other);
                }
            }
        }
        if component.len() > largest.len() {
            largest = component;
        }
    }
    let mut kept = vec![false; nodes];
    for node in largest {
        kept[node as usize] = true;
    }
    kept
}

/// Degrees clockwise from north.
fn course_deg(a: Point, b: Point) -> f64 {
    (b[0] - a[0]).atan2(b[1] - a[1]).to_degrees().rem_euclid(360.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_connected_city() {
        let (roads, again) = (Roads::city(7), Roads::city(7));
        assert_eq!(roads.nodes, again.nodes);
        assert!(roads.nodes.len() > 2_500, "{} junctions", roads.nodes.len());
        let next = roads.towards(0);
        assert_eq!(next.iter().filter(|e| **e == u32::MAX).count(), 1, "every junction but the destination has a way");
        // Following the signs from anywhere arrives.
        let mut node = roads.nodes.len() as u32 - 1;
        for _ in 0..roads.nodes.len() {
            if node == 0 {
                return;
            }
            let edge = &roads.edges[next[node as usize] as usize];
            assert_eq!(edge.from, node);
            node = edge.to;
        }
        panic!("went round in circles");
    }

    #[test]
    fn an_edge_leads_from_its_start_to_its_end() {
        let roads = Roads::city(1);
        for edge in &roads.edges {
            let (start, _) = edge.at(0.0);
            let (end, _) = edge.at(edge.length_m());
            assert_eq!(start, roads.nodes[edge.from as usize]);
            assert!((end[0] - roads.nodes[edge.to as usize][0]).abs() < 1e-6);
            assert!(edge.length_m() > 1.0, "zero-length road");
        }
    }
}
