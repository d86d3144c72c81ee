//! Merges sorted sources into one sorted sequence in which each row is there once. No I/O: the caller brings batches.
//!
//! Sources overlap little in practice (one holds the next minutes of the same devices), so the merge moves runs of rows, not
//! rows: it looks ahead by galloping, and passes long runs on without copying.

use crate::table::Table;
use arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMillisecondArray, UInt32Array};
use arrow::compute::{interleave_record_batch, take_record_batch};
use arrow::datatypes::{Int64Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use std::cmp::Ordering;

/// Rows per batch that comes out.
const OUT_ROWS: usize = 8192;

/// A run at least this long is passed on as a slice.
const SLICE_ROWS: usize = 2048;

/// The columns of a batch that say which rows are the same, and which version is kept.
#[derive(Clone)]
pub(crate) struct Keys {
    device: StringViewArray,
    fix_time: TimestampMillisecondArray,
    event_id: Option<StringViewArray>,
    received_at: Option<TimestampMillisecondArray>,
    log_offset: Int64Array,
}

impl Keys {
    /// `None` if a key or version column of the table is missing.
    pub(crate) fn of(table: Table, batch: &RecordBatch) -> Option<Self> {
        let text = |name| Some(batch.column_by_name(name)?.as_string_view_opt()?.clone());
        let time = |name| Some(batch.column_by_name(name)?.as_primitive_opt::<TimestampMillisecondType>()?.clone());
        Some(Self {
            device: text("device")?,
            fix_time: time("fix_time")?,
            event_id: match table {
                Table::Positions => None,
                Table::Events => Some(text("event_id")?),
            },
            received_at: match table {
                Table::Positions => Some(time("received_at")?),
                Table::Events => None,
            },
            log_offset: batch.column_by_name("log_offset")?.as_primitive_opt::<Int64Type>()?.clone(),
        })
    }

    pub(crate) fn device(&self, i: usize) -> &str {
        self.device.value(i)
    }

    pub(crate) fn fix_time(&self, i: usize) -> i64 {
        self.fix_time.value(i)
    }

    /// What makes the row the same as another, to be hashed.
    pub(crate) fn id(&self, i: usize) -> (&str, i64, Option<&str>) {
        (self.device(i), self.fix_time(i), self.event_id.as_ref().map(|ids| ids.value(i)))
    }

    /// Order of keys.
    pub(crate) fn compare(&self, i: usize, other: &Self, j: usize) -> Ordering {
        let by_id = || match (&self.event_id, &other.event_id) {
            (Some(a), Some(b)) => a.value(i).cmp(b.value(j)),
            _ => Ordering::Equal,
        };
        (self.device(i).cmp(other.device(j))).then_with(|| self.fix_time(i).cmp(&other.fix_time(j))).then_with(by_id)
    }

    /// Order of versions of one key: the greatest is kept.
    pub(crate) fn compare_version(&self, i: usize, other: &Self, j: usize) -> Ordering {
        self.version(i).cmp(&other.version(j))
    }

    /// Says which version of its key a row is: the greatest is kept.
    pub(crate) fn version(&self, i: usize) -> (i64, i64) {
        (self.received_at.as_ref().map_or(0, |times| times.value(i)), self.log_offset.value(i))
    }
}

/// Sorts a batch by key and keeps the newest version of each row.
pub(crate) fn sort_unique(table: Table, batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let keys = Keys::of(table, batch).ok_or_else(|| missing(table))?;
    let mut order: Vec<u32> = (0..batch.num_rows() as u32).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (a as usize, b as usize);
        keys.compare(a, &keys, b).then_with(|| keys.compare_version(a, &keys, b))
    });
    let mut kept: Vec<u32> = Vec::with_capacity(order.len());
    for i in order {
        match kept.last_mut() {
            Some(last) if keys.compare(*last as usize, &keys, i as usize).is_eq() => *last = i,
            _ => kept.push(i),
        }
    }
    take_record_batch(batch, &UInt32Array::from(kept))
}

