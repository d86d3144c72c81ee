//! Which tracker client speaks for a device, and to which port.

use super::world::Reporting;
use crate::trackers::Tracker;
use crate::trackers::osmand::OsmAnd;
use crate::trackers::owntracks::OwnTracks;
use crate::trackers::teltonika::Teltonika;
use std::net::SocketAddr;
use waystream_domain::DeviceId;

/// The ports of a running system that the demo's trackers report to.
#[derive(Debug, Clone)]
pub struct Sockets {
    /// TCP.
    pub teltonika: SocketAddr,
    /// HTTP.
    pub osmand: SocketAddr,
    /// MQTT.
    pub mqtt: SocketAddr,
    client: reqwest::Client,
}

impl Sockets {
    /// Trackers that report to these addresses.
    pub fn new(teltonika: SocketAddr, osmand: SocketAddr, mqtt: SocketAddr) -> Self {
        Self { teltonika, osmand, mqtt, client: reqwest::Client::new() }
    }

    /// A tracker of this kind.
    pub fn tracker(&self, reporting: Reporting, device: &DeviceId) -> Tracker {
        match reporting {
            Reporting::Teltonika => Tracker::Teltonika(Teltonika::new(self.teltonika, device.as_str())),
            Reporting::OsmAnd => Tracker::OsmAnd(OsmAnd::new(self.client.clone(), self.osmand, device.as_str())),
            Reporting::OwnTracks => Tracker::OwnTracks(Box::new(OwnTracks::new(self.mqtt, device.as_str()))),
        }
    }

    /// The tracker of a recorded device: the kind that its id fits. Only OsmAnd takes any id, and keeps milliseconds.
    pub fn for_recorded(&self, device: &DeviceId) -> Tracker {
        let imei = device.as_str().len() == 15 && device.as_str().bytes().all(|b| b.is_ascii_digit());
        self.tracker(if imei { Reporting::Teltonika } else { Reporting::OsmAnd }, device)
    }
}
