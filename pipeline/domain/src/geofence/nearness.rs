//! Distances from a place to lines: for corridors and exit margins.

use super::prepared::Bounds;
use crate::{LatLon, haversine_degrees_m};

/// Longitude, latitude in degrees.
pub(super) type Degrees = (f64, f64);

/// A degree of latitude where it is shortest on WGS84 (at the equator), metres, rounded down.
const LEAST_DEGREE_M: f64 = 110_570.0;
/// Beyond this latitude boxes go all round: a degree of longitude has no length at the pole.
const POLAR_DEG: f64 = 89.0;

/// Distance from a place to the edge from `a` to `b`, which is straight in longitude and latitude, metres. The nearest place of the
/// edge is found on a plane that touches the Earth at `at`: good for edges and distances of some hundred kilometres.
pub(super) fn to_edge_m(at: Degrees, a: Degrees, b: Degrees) -> f64 {
    let shrink = at.1.to_radians().cos();
    let (ax, ay) = ((a.0 - at.0) * shrink, a.1 - at.1);
    let (dx, dy) = ((b.0 - a.0) * shrink, b.1 - a.1);
    let length2 = dx * dx + dy * dy;
    let t = if length2 > 0.0 { (-(ax * dx + ay * dy) / length2).clamp(0.0, 1.0) } else { 0.0 };
    let nearest = (a.1 + t * (b.1 - a.1), a.0 + t * (b.0 - a.0));
    haversine_degrees_m((at.1, at.0), nearest)
}

/// The same, the shorter way round the Earth.
pub(super) fn to_edge_any_turn_m(at: LatLon, a: Degrees, b: Degrees) -> f64 {
    let (lon, lat) = (at.lon_deg(), at.lat_deg());
    let middle = (a.0 + b.0) / 2.0;
    let turn = ((middle - lon) / 360.0).round() * 360.0;
    to_edge_m((lon + turn, lat), a, b)
}

/// A box widened by some metres on every side, kept within the map.
pub(super) fn widened([west, south, east, north]: Bounds, by_m: f64) -> Bounds {
    if by_m <= 0.0 {
        return [west, south, east, north];
    }
    let up = by_m / LEAST_DEGREE_M;
    let (low, high) = (f64::from(south) / 1e7 - up, f64::from(north) / 1e7 + up);
    let clamp = |degrees: f64, most: f64| (degrees.clamp(-most, most) * 1e7) as i32;
    let farthest = low.abs().max(high.abs());
    if farthest >= POLAR_DEG {
        return [-1_800_000_000, clamp(low, 90.0), 1_800_000_000, clamp(high, 90.0)];
    }
    let aside = up / farthest.to_radians().cos();
    let (left, right) = (f64::from(west) / 1e7 - aside, f64::from(east) / 1e7 + aside);
    [clamp(left, 180.0), clamp(low, 90.0), clamp(right, 180.0), clamp(high, 90.0)]
}

/// The boxes round a line of two places within a distance; two if it lies across ±180.
pub(super) fn around_edge(a: Degrees, b: Degrees, by_m: f64) -> Vec<Bounds> {
    let e7 = |degrees: f64| (degrees * 1e7).round() as i64;
    let up = e7(by_m / LEAST_DEGREE_M) + 1;
    let (south, north) = (e7(a.1.min(b.1)) - up, e7(a.1.max(b.1)) + up);
    let farthest = (south.abs().max(north.abs()) as f64 / 1e7).min(90.0);
    let (south, north) = (south.max(-900_000_000) as i32, north.min(900_000_000) as i32);
    if farthest >= POLAR_DEG {
        return vec![[-1_800_000_000, south, 1_800_000_000, north]];
    }
    let aside = e7(by_m / LEAST_DEGREE_M / farthest.to_radians().cos()) + 1;
    let (west, east) = (e7(a.0.min(b.0)) - aside, e7(a.0.max(b.0)) + aside);
    on_the_map((west, east), (south, north))
}

/// A box whose longitudes may lie beyond ±180, 1e-7 degree: one on the map, or two if it reaches over its edge.
pub(super) fn on_the_map((west, east): (i64, i64), (south, north): (i32, i32)) -> Vec<Bounds> {
    let mut out = Vec::new();
    for turn in [-3_600_000_000, 0, 3_600_000_000] {
        let (west, east) = ((west + turn).max(-1_800_000_000), (east + turn).min(1_800_000_000));
        if west <= east {
            out.push([west as i32, south, east as i32, north]);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_to_an_edge_is_that_to_its_nearest_place() {
        let close = |found: f64, wanted: f64| assert!((found - wanted).abs() < wanted * 1e-3 + 0.01, "{found} {wanted}");
        // A degree on the mean sphere has 111,195.08 m.
        close(to_edge_m((9.0, 0.5), (0.0, 0.0), (10.0, 0.0)), 55_597.5);
        close(to_edge_m((11.0, 0.0), (0.0, 0.0), (10.0, 0.0)), 111_195.1);
        close(to_edge_m((9.0, 60.0), (10.0, 50.0), (10.0, 70.0)), 55_597.5);
        close(to_edge_m((1.0, 1.0), (1.0, 1.0), (1.0, 1.0)), 0.0);
        let at = LatLon::new(0.0, -179.5).expect("place");
        close(to_edge_any_turn_m(at, (179.0, 0.0), (180.0, 0.0)), 55_597.5);
    }
}
