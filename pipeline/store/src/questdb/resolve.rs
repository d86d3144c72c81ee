//! Which of the rows that are appended are news: not older than what is stored already. QuestDB keeps what was written last, so that
//! this has to be known before a row is written.
//!
//! Most fixes are newer than all others of their device, for which nothing has to be looked up. The rest, late or sent again, is
//! compared with what the server has.

use super::schema::{ERASED, FIRST_FLUSH, Names, Tables, Times};
use super::server::NO_LIMIT;
use crate::memory::Run;
use crate::merge::{Keys, missing, sort_unique};
use crate::{StoreError, Table};
use arrow::array::{Array, AsArray, BooleanArray, Int32Array, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Int32Type, Schema};
use std::cmp::Ordering;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;
use std::hash::BuildHasher;
use std::sync::Arc;

/// A question is about so long, of the 64 KB that a request may have; a byte may take three there.
const QUESTION_BYTES: usize = 12_000;
/// Length of a day.
const DAY_MS: i64 = 24 * HOUR_MS;
/// Length of an hour.
const HOUR_MS: i64 = 3_600_000;

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
    let hasher = RandomState::new();
    let late_ids: Arc<HashSet<u64>> = Arc::new(late.iter().map(|i| hasher.hash_one(keys.id(*i))).collect());
    for sql in questions(&tables.names, table, &keys, &late) {
        let (late_ids, hasher) = (late_ids.clone(), hasher.clone());
        let only_late = move |batch: RecordBatch| {
            let keys = Keys::of(table, &batch).ok_or_else(|| missing(table))?;
            let is_late = |i| Some(late_ids.contains(&hasher.hash_one(keys.id(i))));
            filter_record_batch(&batch, &(0..batch.num_rows()).map(is_late).collect())
        };
        let stored = tables.server().await?.rows(&sql, &asked(table), only_late).await?;
        let stored = sort_unique(table, &stored).map_err(refused)?;
        let others = Keys::of(table, &stored).ok_or_else(|| refused(missing(table)))?;
        let flushes = stored.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt::<Int32Type>());
        for i in &late {
            if let Some(j) = find(&others, stored.num_rows(), &keys, *i) {
                keep[*i] &= keys.compare_version(*i, &others, j).is_gt();
                first_flush[*i] = flushes.filter(|f| f.is_valid(j)).map(|f| f.value(j)).filter(|flush| *flush != ERASED);
            }
        }
    }
    let mut columns = rows.columns().to_vec();
    columns.push(Arc::new(Int32Array::from(first_flush)));
    let rows = RecordBatch::try_new(super::schema::stored(table), columns).map_err(refused)?;
    filter_record_batch(&rows, &BooleanArray::from(keep)).map_err(refused)
}

/// Where rows sorted by key have this one.
pub(super) fn find(sorted: &Keys, len: usize, keys: &Keys, i: usize) -> Option<usize> {
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

/// The first and the last hour of late rows of a day.
type Hours = Option<(i64, i64)>;

/// Late rows that are asked for together.
struct Span<'a> {
    from: i64,
    to: i64,
    devices: BTreeSet<&'a str>,
}

/// What to ask for these rows: a question a day. In it, devices whose late rows lie in the same hours are asked for together. So neither
/// fetches a row of last year all that came since, nor a device that was offline all day the day of the others.
fn questions(names: &Names, table: Table, keys: &Keys, late: &[usize]) -> Vec<String> {
    // Of odd times there are few: they count as one day and one hour.
    let mut of_devices: BTreeMap<(Option<i64>, &str), (i64, i64)> = BTreeMap::new();
    for i in late {
        let time = keys.fix_time(*i);
        let day = (Times::of(time) == Times::Usual).then(|| time.div_euclid(DAY_MS));
        let (from, to) = of_devices.entry((day, keys.device(*i))).or_insert((time, time));
        (*from, *to) = (time.min(*from), time.max(*to));
    }
    let mut of_days: BTreeMap<Option<i64>, BTreeMap<Hours, Span<'_>>> = BTreeMap::new();
    for ((day, device), (from, to)) in of_devices {
        let hours = day.map(|_| (from.div_euclid(HOUR_MS), to.div_euclid(HOUR_MS)));
        let of_hours = of_days.entry(day).or_default();
        let span = of_hours.entry(hours).or_insert_with(|| Span { from, to, devices: BTreeSet::new() });
        (span.from, span.to) = (from.min(span.from), to.max(span.to));
        span.devices.insert(device);
    }
    let columns = asked(table).fields().iter().map(|f| f.name().clone()).collect::<Vec<_>>().join(",");
    let mut questions = Vec::new();
    for (day, of_hours) in of_days {
        let name = names.rows(table, if day.is_some() { Times::Usual } else { Times::Odd });
        let mut asked: Option<Asked> = None;
        for Span { from, to, devices } in of_hours.into_values() {
            let mut devices = devices.into_iter().peekable();
            while devices.peek().is_some() {
                let together = asked.get_or_insert_with(|| Asked { from, to, any_of: String::new() });
                (together.from, together.to) = (from.min(together.from), to.max(together.to));
                let or = if together.any_of.is_empty() { "" } else { " OR " };
                write!(together.any_of, "{or}({} AND device IN (", between(from, to)).expect("a String takes everything");
                let mut comma = "";
                while let Some(device) = devices.next_if(|_| comma.is_empty() || together.any_of.len() < QUESTION_BYTES) {
                    write!(together.any_of, "{comma}'{}'", device.replace('\'', "''")).expect("a String takes everything");
                    comma = ",";
                }
                together.any_of.push_str("))");
                if together.any_of.len() >= QUESTION_BYTES {
                    questions.extend(asked.take().map(|asked| asked.question(&columns, &name)));
                }
            }
        }
        questions.extend(asked.map(|asked| asked.question(&columns, &name)));
    }
    questions
}

