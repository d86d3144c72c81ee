//! The acknowledgement window of one stream of frames to one socket.

use super::client::Now;
use std::collections::VecDeque;
use std::time::Duration;

/// Frames in flight at most.
pub(crate) const WINDOW: usize = 3;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window {
    in_flight: VecDeque<u32>,
    waiting_since: Duration,
}

impl Window {
    /// Nothing is in flight.
    pub(crate) fn new(now: Now) -> Self {
        Self { in_flight: VecDeque::new(), waiting_since: now.up }
    }

    /// Whether so many frames more may be sent.
    pub(crate) fn has_room(&self, frames: usize) -> bool {
        self.in_flight.len() + frames <= WINDOW
    }

    /// A frame is on its way.
    pub(crate) fn sent(&mut self, seq: u32, now: Now) {
        if self.in_flight.is_empty() {
            self.waiting_since = now.up;
        }
        self.in_flight.push_back(seq);
    }

    /// The client has `seq`, and everything of this stream sent before it.
    pub(crate) fn acknowledge(&mut self, seq: u32, now: Now) {
        if let Some(at) = self.in_flight.iter().position(|&s| s == seq) {
            self.in_flight.drain(..=at);
            self.waiting_since = now.up;
        }
    }

    /// How long a frame has been waiting for its acknowledgement.
    pub(crate) fn waiting(&self, now: Now) -> Duration {
        if self.in_flight.is_empty() { Duration::ZERO } else { now.up.saturating_sub(self.waiting_since) }
    }
}
