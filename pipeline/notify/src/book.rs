//! What is to be delivered: by channel and time, a few at once per channel, so that one that is slow holds up only itself.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use waystream_domain::notify::{Delivery, DeliveryState};
use waystream_domain::{ChannelId, DeliveryId, Timestamp};

/// Attempts at a time over one channel.
pub(crate) const AT_ONCE_PER_CHANNEL: usize = 4;
/// Attempts at a time in all.
pub(crate) const AT_ONCE: usize = 256;
/// A correction waits for what it corrects, and looks again after so many milliseconds.
const LOOK_AGAIN_MS: i64 = 2_000;

/// Deliveries that are neither delivered nor dead. It learns of every change from the log only, also of those that this process
/// makes, so changes come in one order.
#[derive(Debug, Default)]
pub(crate) struct Book {
    open: HashMap<DeliveryId, Open>,
    channels: BTreeMap<ChannelId, Queue>,
    trying: usize,
}

#[derive(Debug)]
struct Open {
    delivery: Delivery,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In the queue of its channel, at this time.
    Queued(Timestamp),
    /// Being tried, until the log says what came of it.
    Trying,
    /// Another process tries it.
    Elsewhere,
}

#[derive(Debug, Default)]
struct Queue {
    due: BTreeSet<(Timestamp, DeliveryId)>,
    open: usize,
    trying: usize,
}

impl Book {
    /// Takes in a record of the log. `mine`: this process tries it.
    pub(crate) fn apply(&mut self, delivery: Delivery, mine: bool) {
        if self.open.get(&delivery.id).is_some_and(|known| !known.delivery.may_become(&delivery)) {
            return;
        }
        self.remove(&delivery.id);
        let DeliveryState::Pending { next_try_at, .. } = delivery.state else { return };
        let queue = self.channels.entry(delivery.channel.clone()).or_default();
        queue.open += 1;
        let place = if mine { Place::Queued(next_try_at) } else { Place::Elsewhere };
        if mine {
            queue.due.insert((next_try_at, delivery.id.clone()));
        }
        self.open.insert(delivery.id.clone(), Open { delivery, place });
    }

    /// Forgets a delivery.
    pub(crate) fn remove(&mut self, id: &DeliveryId) {
        let Some(Open { delivery, place }) = self.open.remove(id) else { return };
        let Some(queue) = self.channels.get_mut(&delivery.channel) else { return };
        queue.open -= 1;
        match place {
            Place::Queued(at) => drop(queue.due.remove(&(at, delivery.id))),
            Place::Trying => {
                queue.trying -= 1;
                self.trying -= 1;
            }
            Place::Elsewhere => {}
        }
        if queue.open == 0 {
            self.channels.remove(&delivery.channel);
        }
    }

    /// How many wait for a channel.
    pub(crate) fn waiting_for(&self, channel: &ChannelId) -> usize {
        self.channels.get(channel).map_or(0, |queue| queue.open)
    }

    /// How many wait, and how many are being tried.
    pub(crate) fn counts(&self) -> (usize, usize) {
        (self.open.len(), self.trying)
    }

    /// When the next one may be tried.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        if self.trying >= AT_ONCE {
            return None;
        }
        let ready = self.channels.values().filter(|queue| queue.trying < AT_ONCE_PER_CHANNEL);
        ready.filter_map(|queue| queue.due.first().map(|(at, _)| *at)).min()
    }

    /// Those that may be tried now; they are being tried from now on.
    pub(crate) fn take_due(&mut self, now: Timestamp) -> Vec<Delivery> {
        let mut taken = Vec::new();
        for queue in self.channels.values_mut() {
            while queue.trying < AT_ONCE_PER_CHANNEL && self.trying < AT_ONCE {
                let Some((at, id)) = queue.due.pop_first_if(now) else { break };
                let before = self.open.get(&id).and_then(|open| open.delivery.earlier_turn());
                let blocked = before.is_some_and(|before| self.open.contains_key(&before));
                let Some(open) = self.open.get_mut(&id) else { continue };
                debug_assert_eq!(open.place, Place::Queued(at));
                if blocked {
                    let later = now.plus_millis(LOOK_AGAIN_MS);
                    open.place = Place::Queued(later);
                    queue.due.insert((later, id));
                    continue;
                }
                open.place = Place::Trying;
                queue.trying += 1;
                self.trying += 1;
                taken.push(open.delivery.clone());
            }
        }
        taken
    }
}

