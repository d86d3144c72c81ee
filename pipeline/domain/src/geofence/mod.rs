//! Geofences: named areas that a device enters and exits.
//!
//! The way of an area: [`geojson`] reads it ([`kml`] and [`wkt`] are made GeoJSON first), [`validate`] checks it and makes it planar (`rings`, `crossings`), [`prepared`]
//! makes it fast to ask, [`index`] finds the ones that hold a place.

mod crossings;
pub mod geojson;
pub mod index;
pub mod kml;
mod nearness;
pub mod prepared;
mod rings;
pub mod rules;
mod segment;
pub mod validate;
pub mod wkt;

pub use geojson::{Defaults, from_geojson, from_text, to_geojson};
pub use index::{GeofenceIndex, IndexEdit, Touched};
pub use prepared::PreparedGeofence;
pub use rules::{FenceRules, Schedule, ScheduleText};
pub use validate::{Checks, Flaw};

use crate::{FleetId, GeofenceId, LatLon, OrganisationId};
use serde::{Deserialize, Serialize};

/// A named area of one organisation. Its shape has been checked: see [`Shape`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Geofence {
    /// Its key.
    pub id: GeofenceId,
    /// Owner.
    pub organisation: OrganisationId,
    /// Only for this fleet; `None`: for all fleets of the organisation.
    pub fleet: Option<FleetId>,
    /// Under which it is listed and shown together with others; `None`: under none.
    #[serde(default)]
    pub group: Option<String>,
    /// For people.
    pub name: String,
    /// Grows with every edit (milliseconds of the edit); events carry it.
    pub version: u64,
    /// The area.
    pub shape: Shape,
    /// `#rrggbb` on the map; `None`: the map chooses.
    pub colour: Option<String>,
    /// When being inside counts.
    #[serde(default)]
    pub rules: FenceRules,
}

/// The area of a geofence. Boundary counts as inside; holes are outside, their boundary inside.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Shape {
    /// One or more polygons with holes; edges are straight in longitude and latitude and cross no ±180 meridian.
    Polygons {
        /// Each with its outer ring first.
        polygons: Vec<Polygon>,
    },
    /// All places within `radius_m` (geodesic, WGS84) of the centre.
    Circle {
        /// Middle.
        centre: LatLon,
        /// More than zero, at most [`validate::MAX_RADIUS_M`].
        radius_m: f64,
    },
    /// All places within half of `width_m` of a line, for a road or a route.
    Corridor {
        /// At least two places; straight in longitude and latitude from one to the next, the shorter way round the Earth.
        line: Vec<LatLon>,
        /// More than zero, at most [`validate::MAX_WIDTH_M`].
        width_m: f64,
    },
}

/// Rings of places, each closed (first = last), outer first, then holes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polygon {
    /// At least four places each.
    pub rings: Vec<Vec<LatLon>>,
}
