//! The board as SQL's table `latest_positions`.

use super::SharedBoard;
use std::sync::PoisonError;
use waystream_domain::Position;
use waystream_sql::{LatestPositions, Scope};

/// What the map shows, for questions.
pub(crate) struct BoardPositions(pub(crate) SharedBoard);

impl LatestPositions for BoardPositions {
    fn of_scope(&self, scope: &Scope) -> Vec<Position> {
        let board = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let seen = board.iter().filter(|(_, v)| !v.removed && scope.fleets().contains(&v.fleet));
        seen.map(|(_, v)| Position { fleet: v.fleet.clone(), ..v.live.position.clone() }).collect()
    }
}
