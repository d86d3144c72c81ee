//! What is remembered of senders, by their address (of datagrams) or topic: of so many, and of none that has long been silent.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// Two generations: who is heard of moves into the younger one; the older one is forgotten when the younger is full, or has lasted
/// for the idle time. So nothing is ever searched for, strangers can't fill the memory, and the newest are never forgotten.
#[derive(Debug)]
pub(crate) struct Senders<K, T> {
    /// In each generation.
    newest: usize,
    idle: Duration,
    begun: Instant,
    younger: HashMap<K, Remembered<T>>,
    older: HashMap<K, Remembered<T>>,
}

#[derive(Debug)]
struct Remembered<T> {
    what: T,
    last: Instant,
}

impl<K: Eq + Hash, T> Senders<K, T> {
    /// Remembers the `newest` senders, and at most twice as many, each until it has been silent for `idle`.
    pub(crate) fn new(newest: usize, idle: Duration, now: Instant) -> Self {
        Self { newest: newest.max(1), idle, begun: now, younger: HashMap::new(), older: HashMap::new() }
    }

    /// What is remembered of a sender that is heard of now.
    pub(crate) fn take(&mut self, address: &K, now: Instant) -> Option<T> {
        let known = self.younger.remove(address).or_else(|| self.older.remove(address))?;
        (now.saturating_duration_since(known.last) < self.idle).then_some(known.what)
    }

    /// Remembers it from now on.
    pub(crate) fn remember(&mut self, address: K, what: T, now: Instant) {
        if self.younger.len() >= self.newest || now.saturating_duration_since(self.begun) >= self.idle {
            self.older = std::mem::take(&mut self.younger);
            self.begun = now;
        }
        self.younger.insert(address, Remembered { what, last: now });
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::SocketAddr;

    const IDLE: Duration = Duration::from_secs(300);

    fn address(n: u32) -> SocketAddr {
        SocketAddr::from((std::net::Ipv4Addr::from(n), 5000))
    }

    #[test]
    fn a_sender_is_remembered_while_it_speaks_and_forgotten_when_it_is_silent() {
        let mut now = Instant::now();
        let mut senders = Senders::new(10, IDLE, now);
        senders.remember(address(1), "a", now);
        for _ in 0..5 {
            now += IDLE * 2 / 3;
            assert_eq!(senders.take(&address(1), now), Some("a"));
            assert_eq!(senders.take(&address(1), now), None);
            senders.remember(address(1), "a", now);
        }
        assert_eq!(senders.take(&address(1), now + IDLE), None);
    }

    #[test]
    fn strangers_cannot_fill_the_memory_and_the_silent_are_let_go() {
        let start = Instant::now();
        let mut senders = Senders::new(100, IDLE, start);
        for n in 0..10_000 {
            senders.remember(address(n), n, start);
            assert!(senders.younger.len() + senders.older.len() <= 200);
        }
        assert_eq!(senders.take(&address(9_999), start), Some(9_999));
        assert_eq!(senders.take(&address(9_900), start), Some(9_900));
        assert_eq!(senders.take(&address(9_799), start), None);
        // Nobody speaks but one: after twice the time nothing of the others is held.
        for n in 1..=2 {
            senders.take(&address(1), start + IDLE * n);
            senders.remember(address(1), 1, start + IDLE * n);
        }
        assert_eq!(senders.younger.len() + senders.older.len(), 1);
    }
}
