//! Functions under PostGIS' names, over well-known text: planar, like those of its type `geometry`. In degrees they give degrees.

mod text;

use super::scalar;
use datafusion::arrow::array::{Array, AsArray, BooleanArray, Float64Array, StringArray, StringViewArray};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{ColumnarValue, ScalarUDF};
use geo::{Area, Contains, CoordsIter, Distance, Euclidean, Geometry, Intersects, Length, Relate};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// All of them.
pub(super) fn all() -> Vec<ScalarUDF> {
    vec![
        scalar::text("st_point", |[x, y], into| text::point(x, y, into)),
        number("st_x", |geometry| x_and_y(geometry).map(|(x, _)| x)),
        number("st_y", |geometry| x_and_y(geometry).map(|(_, y)| y)),
        well_known("st_geomfromtext", text::from_wkt),
        well_known("st_geomfromgeojson", text::from_geojson),
        well_known("st_astext", text::from_wkt),
        relation("st_within", |a, b| contains(b, a)),
        relation("st_contains", contains),
        relation("st_intersects", intersects),
        scalar::lazy("st_distance", &[DataType::Utf8View, DataType::Utf8View], DataType::Float64, |arguments, rows| {
            Ok(Arc::new(Float64Array::from(pairs(arguments, rows, |_, a, b| distance(a, b))?)))
        }),
        scalar::lazy(
            "st_dwithin",
            &[DataType::Utf8View, DataType::Utf8View, DataType::Float64],
            DataType::Boolean,
            |arguments, rows| {
                let most = arguments[2].to_array(rows)?;
                let most = most.as_primitive::<Float64Type>();
                let near = |row: usize, a: &Geometry, b: &Geometry| {
                    // Of what is no number nobody can say whether it is more.
                    let most = (most.is_valid(row) && !most.value(row).is_nan()).then(|| most.value(row))?;
                    Some(distance(a, b)? <= most)
                };
                Ok(Arc::new(BooleanArray::from(pairs(arguments, rows, near)?)))
            },
        ),
        number("st_length", |geometry| Some(length(geometry))),
        number("st_area", |geometry| Some(geometry.unsigned_area())),
    ]
}

fn x_and_y(geometry: &Geometry) -> Option<(f64, f64)> {
    match geometry {
        Geometry::Point(at) => Some((at.x(), at.y())),
        _ => None,
    }
}

/// Edges of one geometry times edges of the other.
const MOST_CROSSINGS: usize = 4_000_000;

/// No point of the second is outside the first, and one is inside, not only on its boundary.
fn contains(a: &Geometry, b: &Geometry) -> Option<bool> {
    match (a, b) {
        // What is asked most, without working out where all edges of both meet.
        (Geometry::Polygon(_) | Geometry::MultiPolygon(_), Geometry::Point(at)) => Some(a.contains(at)),
        // As many crossings as this may be, all are in memory at once.
        _ if a.coords_count() * b.coords_count() > MOST_CROSSINGS => None,
        _ => guarded(|| a.relate(b).is_contains()),
    }
}

fn intersects(a: &Geometry, b: &Geometry) -> Option<bool> {
    guarded(|| a.intersects(b))
}

fn distance(a: &Geometry, b: &Geometry) -> Option<f64> {
    guarded(|| Euclidean.distance(a, b))
}

/// What `f` gives; `None` if it panics. geo does so where rounding makes what it works out of two geometries contradict itself.
fn guarded<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

/// Of lines; points and areas have none.
fn length(geometry: &Geometry) -> f64 {
    match geometry {
        Geometry::LineString(line) => Euclidean.length(line),
        Geometry::MultiLineString(lines) => Euclidean.length(lines),
        _ => 0.0,
    }
}

/// What the rows of one call may cost, in pairs of places that are looked at: nobody can stop it in between.
const MOST_PAIRS: usize = 500_000_000;

#[derive(Default)]
struct Work(usize);

impl Work {
    fn add(&mut self, pairs: usize) -> Result<()> {
        self.0 = self.0.saturating_add(pairs);
        if self.0 > MOST_PAIRS { exec_err!("so many geometries with so many places take too long") } else { Ok(()) }
    }
}

/// The geometries of an argument. One that repeats is read once, and a constant stays one row: it may be a large polygon.
struct Geometries {
    texts: StringViewArray,
    is_constant: bool,
    reader: fn(&str) -> Option<Geometry>,
    read: Option<Read>,
}

struct Read {
    text: String,
    geometry: Option<Geometry>,
    /// At most so many.
    places: usize,
}

