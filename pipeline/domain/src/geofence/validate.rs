//! The door for areas: what is wrong with one and where, or the area ready to use.

use super::crossings::first_crossing;
use super::rings::{self, Ring};
use super::{Polygon, Shape};
use crate::LatLon;
use std::fmt;

/// Half a great circle of the WGS84 mean sphere, metres: nothing is farther away.
pub const MAX_RADIUS_M: f64 = 20_003_931.0;

/// Widest corridor, metres.
pub const MAX_WIDTH_M: f64 = 100_000.0;

/// Most vertices of one geofence.
pub const MAX_VERTICES: usize = 100_000;

/// How strict the door is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checks {
    /// For what people save: an area whose inside is not certain (it crosses itself, has no area) is refused.
    #[default]
    Strict,
    /// For published data sets, which have such rings here and there: inside is then decided by the even-odd rule.
    EvenOdd,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Reason {
    /// Beyond ±90 / ±360, or not a number.
    #[error("{lon},{lat} (longitude, latitude) is not a place on Earth")]
    OutOfRange {
        /// Degrees.
        lon: f64,
        /// Degrees.
        lat: f64,
    },
    /// Nothing there.
    #[error("there is no ring")]
    Empty,
    /// Fewer than three different vertices.
    #[error("a ring needs at least three different vertices")]
    TooFewVertices,
    /// A line there and back.
    #[error("the ring encloses no area")]
    ZeroArea,
    /// Inside and outside can't be told.
    #[error("the outline crosses or runs over itself at {lon},{lat} (longitude, latitude)")]
    SelfIntersection {
        /// Degrees.
        lon: f64,
        /// Degrees.
        lat: f64,
    },
    /// A hole that is no hole.
    #[error("the hole lies outside of its polygon")]
    HoleOutside,
    /// A spiral round a pole.
    #[error("the ring goes round the Earth more than once")]
    RoundTheEarth,
    /// See [`MAX_VERTICES`].
    #[error("{0} vertices are more than the {MAX_VERTICES} allowed")]
    TooManyVertices(usize),
    /// See [`MAX_RADIUS_M`].
    #[error("a radius of {0} m is not between 0 and {MAX_RADIUS_M} m")]
    Radius(f64),
    /// A corridor without a length.
    #[error("a line needs at least two different places")]
    ShortLine,
    /// See [`MAX_WIDTH_M`].
    #[error("a width of {0} m is not between 0 and {MAX_WIDTH_M} m")]
    Width(f64),
}

/// What is wrong with an area, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct Flaw {
    /// Index of the polygon.
    pub polygon: Option<usize>,
    /// Index of the ring in its polygon, 0 is the outer one.
    pub ring: Option<usize>,
    /// Index of the vertex in its ring.
    pub vertex: Option<usize>,
    /// What.
    pub reason: Reason,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, index) in [("polygon", self.polygon), ("ring", self.ring), ("vertex", self.vertex)] {
            if let Some(index) = index {
                write!(f, "{what} {index}, ")?;
            }
        }
        write!(f, "{}", self.reason)
    }
}

impl std::error::Error for Flaw {}

impl Flaw {
    fn of(reason: Reason) -> Self {
        Self { polygon: None, ring: None, vertex: None, reason }
    }
}

/// A circle, checked.
pub fn circle(centre: LatLon, radius_m: f64) -> Result<Shape, Flaw> {
    // NaN fails both comparisons.
    if !(radius_m > 0.0 && radius_m <= MAX_RADIUS_M) {
        return Err(Flaw::of(Reason::Radius(radius_m)));
    }
    Ok(Shape::Circle { centre, radius_m })
}

/// A corridor along a line of `(longitude, latitude)` in degrees, checked. Repeated places are dropped.
pub fn corridor(line: &[(f64, f64)], width_m: f64) -> Result<Shape, Flaw> {
    if !(width_m > 0.0 && width_m <= MAX_WIDTH_M) {
        return Err(Flaw::of(Reason::Width(width_m)));
    }
    if line.len() > MAX_VERTICES {
        return Err(Flaw::of(Reason::TooManyVertices(line.len())));
    }
    let mut places = Vec::with_capacity(line.len());
    for (i, &(lon, lat)) in line.iter().enumerate() {
        let flaw = || Flaw { vertex: Some(i), ..Flaw::of(Reason::OutOfRange { lon, lat }) };
        places.push(LatLon::new(lat, lon).ok_or_else(flaw)?);
    }
    places.dedup();
    if places.len() < 2 {
        return Err(Flaw::of(Reason::ShortLine));
    }
    Ok(Shape::Corridor { line: places, width_m })
}

