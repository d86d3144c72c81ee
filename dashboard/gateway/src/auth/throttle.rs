//! Back-off for failed sign-ins, per account and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use waystream_domain::Timestamp;

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// The first wait; it doubles with every further failure.
const FIRST_WAIT_MS: i64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;
/// Accounts and addresses remembered; beyond it those whose wait is over are forgotten.
const REMEMBERED: usize = 10_000;

/// Remembers failures. Time is an argument.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    Address(IpAddr),
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    blocked_until: Timestamp,
}

impl Throttle {
    /// `Err`: how many milliseconds to wait before trying again.
    pub(crate) fn check(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<(), i64> {
        self.check_keys(&keys(account, address), now)
    }

    /// The same where the account alone counts: it is known who asks.
    pub(crate) fn check_account(&self, account: &str, now: Timestamp) -> Result<(), i64> {
        self.check_keys(&[Key::Account(account.to_owned())], now)
    }

    fn check_keys(&self, keys: &[Key], now: Timestamp) -> Result<(), i64> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let wait =
            keys.iter().filter_map(|key| failures.get(key)).map(|f| f.blocked_until.millis_since(now)).max().unwrap_or(0);
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    /// A sign-in failed.
    pub(crate) fn failed(&self, account: &str, address: IpAddr, now: Timestamp) {
        self.failed_keys(keys(account, address), now);
    }

    /// The same of an account, wherever it asks from.
    pub(crate) fn failed_account(&self, account: &str, now: Timestamp) {
        self.failed_keys([Key::Account(account.to_owned())], now);
    }

    fn failed_keys<const N: usize>(&self, keys: [Key; N], now: Timestamp) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= REMEMBERED {
            failures.retain(|_, f| f.blocked_until > now);
        }
        for key in keys {
            let entry = failures.entry(key).or_insert(Failures { count: 0, blocked_until: now });
            entry.count = entry.count.saturating_add(1);
            if let Some(doublings) = entry.count.checked_sub(FREE_FAILURES) {
                let wait = FIRST_WAIT_MS.checked_shl(doublings.min(30)).unwrap_or(LONGEST_WAIT_MS).min(LONGEST_WAIT_MS);
                entry.blocked_until = now.plus_millis(wait);
            }
        }
    }

    /// A sign-in succeeded: the account's failures are forgiven, those of the address are not.
    pub(crate) fn succeeded(&self, account: &str) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&Key::Account(account.to_owned()));
    }
}

fn keys(account: &str, address: IpAddr) -> [Key; 2] {
    [Key::Account(account.to_owned()), Key::Address(address)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).expect("a time")
    }

    #[test]
    fn waits_double_and_end() {
        let throttle = Throttle::default();
        let address: IpAddr = [127, 0, 0, 1].into();
        let other: IpAddr = [127, 0, 0, 2].into();
        for _ in 0..4 {
            throttle.failed("a", address, at(0));
        }
        assert_eq!(throttle.check("a", address, at(0)), Ok(()));
        throttle.failed("a", address, at(0));
        assert_eq!(throttle.check("a", other, at(0)), Err(1_000));
        assert_eq!(throttle.check("b", address, at(400)), Err(600));
        assert_eq!(throttle.check("b", other, at(0)), Ok(()));
        throttle.failed("a", other, at(1_000));
        assert_eq!(throttle.check("a", other, at(1_000)), Err(2_000));
        assert_eq!(throttle.check("a", other, at(3_000)), Ok(()));
        for _ in 0..60 {
            throttle.failed("a", other, at(3_000));
        }
        assert_eq!(throttle.check("a", other, at(3_000)), Err(LONGEST_WAIT_MS));
        throttle.succeeded("a");
        assert_eq!(throttle.check("a", [127, 0, 0, 3].into(), at(3_000)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_when_waits_are_over() {
        let throttle = Throttle::default();
        for i in 0..3 * REMEMBERED as i64 {
            throttle.failed(&i.to_string(), [10, (i >> 16) as u8, (i >> 8) as u8, i as u8].into(), at(i));
        }
        assert!(throttle.failures.lock().expect("not poisoned").len() <= REMEMBERED + 1);
    }
}