/// Which columns are needed is decided at planning time, so this can't come from data.
pub(crate) fn missing(table: Table) -> ArrowError {
    ArrowError::SchemaError(format!("a batch of {} lacks a key column", table.name()))
}

/// What the merge wants next.
pub(crate) enum Step {
    /// Give source `i` its next batch ([`Merge::give`]), or say that it has none left ([`Merge::end`]).
    Need(usize),
    /// Rows, in order.
    Rows(RecordBatch),
    /// All sources have ended.
    Done,
}

struct Source {
    /// Index into `held` of the current batch.
    batch: usize,
    keys: Option<Keys>,
    at: usize,
    ended: bool,
}

/// A merge in progress.
pub(crate) struct Merge {
    table: Table,
    sources: Vec<Source>,
    /// Batches that `picked` points into; the current ones of the sources among them.
    held: Vec<RecordBatch>,
    picked: Vec<(usize, usize)>,
    /// A long run that waits for the rows picked before it to go out.
    slice: Option<RecordBatch>,
}

impl Merge {
    /// Each source yields batches of one schema, sorted by the table's key, each key once.
    pub(crate) fn new(table: Table, sources: usize) -> Self {
        let source = |_| Source { batch: 0, keys: None, at: 0, ended: false };
        Self { table, sources: (0..sources).map(source).collect(), held: Vec::new(), picked: Vec::new(), slice: None }
    }

