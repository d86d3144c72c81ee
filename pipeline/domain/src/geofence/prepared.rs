//! A geofence made fast to ask: exact point-in-polygon on 1e-7 degree integers, geodesic circles. Boundary is inside.

use super::nearness::{self, Degrees};
use super::rules::{FenceRules, Schedule};
use super::segment::Way;
use super::{Geofence, Polygon, Shape};
use crate::fix::speed_cm_s;
use crate::{FleetId, GeofenceId, LatLon, MEAN_EARTH_RADIUS_M, OrganisationId, haversine_m};
use geo::{Distance, Geodesic, Point};

/// West, south, east, north in 1e-7 degree, all inclusive.
pub(crate) type Bounds = [i32; 4];

/// A geofence's identity and scope with its area cut into parts; in any part is in the geofence.
#[derive(Debug)]
pub struct PreparedGeofence {
    /// Its key.
    pub id: GeofenceId,
    /// Owner.
    pub organisation: OrganisationId,
    /// Only for this fleet; `None`: for all fleets of the organisation.
    pub fleet: Option<FleetId>,
    /// Which edit this is.
    pub version: u64,
    rules: FenceRules,
    /// Half of what it measures across where it is narrow, metres: see [`Self::vague_above_m`].
    size_m: f64,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Polygon(Slabs),
    Circle {
        centre: LatLon,
        radius_m: f64,
        bounds: Bounds,
    },
    /// One edge of a corridor; longitudes may lie beyond ±180.
    Stretch {
        a: Degrees,
        b: Degrees,
        half_width_m: f64,
        bounds: Bounds,
    },
}

impl PreparedGeofence {
    /// Prepares a geofence; its cost grows with its vertices, so do it once and share it.
    pub fn new(geofence: &Geofence) -> Self {
        let parts: Vec<Part> = match &geofence.shape {
            Shape::Polygons { polygons } => polygons.iter().filter_map(Slabs::new).map(Part::Polygon).collect(),
            Shape::Circle { centre, radius_m } => circle_bounds(*centre, *radius_m)
                .into_iter()
                .map(|bounds| Part::Circle { centre: *centre, radius_m: *radius_m, bounds })
                .collect(),
            Shape::Corridor { line, width_m } => line.windows(2).flat_map(|w| stretches(w[0], w[1], width_m / 2.0)).collect(),
        };
        Self {
            id: geofence.id.clone(),
            organisation: geofence.organisation.clone(),
            fleet: geofence.fleet.clone(),
            version: geofence.version,
            rules: geofence.rules.clone(),
            size_m: size_m(&parts),
            parts,
        }
    }

    /// A fix that is less accurate than this says nothing about the geofence unless it is farther away than its accuracy, metres.
    /// Unless the geofence has a rule: the radius of a circle, half the width of a corridor, half of the shorter side of the box
    /// round the largest part of a polygon.
    pub(crate) fn vague_above_m(&self) -> f64 {
        self.rules.max_accuracy_m.unwrap_or(self.size_m)
    }

    /// Whether an altitude lies in the band; `None`: there is a band and no altitude.
    pub(crate) fn at_altitude(&self, altitude_m: Option<f32>) -> Option<bool> {
        self.rules.at_altitude(altitude_m)
    }

    /// How long inside is to be told, milliseconds; 0: is not.
    pub(crate) fn loiter_ms(&self) -> u32 {
        self.rules.loitering_s.saturating_mul(1000)
    }

    /// Faster than this inside is to be told, centimetres per second; 0: is not.
    pub(crate) fn limit_cm_s(&self) -> u16 {
        self.rules.speed_limit_mps.and_then(speed_cm_s).unwrap_or(0)
    }

    /// Whether going through is to be told.
    pub(crate) fn tells_crossings(&self) -> bool {
        self.rules.cross
    }

