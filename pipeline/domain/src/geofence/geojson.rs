//! Geofences from GeoJSON (RFC 7946) and back: Polygon, MultiPolygon, Point with `radius_m` for a circle, LineString with `width_m`
//! for a corridor.

use super::validate::{self, Checks, Flaw};
use super::{FenceRules, Geofence, Polygon, Schedule, Shape, kml, wkt};
use crate::{FleetId, GeofenceId, LatLon, OrganisationId};
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt;

/// What a geofence gets that its feature does not say.
#[derive(Debug, Clone)]
pub struct Defaults {
    /// Owner.
    pub organisation: OrganisationId,
    /// For features without the property `fleet`.
    pub fleet: Option<FleetId>,
    /// For a single feature without an id; features of a collection must have their own.
    pub id: Option<GeofenceId>,
    /// Version of all.
    pub version: u64,
    /// How strict.
    pub checks: Checks,
}

/// Why a text is not a set of geofences.
#[derive(Debug, Clone, PartialEq)]
pub struct GeoJsonError {
    /// Index of the feature in its collection.
    pub feature: Option<usize>,
    /// Its id, if it has one.
    pub id: Option<String>,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong with a feature.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// Not JSON, or not what RFC 7946 says.
    #[error("{0}")]
    Malformed(String),
    /// The area can't be used.
    #[error("{0}")]
    Flaw(Flaw),
}

impl fmt::Display for GeoJsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(feature) = self.feature {
            write!(f, "feature {feature}, ")?;
        }
        if let Some(id) = &self.id {
            write!(f, "id {id}, ")?;
        }
        write!(f, "{}", self.problem)
    }
}

impl std::error::Error for GeoJsonError {}

fn malformed(text: impl Into<String>) -> Problem {
    Problem::Malformed(text.into())
}

/// Reads a FeatureCollection, a Feature or a bare geometry.
///
/// Properties used: `fence_id` or `id` (else the feature's own `id`), `name`, `fleet`, `group`, `colour`, `radius_m`, `width_m`, and
/// the rules of [`FenceRules`], each by its name.
pub fn from_geojson(text: &str, defaults: &Defaults) -> Result<Vec<Geofence>, GeoJsonError> {
    let value: Value = serde_json::from_str(text).map_err(|e| whole(malformed(format!("not JSON: {e}"))))?;
    from_value(&value, defaults)
}

/// Reads GeoJSON, KML or well-known text, whichever it is. Features of a collection that have no id are called by their number, from 1.
///
/// # Errors
/// What is wrong with the text or one of the areas, and where.
pub fn from_text(text: &str, defaults: &Defaults) -> Result<Vec<Geofence>, GeoJsonError> {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let value = match text.chars().next() {
        Some('{') => serde_json::from_str(text).map_err(|e| format!("not JSON: {e}")).map(numbered),
        Some('<') => kml::to_geojson(text),
        _ => wkt::to_geojson(text),
    };
    from_value(&value.map_err(|problem| whole(malformed(problem)))?, defaults)
}

fn numbered(mut collection: Value) -> Value {
    let features = collection.get_mut("features").and_then(Value::as_array_mut);
    for (n, feature) in (1..).zip(features.into_iter().flatten().filter_map(Value::as_object_mut)) {
        if own_ids(feature.get("properties").and_then(Value::as_object), feature.get("id")).next().is_none() {
            feature.insert("id".into(), Value::from(n));
        }
    }
    collection
}

/// What a feature calls itself, the most telling first.
fn own_ids<'a>(properties: Option<&'a Map<String, Value>>, id: Option<&'a Value>) -> impl Iterator<Item = String> + 'a {
    let named = ["fence_id", "id"].into_iter().filter_map(move |key| properties?.get(key));
    named.chain(id).filter_map(id_text)
}

fn whole(problem: Problem) -> GeoJsonError {
    GeoJsonError { feature: None, id: None, problem }
}

