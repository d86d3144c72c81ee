//! A device's report of one GNSS fix.

use crate::{Attributes, DeviceId, FleetId, LatLon, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// A device's report of one fix. Identity is (`device`, `fix_time`): the same pair again is the same position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Position {
    /// Who reported it.
    pub device: DeviceId,
    /// The fleet that the device belonged to when the report came; history stays with it.
    pub fleet: FleetId,
    /// When the fix was taken.
    pub fix_time: Timestamp,
    /// When we got it.
    pub received_at: Timestamp,
    /// Where, WGS84.
    pub location: LatLon,
    /// False if the receiver says so, or at exactly 0,0: kept in history, never moves the map, never triggers.
    pub valid: bool,
    /// Metres above the ellipsoid or sea level, as the device has it.
    pub altitude_m: Option<f32>,
    /// Over ground, metres per second.
    pub speed_mps: Option<f32>,
    /// Direction over ground, degrees clockwise from true north, 0 ≤ course < 360.
    pub course_deg: Option<f32>,
    /// Radius of uncertainty, metres.
    pub accuracy_m: Option<f32>,
    /// Name of the protocol that brought it.
    pub protocol: SmolStr,
    /// Everything else.
    pub attributes: Attributes,
}