    /// Whether the way goes through this part.
    pub(super) fn part_is_crossed(&self, part: usize, way: &Way) -> bool {
        match &self.parts[part] {
            Part::Polygon(slabs) => slabs.is_crossed(way),
            Part::Circle { centre, radius_m, .. } => way.comes_near(*centre, *radius_m),
            Part::Stretch { a, b, half_width_m, .. } => way.comes_near_line(*a, *b, *half_width_m),
        }
    }

    /// How long an enter or exit must last to count, milliseconds.
    pub(crate) fn dwell_ms(&self) -> u32 {
        self.rules.min_dwell_s.saturating_mul(1000)
    }

    /// When its events are told; `None`: always.
    pub(crate) fn schedule(&self) -> Option<&Schedule> {
        self.rules.schedule.as_deref()
    }

    /// Whether the place lies inside or on the boundary.
    pub fn covers(&self, at: LatLon) -> bool {
        (0..self.parts.len()).any(|part| self.part_covers(part, at))
    }

    /// West, south, east and north of a box in degrees: no place outside of it is covered.
    pub fn bounds_deg(&self) -> [f64; 4] {
        let around = self.bounds().reduce(|a, b| [a[0].min(b[0]), a[1].min(b[1]), a[2].max(b[2]), a[3].max(b[3])]);
        // A place is rounded to 1e-7 before it is looked for.
        let [west, south, east, north] = around.unwrap_or_default().map(|e7| f64::from(e7) / 1e7);
        [west - 1e-7, south - 1e-7, east + 1e-7, north + 1e-7]
    }

    pub(super) fn bounds(&self) -> impl ExactSizeIterator<Item = Bounds> + '_ {
        self.parts.iter().map(|part| match part {
            Part::Polygon(slabs) => nearness::widened(slabs.bounds, self.rules.exit_margin_m),
            Part::Circle { bounds, .. } | Part::Stretch { bounds, .. } => nearness::widened(*bounds, self.rules.exit_margin_m),
        })
    }

    /// Whether the place lies in one of its boxes.
    pub(crate) fn reaches(&self, at: LatLon) -> bool {
        let (x, y) = (at.lon_e7(), at.lat_e7());
        self.bounds().any(|[west, south, east, north]| west <= x && x <= east && south <= y && y <= north)
    }

    /// Farther away than this from a place that is outside, who is inside has left, metres.
    pub(super) fn exit_margin_m(&self) -> f64 {
        self.rules.exit_margin_m
    }

    /// Whether the place, which is outside of this part, is no farther from it than that.
    pub(super) fn part_is_near(&self, part: usize, at: LatLon, margin_m: f64) -> bool {
        margin_m > 0.0
            && match &self.parts[part] {
                Part::Polygon(slabs) => slabs.is_near(at, margin_m),
                Part::Circle { centre, radius_m, .. } => circle_covers(*centre, radius_m + margin_m, at),
                Part::Stretch { a, b, half_width_m, .. } => nearness::to_edge_any_turn_m(at, *a, *b) <= half_width_m + margin_m,
            }
    }

    pub(super) fn part_covers(&self, part: usize, at: LatLon) -> bool {
        match &self.parts[part] {
            Part::Polygon(slabs) => slabs.covers(at.lon_e7(), at.lat_e7()),
            Part::Circle { centre, radius_m, .. } => circle_covers(*centre, *radius_m, at),
            Part::Stretch { a, b, half_width_m, .. } => nearness::to_edge_any_turn_m(at, *a, *b) <= *half_width_m,
        }
    }
}

fn size_m(parts: &[Part]) -> f64 {
    let of_part = |part: &Part| match part {
        Part::Circle { radius_m, .. } => *radius_m,
        Part::Stretch { half_width_m, .. } => *half_width_m,
        Part::Polygon(Slabs { bounds: [west, south, east, north], .. }) => {
            let degrees = |from: &i32, to: &i32| (f64::from(*to) - f64::from(*from)) / 1e7;
            let shrink = (degrees(&0, south) + degrees(south, north) / 2.0).to_radians().cos();
            (degrees(south, north).min(degrees(west, east) * shrink)) / 2.0 * DEGREE_M
        }
    };
    parts.iter().map(of_part).fold(0.0, f64::max)
}

