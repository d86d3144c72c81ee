//! Places that organisations share fairly: none can take so many that another finds none, and each waits behind its own only.
//!
//! An organisation gets one more place only while more are free than it holds. So alone it comes to half of them, a second one to
//! half of the rest, and so on: who has none finds one free, as long as not many ask at once. If all are taken, a place that becomes
//! free goes to who holds fewest. An installation's only organisation may have all.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use waystream_domain::OrganisationId;

/// Some places, each of which somebody may hold.
#[derive(Debug, Clone)]
pub struct Places {
    shared: Arc<Mutex<Shared>>,
    total: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Shared {
    free: usize,
    /// Those that hold a place or wait for one.
    organisations: HashMap<OrganisationId, Asking>,
    /// Number of the next who asks.
    next: u64,
}

#[derive(Debug, Default)]
struct Asking {
    held: usize,
    queue: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    alone: bool,
    tell: oneshot::Sender<()>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoPlace {
    /// As many of the organisation wait as may.
    QueueFull,
    /// None became free in time.
    Late,
}

impl NoPlace {
    /// Short name, for metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Late => "late",
        }
    }
}

/// A place, as long as it is held; or one that somebody waits for.
#[derive(Debug)]
pub struct Place {
    shared: Arc<Mutex<Shared>>,
    organisation: OrganisationId,
    number: u64,
}

impl Places {
    /// So many places, and so many of each organisation that wait for one.
    pub fn new(total: usize, waiting: usize) -> Self {
        let total = total.max(1);
        let shared = Shared { free: total, organisations: HashMap::new(), next: 0 };
        Self { shared: Arc::new(Mutex::new(shared)), total, waiting }
    }

    /// Places that are held.
    pub fn held(&self) -> usize {
        self.total - lock(&self.shared).free
    }

    /// One for this organisation, if there is one now. `alone`: there is no other organisation.
    pub fn try_take(&self, organisation: &OrganisationId, alone: bool) -> Option<Place> {
        let mut shared = lock(&self.shared);
        shared.take(organisation, alone).then(|| self.place(&mut shared, organisation))
    }

    /// The same, after waiting for so long at most.
    pub async fn take(&self, organisation: &OrganisationId, alone: bool, patience: Duration) -> Result<Place, NoPlace> {
        let (place, told) = self.ask(organisation, alone)?;
        let Some(told) = told else { return Ok(place) };
        match tokio::time::timeout(patience, told).await {
            Ok(Ok(())) => Ok(place),
            // Dropped, it leaves the queue, or gives back what it has got just now.
            _ => Err(NoPlace::Late),
        }
    }

    /// A place; or one to wait for, and who tells that it may be taken.
    fn ask(&self, organisation: &OrganisationId, alone: bool) -> Result<(Place, Option<oneshot::Receiver<()>>), NoPlace> {
        let mut shared = lock(&self.shared);
        if shared.take(organisation, alone) {
            return Ok((self.place(&mut shared, organisation), None));
        }
        let waiting = shared.organisations.get(organisation).map_or(0, |asking| asking.queue.len());
        if waiting >= self.waiting {
            return Err(NoPlace::QueueFull);
        }
        let place = self.place(&mut shared, organisation);
        let (tell, told) = oneshot::channel();
        let asking = shared.organisations.entry(organisation.clone()).or_default();
        asking.queue.push_back(Waiting { number: place.number, alone, tell });
        Ok((place, Some(told)))
    }

    fn place(&self, shared: &mut Shared, organisation: &OrganisationId) -> Place {
        let number = shared.next;
        shared.next += 1;
        Place { shared: Arc::clone(&self.shared), organisation: organisation.clone(), number }
    }
}

impl Shared {
    /// Takes a place, if nobody of the organisation waits and it may have one more.
    fn take(&mut self, organisation: &OrganisationId, alone: bool) -> bool {
        let (held, waits) = match self.organisations.get(organisation) {
            Some(asking) => (asking.held, !asking.queue.is_empty()),
            None => (0, false),
        };
        let takes = !waits && may_have(held, self.free, alone);
        if takes {
            self.free -= 1;
            self.organisations.entry(organisation.clone()).or_default().held += 1;
        }
        takes
    }

    /// Hands out what is free: first to who holds fewest, then to who has waited longest.
    fn hand_out(&mut self) {
        loop {
            let free = self.free;
            let next = self.organisations.values_mut().filter_map(|asking| {
                let first = asking.queue.front()?;
                may_have(asking.held, free, first.alone).then_some(((asking.held, first.number), asking))
            });
            let Some((_, asking)) = next.min_by_key(|(order, _)| *order) else { return };
            let Some(first) = asking.queue.pop_front() else { return };
            asking.held += 1;
            self.free -= 1;
            // Who has given up meanwhile gives it back: see `Place::drop`, which waits for this lock.
            first.tell.send(()).ok();
        }
    }
}

