//! Rows in memory: taken from the log, not yet readable in QuestDB. What tables show at one moment.

use crate::memory::{self, Run};
use crate::merge::{Keys, MergeBatches, missing};
use crate::{Table, Unflushed};
use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::error::ArrowError;
use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, OnceLock};
use waystream_log::Offsets;

/// What readers see, with what is being flushed.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) positions: Rows,
    pub(crate) events: Rows,
    /// How far the log is in memory or stored.
    pub(crate) readable: Offsets,
    /// How far it is stored.
    pub(crate) covered: Offsets,
    /// The last flush whose rows are all readable in QuestDB; `None`: this process doesn't write.
    pub(crate) flushed: Option<i32>,
}

/// Of one table.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Being flushed: they stay as they are until that is done.
    sealed: Vec<Arc<Run>>,
    open: Vec<Arc<Run>>,
    /// As one, made when somebody reads.
    recent: Arc<Recent>,
}

impl Rows {
    /// All runs.
    pub(crate) fn runs(&self) -> Vec<Arc<Run>> {
        self.sealed.iter().chain(&self.open).cloned().collect()
    }

    pub(crate) fn push(&mut self, table: Table, run: Arc<Run>) -> Result<(), ArrowError> {
        memory::push(table, &mut self.open, run)?;
        self.recent = Arc::new(Recent::of(self.runs()));
        Ok(())
    }

    /// The runs to flush now: all of them.
    pub(crate) fn seal(&mut self) -> Vec<Arc<Run>> {
        self.sealed.append(&mut self.open);
        self.sealed.clone()
    }

    /// What has been sealed is readable elsewhere.
    pub(crate) fn let_go(&mut self) {
        self.sealed.clear();
        self.recent = Arc::new(Recent::of(self.runs()));
    }

    pub(crate) fn recent(&self) -> Arc<Recent> {
        self.recent.clone()
    }
}

impl State {
    pub(crate) fn rows(&self, table: Table) -> &Rows {
        match table {
            Table::Positions => &self.positions,
            Table::Events => &self.events,
        }
    }

    pub(crate) fn rows_mut(&mut self, table: Table) -> &mut Rows {
        match table {
            Table::Positions => &mut self.positions,
            Table::Events => &mut self.events,
        }
    }

    pub(crate) fn unflushed(&self) -> Unflushed {
        let runs = || [&self.positions, &self.events].into_iter().flat_map(|r| r.sealed.iter().chain(&r.open));
        Unflushed { rows: runs().map(|r| r.rows.num_rows()).sum(), bytes: runs().map(|r| r.bytes).sum() }
    }
}

/// Rows in memory at one moment, none of them older than the stored version. Never changes.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    runs: Vec<Arc<Run>>,
    merged: OnceLock<Merged>,
}

/// Each row once, and found by its key.
#[derive(Debug)]
pub(crate) struct Merged {
    pub(crate) rows: RecordBatch,
    fix_times: (i64, i64),
    places: HashMap<u64, u32, RandomState>,
    hasher: RandomState,
}

impl Recent {
    fn of(runs: Vec<Arc<Run>>) -> Self {
        Self { runs, merged: OnceLock::new() }
    }

    /// `None`: there are no rows.
    pub(crate) fn merged(&self, table: Table) -> Result<Option<&Merged>, ArrowError> {
        if self.runs.is_empty() {
            return Ok(None);
        }
        if let Some(merged) = self.merged.get() {
            return Ok(Some(merged));
        }
        let rows = merge(table, &self.runs)?;
        let merged = Merged::of(table, rows)?;
        Ok(Some(self.merged.get_or_init(|| merged)))
    }
}

/// The rows of runs, each once.
pub(crate) fn merge(table: Table, runs: &[Arc<Run>]) -> Result<RecordBatch, ArrowError> {
    let batches = MergeBatches::new(table, runs.iter().map(|r| r.rows.clone())).collect::<Result<Vec<_>, _>>()?;
    concat_batches(&super::schema::stored(table), &batches)
}

impl Merged {
    fn of(table: Table, rows: RecordBatch) -> Result<Self, ArrowError> {
        let keys = Keys::of(table, &rows).ok_or_else(|| missing(table))?;
        let hasher = RandomState::new();
        let mut fix_times = (i64::MAX, i64::MIN);
        let places = (0..rows.num_rows()).map(|i| {
            let fix_time = keys.fix_time(i);
            fix_times = (fix_times.0.min(fix_time), fix_times.1.max(fix_time));
            (hasher.hash_one(keys.id(i)), i as u32)
        });
        let places = places.collect();
        Ok(Self { rows, fix_times, places, hasher })
    }

    /// For each row of a batch of the table, whether it is not among these.
    pub(crate) fn lacks(&self, table: Table, batch: &RecordBatch) -> Result<Vec<bool>, ArrowError> {
        let ours = Keys::of(table, &self.rows).ok_or_else(|| missing(table))?;
        let keys = Keys::of(table, batch).ok_or_else(|| missing(table))?;
        let lacks = |i: usize| {
            let fix_time = keys.fix_time(i);
            if fix_time < self.fix_times.0 || fix_time > self.fix_times.1 {
                return true;
            }
            let place = self.places.get(&self.hasher.hash_one(keys.id(i)));
            place.is_none_or(|at| ours.compare(*at as usize, &keys, i).is_ne())
        };
        Ok((0..batch.num_rows()).map(lacks).collect())
    }
}
