//! Every metric of this crate.

use std::time::Duration;

/// Queries that began to answer.
pub const QUERIES: &str = "waystream_sql_queries_total";
/// Seconds from the question to the plan that begins to answer it, waiting for a turn included.
pub const PLAN_SECONDS: &str = "waystream_sql_plan_seconds";
/// Queries refused or stopped; label `why`: `invalid`, `read_only`, `deadline`, `memory`, `busy`, `store`.
pub const FAILED: &str = "waystream_sql_failed_total";
/// Queries that run, those included whose rows nobody takes.
pub const RUNNING: &str = "waystream_sql_running";

/// Temporary files that queries wrote because they needed more memory than they may use.
pub const SPILL_FILES: &str = "waystream_sql_spill_files_total";
/// Bytes written to them.
pub const SPILLED_BYTES: &str = "waystream_sql_spilled_bytes_total";

/// Queries that got no turn; label `why`: `queue_full` (as many of the organisation waited as may), `late` (waited for too long).
pub const TURNED_AWAY: &str = "waystream_sql_turned_away_total";

pub(crate) fn turned_away(why: &'static str) {
    metrics::counter!(TURNED_AWAY, "why" => why).increment(1);
}

pub(crate) fn running(change: f64) {
    metrics::gauge!(RUNNING).increment(change);
}

pub(crate) fn planned(took: Duration) {
    metrics::counter!(QUERIES).increment(1);
    metrics::histogram!(PLAN_SECONDS).record(took.as_secs_f64());
}

pub(crate) fn failed(why: &'static str) {
    metrics::counter!(FAILED, "why" => why).increment(1);
}

pub(crate) fn spilled(files: usize, bytes: usize) {
    metrics::counter!(SPILL_FILES).increment(files as u64);
    metrics::counter!(SPILLED_BYTES).increment(bytes as u64);
}

/// Connections of Flight SQL whose clients have shown a token.
#[cfg(feature = "flight")]
pub const FLIGHT_CONNECTIONS: &str = "waystream_flight_connections";
/// Queries begun over Flight SQL.
#[cfg(feature = "flight")]
pub const FLIGHT_QUERIES: &str = "waystream_flight_queries_total";
/// Calls and connections of Flight SQL that failed; label `why`: `invalid`, `read_only`, `deadline`, `memory`, `busy`, `store`, `internal`,
/// `stopping`, `sign_in`, `protocol`, `slow` (showed no token in time), `stuck` (did not take what was left of a query that had ended).
#[cfg(feature = "flight")]
pub const FLIGHT_FAILED: &str = "waystream_flight_failed_total";

#[cfg(feature = "flight")]
pub(crate) fn flight_connections(change: f64) {
    metrics::gauge!(FLIGHT_CONNECTIONS).increment(change);
}

#[cfg(feature = "flight")]
pub(crate) fn flight_query() {
    metrics::counter!(FLIGHT_QUERIES).increment(1);
}

#[cfg(feature = "flight")]
pub(crate) fn flight_failed(why: &'static str) {
    metrics::counter!(FLIGHT_FAILED, "why" => why).increment(1);
}

/// Clients signed in over Postgres wire.
#[cfg(feature = "postgres")]
pub const POSTGRES_CONNECTIONS: &str = "waystream_postgres_connections";
/// Queries begun over Postgres wire.
#[cfg(feature = "postgres")]
pub const POSTGRES_QUERIES: &str = "waystream_postgres_queries_total";
/// Statements and connections of Postgres wire that failed; label `why`: `invalid`, `read_only`, `cancelled`, `memory`, `busy`,
/// `internal`, `stopping`, `sign_in`, `protocol`, `slow` (did not sign in in time).
#[cfg(feature = "postgres")]
pub const POSTGRES_FAILED: &str = "waystream_postgres_failed_total";

#[cfg(feature = "postgres")]
pub(crate) fn postgres_connections(change: f64) {
    metrics::gauge!(POSTGRES_CONNECTIONS).increment(change);
}

#[cfg(feature = "postgres")]
pub(crate) fn postgres_query() {
    metrics::counter!(POSTGRES_QUERIES).increment(1);
}

#[cfg(feature = "postgres")]
pub(crate) fn postgres_failed(why: &'static str) {
    metrics::counter!(POSTGRES_FAILED, "why" => why).increment(1);
}
