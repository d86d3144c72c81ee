//! Acknowledgements that are held back, so that a broker of others sends no more of who floods: it sends only so much ahead of them.
//!
//! MQTT wants them in the order of the publications (5.0, 4.6), so what came after one that is held back is acknowledged after it, too. It is
//! stored all the same, as long as there is a place: others wait no longer than they have to behind who floods in the one queue that the broker has for us.

use super::client::WINDOW;
use std::collections::VecDeque;
use std::time::Instant;

/// What waits to be acknowledged, oldest first, and until when.
pub(super) struct Held<T>(VecDeque<(T, Instant)>);

impl<T> Default for Held<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Held<T> {
    /// How many more may wait.
    pub(super) fn room(&self) -> usize {
        usize::from(WINDOW).saturating_sub(self.0.len())
    }

    /// To be acknowledged no sooner than `due`, nor before those that came earlier.
    pub(super) fn push(&mut self, one: T, due: Instant) {
        let due = self.0.back().map_or(due, |(_, before)| due.max(*before));
        self.0.push_back((one, due));
    }

    /// Returns when the oldest is due; never, if nothing waits.
    pub(super) async fn until_due(&self) {
        match self.0.front() {
            Some((_, due)) => tokio::time::sleep_until((*due).into()).await,
            None => std::future::pending().await,
        }
    }

    /// Those that are due.
    pub(super) fn take_due(&mut self, now: Instant) -> impl Iterator<Item = T> {
        let due = self.0.partition_point(|(_, due)| *due <= now);
        self.0.drain(..due).map(|(one, _)| one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn who_is_held_back_holds_back_who_comes_after_it_and_takes_places() {
        let (mut held, start) = (Held::default(), Instant::now());
        let after = |s: u64| start + Duration::from_secs(s);
        for (one, due) in [("calm", start), ("flood", after(2)), ("calm again", start), ("later", after(3))] {
            held.push(one, due);
        }
        assert_eq!(held.room(), usize::from(WINDOW) - 4);
        for (now, due) in
            [(start, vec!["calm"]), (after(1), vec![]), (after(2), vec!["flood", "calm again"]), (after(9), vec!["later"])]
        {
            assert_eq!(held.take_due(now).collect::<Vec<_>>(), due);
        }
        assert_eq!(held.room(), usize::from(WINDOW));
        for _ in 0..2 * WINDOW {
            held.push("more", start);
        }
        assert_eq!(held.room(), 0);
    }
}
