//! Recent rows: sorted runs in memory, merged with one another as they grow in number.

use crate::Table;
use crate::digest::Digest;
use crate::merge::{Keys, MergeBatches};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute;
use arrow::datatypes::{DataType, Int64Type, TimestampMillisecondType};
use arrow::error::ArrowError;
use std::sync::{Arc, OnceLock};

/// So many runs of one size are merged into one of the next.
const FAN_IN: usize = 8;

/// Larger runs are not merged any more, so that no append has to wait long.
const MERGED_ROWS: usize = 131_072;

/// What is known about some rows without reading them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Bounds {
    /// Milliseconds since 1970, both included.
    pub(crate) fix_time: (i64, i64),
    /// Both included.
    pub(crate) device: (String, String),
    /// Over all partitions.
    pub(crate) last_offset: i64,
}

impl Bounds {
    /// Bounds of rows sorted by key; `None` if there are none.
    pub(crate) fn of(table: Table, sorted: &RecordBatch) -> Option<Self> {
        let keys = Keys::of(table, sorted)?;
        let last = sorted.num_rows().checked_sub(1)?;
        let times = sorted.column_by_name("fix_time")?.as_primitive_opt::<TimestampMillisecondType>()?;
        let offsets = sorted.column_by_name("log_offset")?.as_primitive_opt::<Int64Type>()?;
        Some(Self {
            fix_time: (compute::min(times)?, compute::max(times)?),
            device: (keys.device(0).to_owned(), keys.device(last).to_owned()),
            last_offset: compute::max(offsets)?,
        })
    }

    /// Takes in rows that come later in order of the key.
    pub(crate) fn extend(&mut self, later: Self) {
        self.fix_time = (self.fix_time.0.min(later.fix_time.0), self.fix_time.1.max(later.fix_time.1));
        self.device.1 = later.device.1;
        self.last_offset = self.last_offset.max(later.last_offset);
    }
}

/// Rows in memory, sorted by key, each once.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) rows: RecordBatch,
    pub(crate) bounds: Bounds,
    pub(crate) bytes: usize,
    /// How often its rows have been merged.
    tier: u32,
    /// Made when it is first asked for.
    digest: OnceLock<Digest>,
}

impl Run {
    /// `None` if there are no rows.
    pub(crate) fn new(table: Table, sorted: RecordBatch, tier: u32) -> Option<Arc<Self>> {
        let bounds = Bounds::of(table, &sorted)?;
        Some(Arc::new(Self { bytes: sorted.get_array_memory_size(), bounds, rows: sorted, tier, digest: OnceLock::new() }))
    }

    /// The same rows with other values beside key and version.
    pub(crate) fn with(&self, rows: RecordBatch) -> Arc<Self> {
        let (bytes, bounds) = (rows.get_array_memory_size(), self.bounds.clone());
        Arc::new(Self { bytes, bounds, rows, tier: self.tier, digest: OnceLock::new() })
    }

    /// What is kept of its rows beside them.
    pub(crate) fn digest(&self, table: Table) -> Result<&Digest, ArrowError> {
        if let Some(digest) = self.digest.get() {
            return Ok(digest);
        }
        let digest = Digest::of(table, &self.rows)?;
        Ok(self.digest.get_or_init(|| digest))
    }
}

/// Adds a run behind `runs`, and merges where enough of one tier have come together.
pub(crate) fn push(table: Table, runs: &mut Vec<Arc<Run>>, new: Arc<Run>) -> Result<(), ArrowError> {
    runs.push(new);
    loop {
        let Some(tier) = runs.last().map(|r| r.tier) else { return Ok(()) };
        let same = runs.iter().rev().take_while(|r| r.tier == tier).count();
        let rows: usize = runs[runs.len() - same..].iter().map(|r| r.rows.num_rows()).sum();
        if same < FAN_IN || rows > MERGED_ROWS {
            return Ok(());
        }
        let merged = runs.split_off(runs.len() - same);
        let rows = MergeBatches::new(table, merged.iter().map(|r| r.rows.clone())).collect::<Result<Vec<_>, _>>()?;
        let rows = compact_texts(&compute::concat_batches(&merged[0].rows.schema(), &rows)?)?;
        runs.extend(Run::new(table, rows, tier + 1));
    }
}

/// Text columns refer to the buffers of all the batches they came from: copies the texts together, so that those are freed.
pub(crate) fn compact_texts(rows: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let columns = rows.columns().iter().map(|c| match c.data_type() {
        DataType::Utf8View => Arc::new(AsArray::as_string_view(c).gc()) as Arc<dyn Array>,
        _ => c.clone(),
    });
    RecordBatch::try_new(rows.schema(), columns.collect())
}