/// Spans of one day in one question.
struct Asked {
    from: i64,
    to: i64,
    any_of: String,
}

impl Asked {
    /// The outer bounds tell the server which partitions to read.
    fn question(&self, columns: &str, name: &str) -> String {
        let Self { from, to, any_of } = self;
        format!("SELECT {columns} FROM {name} WHERE {} AND ({any_of}) LIMIT {NO_LIMIT}", between(*from, *to))
    }
}

fn between(from_ms: i64, to_ms: i64) -> String {
    format!("fix_time >= {} AND fix_time <= {}", from_ms.saturating_mul(1_000), to_ms.saturating_mul(1_000))
}

pub(crate) fn refused(error: arrow::error::ArrowError) -> StoreError {
    StoreError::Refused(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract::{at, position};
    use crate::rows::positions_batch;

    #[test]
    fn late_rows_are_asked_for_without_the_days_between_them() {
        let rows = [
            ("a", "2026-03-04T10:00:00Z"),
            ("b", "2026-03-04T10:00:07Z"),
            // Offline since yesterday.
            ("c", "2026-03-03T09:30:00Z"),
            ("c", "2026-03-04T00:00:00Z"),
            ("c", "2026-03-04T10:00:05Z"),
            ("d", "0001-01-01T00:00:00Z"),
        ];
        let row = |(device, time)| Archived { partition: 0, offset: 0, row: position(device, at(time)) };
        let batch = positions_batch(&rows.map(row));
        let keys = Keys::of(Table::Positions, &batch).expect("all columns");
        let asked: Vec<String> = questions(&Names::new(""), Table::Positions, &keys, &[0, 1, 2, 3, 4, 5])
            .into_iter()
            .map(|sql| sql.split_once(" FROM ").expect("a question").1.replace(&format!(" LIMIT {NO_LIMIT}"), ""))
            .collect();
        assert_eq!(
            asked,
            [
                "positions_odd_times WHERE fix_time >= -62135596800000000 AND fix_time <= -62135596800000000 AND \
                 ((fix_time >= -62135596800000000 AND fix_time <= -62135596800000000 AND device IN ('d')))",
                "positions WHERE fix_time >= 1772530200000000 AND fix_time <= 1772530200000000 AND \
                 ((fix_time >= 1772530200000000 AND fix_time <= 1772530200000000 AND device IN ('c')))",
                "positions WHERE fix_time >= 1772582400000000 AND fix_time <= 1772618407000000 AND \
                 ((fix_time >= 1772582400000000 AND fix_time <= 1772618405000000 AND device IN ('c')) OR \
                 (fix_time >= 1772618400000000 AND fix_time <= 1772618407000000 AND device IN ('a','b')))",
            ]
        );
    }

    #[test]
    fn no_question_is_longer_than_a_request_may_be() {
        let time = at("2026-03-04T00:00:00Z");
        let row = |i: i64| {
            let position = position(&format!("{i:0>120}"), time.plus_millis(i % 24 * HOUR_MS));
            Archived { partition: 0, offset: i as u64, row: position }
        };
        let batch = positions_batch(&(0..5_000).map(row).collect::<Vec<_>>());
        let keys = Keys::of(Table::Positions, &batch).expect("all columns");
        let asked = questions(&Names::new(""), Table::Positions, &keys, &(0..5_000).collect::<Vec<_>>());
        assert!(asked.iter().all(|sql| sql.len() < QUESTION_BYTES + 1_000));
        let devices: HashSet<_> = asked.iter().flat_map(|sql| sql.split('\'').skip(1).step_by(2)).collect();
        assert_eq!(devices.len(), 5_000, "each is asked for");
    }
}
