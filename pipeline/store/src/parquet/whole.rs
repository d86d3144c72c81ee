//! What is known of whole parts without reading their rows: whether all of them pass a filter, and how many do.

use super::part::Part;
use crate::Table;
use arrow::array::{Array, ArrayRef, RecordBatch, StringViewArray};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_expr::PhysicalExpr;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Milliseconds since 1970, both included.
type Between = (i64, i64);

/// Drops the filters that every row of every part passes: then their columns need not be read. Nearly all that is asked has one of its
/// scope's fleets, which pass all in a store of one organisation.
pub(super) fn drop_passed(state: &dyn Session, table: Table, parts: &[Part], filters: &mut Vec<Expr>) -> Result<()> {
    let mut needed = Vec::with_capacity(filters.len());
    for filter in filters.drain(..) {
        if !only_of_fleet(&filter) || !all_pass(table, parts, &of_fleets(state, table, &filter)?)? {
            needed.push(filter);
        }
    }
    *filters = needed;
    Ok(())
}

fn all_pass(table: Table, parts: &[Part], filter: &Arc<dyn PhysicalExpr>) -> Result<bool> {
    for part in parts {
        if rows_of_fleets(table, part, std::slice::from_ref(filter))? != Some(part.rows()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Counts rows of whole parts.
pub(super) struct Counter {
    table: Table,
    of_fleets: Vec<Arc<dyn PhysicalExpr>>,
    /// Those that pass; `None` if other filters than of fleet and fix time have to be passed as well.
    fix_times: Option<Between>,
}

impl Counter {
    /// By these filters.
    pub(super) fn new(state: &dyn Session, table: Table, filters: &[Expr]) -> Result<Self> {
        let (of_fleet, rest): (Vec<&Expr>, Vec<&Expr>) = filters.iter().partition(|f| only_of_fleet(f));
        let of_fleets = of_fleet.into_iter().map(|f| of_fleets(state, table, f)).collect::<Result<_>>()?;
        let fix_times = rest.into_iter().map(fix_times).try_fold((i64::MIN, i64::MAX), |(from, to), passing| {
            let (first, last) = passing?;
            Some((from.max(first), to.min(last)))
        });
        Ok(Self { table, of_fleets, fix_times })
    }

    /// How many rows of a part pass, if that is known. The part shares no row with others.
    pub(super) fn rows(&self, part: &Part) -> Result<Option<u64>> {
        let (first, last) = part.extent().fix_time;
        match self.fix_times {
            Some((from, to)) if from <= first && last <= to => {}
            _ => return Ok(None),
        }
        if self.of_fleets.is_empty() { Ok(Some(part.rows())) } else { rows_of_fleets(self.table, part, &self.of_fleets) }
    }
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

/// The filter, for a batch that has nothing but fleets.
fn of_fleets(state: &dyn Session, table: Table, filter: &Expr) -> Result<Arc<dyn PhysicalExpr>> {
    state.create_physical_expr(filter.clone(), &DFSchema::try_from(fleet_alone(table)?)?)
}

fn fleet_alone(table: Table) -> Result<SchemaRef> {
    Ok(Arc::new(Schema::new(vec![table.schema().field_with_name("fleet")?.clone()])))
}

/// Rows whose fleets pass all these filters; `None` if it isn't known which fleets the part has, or the filters fail for one of them.
fn rows_of_fleets(table: Table, part: &Part, filters: &[Arc<dyn PhysicalExpr>]) -> Result<Option<u64>> {
    let Some(fleets) = part.fleets(table)? else { return Ok(None) };
    let names: ArrayRef = Arc::new(StringViewArray::from_iter_values(fleets.keys()));
    let names = RecordBatch::try_new(fleet_alone(table)?, vec![names])?;
    let mut passing: BTreeMap<usize, u64> = fleets.values().copied().enumerate().collect();
    for filter in filters {
        let passes = filter.evaluate(&names).and_then(|passes| passes.into_array(names.num_rows()));
        let Ok(passes) = passes else { return Ok(None) };
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
