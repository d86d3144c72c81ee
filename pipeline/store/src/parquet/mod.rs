//! The embedded store: recent rows in memory, the rest in sorted Parquet files by UTC day of fix time.
//!
//! ```text
//! store/
//!   manifest.json                       which files there are, and how far they cover the log
//!   positions/2026-03-04-000017.parquet
//!   events/2026-03-000018.parquet       days with few rows share a file: a month's, a year's, or one of several years
//!   lock
//! ```
//!
//! Rows in memory are not durable: they are in the log, from where the archive appends them again after a restart, because the manifest
//! says which offsets the files cover. Files are never changed; compaction writes new ones and swaps them in the manifest, and readers
//! keep the files they began with until they are done.

mod compact;
mod count_exec;
#[cfg(test)]
mod crash_tests;
mod degrees;
mod disk;
mod erase;
mod file;
mod housekeeping;
mod indexed;
mod lately;
mod manifest;
mod merge_exec;
mod newest;
#[cfg(test)]
mod older_tests;
mod order;
mod overlap;
mod part;
mod parts;
mod period;
mod portable;
mod scan;
#[cfg(test)]
mod start_tests;
mod thin;
mod whole;

use crate::erased::Erased;
use crate::memory::{self, Run};
use crate::merge::{MergeBatches, sort_unique};
use crate::{ArchiveBatch, Copied, RetentionRules, Store, StoreError, Table, Unflushed, rows};
use async_trait::async_trait;
use compact::Target;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use disk::Disk;
use file::DataFile;
use manifest::Manifest;
use parts::Parts;
pub(crate) use scan::newest_only;
use scan::{Folder, TableSnapshot};
use std::collections::HashSet;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::Duration;
use tracing::{info, warn};
use waystream_domain::{Erasure, Timestamp};
use waystream_log::Offsets;

/// How the embedded store behaves.
#[derive(Debug, Clone, Default)]
pub struct ParquetOptions {
    /// Positions and events older than this many days (by fix time) are in no table, and removed from disk within a month; `None`
    /// keeps all.
    pub retention_days: Option<u32>,
    /// Opens without changing anything in the folder: `append` works in memory only, `flush` is refused.
    pub read_only: bool,
}

/// How often it is looked whether files that nobody may read any more are gone.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A store in a folder.
#[derive(Debug)]
pub struct ParquetStore {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    folder: Arc<Path>,
    files: Arc<Folder>,
    options: ParquetOptions,
    disk: Disk,
    /// What readers see. Held for moments.
    state: RwLock<State>,
    /// Held while runs are added or handed over to a flush.
    appending: Mutex<()>,
    /// Held while flushing, compacting.
    flushing: Mutex<()>,
    maintaining: Mutex<()>,
    /// Held while files are checked because reading them has failed.
    suspecting: Mutex<()>,
    /// As it is on disk. Held while it is replaced.
    manifest: Mutex<Manifest>,
    next_file: AtomicU64,
    /// Rows with fix times before this are past retention, milliseconds since 1970.
    keep_from_ms: AtomicI64,
    /// What must not come back, as in the manifest. Changed while nothing is appended.
    erased: Mutex<Erased>,
    /// What single organisations and devices keep for less time than `options` say.
    rules: Mutex<Arc<RetentionRules>>,
    /// Files that were replaced; some may still be read.
    retired: Mutex<Vec<(PathBuf, Weak<DataFile>)>>,
    /// The store is closed: housekeeping still under way gives up.
    closing: AtomicBool,
    /// Locked as long as the store is open.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct State {
    positions: TableState,
    events: TableState,
    readable: Offsets,
}

#[derive(Debug, Default)]
struct TableState {
    parts: Arc<Parts>,
    /// So many runs, from the first, are being flushed: they stay as they are until that is done.
    sealed: usize,
}

impl State {
    fn table(&self, table: Table) -> &TableState {
        match table {
            Table::Positions => &self.positions,
            Table::Events => &self.events,
        }
    }

    fn table_mut(&mut self, table: Table) -> &mut TableState {
        match table {
            Table::Positions => &mut self.positions,
            Table::Events => &mut self.events,
        }
    }

    fn unflushed(&self) -> Unflushed {
        let parts = [&self.positions.parts, &self.events.parts];
        Unflushed { rows: parts.iter().map(|p| p.memory_rows()).sum(), bytes: parts.iter().map(|p| p.memory_bytes()).sum() }
    }
}

impl ParquetStore {
    /// Opens the store in a folder, creating it if there is none; one process at a time. It reads the manifest, and of the files
    /// it only asks how long they are.
    pub fn open(folder: &Path, options: ParquetOptions) -> Result<Arc<Self>, StoreError> {
        Self::open_on(folder, options, Disk::default())
    }