    /// The next batch of a source.
    pub(crate) fn give(&mut self, source: usize, batch: RecordBatch) -> Result<(), ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let keys = Keys::of(self.table, &batch).ok_or_else(|| missing(self.table))?;
        self.held.push(batch);
        self.sources[source] = Source { batch: self.held.len() - 1, keys: Some(keys), at: 0, ended: false };
        Ok(())
    }

    /// A source has no more batches.
    pub(crate) fn end(&mut self, source: usize) {
        self.sources[source] = Source { batch: 0, keys: None, at: 0, ended: true };
    }

    /// Goes on until something is wanted or ready.
    pub(crate) fn step(&mut self) -> Result<Step, ArrowError> {
        loop {
            if self.picked.len() >= OUT_ROWS || (self.slice.is_some() && !self.picked.is_empty()) {
                return Ok(Step::Rows(self.emit()?));
            }
            if let Some(slice) = self.slice.take() {
                self.release();
                return Ok(Step::Rows(slice));
            }
            if let Some(i) = self.sources.iter().position(|s| !s.ended && s.keys.is_none()) {
                return Ok(Step::Need(i));
            }
            if self.sources.iter().all(|s| s.ended) {
                return Ok(if self.picked.is_empty() { Step::Done } else { Step::Rows(self.emit()?) });
            }
            self.advance();
        }
    }

    /// Picks the next run, or the one row that is kept of several versions. Every source that hasn't ended has a row.
    fn advance(&mut self) {
        let live = |s: &Source| s.keys.is_some();
        let mut heads = self.sources.iter().enumerate().filter(|(_, s)| live(s)).map(|(i, _)| i);
        let mut least = heads.next().expect("step() checked that a source has rows");
        let mut second: Option<usize> = None;
        for i in heads {
            if self.compare_heads(i, least).is_lt() {
                second = Some(least);
                least = i;
            } else if second.is_none_or(|s| self.compare_heads(i, s).is_lt()) {
                second = Some(i);
            }
        }
        match second {
            Some(s) if self.compare_heads(least, s).is_eq() => self.pick_version(least),
            _ => {
                let end = self.run_end(least, second);
                self.pick_run(least, end);
            }
        }
    }

    fn head(&self, source: usize) -> (&Keys, usize) {
        let s = &self.sources[source];
        (s.keys.as_ref().expect("callers pick live sources"), s.at)
    }

    fn compare_heads(&self, a: usize, b: usize) -> Ordering {
        let ((keys_a, i), (keys_b, j)) = (self.head(a), self.head(b));
        keys_a.compare(i, keys_b, j)
    }

    /// End of the run of `source` that lies before the head of `bound`: galloping, then bisection.
    fn run_end(&self, source: usize, bound: Option<usize>) -> usize {
        let (keys, at) = self.head(source);
        let rows = self.held[self.sources[source].batch].num_rows();
        let Some(bound) = bound else { return rows };
        let (bound_keys, bound_at) = self.head(bound);
        let before = |i: usize| keys.compare(i, bound_keys, bound_at).is_lt();
        let (mut low, mut stride) = (at, 1);
        while low + stride < rows && before(low + stride) {
            low += stride;
            stride *= 2;
        }
        // `low` lies before the bound; the end is in (low, high].
        let mut high = (low + stride).min(rows);
        while low + 1 < high {
            let middle = low + (high - low) / 2;
            if before(middle) { low = middle } else { high = middle }
        }
        low + 1
    }

    fn pick_run(&mut self, source: usize, end: usize) {
        let (batch, at) = (self.sources[source].batch, self.sources[source].at);
        if end - at >= SLICE_ROWS {
            self.slice = Some(self.held[batch].slice(at, end - at));
        } else {
            self.picked.extend((at..end).map(|i| (batch, i)));
        }
        self.move_to(source, end);
    }

    /// Several sources have the least key: the newest version is kept, all go on.
    fn pick_version(&mut self, least: usize) {
        let same: Vec<usize> = (0..self.sources.len())
            .filter(|&i| i == least || (self.sources[i].keys.is_some() && self.compare_heads(i, least).is_eq()))
            .collect();
        let newest = same.iter().copied().max_by(|&a, &b| {
            let ((keys_a, i), (keys_b, j)) = (self.head(a), self.head(b));
            keys_a.compare_version(i, keys_b, j)
        });
        let newest = newest.expect("`least` is among them");
        self.picked.push((self.sources[newest].batch, self.sources[newest].at));
        for i in same {
            let next = self.sources[i].at + 1;
            self.move_to(i, next);
        }
    }

    fn move_to(&mut self, source: usize, at: usize) {
        let s = &mut self.sources[source];
        s.at = at;
        if at == self.held[s.batch].num_rows() {
            s.keys = None;
        }
    }

    /// Copies out what has been picked.
    fn emit(&mut self) -> Result<RecordBatch, ArrowError> {
        let out = interleave_record_batch(&self.held.iter().collect::<Vec<_>>(), &self.picked)?;
        self.picked.clear();
        self.release();
        Ok(out)
    }

    /// Lets go of batches that are used up; nothing may be picked from them.
    fn release(&mut self) {
        let held = std::mem::take(&mut self.held);
        for s in self.sources.iter_mut().filter(|s| s.keys.is_some()) {
            self.held.push(held[s.batch].clone());
            s.batch = self.held.len() - 1;
        }
    }
}

/// Merges sources that are all in memory, batch by batch.
pub(crate) struct MergeBatches {
    merge: Merge,
    sources: Vec<Option<RecordBatch>>,
}

impl MergeBatches {
    /// Each source is sorted by the table's key, each key once.
    pub(crate) fn new(table: Table, sources: impl IntoIterator<Item = RecordBatch>) -> Self {
        let sources: Vec<_> = sources.into_iter().map(Some).collect();
        Self { merge: Merge::new(table, sources.len()), sources }
    }
}

impl Iterator for MergeBatches {
    type Item = Result<RecordBatch, ArrowError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.merge.step() {
                Ok(Step::Need(i)) => match self.sources[i].take() {
                    Some(batch) => {
                        if let Err(e) = self.merge.give(i, batch) {
                            return Some(Err(e));
                        }
                    }
                    None => self.merge.end(i),
                },
                Ok(Step::Rows(rows)) => return Some(Ok(rows)),
                Ok(Step::Done) => return None,
                Err(e) => return Some(Err(e)),
            }
        }
    }
}
