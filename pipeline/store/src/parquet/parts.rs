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
    pub(crate) fn memory_rows(&self) -> usize {
        self.runs.iter().map(|r| r.rows.num_rows()).sum()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.runs.iter().map(|r| r.bytes).sum()
    }
}