    fn open_on(folder: &Path, options: ParquetOptions, disk: Disk) -> Result<Arc<Self>, StoreError> {
        let failed = |what: &'static str| {
            move |e: io::Error| StoreError::Unavailable(format!("could not {what} {}: {e}", folder.display()))
        };
        if !options.read_only {
            for table in Table::ALL {
                std::fs::create_dir_all(folder.join(table.name())).map_err(failed("create"))?;
            }
        }
        if !folder.is_dir() {
            return Err(StoreError::Refused(format!("there is no store in {}", folder.display())));
        }
        let lock = locked(folder, options.read_only)?;
        let files =
            Folder::open(folder).map_err(|e| StoreError::Unavailable(format!("could not open {}: {e}", folder.display())))?;
        let folder: Arc<Path> = folder.into();
        let manifest = match Manifest::load(&folder)? {
            Some(manifest) => manifest,
            None if options.read_only => Manifest::default(),
            None => create(&folder, &disk)?,
        };
        if !options.read_only {
            remove_orphans(&folder, &manifest, &disk).map_err(failed("clean"))?;
        }
        let mut state = State { readable: manifest.covered(), ..State::default() };
        for table in Table::ALL {
            let entries = manifest.files.iter().filter(|f| f.table == table).cloned();
            let files = entries.map(|entry| Arc::new(DataFile::of(entry, &folder, &disk))).collect();
            state.table_mut(table).parts = Arc::new(Parts { runs: Vec::new(), files });
        }
        let inner = Inner {
            folder,
            files: Arc::new(files),
            options,
            disk,
            state: RwLock::new(state),
            appending: Mutex::default(),
            flushing: Mutex::default(),
            maintaining: Mutex::default(),
            suspecting: Mutex::default(),
            next_file: AtomicU64::new(manifest.next_file),
            keep_from_ms: AtomicI64::new(i64::MIN),
            erased: Mutex::new(manifest.erased.clone()),
            rules: Mutex::default(),
            retired: Mutex::default(),
            closing: AtomicBool::new(false),
            manifest: Mutex::new(manifest),
            _lock: lock,
        };
        Ok(Arc::new(Self { inner: Arc::new(inner) }))
    }

    /// Runs something that blocks beside the runtime's own threads.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let inner = self.inner.clone();
        match tokio::task::spawn_blocking(move || work(&inner)).await {
            Ok(done) => done,
            Err(e) => Err(StoreError::Unavailable(format!("store's work was given up: {e}"))),
        }
    }

    fn table(&self, table: Table) -> Arc<dyn TableProvider> {
        let parts = self.inner.parts(table);
        let keep_from_ms = self.inner.keep_from_ms.load(Ordering::Relaxed);
        Arc::new(TableSnapshot::new(table, parts, self.inner.files.clone(), keep_from_ms))
    }

    /// Tables have no rows that are past retention now: for who asks before the first housekeeping.
    pub fn expire(&self, now: Timestamp) {
        self.inner.expire(now);
    }

    /// Puts what [`Store::copy_to`] has written into a folder that has no rows yet. Blocks.
    pub fn import(from: &Path, folder: &Path) -> Result<Copied, StoreError> {
        Self::open(folder, ParquetOptions::default())?.inner.import(from)
    }
}

impl Drop for ParquetStore {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::Relaxed);
    }
}

/// A first manifest, so that a folder with files but without one is known to be damaged, not new.
fn create(folder: &Path, disk: &Disk) -> Result<Manifest, StoreError> {
    for table in Table::ALL {
        let mut files = std::fs::read_dir(folder.join(table.name())).map_err(|e| StoreError::Unavailable(e.to_string()))?;
        if files.next().is_some() {
            return Err(StoreError::Damaged(format!("{} has files but no manifest", folder.display())));
        }
    }
    let manifest = Manifest::default();
    manifest.save(folder, disk).map_err(|e| StoreError::Unavailable(format!("could not write the manifest: {e}")))?;
    Ok(manifest)
}

fn locked(folder: &Path, shared: bool) -> Result<Option<File>, StoreError> {
    let path = folder.join("lock");
    let opened = if shared { File::open(&path) } else { File::options().write(true).create(true).truncate(false).open(&path) };
    let file = match opened {
        Ok(file) => file,
        Err(e) if shared && e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(StoreError::Unavailable(format!("could not open {}: {e}", path.display()))),
    };
    match if shared { file.try_lock_shared() } else { file.try_lock() } {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => {
            Err(StoreError::Refused(format!("{} is in use by a running system", folder.display())))
        }
        Err(TryLockError::Error(e)) => Err(StoreError::Unavailable(format!("could not lock {}: {e}", path.display()))),
    }
}

