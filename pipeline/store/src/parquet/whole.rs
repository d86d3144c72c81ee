//! What is known of whole parts without reading their rows: whether all of them pass a filter, and how many do.

use super::part::Part;
use crate::Table;
use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::Schema;
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Milliseconds since 1970, both included.
type Between = (i64, i64);

/// Drops the filters that every row of every part passes: then their columns need not be read. Nearly all that is asked has one of its
/// scope's fleets, which pass all in a store of one organisation.
pub(super) fn drop_passed(state: &dyn Session, table: Table, parts: &[Part], filters: &mut Vec<Expr>) -> Result<()> {
    let mut needed = Vec::with_capacity(filters.len());
    for filter in filters.drain(..) {
        let passed = only_of_fleet(&filter) && {
            let of_fleet = [&filter];
            let mut all = true;
            for part in parts {
                all = all && rows_of_fleets(state, table, part, &of_fleet)?.is_some_and(|rows| rows == part.rows());
            }
            all
        };
        if !passed {
            needed.push(filter);
        }
    }
    *filters = needed;
    Ok(())
}

/// How many rows of a part pass, if that is known. The part shares no row with others.
pub(super) fn count(state: &dyn Session, table: Table, part: &Part, filters: &[Expr]) -> Result<Option<u64>> {
    let (of_fleet, rest): (Vec<&Expr>, Vec<&Expr>) = filters.iter().partition(|f| only_of_fleet(f));
    let (first, last) = part.extent().fix_time;
    let passes = |f: &&Expr| fix_times(f).is_some_and(|(from, to)| from <= first && last <= to);
    if !rest.iter().all(passes) {
        return Ok(None);
    }
    if of_fleet.is_empty() { Ok(Some(part.rows())) } else { rows_of_fleets(state, table, part, &of_fleet) }
}

/// Fix times that pass a comparison with a constant; `None` if the filter is anything else.
pub(super) fn fix_times(filter: &Expr) -> Option<Between> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (Expr::Column(column), Expr::Literal(ScalarValue::TimestampMillisecond(Some(ms), _), _)) = (&**left, &**right) else {
        return None;
    };
    if column.name != "fix_time" {
        return None;
    }
    match op {
        Operator::Eq => Some((*ms, *ms)),
        Operator::Lt => Some((i64::MIN, ms.checked_sub(1)?)),
        Operator::LtEq => Some((i64::MIN, *ms)),
        Operator::Gt => Some((ms.checked_add(1)?, i64::MAX)),
        Operator::GtEq => Some((*ms, i64::MAX)),
        _ => None,
    }
}

fn only_of_fleet(filter: &Expr) -> bool {
    let columns = filter.column_refs();
    !columns.is_empty() && columns.iter().all(|c| c.name == "fleet")
}

/// Rows whose fleets pass all these filters; `None` if it isn't known which fleets the part has, or the filters fail for one of them.
fn rows_of_fleets(state: &dyn Session, table: Table, part: &Part, filters: &[&Expr]) -> Result<Option<u64>> {
    let Some(fleets) = part.fleets(table)? else { return Ok(None) };
    let schema = Arc::new(Schema::new(vec![table.schema().field_with_name("fleet")?.clone()]));
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(fleets.keys()));
    let names = RecordBatch::try_new(schema.clone(), vec![names])?;
    let schema = DFSchema::try_from(schema)?;
    let mut passing: BTreeMap<usize, u64> = fleets.values().copied().enumerate().collect();
    for filter in filters {
        let passes = state.create_physical_expr((*filter).clone(), &schema)?.evaluate(&names);
        let Ok(passes) = passes.and_then(|passes| passes.into_array(names.num_rows())) else { return Ok(None) };
        let passes = as_boolean_array(&passes)?;
        passing.retain(|i, _| passes.is_valid(*i) && passes.value(*i));
    }
    Ok(Some(passing.values().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};

    #[test]
    fn comparisons_of_the_fix_time_say_which_pass() {
        let time = || lit(ScalarValue::TimestampMillisecond(Some(7), Some("UTC".into())));
        for (filter, expected) in [
            (col("fix_time").eq(time()), Some((7, 7))),
            (col("fix_time").lt(time()), Some((i64::MIN, 6))),
            (col("fix_time").lt_eq(time()), Some((i64::MIN, 7))),
            (col("fix_time").gt(time()), Some((8, i64::MAX))),
            (col("fix_time").gt_eq(time()), Some((7, i64::MAX))),
            (col("fix_time").not_eq(time()), None),
            (col("received_at").eq(time()), None),
            (col("fix_time").eq(lit(7)), None),
            (col("fix_time").eq(lit(ScalarValue::TimestampMillisecond(None, Some("UTC".into())))), None),
            (col("fix_time").eq(time()).or(col("fix_time").eq(time())), None),
        ] {
            assert_eq!(fix_times(&filter), expected, "{filter}");
        }
    }
}
