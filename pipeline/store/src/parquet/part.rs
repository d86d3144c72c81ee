//! One part of a table, and what is known of it without reading its rows.

use super::file::DataFile;
use super::overlap::Extent;
use crate::Table;
use crate::memory::Run;
use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray, TimestampMillisecondArray, UInt64Array};
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, Result, ScalarValue};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A file, or a run in memory.
#[derive(Debug, Clone)]
pub(super) enum Part {
    File(Arc<DataFile>),
    Run(Arc<Run>),
}

impl Part {
    pub(super) fn extent(&self) -> Extent<'_> {
        match self {
            Self::File(f) => Extent { fix_time: f.entry.fix_time, device: (&f.entry.device.0, &f.entry.device.1) },
            Self::Run(r) => Extent { fix_time: r.bounds.fix_time, device: (&r.bounds.device.0, &r.bounds.device.1) },
        }
    }

    /// How many.
    pub(super) fn rows(&self) -> u64 {
        match self {
            Self::File(f) => f.entry.rows,
            Self::Run(r) => r.rows.num_rows() as u64,
        }
    }

    /// How many of each fleet, if that is known.
    pub(super) fn fleets(&self, table: Table) -> Result<Option<&BTreeMap<String, u64>>> {
        Ok(match self {
            Self::File(f) => f.entry.fleets.as_ref(),
            Self::Run(r) => r.digest(table)?.fleets.as_ref(),
        })
    }

    fn last_offset(&self) -> i64 {
        match self {
            Self::File(f) => f.entry.last_offset,
            Self::Run(r) => r.bounds.last_offset,
        }
    }
}

/// What pruning may know of parts.
pub(super) struct Extents<'a>(pub(super) &'a [Part]);

impl Extents<'_> {
    fn times(&self, bound: impl Fn((i64, i64)) -> i64) -> ArrayRef {
        let times = self.0.iter().map(|p| bound(p.extent().fix_time));
        Arc::new(TimestampMillisecondArray::from_iter_values(times).with_timezone("UTC"))
    }

    fn devices<'a>(&'a self, bound: impl Fn((&'a str, &'a str)) -> &'a str) -> ArrayRef {
        Arc::new(StringViewArray::from_iter_values(self.0.iter().map(|p| bound(p.extent().device))))
    }
}

impl PruningStatistics for Extents<'_> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            "fix_time" => Some(self.times(|t| t.0)),
            "device" => Some(self.devices(|d| d.0)),
            // The least offset is kept from pruning: `log_offset <= x` must not hide the newest version.
            _ => None,
        }
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        match column.name.as_str() {
            "fix_time" => Some(self.times(|t| t.1)),
            "device" => Some(self.devices(|d| d.1)),
            "log_offset" => Some(Arc::new(Int64Array::from_iter_values(self.0.iter().map(Part::last_offset)))),
            _ => None,
        }
    }

    fn num_containers(&self) -> usize {
        self.0.len()
    }

    fn null_counts(&self, _: &Column) -> Option<ArrayRef> {
        Some(Arc::new(UInt64Array::from(vec![0; self.0.len()])))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        None
    }

    fn contained(&self, _: &Column, _: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
