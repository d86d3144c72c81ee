//! What can be set about the dataflow.

use serde::{Deserialize, Serialize};
use waystream_domain::{Horizon, Rules, TripRules};

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
    /// How late a position may be and still correct what was told: this many of a device's last fixes are remembered (about 18 bytes
    /// each; 0: none) …
    pub late_fixes: usize,
    /// … unless they are older than the newest by more than this, hours.
    pub late_hours: u32,
}

impl Default for DataflowConfig {
    fn default() -> Self {
        Self { workers: 1, epoch_ms: 100, trips: false, late_fixes: 256, late_hours: 24 }
    }
}

impl DataflowConfig {
    /// What the fold is to tell, and how.
    pub(crate) fn rules(&self) -> Rules {
        let age_ms = i64::from(self.late_hours) * 3_600_000;
        Rules { trips: self.trips.then(TripRules::default), horizon: Horizon { fixes: self.late_fixes, age_ms } }
    }
}
