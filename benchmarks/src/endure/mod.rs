//! Thousands of trackers and sockets at once while faults go on: what each of them sees, and how long it takes until all are well again.

pub mod faults;
pub mod sockets;
pub mod system;
pub mod trackers;

use crate::report::Latencies;
use std::fmt;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Without an answer for so long a client takes its connection for broken.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked who is well.
const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// So long after a fault the time is not quiet yet.
const UNQUIET_AFTER_MS: i64 = 10_000;
/// First and longest pause before a client comes back, as socket.io-client has them.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

/// Times are told in milliseconds since 1970, as several processes measure: from the first until before the second.
pub type Span = Range<i64>;

/// Now.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64)
}

/// The pauses of one client, by chance half as long or half as long again: not all come back in the same moment.
#[derive(Debug)]
struct Pauses {
    next: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl Pauses {
    async fn pause(&mut self) {
        let pause = self.next.mul_f64(rand::random_range(0.5..1.5));
        self.next = (self.next * 2).min(PAUSES.1);
        tokio::time::sleep(pause).await;
    }
}

/// How long something took, each time with when that was seen.
#[derive(Debug, Default)]
pub struct Samples(Mutex<Vec<(i64, Duration)>>);

impl Samples {
    /// Seen just now.
    pub fn note(&self, took: impl IntoIterator<Item = Duration>) {
        let now = now_ms();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(took.into_iter().map(|took| (now, took)));
    }

    /// Those seen in one of these spans, and how many they are.
    pub fn within(&self, spans: &[Span]) -> (usize, Latencies) {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut count, mut latencies) = (0, Latencies::default());
        let seen = all.iter().filter(|(at, _)| spans.iter().any(|span| span.contains(at)));
        latencies.extend(seen.inspect(|_| count += 1).map(|(_, took)| *took));
        (count, latencies)
    }
}

/// At each look, when that was and how many were not well.
pub type Looks = Vec<(i64, usize)>;

/// How a fault was got over.
#[derive(Debug, PartialEq, Eq)]
pub struct Recovery {
    /// So many were not well at the worst moment.
    pub most: usize,
    /// From the fault until all were well again; none: they were not before the next one.
    pub took_ms: Option<i64>,
}

impl Recovery {
    /// After a fault at the beginning of a span, which ends with the next fault.
    pub fn within(looks: &[(i64, usize)], span: &Span) -> Self {
        let looks: Vec<_> = looks.iter().filter(|(at, _)| span.contains(at)).collect();
        let well_from = looks.iter().rposition(|(_, missing)| *missing > 0).map_or(0, |last| last + 1);
        let took_ms = match well_from {
            0 => Some(0),
            _ => looks.get(well_from).map(|(at, _)| at - span.start),
        };
        Self { most: looks.iter().map(|(_, missing)| *missing).max().unwrap_or(0), took_ms }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.most, self.took_ms) {
            (0, _) => write!(f, "none missing"),
            (most, Some(took_ms)) => write!(f, "at most {most} missing, none after {:.1} s", took_ms as f64 / 1e3),
            (most, None) => write!(f, "at most {most} missing, some still when the next came"),
        }
    }
}

/// What of a span is quiet: neither during a fault nor shortly after. The faults are in order of when they began.
pub fn quiet(measured: &Span, faults: &[Span]) -> Vec<Span> {
    let (mut quiet, mut from) = (Vec::new(), measured.start);
    for fault in faults {
        if from < fault.start {
            quiet.push(from..fault.start.min(measured.end));
        }
        from = from.max(fault.end + UNQUIET_AFTER_MS);
    }
    if from < measured.end {
        quiet.push(from..measured.end);
    }
    quiet
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quiet_is_what_is_left_between_faults() {
        let faults = [20_000..25_000, 30_000..31_000, 60_000..61_000];
        assert_eq!(quiet(&(0..100_000), &faults), [0..20_000, 41_000..60_000, 71_000..100_000]);
        assert_eq!(quiet(&(0..65_000), &faults), [0..20_000, 41_000..60_000]);
    }

    #[test]
    fn a_fault_is_over_when_nobody_is_missing_any_more() {
        let looks = [(0, 5), (100, 0), (200, 7), (300, 2), (400, 0), (500, 1)];
        assert_eq!(Recovery::within(&looks, &(100..450)), Recovery { most: 7, took_ms: Some(300) });
        assert_eq!(Recovery::within(&looks, &(400..600)), Recovery { most: 1, took_ms: None });
        assert_eq!(Recovery::within(&looks, &(100..200)), Recovery { most: 0, took_ms: Some(0) });
    }
}
