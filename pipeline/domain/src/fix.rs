//! The few facts of a position from which trips and geofence events follow: small enough to remember hundreds per device.

use crate::{AttributeValue, LatLon, Position, Timestamp};

/// What the fold needs of a valid position, beside the geofences that hold it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fix {
    /// When.
    pub fix_time: Timestamp,
    /// Where.
    pub location: LatLon,
    /// Metres per second.
    pub speed_mps: Option<f32>,
    /// Whether the ignition is on, if the device knows.
    pub ignition: Option<bool>,
}

impl Fix {
    /// The facts of a position.
    pub fn of(position: &Position) -> Self {
        let ignition = match position.attributes.get("ignition") {
            Some(AttributeValue::Bool(on)) => Some(*on),
            _ => None,
        };
        Self { fix_time: position.fix_time, location: position.location, speed_mps: position.speed_mps, ignition }
    }
}