fn stretches(a: LatLon, b: LatLon, half_width_m: f64) -> impl Iterator<Item = Part> {
    let turn = ((a.lon_deg() - b.lon_deg()) / 360.0).round() * 360.0;
    let (a, b) = ((a.lon_deg(), a.lat_deg()), (b.lon_deg() + turn, b.lat_deg()));
    nearness::around_edge(a, b, half_width_m).into_iter().map(move |bounds| Part::Stretch { a, b, half_width_m, bounds })
}

/// A degree of a great circle of the mean sphere, metres.
const DEGREE_M: f64 = MEAN_EARTH_RADIUS_M * std::f64::consts::PI / 180.0;

/// A polygon's edges sorted into horizontal slabs of equal height, so that a place is compared with those of its slab only.
#[derive(Debug)]
struct Slabs {
    bounds: Bounds,
    /// A slab is 2^shift 1e-7 degrees high.
    shift: u32,
    /// Where the edges of each slab begin in `edges`; one more than there are slabs.
    starts: Vec<u32>,
    /// Longitude and latitude of both ends.
    edges: Vec<[i32; 4]>,
}

/// Edges per slab aimed at, and most slabs: more would cost memory (an edge stands in every slab that it touches) and win nothing.
const EDGES_PER_SLAB: usize = 4;
const MAX_SLABS: i64 = 512;

impl Slabs {
    /// `None` if there is no vertex.
    fn new(polygon: &Polygon) -> Option<Self> {
        let outer = polygon.rings.first()?;
        let mut bounds = [i32::MAX, i32::MAX, i32::MIN, i32::MIN];
        for v in polygon.rings.iter().flatten() {
            let (x, y) = (v.lon_e7(), v.lat_e7());
            bounds = [bounds[0].min(x), bounds[1].min(y), bounds[2].max(x), bounds[3].max(y)];
        }
        outer.first()?;
        let edges = || {
            let ends = polygon.rings.iter().flat_map(|ring| ring.windows(2));
            ends.map(|w| [w[0].lon_e7(), w[0].lat_e7(), w[1].lon_e7(), w[1].lat_e7()])
        };
        let wanted = i64::try_from(edges().count() / EDGES_PER_SLAB).map_or(MAX_SLABS, |n| n.clamp(1, MAX_SLABS));
        let height = i64::from(bounds[3]) - i64::from(bounds[1]);
        let shift = (0..).find(|shift| (height >> shift) < wanted).expect("a height shifted far enough is 0");
        let slab = |y: i32| ((i64::from(y) - i64::from(bounds[1])) >> shift) as usize;
        let mut slabs = vec![Vec::new(); slab(bounds[3]) + 1];
        for edge in edges() {
            for edges in &mut slabs[slab(edge[1].min(edge[3]))..=slab(edge[1].max(edge[3]))] {
                edges.push(edge);
            }
        }
        let mut starts = vec![0];
        for edges in &slabs {
            starts.push(starts[starts.len() - 1] + u32::try_from(edges.len()).ok()?);
        }
        Some(Self { bounds, shift, starts, edges: slabs.concat() })
    }

