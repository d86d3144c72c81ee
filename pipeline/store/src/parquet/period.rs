//! Which day, month, year or years of fix time a row's file is for.
//!
//! Days are the rule. But imported history may have a few rows on each of thousands of days, late reports a few on each of some, and
//! broken clocks one in any year: days with few rows share the file of their month, months with few that of their year, and years with
//! few share one. So a flush writes no more files than its rows are worth.

use chrono::{DateTime, Datelike, NaiveDate};
use std::collections::BTreeMap;

const DAY_MS: i64 = 86_400_000;

/// A day or month with fewer rows than this shares a file with its neighbours: the fixed part of a Parquet file (about 10 KB) would be
/// a good part of it.
const FEW_ROWS: usize = 5_000;

/// UTC day of a time in milliseconds, counted from 1970-01-01, rounded down.
pub(crate) fn day_of(ms: i64) -> i64 {
    ms.div_euclid(DAY_MS)
}

/// First millisecond of a day.
pub(crate) fn day_start(day: i64) -> i64 {
    day.saturating_mul(DAY_MS)
}

/// Whether the period is one day.
pub(crate) fn is_day(period: &str) -> bool {
    period.len() == "2026-03-04".len()
}

/// The period that each day's rows go to, given how many rows each day has.
pub(crate) fn assign(rows_by_day: &BTreeMap<i64, usize>) -> BTreeMap<i64, String> {
    let mut years: BTreeMap<i32, BTreeMap<u32, Vec<(i64, usize)>>> = BTreeMap::new();
    for (day, rows) in rows_by_day {
        let date = date(*day);
        years.entry(date.year()).or_default().entry(date.month()).or_default().push((*day, *rows));
    }
    let mut assigned = BTreeMap::new();
    let mut assign = |days: &[i64]| {
        let name = name(days);
        assigned.extend(days.iter().map(|day| (*day, name.clone())));
    };
    let mut few_in_years = Few::default();
    for months in years.into_values() {
        let mut few_in_year = Few::default();
        for days in months.into_values() {
            let mut few_in_month = Few::default();
            for (day, rows) in days {
                if rows >= FEW_ROWS { assign(&[day]) } else { few_in_month.add(&[day], rows) }
            }
            if few_in_month.rows >= FEW_ROWS {
                assign(&few_in_month.days)
            } else {
                few_in_year.add(&few_in_month.days, few_in_month.rows)
            }
        }
        if few_in_year.rows >= FEW_ROWS {
            assign(&few_in_year.days)
        } else {
            few_in_years.add(&few_in_year.days, few_in_year.rows)
        }
    }
    assign(&few_in_years.days);
    assigned
}

/// Days with few rows each.
#[derive(Default)]
struct Few {
    days: Vec<i64>,
    rows: usize,
}

impl Few {
    fn add(&mut self, days: &[i64], rows: usize) {
        self.days.extend(days);
        self.rows += rows;
    }
}

/// The smallest of day, month, year or years that holds these days.
fn name(days: &[i64]) -> String {
    let (Some(first), Some(last)) = (days.first().map(|d| date(*d)), days.last().map(|d| date(*d))) else {
        return String::new();
    };
    let format = match () {
        () if first == last => "%Y-%m-%d",
        () if (first.year(), first.month()) == (last.year(), last.month()) => "%Y-%m",
        () if first.year() == last.year() => "%Y",
        () => return "years".to_owned(),
    };
    first.format(format).to_string()
}

/// Times are of the years 1 to 9999; anything else would be a fault of the caller and is put at the edge.
fn date(day: i64) -> NaiveDate {
    DateTime::from_timestamp_millis(day_start(day)).map_or(NaiveDate::MAX, |t| t.date_naive())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> i64 {
        day_of(waystream_domain::Timestamp::parse(text).expect("a day").as_millis())
    }

    fn check(days: &[(&str, usize)], expected: &[(&str, &str)]) {
        let assigned = assign(&days.iter().map(|(d, n)| (day(d), *n)).collect());
        let expected: BTreeMap<i64, String> = expected.iter().map(|(d, p)| (day(d), (*p).to_owned())).collect();
        assert_eq!(assigned, expected);
    }

    #[test]
    fn days_with_few_rows_share_a_file() {
        check(&[("2026-03-04", 3)], &[("2026-03-04", "2026-03-04")]);
        check(
            &[("2026-03-01", 3), ("2026-03-03", 4), ("2026-03-04", 90_000)],
            &[("2026-03-01", "2026-03"), ("2026-03-03", "2026-03"), ("2026-03-04", "2026-03-04")],
        );
        check(
            &[("1949-06-11", 3), ("1949-08-01", 4), ("1950-01-01", 90_000)],
            &[("1949-06-11", "1949"), ("1949-08-01", "1949"), ("1950-01-01", "1950-01-01")],
        );
        check(
            &[("1949-06-11", 3_000), ("1949-06-12", 3_000), ("1949-08-01", 1), ("1949-09-01", 1), ("1950-01-01", 1)],
            &[
                ("1949-06-11", "1949-06"),
                ("1949-06-12", "1949-06"),
                ("1949-08-01", "years"),
                ("1949-09-01", "years"),
                ("1950-01-01", "years"),
            ],
        );
    }

    #[test]
    fn days_before_1970_are_days() {
        assert_eq!((day_of(-1), day_of(0), day_start(-1)), (-1, 0, -86_400_000));
        assert!(is_day(&name(&[day("0001-01-01")])) && is_day(&name(&[day("9999-12-31")])));
    }
}
