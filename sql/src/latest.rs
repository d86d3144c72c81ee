//! The table `latest_positions`: from whoever knows where everybody is now, else from history.

use crate::{Scope, attributes};
use datafusion::catalog::MemTable;
use datafusion::common::Result;
use datafusion::datasource::provider_as_source;
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use std::sync::Arc;
use waystream_domain::Position;
use waystream_store::{Archived, POSITION_COLUMNS, rows};

/// Knows the newest valid position of every device: what the map shows.
pub trait LatestPositions: Send + Sync + 'static {
    /// Those of the scope's fleets, each under the fleet that its device belongs to now.
    fn of_scope(&self, scope: &Scope) -> Vec<Position>;
}

/// The same from history, for a process that follows no live positions.
pub(crate) const FROM_HISTORY: &str = "
    SELECT positions.* FROM positions JOIN (
        SELECT device, max(fix_time) AS fix_time FROM positions WHERE valid AND NOT (lat = 0 AND lon = 0) GROUP BY device
    ) AS newest ON positions.device = newest.device AND positions.fix_time = newest.fix_time";

/// These positions, with the columns of `positions` that are `wanted`.
pub(crate) fn plan(
    positions: Vec<Position>,
    functions: &dyn FunctionRegistry,
    wanted: impl Fn(&str) -> bool,
) -> Result<LogicalPlan> {
    let archived: Vec<_> = positions.into_iter().map(|row| Archived { partition: 0, offset: 0, row }).collect();
    let batch = rows::positions_batch(&archived);
    let people: Vec<usize> = (0..POSITION_COLUMNS.len()).collect();
    let batch = batch.project(&people)?;
    let table = MemTable::try_new(batch.schema(), vec![vec![batch]])?;
    let rows = LogicalPlanBuilder::scan("latest_positions", provider_as_source(Arc::new(table)), None)?;
    attributes::with_columns(rows, functions, wanted)?.build()
}
