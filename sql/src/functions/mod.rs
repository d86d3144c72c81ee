//! Functions for places, ways and attributes, beside DataFusion's own.
//!
//! Units are in the names. Latitudes and longitudes are WGS84 degrees. Adding a function: one entry in [`ENTRIES`], one in its file,
//! one line in `docs/sql.md`; tests hold the three together.

mod arguments;
mod attributes;
mod cells;
mod gaps;
mod geometry;
mod journeys;
mod path;
mod scalar;
mod segment;
mod zones;

pub(crate) use gaps::{Gaps, QUERY as GAPS_QUERY};
pub(crate) use journeys::JourneysTable;
pub(crate) use zones::Zones;

use datafusion::logical_expr::{DocSection, Documentation};
use datafusion::prelude::SessionContext;
use std::sync::Arc;

/// A function as people know it.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// How it is called.
    pub syntax: &'static str,
    /// What it gives.
    pub gives: &'static str,
}

/// Every function of waystream.
pub const ENTRIES: &[Entry] = &[
    entry(
        "haversine_m(lat, lon, lat, lon)",
        "metres between two places along a great circle of the mean sphere (radius 6,371,008.8 m)",
    ),
    entry("geodesic_m(lat, lon, lat, lon)", "metres between two places along the geodesic of the WGS84 ellipsoid"),
    entry("dwithin_m(lat, lon, lat, lon, metres)", "whether two places are no farther apart than that, by haversine_m"),
    entry(
        "bearing_deg(lat, lon, lat, lon)",
        "initial course from the first place to the second, degrees clockwise from true north",
    ),
    entry("speed_kmh(mps)", "kilometres per hour of metres per second"),
    entry("speed_mph(mps)", "miles per hour of metres per second"),
    entry("speed_kn(mps)", "knots of metres per second"),
    entry(
        "path_m(lat, lon ORDER BY fix_time)",
        "aggregate: metres of the way through all places in order of time, by haversine_m",
    ),
    entry(
        "segment_id(starts) OVER (PARTITION BY device ORDER BY fix_time)",
        "window: number of the stretch that a row belongs to; `starts` is true where one begins",
    ),
    entry(
        "gaps(seconds [, from [, to]])",
        "table: silences of devices of at least so many seconds: device, fleet, from_time, to_time, gap_s, from_lat, from_lon, to_lat, to_lon, distance_m",
    ),
    entry(
        "trips([from [, to [, stop_after_s [, leave_m [, gap_s]]]]])",
        "table: what the table trips would have, of the positions between two times alone and by rules of yours (180 s, 200 m, 3,600 s if you say none)",
    ),
    entry("stops([from [, to [, stop_after_s [, leave_m [, gap_s]]]]])", "table: the same of the table stops"),
    entry("zone_id(lat, lon)", "id of the geofence that holds the place (the least id, if several do), NULL if none"),
    entry("in_geofence(lat, lon, name)", "whether a geofence of this name or id holds the place; its boundary is inside"),
    entry("h3_cell(lat, lon, resolution)", "H3 cell of the place, resolution 0 to 15, as text"),
    entry("h3_lat(cell)", "latitude of the middle of an H3 cell, degrees"),
    entry("h3_lon(cell)", "longitude of the middle of an H3 cell, degrees"),
    entry("geohash(lat, lon, length)", "geohash of the place, 1 to 12 characters"),
    entry("tile(lat, lon, zoom)", "map tile of the place as `z/x/y` (Web Mercator), zoom 0 to 30"),
    entry("attribute_text(attributes, name)", "an attribute as text"),
    entry("attribute_number(attributes, name)", "an attribute as a number, in the unit of its name; NULL if it is none"),
    entry("attribute_time(attributes, name)", "an attribute as a time; NULL if it is no ISO 8601 text"),
    entry("attribute_flag(attributes, name)", "an attribute as true or false; NULL if it is neither"),
    entry("st_point(x, y)", "the point x, y; x is the longitude if it is a place"),
    entry("st_x(geometry)", "x of a point, NULL of anything else"),
    entry("st_y(geometry)", "y of a point, NULL of anything else"),
    entry("st_geomfromtext(wkt)", "the geometry that well-known text says, NULL if it is none or not valid"),
    entry("st_geomfromgeojson(json)", "the geometry that GeoJSON says, NULL if it is none or not valid"),
    entry("st_astext(geometry)", "well-known text of a geometry"),
    entry("st_within(a, b)", "whether no point of a is outside b, and one is inside, not only on its boundary"),
    entry("st_contains(a, b)", "the same as st_within(b, a)"),
    entry("st_intersects(a, b)", "whether a and b have a point in common"),
    entry("st_distance(a, b)", "least distance of two geometries, in the unit of their coordinates"),
    entry("st_dwithin(a, b, distance)", "whether two geometries are no farther apart than that, by st_distance"),
    entry("st_length(geometry)", "length of lines, in the unit of their coordinates; of points and areas 0"),
    entry("st_area(geometry)", "area of polygons, in the square of that unit; of points and lines 0"),
];

