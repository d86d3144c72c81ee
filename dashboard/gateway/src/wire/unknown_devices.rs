//! Devices that nobody has entered, as their owners see them, and what happens to them.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::{UnknownDevice, UnknownDevicePolicy};

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

/// What happens to a device that nobody has entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownDevicePolicyName {
    /// It is taken into the installation's default fleet, if that lets it in.
    Accept,
    /// It is refused, and its owners see it in the tray.
    Tray,
    /// It is refused, and nobody sees it.
    Refuse,
}

/// What the organisation says of devices that would come into its fleets. What the installation refuses it can't let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnknownDeviceRuleInfo {
    /// What happens to them; `null`: as the installation says.
    pub policy: Option<UnknownDevicePolicyName>,
}

impl From<UnknownDevicePolicy> for UnknownDevicePolicyName {
    fn from(policy: UnknownDevicePolicy) -> Self {
        match policy {
            UnknownDevicePolicy::Accept => Self::Accept,
            UnknownDevicePolicy::Tray => Self::Tray,
            UnknownDevicePolicy::Refuse => Self::Refuse,
        }
    }
}

impl From<UnknownDevicePolicyName> for UnknownDevicePolicy {
    fn from(policy: UnknownDevicePolicyName) -> Self {
        match policy {
            UnknownDevicePolicyName::Accept => Self::Accept,
            UnknownDevicePolicyName::Tray => Self::Tray,
            UnknownDevicePolicyName::Refuse => Self::Refuse,
        }
    }
}
