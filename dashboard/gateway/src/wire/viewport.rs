//! What of the map a browser shows, for fleets that are too many vehicles to be told of one by one.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Socket.IO `viewport`: the part of the map to be told of, in the usual square tiles of Web Mercator: at zoom z the world is 2^z wide
/// and high. It only counts while the watched fleets have more vehicles than the gateway tells a browser one by one; so any
/// program may do without. Then it gets all vehicles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS)]
#[serde(deny_unknown_fields)]
pub struct Viewport {
    /// 0 to 22.
    pub zoom: u8,
    /// Westernmost column, below 2^zoom.
    pub x: u32,
    /// Northernmost row, below 2^zoom.
    pub y: u32,
    /// Columns; those beyond the antimeridian begin again at 0.
    pub w: u32,
    /// Rows. At most 320 tiles in all.
    pub h: u32,
}

/// Socket.IO `only`: where not all vehicles are told of (see [`DetailMessage`]), those of one of the watched fleets are, and cells count
/// them only. Alerts and followed vehicles come as before.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct OnlyRequest {
    /// Key of the fleet; `null`: all that are watched.
    pub fleet: Option<String>,
}

/// Socket.IO `detail`: the watched fleets have grown or shrunk so far that something else is told of them.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct DetailMessage {
    /// All vehicles are told of; else those in the viewport, or counted cells of it, and those that are followed.
    pub whole: bool,
}
