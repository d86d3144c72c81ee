//! The board as SQL's table `latest_positions`.

use super::SharedBoard;
use std::sync::PoisonError;
use waystream_domain::Position;
use waystream_sql::{LatestPositions, Scope};

/// Vehicles that are looked at before others may have the board: who asks computes behind live tracking, and must not hold it up.
const AT_A_TIME: usize = 512;

/// What the map shows, for questions.
pub(crate) struct BoardPositions(pub(crate) SharedBoard);

impl LatestPositions for BoardPositions {
    fn of_scope(&self, scope: &Scope) -> Vec<Position> {
        let mut all = Vec::new();
        for first in (0..).step_by(AT_A_TIME) {
            let board = self.0.read().unwrap_or_else(PoisonError::into_inner);
            let some = board.some(first, AT_A_TIME);
            if some.is_empty() {
                break;
            }
            let seen = some.iter().filter(|v| !v.removed && scope.fleets().contains(&v.fleet));
            all.extend(seen.map(|v| Position { fleet: v.fleet.clone(), ..v.live.position.clone() }));
        }
        all
    }
}
