//! How fast one device may speak. Who floods is heard more slowly: what it has sent waits on its side of the connection, nothing of
//! it is lost, and it costs the others nothing.

use crate::senders::Senders;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use waystream_domain::DeviceId;
use waystream_domain::rate::{Bucket, Rate};

/// So many seconds' worth may come at once: what a device kept while it was out of reach.
const BURST_S: f64 = 10.0;
/// Devices remembered, and at most twice as many.
const MAX_DEVICES: usize = 65_536;
/// Who has been silent for so long has said nothing lately.
const IDLE: Duration = Duration::from_secs(60);
/// A connection is left alone for no longer than this at a time.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(crate) struct Flow {
    /// `None`: as fast as they like.
    rate: Option<Rate>,
    devices: Mutex<Senders<DeviceId, Bucket>>,
}

impl Flow {
    /// So many messages of a device a second; 0: as many as it likes.
    pub(crate) fn new(per_s: u32) -> Self {
        let per_s = f64::from(per_s);
        let devices = Mutex::new(Senders::new(MAX_DEVICES, IDLE, Instant::now()));
        Self { rate: (per_s > 0.0).then_some(Rate { burst: per_s * BURST_S, per_s }), devices }
    }

    /// A device has said so many messages; for how long nothing more should be heard of it.
    pub(crate) fn said(&self, device: &DeviceId, messages: usize, now: Instant) -> Duration {
        self.with(device, now, |bucket, rate| bucket.take(rate, messages as f64, now)).unwrap_or_default().min(LONGEST_PAUSE)
    }

    /// The same, of a message of several: it says one of each, and who waits for one of them waits for all.
    pub(crate) fn said_by<'a>(&self, devices: impl IntoIterator<Item = &'a DeviceId>, now: Instant) -> Duration {
        devices.into_iter().map(|device| self.said(device, 1, now)).max().unwrap_or_default()
    }

    /// Whether one message more of all of these may be heard, where nobody can be made to wait. If not, none of them has said anything.
    pub(crate) fn has_room(&self, devices: &BTreeSet<&DeviceId>, now: Instant) -> bool {
        let is_room = |device: &DeviceId| self.with(device, now, |bucket, rate| bucket.left(rate, now) >= 1.0).unwrap_or(true);
        let have_room = devices.iter().copied().all(is_room);
        if have_room {
            self.said_by(devices.iter().copied(), now);
        }
        have_room
    }

    fn with<T>(&self, device: &DeviceId, now: Instant, what: impl FnOnce(&mut Bucket, &Rate) -> T) -> Option<T> {
        let rate = self.rate.as_ref()?;
        // What a panic left behind is at worst a device that may say more.
        let mut devices = self.devices.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bucket = devices.take(device, now).unwrap_or_else(|| Bucket::full(rate, now));
        let told = what(&mut bucket, rate);
        devices.remember(device.clone(), bucket, now);
        Some(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_floods_waits_and_nobody_else() {
        let (flow, start) = (Flow::new(10), Instant::now());
        let [flood, calm, another]: [DeviceId; 3] = ["flood", "calm", "another"].map(|id| id.parse().expect("an id"));
        assert_eq!(flow.said(&flood, 100, start), Duration::ZERO);
        assert_eq!(flow.said(&flood, 5, start), Duration::from_millis(500));
        assert_eq!(flow.said(&flood, 1_000, start), LONGEST_PAUSE);
        let has_room = |flow: &Flow, devices: &[&DeviceId], now| flow.has_room(&devices.iter().copied().collect(), now);
        assert!(!has_room(&flow, &[&flood], start) && has_room(&flow, &[&calm], start));
        assert_eq!(flow.said(&calm, 99, start), Duration::ZERO);
        // What is said of several waits for the slowest.
        assert_eq!((flow.said_by([&another], start), flow.said_by([], start)), (Duration::ZERO, Duration::ZERO));
        assert_eq!(flow.said_by([&another, &flood], start), LONGEST_PAUSE);
        // Who is not heard owes nothing for it.
        assert!(!has_room(&flow, &[&calm], start) && has_room(&flow, &[&calm], start + Duration::from_millis(110)));
        // Nor who is not heard because of another: it has said two things before.
        assert!(!has_room(&flow, &[&another, &flood], start));
        assert_eq!(flow.said(&another, 98, start), Duration::ZERO);
        assert!(has_room(&flow, &[], start));
        let free = Flow::new(0);
        assert!(free.said(&flood, 1_000_000, start).is_zero() && has_room(&free, &[&flood], start));
    }
}
