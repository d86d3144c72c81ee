//! Geofences from KML 2.2 (OGC): the Polygons of Placemarks, and Points and LineStrings for whose ExtendedData give a radius or a width.

use quick_xml::Reader;
use quick_xml::events::Event;
use serde_json::{Map, Value, json};

/// Elements that lie deeper in each other are no map.
const MOST_DEPTH: usize = 64;

/// As a GeoJSON FeatureCollection: a feature for each Placemark, its id the Placemark's or its number, from 1; what ExtendedData say
/// are properties, numbers as such.
///
/// # Errors
/// Where it is no KML, in words.
pub fn to_geojson(text: &str) -> Result<Value, String> {
    let mut reader = Reader::from_str(text);
    let mut document = Document::default();
    loop {
        let before = reader.buffer_position();
        let at = |e: String| format!("byte {before}: {e}");
        match reader.read_event() {
            Err(e) => return Err(at(e.to_string())),
            Ok(Event::Start(element)) => {
                let id = element.try_get_attribute("id").ok().flatten().map(|v| v.value.as_ref().to_owned());
                let name = element.try_get_attribute("name").ok().flatten().map(|v| v.value.as_ref().to_owned());
                document.open(element.local_name().as_ref(), id.or(name)).map_err(at)?;
            }
            Ok(Event::End(element)) => document.close(element.local_name().as_ref()).map_err(at)?,
            Ok(Event::Text(text)) => document.text += &text.xml10_content(),
            Ok(Event::CData(text)) => document.text += &text.xml10_content(),
            Ok(Event::GeneralRef(reference)) => {
                let character = reference.resolve_char_ref().ok().flatten().map(String::from);
                let entity = character.as_deref().or_else(|| quick_xml::escape::resolve_predefined_entity(&reference));
                document.text += entity.unwrap_or_default();
            }
            Ok(Event::Eof) if !document.path.is_empty() => return Err("the file is cut off".into()),
            Ok(Event::Eof) => break,
            Ok(Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::DocType(_)) => {}
        }
    }
    if !document.is_kml {
        return Err("not KML: there is no element kml".into());
    }
    Ok(json!({"type": "FeatureCollection", "features": document.features}))
}

#[derive(Default)]
struct Document {
    is_kml: bool,
    /// Names of the open elements, and their ids or names.
    path: Vec<(String, Option<String>)>,
    text: String,
    /// Of the open Placemark.
    properties: Map<String, Value>,
    polygons: Vec<Value>,
    rings: Vec<Value>,
    /// Its Point or LineString.
    other: Option<Value>,
    placemarks: usize,
    features: Vec<Value>,
}

impl Document {
    fn open(&mut self, name: &str, id: Option<String>) -> Result<(), String> {
        if self.path.len() >= MOST_DEPTH {
            return Err(format!("more than {MOST_DEPTH} elements lie in each other"));
        }
        match name {
            "kml" if self.path.is_empty() => self.is_kml = true,
            "Placemark" => {
                (self.properties, self.other) = (Map::new(), None);
                self.polygons.clear();
                self.placemarks += 1;
            }
            "Polygon" => self.rings.clear(),
            _ => {}
        }
        self.path.push((name.to_owned(), id));
        self.text.clear();
        Ok(())
    }

    fn close(&mut self, name: &str) -> Result<(), String> {
        let id = self.path.pop().and_then(|(_, id)| id);
        let text = std::mem::take(&mut self.text);
        let text = text.trim();
        let parent = self.path.last().map_or("", |(name, _)| name);
        match (name, parent) {
            ("name", "Placemark") => drop(self.properties.insert("name".into(), text.into())),
            ("value", "Data") => {
                if let Some((_, Some(key))) = self.path.last() {
                    self.properties.insert(key.clone(), typed(text));
                }
            }
            ("SimpleData", _) => {
                if let Some(key) = id {
                    self.properties.insert(key, typed(text));
                }
            }
            ("coordinates", "LinearRing") => {
                let ring = places(text)?;
                let is_outer = self.path.iter().rev().nth(1).is_some_and(|(name, _)| name == "outerBoundaryIs");
                self.rings.insert(if is_outer { 0 } else { self.rings.len() }, Value::Array(ring));
            }
            ("coordinates", "Point") => {
                self.other = places(text)?.into_iter().next().map(|at| json!({"type": "Point", "coordinates": at}));
            }
            ("coordinates", "LineString") => self.other = Some(json!({"type": "LineString", "coordinates": places(text)?})),
            ("Polygon", _) => self.polygons.push(Value::Array(std::mem::take(&mut self.rings))),
            ("Placemark", _) => self.feature(id),
            _ => {}
        }
        Ok(())
    }

