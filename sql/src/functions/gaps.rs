//! `gaps(seconds [, from [, to]])`: the silences of devices, as a table.

use super::arguments::{filled, number_or_place, range};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{Result, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::LogicalPlan;
use std::sync::Arc;

const NAME: &str = "gaps";

/// Which rows there are for `$1` seconds or more between fixes from `$2` to `$3`. The times are below the window: only these
/// positions are read.
pub(crate) const QUERY: &str = "
    SELECT device, fleet, from_time, to_time, gap_s, from_lat, from_lon, lat AS to_lat, lon AS to_lon,
           haversine_m(from_lat, from_lon, lat, lon) AS distance_m
    FROM (SELECT *, (CAST(to_time AS BIGINT) - CAST(from_time AS BIGINT)) / 1000.0 AS gap_s FROM (
        SELECT device, fleet, lat, lon, fix_time AS to_time, lag(fix_time) OVER w AS from_time,
               lag(lat) OVER w AS from_lat, lag(lon) OVER w AS from_lon
        FROM positions WHERE valid AND fix_time >= $2 AND fix_time <= $3
        WINDOW w AS (PARTITION BY device ORDER BY fix_time)) AS pairs) AS silences
    WHERE gap_s >= $1";

/// The function over the positions of one scope.
#[derive(Debug)]
pub(crate) struct Gaps {
    /// Of [`QUERY`].
    pub(crate) plan: LogicalPlan,
}

impl TableFunctionImpl for Gaps {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let (seconds, times) = match args.exprs() {
            [seconds, times @ ..] if times.len() <= 2 => (number_or_place(NAME, "seconds", seconds)?, times),
            _ => return plan_err!("{NAME} takes seconds, and at most two times: gaps(600, '2026-03-04', '2026-03-05')"),
        };
        let [from, to] = range(NAME, times)?;
        Ok(Arc::new(ViewTable::new(filled(NAME, self.plan.clone(), &[seconds, from, to])?, None)))
    }
}
