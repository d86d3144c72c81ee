//! What changed in one epoch, per fleet: what the live map is made of.

use crate::{DeviceId, FleetId, Position, Timestamp};

/// A device's newest position with its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LivePosition {
    /// Offset in the device's partition of `positions`: grows with every newer position, so a repeat never goes back.
    pub seq: u64,
    /// The newest valid position.
    pub position: Position,
}

/// What changed in one fleet in one epoch: the latest position of each device that moved. May repeat, never goes back.
#[derive(Debug, Clone, PartialEq)]
pub struct FleetSnapshot {
    /// Whose.
    pub fleet: FleetId,
    /// When the epoch was closed.
    pub closed_at: Timestamp,
    /// Latest per device.
    pub live: Vec<LivePosition>,
    /// Devices that belong to another fleet from now on.
    pub left: Vec<DeviceId>,
}