    /// The Placemark has ended. One without a geometry of ours is passed over.
    fn feature(&mut self, id: Option<String>) {
        let polygons = std::mem::take(&mut self.polygons);
        let geometry = match polygons.len() {
            0 => self.other.take(),
            1 => polygons.into_iter().next().map(|rings| json!({"type": "Polygon", "coordinates": rings})),
            _ => Some(json!({"type": "MultiPolygon", "coordinates": polygons})),
        };
        if let Some(geometry) = geometry {
            let id = id.unwrap_or_else(|| self.placemarks.to_string());
            let properties = std::mem::take(&mut self.properties);
            self.features.push(json!({"type": "Feature", "id": id, "properties": properties, "geometry": geometry}));
        }
    }
}

fn typed(text: &str) -> Value {
    match text {
        "true" => true.into(),
        "false" => false.into(),
        _ => text.parse::<f64>().ok().filter(|n| n.is_finite()).map_or_else(|| text.into(), Value::from),
    }
}

/// `longitude,latitude[,altitude]`, separated by white space.
fn places(text: &str) -> Result<Vec<Value>, String> {
    let place = |tuple: &str| {
        let mut numbers = tuple.split(',').map(|n| n.trim().parse::<f64>().ok().filter(|n| n.is_finite()));
        match (numbers.next().flatten(), numbers.next().flatten()) {
            (Some(lon), Some(lat)) => Ok(json!([lon, lat])),
            _ => Err(format!("{tuple:?} is not longitude,latitude")),
        }
    };
    text.split_whitespace().map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placemarks_become_features() {
        let ring = |n: f64| format!("<LinearRing><coordinates>\n0,0,7 {n},0,7\n{n},{n},7 0,0,7</coordinates></LinearRing>");
        let (outer, inner) = (ring(4.0), ring(1.0));
        let polygon =
            format!("<Polygon><innerBoundaryIs>{inner}</innerBoundaryIs><outerBoundaryIs>{outer}</outerBoundaryIs></Polygon>");
        let text = format!(
            r#"<?xml version="1.0"?><kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>All</name>
            <Placemark id="depot"><name>D&amp;D</name>{polygon}</Placemark>
            <Placemark><name>Two</name><MultiGeometry>{polygon}{polygon}</MultiGeometry></Placemark>
            <Placemark><name>a picture</name></Placemark>
            <Placemark><ExtendedData><Data name="radius_m"><value>60</value></Data><Data name="cross"><value>true</value></Data>
              </ExtendedData><Point><coordinates>21.1,52.2</coordinates></Point></Placemark></Document></kml>"#
        );
        let features = to_geojson(&text).expect("fine")["features"].clone();
        assert_eq!(features[0]["id"], "depot");
        assert_eq!(features[0]["properties"], json!({"name": "D&D"}));
        assert_eq!(features[0]["geometry"]["coordinates"][0][1], json!([4.0, 0.0]));
        assert_eq!(features[0]["geometry"]["coordinates"][1][1], json!([1.0, 0.0]));
        assert_eq!((&features[1]["id"], &features[1]["geometry"]["type"]), (&json!("2"), &json!("MultiPolygon")));
        assert_eq!(features[2]["properties"], json!({"radius_m": 60.0, "cross": true}));
        assert_eq!(features[2]["geometry"], json!({"type": "Point", "coordinates": [21.1, 52.2]}));
    }

    #[test]
    fn what_is_no_kml_is_refused() {
        assert!(to_geojson("<gpx></gpx>").expect_err("no kml").contains("no element kml"));
        assert!(to_geojson("<kml><Placemark>").expect_err("cut off").contains("cut off"));
        let wrong = "<kml><Placemark><Point><coordinates>x,1</coordinates></Point></Placemark></kml>";
        assert!(to_geojson(wrong).expect_err("no number").contains("\"x,1\" is not longitude,latitude"));
        assert!(to_geojson(&"<a>".repeat(1000)).expect_err("too deep").contains("lie in each other"));
    }
}
