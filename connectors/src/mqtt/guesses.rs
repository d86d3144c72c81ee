//! Wrong passwords, slowed down: by name and address, so that nobody can keep a device out by guessing at it from elsewhere, and by
//! address in all. Time is an argument.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};
use waystream_domain::rate::{Bucket, Rate};
use waystream_tls::sender;

/// Failures of a name from an address that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// The first wait; it doubles with every further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(5 * 60);
/// So long after its last wait was over a failure is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(10 * 60);
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Failures of an address, whatever names it gives. Thousands of devices stand behind one.
const OF_ADDRESS: Rate = Rate { burst: 100.0, per_s: 1.0 / 3.0 };
/// Names and addresses remembered; of further ones failures cost nothing while all of these wait.
const REMEMBERED: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Guesses {
    names: HashMap<(IpAddr, String), Failures>,
    addresses: HashMap<IpAddr, Bucket>,
    forgot_at: Option<Instant>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    wait_until: Instant,
}

impl Guesses {
    /// Whether a password for this name from this address is not even looked at now.
    pub(super) fn must_wait(&self, address: IpAddr, name: &str, now: Instant) -> bool {
        let address = sender(address);
        let of_name = self.names.get(&(address, name.to_owned())).is_some_and(|failures| now < failures.wait_until);
        of_name || self.addresses.get(&address).is_some_and(|bucket| bucket.left(&OF_ADDRESS, now) < 1.0)
    }

    /// A password was wrong. Names that nobody has are counted by their address only: there is no end of them.
    pub(super) fn failed(&mut self, address: IpAddr, known_name: Option<&str>, now: Instant) {
        let address = sender(address);
        self.forget(now);
        if self.addresses.contains_key(&address) || self.addresses.len() < REMEMBERED {
            let bucket = self.addresses.entry(address).or_insert_with(|| Bucket::full(&OF_ADDRESS, now));
            bucket.take(&OF_ADDRESS, 1.0, now);
        }
        let Some(name) = known_name else { return };
        let key = (address, name.to_owned());
        if self.names.contains_key(&key) || self.names.len() < REMEMBERED {
            let failures = self.names.entry(key).or_insert(Failures { count: 0, wait_until: now });
            failures.count = failures.count.saturating_add(1);
            if let Some(doublings) = failures.count.checked_sub(FREE_FAILURES) {
                failures.wait_until = now + FIRST_WAIT.saturating_mul(1 << doublings.min(16)).min(LONGEST_WAIT);
            }
        }
    }

    /// A password was right: this name's failures are forgiven there.
    pub(super) fn succeeded(&mut self, address: IpAddr, name: &str) {
        self.names.remove(&(sender(address), name.to_owned()));
    }

    /// Looks through all of them, and therefore not with every failure.
    fn forget(&mut self, now: Instant) {
        if self.forgot_at.is_some_and(|at| now.saturating_duration_since(at) < LOOK_EVERY) {
            return;
        }
        self.forgot_at = Some(now);
        self.names.retain(|_, failures| now < failures.wait_until + FORGOTTEN_AFTER);
        self.addresses.retain(|_, bucket| bucket.left(&OF_ADDRESS, now) < OF_ADDRESS.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_passwords_make_the_name_wait_there_and_nowhere_else() {
        let (here, elsewhere) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        for _ in 1..FREE_FAILURES {
            guesses.failed(here, Some("van"), start);
            assert!(!guesses.must_wait(here, "van", start));
        }
        guesses.failed(here, Some("van"), start);
        assert!(guesses.must_wait(here, "van", start));
        assert!(!guesses.must_wait(here, "another", start) && !guesses.must_wait(elsewhere, "van", start));
        assert!(!guesses.must_wait(here, "van", start + FIRST_WAIT));
        // Twice as long, and in the end no longer than the longest.
        guesses.failed(here, Some("van"), start);
        assert!(guesses.must_wait(here, "van", start + FIRST_WAIT) && !guesses.must_wait(here, "van", start + 2 * FIRST_WAIT));
        for _ in 0..50 {
            guesses.failed(here, Some("van"), start);
        }
        assert!(!guesses.must_wait(here, "van", start + LONGEST_WAIT));
        guesses.succeeded(here, "van");
        assert!(!guesses.must_wait(here, "van", start));
    }

    #[test]
    fn an_address_that_tries_many_names_waits_and_what_is_remembered_is_bounded() {
        let (mut guesses, start) = (Guesses::default(), Instant::now());
        let spy: IpAddr = "2001:db8::1".parse().expect("an address");
        for _ in 0..100 {
            assert!(!guesses.must_wait(spy, "van", start));
            guesses.failed(spy, None, start);
        }
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        assert!(guesses.must_wait(spy, "van", start) && guesses.must_wait(neighbour, "van", start));
        assert!(!guesses.must_wait(spy, "van", start + Duration::from_secs(4)));
        for n in 0..2 * REMEMBERED as u32 {
            guesses.failed(IpAddr::from(n.to_be_bytes()), Some("van"), start);
        }
        assert!(guesses.names.len() <= REMEMBERED && guesses.addresses.len() <= REMEMBERED);
        guesses.failed(spy, Some("van"), start + LONGEST_WAIT + FORGOTTEN_AFTER);
        assert_eq!((guesses.names.len(), guesses.addresses.len()), (1, 1));
    }
}
