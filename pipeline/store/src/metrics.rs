//! Every metric of this crate.

use crate::Table;
use std::time::Duration;
use waystream_log::Topic;

/// Age of the newest record when the archive took it from the log; label `topic`. Grows while the store is down or too slow.
pub const LAG_SECONDS: &str = "waystream_archive_lag_seconds";
/// Rows given to the store, repeats included; label `topic`.
pub const ROWS: &str = "waystream_archive_rows_total";
/// Records skipped because they could not be decoded; label `topic`.
pub const UNDECODABLE: &str = "waystream_archive_undecodable_total";
/// Attempts repeated because the store was unavailable.
pub const RETRIES: &str = "waystream_archive_retries_total";
/// Seconds that a flush took.
pub const FLUSH_SECONDS: &str = "waystream_archive_flush_seconds";
/// Files that were found to be damaged.
pub const DAMAGED_FILES: &str = "waystream_store_damaged_files_total";
/// Files of the store.
pub const FILES: &str = "waystream_store_files";
/// Their size.
pub const BYTES: &str = "waystream_store_bytes";
/// Seconds that a compaction took.
pub const COMPACTION_SECONDS: &str = "waystream_store_compaction_seconds";
/// Rows that QuestDB refused and that were set aside; label `topic`.
pub const REFUSED_ROWS: &str = "waystream_store_refused_rows_total";
/// Tables that QuestDB has suspended: nothing written to them is applied until an operator resumes them.
pub const SUSPENDED_TABLES: &str = "waystream_store_suspended_tables";
/// 1 while QuestDB answers, else 0.
pub const REACHABLE: &str = "waystream_store_reachable";

pub(crate) fn refused(table: Table, rows: usize) {
    metrics::counter!(REFUSED_ROWS, "topic" => table.name()).increment(rows as u64);
}

pub(crate) fn suspended(tables: usize) {
    metrics::gauge!(SUSPENDED_TABLES).set(tables as f64);
}

pub(crate) fn reachable(yes: bool) {
    metrics::gauge!(REACHABLE).set(if yes { 1.0 } else { 0.0 });
}

pub(crate) fn taken(topic: Topic, lag_ms: i64) {
    metrics::gauge!(LAG_SECONDS, "topic" => topic.name()).set(lag_ms.max(0) as f64 / 1e3);
}

pub(crate) fn archived(topic: Topic, rows: usize) {
    metrics::counter!(ROWS, "topic" => topic.name()).increment(rows as u64);
}

pub(crate) fn undecodable(topic: Topic, records: u64) {
    metrics::counter!(UNDECODABLE, "topic" => topic.name()).increment(records);
}

pub(crate) fn retried() {
    metrics::counter!(RETRIES).increment(1);
}

pub(crate) fn flushed(took: Duration) {
    metrics::histogram!(FLUSH_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn damaged_file() {
    metrics::counter!(DAMAGED_FILES).increment(1);
}

pub(crate) fn files(count: usize, bytes: u64) {
    metrics::gauge!(FILES).set(count as f64);
    metrics::gauge!(BYTES).set(bytes as f64);
}

pub(crate) fn compacted(took: Duration) {
    metrics::histogram!(COMPACTION_SECONDS).record(took.as_secs_f64());
}
