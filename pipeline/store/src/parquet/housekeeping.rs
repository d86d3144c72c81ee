//! Housekeeping: what is past its time goes, small files become large ones, checksums are looked at. And how files are swapped.

use super::compact;
use super::file::DataFile;
use super::manifest::Thinned;
use super::parts::Parts;
use super::{Inner, lock};
use crate::{StoreError, Table, metrics, retention};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;
use tracing::{info, warn};
use waystream_domain::Timestamp;

/// Bytes whose checksums are looked at per round of housekeeping: all of a large store within days, no disk kept busy.
const CHECK_BYTES: u64 = 1 << 30;

impl Inner {
    pub(super) fn maintain(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.options.read_only {
            return Ok(());
        }
        let _maintaining = lock(&self.maintaining);
        let rules = lock(&self.rules).clone();
        let thinned = (!rules.is_empty()).then(|| Thinned { rules: rules.print(), at_ms: now.as_millis() });
        let keep_from_ms = self.expire(now);
        for table in Table::ALL {
            if let Some(keep_from_ms) = keep_from_ms {
                let parts = self.parts(table);
                let old: Vec<_> = parts.files.iter().filter(|f| f.entry.fix_time.1 < keep_from_ms).cloned().collect();
                if !old.is_empty() {
                    info!(table = table.name(), files = old.len(), "removing files past retention");
                    self.replace(table, &old, Vec::new())?;
                }
            }
            while let Some(task) = compact::next(table, &self.parts(table).files, now.as_millis(), keep_from_ms) {
                let started = Instant::now();
                let keep = |rows| compact::kept(rows, keep_from_ms, &rules, now.as_millis());
                let merged = compact::run(&task, &keep, &self.target());
                metrics::compacted(started.elapsed());
                match merged {
                    Ok(files) => {
                        let files = files.into_iter().map(|f| match thinned {
                            Some(thinned) => Arc::new(f.with_thinned(thinned)),
                            None => Arc::new(f),
                        });
                        self.replace(table, &task.files, files.collect())?;
                    }
                    // The damaged file is marked by now, and no task takes it any more.
                    Err(StoreError::Damaged(what)) if task.files.iter().any(|f| f.is_damaged()) => {
                        warn!(what, "compaction met a damaged file");
                    }
                    Err(e) => return Err(e),
                }
            }
        }
        if let Some(thinned) = thinned {
            for table in Table::ALL {
                self.thin(table, &rules, thinned)?;
            }
        }
        self.check_files(CHECK_BYTES);
        self.retired_files()?;
        let files = self.files();
        metrics::files(files.len(), files.iter().map(|f| f.entry.bytes).sum());
        Ok(())
    }

    /// From when on rows are kept as of now; tables have no others from here on.
    pub(super) fn expire(&self, now: Timestamp) -> Option<i64> {
        let keep_from_ms = retention::from(now.as_millis(), self.options.retention_days?);
        self.keep_from_ms.store(keep_from_ms, Ordering::Relaxed);
        Some(keep_from_ms)
    }

    /// Swaps files of a table, in the manifest and for readers to come.
    pub(super) fn replace(&self, table: Table, old: &[Arc<DataFile>], new: Vec<Arc<DataFile>>) -> Result<(), StoreError> {
        let gone: HashSet<&str> = old.iter().map(|f| f.entry.path.as_str()).collect();
        let keep = |path: &str| !gone.contains(path);
        // New files are added at the end, and none of them has a name of the old ones.
        self.change_manifest(&new, |manifest| manifest.files.retain(|f| keep(&f.path)))?;
        let mut state = self.state_mut();
        let state = state.table_mut(table);
        let mut parts = Parts::clone(&state.parts);
        parts.files.retain(|f| keep(&f.entry.path));
        parts.files.extend(new);
        state.parts = Arc::new(parts);
        // Removed from disk when the last reader lets go of them.
        lock(&self.retired).extend(old.iter().map(|f| (f.path().to_owned(), Arc::downgrade(f))));
        old.iter().for_each(|f| f.retire());
        Ok(())
    }

    /// Compares files not yet checked with their checksums, newest first, up to about so many bytes.
    pub(super) fn check_files(&self, bytes: u64) {
        let mut left = bytes;
        for file in self.files().into_iter().rev() {
            if self.closing.load(Ordering::Relaxed) {
                return;
            }
            if !file.is_unchecked() {
                continue;
            }
            file.check();
            left = left.saturating_sub(file.entry.bytes);
            if left == 0 {
                return;
            }
        }
    }
}
