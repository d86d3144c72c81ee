//! Back-off for failed sign-ins, per account and per address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use waystream_domain::Timestamp;
use waystream_tls::sender;

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// The first wait; it doubles with every further failure.
const FIRST_WAIT_MS: i64 = 1_000;
/// The longest wait.
const LONGEST_WAIT_MS: i64 = 15 * 60 * 1_000;
/// One failure is forgotten for every so long without another: who shares an address with many would wait longer and longer. Who guesses all
/// the time gets six guesses an hour.
const FADE_MS: i64 = 10 * 60 * 1_000;
/// Accounts and addresses remembered; beyond it those whose wait is over are forgotten.
const REMEMBERED: usize = 10_000;
/// Characters of an account that count: no user's name is longer, but anybody may type one of many kilobytes, and it is remembered.
const LONGEST_NAME: usize = 160;

/// Remembers failures. Time is an argument.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    failures: Mutex<HashMap<Key, Failures>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Account(String),
    /// Of IPv6 a whole /64: one subscriber has all its addresses.
    Address(IpAddr),
}

impl Key {
    fn account(name: &str) -> Self {
        Self::Account(name.chars().take(LONGEST_NAME).collect())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Failures {
    count: u32,
    at: Timestamp,
    blocked_until: Timestamp,
}

impl Failures {
    fn one_more(self, now: Timestamp) -> Self {
        let faded = u32::try_from(now.millis_since(self.at).max(0) / FADE_MS).unwrap_or(u32::MAX);
        let count = self.count.saturating_sub(faded).saturating_add(1);
        Self { count, at: now, ..self }.blocked_from(now)
    }

    fn blocked_from(self, now: Timestamp) -> Self {
        let Some(doublings) = self.count.checked_sub(FREE_FAILURES) else { return self };
        let wait = FIRST_WAIT_MS.checked_shl(doublings.min(30)).unwrap_or(LONGEST_WAIT_MS).min(LONGEST_WAIT_MS);
        Self { blocked_until: self.blocked_until.max(now.plus_millis(wait)), ..self }
    }
}

/// A try that takes a while to check. It counts as failed until something else is said, so that many at once are not let through because
/// none of them has failed yet.
#[must_use]
pub(crate) struct Attempt<'a> {
    throttle: &'a Throttle,
    account: Counted,
    address: Counted,
}

/// One more failure of somebody.
struct Counted {
    key: Key,
    before: Option<Failures>,
    after: Failures,
}

impl Attempt<'_> {
    /// It failed, and that is when waiting begins.
    pub(crate) fn failed(self, now: Timestamp) {
        let mut failures = self.throttle.lock();
        for key in [&self.account.key, &self.address.key] {
            if let Some(known) = failures.get_mut(key) {
                *known = known.blocked_from(now);
            }
        }
    }

    /// It succeeded: the account's failures are forgiven, those of the address before it are not.
    pub(crate) fn succeeded(self) {
        let mut failures = self.throttle.lock();
        failures.remove(&self.account.key);
        self.address.take_back(&mut failures);
    }

    /// It came to nothing: as if it had not been.
    pub(crate) fn undone(self) {
        let mut failures = self.throttle.lock();
        self.account.take_back(&mut failures);
        self.address.take_back(&mut failures);
    }
}

impl Counted {
    fn new(failures: &mut HashMap<Key, Failures>, key: Key, now: Timestamp) -> Self {
        if failures.len() >= REMEMBERED {
            failures.retain(|_, f| f.blocked_until > now);
        }
        let before = failures.get(&key).copied();
        let after = before.unwrap_or(Failures { count: 0, at: now, blocked_until: now }).one_more(now);
        failures.insert(key.clone(), after);
        Self { key, before, after }
    }

    fn take_back(self, failures: &mut HashMap<Key, Failures>) {
        let Some(&known) = failures.get(&self.key) else { return };
        // Others may have failed meanwhile, and wait for that.
        let one_less = Failures { count: known.count.saturating_sub(1), ..known };
        let left = if known == self.after { self.before } else { Some(one_less) };
        match left {
            Some(left) => failures.insert(self.key, left),
            None => failures.remove(&self.key),
        };
    }
}

impl Throttle {
    /// Counts a try, unless it has to wait. `Err`: how many milliseconds.
    pub(crate) fn attempt(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<Attempt<'_>, i64> {
        let [account, address] = keys(account, address);
        let mut failures = self.lock();
        let wait = wait(&failures, &[&account, &address], now);
        if wait > 0 {
            return Err(wait);
        }
        let account = Counted::new(&mut failures, account, now);
        let address = Counted::new(&mut failures, address, now);
        Ok(Attempt { throttle: self, account, address })
    }

