//! What a browser says that it has. Most of it can wait until its view has its turn, so the hub is told at once only where a socket
//! waits for it: where thousands are told something ten times a second, their acknowledgements would be most of what the hub does.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Beside a frame's number: there is one.
const SAID: u64 = 1 << 32;

/// See the module. Shared by a socket's handlers and the hub.
#[derive(Debug, Default)]
pub(crate) struct Acked {
    /// The newest frame that the hub has not heard of, with [`SAID`]; or zero.
    newest: AtomicU64,
    is_awaited: AtomicBool,
}

impl Acked {
    /// The browser has a frame; whether the hub waits to hear of it.
    pub(crate) fn say(&self, seq: u32) -> bool {
        let mut was = self.newest.load(Ordering::SeqCst);
        // Numbers go up, and round. Handlers may overtake each other.
        while was & SAID == 0 || seq.wrapping_sub(was as u32) < u32::MAX / 2 {
            match self.newest.compare_exchange_weak(was, SAID | u64::from(seq), Ordering::SeqCst, Ordering::SeqCst) {
                Ok(_) => break,
                Err(meanwhile) => was = meanwhile,
            }
        }
        self.is_awaited.swap(false, Ordering::SeqCst)
    }

    /// What the browser has said since this was asked last.
    pub(crate) fn take(&self) -> Option<u32> {
        if self.newest.load(Ordering::SeqCst) == 0 {
            return None;
        }
        let newest = self.newest.swap(0, Ordering::SeqCst);
        (newest & SAID != 0).then_some(newest as u32)
    }

    /// The hub wants to hear of the next at once. What was said just before it has to take afterwards.
    pub(crate) fn wait(&self) {
        self.is_awaited.store(true, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_taken_once_whatever_the_order() {
        let acked = Acked::default();
        assert_eq!(acked.take(), None);
        for (said, newest) in [(vec![7, 9, 8], 9), (vec![0], 0), (vec![u32::MAX, 3], 3), (vec![3, u32::MAX], 3)] {
            said.into_iter().for_each(|seq| assert!(!acked.say(seq)));
            assert_eq!((acked.take(), acked.take()), (Some(newest), None));
        }
    }

    #[test]
    fn the_hub_is_told_once_when_it_waits() {
        let acked = Acked::default();
        acked.wait();
        assert!(acked.say(1));
        assert!(!acked.say(2));
        acked.wait();
        assert!(acked.say(1), "also of what is no news");
        assert_eq!(acked.take(), Some(2));
    }
}
