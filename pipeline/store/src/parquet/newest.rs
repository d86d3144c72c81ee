//! A table as it is read where of each device only the newest row is wanted: from the newest rows that every part has beside its others.
//!
//! A device's newest row is the newest of those that the parts have of it: other versions of that row are the newest ones of their parts too,
//! so which version is kept is known. If it passes the filters, it is what was asked for. If it doesn't, an older row may, and of
//! that device all rows are read. That is needed where a question is about a former time, or about what is seldom so. Who asks for devices
//! by their names is told as soon as all parts that are left are older.

use super::lately::Lately;
use super::part::Part;
use super::scan::{TableSnapshot, in_memory};
use super::whole;
use crate::Table;
use crate::digest::Newest;
use crate::memory::compact_texts;
use crate::merge::{Keys, missing};
use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{filter_record_batch, interleave_record_batch, take_record_batch};
use datafusion::catalog::Session;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::{DFSchema, Result, ScalarValue, internal_datafusion_err};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, col, lit};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::union::UnionExec;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};
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
        let filters = filters.to_vec();
        let (find_by, folder) = (Filters::new(state, &filters)?, self.folder.clone());
        // Gone when nobody waits for the answer any more.
        let waiting = Arc::new(());
        let waits = Arc::downgrade(&waiting);
        let found = tokio::task::spawn_blocking(move || find(parts, &find_by, &folder.lately, || waits.strong_count() > 0));
        let found = found.await.map_err(|e| internal_datafusion_err!("{e}"))?;
        drop(waiting);
        // A filter may fail for a row that a plain scan leaves out before it comes to that filter.
        let Ok(Some((rows, undecided))) = found else { return Ok(None) };
        if undecided.len() > MAX_UNDECIDED {
            return Ok(None);
        }
        let decided = in_memory(self.table, &[rows], wanted)?;
        if undecided.is_empty() {
            return Ok(Some(decided));
        }
        let devices = undecided.into_iter().map(|device| lit(ScalarValue::Utf8View(Some(device)))).collect();
        let filters = filters.into_iter().chain([col("device").in_list(devices, false)]).collect();
        Ok(Some(UnionExec::try_new(vec![decided, self.all(state, filters, wanted).await?])?))
    }
}

/// Of each device the newest row, if it passes, sorted by device; and the devices of which only an older one may. `None` if a part doesn't
/// know its newest rows, or nobody waits any more. Blocks.
fn find(
    mut parts: Vec<Part>,
    filters: &Filters,
    lately: &Lately,
    is_awaited: impl Fn() -> bool,
) -> Result<Option<(RecordBatch, Vec<String>)>> {
    // So that most of what the first ones say is the last word, and little of the others has to be kept.
    parts.sort_by_key(|part| Reverse(part.extent().fix_time.1));
    let mut found = Found::default();
    for part in parts {
        if found.is_settled(filters, part.extent().fix_time.1)? {
            break;
        }
        let newest = match &part {
            Part::Run(run) => run.digest(Table::Positions)?.newest.clone(),
            Part::File(file) => file.newest(lately).unwrap_or_else(|e| {
                warn!(path = file.entry.path, error = &e as &dyn std::error::Error, "newest rows can't be read");
                // If it is damaged, the plain scan leaves it out.
                file.check_again();
                None
            }),
        };
        match newest.filter(|_| is_awaited()) {
            Some(newest) => found.add(&newest, filters)?,
            None => return Ok(None),
        }
    }
    found.decide(filters).map(Some)
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
    /// How many devices may pass, if they are named.
    devices: Option<usize>,
}

impl Filters {
    fn new(state: &dyn Session, filters: &[Expr]) -> Result<Self> {
        Ok(Self {
            all: Filter::new(state, filters.iter())?,
            of_device: Filter::new(state, filters.iter().filter(|f| only_of(f, &["device"])))?,
            of_whom: Filter::new(state, filters.iter().filter(|f| only_of(f, &["device", "fleet"])))?,
            fix_times: fix_times(filters),
            devices: filters.iter().filter_map(named).map(|devices| devices.len()).min(),
        })
    }
}

/// Fix times that may pass all filters.
fn fix_times(filters: &[Expr]) -> (i64, i64) {
    let times = filters.iter().filter_map(whole::fix_times);
    times.fold((i64::MIN, i64::MAX), |(from, to), (first, last)| (from.max(first), to.min(last)))
}

/// The devices that may pass a filter; `None` if it names none.
fn named(filter: &Expr) -> Option<HashSet<&str>> {
    let is_device = |expr: &Expr| matches!(expr, Expr::Column(column) if column.name == "device");
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => Some(&named(left)? | &named(right)?),
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) if is_device(left) => {
            Some(HashSet::from([text(right)?]))
        }
        Expr::InList(list) if !list.negated && is_device(&list.expr) => list.list.iter().map(text).collect(),
        _ => None,
    }
}

fn text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(value, _) => value.try_as_str().flatten(),
        _ => None,
    }
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
    /// Fix time and version of its newest row.
    newest: (i64, (i64, i64)),
    /// In which of the batches that are held that row is, and where there; `None`: its fleet doesn't pass.
    place: Option<(usize, usize)>,
    first_fix_time_ms: i64,
    /// One of its rows may be of a fleet that passes.
    is_wanted: bool,
}