/// Files that a crash left behind before or after a change of the manifest.
fn remove_orphans(folder: &Path, manifest: &Manifest, disk: &Disk) -> io::Result<()> {
    let known: HashSet<&str> = manifest.files.iter().map(|f| f.path.as_str()).collect();
    for table in Table::ALL {
        for file in std::fs::read_dir(folder.join(table.name()))? {
            let file = file?;
            let relative = format!("{}/{}", table.name(), file.file_name().to_string_lossy());
            if relative.ends_with(".parquet") && !known.contains(relative.as_str()) {
                info!(path = relative, "removing a file that is not part of the store");
                disk.remove(&file.path())?;
            }
        }
    }
    Ok(())
}

/// These locks guard no invariant that a panic could break halfway: values behind them are replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn parts(&self, table: Table) -> Arc<Parts> {
        self.state().table(table).parts.clone()
    }

    /// Of all tables, oldest first.
    fn files(&self) -> Vec<Arc<DataFile>> {
        Table::ALL.into_iter().flat_map(|table| self.parts(table).files.clone()).collect()
    }

    fn append(&self, batch: &ArchiveBatch) -> Result<Unflushed, StoreError> {
        let _appending = lock(&self.appending);
        let batch = lock(&self.erased).without(batch);
        let sorted = |table, unsorted| sort_unique(table, &unsorted).map(|rows| Run::new(table, rows, 0)).map_err(refused);
        let positions = sorted(Table::Positions, rows::positions_batch(&batch.positions))?;
        let events = sorted(Table::Events, rows::events_batch(&batch.events))?;
        let mut added = Vec::new();
        for (table, run) in [(Table::Positions, positions), (Table::Events, events)] {
            let Some(run) = run else { continue };
            let (parts, sealed) = {
                let state = self.state();
                (state.table(table).parts.clone(), state.table(table).sealed)
            };
            // Merging takes its time, while readers read on.
            let mut runs = parts.runs[sealed..].to_vec();
            memory::push(table, &mut runs, run).map_err(refused)?;
            added.push((table, runs));
        }
        let mut state = self.state_mut();
        for (table, runs) in added {
            let state = state.table_mut(table);
            let mut parts = Parts::clone(&state.parts);
            parts.runs.truncate(state.sealed);
            parts.runs.extend(runs);
            state.parts = Arc::new(parts);
        }
        state.readable.extend(batch.offsets.iter().map(|(at, next)| (*at, *next)));
        Ok(state.unflushed())
    }

    fn flush(&self) -> Result<Offsets, StoreError> {
        if self.options.read_only {
            return Err(StoreError::Refused("store is open read only".into()));
        }
        let _flushing = lock(&self.flushing);
        let offsets = {
            // No append is halfway: what is readable now is in the runs sealed here.
            let _appending = lock(&self.appending);
            let mut state = self.state_mut();
            for table in Table::ALL {
                let state = state.table_mut(table);
                state.sealed = state.parts.runs.len();
            }
            state.readable.clone()
        };
        let flushed = self.write_sealed(&offsets);
        let _appending = lock(&self.appending);
        let mut state = self.state_mut();
        for table in Table::ALL {
            let state = state.table_mut(table);
            if let Ok(files) = &flushed {
                let mut parts = Parts::clone(&state.parts);
                parts.runs.drain(..state.sealed);
                parts.files.extend(files.iter().filter(|f| f.entry.table == table).cloned());
                state.parts = Arc::new(parts);
            }
            state.sealed = 0;
        }
        flushed?;
        Ok(lock(&self.manifest).covered())
    }

    /// Writes the sealed runs to files and names them in the manifest, together with the offsets that they cover.
    fn write_sealed(&self, offsets: &Offsets) -> Result<Vec<Arc<DataFile>>, StoreError> {
        let mut files = Vec::new();
        for table in Table::ALL {
            let (parts, sealed) = {
                let state = self.state();
                (state.table(table).parts.clone(), state.table(table).sealed)
            };
            let runs = &parts.runs[..sealed];
            if runs.is_empty() {
                continue;
            }
            let rows_by_day = compact::rows_by_day(runs.iter().map(|r| &r.rows));
            let rows = MergeBatches::new(table, runs.iter().map(|r| r.rows.clone()));
            files.extend(compact::write_periods(table, rows, &rows_by_day, 0, &self.target())?.into_iter().map(Arc::new));
        }
        if files.is_empty() && lock(&self.manifest).covered() == *offsets {
            return Ok(files);
        }
        self.change_manifest(&files, |manifest| manifest.cover(offsets))?;
        Ok(files)
    }

    fn target(&self) -> Target<'_> {
        Target { folder: &self.folder, disk: &self.disk, numbers: &self.next_file, closing: &self.closing }
    }

    /// Adds files to the manifest with some other change, all or nothing. Should it fail, the files stay: the manifest on disk may name
    /// them already. The next start removes them if it doesn't.
    fn change_manifest(&self, files: &[Arc<DataFile>], change: impl FnOnce(&mut Manifest)) -> Result<(), StoreError> {
        let failed = |e: io::Error| StoreError::Unavailable(format!("could not write the manifest: {e}"));
        let tables: HashSet<Table> = files.iter().map(|f| f.entry.table).collect();
        for table in tables {
            self.disk.sync_folder(&self.folder.join(table.name())).map_err(failed)?;
        }
        let mut manifest = lock(&self.manifest);
        let mut new = manifest.clone();
        new.files.extend(files.iter().map(|f| f.entry.clone()));
        new.next_file = self.next_file.load(Ordering::Relaxed);
        change(&mut new);
        new.save(&self.folder, &self.disk).map_err(failed)?;
        *manifest = new;
        Ok(())
    }

    fn damage(&self) -> Vec<String> {
        let sentence = |f: &Arc<DataFile>| {
            let (from, to) = f.entry.fix_time;
            let time = |ms| Timestamp::from_millis(ms).map_or_else(|| ms.to_string(), |t| t.to_string());
            format!("{} is damaged: {} rows from {} to {} are left out", f.entry.path, f.entry.rows, time(from), time(to))
        };
        self.files().iter().filter(|f| f.is_damaged()).map(sentence).collect()
    }
}

