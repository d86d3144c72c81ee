//! What is told about faulty data: every fault is counted, and logged once per kind and device in an hour.

use crate::metrics;
use crate::protocol::{Fault, FaultKind};
use crate::shown::Shown;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tracing::{info, warn};
use waystream_domain::DeviceId;

/// After this time a fault may be logged again.
const WINDOW: Duration = Duration::from_secs(3600);
/// Lines logged in one window at most: bounds the memory, and what a stranger can make us write.
const LINES_PER_WINDOW: usize = 4096;

/// Counts and logs faults. Cheap to clone; all clones share one memory.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Mutex<Window>>);

#[derive(Debug)]
struct Window {
    since: Instant,
    told: HashSet<(&'static str, FaultKind, Option<DeviceId>)>,
    suppressed: u64,
}

/// Whose fault it is.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// Name of the protocol.
    pub protocol: &'static str,
    /// The device, once it is known.
    pub device: Option<&'a DeviceId>,
    /// Where it came from; `None` for files, and over brokers.
    pub peer: Option<SocketAddr>,
    /// By what it is known to be whose it says it is.
    pub shown: Shown<'a>,
}

impl Default for Faults {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Window { since: Instant::now(), told: HashSet::new(), suppressed: 0 })))
    }
}

impl Faults {
    /// Counts a fault, and logs it if it is the first of its kind from this device.
    pub fn tell(&self, source: Source<'_>, fault: &Fault) {
        metrics::fault(source.protocol, fault.kind);
        if !self.is_news(source, fault.kind, Instant::now()) {
            return;
        }
        let (protocol, device, peer) = (source.protocol, source.device.map(DeviceId::as_str), source.peer);
        warn!(protocol, device, ?peer, kind = fault.kind.as_str(), detail = %fault.detail, "faulty data");
    }

    fn is_news(&self, source: Source<'_>, kind: FaultKind, now: Instant) -> bool {
        // The window is valid between any two of its statements, so a panic elsewhere does not spoil it.
        let mut window = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.since) >= WINDOW {
            if window.suppressed > 0 {
                info!(faults = window.suppressed, "faults were counted but not logged in the last hour");
            }
            *window = Window { since: now, told: HashSet::new(), suppressed: 0 };
        }
        let key = (source.protocol, kind, source.device.cloned());
        if window.told.contains(&key) || window.told.len() >= LINES_PER_WINDOW {
            window.suppressed += 1;
            return false;
        }
        window.told.insert(key)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn from(device: &DeviceId) -> Source<'_> {
        Source { protocol: "teltonika", device: Some(device), peer: None, shown: Shown::Nothing }
    }

    #[test]
    fn a_fault_is_news_once_per_kind_and_device_and_window() {
        let (faults, start) = (Faults::default(), Instant::now());
        let (a, b) = (DeviceId::new("a").unwrap(), DeviceId::new("b").unwrap());
        assert!(faults.is_news(from(&a), FaultKind::Checksum, start));
        assert!(!faults.is_news(from(&a), FaultKind::Checksum, start));
        assert!(faults.is_news(from(&a), FaultKind::BadTime, start));
        assert!(faults.is_news(from(&b), FaultKind::Checksum, start));
        assert!(faults.is_news(from(&a), FaultKind::Checksum, start + WINDOW + Duration::from_secs(1)));
    }

    #[test]
    fn strangers_cannot_fill_the_memory() {
        let (faults, start) = (Faults::default(), Instant::now());
        for n in 0..2 * LINES_PER_WINDOW {
            faults.is_news(from(&DeviceId::new(n.to_string()).unwrap()), FaultKind::Checksum, start);
        }
        assert_eq!(faults.0.lock().unwrap().told.len(), LINES_PER_WINDOW);
    }
}
