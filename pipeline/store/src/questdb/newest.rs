//! The newest row of each device, found by the server: `LATEST ON` takes it of the rows that pass.
//!
//! Rows in memory are looked at besides, so what the server gives need only have the newest of its own. There is one way in which it
//! may not: the row that it takes for a device's newest has a newer version in memory, and that one doesn't pass. Then an older row of
//! the device may be the newest that passes, and of such a device all rows are asked for. There are few: only what comes late or again
//! has a stored version.

use super::filter::{self, MAX_BYTES};
use super::recent::Merged;
use super::scan::QuestDbTable;
use super::schema::FIRST_FLUSH;
use crate::Table;
use crate::merge::{Keys, missing};
use arrow::array::{Array, AsArray, BooleanArray};
use arrow::datatypes::Int32Type;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, col, lit};
use std::collections::BTreeSet;
use std::sync::Arc;

/// See [`crate::newest_only`].
pub(crate) fn newest_only(table: &Arc<dyn TableProvider>) -> Option<Arc<dyn TableProvider>> {
    let table = table.downcast_ref::<QuestDbTable>().filter(|t| t.table == Table::Positions && !t.newest_only)?;
    Some(Arc::new(QuestDbTable { newest_only: true, ..table.clone() }))
}

/// Conditions that part the devices into those whose newest row the server finds, and those of which all rows are needed.
#[derive(Debug, Default)]
pub(super) struct Split {
    /// None: it finds that of all.
    pub(super) decided: Option<String>,
    /// None: there is no such device.
    pub(super) undecided: Option<String>,
}

impl Split {
    /// Whether they can be in one request with these.
    pub(super) fn fits_beside(&self, conditions: &[String]) -> bool {
        let own = self.decided.as_ref().map_or(0, String::len);
        conditions.iter().map(String::len).sum::<usize>() + own <= MAX_BYTES
    }
}

/// `None`: all rows of all devices are needed.
pub(super) fn split(state: &dyn Session, table: Table, filters: &[Expr], in_memory: Option<&Merged>) -> Result<Option<Split>> {
    let Some(in_memory) = in_memory else { return Ok(Some(Split::default())) };
    let undecided = undecided(state, table, filters, in_memory)?;
    if undecided.is_empty() {
        return Ok(Some(Split::default()));
    }
    let schema = table.schema();
    let devices: Vec<Expr> = undecided.into_iter().map(lit).collect();
    let condition = |negated| {
        let condition = filter::translate(&col("device").in_list(devices.clone(), negated), &schema);
        condition.filter(|c| c.exact).map(|c| c.sql)
    };
    // What can't be said so is not asked so.
    Ok(condition(true).zip(condition(false)).map(|(others, these)| Split { decided: Some(others), undecided: Some(these) }))
}

/// Devices of which a version in memory doesn't pass and takes the place of a stored one.
fn undecided(state: &dyn Session, table: Table, filters: &[Expr], in_memory: &Merged) -> Result<BTreeSet<String>> {
    let rows = &in_memory.rows;
    let keys = Keys::of(table, rows).ok_or_else(|| missing(table))?;
    let flushes = rows.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt::<Int32Type>());
    let flushes = flushes.ok_or_else(|| missing(table))?;
    let passes = match conjunction(filters.iter().cloned()) {
        None => BooleanArray::from(vec![true; rows.num_rows()]),
        Some(filter) => {
            let schema = table.schema();
            let people: Vec<usize> = (0..schema.fields().len()).collect();
            let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema)?)?;
            let passes = filter.evaluate(&rows.project(&people)?)?.into_array(rows.num_rows())?;
            as_boolean_array(&passes)?.clone()
        }
    };
    let passes = |i: usize| passes.is_valid(i) && passes.value(i);
    let replacing = (0..rows.num_rows()).filter(|i| flushes.is_valid(*i) && !passes(*i));
    Ok(replacing.map(|i| keys.device(i).to_owned()).collect())
}
