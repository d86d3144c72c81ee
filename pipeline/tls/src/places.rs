//! How many connections each sender may have at a port.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// Who counts as one: an IPv4 address, or the 64 bits of an IPv6 address below which one subscriber has all.
pub fn sender(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

/// Places of each sender. Cheap to clone; all clones count together.
#[derive(Debug, Clone)]
pub struct Places {
    each: usize,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub struct Place {
    sender: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Places {
    /// So many for each.
    pub fn new(each: usize) -> Self {
        Self { each, taken: Arc::default() }
    }

    /// A place for a connection from this address, if its sender has one left.
    pub fn take(&self, address: IpAddr) -> Option<Place> {
        let sender = sender(address);
        // Counts are right between any two statements here, so a panic elsewhere does not spoil them.
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(sender).or_insert(0);
        if *count >= self.each {
            return None;
        }
        *count += 1;
        Some(Place { sender, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.sender) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.sender);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn whoever_has_many_addresses_of_ipv6_is_one_sender() {
        for (address, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8:0:1::1", "2001:db8:0:1::"),
            ("2001:db8:0:1:ffff::2", "2001:db8:0:1::"),
            ("2001:db8:0:2::1", "2001:db8:0:2::"),
        ] {
            assert_eq!(sender(address.parse().unwrap()).to_string(), expected);
        }
    }

    #[test]
    fn each_sender_gets_so_many_places_and_gives_them_back() {
        let places = Places::new(1);
        let take = |address: &str| places.take(address.parse().unwrap());
        let first = take("2001:db8::1").unwrap();
        assert!(take("2001:db8::2").is_none());
        let _other = take("192.0.2.1").unwrap();
        drop(first);
        assert!(take("2001:db8::2").is_some());
        assert_eq!(places.taken.lock().unwrap().len(), 1);
    }
}