/// Polygons of rings of `(longitude, latitude)` in degrees, outer rings first, closed or not, wound either way.
///
/// Repeated vertices are dropped; rings that jump over ±180 or reach beyond are cut there; rings round a pole are closed over it.
pub fn polygons(polygons: &[Vec<Vec<(f64, f64)>>], checks: Checks) -> Result<Shape, Flaw> {
    let vertices = polygons.iter().flatten().map(Vec::len).sum();
    if vertices > MAX_VERTICES && checks == Checks::Strict {
        return Err(Flaw::of(Reason::TooManyVertices(vertices)));
    }
    let mut out = Vec::new();
    for (i, rings) in polygons.iter().enumerate() {
        let mut planar = polygon(rings, checks).map_err(|flaw| Flaw { polygon: Some(i), ..flaw })?;
        out.append(&mut planar);
    }
    if out.is_empty() {
        return Err(Flaw::of(Reason::Empty));
    }
    Ok(Shape::Polygons { polygons: out })
}

fn polygon(degrees: &[Vec<(f64, f64)>], checks: Checks) -> Result<Vec<Polygon>, Flaw> {
    if degrees.is_empty() {
        return Err(Flaw::of(Reason::Empty));
    }
    let mut rings: Vec<Ring> = Vec::with_capacity(degrees.len());
    for (i, ring) in degrees.iter().enumerate() {
        rings.push(check_ring(ring, checks).map_err(|flaw| Flaw { ring: Some(i), ..flaw })?);
    }
    rings::align(&mut rings);
    let first = rings[0][0];
    if let Some(outer) = rings.iter().skip(1).position(|ring| rings::encloses(ring, first)) {
        // Named in the wrong order: what encloses the others is the outer ring.
        rings.swap(0, outer + 1);
        rings::align(&mut rings);
    }
    if checks == Checks::Strict {
        check_together(&rings)?;
    }
    let parts = rings::split(rings);
    Ok(parts.into_iter().filter_map(|rings| to_polygon(rings, checks)).collect())
}

/// One ring: in range, without repeats, unrolled.
fn check_ring(degrees: &[(f64, f64)], checks: Checks) -> Result<Ring, Flaw> {
    let mut ring: Ring = Vec::with_capacity(degrees.len());
    for (i, &(lon, lat)) in degrees.iter().enumerate() {
        // NaN fails both comparisons.
        if !(lon.abs() <= 360.0 && lat.abs() <= 90.0) {
            return Err(Flaw { vertex: Some(i), ..Flaw::of(Reason::OutOfRange { lon, lat }) });
        }
        ring.push(((lon * 1e7).round() as i64, (lat * 1e7).round() as i64));
    }
    ring.dedup();
    while ring.len() > 1 && ring.first() == ring.last() {
        ring.pop();
    }
    if ring.is_empty() || (checks == Checks::Strict && ring.len() < 3) {
        return Err(Flaw::of(Reason::TooFewVertices));
    }
    let ring = rings::unroll(&ring).ok_or(Flaw::of(Reason::RoundTheEarth))?;
    if checks == Checks::Strict && rings::is_line(&ring) {
        return Err(Flaw::of(Reason::ZeroArea));
    }
    Ok(ring)
}

/// The rings of one polygon against each other; before they are cut, which is no crossing.
fn check_together(rings: &[Ring]) -> Result<(), Flaw> {
    if let Some(crossing) = first_crossing(rings) {
        let (lon, lat) = crossing.at;
        let flaw = Flaw::of(Reason::SelfIntersection { lon: if lon > 180.0 { lon - 360.0 } else { lon }, lat });
        return Err(Flaw { ring: Some(crossing.ring), vertex: Some(crossing.vertex), ..flaw });
    }
    for (i, hole) in rings.iter().enumerate().skip(1) {
        // Without crossings one vertex off the outline decides.
        if !hole.iter().any(|v| rings::encloses(&rings[0], *v)) {
            return Err(Flaw { ring: Some(i), ..Flaw::of(Reason::HoleOutside) });
        }
    }
    Ok(())
}

