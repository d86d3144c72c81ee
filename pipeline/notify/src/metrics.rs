//! Every metric of this crate.

use metrics::{counter, gauge};
use waystream_domain::notify::{DeliveryState, Verdict};

/// What rules made of events that they picked: `matched` (it is told), `too_old`, `quiet`, `throttled`, `repeated`.
pub(crate) fn judged(verdict: &Verdict) {
    let outcome = match verdict {
        Verdict::Tell(_) => "matched",
        Verdict::TooOld => "too_old",
        Verdict::Quiet => "quiet",
        Verdict::Throttled => "throttled",
        Verdict::Repeated => "repeated",
    };
    counter!("waystream_notify_events_total", "outcome" => outcome).increment(1);
}

/// What came of an attempt, by kind of channel: `delivered`, `failed` (and tried again later), `dead`.
pub(crate) fn attempted(channel: &'static str, state: &DeliveryState) {
    let outcome = match state {
        DeliveryState::Pending { .. } => "failed",
        DeliveryState::Delivered => "delivered",
        DeliveryState::Dead { .. } => "dead",
    };
    counter!("waystream_notify_attempts_total", "channel" => channel, "outcome" => outcome).increment(1);
}

/// Given up without an attempt: the channel is gone, or too many wait for it.
pub(crate) fn not_tried() {
    counter!("waystream_notify_attempts_total", "channel" => "none", "outcome" => "dead").increment(1);
}

/// What waits, and what is being tried.
pub(crate) fn open(waiting: usize, trying: usize) {
    gauge!("waystream_notify_waiting").set(waiting as f64);
    gauge!("waystream_notify_trying").set(trying as f64);
}

/// Old deliveries that were forgotten.
pub(crate) fn forgotten(n: u64) {
    counter!("waystream_notify_forgotten_total").increment(n);
}

/// A record that can't be read was left out.
pub(crate) fn unreadable(topic: &'static str) {
    counter!("waystream_notify_unreadable_total", "topic" => topic).increment(1);
}

/// The notifier began again from its last commit.
pub(crate) fn restarted() {
    counter!("waystream_notify_restarts_total").increment(1);
}
