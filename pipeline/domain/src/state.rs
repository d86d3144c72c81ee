//! What the dataflow remembers of one device, and nothing more.

use crate::{DeviceId, FleetId, GeofenceId, LivePosition, Timestamp};

/// The memory of the fold for one device. Kept in the compacted topic `states`, keyed by device.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceState {
    /// Whose memory.
    pub device: DeviceId,
    /// Fleet of the newest position.
    pub fleet: FleetId,
    /// Newest `fix_time` seen, valid or not: a position that is not newer changes nothing live.
    pub newest_fix_time: Timestamp,
    /// Newest valid position: what the map shows.
    pub latest: Option<LivePosition>,
    /// Geofences that hold the newest valid position, sorted by id.
    pub inside: Vec<Inside>,
}

/// A geofence that the device is inside of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Inside {
    /// Which.
    pub geofence: GeofenceId,
    /// The version that decided it: another version is decided anew.
    pub version: u64,
    /// Fix time of the enter.
    pub since: Timestamp,
}
