//! In which order a file's rows are looked at: those of other times are out before anything else of them is read.

use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, lit};

/// Bounds of fix time first. Of a fleet's minute in a file of a day the other columns are then read for the minute only.
///
/// Nothing but plain bounds may overtake: what can fail, or take long, must not see rows that an earlier filter leaves out.
pub(crate) fn times_first(filters: impl IntoIterator<Item = Expr>) -> Vec<Expr> {
    let (mut times, rest): (Vec<Expr>, Vec<Expr>) = filters.into_iter().partition(bounds_time);
    times.extend(rest);
    times
}

/// All filters as one, in their order, in which those on time are one too: the Parquet reader goes through a column once more for each
/// that is not. It takes apart what AND joins, and only that, hence the rest.
pub(crate) fn joined(filters: impl IntoIterator<Item = Expr>) -> Option<Expr> {
    let mut times = times_first(filters);
    let rest = times.split_off(times.partition_point(bounds_time));
    let several = times.len() > 1;
    let times = conjunction(times).map(|times| if several { times.or(lit(false)) } else { times });
    conjunction(times.into_iter().chain(rest))
}

fn bounds_time(filter: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return false };
    let is_time = |side: &Expr| matches!(side, Expr::Column(column) if column.name == "fix_time");
    let is_value = |side: &Expr| matches!(side, Expr::Literal(..));
    let compares = matches!(op, Operator::Eq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq);
    compares && ((is_time(left) && is_value(right)) || (is_value(left) && is_time(right)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn plain_bounds_of_time_come_first_and_nothing_else_moves() {
        let fleet = col("fleet").in_list(vec![lit("north")], false);
        let (from, to) = (col("fix_time").gt_eq(lit(1)), lit(2).gt(col("fix_time")));
        let fails = (lit(1) / (col("fix_time") - lit(1))).gt(lit(0));
        let given = vec![fleet.clone(), fails.clone(), from.clone(), col("lat").gt(lit(0)), to.clone()];
        assert_eq!(times_first(given), [from, to, fleet, fails, col("lat").gt(lit(0))]);
    }

    #[test]
    fn two_bounds_of_time_are_one_condition_and_one_is_itself() {
        let (from, to) = (col("fix_time").gt_eq(lit(1)), col("fix_time").lt(lit(2)));
        let fleet = col("fleet").eq(lit("north"));
        let both = from.clone().and(to.clone()).or(lit(false)).and(fleet.clone());
        assert_eq!(joined([from.clone(), to, fleet.clone()]), Some(both));
        assert_eq!(joined([from.clone(), fleet.clone()]), Some(from.and(fleet)));
        assert_eq!(joined([]), None);
    }
}