fn from_value(value: &Value, defaults: &Defaults) -> Result<Vec<Geofence>, GeoJsonError> {
    let nothing = Map::new();
    let (features, single): (Vec<&Value>, bool) = match value["type"].as_str() {
        Some("FeatureCollection") => {
            let features = value["features"].as_array().ok_or_else(|| whole(malformed("the collection has no features")))?;
            (features.iter().collect(), features.len() == 1)
        }
        Some(_) => (vec![value], true),
        None => return Err(whole(malformed("not a GeoJSON object: it has no type"))),
    };
    let mut seen = HashSet::new();
    let mut out = Vec::with_capacity(features.len());
    for (i, feature) in features.into_iter().enumerate() {
        let is_feature = feature["type"] == "Feature";
        let geometry = if is_feature { &feature["geometry"] } else { feature };
        let properties = if is_feature { feature["properties"].as_object().unwrap_or(&nothing) } else { &nothing };
        let own_id = own_ids(Some(properties), feature.get("id")).next();
        let place = |problem| GeoJsonError { feature: (!single).then_some(i), id: own_id.clone(), problem };
        let id = match (&own_id, &defaults.id) {
            (Some(text), _) => GeofenceId::new(text).map_err(|e| place(malformed(e.to_string())))?,
            (None, Some(id)) if single => id.clone(),
            _ => return Err(place(malformed("it has no fence_id, id or feature id"))),
        };
        if !seen.insert(id.clone()) {
            return Err(place(malformed("the id is used twice")));
        }
        let text = |key: &str| properties.get(key).and_then(Value::as_str);
        let fleet = match text("fleet") {
            Some(fleet) => Some(FleetId::new(fleet).map_err(|e| place(malformed(format!("fleet: {e}"))))?),
            None => defaults.fleet.clone(),
        };
        out.push(Geofence {
            organisation: defaults.organisation.clone(),
            fleet,
            group: properties.get("group").and_then(id_text).map(|g| g.trim().to_owned()).filter(|g| !g.is_empty()),
            name: text("name").map_or_else(|| id.to_string(), str::to_owned),
            version: defaults.version,
            shape: shape(geometry, properties, defaults.checks).map_err(place)?,
            colour: text("colour").map(str::to_owned),
            rules: rules(properties).map_err(|problem| place(malformed(problem)))?,
            id,
        });
    }
    Ok(out)
}

fn id_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `null` is as good as nothing.
fn rules(properties: &Map<String, Value>) -> Result<FenceRules, String> {
    let given = |key: &str| properties.get(key).filter(|v| !v.is_null());
    let number = |key: &str| match given(key) {
        Some(v) => v.as_f64().ok_or_else(|| format!("{key} is not a number")).map(Some),
        None => Ok(None),
    };
    let seconds = |key: &str| {
        let seconds = number(key)?.unwrap_or(0.0);
        if !(0.0..=f64::from(u32::MAX)).contains(&seconds) {
            return Err(format!("{key} of {seconds} is out of range"));
        }
        Ok(seconds.round() as u32)
    };
    let single = |key: &str| Ok::<_, String>(number(key)?.map(|n| n as f32));
    let schedule = given("schedule").map(|v| serde_json::from_value::<Schedule>(v.clone()).map_err(|e| e.to_string()));
    let rules = FenceRules {
        exit_margin_m: number("exit_margin_m")?.unwrap_or(0.0),
        min_dwell_s: seconds("min_dwell_s")?,
        loitering_s: seconds("loitering_s")?,
        speed_limit_mps: single("speed_limit_mps")?,
        max_accuracy_m: number("max_accuracy_m")?,
        min_altitude_m: single("min_altitude_m")?,
        max_altitude_m: single("max_altitude_m")?,
        cross: given("cross").map_or(Ok(false), |v| v.as_bool().ok_or("cross is neither true nor false"))?,
        schedule: schedule.transpose()?.map(Box::new),
    };
    rules.check()
}

