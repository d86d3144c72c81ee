//! Every metric of this crate, and how it is told. Labels are names of protocols and fixed words only.

use crate::protocol::FaultKind;
use smol_str::SmolStr;
use std::time::Duration;

/// Positions made durable; label `protocol`.
pub const POSITIONS: &str = "waystream_connectors_positions_total";
/// Seconds that a device waited for its positions to be durable, retries included; label `protocol`.
pub const DURABLE_SECONDS: &str = "waystream_connectors_durable_seconds";
/// Appends that failed and were tried again.
pub const APPEND_RETRIES: &str = "waystream_connectors_append_retries_total";
/// Reports given up unanswered because the log did not take them; label `protocol`.
pub const UNANSWERED: &str = "waystream_connectors_unanswered_total";
/// Faults in what devices sent; labels `protocol`, `kind`.
pub const FAULTS: &str = "waystream_connectors_faults_total";
/// Positions left out because of whose they are, whether of the connection's device or of one that a relay names; labels `protocol`, `reason`
/// (the kind of fault: `refused_device`, `wrong_token`, `wrong_certificate`, `wrong_address`, `no_device`).
pub const REFUSED_POSITIONS: &str = "waystream_connectors_refused_positions_total";
/// Unknown devices put into the catalog; label `protocol`.
pub const REGISTERED_DEVICES: &str = "waystream_connectors_registered_devices_total";
/// Connections open now; label `protocol`.
pub const CONNECTIONS: &str = "waystream_connectors_connections";
/// Connections accepted; label `protocol`.
pub const ACCEPTED: &str = "waystream_connectors_accepted_total";
/// Connections closed; labels `protocol`, `reason`.
pub const CLOSED: &str = "waystream_connectors_closed_total";
/// Connections turned away at once; labels `protocol`, `reason` (`address_limit`, `total_limit`; of MQTT also `no_password`, `wrong_password`,
/// `too_many_guesses`).
pub const TURNED_AWAY: &str = "waystream_connectors_turned_away_total";
/// Failures of `accept`, mostly for want of file descriptors; label `protocol`.
pub const ACCEPT_ERRORS: &str = "waystream_connectors_accept_errors_total";

/// Times that two senders spoke as one device by turns; label `protocol`. Once in ten minutes per device.
pub const CONTESTED: &str = "waystream_connectors_contested_devices_total";

/// Messages that came faster than a device may speak: it was made to wait (over UDP it was not answered); label `protocol`.
pub const TOO_FAST: &str = "waystream_connectors_too_fast_messages_total";

/// Messages put into the quarantine; label `protocol`.
pub const QUARANTINED: &str = "waystream_connectors_quarantined_total";
/// Messages that the quarantine could not take; label `protocol`.
pub const NOT_QUARANTINED: &str = "waystream_connectors_not_quarantined_total";

pub(crate) fn quarantined(protocol: SmolStr) {
    metrics::counter!(QUARANTINED, "protocol" => protocol.to_string()).increment(1);
}

pub(crate) fn not_quarantined(protocol: SmolStr) {
    metrics::counter!(NOT_QUARANTINED, "protocol" => protocol.to_string()).increment(1);
}

pub(crate) fn durable(protocol: &'static str, positions: usize, took: Duration) {
    metrics::counter!(POSITIONS, "protocol" => protocol).increment(positions as u64);
    metrics::histogram!(DURABLE_SECONDS, "protocol" => protocol).record(took.as_secs_f64());
}

pub(crate) fn append_retried() {
    metrics::counter!(APPEND_RETRIES).increment(1);
}

pub(crate) fn unanswered(protocol: &'static str) {
    metrics::counter!(UNANSWERED, "protocol" => protocol).increment(1);
}

pub(crate) fn fault(protocol: &'static str, kind: FaultKind) {
    metrics::counter!(FAULTS, "protocol" => protocol, "kind" => kind.as_str()).increment(1);
}

pub(crate) fn refused_positions(protocol: &'static str, reason: FaultKind, positions: usize) {
    if positions > 0 {
        metrics::counter!(REFUSED_POSITIONS, "protocol" => protocol, "reason" => reason.as_str()).increment(positions as u64);
    }
}

pub(crate) fn registered(protocol: &'static str) {
    metrics::counter!(REGISTERED_DEVICES, "protocol" => protocol).increment(1);
}

pub(crate) fn contested(protocol: &'static str) {
    metrics::counter!(CONTESTED, "protocol" => protocol).increment(1);
}

pub(crate) fn too_fast(protocol: &'static str, messages: usize) {
    metrics::counter!(TOO_FAST, "protocol" => protocol).increment(messages as u64);
}

pub(crate) fn opened(protocol: &'static str) {
    metrics::counter!(ACCEPTED, "protocol" => protocol).increment(1);
    metrics::gauge!(CONNECTIONS, "protocol" => protocol).increment(1);
}

pub(crate) fn gone(protocol: &'static str) {
    metrics::gauge!(CONNECTIONS, "protocol" => protocol).decrement(1);
}

pub(crate) fn closed(protocol: &'static str, reason: &'static str) {
    metrics::counter!(CLOSED, "protocol" => protocol, "reason" => reason).increment(1);
}

pub(crate) fn turned_away(protocol: &'static str, reason: &'static str) {
    metrics::counter!(TURNED_AWAY, "protocol" => protocol, "reason" => reason).increment(1);
}

pub(crate) fn accept_failed(protocol: &'static str) {
    metrics::counter!(ACCEPT_ERRORS, "protocol" => protocol).increment(1);
}
