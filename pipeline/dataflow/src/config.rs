//! What can be set about the dataflow.

use serde::{Deserialize, Serialize};

/// Settings of [`crate::Dataflow`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataflowConfig {
    /// Threads; each owns whole partitions of `positions`, so more than those are of no use. One folds a million positions a second.
    pub workers: usize,
    /// Length of an epoch, milliseconds: positions of one epoch are concluded and committed together. Shorter is sooner on the map and
    /// costs more fsyncs.
    pub epoch_ms: u64,
    /// Whether events also tell trips (`trip_start`, `trip_end`).
    pub trips: bool,
}

impl Default for DataflowConfig {
    fn default() -> Self {
        Self { workers: 1, epoch_ms: 100, trips: false }
    }
}
