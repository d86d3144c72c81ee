//! Whether the straight way between two fixes goes through a geofence.

use super::nearness::{self, Degrees};
use super::rings::{Vertex, orient};
use crate::LatLon;

/// A way from fix to fix, the shorter way round the Earth: longitudes may lie beyond ±180.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way {
    from: Vertex,
    to: Vertex,
}

const TURN: i64 = 3_600_000_000;

impl Way {
    pub(super) fn new(from: LatLon, to: LatLon) -> Self {
        let vertex = |at: LatLon| (i64::from(at.lon_e7()), i64::from(at.lat_e7()));
        let (from, mut to) = (vertex(from), vertex(to));
        if to.0 - from.0 > TURN / 2 {
            to.0 -= TURN;
        } else if from.0 - to.0 > TURN / 2 {
            to.0 += TURN;
        }
        Self { from, to }
    }

    /// The way as it lies on the map: once, or twice if it goes over ±180.
    pub(super) fn on_the_map(self) -> impl Iterator<Item = Self> {
        let shifted = |turn: i64| Self { from: (self.from.0 + turn, self.from.1), to: (self.to.0 + turn, self.to.1) };
        let beyond = self.to.0.abs() > TURN / 2;
        [Some(self), beyond.then(|| shifted(-TURN * self.to.0.signum()))].into_iter().flatten()
    }

    /// West, south, east, north, 1e-7 degree.
    pub(super) fn bounds(&self) -> [i64; 4] {
        let Self { from, to } = self;
        [from.0.min(to.0), from.1.min(to.1), from.0.max(to.0), from.1.max(to.1)]
    }

    /// Whether it meets an edge, touching included. Exact.
    pub(super) fn meets(&self, [ax, ay, bx, by]: [i32; 4]) -> bool {
        let (a, b) = ((i64::from(ax), i64::from(ay)), (i64::from(bx), i64::from(by)));
        let [west, south, east, north] = self.bounds();
        if a.0.max(b.0) < west || a.0.min(b.0) > east || a.1.max(b.1) < south || a.1.min(b.1) > north {
            return false;
        }
        let sides = |p: Vertex, q: Vertex, c: Vertex, d: Vertex| orient(p, q, c).signum() * orient(p, q, d).signum();
        sides(self.from, self.to, a, b) <= 0 && sides(a, b, self.from, self.to) <= 0
    }

    fn degrees(&self) -> (Degrees, Degrees) {
        let degrees = |v: Vertex| (v.0 as f64 / 1e7, v.1 as f64 / 1e7);
        (degrees(self.from), degrees(self.to))
    }

    /// Whether it comes as near to a place as that.
    pub(super) fn comes_near(&self, place: LatLon, within_m: f64) -> bool {
        let (a, b) = self.degrees();
        nearness::to_edge_any_turn_m(place, a, b) <= within_m
    }

    /// Whether it comes as near to a line as that; the line may lie beyond ±180.
    pub(super) fn comes_near_line(&self, a: Degrees, b: Degrees, within_m: f64) -> bool {
        let (from, to) = self.degrees();
        let turn = (((from.0 + to.0 - a.0 - b.0) / 2.0) / 360.0).round() * 360.0;
        let (a, b) = ((a.0 + turn, a.1), (b.0 + turn, b.1));
        let side = |p: Degrees, q: Degrees, c: Degrees| (q.0 - p.0) * (c.1 - p.1) - (q.1 - p.1) * (c.0 - p.0);
        let crosses = side(from, to, a) * side(from, to, b) < 0.0 && side(a, b, from) * side(a, b, to) < 0.0;
        crosses
            || [from, to].into_iter().any(|end| nearness::to_edge_m(end, a, b) <= within_m)
            || [a, b].into_iter().any(|end| nearness::to_edge_m(end, from, to) <= within_m)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(from: (f64, f64), to: (f64, f64)) -> Way {
        let place = |(lon, lat): (f64, f64)| LatLon::new(lat, lon).expect("place");
        Way::new(place(from), place(to))
    }

    #[test]
    fn a_way_meets_an_edge_if_it_crosses_or_touches_it() {
        let edge = [0, -10_000_000, 0, 10_000_000];
        for (from, to, meets) in [
            ((-1.0, 0.0), (1.0, 0.0), true),
            ((-1.0, 0.0), (0.0, 0.0), true),
            ((-1.0, 0.0), (-0.000_000_1, 0.0), false),
            ((-1.0, 1.0), (1.0, 1.0), true),
            ((-1.0, 1.000_000_1), (1.0, 1.000_000_1), false),
            ((0.0, 2.0), (0.0, 0.5), true),
            ((0.0, 2.0), (0.0, 1.5), false),
        ] {
            assert_eq!(way(from, to).meets(edge), meets, "{from:?} {to:?}");
        }
    }

    #[test]
    fn over_180_it_goes_the_short_way() {
        let over = way((179.0, 0.0), (-179.0, 0.0));
        let bounds: Vec<_> = over.on_the_map().map(|w| w.bounds()).collect();
        assert_eq!(bounds, [[1_790_000_000, 0, 1_810_000_000, 0], [-1_810_000_000, 0, -1_790_000_000, 0]]);
        assert!(over.comes_near(LatLon::new(0.1, 180.0).expect("place"), 12_000.0));
        assert!(over.comes_near(LatLon::new(0.1, -179.5).expect("place"), 12_000.0));
        assert!(over.comes_near_line((-179.5, -1.0), (-179.5, 1.0), 1.0));
        assert!(!over.comes_near(LatLon::new(0.0, 0.0).expect("place"), 12_000.0));
    }
}