/// What some of the parts have said.
#[derive(Default)]
struct Found {
    devices: BTreeMap<String, Known>,
    /// None but those whose fleets pass: other organisations may have very many.
    held: Vec<RecordBatch>,
}

impl Found {
    /// One more part.
    fn add(&mut self, part: &Newest, filters: &Filters) -> Result<()> {
        let keys = Keys::of(Table::Positions, &part.rows).ok_or_else(|| missing(Table::Positions))?;
        let (of_device, of_whom) = (filters.of_device.pass(&part.rows)?, filters.of_whom.pass(&part.rows)?);
        let mut taken: Vec<u32> = Vec::new();
        for row in (0..part.rows.num_rows()).filter(|row| of_device.value(*row)) {
            let newest = (keys.fix_time(row), keys.version(row));
            let place = of_whom.value(row).then_some((self.held.len(), taken.len()));
            let is_wanted = part.fleets_differ(row) || of_whom.value(row);
            let first_fix_time_ms = part.first_fix_time_ms(row);
            match self.devices.get_mut(keys.device(row)) {
                None => {
                    let known = Known { newest, place, first_fix_time_ms, is_wanted };
                    self.devices.insert(keys.device(row).to_owned(), known);
                }
                Some(known) => {
                    known.first_fix_time_ms = known.first_fix_time_ms.min(first_fix_time_ms);
                    known.is_wanted |= is_wanted;
                    if newest <= known.newest {
                        continue;
                    }
                    (known.newest, known.place) = (newest, place);
                }
            }
            taken.extend(place.map(|_| row as u32));
        }
        if taken.is_empty() {
            return Ok(());
        }
        self.held.push(match taken.len() == part.rows.num_rows() {
            true => part.rows.clone(),
            false => compact_texts(&take_record_batch(&part.rows, &UInt32Array::from(taken))?)?,
        });
        Ok(())
    }

    /// Whether parts without later fix times can't change anything: all devices that may pass are known, later, and do.
    fn is_settled(&self, filters: &Filters, last_fix_time_ms: i64) -> Result<bool> {
        if filters.devices != Some(self.devices.len()) {
            return Ok(false);
        }
        for known in self.devices.values() {
            let Some((batch, row)) = known.place else { return Ok(false) };
            if known.newest.0 <= last_fix_time_ms || !filters.all.pass(&self.held[batch].slice(row, 1))?.value(0) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// There are no more parts.
    fn decide(self, filters: &Filters) -> Result<(RecordBatch, Vec<String>)> {
        let rows = match self.held.iter().collect::<Vec<_>>() {
            none if none.is_empty() => RecordBatch::new_empty(Table::Positions.schema()),
            held => {
                let places: Vec<_> = self.devices.values().filter_map(|known| known.place).collect();
                interleave_record_batch(&held, &places)?
            }
        };
        let passes = filters.all.pass(&rows)?;
        let (from, to) = filters.fix_times;
        let mut held = passes.values().iter();
        let mut undecided = Vec::new();
        for (device, known) in self.devices {
            let passes = known.place.is_some() && held.next() == Some(true);
            if !passes && known.is_wanted && known.first_fix_time_ms <= to && from <= known.newest.0 {
                undecided.push(device);
            }
        }
        // Not with the texts of all that has been looked at.
        Ok((compact_texts(&filter_record_batch(&rows, &passes)?)?, undecided))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract::{at, position};
    use crate::digest::Digest;
    use crate::rows::positions_batch;
    use datafusion::prelude::SessionContext;
    use waystream_domain::FleetId;

    /// The newest rows of a part in which each of these devices has one row.
    fn part(rows: &[(&str, &str)], time: &str) -> Arc<Newest> {
        let archived = rows.iter().zip(0..).map(|((device, fleet), offset)| {
            let mut row = position(device, at(time));
            row.fleet = FleetId::new(*fleet).expect("an id");
            Archived { partition: 0, offset, row }
        });
        let rows = positions_batch(&archived.collect::<Vec<_>>());
        Digest::of(Table::Positions, &rows).expect("a digest").newest.expect("there are rows")
    }

    #[test]
    fn nothing_is_held_of_devices_in_other_fleets() {
        let north = col("fleet").eq(lit(ScalarValue::Utf8View(Some("north".to_owned()))));
        let filters = Filters::new(&SessionContext::new().state(), &[north]).expect("a filter");
        let mut found = Found::default();
        for (rows, time) in [
            (&[("a", "north"), ("b", "east"), ("c", "east"), ("d", "north")][..], "2026-03-05T10:00:00Z"),
            (&[("a", "north"), ("b", "east"), ("c", "north"), ("e", "east")][..], "2026-03-04T10:00:00Z"),
            (&[("a", "north"), ("d", "east")][..], "2026-03-06T10:00:00Z"),
        ] {
            found.add(&part(rows, time), &filters).expect("looked at");
        }
        assert_eq!(found.held.iter().map(RecordBatch::num_rows).collect::<Vec<_>>(), [2, 1]);
        let (rows, undecided) = found.decide(&filters).expect("decided");
        // The first one stays, two others have been in the fleet before.
        assert_eq!((rows.num_rows(), undecided), (1, vec!["c".to_owned(), "d".to_owned()]));
    }
}
