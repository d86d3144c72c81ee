//! The engine's memory, shared by organisations: while others ask too, none takes more than its share of it.

use datafusion::common::{Result, human_readable_size, resources_datafusion_err};
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::{GreedyMemoryPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::{fmt, fs, io};
use waystream_domain::OrganisationId;

/// What DataFusion calls its folders of temporary files. Who was killed has left one behind.
const TEMPORARY: &str = "datafusion-";

/// Most that a sort sets aside at its beginning, for merging what it has in memory before it writes that to a file.
const SORT_BYTES: usize = 10 << 20;

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
    /// So many bytes of memory, and of temporary files in this folder, which nobody else uses; in the system's, if there is none.
    pub(crate) fn new(limit: usize, spill_bytes: u64, spill_folder: Option<&Path>) -> Result<Self> {
        let mut disk = DiskManagerBuilder::default().with_max_temp_directory_size(spill_bytes);
        if let Some(folder) = spill_folder {
            clear(folder).map_err(DataFusionError::IoError)?;
            disk.set_mode(DiskManagerMode::Directories(vec![folder.to_owned()]));
        }
        let pool = Arc::new(GreedyMemoryPool::new(limit));
        let env = RuntimeEnvBuilder::new().with_memory_pool(pool).with_disk_manager_builder(disk).build_arc()?;
        Ok(Self { env, limit, running: Mutex::default(), organisations: Arc::default() })
    }

    /// What each of so many sorts at a time may set aside, so that all of them can begin.
    pub(crate) fn sort_bytes(&self, sorts: usize) -> usize {
        (self.limit / 4 / sorts.max(1)).min(SORT_BYTES)
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
        let share = Share { all, limit: self.limit, held: Mutex::default(), organisations };
        // Temporary files are those of all.
        let env = RuntimeEnvBuilder::from_runtime_env(&self.env).with_memory_pool(Arc::new(share)).build_arc()?;
        running.insert(organisation.clone(), Arc::downgrade(&env));
        Ok(env)
    }
}

/// Makes a folder ready: what a process that was killed has left in it goes.
fn clear(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// What one organisation may use. Alone it may use all; what it has beyond its share when another comes it keeps, but gets no more.
///
/// Three quarters are for what computes. Those that can put what they hold into files (sorts, groupings) have even parts of what
/// the others leave of it, as with DataFusion's `FairSpillPool`.
#[derive(Debug)]
struct Share {
    all: Arc<dyn MemoryPool>,
    limit: usize,
    held: Mutex<Held>,
    organisations: Arc<AtomicUsize>,
}

/// Bytes, by who holds them.
#[derive(Debug, Default)]
struct Held {
    /// How many there are that can use files.
    spillers: usize,
    spillable: usize,
    fixed: usize,
    exchanged: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Can use files.
    Spills,
    /// Can't.
    Stays,
    /// Passes rows on between threads. It could use files, but up to DataFusion 55.2 it may then wait for ever (apache/datafusion,
    /// issue 24883). So it may have as much as the share on top of that, and is not counted in what all may use: it seldom
    /// holds much. With half as much, groupings stood still on a slow machine: while one thread sorts into a file, rows for it pile up.
    Exchange,
}

impl Kind {
    fn of(consumer: &MemoryConsumer) -> Self {
        match consumer.can_spill() {
            _ if consumer.name().starts_with("RepartitionExec") => Self::Exchange,
            true => Self::Spills,
            false => Self::Stays,
        }
    }
}

impl Held {
    fn of(&mut self, kind: Kind) -> &mut usize {
        match kind {
            Kind::Spills => &mut self.spillable,
            Kind::Stays => &mut self.fixed,
            Kind::Exchange => &mut self.exchanged,
        }
    }

    /// Whether somebody who has so much already may have more.
    fn fits(&self, kind: Kind, limit: usize, has: usize, additional: usize) -> bool {
        let computing = limit - limit / 4;
        let (taken, most) = match kind {
            Kind::Spills => (has, computing.saturating_sub(self.fixed) / self.spillers.max(1)),
            Kind::Stays => (self.fixed + self.spillable, computing),
            Kind::Exchange => (self.exchanged, limit),
        };
        taken.checked_add(additional).is_some_and(|sum| sum <= most)
    }
}

impl Share {
    fn limit(&self) -> usize {
        self.limit / self.organisations.load(Ordering::Relaxed).max(1)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.organisations.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "share(used: {}, limit: {})", self.reserved(), self.limit())
    }
}

