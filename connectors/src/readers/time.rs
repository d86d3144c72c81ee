//! Times as devices send them.

use super::pairs;
use crate::protocol::{Fault, FaultKind};
use chrono::NaiveDate;
use smol_str::format_smolstr;
use waystream_domain::Timestamp;

/// A clock may be wrong by this much; fixes further in the future would hide all later ones.
pub(crate) const MAX_FUTURE_MS: i64 = 24 * 3600 * 1000;

/// From year, month, day, hour, minute, second, UTC. A year below 100 is of this century: no tracker is older.
pub(crate) fn civil(date: [u32; 3], time: [u32; 3]) -> Result<Timestamp, Fault> {
    let [year, month, day] = date;
    let [hour, minute, second] = time;
    let year = if year < 100 { year + 2000 } else { year };
    i32::try_from(year)
        .ok()
        .and_then(|year| NaiveDate::from_ymd_opt(year, month, day)?.and_hms_opt(hour, minute, second))
        .and_then(|time| Timestamp::from_millis(time.and_utc().timestamp_millis()))
        .ok_or_else(|| bad_time(format_args!("{year}-{month}-{day} {hour}:{minute}:{second}")))
}

/// From `ddmmyy` and `hhmmss`, UTC. What follows is not looked at: receivers report whole seconds, decimals are when they spoke.
pub(crate) fn dmy(date: &str, time: &str) -> Result<Timestamp, Fault> {
    let [day, month, year] = pairs(date)?;
    civil([year, month, day], pairs(time)?)
}

/// From `yymmdd` and `hhmmss`, UTC; what follows is not looked at.
pub(crate) fn ymd(date: &str, time: &str) -> Result<Timestamp, Fault> {
    civil(pairs(date)?, pairs(time)?)
}

/// From seconds since 1970. Zero is a clock that was never set.
pub(crate) fn from_unix_secs(secs: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_secs(secs).filter(|_| secs > 0).ok_or_else(|| bad_time(format_args!("{secs} s since 1970")))
}

/// From milliseconds since 1970. Zero is a clock that was never set.
pub(crate) fn from_unix_millis(ms: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_millis(ms).filter(|_| ms > 0).ok_or_else(|| bad_time(format_args!("{ms} ms since 1970")))
}

/// The time of day `hhmmss` on the day of `now`: for messages without a date.
pub(crate) fn time_of_day(time: &str, now: Timestamp) -> Result<Timestamp, Fault> {
    const DAY_MS: i64 = 86_400_000;
    let [hour, minute, second] = pairs::<3>(time)?;
    if hour > 23 || minute > 59 || second > 59 {
        return Err(bad_time(time));
    }
    let midnight = now.plus_millis(-now.as_millis().rem_euclid(DAY_MS));
    Ok(midnight.plus_millis(i64::from(hour * 3600 + minute * 60 + second) * 1000))
}

fn bad_time(what: impl std::fmt::Display) -> Fault {
    Fault::new(FaultKind::BadTime, format_smolstr!("{what} is not a time"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_date_of_zeros_is_no_date() {
        assert_eq!(dmy("000000", "000000").unwrap_err().kind, FaultKind::BadTime);
        assert_eq!(civil([2024, 2, 30], [0, 0, 0]).unwrap_err().kind, FaultKind::BadTime);
        assert_eq!(from_unix_secs(0).unwrap_err().kind, FaultKind::BadTime);
    }

    #[test]
    fn two_digit_years_are_of_this_century() {
        let time = Timestamp::parse("2024-02-29T23:59:58Z").unwrap();
        assert_eq!(dmy("290224", "235958.999").unwrap(), time);
        assert_eq!(ymd("240229", "235958").unwrap(), time);
        assert_eq!(time_of_day("010203.00", time).unwrap(), Timestamp::parse("2024-02-29T01:02:03Z").unwrap());
    }
}
