//! Times as devices send them.

use super::{number, pairs};
use crate::protocol::{Fault, FaultKind};
use chrono::NaiveDate;
use smol_str::format_smolstr;
use waystream_domain::Timestamp;

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

/// From `ddmmyy` and `hhmmss`, UTC; what follows is not looked at.
pub(crate) fn dmy(date: &str, time: &str) -> Result<Timestamp, Fault> {
    let [day, month, year] = pairs(date)?;
    Ok(civil([year, month, day], pairs(time)?)?.plus_millis(fraction_ms(time)))
}

/// From `yymmdd` and `hhmmss`, UTC; what follows is not looked at.
pub(crate) fn ymd(date: &str, time: &str) -> Result<Timestamp, Fault> {
    Ok(civil(pairs(date)?, pairs(time)?)?.plus_millis(fraction_ms(time)))
}

/// Milliseconds behind the dot of `hhmmss.sss`.
fn fraction_ms(time: &str) -> i64 {
    let fraction = time.get(6..).filter(|rest| rest.starts_with('.')).and_then(number);
    fraction.map_or(0, |seconds| (seconds * 1000.0).round() as i64)
}

/// From seconds since 1970. Zero is a clock that was never set.
pub(crate) fn from_unix_secs(secs: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_secs(secs).filter(|_| secs > 0).ok_or_else(|| bad_time(format_args!("{secs} s since 1970")))
}

/// From milliseconds since 1970. Zero is a clock that was never set.
pub(crate) fn from_unix_millis(ms: i64) -> Result<Timestamp, Fault> {
    Timestamp::from_millis(ms).filter(|_| ms > 0).ok_or_else(|| bad_time(format_args!("{ms} ms since 1970")))
}

fn bad_time(what: impl std::fmt::Display) -> Fault {
    Fault::new(FaultKind::BadTime, format_smolstr!("{what} is not a time"))
}
