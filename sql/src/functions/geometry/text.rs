//! Geometries as text: well-known text (OGC Simple Features) in and out, GeoJSON in. Two coordinates; what is empty is no geometry.

use geo::{Coord, Geometry, Intersects, Line, LineString, MultiLineString, MultiPoint, MultiPolygon, Point, Polygon};
use serde_json::Value;
use std::fmt::Write;

/// No coordinate is larger: what is worked out of them stays finite.
const MOST: f64 = 1e9;

/// No geometry has more places: what is worked out of two grows with the product.
const MOST_PLACES: usize = 5_000;

/// Names in well-known text and GeoJSON, and how deep the lists of places lie in each other.
const KINDS: [(&str, usize); 6] =
    [("Point", 0), ("LineString", 1), ("Polygon", 2), ("MultiPoint", 1), ("MultiLineString", 2), ("MultiPolygon", 3)];

/// Places, or lists of them.
enum Nested {
    Place(Coord),
    List(Vec<Nested>),
}

/// A valid geometry; `None` if the text is none.
pub(super) fn from_wkt(text: &str) -> Option<Geometry> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_alphabetic())?;
    let (word, rest) = text.split_at(end);
    let (kind, depth) = *KINDS.iter().find(|(kind, _)| kind.eq_ignore_ascii_case(word))?;
    let mut reader = Reader { rest, bracketed: kind == "Point" || kind == "MultiPoint" };
    let nested = reader.nested(depth)?;
    if reader.rest.trim().is_empty() { build(kind, nested) } else { None }
}

/// A valid geometry; `None` if the text is no GeoJSON geometry. A third coordinate is left out.
pub(super) fn from_geojson(text: &str) -> Option<Geometry> {
    let value: Value = serde_json::from_str(text).ok()?;
    let name = value.get("type")?.as_str()?;
    let (kind, depth) = *KINDS.iter().find(|(kind, _)| *kind == name)?;
    build(kind, nested(value.get("coordinates")?, depth)?)
}

/// Writes a place as well-known text.
pub(super) fn point(x: f64, y: f64, into: &mut String) -> Option<()> {
    write!(into, "POINT({})", place(&coord(x, y)?)).ok()
}

/// Well-known text as PostGIS writes it.
pub(super) fn to_wkt(geometry: &Geometry) -> Option<String> {
    Some(match geometry {
        Geometry::Point(at) => format!("POINT({})", place(&at.0)),
        Geometry::LineString(one) => format!("LINESTRING{}", line(one)),
        Geometry::Polygon(one) => format!("POLYGON{}", polygon(one)),
        Geometry::MultiPoint(all) => format!("MULTIPOINT{}", listed(all.0.iter().map(|at| format!("({})", place(&at.0))))),
        Geometry::MultiLineString(all) => format!("MULTILINESTRING{}", listed(all.0.iter().map(line))),
        Geometry::MultiPolygon(all) => format!("MULTIPOLYGON{}", listed(all.0.iter().map(polygon))),
        _ => return None,
    })
}

fn place(at: &Coord) -> String {
    format!("{} {}", at.x, at.y)
}

fn line(line: &LineString) -> String {
    listed(line.0.iter().map(place))
}

fn polygon(polygon: &Polygon) -> String {
    listed(std::iter::once(polygon.exterior()).chain(polygon.interiors()).map(line))
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    format!("({})", parts.collect::<Vec<_>>().join(","))
}

fn coord(x: f64, y: f64) -> Option<Coord> {
    // NaN fails both comparisons.
    (x.abs() <= MOST && y.abs() <= MOST).then_some(Coord { x, y })
}

struct Reader<'a> {
    rest: &'a str,
    /// Places may stand in brackets of their own.
    bracketed: bool,
}

impl Reader<'_> {
    fn nested(&mut self, depth: usize) -> Option<Nested> {
        if depth == 0 {
            let bracketed = self.bracketed && self.take('(').is_some();
            let place = self.place()?;
            if bracketed {
                self.take(')')?;
            }
            return Some(Nested::Place(place));
        }
        self.take('(')?;
        let mut members = Vec::new();
        loop {
            members.push(self.nested(depth - 1)?);
            if self.take(',').is_none() {
                self.take(')')?;
                return Some(Nested::List(members));
            }
        }
    }

    fn take(&mut self, wanted: char) -> Option<()> {
        self.rest = self.rest.trim_start().strip_prefix(wanted)?;
        Some(())
    }

    fn place(&mut self) -> Option<Coord> {
        let (text, rest) = self.rest.split_at(self.rest.find([',', ')', '('])?);
        self.rest = rest;
        let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().ok());
        let (x, y) = (numbers.next()??, numbers.next()??);
        if numbers.next().is_some() { None } else { coord(x, y) }
    }
}

fn nested(value: &Value, depth: usize) -> Option<Nested> {
    let members = value.as_array()?;
    if depth == 0 {
        return Some(Nested::Place(coord(members.first()?.as_f64()?, members.get(1)?.as_f64()?)?));
    }
    members.iter().map(|member| nested(member, depth - 1)).collect::<Option<_>>().map(Nested::List)
}

impl Nested {
    fn places(&self) -> usize {
        match self {
            Self::Place(_) => 1,
            Self::List(members) => members.iter().map(Self::places).sum(),
        }
    }
}