fn refused(error: arrow::error::ArrowError) -> StoreError {
    StoreError::Refused(format!("rows can't be sorted: {error}"))
}

#[async_trait]
impl Store for ParquetStore {
    async fn append(&self, batch: Arc<ArchiveBatch>) -> Result<Unflushed, StoreError> {
        self.blocking(move |inner| inner.append(&batch)).await
    }

    async fn flush(&self) -> Result<Offsets, StoreError> {
        self.blocking(Inner::flush).await
    }

    async fn covered(&self) -> Result<Offsets, StoreError> {
        Ok(lock(&self.inner.manifest).covered())
    }

    fn readable(&self) -> Offsets {
        self.inner.state().readable.clone()
    }

    fn positions(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Positions)
    }

    fn events(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Events)
    }

    fn fix_times(&self) -> Option<(Timestamp, Timestamp)> {
        let (first, last) = self.inner.parts(Table::Positions).fix_times()?;
        let first = first.max(self.inner.keep_from_ms.load(Ordering::Relaxed));
        Timestamp::from_millis(first).zip(Timestamp::from_millis(last)).filter(|(first, last)| first <= last)
    }

    async fn maintain(&self, now: Timestamp) -> Result<(), StoreError> {
        self.blocking(move |inner| inner.maintain(now)).await
    }

    async fn suspect(&self, plan: Arc<dyn ExecutionPlan>) {
        let looked = self.blocking(move |inner| {
            // Many may fail of the same cause: one at a time looks for it.
            if let Ok(_looking) = inner.suspecting.try_lock() {
                for file in scan::files_of(&plan) {
                    file.check_again();
                }
            }
            Ok(())
        });
        if let Err(e) = looked.await {
            warn!(error = &e as &dyn std::error::Error, "files could not be checked");
        }
    }

    fn keep_only(&self, rules: RetentionRules) {
        *lock(&self.inner.rules) = Arc::new(rules);
    }

    async fn erase(&self, erasure: &Erasure) -> Result<(), StoreError> {
        let erasure = erasure.clone();
        let mut left = self.blocking(move |inner| inner.erase(&erasure)).await?;
        while !left.is_empty() {
            tokio::time::sleep(LOOK_AGAIN).await;
            let read = self.inner.retired_files()?;
            left.retain(|path| read.contains(path));
        }
        Ok(())
    }

    fn damage(&self) -> Vec<String> {
        self.inner.damage()
    }

    async fn check(&self) -> Result<Vec<String>, StoreError> {
        self.blocking(|inner| {
            for file in inner.files() {
                file.check_again();
            }
            Ok(inner.damage())
        })
        .await
    }

    async fn copy_to(&self, folder: &Path) -> Result<Copied, StoreError> {
        let folder = folder.to_owned();
        self.blocking(move |inner| inner.copy_to(&folder)).await
    }
}