/// Back to places, closed. `None` for a sliver that rounding has left at ±180.
fn to_polygon(rings: Vec<Ring>, checks: Checks) -> Option<Polygon> {
    let keep = |ring: &Ring| checks == Checks::EvenOdd || !rings::is_line(ring);
    if !keep(&rings[0]) {
        return None;
    }
    let place = |v: &(i64, i64)| LatLon::from_e7(i32::try_from(v.1).ok()?, i32::try_from(v.0).ok()?);
    let closed = |ring: &Ring| ring.iter().chain(ring.first()).map(place).collect::<Option<Vec<_>>>();
    Some(Polygon { rings: rings.iter().filter(|r| keep(r)).filter_map(closed).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn square(west: f64, south: f64, east: f64, north: f64) -> Vec<(f64, f64)> {
        vec![(west, south), (east, south), (east, north), (west, north), (west, south)]
    }

    fn check(rings: &[Vec<(f64, f64)>]) -> Result<usize, String> {
        match polygons(&[rings.to_vec()], Checks::Strict) {
            Ok(Shape::Polygons { polygons }) => Ok(polygons.len()),
            Ok(other) => panic!("{other:?}"),
            Err(flaw) => Err(flaw.to_string()),
        }
    }

    #[test]
    fn a_flaw_is_named_with_its_place() {
        assert_eq!(check(&[square(0.0, 0.0, 1.0, 1.0)]), Ok(1));
        for (rings, message) in [
            (vec![], "polygon 0, there is no ring"),
            (vec![vec![(0.0, 0.0), (1.0, 1.0)]], "polygon 0, ring 0, a ring needs at least three different vertices"),
            (vec![vec![(0.0, 0.0), (1.0, 1.0), (2.0, 2.0)]], "polygon 0, ring 0, the ring encloses no area"),
            (
                vec![vec![(0.0, 0.0), (1.0, 91.0), (2.0, 2.0)]],
                "polygon 0, ring 0, vertex 1, 1,91 (longitude, latitude) is not a place on Earth",
            ),
            (
                vec![vec![(0.0, 0.0), (1.0, 1.0), (1.0, 0.0), (0.0, 1.0)]],
                "polygon 0, ring 0, vertex 0, the outline crosses or runs over itself at 0.5,0.5 (longitude, latitude)",
            ),
            (
                vec![square(0.0, 0.0, 4.0, 4.0), square(5.0, 5.0, 6.0, 6.0)],
                "polygon 0, ring 1, the hole lies outside of its polygon",
            ),
        ] {
            assert_eq!(check(&rings), Err(message.to_owned()));
        }
        assert!(circle(LatLon::new(0.0, 0.0).expect("place"), f64::NAN).is_err());
        let line = |places: &[(f64, f64)], width_m| corridor(places, width_m).map_err(|flaw| flaw.to_string());
        assert!(line(&[(0.0, 0.0), (1.0, 1.0)], 50.0).is_ok());
        assert_eq!(line(&[(0.0, 0.0), (0.0, 0.0)], 50.0), Err("a line needs at least two different places".into()));
        assert_eq!(
            line(&[(0.0, 0.0), (0.0, 91.0)], 50.0),
            Err("vertex 1, 0,91 (longitude, latitude) is not a place on Earth".into())
        );
        assert!(line(&[(0.0, 0.0), (1.0, 1.0)], 0.0).is_err());
    }

    #[test]
    fn unclosed_repeated_and_clockwise_are_put_right() {
        let tidy = polygons(&[vec![square(0.0, 0.0, 1.0, 1.0)]], Checks::Strict);
        let sloppy = vec![(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (1.0, 1.0), (0.0, 1.0)];
        assert_eq!(polygons(&[vec![sloppy]], Checks::Strict), tidy);
        let mut clockwise = square(0.0, 0.0, 1.0, 1.0);
        clockwise.reverse();
        assert_eq!(check(&[clockwise]), Ok(1));
    }

    #[test]
    fn an_area_across_180_is_cut_there_however_it_was_drawn() {
        let jumping = polygons(&[vec![square(179.0, 0.0, -179.0, 1.0)]], Checks::Strict).expect("fine");
        let beyond = polygons(&[vec![square(179.0, 0.0, 181.0, 1.0)]], Checks::Strict).expect("fine");
        assert_eq!(jumping, beyond);
        assert!(matches!(jumping, Shape::Polygons { polygons } if polygons.len() == 2));
    }
}
