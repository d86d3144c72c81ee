//! Which connection speaks for a device: the newest. An older one is told to close and may not answer any more. The newest can
//! be woken when there is something to say to its device.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use waystream_domain::DeviceId;

/// All devices that are connected, over all protocols: an id is a device, whatever it speaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Newest(Arc<Mutex<HashMap<DeviceId, Line>>>);

#[derive(Debug, Clone)]
struct Line {
    replaced: CancellationToken,
    wake: Arc<Notify>,
}

/// A connection's right to speak for a device; given back when dropped.
#[derive(Debug)]
pub(crate) struct Claim {
    device: DeviceId,
    replaced: CancellationToken,
    all: Newest,
}

impl Newest {
    /// Claims a device for a connection, whose token is cancelled when a newer one claims it.
    /// `wake` is notified by [`Self::wake`].
    pub(crate) fn claim(&self, device: &DeviceId, replaced: &CancellationToken, wake: &Arc<Notify>) -> Claim {
        let claim = Claim { device: device.clone(), replaced: replaced.clone(), all: self.clone() };
        let line = Line { replaced: replaced.clone(), wake: Arc::clone(wake) };
        // A map is whole between any two of its calls, so a panic elsewhere does not spoil it.
        let older = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(device.clone(), line);
        if let Some(older) = older.filter(|older| older.replaced != *replaced) {
            older.replaced.cancel();
        }
        claim
    }

    /// Wakes the connection of a device, if it has one.
    pub(crate) fn wake(&self, device: &DeviceId) {
        if let Some(line) = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(device) {
            line.wake.notify_one();
        }
    }
}

impl Claim {
    pub(crate) fn device(&self) -> &DeviceId {
        &self.device
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.get(&self.device).is_some_and(|line| line.replaced == self.replaced) {
            all.remove(&self.device);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_newest_connection_of_a_device_wins_and_leaves_nothing_behind() {
        let (newest, device) = (Newest::default(), DeviceId::new("356307042441013").unwrap());
        let (first, second) = (CancellationToken::new(), CancellationToken::new());
        let wake = Arc::new(Notify::new());
        let old = newest.claim(&device, &first, &wake);
        let new = newest.claim(&device, &second, &wake);
        assert!(first.is_cancelled() && !second.is_cancelled());
        drop(old);
        assert_eq!(newest.0.lock().unwrap().len(), 1);
        drop(new);
        assert!(newest.0.lock().unwrap().is_empty());
    }
}
