//! `gaps(seconds [, from [, to]])`: the silences of devices, as a table.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::datasource::ViewTable;
use datafusion::logical_expr::{Expr, LogicalPlan, cast, lit};
use std::sync::Arc;
use waystream_domain::Timestamp;

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
    /// The engine has simplified the arguments: what has a value now is a literal.
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let (seconds, times) = match args.exprs() {
            [seconds, times @ ..] if times.len() <= 2 => (number(seconds)?, times),
            _ => return plan_err!("gaps takes seconds, and at most two times: gaps(600, '2026-03-04', '2026-03-05')"),
        };
        // What text can name: the years 1 to 9999.
        let (first, last) = ("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z");
        let time = |i: usize, otherwise: &str| match times.get(i) {
            Some(expr) => time(expr),
            None => parse(otherwise),
        };
        let arguments = [seconds, time(0, first)?, time(1, last)?];
        Ok(Arc::new(ViewTable::new(with_arguments(self.plan.clone(), &arguments)?, None)))
    }
}

/// Arguments in the places of [`QUERY`]'s. They may have places themselves, `$1` of a prepared statement, which get their values later.
fn with_arguments(plan: LogicalPlan, arguments: &[Expr; 3]) -> Result<LogicalPlan> {
    let filled = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|expr| match &expr {
                Expr::Placeholder(place) => {
                    let number = place.id.trim_start_matches('$').parse::<usize>().ok();
                    let argument = number.and_then(|n| arguments.get(n.checked_sub(1)?));
                    match argument {
                        Some(argument) => Ok(Transformed::yes(argument.clone())),
                        None => plan_err!("gaps has no place {}", place.id),
                    }
                }
                _ => Ok(Transformed::no(expr)),
            })
        })
    })?;
    Ok(filled.data)
}

fn number(expr: &Expr) -> Result<Expr> {
    match expr {
        Expr::Literal(value, _) if value.data_type().is_numeric() && !value.is_null() => {
            Ok(lit(value.cast_to(&DataType::Float64)?))
        }
        open if is_open(open)? => Ok(cast(open.clone(), DataType::Float64)),
        other => plan_err!("gaps takes a number of seconds, not {other}"),
    }
}

fn time(expr: &Expr) -> Result<Expr> {
    let to = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _) => parse(text),
        Expr::Literal(value, _) if value.data_type().is_temporal() && !value.is_null() => Ok(lit(value.cast_to(&to)?)),
        open if is_open(open)? => Ok(cast(open.clone(), to)),
        other => plan_err!("gaps takes a time, not {other}"),
    }
}

/// Whether its value is still to come.
fn is_open(expr: &Expr) -> Result<bool> {
    expr.exists(|e| Ok(matches!(e, Expr::Placeholder(_))))
}

fn parse(text: &str) -> Result<Expr> {
    match Timestamp::parse(text) {
        Some(time) => Ok(lit(ScalarValue::TimestampMillisecond(Some(time.as_millis()), Some("UTC".into())))),
        None => plan_err!("{text} is not a time (ISO 8601)"),
    }
}
