//! Questions whose answer depends on no rows but the newest of each device: the optimizer tells the store so, which then need not read the
//! others. The plan above the table stays as it is, and is right whether or not the store leaves something out.
//!
//! They are recognised by what comes straight above the table, with nothing between that leaves out rows:
//!
//! - groups by device of `last_value(… ORDER BY fix_time)`, `first_value(… ORDER BY fix_time DESC)` (so `DISTINCT ON` is planned too) and
//!   `max(fix_time)`; the same of all devices together; devices alone;
//! - `row_number()`, `rank()` or `dense_rank()` over devices by falling fix time, of which only the first is kept;
//! - rows by falling fix time, of which only one is kept.
//!
//! No two rows of a device have the same fix time, so there are no ties.

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, Result, ScalarValue};
use datafusion::datasource::{provider_as_source, source_as_provider};
use datafusion::logical_expr::expr::{NullTreatment, Sort};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Aggregate, BinaryExpr, Expr, Filter, LogicalPlan, Operator};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use waystream_store::newest_only;

/// The rule.
#[derive(Debug)]
pub(crate) struct NewestRows;

impl OptimizerRule for NewestRows {
    fn name(&self) -> &str {
        "newest_rows"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let enough = match &plan {
            LogicalPlan::Aggregate(aggregate) => groups_newest(aggregate),
            LogicalPlan::Filter(filter) => keeps_first(filter),
            LogicalPlan::Sort(sort) => {
                sort.fetch == Some(1) && sort.expr.first().is_some_and(|first| is_newest_first(first, &sort.input))
            }
            _ => false,
        };
        if enough { plan.map_children(narrow) } else { Ok(Transformed::no(plan)) }
    }
}

/// The plan whose table may leave out older rows.
fn narrow(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::TableScan(mut scan) => {
            let newest = source_as_provider(&scan.source).ok().and_then(|table| newest_only(&table));
            let Some(newest) = newest else { return Ok(Transformed::no(LogicalPlan::TableScan(scan))) };
            scan.source = provider_as_source(newest);
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Window(_) => plan.map_children(narrow),
        other => Ok(Transformed::no(other)),
    }
}

fn groups_newest(aggregate: &Aggregate) -> bool {
    let name = |expr: &Expr| origin_of(expr, &aggregate.input);
    let by_device = match aggregate.group_expr.as_slice() {
        [] => false,
        [one] if name(one) == Some("device") => true,
        _ => return false,
    };
    let newest = |expr: &Expr| {
        let Expr::AggregateFunction(call) = bare(expr) else { return false };
        let params = &call.params;
        if params.distinct || params.filter.is_some() || params.null_treatment == Some(NullTreatment::IgnoreNulls) {
            return false;
        }
        // In a group of one device its name puts nothing in order.
        let by = params.order_by.iter().find(|sort| !(by_device && name(&sort.expr) == Some("device")));
        let by_time = |asc| by.is_some_and(|sort| sort.asc == asc && name(&sort.expr) == Some("fix_time"));
        match call.func.name() {
            "max" => params.args.iter().all(|arg| name(arg) == Some("fix_time")),
            "last_value" => by_time(true),
            "first_value" => by_time(false),
            _ => false,
        }
    };
    (by_device || !aggregate.aggr_expr.is_empty()) && aggregate.aggr_expr.iter().all(newest)
}

/// Whether rows are filtered by the number that they have among those of their device, newest first.
fn keeps_first(filter: &Filter) -> bool {
    let numbered = |column: &Column| {
        let index = filter.input.schema().maybe_index_of_column(column);
        index.is_some_and(|index| is_number(&filter.input, index))
    };
    split_conjunction(&filter.predicate).into_iter().filter_map(is_first).any(numbered)
}

/// The column that is 1, by this condition, or less.
fn is_first(condition: &Expr) -> Option<&Column> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else { return None };
    let (Expr::Column(column), Expr::Literal(number, _)) = (&**left, &**right) else { return None };
    let number = match number {
        ScalarValue::UInt64(Some(number)) => *number,
        ScalarValue::Int64(Some(number)) => u64::try_from(*number).ok()?,
        _ => return None,
    };
    matches!((op, number), (Operator::Eq | Operator::LtEq, 1) | (Operator::Lt, 2)).then_some(column)
}

fn is_number(plan: &LogicalPlan, index: usize) -> bool {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => is_number(&alias.input, index),
        LogicalPlan::Projection(projection) => {
            let Some(Expr::Column(column)) = projection.expr.get(index).map(bare) else { return false };
            let below = projection.input.schema().maybe_index_of_column(column);
            below.is_some_and(|index| is_number(&projection.input, index))
        }
        LogicalPlan::Window(window) => match window.window_expr.as_slice() {
            // Another function beside it would miss the rows that are left out.
            [one] => index == window.input.schema().fields().len() && numbers_newest_first(one, &window.input),
            _ => false,
        },
        _ => false,
    }
}

fn numbers_newest_first(expr: &Expr, input: &LogicalPlan) -> bool {
    let Expr::WindowFunction(call) = bare(expr) else { return false };
    matches!(call.fun.name(), "row_number" | "rank" | "dense_rank")
        && !call.params.distinct
        && call.params.filter.is_none()
        && call.params.partition_by.len() <= 1
        && call.params.partition_by.iter().all(|by| origin_of(by, input) == Some("device"))
        && call.params.order_by.first().is_some_and(|first| is_newest_first(first, input))
}

fn is_newest_first(sort: &Sort, input: &LogicalPlan) -> bool {
    !sort.asc && origin_of(&sort.expr, input) == Some("fix_time")
}

/// What the column is called in the table, if nothing but names has changed on the way and every row has come through.
fn origin_of<'a>(expr: &Expr, plan: &'a LogicalPlan) -> Option<&'a str> {
    let Expr::Column(column) = bare(expr) else { return None };
    let index = plan.schema().maybe_index_of_column(column)?;
    match plan {
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => Some(scan.projected_schema.field(index).name().as_str()),
        LogicalPlan::SubqueryAlias(alias) => {
            let (table, field) = alias.input.schema().qualified_field(index);
            origin_of(&Expr::Column(Column::new(table.cloned(), field.name())), &alias.input)
        }
        LogicalPlan::Projection(projection) => origin_of(projection.expr.get(index)?, &projection.input),
        _ => None,
    }
}

/// Without its alias.
fn bare(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => bare(&alias.expr),
        other => other,
    }
}
