//! Devices whose history is erased on request: what of it, and how far that has come.

use crate::token::{hex, sha256};
use crate::{Catalog, DeviceId, FleetId, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The history of a device is to go, or is gone. The newest of each device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    /// Its key.
    pub device: DeviceId,
    /// Who asked; `None`: whoever has a shell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrganisationId>,
    /// Only what was filed under these fleets: the device may have been another organisation's before. `None`: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleets: Option<BTreeSet<FleetId>>,
    /// What was received before then. What is reported or imported later is new.
    pub until: Timestamp,
    /// Since when the store has none of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// Why it can't be done until an operator has looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Erasure {
    /// What an organisation asks for.
    pub fn by_organisation(device: DeviceId, organisation: OrganisationId, catalog: &Catalog, until: Timestamp) -> Self {
        let fleets = catalog.fleets_of(&organisation).map(|fleet| fleet.id.clone()).collect();
        Self { device, organisation: Some(organisation), fleets: Some(fleets), until, done_at: None, problem: None }
    }

    /// Whether what the device told then goes.
    pub fn covers(&self, fleet: &FleetId, received_at: Timestamp) -> bool {
        received_at < self.until && self.concerns(fleet)
    }

    /// Whether what is filed under the fleet goes.
    pub fn concerns(&self, fleet: &FleetId) -> bool {
        self.fleets.as_ref().is_none_or(|fleets| fleets.contains(fleet))
    }

    /// Whether it is neither done nor impossible.
    pub fn is_under_way(&self) -> bool {
        self.done_at.is_none() && self.problem.is_none()
    }

    /// What stands for the device where its id must not be left behind.
    pub fn mark_of(device: &DeviceId) -> String {
        hex(&sha256(device.as_str())[..16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_later_and_what_is_filed_elsewhere_stays() {
        let (device, north): (DeviceId, FleetId) = ("van".parse().expect("id"), "north".parse().expect("id"));
        let until = Timestamp::default();
        let all = Erasure { device: device.clone(), organisation: None, fleets: None, until, done_at: None, problem: None };
        assert!(all.covers(&north, until.plus_millis(-1)) && !all.covers(&north, until));
        let own = Erasure { fleets: Some(BTreeSet::from([north.clone()])), ..all };
        assert!(own.covers(&north, until.plus_millis(-1)));
        assert!(!own.covers(&"south".parse().expect("id"), until.plus_millis(-1)));
        let mark = Erasure::mark_of(&device);
        assert!(mark.len() == 32 && !mark.contains("van"));
    }
}
