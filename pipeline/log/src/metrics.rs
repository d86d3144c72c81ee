//! Every metric of this crate, and how it is told.

use crate::{Log, LogError, Topic};
use std::time::Duration;

/// Seconds from the call to the answer of `append` and `commit`; label `call`.
pub const APPEND_SECONDS: &str = "waystream_log_append_seconds";
/// Records appended; label `topic`.
pub const APPENDED_RECORDS: &str = "waystream_log_appended_records_total";
/// Bytes of keys and values appended; label `topic`.
pub const APPENDED_BYTES: &str = "waystream_log_appended_bytes_total";
/// Calls whose records the log will never take.
pub const REFUSED: &str = "waystream_log_refused_total";
/// Seconds of one database transaction with its fsync.
pub const FSYNC_SECONDS: &str = "waystream_log_fsync_seconds";
/// Calls that shared one fsync.
pub const FSYNC_CALLS: &str = "waystream_log_fsync_calls";
/// Records that shared one fsync.
pub const FSYNC_RECORDS: &str = "waystream_log_fsync_records";
/// Bytes that wait for the disk.
pub const QUEUE_BYTES: &str = "waystream_log_queue_bytes";
/// Records dropped because of their age; label `topic`.
pub const EXPIRED_RECORDS: &str = "waystream_log_expired_records_total";
/// Overwritten and forgotten records dropped from compacted topics; label `topic`.
pub const COMPACTED_RECORDS: &str = "waystream_log_compacted_records_total";
/// Records that a group has yet to read; labels `group`, `topic`.
pub const READ_LAG: &str = "waystream_log_read_lag_records";
/// Times that this process's membership of a group did not come back by itself, and was made anew; labels `group`, `why`: `lost` or
/// `shut_out`.
pub const JOINED_ANEW: &str = "waystream_log_joined_anew_total";
/// Catalog records that could not be read.
pub const CATALOG_FAULTS: &str = "waystream_log_catalog_faults_total";

pub(crate) fn answered(call: &'static str, took: Duration) {
    metrics::histogram!(APPEND_SECONDS, "call" => call).record(took.as_secs_f64());
}

pub(crate) fn appended(topic: Topic, records: u64, bytes: u64) {
    metrics::counter!(APPENDED_RECORDS, "topic" => topic.name()).increment(records);
    metrics::counter!(APPENDED_BYTES, "topic" => topic.name()).increment(bytes);
}

pub(crate) fn refused() {
    metrics::counter!(REFUSED).increment(1);
}

pub(crate) fn synced(calls: usize, records: usize, took: Duration) {
    metrics::histogram!(FSYNC_SECONDS).record(took.as_secs_f64());
    metrics::histogram!(FSYNC_CALLS).record(calls as f64);
    metrics::histogram!(FSYNC_RECORDS).record(records as f64);
}

pub(crate) fn queued(bytes: usize) {
    metrics::gauge!(QUEUE_BYTES).set(bytes as f64);
}

pub(crate) fn expired(topic: Topic, records: u64) {
    metrics::counter!(EXPIRED_RECORDS, "topic" => topic.name()).increment(records);
}

pub(crate) fn compacted(topic: Topic, records: u64) {
    metrics::counter!(COMPACTED_RECORDS, "topic" => topic.name()).increment(records);
}

pub(crate) fn joined_anew(group: &str, why: &'static str) {
    metrics::counter!(JOINED_ANEW, "group" => group.to_owned(), "why" => why).increment(1);
}

pub(crate) fn catalog_fault() {
    metrics::counter!(CATALOG_FAULTS).increment(1);
}

/// How many records `group` has yet to commit in `topic` (an upper bound: offsets have gaps), told as [`READ_LAG`] too.
pub async fn read_lag(log: &dyn Log, group: &str, topic: Topic) -> Result<u64, LogError> {
    let committed = log.committed(group, topic).await?;
    let bounds = log.bounds(topic).await?;
    let lag = (0..).zip(&bounds).fold(0u64, |sum, (partition, bound)| {
        let at = committed.get(&(topic, partition)).copied().unwrap_or(0).max(bound.first);
        sum + bound.next.saturating_sub(at)
    });
    metrics::gauge!(READ_LAG, "group" => group.to_owned(), "topic" => topic.name()).set(lag as f64);
    Ok(lag)
}