impl MemoryPool for Share {
    fn name(&self) -> &str {
        "share"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if Kind::of(consumer) == Kind::Spills {
            self.held().spillers += 1;
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if Kind::of(consumer) == Kind::Spills {
            let mut held = self.held();
            held.spillers = held.spillers.saturating_sub(1);
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        let kind = Kind::of(reservation.consumer());
        *self.held().of(kind) += additional;
        if kind != Kind::Exchange {
            self.all.grow(reservation, additional);
        }
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        let kind = Kind::of(reservation.consumer());
        {
            let mut held = self.held();
            let part = held.of(kind);
            *part = part.saturating_sub(shrink);
        }
        if kind != Kind::Exchange {
            self.all.shrink(reservation, shrink);
        }
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let (consumer, limit) = (reservation.consumer(), self.limit());
        let kind = Kind::of(consumer);
        let refused = |whose: &str, of: usize| {
            let (name, more, of) = (consumer.name(), human_readable_size(additional), human_readable_size(of));
            resources_datafusion_err!("{name} needs {more} more than is left of the {of} that {whose} may use")
        };
        let mut held = self.held();
        if !held.fits(kind, limit, reservation.size(), additional) {
            return Err(refused("the queries of an organisation", limit));
        }
        if kind != Kind::Exchange {
            self.all.try_grow(reservation, additional).map_err(|_| refused("all queries together", self.limit))?;
        }
        *held.of(kind) += additional;
        Ok(())
    }

    fn reserved(&self) -> usize {
        let held = self.held();
        held.spillable + held.fixed + held.exchanged
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.limit())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn organisations() -> (OrganisationId, OrganisationId) {
        ("acme".parse().unwrap(), "bolt".parse().unwrap())
    }

    fn reservation(env: &RuntimeEnv, name: &str, can_spill: bool) -> MemoryReservation {
        MemoryConsumer::new(name).with_can_spill(can_spill).register(&env.memory_pool)
    }

    #[test]
    fn an_organisation_alone_has_all_and_beside_others_its_share() {
        let memory = Memory::new(1_000, 1_000, None).unwrap();
        let (acme, bolt) = organisations();
        let ours = memory.of(&acme).unwrap();
        assert!(Arc::ptr_eq(&ours, &memory.of(&acme).unwrap()));
        let one = reservation(&ours, "join", false);
        one.try_grow(700).unwrap();
        let theirs = memory.of(&bolt).unwrap();
        let (two, three) = (reservation(&ours, "join", false), reservation(&theirs, "join", false));
        assert!(two.try_grow(1).is_err(), "more than its share already");
        three.try_grow(300).unwrap();
        let error = three.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("1000.0 B that all queries together may use"), "{error}");
        one.shrink(400);
        three.try_grow(75).unwrap();
        let error = three.try_grow(1).unwrap_err().to_string();
        assert!(error.contains("500.0 B that the queries of an organisation may use"), "{error}");
        drop((three, theirs));
        two.try_grow(450).unwrap();
        drop((one, two, ours));
        assert_eq!(memory.env.memory_pool.reserved(), 0);
        assert_eq!(memory.organisations.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn what_can_use_files_leaves_some_memory_to_others_like_it_and_to_exchanges() {
        let memory = Memory::new(1_000, 1_000, None).unwrap();
        let env = memory.of(&organisations().0).unwrap();
        let (one, two) = (reservation(&env, "sort", true), reservation(&env, "sort", true));
        one.try_grow(375).unwrap();
        assert!(one.try_grow(1).is_err(), "half of what may be used for computing");
        two.try_grow(375).unwrap();
        let join = reservation(&env, "join", false);
        assert!(join.try_grow(1).is_err(), "all three quarters are in use");
        let exchange = reservation(&env, "RepartitionExec[0]", true);
        exchange.try_grow(1_000).unwrap();
        assert!(exchange.try_grow(1).is_err());
        drop(two);
        join.try_grow(375).unwrap();
        assert!(one.try_grow(1).is_err(), "alone it has what the join leaves");
        drop((one, join, exchange));
        assert_eq!(env.memory_pool.reserved(), 0);
        assert_eq!(memory.env.memory_pool.reserved(), 0);
    }

    #[test]
    fn what_a_killed_process_has_left_is_gone_at_the_next_start() {
        let folder = tempfile::tempdir().unwrap();
        let (left, other) = (folder.path().join("datafusion-left"), folder.path().join("something"));
        fs::create_dir_all(&left).unwrap();
        fs::write(left.join("rows"), "rows").unwrap();
        fs::write(&other, "else").unwrap();
        let memory = Memory::new(1_000, 1_000, Some(folder.path())).unwrap();
        assert!(!left.exists() && other.exists());
        drop(memory);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
