//! The acknowledgement window of one stream of frames to one socket.

use super::client::Now;
use std::collections::VecDeque;
use std::time::Duration;

/// Frames in flight at most, if they are small: as many as come in the time after which browsers acknowledge them, and in as much again for
/// the way there and back.
pub(crate) const WINDOW: usize = 12;
/// Frames of any size.
const LARGE: usize = 3;
/// With so many bytes in flight frames are not small: where a connection is slow, what waits on it gets old.
const SMALL_BYTES: usize = 32 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Window {
    /// Number and bytes.
    in_flight: VecDeque<(u32, usize)>,
    bytes: usize,
    waiting_since: Duration,
}

impl Window {
    /// Nothing is in flight.
    pub(crate) fn new(now: Now) -> Self {
        Self { waiting_since: now.up, ..Self::default() }
    }

    /// Whether so many frames more may be sent.
    pub(crate) fn has_room(&self, frames: usize) -> bool {
        let most = if self.bytes < SMALL_BYTES { WINDOW } else { LARGE };
        self.in_flight.len() + frames <= most
    }

    /// A frame of so many bytes is on its way.
    pub(crate) fn sent(&mut self, seq: u32, bytes: usize, now: Now) {
        if self.in_flight.is_empty() {
            self.waiting_since = now.up;
        }
        self.in_flight.push_back((seq, bytes));
        self.bytes += bytes;
    }

    /// The client has the frame `seq`, of whatever stream, and everything that was sent to it before.
    pub(crate) fn acknowledge(&mut self, seq: u32, now: Now) {
        // Numbers go up, and round.
        while let Some(&(first, bytes)) = self.in_flight.front()
            && seq.wrapping_sub(first) < u32::MAX / 2
        {
            self.in_flight.pop_front();
            self.bytes -= bytes;
            self.waiting_since = now.up;
        }
    }

    /// Bytes in flight.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long a frame has been waiting for its acknowledgement.
    pub(crate) fn waiting(&self, now: Now) -> Duration {
        if self.in_flight.is_empty() { Duration::ZERO } else { now.up.saturating_sub(self.waiting_since) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::Timestamp;

    const NOW: Now = Now { wall: Timestamp::from_millis(0).expect("a time"), up: Duration::ZERO };

    #[test]
    fn many_small_frames_may_be_in_flight_and_few_large_ones() {
        let mut window = Window::new(NOW);
        (0..WINDOW as u32).for_each(|seq| window.sent(seq, 1_000, NOW));
        assert!(!window.has_room(1));
        window.acknowledge(WINDOW as u32 - 1, NOW);
        (0..LARGE as u32).for_each(|seq| window.sent(100 + seq, 20_000, NOW));
        assert!(!window.has_room(1));
        window.acknowledge(100, NOW);
        assert!(window.has_room(1) && !window.has_room(2));
    }

    #[test]
    fn a_frame_of_another_stream_acknowledges_what_was_sent_before_it() {
        let mut window = Window::new(NOW);
        [u32::MAX - 1, 2, 5].into_iter().for_each(|seq| window.sent(seq, 1, NOW));
        window.acknowledge(u32::MAX - 2, NOW);
        assert_eq!(window.in_flight.len(), 3);
        window.acknowledge(3, NOW);
        assert_eq!(window.in_flight, [(5, 1)]);
        window.acknowledge(5, NOW);
        assert_eq!((window.in_flight.len(), window.bytes), (0, 0));
    }
}