trait PopFirstIf {
    fn pop_first_if(&mut self, now: Timestamp) -> Option<(Timestamp, DeliveryId)>;
}

impl PopFirstIf for BTreeSet<(Timestamp, DeliveryId)> {
    fn pop_first_if(&mut self, now: Timestamp) -> Option<(Timestamp, DeliveryId)> {
        if self.first().is_some_and(|(at, _)| *at <= now) { self.pop_first() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use waystream_domain::notify::{Content, Outcome, Retries};

    fn at(ms: i64) -> Timestamp {
        Timestamp::default().plus_millis(ms)
    }

    fn test(id: &str, channel: &str) -> Delivery {
        Delivery {
            id: id.parse().expect("id"),
            organisation: "o".parse().expect("id"),
            channel: channel.parse().expect("id"),
            content: Content::Test { by: "admin".parse().expect("id") },
            matched_at: at(0),
            round: 0,
            attempts: 0,
            changed_at: at(0),
            state: DeliveryState::Pending { next_try_at: at(0), last_error: None },
        }
    }

    fn ids(taken: &[Delivery]) -> Vec<&str> {
        taken.iter().map(|d| d.id.as_str()).collect()
    }

    #[test]
    fn a_channel_that_is_slow_holds_up_only_itself() {
        let mut book = Book::default();
        for n in 0..10 {
            book.apply(test(&format!("slow-{n}"), "a"), true);
        }
        book.apply(test("other", "b"), true);
        assert_eq!(ids(&book.take_due(at(0))), ["slow-0", "slow-1", "slow-2", "slow-3", "other"]);
        assert_eq!((book.next_due(), book.counts()), (None, (11, 5)));
        book.apply(test("another", "b"), true);
        assert_eq!(ids(&book.take_due(at(0))), ["another"]);
        let done = test("slow-2", "a").after(Outcome::Delivered, &Retries::default(), at(5), 0.5);
        book.apply(done, true);
        assert_eq!(ids(&book.take_due(at(5))), ["slow-4"]);
        assert_eq!((book.waiting_for(&"a".parse().expect("id")), book.counts()), (9, (11, 6)));
    }

    #[test]
    fn what_failed_comes_again_when_it_is_time_and_an_old_word_changes_nothing() {
        let mut book = Book::default();
        book.apply(test("x", "a"), true);
        assert_eq!(book.take_due(at(0)).len(), 1);
        let failed = Outcome::Failed { reason: "busy".into(), after_ms: None };
        let again = test("x", "a").after(failed, &Retries::default(), at(0), 0.5);
        book.apply(again.clone(), true);
        book.apply(test("x", "a"), true);
        assert_eq!((book.next_due(), book.take_due(at(29_999))), (Some(at(30_000)), vec![]));
        assert_eq!(book.take_due(at(30_000)), std::slice::from_ref(&again));
        // Its own record read once more does not let it be tried twice at a time.
        book.apply(again, true);
        assert_eq!(book.take_due(at(90_000)), []);
    }

    #[test]
    fn others_try_theirs() {
        let mut book = Book::default();
        book.apply(test("x", "a"), false);
        assert_eq!((book.next_due(), book.take_due(at(0))), (None, vec![]));
        assert_eq!(book.waiting_for(&"a".parse().expect("id")), 1);
        book.remove(&"x".parse().expect("id"));
        assert_eq!(book.counts(), (0, 0));
    }
}
