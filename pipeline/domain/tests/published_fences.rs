//! Geofences as people publish them: every file of the shared data set can be loaded, and places are where everybody knows they are.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use waystream_domain::geofence::{Checks, Defaults, PreparedGeofence, from_geojson, to_geojson};
use waystream_domain::{Geofence, LatLon};

fn load(name: &str, checks: Checks) -> Result<Vec<Geofence>, String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fences");
    let text = std::fs::read_to_string(dir.join(name)).unwrap();
    let defaults = Defaults { organisation: "org".parse().unwrap(), fleet: None, id: None, version: 1, checks };
    from_geojson(&text, &defaults).map_err(|e| e.to_string())
}

#[test]
fn every_published_file_loads_and_survives_being_written() {
    for (name, count) in [
        ("aleutians_county", 2),
        ("antimeridian_unsplit", 4),
        ("austin_neighborhoods", 70),
        ("lakes_with_islands_50m", 19),
        ("nyc_boroughs", 5),
        ("pacific_seas_50m", 8),
        ("timezones_antimeridian_10m", 14),
        ("urban_areas_50m", 2143),
        ("warsaw_districts", 18),
        ("warsaw_stop_circles", 200),
        ("world_countries_50m", 241),
    ] {
        let fences = load(&format!("{name}.geojson"), Checks::EvenOdd).unwrap();
        assert_eq!(fences.len(), count, "{name}");
        let defaults =
            Defaults { organisation: "org".parse().unwrap(), fleet: None, id: None, version: 1, checks: Checks::EvenOdd };
        assert_eq!(from_geojson(&to_geojson(&fences).to_string(), &defaults).unwrap(), fences, "{name}");
    }
}

#[test]
fn the_strict_door_takes_clean_files_and_names_the_degenerate_ring() {
    for name in ["warsaw_districts", "warsaw_stop_circles", "antimeridian_unsplit", "aleutians_county"] {
        load(&format!("{name}.geojson"), Checks::Strict).unwrap();
    }
    let error = load("timezones_antimeridian_10m.geojson", Checks::Strict).unwrap_err();
    assert!(error.contains("id tz-35-2, "), "{error}");
}

#[test]
fn rings_that_jump_over_180_hold_what_they_mean() {
    let fences = load("antimeridian_unsplit.geojson", Checks::Strict).unwrap();
    let holds = |id: &str, lat: f64, lon: f64| {
        let fence = fences.iter().find(|f| f.id.as_str() == id).unwrap();
        PreparedGeofence::new(fence).covers(LatLon::new(lat, lon).unwrap())
    };
    for (id, lat, lon, wanted) in [
        ("raw-russia", 66.5, -175.0, true),  // Chukotka, west of 180
        ("raw-russia", 66.5, 179.0, true),   // Chukotka, east of it
        ("raw-russia", 55.75, 37.62, true),  // Moscow
        ("raw-russia", 64.5, -165.4, false), // Nome
        ("raw-russia", 60.2, 24.9, false),   // Helsinki
        ("raw-fiji", -17.8, 178.0, true),    // Viti Levu
        ("raw-fiji", -16.9, -179.97, true),  // Taveuni, beyond 180
        ("raw-fiji", -17.0, 0.0, false),
        ("raw-new-zealand", -41.3, 174.8, true), // Wellington
        ("raw-antarctica", -80.0, 0.0, true),
        ("raw-antarctica", -80.0, 120.0, true),
        ("raw-antarctica", -89.9, 45.0, true),
        ("raw-antarctica", -60.0, 45.0, false),
    ] {
        assert_eq!(holds(id, lat, lon), wanted, "{id} at {lat},{lon}");
    }
}
