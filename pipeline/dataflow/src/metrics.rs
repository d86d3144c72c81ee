//! The dataflow's metrics: names in one place, counted per epoch.

use metrics::{counter, gauge, histogram};
use std::collections::BTreeMap;
use std::time::Duration;

/// Positions by what became of them.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) moved: u64,
    pub(crate) corrected: u64,
    pub(crate) late: u64,
    pub(crate) duplicate: u64,
    pub(crate) invalid: u64,
    pub(crate) unreadable: u64,
    /// Devices of whose last fixes some were forgotten for their size.
    pub(crate) shortened: u64,
    /// By kind.
    pub(crate) events: BTreeMap<&'static str, u64>,
}

/// Positions taken in and events told.
pub(crate) fn folded(tally: Tally) {
    let outcomes = [
        ("moved", tally.moved),
        ("corrected", tally.corrected),
        ("late", tally.late),
        ("duplicate", tally.duplicate),
        ("invalid", tally.invalid),
        ("unreadable", tally.unreadable),
    ];
    for (outcome, n) in outcomes.into_iter().filter(|(_, n)| *n > 0) {
        counter!("waystream_dataflow_positions_total", "outcome" => outcome).increment(n);
    }
    if tally.shortened > 0 {
        counter!("waystream_dataflow_horizons_shortened_total").increment(tally.shortened);
    }
    for (kind, n) in tally.events {
        counter!("waystream_dataflow_events_total", "kind" => kind).increment(n);
    }
}

/// What a worker holds.
pub(crate) fn held(worker: usize, devices: usize, geofences: usize) {
    gauge!("waystream_dataflow_devices", "worker" => worker.to_string()).set(devices as f64);
    gauge!("waystream_dataflow_geofences").set(geofences as f64);
}

/// One epoch is durable: how long the commit took, and how long after the epoch's end that was.
pub(crate) fn committed(took: Duration, lag: Duration) {
    counter!("waystream_dataflow_epochs_total").increment(1);
    histogram!("waystream_dataflow_commit_seconds").record(took);
    histogram!("waystream_dataflow_epoch_lag_seconds").record(lag);
}

/// A write to the log is tried again.
pub(crate) fn retried() {
    counter!("waystream_dataflow_retries_total").increment(1);
}

/// The dataflow began again from its last commit.
pub(crate) fn restarted() {
    counter!("waystream_dataflow_restarts_total").increment(1);
}

/// A catalog record that can't be read.
pub(crate) fn catalog_fault() {
    counter!("waystream_dataflow_catalog_faults_total").increment(1);
}

/// A state that can't be read: its device begins anew.
pub(crate) fn state_fault() {
    counter!("waystream_dataflow_state_faults_total").increment(1);
}
