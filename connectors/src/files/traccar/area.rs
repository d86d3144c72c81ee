//! Traccar's geofences as GeoJSON features: well-known text with the latitude first, and `CIRCLE (lat lon, radius)`.

use super::super::RowFault;
use super::Row;
use crate::protocol::Fault;
use crate::readers::malformed;
use serde_json::{Value, json};

/// A line is as wide as this on both sides together, if nobody said how wide: Traccar's own default is 25 m to each side.
const USUAL_WIDTH_M: f64 = 50.0;

/// A row of `tc_geofences` as a feature, with the id `traccar-N`. What else is wrong with the area shows when it is read.
pub fn geofence(row: &Row) -> Result<Value, RowFault> {
    row.read(|row| {
        let key = row.key("id")?;
        let area = row.text("area").ok_or_else(|| malformed("no area"))?;
        let (kind, body) = area.split_once('(').ok_or_else(|| malformed(format_args!("{area:?} is not an area")))?;
        let body = body.trim_end().strip_suffix(')').ok_or_else(|| malformed("an area without its end"))?;
        let attributes: Value = row.text("attributes").and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let mut properties = json!({
            "id": format!("traccar-{key}"),
            "name": row.text("name").map_or_else(|| format!("Geofence {key}"), str::to_owned),
        });
        if let Some(colour) = attributes["color"].as_str() {
            properties["colour"] = colour.into();
        }
        let geometry = match kind.trim().to_ascii_uppercase().as_str() {
            "CIRCLE" => {
                let (centre, radius) = body.split_once(',').ok_or_else(|| malformed("a circle without a radius"))?;
                properties["radius_m"] = number(radius)?.into();
                json!({ "type": "Point", "coordinates": place(centre)? })
            }
            "LINESTRING" => {
                let width = attributes["polylineDistance"].as_f64().map_or(USUAL_WIDTH_M, |side| 2.0 * side);
                properties["width_m"] = width.into();
                json!({ "type": "LineString", "coordinates": places(body)? })
            }
            "POLYGON" => {
                let rings: Result<Vec<Value>, Fault> = parts(body).map(places).collect();
                json!({ "type": "Polygon", "coordinates": rings? })
            }
            other => return Err(malformed(format_args!("{other:?} is not a kind of area"))),
        };
        Ok(json!({ "type": "Feature", "properties": properties, "geometry": geometry }))
    })
}

/// `(a), (b)`: what is in the brackets.
fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(')').map(|part| part.trim_start_matches([',', ' ', '(', '\n'])).filter(|part| !part.is_empty())
}

fn places(text: &str) -> Result<Value, Fault> {
    text.split(',').map(place).collect()
}

/// Longitude first, as in GeoJSON.
fn place(text: &str) -> Result<Value, Fault> {
    let mut numbers = text.split_whitespace();
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(lat), Some(lon), None) => Ok(json!([number(lon)?, number(lat)?])),
        _ => Err(malformed(format_args!("{text:?} is not a latitude and a longitude"))),
    }
}

fn number(text: &str) -> Result<f64, Fault> {
    text.trim().parse().map_err(|_| malformed(format_args!("{text:?} is not a number")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::{Manner, table};
    use super::*;
    use waystream_domain::geofence::{Checks, Defaults, from_geojson};

    fn areas(csv: &str) -> Vec<Result<Value, String>> {
        table(csv.as_bytes(), Manner::Csv).map(|row| geofence(&row.unwrap()).map_err(|e| e.to_string())).collect()
    }

    #[test]
    fn areas_become_features_that_are_geofences() {
        let all = areas(
            "id,name,description,area,attributes\n\
             1,Depot,,\"POLYGON ((52.0 21.0, 52.0 21.1, 52.1 21.1, 52.0 21.0), (52.02 21.05, 52.02 21.06, 52.03 21.06, 52.02 21.05))\",\"{\"\"color\"\":\"\"#ff0000\"\"}\"\n\
             2,Yard,,\"CIRCLE (52.2 21.3, 150.5)\",{}\n\
             3,,,\"LINESTRING (52.2 21.3, 52.3 21.4)\",\"{\"\"polylineDistance\"\":20}\"\n",
        );
        let depot = all[0].as_ref().unwrap();
        assert_eq!(depot["geometry"]["coordinates"][0][1], json!([21.1, 52.0]));
        assert_eq!(depot["geometry"]["coordinates"].as_array().unwrap().len(), 2);
        assert_eq!(depot["properties"], json!({ "id": "traccar-1", "name": "Depot", "colour": "#ff0000" }));
        let yard = all[1].as_ref().unwrap();
        assert_eq!((&yard["geometry"]["coordinates"], &yard["properties"]["radius_m"]), (&json!([21.3, 52.2]), &json!(150.5)));
        assert_eq!(all[2].as_ref().unwrap()["properties"], json!({ "id": "traccar-3", "name": "Geofence 3", "width_m": 40.0 }));
        let collection =
            json!({ "type": "FeatureCollection", "features": all.into_iter().map(Result::unwrap).collect::<Vec<_>>() });
        let organisation = "default".parse().unwrap();
        let defaults = Defaults { organisation, fleet: None, id: None, version: 1, checks: Checks::Strict };
        assert_eq!(from_geojson(&collection.to_string(), &defaults).unwrap().len(), 3);
    }

    #[test]
    fn what_is_no_area_is_told_with_its_line() {
        let all = areas(
            "id,area\n1,POLYGON\n2,\"CIRCLE (52.2 21.3)\"\n3,\"POINT (1 2)\"\n4,\"POLYGON ((52 x, 1 2))\"\n5,\n6,\"POLYGON ((1 2 3))\"\n",
        );
        let faults: Vec<String> = all.into_iter().map(Result::unwrap_err).collect();
        assert_eq!(
            faults,
            [
                "line 2: \"POLYGON\" is not an area (malformed)",
                "line 3: a circle without a radius (malformed)",
                "line 4: \"POINT\" is not a kind of area (malformed)",
                "line 5: \"x\" is not a number (malformed)",
                "line 6: no area (malformed)",
                "line 7: \"1 2 3\" is not a latitude and a longitude (malformed)",
            ]
        );
    }
}
