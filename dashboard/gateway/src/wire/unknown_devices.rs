//! Devices that were refused, as their owners see them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::UnknownDevice;

/// A device that was refused because nobody has entered it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct UnknownDeviceInfo {
    /// What the device calls itself.
    pub id: String,
    /// What it speaks.
    pub protocol: String,
    /// Where it spoke from; `null`: a broker has passed it on.
    pub address: Option<String>,
    /// Key of the fleet where it would be if it had been accepted.
    pub fleet: String,
    /// When it was first refused.
    pub first_seen: i64,
    /// When it was refused last; told every ten minutes.
    pub last_seen: i64,
    /// How often it was refused until then, at least.
    pub times: u64,
}

impl From<&UnknownDevice> for UnknownDeviceInfo {
    fn from(device: &UnknownDevice) -> Self {
        Self {
            id: device.id.to_string(),
            protocol: device.protocol.to_string(),
            address: device.address.map(|address| address.to_string()),
            fleet: device.fleet.to_string(),
            first_seen: device.first_seen.as_millis(),
            last_seen: device.last_seen.as_millis(),
            times: device.times,
        }
    }
}
