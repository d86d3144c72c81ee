//! When being inside a geofence counts: margin, dwell time, opening hours. All off by default, so that plain crossings are told.

use crate::Timestamp;
use chrono::{DateTime, Datelike, NaiveDate, NaiveTime, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

/// Largest exit margin, metres.
pub const MAX_MARGIN_M: f64 = 10_000.0;
/// Longest dwell and loitering time, seconds: a week.
pub const MAX_DWELL_S: u32 = 7 * 86_400;
/// Highest speed limit, metres per second: what fits into 16 bits of centimetres.
pub const MAX_LIMIT_MPS: f32 = 655.0;
/// Altitudes of a band lie within ± this, metres.
pub const MAX_ALTITUDE_M: f32 = 100_000.0;

/// What a geofence asks for beside its area.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct FenceRules {
    /// Who is inside stays inside until farther away than this, metres: against the noise of fixes.
    #[serde(skip_serializing_if = "is_zero")]
    pub exit_margin_m: f64,
    /// An enter or exit counts when it has lasted this long, seconds.
    #[serde(skip_serializing_if = "is_none")]
    pub min_dwell_s: u32,
    /// Being inside for this long is told once per visit, seconds; 0: is not.
    #[serde(skip_serializing_if = "is_none")]
    pub loitering_s: u32,
    /// Faster than this inside is told, metres per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub speed_limit_mps: Option<f32>,
    /// A fix that is less accurate than this says nothing about the geofence, unless it is farther away than its accuracy, metres;
    /// `None`: one that is less accurate than the geofence is large.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_accuracy_m: Option<f64>,
    /// Inside is not below this altitude, metres. A fix without an altitude says nothing about a geofence that has a band.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_altitude_m: Option<f32>,
    /// Inside is not above this altitude, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_altitude_m: Option<f32>,
    /// Going through between two fixes, neither of which is inside, is told.
    #[serde(skip_serializing_if = "is_off")]
    pub cross: bool,
    /// Events are told only while this is open; where a device is, is known always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Box<Schedule>>,
}

fn is_zero(n: &f64) -> bool {
    *n == 0.0
}

fn is_none(n: &u32) -> bool {
    *n == 0
}

fn is_off(on: &bool) -> bool {
    !*on
}

impl FenceRules {
    /// Checked.
    ///
    /// # Errors
    /// What is out of range, in words.
    pub fn new(exit_margin_m: f64, min_dwell_s: u32, schedule: Option<Schedule>) -> Result<Self, String> {
        Self { exit_margin_m, min_dwell_s, schedule: schedule.map(Box::new), ..Self::default() }.check()
    }

    /// Itself, if all is within its range.
    ///
    /// # Errors
    /// What is out of range, in words.
    pub fn check(self) -> Result<Self, String> {
        let Self { exit_margin_m, min_dwell_s, loitering_s, .. } = self;
        // NaN is in no range.
        if !(0.0..=MAX_MARGIN_M).contains(&exit_margin_m) {
            return Err(format!("exit_margin_m of {exit_margin_m} is not between 0 and {MAX_MARGIN_M}"));
        }
        for (name, seconds) in [("min_dwell_s", min_dwell_s), ("loitering_s", loitering_s)] {
            if seconds > MAX_DWELL_S {
                return Err(format!("{name} of {seconds} is more than {MAX_DWELL_S}, a week"));
            }
        }
        if let Some(limit) = self.speed_limit_mps.filter(|limit| !(0.1..=MAX_LIMIT_MPS).contains(limit)) {
            return Err(format!("speed_limit_mps of {limit} is not between 0.1 and {MAX_LIMIT_MPS}"));
        }
        if let Some(accuracy) = self.max_accuracy_m.filter(|accuracy| !(0.0..=1e7).contains(accuracy)) {
            return Err(format!("max_accuracy_m of {accuracy} is not between 0 and 10000000"));
        }
        for (name, altitude) in [("min_altitude_m", self.min_altitude_m), ("max_altitude_m", self.max_altitude_m)] {
            if let Some(altitude) = altitude.filter(|altitude| !(-MAX_ALTITUDE_M..=MAX_ALTITUDE_M).contains(altitude)) {
                return Err(format!("{name} of {altitude} is not between -{MAX_ALTITUDE_M} and {MAX_ALTITUDE_M}"));
            }
        }
        if let (Some(min), Some(max)) = (self.min_altitude_m, self.max_altitude_m)
            && min > max
        {
            return Err(format!("min_altitude_m of {min} is above max_altitude_m of {max}"));
        }
        if self.cross && (self.min_altitude_m.is_some() || self.max_altitude_m.is_some()) {
            return Err("cross and an altitude band don't go together: nobody knows how high it was between two fixes".into());
        }
        Ok(self)
    }

    /// Whether an altitude lies in the band; `None`: there is a band and no altitude.
    pub(super) fn at_altitude(&self, altitude_m: Option<f32>) -> Option<bool> {
        if self.min_altitude_m.is_none() && self.max_altitude_m.is_none() {
            return Some(true);
        }
        let altitude_m = altitude_m?;
        Some(self.min_altitude_m.is_none_or(|min| min <= altitude_m) && self.max_altitude_m.is_none_or(|max| altitude_m <= max))
    }
}

/// Weekly hours in a time zone, with exceptions by date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "ScheduleText", into = "ScheduleText")]
pub struct Schedule {
    zone: Tz,
    text: ScheduleText,
    hours: Vec<Hours>,
    closed: Vec<NaiveDate>,
}

