//! Devices that spoke and were refused because the catalog doesn't have them: their owners adopt them from this tray.

use crate::{DeviceId, FleetId, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::net::IpAddr;

/// So many are kept in an installation, the oldest give way: every process holds the catalog in memory, and strangers can make
/// them up.
pub const MAX_UNKNOWN_DEVICES: usize = 1_000;

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
    use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey};

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
