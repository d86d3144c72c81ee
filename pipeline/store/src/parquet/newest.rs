//! A table as it is read where of each device only the newest row is wanted: from the newest rows that every part has beside its others.
//!
//! A device's newest row is the newest of those that the parts have of it: other versions of that row are the newest ones of their parts too,
//! so which version is kept is known. If it passes the filters, it is what was asked for. If it doesn't, an older row may, and of
//! that device all rows are read. That is needed where a question is about a former time, or about what is seldom so.

use super::part::Part;
use super::scan::{TableSnapshot, in_memory};
use super::whole;
use crate::Table;
use crate::digest::Newest;
use crate::merge::Keys;
use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{filter_record_batch, interleave_record_batch};
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, col, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;
use tracing::warn;

/// Of so many devices all rows are read; if there are more, a plain scan of all is better.
const MAX_UNDECIDED: usize = 200;

impl TableSnapshot {
    /// Of each device the newest row that passes the filters, and perhaps others. `None` if a plain scan is better.
    pub(super) async fn newest(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        wanted: &[usize],
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if filters.iter().flat_map(Expr::column_refs).any(|c| c.name.starts_with("log_")) {
            // By these, parts are left out that may have the version which is kept.
            return Ok(None);
        }
        // Parts left out have no version of a row whose device and time pass.
        let parts = self.parts(state, filters).await?;
        let (_, to) = fix_times(filters);
        if parts.iter().all(|part| to < part.extent().fix_time.1) {
            // Nothing is there, or the question is about a time that all have gone past.
            return Ok(None);
        }
        let Some(newest) = self.newest_of(parts).await? else { return Ok(None) };
        // A filter may fail for a row that a plain scan leaves out before it comes to that filter.
        let Ok((rows, undecided)) = choose(&newest, &Filters::new(state, filters)?) else { return Ok(None) };
        if undecided.len() > MAX_UNDECIDED {
            return Ok(None);
        }
        let decided = in_memory(self.table, &[rows], wanted)?;
        if undecided.is_empty() {
            return Ok(Some(decided));
        }
        let devices = undecided.into_iter().map(|device| lit(ScalarValue::Utf8View(Some(device)))).collect();
        let filters = filters.iter().cloned().chain([col("device").in_list(devices, false)]).collect();
        Ok(Some(UnionExec::try_new(vec![decided, self.all(state, filters, wanted).await?])?))
    }

    /// Those of all parts; `None` if a part doesn't have them.
    async fn newest_of(&self, parts: Vec<Part>) -> Result<Option<Vec<Arc<Newest>>>> {
        let folder = self.folder.clone();
        let read = move || -> Result<Option<Vec<Arc<Newest>>>> {
            let mut all = Vec::with_capacity(parts.len());
            for part in parts {
                let newest = match &part {
                    Part::Run(run) => run.digest(Table::Positions)?.newest.clone(),
                    Part::File(file) => file.newest(&folder.lately).unwrap_or_else(|e| {
                        warn!(
                            path = file.entry.path,
                            error = &e as &dyn std::error::Error,
                            "newest rows of a file can't be read"
                        );
                        // If it is damaged, the plain scan leaves it out.
                        file.check_again();
                        None
                    }),
                };
                let Some(newest) = newest else { return Ok(None) };
                all.push(newest);
            }
            Ok(Some(all))
        };
        tokio::task::spawn_blocking(read).await.map_err(|e| internal_datafusion_err!("{e}"))?
    }
}

/// Filters of a scan.
struct Filters {
    all: Filter,
    /// Those that only look at the device.
    of_device: Filter,
    /// Those that only look at device and fleet.
    of_whom: Filter,
    /// Fix times that may pass, milliseconds since 1970, both included.
    fix_times: (i64, i64),
}

impl Filters {
    fn new(state: &dyn Session, filters: &[Expr]) -> Result<Self> {
        Ok(Self {
            all: Filter::new(state, filters.iter())?,
            of_device: Filter::new(state, filters.iter().filter(|f| only_of(f, &["device"])))?,
            of_whom: Filter::new(state, filters.iter().filter(|f| only_of(f, &["device", "fleet"])))?,
            fix_times: fix_times(filters),
        })
    }
}