/// A schedule as people write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScheduleText {
    /// Name in the IANA database: `Europe/Warsaw`.
    pub time_zone: String,
    /// `mon-fri 08:00-18:00`, `sat 22:00-06:00` (until the next morning), `sun 00:00-24:00`.
    pub hours: Vec<String>,
    /// Days on which no hours begin: `2026-12-25`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub closed: Vec<String>,
}

/// Minutes of the day from which to which it is open, on some days of the week.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Hours {
    /// Bit 0 is Monday.
    days: u8,
    from: u32,
    /// Up to 48 hours: beyond midnight.
    to: u32,
}

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const DAY_MINUTES: u32 = 24 * 60;

impl TryFrom<ScheduleText> for Schedule {
    type Error = String;

    fn try_from(text: ScheduleText) -> Result<Self, String> {
        let zone = text.time_zone.parse().map_err(|_| format!("schedule: {:?} is not a time zone", text.time_zone))?;
        if text.hours.is_empty() {
            return Err("schedule: there are no hours".into());
        }
        let hours = text
            .hours
            .iter()
            .map(|h| Hours::parse(h).ok_or_else(|| format!("schedule: {h:?} are not hours like \"mon-fri 08:00-18:00\"")));
        let closed = text.closed.iter().map(|day| {
            NaiveDate::parse_from_str(day, "%Y-%m-%d").map_err(|_| format!("schedule: {day:?} is not a date like 2026-12-25"))
        });
        let (hours, closed) = (hours.collect::<Result<_, _>>()?, closed.collect::<Result<_, _>>()?);
        Ok(Self { zone, hours, closed, text })
    }
}

impl From<Schedule> for ScheduleText {
    fn from(schedule: Schedule) -> Self {
        schedule.text
    }
}

impl Schedule {
    /// Whether it is open.
    pub fn is_open(&self, at: Timestamp) -> bool {
        let local = DateTime::<Utc>::from(at).with_timezone(&self.zone);
        let (day, time) = (local.date_naive(), local.time());
        let minute = time.hour() * 60 + time.minute();
        let on = |day: NaiveDate, minute: u32| {
            let bit = 1 << day.weekday().num_days_from_monday();
            !self.closed.contains(&day) && self.hours.iter().any(|h| h.days & bit != 0 && (h.from..h.to).contains(&minute))
        };
        on(day, minute) || day.pred_opt().is_some_and(|yesterday| on(yesterday, minute + DAY_MINUTES))
    }
}

impl Hours {
    fn parse(text: &str) -> Option<Self> {
        let (days, times) = text.trim().split_once(' ')?;
        let day = |name: &str| DAYS.iter().position(|d| name.eq_ignore_ascii_case(d));
        let mut bits = 0;
        for range in days.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (day(first)?, day(last)?);
            // Friday to Monday goes over the week's end.
            for i in first..=if last < first { last + 7 } else { last } {
                bits |= 1 << (i % 7);
            }
        }
        let (from, to) = times.trim().split_once('-')?;
        let minute = |text: &str| match text {
            "24:00" => Some(DAY_MINUTES),
            _ => NaiveTime::parse_from_str(text, "%H:%M").ok().map(|t| t.hour() * 60 + t.minute()),
        };
        let (from, to) = (minute(from)?, minute(to)?);
        Some(Self { days: bits, from, to: if to <= from { to + DAY_MINUTES } else { to } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(hours: &[&str], closed: &[&str]) -> Result<Schedule, String> {
        let texts = |all: &[&str]| all.iter().map(|t| (*t).to_owned()).collect();
        ScheduleText { time_zone: "Europe/Warsaw".into(), hours: texts(hours), closed: texts(closed) }.try_into()
    }

    #[test]
    fn hours_are_local_and_may_go_over_midnight() {
        let week = schedule(&["mon-fri 08:00-18:00", "sat 22:00-06:00"], &["2026-12-25"]).expect("fine");
        for (time, open) in [
            ("2026-11-25T07:00:00Z", true), // Wednesday, 08:00 in winter
            ("2026-11-25T06:59:59Z", false),
            ("2026-07-01T06:00:00Z", true), // 08:00 in summer
            ("2026-11-25T17:00:00Z", false),
            ("2026-11-28T21:30:00Z", true), // Saturday night
            ("2026-11-29T04:59:00Z", true),
            ("2026-11-29T05:00:00Z", false),
            ("2026-12-25T10:00:00Z", false), // a Friday, closed
        ] {
            assert_eq!(week.is_open(Timestamp::parse(time).expect("time")), open, "{time}");
        }
        let always = schedule(&["fri-mon,tue-thu 00:00-24:00"], &[]).expect("fine");
        assert!((0..168).all(|hour| always.is_open(Timestamp::from_secs(hour * 3600).expect("time"))));
    }

    #[test]
    fn what_is_no_schedule_is_refused_by_name() {
        assert_eq!(schedule(&[], &[]), Err("schedule: there are no hours".into()));
        for hours in ["mon", "mon 8-18", "someday 08:00-18:00", "mon 08:00-25:00"] {
            assert_eq!(schedule(&[hours], &[]), Err(format!("schedule: {hours:?} are not hours like \"mon-fri 08:00-18:00\"")));
        }
        assert!(schedule(&["mon 08:00-18:00"], &["christmas"]).expect_err("no date").contains("christmas"));
        assert!(FenceRules::new(f64::NAN, 0, None).is_err());
        let json = r#"{"exit_margin_m":20.0,"schedule":{"time_zone":"UTC","hours":["mon 08:00-18:00"]}}"#;
        let rules: FenceRules = serde_json::from_str(json).expect("fine");
        assert_eq!(serde_json::to_string(&rules).expect("writes"), json);
    }
}