impl Geometries {
    fn new(argument: &ColumnarValue, reader: fn(&str) -> Option<Geometry>) -> Result<Self> {
        let (texts, is_constant) = match argument {
            ColumnarValue::Array(texts) => (Arc::clone(texts), false),
            ColumnarValue::Scalar(text) => (text.to_array()?, true),
        };
        Ok(Self { texts: texts.as_string_view().clone(), is_constant, reader, read: None })
    }

    /// With how many places it has at most.
    fn at(&mut self, row: usize, work: &mut Work) -> Result<Option<(&Geometry, usize)>> {
        let row = if self.is_constant { 0 } else { row };
        if self.texts.is_null(row) {
            return Ok(None);
        }
        let text = self.texts.value(row);
        if self.read.as_ref().is_none_or(|read| read.text != text) {
            let places = 1 + text.bytes().filter(|byte| *byte == b',').count();
            // Whether rings cross themselves is asked of each edge and those beside it.
            work.add(places.saturating_mul(places) / 4)?;
            self.read = Some(Read { text: text.to_owned(), geometry: (self.reader)(text), places });
        }
        Ok(self.read.as_ref().and_then(|read| Some((read.geometry.as_ref()?, read.places))))
    }
}

/// Row by row; `None` where one of the two is no geometry.
fn pairs<T>(
    arguments: &[ColumnarValue],
    rows: usize,
    f: impl Fn(usize, &Geometry, &Geometry) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let mut first = Geometries::new(&arguments[0], text::from_wkt)?;
    let mut second = Geometries::new(&arguments[1], text::from_wkt)?;
    let mut work = Work::default();
    let mut answers = Vec::with_capacity(rows);
    for row in 0..rows {
        answers.push(match (first.at(row, &mut work)?, second.at(row, &mut work)?) {
            (Some((a, places)), Some((b, others))) => {
                work.add(places * others)?;
                f(row, a, b)
            }
            _ => None,
        });
    }
    Ok(answers)
}

/// Row by row; `None` where there is no geometry.
fn each<T>(
    argument: &ColumnarValue,
    rows: usize,
    reader: fn(&str) -> Option<Geometry>,
    f: impl Fn(&Geometry) -> Option<T>,
) -> Result<Vec<Option<T>>> {
    let mut geometries = Geometries::new(argument, reader)?;
    let mut work = Work::default();
    (0..rows).map(|row| Ok(geometries.at(row, &mut work)?.and_then(|(geometry, _)| f(geometry)))).collect()
}

fn relation(name: &'static str, f: fn(&Geometry, &Geometry) -> Option<bool>) -> ScalarUDF {
    scalar::lazy(name, &[DataType::Utf8View, DataType::Utf8View], DataType::Boolean, move |arguments, rows| {
        Ok(Arc::new(BooleanArray::from(pairs(arguments, rows, |_, a, b| f(a, b))?)))
    })
}

fn number(name: &'static str, f: fn(&Geometry) -> Option<f64>) -> ScalarUDF {
    scalar::lazy(name, &[DataType::Utf8View], DataType::Float64, move |arguments, rows| {
        Ok(Arc::new(Float64Array::from(each(&arguments[0], rows, text::from_wkt, f)?)))
    })
}

fn well_known(name: &'static str, reader: fn(&str) -> Option<Geometry>) -> ScalarUDF {
    scalar::lazy(name, &[DataType::Utf8View], DataType::Utf8, move |arguments, rows| {
        Ok(Arc::new(StringArray::from(each(&arguments[0], rows, reader, text::to_wkt)?)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/geometry/shapely.csv`, made by the program beside it.
    #[test]
    fn answers_are_those_of_shapely() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/geometry/shapely.csv");
        let mut cases = 0;
        for record in csv::Reader::from_path(path).expect("the answers are there").into_records() {
            let record = record.expect("a row");
            let geometry = |i: usize| text::from_wkt(&record[i]).unwrap_or_else(|| panic!("{} is a geometry", &record[i]));
            let (a, b) = (geometry(0), geometry(1));
            let flag = |i: usize| Some(&record[i] == "true");
            let is = |i: usize, found: f64| {
                let wanted: f64 = record[i].parse().expect("a number");
                assert!((found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{found} is not {wanted}: {record:?}");
            };
            assert_eq!(contains(&b, &a), flag(2), "within: {record:?}");
            assert_eq!(contains(&a, &b), flag(3), "contains: {record:?}");
            assert_eq!(intersects(&a, &b), flag(4), "intersects: {record:?}");
            is(5, distance(&a, &b).expect("a distance"));
            is(5, distance(&b, &a).expect("a distance"));
            is(6, length(&a));
            is(7, a.unsigned_area());
            cases += 1;
        }
        assert!(cases > 500, "{cases} cases");
    }
}
