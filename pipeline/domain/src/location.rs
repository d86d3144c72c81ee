//! Places on WGS84, range-checked once at the door.

use geo::{Distance, Geodesic, Point};
use serde::{Deserialize, Serialize};
use std::fmt;

/// IUGG mean radius, metres: the radius of every haversine distance here.
pub const MEAN_EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A WGS84 place in fixed point, 1e-7 degree (11 mm at the equator): within ±90 / ±180 and finite by construction.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "(f64, f64)", into = "(f64, f64)")]
pub struct LatLon {
    lat_e7: i32,
    lon_e7: i32,
}

impl LatLon {
    /// Exactly 0,0: where something is whose place is not known.
    pub const NULL_ISLAND: Self = Self { lat_e7: 0, lon_e7: 0 };

    /// From degrees, rounded to 1e-7; `None` if not finite or out of range.
    pub fn new(lat_deg: f64, lon_deg: f64) -> Option<Self> {
        // NaN fails both comparisons.
        if !(lat_deg.abs() <= 90.0 && lon_deg.abs() <= 180.0) {
            return None;
        }
        Some(Self { lat_e7: (lat_deg * 1e7).round() as i32, lon_e7: (lon_deg * 1e7).round() as i32 })
    }

    /// From 1e-7 degrees; `None` if out of range.
    pub const fn from_e7(lat_e7: i32, lon_e7: i32) -> Option<Self> {
        if lat_e7.unsigned_abs() > 900_000_000 || lon_e7.unsigned_abs() > 1_800_000_000 {
            return None;
        }
        Some(Self { lat_e7, lon_e7 })
    }

    /// Latitude in degrees, north positive. Exactly the nearest double of the seven-decimal number.
    pub fn lat_deg(self) -> f64 {
        f64::from(self.lat_e7) / 1e7
    }

    /// Longitude in degrees, east positive.
    pub fn lon_deg(self) -> f64 {
        f64::from(self.lon_e7) / 1e7
    }

    /// Latitude in 1e-7 degree.
    pub const fn lat_e7(self) -> i32 {
        self.lat_e7
    }

    /// Longitude in 1e-7 degree.
    pub const fn lon_e7(self) -> i32 {
        self.lon_e7
    }

    /// Exactly 0,0: what receivers report when they have no fix.
    pub const fn is_null_island(self) -> bool {
        self.lat_e7 == 0 && self.lon_e7 == 0
    }
}

impl TryFrom<(f64, f64)> for LatLon {
    type Error = String;
    fn try_from((lat, lon): (f64, f64)) -> Result<Self, String> {
        Self::new(lat, lon).ok_or_else(|| format!("{lat},{lon} is not a place on Earth"))
    }
}

impl From<LatLon> for (f64, f64) {
    fn from(at: LatLon) -> Self {
        (at.lat_deg(), at.lon_deg())
    }
}

impl fmt::Debug for LatLon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.lat_deg(), self.lon_deg())
    }
}

/// Great-circle distance in metres on a sphere of [`MEAN_EARTH_RADIUS_M`].
pub fn haversine_m(a: LatLon, b: LatLon) -> f64 {
    haversine_degrees_m((a.lat_deg(), a.lon_deg()), (b.lat_deg(), b.lon_deg()))
}

/// The same between two (latitude, longitude) in degrees; NaN if one of them is not finite.
pub fn haversine_degrees_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b) = (a.0.to_radians(), b.0.to_radians());
    let half_dlat = (lat_b - lat_a) / 2.0;
    let half_dlon = (b.1 - a.1).to_radians() / 2.0;
    let h = half_dlat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_dlon.sin().powi(2);
    // Rounding may lift antipodes above 1; `min` would also swallow NaN.
    2.0 * MEAN_EARTH_RADIUS_M * (if h > 1.0 { 1.0 } else { h }).sqrt().asin()
}

/// Metres along the geodesic of WGS84 between two (latitude, longitude) in degrees; NaN if one of them is not a place on Earth.
pub fn geodesic_degrees_m(a: (f64, f64), b: (f64, f64)) -> f64 {
    let on_earth = |(lat, lon): (f64, f64)| lat.abs() <= 90.0 && lon.abs() <= 180.0;
    if !(on_earth(a) && on_earth(b)) {
        return f64::NAN;
    }
    Geodesic.distance(Point::new(a.1, a.0), Point::new(b.1, b.0))
}

/// Initial course of the great circle from `a` to `b`, degrees clockwise from true north, 0 ≤ course < 360.
pub fn bearing_deg(a: LatLon, b: LatLon) -> f64 {
    bearing_of_degrees_deg((a.lat_deg(), a.lon_deg()), (b.lat_deg(), b.lon_deg()))
}

/// The same between two (latitude, longitude) in degrees; NaN if one of them is not finite.
pub fn bearing_of_degrees_deg(a: (f64, f64), b: (f64, f64)) -> f64 {
    let (lat_a, lat_b, dlon) = (a.0.to_radians(), b.0.to_radians(), (b.1 - a.1).to_radians());
    let y = dlon.sin() * lat_b.cos();
    let x = lat_a.cos() * lat_b.sin() - lat_a.sin() * lat_b.cos() * dlon.cos();
    // A tiny negative angle plus 360 rounds to 360.
    let course = y.atan2(x).to_degrees().rem_euclid(360.0);
    if course >= 360.0 { 0.0 } else { course }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_on_earth_are_places() {
        assert!(LatLon::new(90.0, -180.0).is_some());
        for (lat, lon) in [(90.000_001, 0.0), (0.0, 180.000_001), (f64::NAN, 0.0), (0.0, f64::INFINITY)] {
            assert_eq!(LatLon::new(lat, lon), None);
        }
    }

    #[test]
    fn seven_decimals_come_back_as_the_same_double() {
        let at = LatLon::new(52.2421311, 21.1359898).expect("on Earth");
        assert_eq!((at.lat_deg(), at.lon_deg()), (52.2421311, 21.1359898));
    }
}