fn shape(geometry: &Value, properties: &Map<String, Value>, checks: Checks) -> Result<Shape, Problem> {
    let coordinates = &geometry["coordinates"];
    match geometry["type"].as_str() {
        Some("Polygon") => {
            let rings = polygon(list(coordinates, "coordinates")?, 0)?;
            validate::polygons(&[rings], checks).map_err(|flaw| Problem::Flaw(Flaw { polygon: None, ..flaw }))
        }
        Some("MultiPolygon") => {
            let polygons = list(coordinates, "coordinates")?;
            let polygons = polygons
                .iter()
                .enumerate()
                .map(|(i, p)| polygon(list(p, &format!("polygon {i}"))?, i))
                .collect::<Result<Vec<_>, _>>()?;
            validate::polygons(&polygons, checks).map_err(Problem::Flaw)
        }
        Some("Point") => {
            let radius_m = properties.get("radius_m").or_else(|| geometry.get("radius_m")).and_then(Value::as_f64);
            let radius_m = radius_m.ok_or_else(|| malformed("a Point needs the property radius_m"))?;
            let (lon, lat) = vertex(coordinates).ok_or_else(|| malformed("a Point needs [longitude, latitude]"))?;
            let centre =
                LatLon::new(lat, lon).ok_or_else(|| malformed(validate::Reason::OutOfRange { lon, lat }.to_string()))?;
            validate::circle(centre, radius_m).map_err(Problem::Flaw)
        }
        Some("LineString") => {
            let width_m = properties.get("width_m").or_else(|| geometry.get("width_m")).and_then(Value::as_f64);
            let width_m = width_m.ok_or_else(|| malformed("a LineString needs the property width_m"))?;
            let places = list(coordinates, "coordinates")?.iter().enumerate();
            let places =
                places.map(|(v, p)| vertex(p).ok_or_else(|| malformed(format!("vertex {v}, is not [longitude, latitude]"))));
            validate::corridor(&places.collect::<Result<Vec<_>, _>>()?, width_m).map_err(Problem::Flaw)
        }
        Some(other) => Err(malformed(format!(
            "a {other} is no area; Polygon, MultiPolygon, Point with radius_m and LineString with width_m are"
        ))),
        None => Err(malformed("it has no geometry")),
    }
}

fn list<'a>(value: &'a Value, what: &str) -> Result<&'a Vec<Value>, Problem> {
    value.as_array().ok_or_else(|| malformed(format!("{what}, is not an array")))
}

fn polygon(rings: &[Value], polygon: usize) -> Result<Vec<Vec<(f64, f64)>>, Problem> {
    let mut out = Vec::with_capacity(rings.len());
    for (r, ring) in rings.iter().enumerate() {
        let place = || format!("polygon {polygon}, ring {r}");
        let vertices = list(ring, &place())?.iter().enumerate().map(|(v, value)| {
            vertex(value).ok_or_else(|| malformed(format!("{}, vertex {v}, is not [longitude, latitude]", place())))
        });
        out.push(vertices.collect::<Result<Vec<_>, _>>()?);
    }
    Ok(out)
}

/// Longitude, latitude; an altitude behind them is left out.
fn vertex(value: &Value) -> Option<(f64, f64)> {
    match value.as_array()?.as_slice() {
        [lon, lat, ..] => Some((lon.as_f64()?, lat.as_f64()?)),
        _ => None,
    }
}

/// One geofence as a Feature with the properties `id`, `name`, `fleet`, `group`, `colour`, `version`, for a circle `radius_m`, for a
/// corridor `width_m`, and the rules that it has.
pub fn to_feature(fence: &Geofence) -> Value {
    let mut properties = json!({
        "id": fence.id, "name": fence.name, "fleet": fence.fleet, "group": fence.group,
        "colour": fence.colour, "version": fence.version,
    });
    if let (Some(properties), Ok(Value::Object(rules))) = (properties.as_object_mut(), serde_json::to_value(&fence.rules)) {
        properties.extend(rules);
    }
    let lon_lat = |at: &LatLon| json!([at.lon_deg(), at.lat_deg()]);
    let rings =
        |polygon: &Polygon| polygon.rings.iter().map(|ring| ring.iter().map(lon_lat).collect::<Vec<_>>()).collect::<Vec<_>>();
    let geometry = match &fence.shape {
        Shape::Circle { centre, radius_m } => {
            properties["radius_m"] = json!(radius_m);
            json!({"type": "Point", "coordinates": lon_lat(centre)})
        }
        Shape::Corridor { line, width_m } => {
            properties["width_m"] = json!(width_m);
            json!({"type": "LineString", "coordinates": line.iter().map(lon_lat).collect::<Vec<_>>()})
        }
        Shape::Polygons { polygons } => match polygons.as_slice() {
            [one] => json!({"type": "Polygon", "coordinates": rings(one)}),
            many => json!({"type": "MultiPolygon", "coordinates": many.iter().map(rings).collect::<Vec<_>>()}),
        },
    };
    json!({"type": "Feature", "id": fence.id, "properties": properties, "geometry": geometry})
}

