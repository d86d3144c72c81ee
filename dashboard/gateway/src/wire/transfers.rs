//! Devices that go from one organisation to another.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::Transfer;

/// A device that is offered to whoever has the code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct TransferInfo {
    /// What the device calls itself.
    pub device: String,
    /// For people.
    pub name: String,
    /// Who offers it.
    pub by: String,
    /// Since when.
    pub offered_at: i64,
    /// No longer valid from then on.
    pub expires_at: i64,
}

/// An offer that was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct NewTransferAnswer {
    /// What is kept.
    pub transfer: TransferInfo,
    /// By which the other organisation takes the device. It is shown this once.
    pub code: String,
}

/// Takes a device that another organisation has offered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TransferRedemption {
    /// As the other organisation was shown it; how it is spaced doesn't matter.
    pub code: String,
    /// What the device is called from now on, for people.
    pub name: String,
    /// Key of the fleet that it comes into.
    pub fleet: String,
}

impl TransferInfo {
    /// An offer of a device of this name.
    pub fn new(transfer: &Transfer, name: &str) -> Self {
        Self {
            device: transfer.device.to_string(),
            name: name.to_owned(),
            by: transfer.by.to_string(),
            offered_at: transfer.offered_at.as_millis(),
            expires_at: transfer.expires_at.as_millis(),
        }
    }
}
