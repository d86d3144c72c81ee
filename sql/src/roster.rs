//! Devices by number.

use std::collections::BTreeSet;
use std::sync::Arc;
use waystream_domain::DeviceId;

/// Devices in order, each once: its place stands for a device where there are many rows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roster {
    devices: Arc<[DeviceId]>,
}

impl Roster {
    /// Of which device a place is.
    pub fn device(&self, place: u32) -> Option<&DeviceId> {
        self.devices.get(place as usize)
    }

    /// The place of a device.
    pub fn place(&self, device: &str) -> Option<u32> {
        let place = self.devices.binary_search_by(|known| known.as_str().cmp(device)).ok()?;
        u32::try_from(place).ok()
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.devices.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }
}

impl FromIterator<DeviceId> for Roster {
    fn from_iter<I: IntoIterator<Item = DeviceId>>(devices: I) -> Self {
        Self { devices: devices.into_iter().collect::<BTreeSet<_>>().into_iter().collect() }
    }
}
