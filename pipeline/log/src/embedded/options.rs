//! What can be set about the embedded log.

use crate::{Keep, Topic};
use std::collections::BTreeMap;
use std::time::Duration;

/// Settings of [`super::EmbeddedLog`]; the defaults suit a machine with 2 cores and 4 GB.
#[derive(Debug, Clone)]
pub struct EmbeddedOptions {
    /// Numbers of partitions other than [`Topic::partitions`]. Fixed at the first open.
    pub partitions: BTreeMap<Topic, u32>,
    /// Times to keep other than [`Topic::keep`].
    pub keep: BTreeMap<Topic, Keep>,
    /// How long a removed key of a compacted topic is remembered, so that slow readers learn of the removal.
    pub remember_removed: Duration,
    /// Largest key + value of one record. A geofence of 100,000 vertices needs 2.5 MB.
    pub max_record_bytes: usize,
    /// Longest wait for company before an fsync. A lone caller does not wait.
    pub linger: Duration,
    /// Most bytes that wait for the disk; then `append` waits.
    pub queue_bytes: usize,
    /// Newest records held in memory for tailing readers, over all partitions.
    pub recent_bytes: usize,
    /// The database's page cache.
    pub cache_bytes: usize,
    /// How often old records are looked for. Zero: never, only when asked.
    pub maintenance_every: Duration,
    /// Open at once after a crash. Without it the first open after a crash reads the whole database once (about a second per
    /// gigabyte). With it every commit takes a second fsync and writes about 64 KiB more per gigabyte of the database.
    pub quick_repair: bool,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            partitions: BTreeMap::new(),
            keep: BTreeMap::new(),
            remember_removed: Duration::from_secs(24 * 3600),
            max_record_bytes: 4 << 20,
            linger: Duration::from_millis(5),
            queue_bytes: 64 << 20,
            recent_bytes: 64 << 20,
            cache_bytes: 64 << 20,
            maintenance_every: Duration::from_secs(10),
            quick_repair: false,
        }
    }
}

impl EmbeddedOptions {
    /// How long a topic's records stay.
    pub fn keep(&self, topic: Topic) -> Keep {
        self.keep.get(&topic).copied().unwrap_or(topic.keep())
    }
}
