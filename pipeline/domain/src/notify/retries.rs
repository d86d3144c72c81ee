//! What follows from an attempt to deliver: delivered, again later, or given up.

use super::{Delivery, DeliveryState};
use crate::Timestamp;

/// Longest reason that is kept, characters.
const MAX_REASON: usize = 300;

/// What came of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver has it.
    Delivered,
    /// Not now.
    Failed {
        /// Why not.
        reason: String,
        /// The receiver asks for so much patience, milliseconds.
        after_ms: Option<i64>,
    },
    /// The same attempt can't succeed.
    Refused {
        /// Why not.
        reason: String,
    },
}

/// How often and when it is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retries {
    /// Attempts at most.
    pub tries: u32,
    /// After the first attempt, milliseconds; doubled after each further one.
    pub first_pause_ms: i64,
    /// At most, milliseconds.
    pub longest_pause_ms: i64,
}

impl Default for Retries {
    /// Eight attempts within about an hour: after 30 s, 1, 2, 4, 8, 16 and 32 minutes.
    fn default() -> Self {
        Self { tries: 8, first_pause_ms: 30_000, longest_pause_ms: 3_600_000 }
    }
}

impl Retries {
    /// The pause after so many attempts (from 1): doubled each time, and a fifth less to a fifth more by `jitter` (0 to 1), so that
    /// what failed together isn't tried together.
    pub fn pause_ms(&self, attempts: u32, jitter: f64) -> i64 {
        let doubled =
            self.first_pause_ms.saturating_mul(1_i64.checked_shl(attempts.saturating_sub(1).min(40)).unwrap_or(i64::MAX));
        (doubled.min(self.longest_pause_ms) as f64 * (0.8 + 0.4 * jitter.clamp(0.0, 1.0))) as i64
    }
}

impl Delivery {
    /// After an attempt.
    pub fn after(&self, outcome: Outcome, retries: &Retries, now: Timestamp, jitter: f64) -> Self {
        let attempts = self.attempts + 1;
        let state = match outcome {
            Outcome::Delivered => DeliveryState::Delivered,
            Outcome::Refused { reason } => DeliveryState::Dead { reason: shortened(reason) },
            Outcome::Failed { reason, .. } if attempts >= retries.tries => {
                DeliveryState::Dead { reason: shortened(format!("given up after {attempts} attempts, at last: {reason}")) }
            }
            Outcome::Failed { reason, after_ms } => {
                let asked = after_ms.unwrap_or(0).min(retries.longest_pause_ms);
                let next_try_at = now.plus_millis(retries.pause_ms(attempts, jitter).max(asked));
                DeliveryState::Pending { next_try_at, last_error: Some(shortened(reason)) }
            }
        };
        Self { attempts, state, changed_at: now, ..self.clone() }
    }

    /// Given up without an attempt.
    pub fn dead(&self, reason: impl Into<String>, now: Timestamp) -> Self {
        Self { state: DeliveryState::Dead { reason: shortened(reason.into()) }, changed_at: now, ..self.clone() }
    }

    /// A dead one that somebody wants tried again: from now on, with all attempts.
    pub fn again(&self, now: Timestamp) -> Option<Self> {
        let state = DeliveryState::Pending { next_try_at: now, last_error: None };
        let dead = matches!(self.state, DeliveryState::Dead { .. });
        dead.then(|| Self { round: self.round + 1, attempts: 0, state, changed_at: now, ..self.clone() })
    }
}

fn shortened(reason: String) -> String {
    match reason.char_indices().nth(MAX_REASON) {
        Some((at, _)) => format!("{}…", &reason[..at]),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::super::delivery::tests::delivery;
    use super::*;

    fn failed(after_ms: Option<i64>) -> Outcome {
        Outcome::Failed { reason: "busy".into(), after_ms }
    }

    #[test]
    fn eight_attempts_take_about_an_hour_and_then_it_is_dead() {
        let retries = Retries::default();
        let mut now = Timestamp::default();
        let mut d = delivery();
        let mut attempts = 0;
        while let DeliveryState::Pending { next_try_at, .. } = d.state {
            now = now.max(next_try_at);
            let next = d.after(failed(None), &retries, now, 0.5);
            assert!(d.may_become(&next) && !next.may_become(&d));
            (d, attempts) = (next, attempts + 1);
        }
        assert_eq!((attempts, d.attempts), (8, 8));
        assert_eq!(now.as_millis() / 60_000, 63);
        let DeliveryState::Dead { reason } = &d.state else { panic!("{d:?}") };
        assert_eq!(reason, "given up after 8 attempts, at last: busy");

        let again = d.again(now).expect("it is dead");
        assert!(d.may_become(&again) && !again.may_become(&d));
        assert_eq!((again.attempts, again.round, again.id.clone()), (0, 1, d.id.clone()));
        assert_eq!(again.again(now), None);
    }

    #[test]
    fn the_receiver_may_ask_for_patience_but_not_for_ever() {
        let retries = Retries::default();
        let next = |after_ms| match delivery().after(failed(after_ms), &retries, Timestamp::default(), 0.0).state {
            DeliveryState::Pending { next_try_at, .. } => next_try_at.as_millis(),
            other => panic!("{other:?}"),
        };
        assert_eq!(next(None), 24_000);
        assert_eq!(next(Some(5)), 24_000);
        assert_eq!(next(Some(120_000)), 120_000);
        assert_eq!(next(Some(i64::MAX)), 3_600_000);
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_never_overflow() {
        let retries = Retries::default();
        assert_eq!(retries.pause_ms(1, 0.5), 30_000);
        assert_eq!(retries.pause_ms(3, 0.5), 120_000);
        assert_eq!(retries.pause_ms(u32::MAX, 1.0), 4_320_000);
        assert_eq!(retries.pause_ms(1, 1.0), 36_000);
    }
}