const fn entry(syntax: &'static str, gives: &'static str) -> Entry {
    Entry { syntax, gives }
}

impl Entry {
    /// Name in SQL.
    pub fn name(&self) -> &'static str {
        self.syntax.split('(').next().unwrap_or(self.syntax)
    }

    fn of(name: &str) -> Self {
        *ENTRIES.iter().find(|entry| entry.name() == name).expect("every function has an entry, as a test shows")
    }

    fn documentation(&self) -> Documentation {
        Documentation::builder(DocSection::default(), self.gives, self.syntax).build()
    }
}

/// Whether a (latitude, longitude) in degrees is a place on Earth; NaN is none.
fn on_earth((lat, lon): (f64, f64)) -> bool {
    lat.abs() <= 90.0 && lon.abs() <= 180.0
}

/// Makes all of them known, but for the table functions: they need the scope's tables.
pub(crate) fn register(context: &SessionContext, zones: Zones) {
    scalar::all(Arc::new(zones)).into_iter().for_each(|f| context.register_udf(f));
    context.register_udaf(path::path_m());
    context.register_udwf(segment::segment_id());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Scope;
    use datafusion::arrow::array::{Array, ArrayRef, Float64Array, StringViewArray};
    use datafusion::arrow::datatypes::{DataType, Field};
    use datafusion::config::ConfigOptions;
    use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, TypeSignature};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn scalars() -> Vec<ScalarUDF> {
        let scope = Scope::of_organisation("acme".parse().expect("id"), &Default::default());
        scalar::all(Arc::new(Zones::new(Default::default(), scope)))
    }

    #[test]
    fn every_function_has_an_entry_and_every_entry_a_line_in_the_documentation() {
        let functions = scalars();
        let mut names: Vec<&str> = functions.iter().map(|f| f.name()).collect();
        names.extend(["path_m", "segment_id", "gaps", "trips", "stops"]);
        let names: BTreeSet<&str> = names.into_iter().collect();
        assert_eq!(names, ENTRIES.iter().map(Entry::name).collect());

        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md")).expect("the page is there");
        let functions = page.split("\n## ").find(|chapter| chapter.starts_with("Functions")).expect("a chapter of functions");
        let lines: Vec<&str> = functions.lines().filter(|line| line.starts_with("| `")).collect();
        let wanted: Vec<String> = ENTRIES.iter().map(|e| format!("| `{}` | {} |", e.syntax, e.gives)).collect();
        assert_eq!(lines, wanted);
    }

    /// Few places, so that geometries meet.
    fn places(between: &'static str) -> impl Strategy<Value = String> {
        let number = prop_oneof![8 => (-4_i32..5).prop_map(|n| f64::from(n) / 2.0), 1 => -1e3..1e3, 1 => any::<f64>()];
        let places = prop::collection::vec((number.clone(), number), 1..7).prop_map(move |places| {
            // Closed, so that rings are rings; of one place that is a line.
            let closed = places.iter().chain(&places[..1]);
            closed.map(|(x, y)| format!("{x}{between}{y}")).collect::<Vec<_>>()
        });
        places.prop_map(move |places| if between == "," { format!("[{}]", places.join("],[")) } else { places.join(",") })
    }

    fn well_known_text() -> impl Strategy<Value = String> {
        let kind = prop::sample::select(vec![
            ("POINT(", ")"),
            ("MULTIPOINT(", ")"),
            ("LINESTRING(", ")"),
            ("POLYGON((", "))"),
            ("POLYGON((-9 -9,9 -9,9 9,-9 9,-9 -9),(", "))"),
            ("MULTILINESTRING((0 0,1 1),(", "))"),
            ("MULTIPOLYGON(((1 1,2 1,2 2,1 1)),((", ")))"),
        ]);
        (kind, places(" ")).prop_map(|((before, behind), places)| format!("{before}{places}{behind}"))
    }

    fn geojson() -> impl Strategy<Value = String> {
        let kind = prop::sample::select(vec![
            (r#"{"type":"MultiPoint","coordinates":["#, "]}"),
            (r#"{"type":"LineString","coordinates":["#, "]}"),
            (r#"{"type":"Polygon","coordinates":[["#, "]]}"),
        ]);
        (kind, places(",")).prop_map(|((before, behind), places)| format!("{before}{places}{behind}"))
    }

    /// A column of what arguments of this type may be.
    fn column(of: &DataType) -> BoxedStrategy<ArrayRef> {
        let number =
            prop_oneof![any::<f64>(), -200.0..200.0, (-30_i32..40).prop_map(f64::from), Just(f64::NAN), Just(f64::MAX)];
        let text = prop_oneof![
            ".*",
            "[0-9a-f]{15}",
            "\\{\"a\":[^}]*\\}",
            Just("a".to_owned()),
            Just("[1]".to_owned()),
            well_known_text(),
            geojson()
        ];
        match of {
            DataType::Float64 => prop::collection::vec(prop::option::weighted(0.9, number), 8)
                .prop_map(|v| Arc::new(Float64Array::from(v)) as ArrayRef)
                .boxed(),
            _ => prop::collection::vec(prop::option::weighted(0.9, text), 8)
                .prop_map(|v| Arc::new(StringViewArray::from(v)) as ArrayRef)
                .boxed(),
        }
    }

    fn call() -> impl Strategy<Value = (ScalarUDF, Vec<ArrayRef>)> {
        prop::sample::select(scalars()).prop_flat_map(|function| {
            let TypeSignature::Exact(types) = &function.signature().type_signature else { panic!("all are exact") };
            let columns: Vec<_> = types.iter().map(column).collect();
            (Just(function), columns)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn anything_is_answered_and_nothing_by_nothing((function, columns) in call()) {
            let args = ScalarFunctionArgs {
                args: columns.iter().cloned().map(ColumnarValue::Array).collect(),
                arg_fields: columns.iter().map(|c| Arc::new(Field::new("a", c.data_type().clone(), true))).collect(),
                number_rows: 8,
                return_field: Arc::new(Field::new("r", DataType::Null, true)),
                config_options: Arc::new(ConfigOptions::default()),
            };
            match function.inner().invoke_with_args(args) {
                Ok(ColumnarValue::Array(answer)) => {
                    prop_assert_eq!(answer.len(), 8);
                    for i in 0..8 {
                        prop_assert!(columns.iter().all(|c| c.is_valid(i)) || answer.is_null(i), "{} row {}", function.name(), i);
                    }
                }
                Ok(other) => prop_assert!(false, "{}: {:?}", function.name(), other),
                // There are no geofences here.
                Err(e) => prop_assert!(function.name() == "in_geofence", "{}: {}", function.name(), e),
            }
        }
    }
}
