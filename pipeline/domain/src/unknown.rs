//! Devices that spoke and that the catalog doesn't have: what happens to them, and the tray from which their owners adopt those that were
//! refused.

use crate::{Catalog, DeviceId, FleetId, OrganisationId, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::net::IpAddr;

/// So many are kept in an installation, the oldest give way: every process holds the catalog in memory, and strangers can make
/// them up.
pub const MAX_UNKNOWN_DEVICES: usize = 1_000;

/// What happens to a device that nobody has entered. In the order of how little is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownDevicePolicy {
    /// It is put into the catalog.
    Accept,
    /// It is refused, and its owners see it in the tray.
    Tray,
    /// It is refused, and nobody is told.
    Refuse,
}

/// What an organisation has said of devices that would come into its fleets. No part of the organisation's own entry: whoever gives that
/// another name would have to bring it along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownDeviceRule {
    /// Its key.
    pub organisation: OrganisationId,
    /// What happens to them, unless the installation lets in less.
    pub policy: UnknownDevicePolicy,
}

impl Catalog {
    /// What happens to an unknown device that would come into this fleet: as the installation says, or the fleet's organisation, whichever
    /// lets in less.
    pub fn unknown_device_policy(&self, fleet: &FleetId, installation: UnknownDevicePolicy) -> UnknownDevicePolicy {
        let rule = self.fleets.get(fleet).and_then(|fleet| self.unknown_device_rules.get(&fleet.organisation));
        rule.map_or(installation, |rule| rule.policy.max(installation))
    }
}

/// A device that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnknownDevice {
    /// Its key: what it calls itself, which is its id once it is adopted.
    pub id: DeviceId,
    /// Other forms of its id, under any of which the catalog may come to know it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<DeviceId>,
    /// Where it would be if it had been accepted; the organisation of that fleet sees it.
    pub fleet: FleetId,
    /// What it speaks.
    pub protocol: SmolStr,
    /// Where it spoke from; `None`: a broker has passed it on.
    pub address: Option<IpAddr>,
    /// When it was first refused.
    pub first_seen: Timestamp,
    /// When it was refused last, as far as that is written down: it is every ten minutes.
    pub last_seen: Timestamp,
    /// How often it was refused until then, at least.
    pub times: u64,
    /// Its owners have seen it and don't want to see it again.
    #[serde(default)]
    pub dismissed: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{Device, Fleet};
    use crate::{CatalogEdit, CatalogEntry, CatalogKey};

    fn unknown(id: &str, fleet: &str) -> UnknownDevice {
        UnknownDevice {
            id: id.parse().expect("id"),
            aliases: vec![format!("{id}-with-check-digit").parse().expect("id")],
            fleet: fleet.parse().expect("id"),
            protocol: "gt06".into(),
            address: Some(IpAddr::from([203, 0, 113, 7])),
            first_seen: Timestamp::default(),
            last_seen: Timestamp::default().plus_millis(600_000),
            times: 12,
            dismissed: false,
        }
    }

    #[test]
    fn an_unknown_device_and_its_key_survive_as_text() {
        let entry = CatalogEntry::UnknownDevice(unknown("jane/phone", "north"));
        let json = serde_json::to_string(&entry).expect("JSON");
        assert_eq!(serde_json::from_str::<CatalogEntry>(&json).expect("reads"), entry);
        let key = entry.key();
        assert_eq!(key.to_string(), "unknown_device/jane/phone");
        assert_eq!(CatalogKey::parse(&key.to_string()), Some(key));
    }

    #[test]
    fn of_installation_and_organisation_counts_who_lets_in_less() {
        use UnknownDevicePolicy::{Accept, Refuse, Tray};
        let mut catalog = Catalog::default();
        let (north, ours) = ("north".parse::<FleetId>().expect("id"), "ours".parse::<OrganisationId>().expect("id"));
        let nobodys: FleetId = "nobody-s".parse().expect("id");
        let fleet = Fleet { id: north.clone(), organisation: ours.clone(), name: "N".into(), rules: Default::default() };
        catalog.apply(CatalogEdit::Put(CatalogEntry::Fleet(fleet)));
        let of = |catalog: &Catalog, installation| catalog.unknown_device_policy(&north, installation);
        assert_eq!([Accept, Tray].map(|installation| of(&catalog, installation)), [Accept, Tray]);
        for (said, counts) in [(Accept, [Accept, Tray]), (Tray, [Tray, Tray]), (Refuse, [Refuse, Refuse])] {
            let rule = CatalogEntry::UnknownDeviceRule(UnknownDeviceRule { organisation: ours.clone(), policy: said });
            let key = rule.key();
            assert_eq!(CatalogKey::parse(&key.to_string()), Some(key.clone()));
            catalog.apply(CatalogEdit::Put(rule.clone()));
            assert_eq!(catalog.get(&key), Some(rule));
            assert_eq!([Accept, Tray].map(|installation| of(&catalog, installation)), counts);
            assert_eq!(catalog.unknown_device_policy(&nobodys, Accept), Accept);
            catalog.apply(CatalogEdit::Remove(key));
        }
        assert_eq!(of(&catalog, Accept), Accept);
    }

    #[test]
    fn an_organisation_sees_its_own_that_nobody_has_adopted_or_dismissed() {
        let mut catalog = Catalog::default();
        let mut put = |entry| catalog.apply(CatalogEdit::Put(entry));
        for (fleet, organisation) in [("north", "ours"), ("their", "theirs")] {
            let (id, organisation) = (fleet.parse().expect("id"), organisation.parse().expect("id"));
            put(CatalogEntry::Fleet(Fleet { id, organisation, name: fleet.into(), rules: Default::default() }));
        }
        for device in [unknown("a", "north"), unknown("b", "north"), unknown("c", "their"), unknown("d", "nobody's")] {
            put(CatalogEntry::UnknownDevice(device));
        }
        put(CatalogEntry::UnknownDevice(UnknownDevice { dismissed: true, ..unknown("e", "north") }));
        let seen = |catalog: &Catalog, organisation: &str| {
            let organisation = organisation.parse().expect("id");
            catalog.unknown_devices_of(&organisation).map(|device| device.id.to_string()).collect::<Vec<_>>()
        };
        assert_eq!(seen(&catalog, "ours"), ["a", "b"]);
        assert_eq!(seen(&catalog, "theirs"), ["c"]);
        // However it has come into the catalog, and under whichever of its ids.
        for id in ["a", "b-with-check-digit"] {
            let device = Device { id: id.parse().expect("id"), fleet: "north".parse().expect("id"), name: id.into() };
            catalog.apply(CatalogEdit::Put(CatalogEntry::Device(device)));
        }
        assert!(seen(&catalog, "ours").is_empty());
        let key = CatalogKey::UnknownDevice("c".parse().expect("id"));
        assert!(catalog.knows(&key));
        catalog.apply(CatalogEdit::Remove(key.clone()));
        assert!(!catalog.knows(&key));
    }
}
