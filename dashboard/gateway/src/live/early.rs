//! Crossings of vehicles that no position has been seen of yet. Events and positions come by different ways, and either may be first: a
//! vehicle whose first fix is inside of a geofence would be counted outside until it has left and come back.

use std::collections::HashMap;
use waystream_domain::{DeviceId, Event, EventKind};

/// Events that may wait. A position follows soon, so they are few; if they are not, their vehicles never come, and all are forgotten.
const MAX_WAITING: usize = 16_384;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Early {
    by_device: HashMap<DeviceId, Vec<Event>>,
    waiting: usize,
}

impl Early {
    /// Something happened to a vehicle that is not known.
    pub(crate) fn note(&mut self, event: &Event) {
        if event.geofence.is_none() || !matches!(event.kind, EventKind::Enter | EventKind::Exit) {
            return;
        }
        if self.waiting >= MAX_WAITING {
            tracing::warn!(events = self.waiting, "crossings of vehicles without a position are forgotten");
            *self = Self::default();
        }
        self.by_device.entry(event.device.clone()).or_default().push(event.clone());
        self.waiting += 1;
    }

    /// What happened to it, in order; it is known from now on.
    pub(crate) fn take(&mut self, device: &DeviceId) -> Vec<Event> {
        let events = self.by_device.remove(device).unwrap_or_default();
        self.waiting -= events.len();
        events
    }
}
