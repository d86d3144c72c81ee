//! Compaction and retention: which files are rewritten, and the rewriting. Nothing here changes the manifest.

use super::degrees::converted;
use super::disk::Disk;
use super::file::{DataFile, FileWriter, NewFile};
use super::period::{self, day_of};
use crate::merge::{Keys, Merge, Step};
use crate::{RetentionRules, StoreError, Table};
use arrow::array::{AsArray, RecordBatch, UInt32Array};
use arrow::compute;
use arrow::datatypes::TimestampMillisecondType;
use arrow::error::ArrowError;
use parquet::errors::ParquetError;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// So many files of one period and level are merged.
const FAN_IN: usize = 8;

/// When a period is over, its files are merged into one as soon as the small ones together have this part of the largest one's bytes (so that late
/// rows, which trickle in for days, don't have it rewritten each time).
const WORTH_IT: u64 = 16;

/// A period counts as over this long after its end: trackers that had no network report late.
const OVER_AFTER_MS: i64 = 3 * 3_600_000;

/// Rows per file at most; beyond, the next device begins another file.
const FILE_ROWS: u64 = 16 << 20;

/// A file that covers several days is rewritten without the rows that are this much past retention; single days go as a whole. Nobody
/// sees what is past everybody's retention meanwhile.
pub(crate) const SLACK_MS: i64 = 31 * 86_400_000;

/// Files of one table and period that are to be merged.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) table: Table,
    pub(crate) period: String,
    pub(crate) files: Vec<Arc<DataFile>>,
}

/// The next compaction that is worth doing at this time (milliseconds since 1970), if there is one.
pub(crate) fn next(table: Table, files: &[Arc<DataFile>], now_ms: i64, keep_from_ms: Option<i64>) -> Option<Task> {
    let mut periods: BTreeMap<&str, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files.iter().filter(|f| !f.is_damaged()) {
        periods.entry(&file.entry.period).or_default().push(file.clone());
    }
    periods.into_iter().find_map(|(period, files)| {
        let files = pick(&files, now_ms).or_else(|| expiring(&files, keep_from_ms?))?;
        Some(Task { table, period: period.to_owned(), files })
    })
}

fn pick(files: &[Arc<DataFile>], now_ms: i64) -> Option<Vec<Arc<DataFile>>> {
    let mut levels: BTreeMap<u32, Vec<Arc<DataFile>>> = BTreeMap::new();
    for file in files {
        levels.entry(file.entry.level).or_default().push(file.clone());
    }
    if let Some(same) = levels.into_values().find(|same| same.len() >= FAN_IN) {
        return Some(same);
    }
    let small: Vec<Arc<DataFile>> = files.iter().filter(|f| f.entry.rows < FILE_ROWS).cloned().collect();
    let largest = small.iter().map(|f| f.entry.bytes).max()?;
    let others = small.iter().map(|f| f.entry.bytes).sum::<u64>() - largest;
    let over = files.iter().map(|f| f.entry.fix_time.1).max()? + OVER_AFTER_MS < now_ms;
    (over && small.len() > 1 && others * WORTH_IT >= largest).then_some(small)
}

fn expiring(files: &[Arc<DataFile>], keep_from_ms: i64) -> Option<Vec<Arc<DataFile>>> {
    let expires = |f: &&Arc<DataFile>| {
        day_of(f.entry.fix_time.0) != day_of(f.entry.fix_time.1) && f.entry.fix_time.0 + SLACK_MS < keep_from_ms
    };
    files.iter().find(expires).map(|f| vec![f.clone()])
}

/// Where new files go.
pub(crate) struct Target<'a> {
    pub(crate) folder: &'a Path,
    pub(crate) disk: &'a Disk,
    pub(crate) numbers: &'a AtomicU64,
    /// Nobody waits for the outcome any more.
    pub(crate) closing: &'a AtomicBool,
}

impl Target<'_> {
    fn writer(&self, table: Table, period: &str, level: u32) -> Result<FileWriter, StoreError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        FileWriter::create(NewFile { table, period: period.to_owned(), level, number }, self.folder, self.disk)
    }
}

/// Gives of some rows those that stay.
pub(crate) type Keep<'a> = dyn Fn(RecordBatch) -> Result<RecordBatch, ArrowError> + 'a;

/// Merges the files of a task; answers the new ones, durable but for their folder. Of the rows those are left that `keep` gives back.
/// `Damaged` if one of the files turns out to be: it is marked, and the next plan leaves it alone.
pub(crate) fn run(task: &Task, keep: &Keep<'_>, target: &Target<'_>) -> Result<Vec<DataFile>, StoreError> {
    for file in &task.files {
        // Otherwise a fault of the disk would get a valid checksum.
        if !file.check_again() {
            return Err(StoreError::Damaged(file.entry.path.clone()));
        }
    }
    let level = task.files.iter().map(|f| f.entry.level).max().unwrap_or(0) + 1;
    let mut out: Box<dyn Output> = if period::is_day(&task.period) {
        Box::new(OneDay { target, table: task.table, period: &task.period, level, current: None, done: Vec::new() })
    } else {
        Box::new(SomeDays { target, table: task.table, level, batches: Vec::new() })
    };
    let mut sources =
        task.files.iter().map(|f| f.read().map_err(|e| unread(&f.entry.path, &e))).collect::<Result<Vec<_>, _>>()?;
    let schema = task.table.schema();
    let mut merge = Merge::new(task.table, sources.len());
    loop {
        if target.closing.load(Ordering::Relaxed) {
            return Err(StoreError::Unavailable("store is closing".into()));
        }
        match merge.step().map_err(unmerged)? {
            Step::Need(i) => match sources[i].next().transpose().map_err(|e| unread(&task.files[i].entry.path, &e.into()))? {
                // A file has its table's columns, but places of another type, and the reader may call nullability by another name.
                Some(batch) => merge.give(i, converted(&batch, &schema).map_err(unmerged)?).map_err(unmerged)?,
                None => merge.end(i),
            },
            Step::Rows(rows) => out.write(keep(rows).map_err(unmerged)?)?,
            Step::Done => return out.finish(),
        }
    }
}