fn may_have(held: usize, free: usize, alone: bool) -> bool {
    free > if alone { 0 } else { held }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        let Some(asking) = shared.organisations.get_mut(&self.organisation) else { return };
        match asking.queue.iter().position(|waiting| waiting.number == self.number) {
            Some(at) => drop(asking.queue.remove(at)),
            None => {
                asking.held -= 1;
                shared.free += 1;
            }
        }
        shared.hand_out();
        // Places are for those who ask now: nothing stays behind.
        let idle = |asking: &Asking| asking.held == 0 && asking.queue.is_empty();
        if shared.organisations.get(&self.organisation).is_some_and(idle) {
            shared.organisations.remove(&self.organisation);
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const LONG: Duration = Duration::from_secs(3_600);

    fn organisation(name: &str) -> OrganisationId {
        OrganisationId::new(name).unwrap()
    }

    /// Takes as many as it can get.
    fn grab(places: &Places, name: &str) -> Vec<Place> {
        std::iter::from_fn(|| places.try_take(&organisation(name), false)).collect()
    }

    #[test]
    fn however_many_one_takes_others_find_some() {
        let places = Places::new(8, 0);
        let all: Vec<_> = ["acme", "bolt", "cargo", "dart", "echo"].map(|name| grab(&places, name)).into();
        let counts: Vec<_> = all.iter().map(Vec::len).collect();
        assert_eq!((counts, places.held()), (vec![4, 2, 1, 1, 0], 8));
        drop(all);
        assert_eq!(places.held(), 0);
        assert!(lock(&places.shared).organisations.is_empty());
    }

    #[test]
    fn the_only_organisation_may_have_all() {
        let places = Places::new(3, 0);
        let acme = organisation("acme");
        let all: Vec<_> = std::iter::from_fn(|| places.try_take(&acme, true)).collect();
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn of_one_place_nobody_has_less_than_one() {
        let places = Places::new(1, 0);
        let mine = grab(&places, "acme");
        assert_eq!((mine.len(), grab(&places, "bolt").len()), (1, 0));
        drop(mine);
        assert_eq!(grab(&places, "bolt").len(), 1);
    }

    #[tokio::test]
    async fn a_place_that_becomes_free_goes_to_who_holds_fewest() {
        let places = Places::new(2, 8);
        let (acme, bolt, cargo) = (organisation("acme"), organisation("bolt"), organisation("cargo"));
        let mut mine = grab(&places, "acme");
        let theirs = grab(&places, "bolt");
        assert_eq!((mine.len(), theirs.len()), (1, 1));
        // Who has one has asked first, for more.
        let (again, mut told_again) = places.ask(&acme, false).unwrap();
        let (other, told_other) = places.ask(&cargo, false).unwrap();
        drop(theirs);
        told_other.unwrap().await.unwrap();
        assert!(told_again.as_mut().unwrap().try_recv().is_err());
        // Behind its own it waits until that is over.
        drop(mine.pop());
        told_again.unwrap().await.unwrap();
        assert!(places.try_take(&bolt, false).is_none());
        drop((again, other));
        assert_eq!(places.held(), 0);
    }

    #[tokio::test]
    async fn who_gives_up_leaves_no_place_behind() {
        let places = Places::new(1, 1);
        let (acme, bolt) = (organisation("acme"), organisation("bolt"));
        let held = places.try_take(&acme, false).unwrap();
        assert_eq!(places.take(&bolt, false, Duration::ZERO).await.unwrap_err(), NoPlace::Late);
        let (waits, told) = places.ask(&bolt, false).unwrap();
        assert_eq!(places.take(&bolt, false, LONG).await.unwrap_err(), NoPlace::QueueFull);
        // Told, and gone before it took it.
        drop(held);
        assert_eq!(places.held(), 1);
        drop((waits, told));
        assert_eq!(places.held(), 0);
        drop(places.take(&acme, false, LONG).await.unwrap());
        assert!(lock(&places.shared).organisations.is_empty());
    }

    #[tokio::test]
    async fn a_full_queue_is_in_nobody_elses_way() {
        let places = Places::new(4, 2);
        let (acme, bolt) = (organisation("acme"), organisation("bolt"));
        let mine = grab(&places, "acme");
        let waits = [places.ask(&acme, false).unwrap(), places.ask(&acme, false).unwrap()];
        assert_eq!(places.take(&acme, false, LONG).await.unwrap_err(), NoPlace::QueueFull);
        let theirs = places.take(&bolt, false, Duration::ZERO).await.unwrap();
        drop((waits, mine, theirs));
        assert_eq!(places.held(), 0);
    }
}
