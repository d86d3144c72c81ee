//! Which of the rows that are appended are news: not older than what is stored already. QuestDB keeps what was written last, so that
//! this has to be known before a row is written.
//!
//! Most fixes are newer than all others of their device, for which nothing has to be looked up. The rest, late or sent again, is
//! compared with what the server has.

use super::schema::{FIRST_FLUSH, Names, Tables, Times};
use super::server::NO_LIMIT;
use crate::memory::Run;
use crate::merge::{Keys, missing, sort_unique};
use crate::{StoreError, Table};
use arrow::array::{Array, AsArray, BooleanArray, Int32Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Schema};
use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::BuildHasher;
use std::sync::Arc;

/// Bytes of device names per question, of the 64 KB that a request may have.
const NAMES_BYTES: usize = 12_000;
/// Length of a day.
const DAY_MS: i64 = 86_400_000;

/// The latest usual fix time of each device, stored or in memory. By hash: two devices of one only cost a look-up too many.
#[derive(Debug, Default)]
pub(crate) struct Marks {
    latest: HashMap<u64, i64>,
    hasher: RandomState,
}

impl Marks {
    /// These rows are known from now on.
    pub(crate) fn note(&mut self, keys: &Keys, rows: usize) {
        for i in 0..rows {
            let fix_time = keys.fix_time(i);
            // A single fix of the year 2099 would make every other one late.
            if Times::of(fix_time) == Times::Usual {
                let latest = self.latest.entry(self.hasher.hash_one(keys.device(i))).or_insert(fix_time);
                *latest = fix_time.max(*latest);
            }
        }
    }

    fn is_news(&self, device: &str, fix_time: i64) -> bool {
        Times::of(fix_time) == Times::Usual
            && self.latest.get(&self.hasher.hash_one(device)).is_none_or(|latest| fix_time > *latest)
    }
}

/// Of rows sorted by key, those that are news compared with the runs in memory and with what is stored, with the flush that first
/// wrote them. `runs` were taken before: rows that leave memory meanwhile are stored.
pub(crate) async fn news(
    tables: &Tables,
    table: Table,
    rows: RecordBatch,
    marks: &Marks,
    runs: &[Arc<Run>],
) -> Result<RecordBatch, StoreError> {
    let keys = Keys::of(table, &rows).ok_or_else(|| refused(missing(table)))?;
    let late: Vec<usize> = (0..rows.num_rows()).filter(|i| !marks.is_news(keys.device(*i), keys.fix_time(*i))).collect();
    let mut keep = vec![true; rows.num_rows()];
    let mut first_flush: Vec<Option<i32>> = vec![None; rows.num_rows()];
    for run in runs {
        let others = Keys::of(table, &run.rows).ok_or_else(|| refused(missing(table)))?;
        for i in &late {
            if let Some(j) = find(&others, run.rows.num_rows(), &keys, *i) {
                keep[*i] &= keys.compare_version(*i, &others, j).is_gt();
            }
        }
    }
    for sql in questions(&tables.names, table, &keys, &late) {
        let stored = tables.server().await?.rows(&sql, &asked(table)).await?;
        let stored = sort_unique(table, &stored).map_err(refused)?;
        let others = Keys::of(table, &stored).ok_or_else(|| refused(missing(table)))?;
        let flushes = stored.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt::<Int32Type>());
        for i in &late {
            if let Some(j) = find(&others, stored.num_rows(), &keys, *i) {
                keep[*i] &= keys.compare_version(*i, &others, j).is_gt();
                first_flush[*i] = flushes.filter(|f| f.is_valid(j)).map(|f| f.value(j));
            }
        }
    }
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int32Array::from(first_flush)));
    let rows = RecordBatch::try_new(super::schema::stored(table), columns).map_err(refused)?;
    filter_record_batch(&rows, &BooleanArray::from(keep)).map_err(refused)
}

/// Where rows sorted by key have this one.
fn find(sorted: &Keys, len: usize, keys: &Keys, i: usize) -> Option<usize> {
    let (mut from, mut to) = (0, len);
    while from < to {
        let middle = from + (to - from) / 2;
        match sorted.compare(middle, keys, i) {
            Ordering::Less => from = middle + 1,
            Ordering::Equal => return Some(middle),
            Ordering::Greater => to = middle,
        }
    }
    None
}

/// Columns of key and version, and the flush.
fn asked(table: Table) -> Arc<Schema> {
    let all = super::schema::stored(table);
    let wanted = |name: &str| table.key().contains(&name) || table.version().contains(&name) || name == FIRST_FLUSH;
    let fields = all.fields().iter().filter(|f| wanted(f.name())).cloned();
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// What to ask for these rows: by days, so that a row of last year doesn't fetch all since.
fn questions(names: &Names, table: Table, keys: &Keys, late: &[usize]) -> Vec<String> {
    let mut days: BTreeMap<Option<i64>, (i64, i64, BTreeSet<&str>)> = BTreeMap::new();
    for i in late {
        let time = keys.fix_time(*i);
        let day = (Times::of(time) == Times::Usual).then(|| time.div_euclid(DAY_MS));
        let (from, to, devices) = days.entry(day).or_insert((time, time, BTreeSet::new()));
        (*from, *to) = (time.min(*from), time.max(*to));
        devices.insert(keys.device(*i));
    }
    let columns = asked(table).fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(",");
    let mut questions = Vec::new();
    for (day, (from, to, devices)) in days {
        let name = names.rows(table, if day.is_some() { Times::Usual } else { Times::Odd });
        let mut devices = devices.into_iter().peekable();
        while devices.peek().is_some() {
            let mut list = String::new();
            while let Some(device) = devices.next_if(|_| list.len() < NAMES_BYTES) {
                let comma = if list.is_empty() { "" } else { "," };
                write!(list, "{comma}'{}'", device.replace('\'', "''")).expect("a String takes everything");
            }
            questions.push(format!(
                "SELECT {columns} FROM {name} WHERE fix_time >= {} AND fix_time <= {} AND device IN ({list}) LIMIT {NO_LIMIT}",
                from.saturating_mul(1_000),
                to.saturating_mul(1_000)
            ));
        }
    }
    questions
}

pub(crate) fn refused(error: arrow::error::ArrowError) -> StoreError {
    StoreError::Refused(error.to_string())
}
