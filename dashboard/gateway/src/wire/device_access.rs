//! What a device has to show to be taken for itself.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;

/// What a device has to show.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceAccessInfo {
    /// Its token, without the secret; `null`: it has none to show.
    pub token: Option<DeviceTokenInfo>,
    /// Addresses and ranges of them from which it may speak; none: from anywhere.
    pub addresses: Vec<String>,
}

/// A token of a device, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceTokenInfo {
    /// Who made it.
    pub made_by: String,
    /// When.
    pub made_at: i64,
}

/// A token of a device that was made.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceTokenAnswer {
    /// The secret. It is shown this once.
    pub token: String,
}

/// From where a device may speak.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeviceAddressesEdit {
    /// Addresses and ranges of them, such as `192.0.2.7` and `10.20.0.0/16`; none: from anywhere.
    pub addresses: Vec<String>,
}
