//! How long an organisation keeps its history, where that is less than everybody's.

use crate::{DeviceId, OrganisationId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What an organisation has said. Not part of the organisation's and the devices' own entries: whoever gives a device another name would
/// have to bring it along, and who gets the device from another organisation would get that one's wish.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retention {
    /// Its key.
    pub organisation: OrganisationId,
    /// Days by fix time; `None`: as long as everybody's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub days: Option<u32>,
    /// Days of single devices, if that is less.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub devices: BTreeMap<DeviceId, u32>,
}

impl Retention {
    /// Longest that can be said, days: a hundred years.
    pub const MOST_DAYS: u32 = 36_500;
    /// Most devices of one organisation with days of their own: the catalog is held in memory by every process.
    pub const MOST_DEVICES: usize = 10_000;

    /// An organisation that has said nothing.
    pub fn none(organisation: OrganisationId) -> Self {
        Self { organisation, days: None, devices: BTreeMap::new() }
    }
}