fn build(kind: &str, nested: Nested) -> Option<Geometry> {
    if nested.places() > MOST_PLACES {
        return None;
    }
    Some(match kind {
        "Point" => Geometry::Point(one_point(nested)?),
        "LineString" => Geometry::LineString(one_line(nested)?),
        "Polygon" => Geometry::Polygon(one_polygon(nested)?),
        "MultiPoint" => Geometry::MultiPoint(MultiPoint(members(nested, one_point)?)),
        "MultiLineString" => Geometry::MultiLineString(MultiLineString(members(nested, one_line)?)),
        _ => Geometry::MultiPolygon(MultiPolygon(members(nested, one_polygon)?)),
    })
}

fn members<T>(nested: Nested, one: fn(Nested) -> Option<T>) -> Option<Vec<T>> {
    match nested {
        Nested::List(all) if !all.is_empty() => all.into_iter().map(one).collect(),
        _ => None,
    }
}

fn one_place(nested: Nested) -> Option<Coord> {
    match nested {
        Nested::Place(at) => Some(at),
        Nested::List(_) => None,
    }
}

fn one_point(nested: Nested) -> Option<Point> {
    one_place(nested).map(Point)
}

fn one_line(nested: Nested) -> Option<LineString> {
    let places = members(nested, one_place)?;
    places.iter().any(|place| *place != places[0]).then_some(LineString(places))
}

fn one_ring(nested: Nested) -> Option<LineString> {
    one_line(nested).filter(|ring| ring.0.first() == ring.0.last() && is_simple(ring))
}

/// Whether a closed line neither crosses nor touches itself.
fn is_simple(ring: &LineString) -> bool {
    let mut places = ring.0.clone();
    places.dedup();
    let edges: Vec<Line> = places.windows(2).map(|ends| Line::new(ends[0], ends[1])).collect();
    if edges.len() < 3 {
        return false;
    }
    let west = |i: usize| edges[i].start.x.min(edges[i].end.x);
    let east = |i: usize| edges[i].start.x.max(edges[i].end.x);
    let mut order: Vec<usize> = (0..edges.len()).collect();
    order.sort_by(|i, j| west(*i).total_cmp(&west(*j)));
    // Of two edges that follow each other neither may come back over the other.
    let comes_back = |a: &Line, b: &Line| a.intersects(&b.end) || b.intersects(&a.start);
    let touch = |i: usize, j: usize| match (&edges[i], &edges[j]) {
        (a, b) if (i + 1) % edges.len() == j => comes_back(a, b),
        (a, b) if (j + 1) % edges.len() == i => comes_back(b, a),
        (a, b) => a.intersects(b),
    };
    order.iter().enumerate().all(|(n, i)| {
        let mut beside = order[n + 1..].iter().take_while(|j| west(**j) <= east(*i));
        !beside.any(|j| touch(*i, *j))
    })
}

fn one_polygon(nested: Nested) -> Option<Polygon> {
    let mut rings = members(nested, one_ring)?.into_iter();
    Some(Polygon::new(rings.next()?, rings.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_valid_comes_back_as_postgis_writes_it_and_all_else_is_nothing() {
        for (text, wanted) in [
            ("POINT(1 2.50)", Some("POINT(1 2.5)")),
            (" point ( -1e1 2 ) ", Some("POINT(-10 2)")),
            ("MULTIPOINT(1 2, (3 4))", Some("MULTIPOINT((1 2),(3 4))")),
            ("LineString(0 0,1 1)", Some("LINESTRING(0 0,1 1)")),
            ("POLYGON((0 0, 9 0, 9 9, 0 0), (5 1, 6 1, 6 2, 5 1))", Some("POLYGON((0 0,9 0,9 9,0 0),(5 1,6 1,6 2,5 1))")),
            ("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))", Some("MULTIPOLYGON(((0 0,1 0,1 1,0 0)))")),
            ("MULTILINESTRING((0 0,1 1),(2 2,3 3))", Some("MULTILINESTRING((0 0,1 1),(2 2,3 3))")),
            ("", None),
            ("POINT", None),
            ("POINT EMPTY", None),
            ("POINT(1)", None),
            ("POINT(1 2 3)", None),
            ("POINT(NaN 0)", None),
            ("POINT(0 1e300)", None),
            ("POINT(1 2) x", None),
            ("LINESTRING(1 1)", None),
            ("LINESTRING((0 0),(1 1))", None),
            ("POLYGON((0 0,1 0,1 1))", None),
            ("POLYGON((0 0,1 1,1 0,0 1,0 0))", None),
            ("POLYGON((0 0,2 0,1 0,1 1,0 0))", None),
            ("POLYGON((0 0,1 0,2 0,0 0))", None),
            ("POLYGON((0 0,4 0,4 4,2 0,0 4,0 0))", None),
            ("POLYGON((0 0,0 0,4 0,4 0,4 4,0 0))", Some("POLYGON((0 0,0 0,4 0,4 0,4 4,0 0))")),
            ("CIRCLE(0 0)", None),
        ] {
            let found = from_wkt(text).and_then(|geometry| to_wkt(&geometry));
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
        for (text, wanted) in [
            (r#"{"type":"Point","coordinates":[1,2,3]}"#, Some("POINT(1 2)")),
            (r#"{"type":"Polygon","coordinates":[[[0,0],[1,0],[1,1],[0,0]]]}"#, Some("POLYGON((0 0,1 0,1 1,0 0))")),
            (r#"{"type":"Polygon","coordinates":[[0,0],[1,0]]}"#, None),
            (r#"{"type":"POINT","coordinates":[1,2]}"#, None),
            (r#"{"type":"MultiPoint","coordinates":[]}"#, None),
            ("[1,2]", None),
            ("{", None),
        ] {
            let found = from_geojson(text).and_then(|geometry| to_wkt(&geometry));
            assert_eq!(found.as_deref(), wanted, "{text}");
        }
    }
}
