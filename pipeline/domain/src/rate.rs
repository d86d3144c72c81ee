//! How often something may be: so many times at once, and so many times a second from then on. Time is an argument.

use std::time::{Duration, Instant};

/// How often.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rate {
    /// At once.
    pub burst: f64,
    /// In the long run.
    pub per_s: f64,
}

/// What is left of it.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    left: f64,
    at: Instant,
}

impl Bucket {
    /// Nothing is taken yet.
    pub fn full(rate: &Rate, now: Instant) -> Self {
        Self { left: rate.burst, at: now }
    }

    /// What is left now; below zero if more was taken than there was.
    pub fn left(&self, rate: &Rate, now: Instant) -> f64 {
        (self.left + rate.per_s * now.saturating_duration_since(self.at).as_secs_f64()).min(rate.burst)
    }

    /// Takes so many, and gives how long whoever takes them should wait, so that in the long run it is no more than the rate.
    pub fn take(&mut self, rate: &Rate, many: f64, now: Instant) -> Duration {
        self.left = self.left(rate, now) - many;
        // Never back: the time since would count twice.
        self.at = self.at.max(now);
        let owed_s = (-self.left).max(0.0) / rate.per_s;
        Duration::try_from_secs_f64(owed_s).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_more_than_the_rate_waits() {
        let (rate, start) = (Rate { burst: 10.0, per_s: 2.0 }, Instant::now());
        let after = |s: u64| start + Duration::from_secs(s);
        let mut bucket = Bucket::full(&rate, start);
        assert_eq!(bucket.take(&rate, 10.0, start), Duration::ZERO);
        assert_eq!(bucket.take(&rate, 4.0, start), Duration::from_secs(2));
        // Who has waited may go on, at the rate.
        assert_eq!(bucket.take(&rate, 2.0, after(2)), Duration::from_secs(1));
        assert_eq!(bucket.take(&rate, 2.0, after(4)), Duration::ZERO);
        // It fills up, and not beyond.
        assert_eq!(bucket.left(&rate, after(1_000)), 10.0);
        assert_eq!(bucket.left(&rate, start), bucket.left, "a clock that is behind gives nothing");
        bucket.take(&rate, 1.0, after(1_000));
        bucket.take(&rate, 2.0, start);
        assert_eq!(bucket.left(&rate, after(1_000)), 7.0, "nor does it later");
    }
}
