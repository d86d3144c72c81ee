//! The engine's memory, shared by organisations: while others ask too, none takes more than its share of it.

use datafusion::common::{Result, resources_datafusion_err};
use datafusion::execution::memory_pool::{
    FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, TrackConsumersPool,
};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use waystream_domain::OrganisationId;

/// Memory and temporary files of all questions together.
pub(crate) struct Memory {
    env: Arc<RuntimeEnv>,
    limit: usize,
    /// Environments of the organisations whose questions run now.
    running: Mutex<HashMap<OrganisationId, Weak<RuntimeEnv>>>,
    /// How many they are.
    organisations: Arc<AtomicUsize>,
}

impl Memory {
    /// So many bytes of memory, and of temporary files.
    pub(crate) fn new(limit: usize, spill_bytes: u64) -> Result<Self> {
        let top_consumers = NonZeroUsize::new(3).expect("three is not zero");
        let pool = TrackConsumersPool::new(FairSpillPool::new(limit), top_consumers);
        let env =
            RuntimeEnvBuilder::new().with_memory_pool(Arc::new(pool)).with_max_temp_directory_size(spill_bytes).build_arc()?;
        Ok(Self { env, limit, running: Mutex::default(), organisations: Arc::default() })
    }

    /// Where the questions of an organisation run.
    pub(crate) fn of(&self, organisation: &OrganisationId) -> Result<Arc<RuntimeEnv>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(env) = running.get(organisation).and_then(Weak::upgrade) {
            return Ok(env);
        }
        running.retain(|_, env| env.strong_count() > 0);
        let (all, organisations) = (Arc::clone(&self.env.memory_pool), Arc::clone(&self.organisations));
        organisations.fetch_add(1, Ordering::Relaxed);
        let share = Share { all, limit: self.limit, used: AtomicUsize::new(0), organisations };
        // Temporary files are those of all.
        let env = RuntimeEnvBuilder::from_runtime_env(&self.env).with_memory_pool(Arc::new(share)).build_arc()?;
        running.insert(organisation.clone(), Arc::downgrade(&env));
        Ok(env)
    }
}

/// What one organisation may use. Alone it may use all; what it has beyond its share when another comes it keeps, but gets no more.
#[derive(Debug)]
struct Share {
    all: Arc<dyn MemoryPool>,
    limit: usize,
    used: AtomicUsize,
    organisations: Arc<AtomicUsize>,
}

impl Share {
    fn limit(&self) -> usize {
        self.limit / self.organisations.load(Ordering::Relaxed).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.organisations.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "share(used: {}, limit: {})", self.used.load(Ordering::Relaxed), self.limit())
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.all.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.all.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.used.fetch_add(additional, Ordering::Relaxed);
        self.all.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.used.fetch_sub(shrink, Ordering::Relaxed);
        self.all.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let limit = self.limit();
        let grown = |used: usize| used.checked_add(additional).filter(|used| *used <= limit);
        if self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_err() {
            return Err(resources_datafusion_err!("the organisation's share of {limit} bytes has no {additional} bytes left"));
        }
        self.all.try_grow(reservation, additional).inspect_err(|_| {
            self.used.fetch_sub(additional, Ordering::Relaxed);
        })
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_organisation_alone_has_all_and_beside_others_its_share() {
        let memory = Memory::new(1_000, 1_000).unwrap();
        let (acme, bolt): (OrganisationId, OrganisationId) = ("acme".parse().unwrap(), "bolt".parse().unwrap());
        let reservation = |env: &RuntimeEnv| MemoryConsumer::new("sort").register(&env.memory_pool);
        let ours = memory.of(&acme).unwrap();
        assert!(Arc::ptr_eq(&ours, &memory.of(&acme).unwrap()));
        let one = reservation(&ours);
        one.try_grow(700).unwrap();
        let theirs = memory.of(&bolt).unwrap();
        let (two, three) = (reservation(&ours), reservation(&theirs));
        assert!(two.try_grow(1).is_err(), "more than its share already");
        three.try_grow(300).unwrap();
        assert!(three.try_grow(1).is_err(), "there is no more");
        one.shrink(400);
        three.try_grow(200).unwrap();
        assert!(three.try_grow(1).is_err(), "its share");
        drop((three, theirs));
        two.try_grow(700).unwrap();
        drop((one, two, ours));
        assert_eq!(memory.env.memory_pool.reserved(), 0);
        assert_eq!(memory.organisations.load(Ordering::Relaxed), 0);
    }
}
