//! Every metric of this crate.

use std::time::Duration;

/// Queries that began to answer.
pub const QUERIES: &str = "waystream_sql_queries_total";
/// Seconds from the question to the plan that begins to answer it, waiting for a turn included.
pub const PLAN_SECONDS: &str = "waystream_sql_plan_seconds";
/// Queries refused or stopped; label `why`: `invalid`, `read_only`, `deadline`, `memory`, `busy`, `store`.
pub const FAILED: &str = "waystream_sql_failed_total";

pub(crate) fn planned(took: Duration) {
    metrics::counter!(QUERIES).increment(1);
    metrics::histogram!(PLAN_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn failed(why: &'static str) {
    metrics::counter!(FAILED, "why" => why).increment(1);
}