    /// Even-odd over all rings, boundary inside.
    ///
    /// Exact in 64 bits even for edges of 360° by 180°: the cross product is only needed for a place within the edge's bounding
    /// box, where both its products have the same sign and neither exceeds 3.6e9 · 1.8e9 < 2^63.
    fn covers(&self, x: i32, y: i32) -> bool {
        let [west, south, east, north] = self.bounds;
        if x < west || x > east || y < south || y > north {
            return false;
        }
        let slab = ((i64::from(y) - i64::from(south)) >> self.shift) as usize;
        let mut inside = false;
        for &[ax, ay, bx, by] in &self.edges[self.starts[slab] as usize..self.starts[slab + 1] as usize] {
            if y < ay.min(by) || y > ay.max(by) || x > ax.max(bx) {
                continue;
            }
            let straddles = (ay > y) != (by > y);
            if x < ax.min(bx) {
                inside ^= straddles;
                continue;
            }
            let [x, y, ax, ay, bx, by] = [x, y, ax, ay, bx, by].map(i64::from);
            let side = (bx - ax) * (y - ay) - (by - ay) * (x - ax);
            if side == 0 {
                return true;
            }
            inside ^= straddles && (side > 0) == (by > ay);
        }
        inside
    }
}

impl Slabs {
    /// Whether the way meets an edge.
    fn is_crossed(&self, way: &Way) -> bool {
        let [_, south, _, north] = self.bounds;
        let [_, low, _, high] = way.bounds();
        if low > i64::from(north) || high < i64::from(south) {
            return false;
        }
        let slab = |y: i64| ((y.clamp(i64::from(south), i64::from(north)) - i64::from(south)) >> self.shift) as usize;
        let edges = &self.edges[self.starts[slab(low)] as usize..self.starts[slab(high) + 1] as usize];
        edges.iter().any(|edge| way.meets(*edge))
    }

    /// Whether an edge is no farther from the place than that.
    fn is_near(&self, at: LatLon, margin_m: f64) -> bool {
        let [_, low, _, high] = nearness::widened([at.lon_e7(), at.lat_e7(), at.lon_e7(), at.lat_e7()], margin_m);
        let [_, south, _, north] = self.bounds;
        if low > north || high < south {
            return false;
        }
        let slab = |y: i32| ((i64::from(y.clamp(south, north)) - i64::from(south)) >> self.shift) as usize;
        let edges = &self.edges[self.starts[slab(low)] as usize..self.starts[slab(high) + 1] as usize];
        let degrees = |x: i32, y: i32| (f64::from(x) / 1e7, f64::from(y) / 1e7);
        let place = (at.lon_deg(), at.lat_deg());
        edges.iter().any(|&[ax, ay, bx, by]| nearness::to_edge_m(place, degrees(ax, ay), degrees(bx, by)) <= margin_m)
    }
}

/// Smallest and largest radius of curvature of WGS84 (meridian at the equator; at the poles), metres. A geodesic is as much
/// shorter or longer than the great circle of the mean sphere at most.
const LEAST_CURVATURE_RADIUS_M: f64 = 6_335_439.3;
const MOST_CURVATURE_RADIUS_M: f64 = 6_399_593.7;

fn circle_covers(centre: LatLon, radius_m: f64, at: LatLon) -> bool {
    let sphere_m = haversine_m(centre, at);
    if sphere_m * (MOST_CURVATURE_RADIUS_M / MEAN_EARTH_RADIUS_M) <= radius_m {
        return true;
    }
    if sphere_m * (LEAST_CURVATURE_RADIUS_M / MEAN_EARTH_RADIUS_M) > radius_m {
        return false;
    }
    let point = |at: LatLon| Point::new(at.lon_deg(), at.lat_deg());
    Geodesic.distance(point(centre), point(at)) <= radius_m
}