/// Geofences as a FeatureCollection.
pub fn to_geojson<'a>(fences: impl IntoIterator<Item = &'a Geofence>) -> Value {
    json!({"type": "FeatureCollection", "features": fences.into_iter().map(to_feature).collect::<Vec<_>>()})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn defaults() -> Defaults {
        Defaults { organisation: "org".parse().expect("id"), fleet: None, id: None, version: 7, checks: Checks::Strict }
    }

    fn error(text: &str) -> String {
        from_geojson(text, &defaults()).expect_err("is refused").to_string()
    }

    const SQUARE: &str = "[[0,0],[1,0],[1,1],[0,1],[0,0]]";
    const HOLE: &str = "[[0.2,0.2],[0.8,0.8],[0.8,0.2],[0.2,0.8]]";

    #[test]
    fn what_is_written_is_read_again() {
        let text = format!(
            r##"{{"type":"FeatureCollection","features":[
              {{"type":"Feature","properties":{{"fence_id":"a","name":"Łódź","fleet":"north","group":" Depots ","colour":"#ff0000"}},
                "geometry":{{"type":"MultiPolygon","coordinates":[[{SQUARE}],[[[5,5],[6,5,12.0],[5,6]]]]}}}},
              {{"type":"Feature","id":12,"properties":null,"geometry":{{"type":"Polygon","coordinates":[{SQUARE}]}}}},
              {{"type":"Feature","properties":{{"id":"c","radius_m":60,"group":7}},"geometry":{{"type":"Point","coordinates":[21.1,52.2]}}}},
              {{"type":"Feature","properties":{{"id":"d","width_m":50,"group":" ","exit_margin_m":20,"min_dwell_s":60,"schedule":
                {{"time_zone":"UTC","hours":["mon 08:00-18:00"]}}}},"geometry":{{"type":"LineString","coordinates":[[1,1],[2,2]]}}}}]}}"##
        );
        let fences = from_geojson(&text, &defaults()).expect("fine");
        assert_eq!(
            fences.iter().map(|f| (f.id.as_str(), f.name.as_str())).collect::<Vec<_>>(),
            [("a", "Łódź"), ("12", "12"), ("c", "c"), ("d", "d")]
        );
        assert_eq!(fences[0].fleet, Some("north".parse().expect("id")));
        assert_eq!(fences.iter().map(|f| f.group.as_deref()).collect::<Vec<_>>(), [Some("Depots"), None, Some("7"), None]);
        assert!(fences.iter().all(|f| f.version == 7));
        assert_eq!((fences[3].rules.exit_margin_m, fences[3].rules.min_dwell_s), (20.0, 60));
        assert!(fences[3].rules.schedule.is_some());
        assert_eq!(from_geojson(&to_geojson(&fences).to_string(), &defaults()), Ok(fences));
    }

    #[test]
    fn a_bare_geometry_takes_the_default_id() {
        let text = format!(r#"{{"type":"Polygon","coordinates":[{SQUARE}]}}"#);
        assert!(error(&text).contains("no fence_id"));
        let named = Defaults { id: Some("new".parse().expect("id")), ..defaults() };
        assert_eq!(from_geojson(&text, &named).expect("fine")[0].id.as_str(), "new");
    }

    #[test]
    fn an_error_says_where() {
        let collection = |geometry: &str| {
            format!(
                r#"{{"type":"FeatureCollection","features":[
                 {{"type":"Feature","id":"a","properties":{{}},"geometry":{{"type":"Polygon","coordinates":[{SQUARE}]}}}},
                 {{"type":"Feature","id":"b","properties":{{}},"geometry":{geometry}}}]}}"#
            )
        };
        for (geometry, message) in [
            ("null".to_owned(), "feature 1, id b, it has no geometry"),
            (
                r#"{"type":"LineString","coordinates":[[0,0],[1,1]]}"#.to_owned(),
                "feature 1, id b, a LineString needs the property width_m",
            ),
            (
                r#"{"type":"GeometryCollection"}"#.to_owned(),
                "feature 1, id b, a GeometryCollection is no area; Polygon, MultiPolygon, Point with radius_m and LineString with width_m are",
            ),
            (r#"{"type":"Point","coordinates":[0,0]}"#.to_owned(), "feature 1, id b, a Point needs the property radius_m"),
            (
                format!(r#"{{"type":"MultiPolygon","coordinates":[[{SQUARE}],[{SQUARE},[[0,0],["x",1]]]]}}"#),
                "feature 1, id b, polygon 1, ring 1, vertex 1, is not [longitude, latitude]",
            ),
            (
                format!(r#"{{"type":"Polygon","coordinates":[{SQUARE},{HOLE}]}}"#),
                "feature 1, id b, ring 1, vertex 0, the outline crosses or runs over itself at 0.5,0.5 (longitude, latitude)",
            ),
            (
                r#"{"type":"Polygon","coordinates":[[[0,0],[1,100],[1,1]]]}"#.to_owned(),
                "feature 1, id b, ring 0, vertex 1, 1,100 (longitude, latitude) is not a place on Earth",
            ),
        ] {
            assert_eq!(error(&collection(&geometry)), message);
        }
        let ruled = |rules: &str| {
            format!(
                r#"{{"type":"Feature","id":"a","properties":{{{rules}}},"geometry":{{"type":"Polygon","coordinates":[{SQUARE}]}}}}"#
            )
        };
        assert_eq!(error(&ruled(r#""exit_margin_m":-1"#)), "id a, exit_margin_m of -1 is not between 0 and 10000");
        assert_eq!(error(&ruled(r#""min_dwell_s":"long""#)), "id a, min_dwell_s is not a number");
        assert_eq!(
            error(&ruled(r#""schedule":{"time_zone":"Mars","hours":["mon 08:00-18:00"]}"#)),
            "id a, schedule: \"Mars\" is not a time zone"
        );
        assert!(error("{").starts_with("not JSON"));
        assert!(error("[1]").contains("no type"));
    }

    #[test]
    fn kml_and_well_known_text_go_the_same_way() {
        let ring = "<coordinates>0,0 1,0 1,1 0,1 0,0</coordinates>";
        let kml = format!(
            "\u{feff}<kml><Placemark id=\"a\"><ExtendedData><Data name=\"min_dwell_s\"><value>30</value></Data></ExtendedData>\
             <Polygon><outerBoundaryIs><LinearRing>{ring}</LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
        );
        let bare = format!(
            r#"{{"type":"FeatureCollection","features":[{{"type":"Feature","properties":{{"min_dwell_s":30}},
            "geometry":{{"type":"Polygon","coordinates":[{SQUARE}]}}}}]}}"#
        );
        let read = |text: &str| from_text(text, &defaults()).expect("fine").remove(0);
        let (kml, wkt, bare) = (read(&kml), read("a;POLYGON((0 0,1 0,1 1,0 1))"), read(&bare));
        assert_eq!((&kml.shape, &kml.id), (&wkt.shape, &wkt.id));
        assert_eq!((&kml.shape, kml.rules.min_dwell_s, bare.id.as_str()), (&bare.shape, 30, "1"));
        assert_eq!(bare.rules, kml.rules);
        let bow_tie = from_text("POLYGON((0 0,1 1,1 0,0 1))", &defaults()).expect_err("is refused").to_string();
        assert_eq!(bow_tie, "id 1, ring 0, vertex 0, the outline crosses or runs over itself at 0.5,0.5 (longitude, latitude)");
    }

    #[test]
    fn an_id_used_twice_is_refused() {
        let one = r#"{"type":"Feature","id":"a","properties":{"radius_m":5},"geometry":{"type":"Point","coordinates":[1,1]}}"#;
        assert_eq!(
            error(&format!(r#"{{"type":"FeatureCollection","features":[{one},{one}]}}"#)),
            "feature 1, id a, the id is used twice"
        );
    }
}
