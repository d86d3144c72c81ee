//! Rows in memory: taken from the log, not yet readable in QuestDB. What tables show at one moment.

use super::resolve::find;
use super::schema::FIRST_FLUSH;
use crate::memory::{self, Run};
use crate::merge::{Keys, MergeBatches, missing};
use crate::{Table, Unflushed};
use arrow::array::{AsArray, Int32Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int32Type;
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

    /// The runs that have come since others were sealed, as they are when this flush has stored those: versions of the same rows replace them.
    pub(crate) fn replacing(&self, table: Table, flush: i32) -> Result<Vec<Arc<Run>>, ArrowError> {
        self.open.iter().map(|run| Ok(replacing(table, run, &self.sealed, flush)?.unwrap_or_else(|| run.clone()))).collect()
    }

    /// What has been sealed is readable elsewhere.
    pub(crate) fn let_go(&mut self, replacing: Vec<Arc<Run>>) {
        self.sealed.clear();
        self.open = replacing;
        self.recent = Arc::new(Recent::of(self.runs()));
    }

    pub(crate) fn recent(&self) -> Arc<Recent> {
        self.recent.clone()
    }
}

/// The run with the flush in those rows of which it has stored a version; `None` if there are none.
fn replacing(table: Table, run: &Run, stored: &[Arc<Run>], flush: i32) -> Result<Option<Arc<Run>>, ArrowError> {
    let keys = Keys::of(table, &run.rows).ok_or_else(|| missing(table))?;
    let flushes = run.rows.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt::<Int32Type>());
    let mut flushes: Vec<Option<i32>> = flushes.ok_or_else(|| missing(table))?.iter().collect();
    let mut replaces = false;
    for other in stored {
        let others = Keys::of(table, &other.rows).ok_or_else(|| missing(table))?;
        let (from, to) = other.bounds.fix_time;
        for (i, first) in flushes.iter_mut().enumerate().filter(|(_, first)| first.is_none()) {
            // Most have come later than all that was stored.
            let may_be_there = (from..=to).contains(&keys.fix_time(i));
            if may_be_there && find(&others, other.rows.num_rows(), &keys, i).is_some() {
                *first = Some(flush);
                replaces = true;
            }
        }
    }
    if !replaces {
        return Ok(None);
    }
    let mut columns = run.rows.columns().to_vec();
    columns[run.rows.schema().index_of(FIRST_FLUSH)?] = Arc::new(Int32Array::from(flushes));
    Ok(Some(run.with(RecordBatch::try_new(run.rows.schema(), columns)?)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract::{at, position};
    use crate::questdb::newest::split;
    use crate::questdb::schema::stored;
    use crate::rows::positions_batch;
    use datafusion::logical_expr::col;
    use datafusion::prelude::SessionContext;
    use waystream_domain::Position;

    /// Rows of which the server had no version when they came.
    fn run(rows: &[Position]) -> Arc<Run> {
        let archived: Vec<_> = rows.iter().map(|row| Archived { partition: 0, offset: 0, row: row.clone() }).collect();
        let mut columns = positions_batch(&archived).columns().to_vec();
        columns.push(Arc::new(Int32Array::from(vec![None::<i32>; rows.len()])));
        let batch = RecordBatch::try_new(stored(Table::Positions), columns).expect("all columns");
        Run::new(Table::Positions, batch, 0).expect("there are rows")
    }

    #[test]
    fn what_comes_while_its_older_version_is_being_stored_replaces_it() {
        let time = at("2026-03-04T10:00:00Z");
        let [before, now, later] = [-60_000, 0, 60_000].map(|ms| position("355", time.plus_millis(ms)));
        let other = position("356", time);
        let again = Position { received_at: now.received_at.plus_millis(5_000), valid: false, ..now.clone() };
        let unknown = Position { valid: false, ..other };
        let mut rows = Rows::default();
        rows.push(Table::Positions, run(&[before, now])).expect("pushed");
        assert_eq!(rows.seal().len(), 1);
        rows.push(Table::Positions, run(&[again, later, unknown])).expect("pushed");
        let replacing = rows.replacing(Table::Positions, 7).expect("compared");
        rows.let_go(replacing);

        let recent = rows.recent();
        let merged = recent.merged(Table::Positions).expect("merged").expect("there are rows");
        let flushes = merged.rows.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt::<Int32Type>());
        assert_eq!(flushes.expect("a column").iter().collect::<Vec<_>>(), [Some(7), None, None]);
        // The server takes the version that it has for the newest valid row, and so doesn't tell the one before.
        let state = SessionContext::new().state();
        let split = split(&state, Table::Positions, &[col("valid")], Some(merged)).expect("planned").expect("it can be said");
        assert!(split.undecided.as_ref().is_some_and(|sql| sql.contains("'355'") && !sql.contains("'356'")), "{split:?}");
    }
}
