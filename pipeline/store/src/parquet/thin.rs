//! Taking rows that are past their time out of files that have others: what single organisations and devices keep for less time than
//! everybody.

use super::Inner;
use super::compact::{self, SLACK_MS, Task};
use super::file::DataFile;
use super::manifest::{FileEntry, Thinned};
use super::period::is_day;
use crate::retention::{self, RetentionRules};
use crate::{StoreError, Table};
use parquet::errors::ParquetError;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use tracing::{info, warn};

/// Columns that say whether a row is kept.
const COLUMNS: [&str; 3] = ["device", "fleet", "fix_time"];

/// So many files of a table are looked into per round of housekeeping: new rules concern all there are.
const FILES_PER_ROUND: usize = 64;

impl Inner {
    /// By these rules; `thinned` says when that is.
    pub(super) fn thin(&self, table: Table, rules: &RetentionRules, thinned: Thinned) -> Result<(), StoreError> {
        let days = rules.all_days();
        let parts = self.parts(table);
        let due = parts.files.iter().filter(|f| !f.is_damaged() && is_due(&f.entry, f.thinned(), &days, thinned));
        let mut unchanged: Vec<Arc<DataFile>> = Vec::new();
        for file in due.take(FILES_PER_ROUND) {
            match self.thin_file(file, rules, thinned) {
                Ok(true) => info!(path = file.entry.path, "rows past their retention removed from a file"),
                Ok(false) => unchanged.push(file.clone()),
                // Marked by now, and left alone from then on.
                Err(StoreError::Damaged(what)) if !file.check_again() => warn!(what, "retention met a damaged file"),
                Err(error) => return Err(error),
            }
        }
        if unchanged.is_empty() {
            return Ok(());
        }
        let paths: HashSet<&str> = unchanged.iter().map(|f| f.entry.path.as_str()).collect();
        self.change_manifest(&[], |manifest| {
            let files = manifest.files.iter_mut().filter(|f| paths.contains(f.path.as_str()));
            files.for_each(|f| f.thinned = Some(thinned));
        })?;
        unchanged.iter().for_each(|f| f.note_thinned(thinned));
        Ok(())
    }

    /// Whether there was something to remove.
    fn thin_file(&self, file: &Arc<DataFile>, rules: &RetentionRules, thinned: Thinned) -> Result<bool, StoreError> {
        let unread = |e: ParquetError| StoreError::Damaged(format!("{}: {e}", file.entry.path));
        let mut holds = false;
        for batch in file.read_columns(&COLUMNS).map_err(unread)? {
            let keeps = batch.and_then(|batch| rules.keeps(&batch, thinned.at_ms, None)).map_err(|e| unread(e.into()))?;
            if keeps.false_count() > 0 {
                holds = true;
                break;
            }
        }
        if !holds {
            return Ok(false);
        }
        let table = file.entry.table;
        let task = Task { table, period: file.entry.period.clone(), files: vec![file.clone()] };
        let new = compact::run(&task, &|rows| compact::kept(rows, None, rules, thinned.at_ms), &self.target())?;
        self.replace(table, &task.files, new.into_iter().map(|f| Arc::new(f.with_thinned(thinned))).collect())?;
        Ok(true)
    }
}

/// Whether the file may hold rows that have gone past their time since it was last looked into. A file of one day is, when all of the
/// day has; one of several days when a month more has.
fn is_due(entry: &FileEntry, last: Option<Thinned>, days: &BTreeSet<u32>, now: Thinned) -> bool {
    let last = last.filter(|last| last.rules == now.rules);
    let (first_fix, last_fix) = entry.fix_time;
    days.iter().any(|days| {
        let kept_from = retention::from(now.at_ms, *days);
        let done_to = last.map_or(i64::MIN, |last| retention::from(last.at_ms, *days));
        match is_day(&entry.period) {
            true => done_to <= last_fix && last_fix < kept_from,
            false => done_to <= last_fix && first_fix.max(done_to).saturating_add(SLACK_MS) < kept_from,
        }
    })
}
