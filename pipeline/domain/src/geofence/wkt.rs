//! Geofences from well-known text (OGC Simple Features): POLYGON, MULTIPOLYGON, and POINT and LINESTRING for who gives a radius or a
//! width. One geometry a line; what stands before it on its line, if anything, is its name: `Depot;POLYGON((…))`.

use serde_json::{Value, json};

/// As a GeoJSON FeatureCollection. The features of unnamed lines are called by their number, from 1.
///
/// # Errors
/// Where it is no well-known text, in words.
pub fn to_geojson(text: &str) -> Result<Value, String> {
    let mut features = Vec::new();
    for (n, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let at = |problem: &str| format!("line {n}: {problem}");
        let start = KINDS.iter().filter_map(|(kind, _)| find_word(line, kind)).min();
        let start = start.ok_or_else(|| at("no POLYGON, MULTIPOLYGON, POINT or LINESTRING"))?;
        let (before, geometry) = line.split_at(start);
        let mut reader = Reader { rest: geometry };
        let geometry = reader.geometry().map_err(|problem| at(&problem))?;
        if !reader.rest.trim_matches(|c: char| c.is_whitespace() || "\";,".contains(c)).is_empty() {
            return Err(at(&format!("{:?} behind the geometry", shortened(reader.rest))));
        }
        let name = before.trim_matches(|c: char| c.is_whitespace() || "\";,".contains(c));
        // EWKT's prefix says WGS84 at best.
        let name = if name.to_ascii_uppercase().starts_with("SRID=") { "" } else { name };
        let id = if name.is_empty() { n.to_string() } else { name.to_owned() };
        features.push(json!({"type": "Feature", "id": id, "properties": {"name": id}, "geometry": geometry}));
    }
    Ok(json!({"type": "FeatureCollection", "features": features}))
}

/// Keyword, and how deep its lists of places lie in each other. The longer word before the one it ends with.
const KINDS: [(&str, usize); 4] = [("MULTIPOLYGON", 3), ("POLYGON", 2), ("LINESTRING", 1), ("POINT", 0)];

/// Where a word stands, whatever its case: not in the middle of another.
fn find_word(text: &str, word: &str) -> Option<usize> {
    let upper = text.to_ascii_uppercase();
    let alone = |at: &usize| {
        let before = upper[..*at].chars().next_back();
        let after = upper[at + word.len()..].trim_start();
        before.is_none_or(|c| !c.is_alphanumeric())
            && (after.starts_with('(') || after.starts_with('Z') || after.starts_with('M'))
    };
    upper.match_indices(word).map(|(at, _)| at).find(alone)
}

fn shortened(text: &str) -> String {
    text.trim().chars().take(20).collect()
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn geometry(&mut self) -> Result<Value, String> {
        let upper = self.rest.to_ascii_uppercase();
        let (kind, depth) = *KINDS.iter().find(|(kind, _)| upper.starts_with(kind)).ok_or("no geometry")?;
        self.rest = self.rest[kind.len()..].trim_start();
        // Third and fourth coordinates are left out.
        self.rest = self.rest.trim_start_matches(['Z', 'M', 'z', 'm']).trim_start();
        let name = match kind {
            "MULTIPOLYGON" => "MultiPolygon",
            "POLYGON" => "Polygon",
            "LINESTRING" => "LineString",
            _ => "Point",
        };
        let coordinates = if depth == 0 {
            self.take('(')?;
            let place = self.place()?;
            self.take(')')?;
            place
        } else {
            self.list(depth)?
        };
        Ok(json!({"type": name, "coordinates": coordinates}))
    }

    fn list(&mut self, depth: usize) -> Result<Value, String> {
        self.take('(')?;
        let mut out = Vec::new();
        loop {
            out.push(if depth > 1 { self.list(depth - 1)? } else { self.place()? });
            if self.take(',').is_err() {
                self.take(')')?;
                return Ok(Value::Array(out));
            }
        }
    }

    fn take(&mut self, wanted: char) -> Result<(), String> {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.ok_or_else(|| format!("{wanted:?} expected before {:?}", shortened(self.rest)))?;
        Ok(())
    }

    fn place(&mut self) -> Result<Value, String> {
        self.rest = self.rest.trim_start();
        let end = self.rest.find([',', ')']).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        let numbers = text.split_whitespace().map(|n| n.parse::<f64>().ok()).collect::<Option<Vec<_>>>();
        let numbers = numbers.filter(|n| (2..=4).contains(&n.len()) && n.iter().all(|n| n.is_finite()));
        self.rest = rest;
        numbers.map(|n| json!([n[0], n[1]])).ok_or_else(|| format!("{:?} are not longitude and latitude", shortened(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_features() {
        let text = "POLYGON ((0 0, 1 0, 1 1, 0 0), (0.2 0.1,0.3 0.1,0.3 0.2))\n\n\
                    \"Old polygon\";SRID=4326;multipolygon z (((0 0 5, 1 0 5, 1 1 5)))\nPOINT(21.1 52.2)\n";
        let features = to_geojson(text).expect("fine")["features"].as_array().cloned().expect("features");
        let seen: Vec<_> = features.iter().map(|f| (f["id"].as_str(), f["geometry"]["type"].as_str())).collect();
        assert_eq!(seen[0], (Some("1"), Some("Polygon")));
        assert_eq!(seen[1].1, Some("MultiPolygon"));
        assert_eq!(seen[2], (Some("4"), Some("Point")));
        assert_eq!(features[1]["geometry"]["coordinates"], json!([[[[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]]]));
        assert_eq!(features[0]["geometry"]["coordinates"][1][2], json!([0.3, 0.2]));
    }

    #[test]
    fn an_error_names_its_line() {
        for (text, problem) in [
            ("POLYGON((0 0,1 0,1 1)", "line 1: ')' expected before \"\""),
            ("\nPOLYGON((0 0,1 x,1 1))", "line 2: \"1 x\" are not longitude and latitude"),
            ("CIRCLE(0 0)", "line 1: no POLYGON, MULTIPOLYGON, POINT or LINESTRING"),
            ("POINT(0 0) nonsense", "line 1: \"nonsense\" behind the geometry"),
            ("POINT(NaN 0)", "line 1: \"NaN 0\" are not longitude and latitude"),
        ] {
            assert_eq!(to_geojson(text), Err(problem.to_owned()), "{text}");
        }
    }
}
