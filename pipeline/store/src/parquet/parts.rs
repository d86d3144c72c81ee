//! What a table consists of at one moment: runs in memory, and files.

use super::file::DataFile;
use crate::memory::Run;
use std::sync::Arc;

/// What one table consists of. Never changed, only replaced: readers keep theirs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parts {
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) files: Vec<Arc<DataFile>>,
}

impl Parts {
    /// First and last fix time of all rows that can be read, in milliseconds since 1970.
    pub(crate) fn fix_times(&self) -> Option<(i64, i64)> {
        let files = self.files.iter().filter(|f| !f.is_damaged()).map(|f| f.entry.fix_time);
        let all = files.chain(self.runs.iter().map(|r| r.bounds.fix_time));
        all.reduce(|(first, last), (from, to)| (first.min(from), last.max(to)))
    }

    pub(crate) fn memory_rows(&self) -> usize {
        self.runs.iter().map(|r| r.rows.num_rows()).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.runs.iter().map(|r| r.bytes).sum()
    }
}