/// How many rows each day has; versions of one row count several times.
pub(crate) fn rows_by_day<'a>(batches: impl IntoIterator<Item = &'a RecordBatch>) -> BTreeMap<i64, usize> {
    let mut counts = BTreeMap::new();
    for day in batches.into_iter().flat_map(days) {
        *counts.entry(day).or_insert(0) += 1;
    }
    counts
}

/// The day of each row.
fn days(batch: &RecordBatch) -> Vec<i64> {
    let times = batch.column_by_name("fix_time").and_then(|c| c.as_primitive_opt::<TimestampMillisecondType>());
    times.map_or_else(Vec::new, |times| times.values().iter().map(|t| day_of(*t)).collect())
}

/// Writes batches sorted by key into as many files as their periods demand.
pub(crate) fn write_periods(
    table: Table,
    batches: impl IntoIterator<Item = Result<RecordBatch, ArrowError>>,
    rows_by_day: &BTreeMap<i64, usize>,
    level: u32,
    target: &Target<'_>,
) -> Result<Vec<DataFile>, StoreError> {
    let periods = period::assign(rows_by_day);
    let mut writers: BTreeMap<&str, FileWriter> = BTreeMap::new();
    for batch in batches {
        let batch = batch.map_err(unmerged)?;
        let mut by_period: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for (i, day) in days(&batch).into_iter().enumerate() {
            by_period.entry(&periods[&day]).or_default().push(i as u32);
        }
        for (period, rows) in by_period {
            let writer = match writers.entry(period) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(new) => new.insert(target.writer(table, period, level)?),
            };
            if rows.len() == batch.num_rows() {
                writer.write(&batch)?;
            } else {
                writer.write(&compute::take_record_batch(&batch, &UInt32Array::from(rows)).map_err(unmerged)?)?;
            }
        }
    }
    let mut files = Vec::new();
    for writer in writers.into_values() {
        files.extend(writer.finish()?);
    }
    Ok(files)
}

trait Output {
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError>;
    fn finish(self: Box<Self>) -> Result<Vec<DataFile>, StoreError>;
}

/// Rows of one day go straight to disk.
struct OneDay<'a> {
    target: &'a Target<'a>,
    table: Table,
    period: &'a str,
    level: u32,
    current: Option<FileWriter>,
    done: Vec<DataFile>,
}

impl Output for OneDay<'_> {
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        let keys = Keys::of(self.table, &rows).ok_or_else(|| unmerged(crate::merge::missing(self.table)))?;
        let mut from = 0;
        if let Some(current) = &self.current
            && current.rows() >= FILE_ROWS
        {
            // Files of one day must not share a device: then they need no merge.
            let same = (0..rows.num_rows()).take_while(|i| Some(keys.device(*i)) == current.last_device()).count();
            if same < rows.num_rows() {
                from = same;
                self.append(rows.slice(0, same))?;
                self.close()?;
            }
        }
        self.append(rows.slice(from, rows.num_rows() - from))
    }

    fn finish(mut self: Box<Self>) -> Result<Vec<DataFile>, StoreError> {
        self.close()?;
        Ok(self.done)
    }
}

impl OneDay<'_> {
    fn append(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        let writer = match &mut self.current {
            Some(writer) => writer,
            none => none.insert(self.target.writer(self.table, self.period, self.level)?),
        };
        writer.write(&rows)
    }

    fn close(&mut self) -> Result<(), StoreError> {
        if let Some(writer) = self.current.take() {
            self.done.extend(writer.finish()?);
        }
        Ok(())
    }
}

/// Rows of months and years, which are few, are divided anew: by now some days may have enough of their own.
struct SomeDays<'a> {
    target: &'a Target<'a>,
    table: Table,
    level: u32,
    batches: Vec<RecordBatch>,
}

impl Output for SomeDays<'_> {
    fn write(&mut self, rows: RecordBatch) -> Result<(), StoreError> {
        self.batches.push(rows);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Vec<DataFile>, StoreError> {
        let rows_by_day = rows_by_day(&self.batches);
        write_periods(self.table, self.batches.into_iter().map(Ok), &rows_by_day, self.level, self.target)
    }
}

/// Rows from this time on that are not past the rules either.
pub(crate) fn kept(
    rows: RecordBatch,
    keep_from_ms: Option<i64>,
    rules: &RetentionRules,
    now_ms: i64,
) -> Result<RecordBatch, ArrowError> {
    if rules.is_empty() && keep_from_ms.is_none() {
        return Ok(rows);
    }
    compute::filter_record_batch(&rows, &rules.keeps(&rows, now_ms, keep_from_ms)?)
}

fn unmerged(error: ArrowError) -> StoreError {
    StoreError::Damaged(format!("rows can't be merged: {error}"))
}

fn unread(path: &str, error: &ParquetError) -> StoreError {
    StoreError::Damaged(format!("{path}: {error}"))
}
