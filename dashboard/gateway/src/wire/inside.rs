//! How many vehicles are inside of each geofence.

use serde::{Deserialize, Serialize};
use ts_rs::TS;

/// Socket.IO `inside`, to the server: whether to be told of how many vehicles are inside of each geofence.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct InsideRequest {
    /// Begins with all counts, or ends it.
    pub on: bool,
}

/// Socket.IO `inside`, to who asked for it: once a second at most, if there is something new.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct InsideMessage {
    /// Forget all that were told before: what is not named is empty.
    pub whole: bool,
    /// Key of a geofence, and how many vehicles of the watched fleets are inside.
    pub counts: Vec<(String, usize)>,
}
