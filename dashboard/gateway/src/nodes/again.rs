//! Messages that another gateway may have missed are sent again, and taken once: each carries who sent it and its number.

use bytes::{Buf, BufMut};
use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// So long after it was sent a message may be sent again: longer than a gateway takes to come back to Redis.
const KEPT_FOR: Duration = Duration::from_secs(30);
/// Most messages that are kept, and per message four are remembered as taken: of several gateways.
const KEPT: usize = 1_024;
const REMEMBERED: usize = KEPT * 4;
/// Bytes before the message itself: the sender and the number, 8 each.
const HEADER: usize = 16;

/// A sender's number.
pub(super) type Node = u64;

/// What this gateway has sent lately.
pub(super) struct Sent {
    node: Node,
    next: u64,
    kept: VecDeque<(Instant, (String, Vec<u8>))>,
}

impl Sent {
    pub(super) fn new(node: Node) -> Self {
        Self { node, next: 0, kept: VecDeque::new() }
    }

    /// A message as it goes over Redis.
    pub(super) fn frame(&mut self, message: &[u8]) -> Vec<u8> {
        let mut frame = Vec::with_capacity(HEADER + message.len());
        frame.put_u64(self.node);
        frame.put_u64(self.next);
        frame.extend_from_slice(message);
        self.next += 1;
        frame
    }

    /// This frame has been sent now.
    pub(super) fn keep(&mut self, channel: String, frame: Vec<u8>, now: Instant) {
        self.forget(now);
        self.kept.push_back((now, (channel, frame)));
        if self.kept.len() > KEPT {
            self.kept.pop_front();
        }
    }

    /// Frames that a gateway may have missed that has just come back, in order.
    pub(super) fn again(&mut self, now: Instant) -> Vec<(String, Vec<u8>)> {
        self.forget(now);
        self.kept.iter().map(|(_, item)| item.clone()).collect()
    }

    fn forget(&mut self, now: Instant) {
        while self.kept.front().is_some_and(|(sent, _)| now.duration_since(*sent) > KEPT_FOR) {
            self.kept.pop_front();
        }
    }
}

/// What this gateway has taken lately.
#[derive(Default)]
pub(super) struct Taken {
    known: BTreeSet<(Node, u64)>,
    in_order: VecDeque<(Node, u64)>,
}

impl Taken {
    /// The message in a frame that comes for the first time.
    pub(super) fn first<'a>(&mut self, mut frame: &'a [u8]) -> Option<&'a [u8]> {
        let from = (frame.try_get_u64().ok()?, frame.try_get_u64().ok()?);
        if !self.known.insert(from) {
            return None;
        }
        self.in_order.push_back(from);
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.known.remove(&oldest);
        }
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_again_is_taken_once() {
        let (mut a, mut b, mut taken) = (Sent::new(1), Sent::new(2), Taken::default());
        let now = Instant::now();
        let mut pass = |sent: &mut Sent, message: &[u8]| {
            let frame = sent.frame(message);
            assert_eq!(taken.first(&frame), Some(message));
            sent.keep("c".into(), frame, now);
        };
        pass(&mut a, b"x");
        pass(&mut b, b"x");
        pass(&mut a, b"");
        for (channel, frame) in a.again(now).into_iter().chain(b.again(now)) {
            assert_eq!((channel.as_str(), taken.first(&frame)), ("c", None));
        }
        assert_eq!(taken.first(b"no frame"), None);
    }

    #[test]
    fn what_is_kept_is_bounded_in_number_and_time() {
        let (mut sent, start) = (Sent::new(1), Instant::now());
        for _ in 0..KEPT * 2 {
            let frame = sent.frame(b"x");
            sent.keep("c".into(), frame, start);
        }
        assert_eq!(sent.again(start).len(), KEPT);
        assert!(sent.again(start + KEPT_FOR * 2).is_empty());
        let mut taken = Taken::default();
        for _ in 0..REMEMBERED * 2 {
            assert!(taken.first(&sent.frame(b"x")).is_some());
        }
        assert_eq!((taken.known.len(), taken.in_order.len()), (REMEMBERED, REMEMBERED));
    }
}