/// Fix times that may pass all filters.
fn fix_times(filters: &[Expr]) -> (i64, i64) {
    let times = filters.iter().filter_map(whole::fix_times);
    times.fold((i64::MIN, i64::MAX), |(from, to), (first, last)| (from.max(first), to.min(last)))
}

fn only_of(filter: &Expr, columns: &[&str]) -> bool {
    filter.column_refs().iter().all(|c| columns.contains(&c.name.as_str()))
}

/// `None`: everything passes.
struct Filter(Option<Arc<dyn PhysicalExpr>>);

impl Filter {
    fn new<'a>(state: &dyn Session, all: impl Iterator<Item = &'a Expr>) -> Result<Self> {
        let schema = DFSchema::try_from(Table::Positions.schema())?;
        Ok(Self(conjunction(all.cloned()).map(|f| state.create_physical_expr(f, &schema)).transpose()?))
    }

    /// Which rows pass.
    fn pass(&self, rows: &RecordBatch) -> Result<BooleanArray> {
        let Some(filter) = &self.0 else { return Ok(BooleanArray::from(vec![true; rows.num_rows()])) };
        let passes = filter.evaluate(rows)?.into_array(rows.num_rows())?;
        Ok(as_boolean_array(&passes)?.iter().map(|passes| Some(passes == Some(true))).collect())
    }
}

/// What is known of a device.
struct Known {
    /// Its newest row: of which part, and which there.
    newest: (usize, usize),
    first_fix_time_ms: i64,
    /// One of its rows may be of a fleet that passes.
    is_wanted: bool,
}

/// Of each device the newest row, if it passes, sorted by device; and the devices of which only an older one may.
fn choose(parts: &[Arc<Newest>], filters: &Filters) -> Result<(RecordBatch, Vec<String>)> {
    let keys: Vec<Keys> = parts.iter().filter_map(|part| Keys::of(Table::Positions, &part.rows)).collect();
    if keys.len() != parts.len() {
        return Err(crate::merge::missing(Table::Positions).into());
    }
    let mut devices: BTreeMap<&str, Known> = BTreeMap::new();
    for (p, (part, own)) in parts.iter().zip(&keys).enumerate() {
        let (of_device, of_whom) = (filters.of_device.pass(&part.rows)?, filters.of_whom.pass(&part.rows)?);
        for row in (0..part.rows.num_rows()).filter(|row| of_device.value(*row)) {
            let is_wanted = part.fleets_differ(row) || of_whom.value(row);
            let here = Known { newest: (p, row), first_fix_time_ms: part.first_fix_time_ms(row), is_wanted };
            match devices.entry(own.device(row)) {
                Entry::Vacant(new) => {
                    new.insert(here);
                }
                Entry::Occupied(known) => {
                    let known = known.into_mut();
                    let (other, at) = known.newest;
                    let order = own.compare(row, &keys[other], at).then_with(|| own.compare_version(row, &keys[other], at));
                    if order.is_gt() {
                        known.newest = here.newest;
                    }
                    known.first_fix_time_ms = known.first_fix_time_ms.min(here.first_fix_time_ms);
                    known.is_wanted |= here.is_wanted;
                }
            }
        }
    }
    let batches: Vec<&RecordBatch> = parts.iter().map(|part| &part.rows).collect();
    let rows = interleave_record_batch(&batches, &devices.values().map(|known| known.newest).collect::<Vec<_>>())?;
    let passes = filters.all.pass(&rows)?;
    let (from, to) = filters.fix_times;
    let undecided = devices.iter().enumerate().filter(|(i, (_, known))| {
        let (part, row) = known.newest;
        !passes.value(*i) && known.is_wanted && known.first_fix_time_ms <= to && from <= keys[part].fix_time(row)
    });
    let undecided = undecided.map(|(_, (device, _))| (*device).to_owned()).collect();
    Ok((filter_record_batch(&rows, &passes)?, undecided))
}