/// One box round a circle, or two if it reaches over ±180.
fn circle_bounds(centre: LatLon, radius_m: f64) -> Vec<Bounds> {
    // Angular radius on the sphere, rounded up by a millionth and 1e-7 degree for the arithmetic below.
    let angle = (radius_m / LEAST_CURVATURE_RADIUS_M * 1.000_001).min(std::f64::consts::PI);
    let e7 = |degrees: f64| (degrees * 1e7).ceil() as i64 + 1;
    let (lat, lon) = (i64::from(centre.lat_e7()), i64::from(centre.lon_e7()));
    let reach = e7(angle.to_degrees());
    let (south, north) = ((lat - reach).max(-900_000_000) as i32, (lat + reach).min(900_000_000) as i32);
    if lat.abs() + reach >= 900_000_000 {
        return vec![[-1_800_000_000, south, 1_800_000_000, north]];
    }
    let reach = e7((angle.sin() / centre.lat_deg().to_radians().cos()).min(1.0).asin().to_degrees());
    nearness::on_the_map((lon - reach, lon + reach), (south, north))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::geofence::validate::{Checks, circle, polygons};

    fn prepared(shape: Shape) -> PreparedGeofence {
        PreparedGeofence::new(&Geofence {
            id: "fence".parse().expect("id"),
            organisation: "org".parse().expect("id"),
            fleet: None,
            group: None,
            name: String::new(),
            version: 1,
            shape,
            colour: None,
            rules: FenceRules::default(),
        })
    }

    fn at(lon: f64, lat: f64) -> LatLon {
        LatLon::new(lat, lon).expect("place")
    }

    type Rings = Vec<Vec<(f64, f64)>>;

    /// The cases of `cases.txt` of the shared geofence workload for which it wants an answer.
    #[test]
    fn edges_vertices_holes_and_the_ends_of_the_world() {
        let square = vec![vec![(0.0, 0.0), (2.0, 0.0), (2.0, 2.0), (0.0, 2.0), (0.0, 0.0)]];
        let diamond = vec![vec![(0.0, -1.0), (1.0, 0.0), (0.0, 1.0), (-1.0, 0.0)]];
        let steps = vec![vec![(0.0, 0.0), (3.0, 0.0), (3.0, 1.0), (2.0, 1.0), (2.0, 2.0), (0.0, 2.0)]];
        let triangle = vec![vec![(0.0, 0.0), (2.0, 0.0), (1.0, 1.0)]];
        let clockwise = vec![square[0].iter().rev().copied().collect()];
        let holed =
            vec![vec![(0.0, 0.0), (4.0, 0.0), (4.0, 4.0), (0.0, 4.0)], vec![(1.0, 1.0), (3.0, 1.0), (3.0, 3.0), (1.0, 3.0)]];
        let right = vec![vec![(2.0, 0.0), (4.0, 0.0), (4.0, 2.0), (2.0, 2.0)]];
        let far = vec![vec![(5.0, 0.0), (6.0, 0.0), (6.0, 2.0), (5.0, 2.0)]];
        let box_of = |w: f64, s: f64, e: f64, n: f64| vec![vec![(w, s), (e, s), (e, n), (w, n), (w, s)]];
        let jumping = box_of(179.0, -1.0, -179.0, 1.0);
        let beyond = box_of(179.0, -1.0, 181.0, 1.0);
        let east = box_of(179.0, -1.0, 180.0, 1.0);
        let west = box_of(-180.0, -1.0, -179.0, 1.0);
        let cap = box_of(-180.0, 80.0, 180.0, 90.0);
        let polar = vec![vec![(-180.0, 80.0), (-90.0, 80.0), (0.0, 80.0), (90.0, 80.0)]];
        let bow_tie = vec![vec![(0.0, 0.0), (2.0, 2.0), (2.0, 0.0), (0.0, 2.0)]];
        let line = vec![vec![(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]];
        let spike = vec![vec![(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (4.0, 1.0), (2.0, 1.0), (2.0, 2.0), (0.0, 2.0)]];
        let repeated = vec![vec![(0.0, 0.0), (2.0, 0.0), (2.0, 0.0), (2.0, 2.0), (2.0, 2.0), (0.0, 2.0)]];
        let cases: &[(&str, &[&Rings], LatLon, bool)] = &[
            ("interior", &[&square], at(1.0, 1.0), true),
            ("on edge", &[&square], at(2.0, 1.0), true),
            ("on horizontal edge", &[&square], at(1.0, 2.0), true),
            ("on vertex", &[&square], at(2.0, 2.0), true),
            ("1e-7 outside edge", &[&square], at(2.0000001, 1.0), false),
            ("ray through 2 vertices, outside", &[&diamond], at(-2.0, 0.0), false),
            ("ray through vertex, inside", &[&diamond], at(0.0, 0.0), true),
            ("ray along edge, outside", &[&steps], at(-1.0, 1.0), false),
            ("on slanted edge", &[&triangle], at(1.5, 0.5), true),
            ("clockwise ring", &[&clockwise], at(1.0, 1.0), true),
            ("in hole", &[&holed], at(2.0, 2.0), false),
            ("on hole edge", &[&holed], at(1.0, 2.0), true),
            ("on hole vertex", &[&holed], at(1.0, 1.0), true),
            ("beside hole", &[&holed], at(0.5, 2.0), true),
            ("multi: second part", &[&square, &far], at(5.5, 1.0), true),
            ("multi: between", &[&square, &far], at(4.5, 1.0), false),
            ("multi: on shared edge", &[&square, &right], at(2.0, 1.0), true),
            ("antimeridian naive, at 179.5", &[&jumping], at(179.5, 0.0), true),
            ("antimeridian naive, at 0", &[&jumping], at(0.0, 0.0), false),
            ("unwrapped, at 179.5", &[&beyond], at(179.5, 0.0), true),
            ("unwrapped, at -179.5", &[&beyond], at(-179.5, 0.0), true),
            ("split in two, at -179.5", &[&east, &west], at(-179.5, 0.0), true),
            ("split in two, at 180", &[&east, &west], at(180.0, 0.0), true),
            ("split in two, at -180", &[&east, &west], at(-180.0, 0.0), true),
            ("pole cap closed along 90N, at 89N", &[&cap], at(12.0, 89.0), true),
            ("pole cap, at the pole", &[&cap], at(12.0, 90.0), true),
            ("pole ring not closed over pole, at 89N", &[&polar], at(12.0, 89.0), true),
            ("bow-tie, right lobe", &[&bow_tie], at(1.9, 1.0), true),
            ("bow-tie, crossing point", &[&bow_tie], at(1.0, 1.0), true),
            ("zero area line, off it", &[&line], at(1.0, 0.5), false),
            ("inside, spike ring", &[&spike], at(1.0, 1.0), true),
            ("duplicate vertices", &[&repeated], at(1.0, 1.0), true),
        ];
        for (name, rings, place, wanted) in cases {
            let rings: Vec<Rings> = rings.iter().map(|r| (*r).clone()).collect();
            let fence = prepared(polygons(&rings, Checks::EvenOdd).expect(name));
            assert_eq!(fence.covers(*place), *wanted, "{name}");
        }
    }

    #[test]
    fn the_widest_edges_are_exact() {
        // From corner to corner of the world: places one unit beside the diagonal.
        let fence = prepared(
            polygons(&[vec![vec![(-180.0, -90.0), (0.0, -90.0), (180.0, 90.0), (0.0, 90.0)]]], Checks::Strict).expect("fine"),
        );
        for (lon_e7, wanted) in [(900_000_000, true), (899_999_999, true), (900_000_001, false)] {
            assert_eq!(fence.covers(LatLon::from_e7(0, lon_e7).expect("place")), wanted, "{lon_e7}");
        }
    }

    #[test]
    fn a_corridor_holds_what_is_near_its_line_also_across_180() {
        use crate::geofence::validate::corridor;
        let road = prepared(corridor(&[(10.0, 50.0), (10.0, 51.0), (11.0, 51.0)], 2_000.0).expect("fine"));
        // 0.01° of latitude are 1,112 m; of longitude at 50.5° 707 m, at 51° 700 m.
        for (lon, lat, wanted) in [
            (10.0, 50.5, true),
            (10.0141, 50.5, true),
            (10.0142, 50.5, false),
            (9.9859, 50.5, true),
            (10.0, 49.9911, true),
            (10.0, 49.9909, false),
            (10.5, 51.0089, true),
            (10.5, 51.0091, false),
            (10.5, 50.5, false),
        ] {
            let place = at(lon, lat);
            assert_eq!(road.covers(place), wanted, "{lon} {lat}");
            let boxed = |[w, s, e, n]: Bounds| (w..=e).contains(&place.lon_e7()) && (s..=n).contains(&place.lat_e7());
            assert!(!wanted || road.bounds().any(boxed), "{lon} {lat}");
        }
        let sea_lane = prepared(corridor(&[(179.0, 0.0), (-179.0, 0.0)], 20_000.0).expect("fine"));
        for (lon, lat, wanted) in
            [(179.5, 0.05, true), (-179.5, 0.05, true), (180.0, -0.05, true), (-178.5, 0.0, false), (0.0, 0.0, false)]
        {
            let place = at(lon, lat);
            let boxed = |[w, s, e, n]: Bounds| (w..=e).contains(&place.lon_e7()) && (s..=n).contains(&place.lat_e7());
            assert_eq!(sea_lane.covers(place) && sea_lane.bounds().any(boxed), wanted, "{lon} {lat}");
        }
    }

    #[test]
    fn the_margin_reaches_as_far_as_it_says() {
        let rules = FenceRules { exit_margin_m: 100.0, ..FenceRules::default() };
        let with = |shape| PreparedGeofence { rules: rules.clone(), ..prepared(shape) };
        let square =
            with(polygons(&[vec![vec![(10.0, 0.0), (11.0, 0.0), (11.0, 1.0), (10.0, 1.0)]]], Checks::Strict).expect("fine"));
        let round = with(circle(at(10.0, 0.0), 1_000.0).expect("fine"));
        // 0.0009° are 100 m.
        for (fence, lon, lat, wanted) in [
            (&square, 11.0008, 0.5, true),
            (&square, 11.001, 0.5, false),
            (&square, 10.5, 1.0008, true),
            (&square, 10.5, 1.001, false),
            (&square, 10.5, -0.0008, true),
            (&square, 11.0008, 1.0008, false),
            (&round, 10.0098, 0.0, true),
            (&round, 10.01, 0.0, false),
        ] {
            let place = at(lon, lat);
            assert!(!fence.covers(place));
            assert_eq!(fence.part_is_near(0, place, 100.0), wanted, "{lon} {lat}");
            let boxed = |[w, s, e, n]: Bounds| (w..=e).contains(&place.lon_e7()) && (s..=n).contains(&place.lat_e7());
            assert!(!wanted || fence.bounds().any(boxed), "{lon} {lat}");
        }
    }

    #[test]
    fn a_circle_is_geodesic_and_crosses_180_and_poles() {
        for (centre, radius_m) in [
            (at(9.0, 48.0), 200.0),
            (at(179.999, 0.0), 5_000.0),
            (at(-180.0, 60.0), 50_000.0),
            (at(20.0, 89.9), 50_000.0),
            (at(0.0, -90.0), 1_000_000.0),
        ] {
            let fence = prepared(circle(centre, radius_m).expect("fine"));
            for bearing in 0..72 {
                let point = Point::new(centre.lon_deg(), centre.lat_deg());
                let probe = |factor: f64| {
                    use geo::Destination;
                    let p = Geodesic.destination(point, f64::from(bearing) * 5.0, radius_m * factor);
                    let place = LatLon::new(p.y(), p.x()).expect("place");
                    let boxed = fence
                        .bounds()
                        .any(|[w, s, e, n]| (w..=e).contains(&place.lon_e7()) && (s..=n).contains(&place.lat_e7()));
                    boxed && fence.covers(place)
                };
                assert!(probe(0.999), "{centre:?} {radius_m} {bearing}");
                assert!(!probe(1.001), "{centre:?} {radius_m} {bearing}");
            }
        }
    }
}