    /// `Err`: how many milliseconds to wait before trying again.
    pub(crate) fn check(&self, account: &str, address: IpAddr, now: Timestamp) -> Result<(), i64> {
        let [account, address] = keys(account, address);
        let wait = wait(&self.lock(), &[&account, &address], now);
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    /// The same for an account, from whatever address.
    pub(crate) fn check_account(&self, account: &str, now: Timestamp) -> Result<(), i64> {
        let wait = wait(&self.lock(), &[&Key::account(account)], now);
        if wait > 0 { Err(wait) } else { Ok(()) }
    }

    /// A try failed that was checked at once.
    pub(crate) fn failed(&self, account: &str, address: IpAddr, now: Timestamp) {
        let mut failures = self.lock();
        for key in keys(account, address) {
            Counted::new(&mut failures, key, now);
        }
    }

    /// The same, where nothing speaks against the address.
    pub(crate) fn failed_by_name(&self, account: &str, now: Timestamp) {
        Counted::new(&mut self.lock(), Key::account(account), now);
    }

    /// A try succeeded that was checked at once: the account's failures are forgiven.
    pub(crate) fn succeeded(&self, account: &str) {
        self.lock().remove(&Key::account(account));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Failures>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait(failures: &HashMap<Key, Failures>, keys: &[&Key], now: Timestamp) -> i64 {
    let blocked = keys.iter().filter_map(|key| failures.get(*key));
    blocked.map(|f| f.blocked_until.millis_since(now)).max().unwrap_or(0)
}

fn keys(account: &str, address: IpAddr) -> [Key; 2] {
    [Key::account(account), Key::Address(sender(address))]
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
        assert_eq!((throttle.check_account("a", at(0)), throttle.check_account("b", at(0))), (Err(1_000), Ok(())));
        throttle.failed("a", other, at(1_000));
        assert_eq!(throttle.check("a", other, at(1_000)), Err(2_000));
        assert_eq!(throttle.check("a", other, at(3_000)), Ok(()));
        for _ in 0..60 {
            throttle.failed("a", other, at(3_000));
        }
        assert_eq!(throttle.check("a", other, at(3_000)), Err(LONGEST_WAIT_MS));
        throttle.failed_by_name("a", at(3_000));
        assert_eq!(throttle.check("b", [127, 0, 0, 3].into(), at(3_000)), Ok(()));
        throttle.succeeded("a");
        assert_eq!(throttle.check("a", [127, 0, 0, 3].into(), at(3_000)), Ok(()));
    }

    #[test]
    fn failures_fade() {
        let throttle = Throttle::default();
        let address: IpAddr = [127, 0, 0, 1].into();
        // Some people of one office, each now and then.
        for n in 0..1_000 {
            assert_eq!(throttle.check("a", address, at(n * FADE_MS)), Ok(()), "{n}");
            throttle.failed(&n.to_string(), address, at(n * FADE_MS));
        }
        for _ in 0..60 {
            throttle.failed("a", address, at(1_000 * FADE_MS));
        }
        let later = at(1_000 * FADE_MS + 70 * FADE_MS);
        throttle.failed("a", address, later);
        assert_eq!(throttle.check("a", address, later), Ok(()));
    }

    #[test]
    fn tries_at_once_are_counted_before_they_are_checked() {
        let throttle = Throttle::default();
        let address: IpAddr = [127, 0, 0, 1].into();
        let mut trying: Vec<_> = (0..30).filter_map(|_| throttle.attempt("a", address, at(0)).ok()).collect();
        assert_eq!(trying.len(), 5);
        // One was right, and gives back what it has cost others.
        trying.pop().expect("five").succeeded();
        assert_eq!(throttle.check("b", address, at(0)), Ok(()));
        trying.drain(..2).for_each(Attempt::undone);
        trying.into_iter().for_each(|attempt| attempt.failed(at(500)));
        for _ in 0..2 {
            throttle.failed("c", address, at(500));
        }
        assert_eq!(throttle.check("b", address, at(500)), Ok(()), "four failures");
        throttle.failed("c", address, at(500));
        // Waiting begins when it is known that it was wrong.
        assert_eq!(throttle.check("b", address, at(500)), Err(1_000));
        throttle.attempt("b", address, at(1_500)).expect("the wait is over").failed(at(2_000));
        assert_eq!(throttle.check("b", address, at(2_000)), Err(2_000));
        // One that was right leaves no wait behind.
        throttle.attempt("d", address, at(4_000)).expect("the wait is over").succeeded();
        assert_eq!(throttle.check("d", address, at(4_000)), Ok(()));
    }

    #[test]
    fn whoever_has_many_addresses_of_ipv6_is_one() {
        let throttle = Throttle::default();
        let address = |last: u16| IpAddr::from([0x2001, 0xdb8, 0, 1, 0, 0, 0, last]);
        for n in 0..5 {
            throttle.failed(&n.to_string(), address(n), at(0));
        }
        assert_eq!(throttle.check("x", address(99), at(0)), Err(1_000));
        assert_eq!(throttle.check("x", [0x2001, 0xdb8, 0, 2, 0, 0, 0, 1].into(), at(0)), Ok(()));
    }

    #[test]
    fn memory_is_bounded_when_waits_are_over() {
        let throttle = Throttle::default();
        for i in 0..3 * REMEMBERED as i64 {
            throttle.failed(&i.to_string(), [10, (i >> 16) as u8, (i >> 8) as u8, i as u8].into(), at(i));
        }
        assert!(throttle.failures.lock().expect("not poisoned").len() <= REMEMBERED + 1);
    }

    #[test]
    fn a_name_of_many_kilobytes_costs_no_more_memory_than_one_that_may_be_somebody_s() {
        let throttle = Throttle::default();
        let address: IpAddr = [127, 0, 0, 1].into();
        let name = "é".repeat(16_000);
        throttle.failed(&name, address, at(0));
        let failures = throttle.failures.lock().expect("not poisoned");
        let bytes = failures.keys().map(|key| if let Key::Account(name) = key { name.len() } else { 0 });
        assert_eq!(bytes.sum::<usize>(), 2 * LONGEST_NAME);
        drop(failures);
        // It is counted all the same.
        for _ in 0..5 {
            throttle.failed_by_name(&name, at(0));
        }
        assert!(throttle.check_account(&name, at(0)).is_err());
    }
}
