//! When views have their turn. Not all at one instant: with thousands of sockets most frames would wait for others to be written, half of
//! a tick long, and then nothing would be written for the other half.

use std::time::Duration;
use tokio::time::Instant;

/// Time between two frames of a view.
const TICK: Duration = Duration::from_millis(100);
/// Turns in that time.
const TURNS: u8 = 20;
/// Time from one turn to the next.
const STEP: Duration = Duration::from_micros(TICK.as_micros() as u64 / TURNS as u64);

/// Counts turns, and rounds of them: each view has its turn once a round.
#[derive(Debug, Default)]
pub(crate) struct Turns {
    round: u64,
    turn: u8,
}

impl Turns {
    /// The next turn.
    pub(crate) fn advance(&mut self) {
        self.turn = (self.turn + 1) % TURNS;
        self.round += u64::from(self.turn == 0);
    }

    /// Whose turn it is.
    pub(crate) fn turn(&self) -> u8 {
        self.turn
    }

    /// Whether a round begins.
    pub(crate) fn is_first(&self) -> bool {
        self.turn == 0
    }

    /// Whether this round is one of those so many apart.
    pub(crate) fn is_round(&self, every: u64) -> bool {
        self.round.is_multiple_of(every)
    }
}

/// When the turn comes that follows one which was due then. A late turn delays no other: each view is told as often as it should be. But
/// where a whole round is late there is more to do than can be done, and views are told less often.
pub(crate) fn next_due(due: Instant, now: Instant) -> Instant {
    let next = due + STEP;
    if next + TICK < now { now + STEP } else { next }
}

/// The turn with the least to do, for one more view: of all views their turns and how many sockets they have.
pub(crate) fn calmest(views: impl IntoIterator<Item = (u8, usize)>) -> u8 {
    let mut loads = [0; TURNS as usize];
    for (turn, sockets) in views {
        loads[usize::from(turn)] += 1 + sockets;
    }
    (0..TURNS).min_by_key(|&turn| loads[usize::from(turn)]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_view_has_its_turn_once_a_round() {
        let mut turns = Turns::default();
        let mut first_of_third = 0;
        let mut seen = vec![0; usize::from(TURNS)];
        for _ in 0..6 * usize::from(TURNS) {
            turns.advance();
            seen[usize::from(turns.turn())] += 1;
            first_of_third += usize::from(turns.is_first() && turns.is_round(3));
        }
        assert_eq!(seen, vec![6; usize::from(TURNS)]);
        assert_eq!(first_of_third, 2);
        assert_eq!(STEP * u32::from(TURNS), TICK);
    }

    #[test]
    fn what_is_late_is_made_up_for_within_a_round_and_not_beyond() {
        let start = Instant::now();
        let mut due = start;
        // One that is late by seven turns, and the others in time.
        for turn in 1..=40 {
            let late = if turn == 10 { 7 * STEP } else { Duration::ZERO };
            due = next_due(due, due + late);
        }
        assert_eq!(due, start + 40 * STEP);
        let now = due + 2 * TICK;
        assert_eq!(next_due(due, now), now + STEP);
    }

    #[test]
    fn views_are_spread_over_the_turns_by_what_there_is_to_write() {
        let mut views = Vec::new();
        for _ in 0..50 {
            views.push((calmest(views.iter().copied()), 20));
        }
        for turn in 0..TURNS {
            let sockets: usize = views.iter().filter(|(t, _)| *t == turn).map(|(_, n)| n).sum();
            assert!((40..=60).contains(&sockets), "{sockets} at turn {turn}");
        }
        // One that has many keeps others away.
        views.push((3, 1_000));
        for _ in 0..100 {
            let turn = calmest(views.iter().copied());
            assert_ne!(turn, 3);
            views.push((turn, 1));
        }
    }
}
