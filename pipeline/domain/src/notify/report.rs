//! Reports: a summary of a day or a week for every vehicle or fleet, which is sent by itself.
//!
//! That one is to be sent is a [`Delivery`] whose id follows from the report and the period, so that each is sent once. The figures
//! are made when it is sent: here it is only known when.

use super::{Content, Delivery, DeliveryState};
use crate::{ChannelId, DeliveryId, FleetId, OrganisationId, ReportId, Timestamp};
use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What could not be sent for so long after its time is not sent any more, milliseconds: a day.
pub const LATEST_MS: i64 = 86_400_000;
/// Most fleets that a report names.
const MAX_NAMED: usize = 1_000;

/// A report of an organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Its key.
    pub id: ReportId,
    /// Owner.
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// Off: is not sent.
    pub enabled: bool,
    /// Only vehicles of these; none named: all of the organisation.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub fleets: BTreeSet<FleetId>,
    /// What has a line of its own.
    #[serde(default, skip_serializing_if = "Per::is_vehicle")]
    pub per: Per,
    /// What it is about.
    pub every: Every,
    /// When it is sent: on the day after the one, on the Monday after the week, that it is about.
    pub at: LocalTime,
    /// What is attached.
    pub format: ReportFormat,
    /// By which e-mail.
    pub channel: ChannelId,
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Every {
    /// A day, from midnight to midnight.
    Day,
    /// A week, from Monday to Monday.
    Week,
}

impl Every {
    /// Reads `day` or `week`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Day, Self::Week].into_iter().find(|every| every.as_str() == name)
    }

    /// `day` or `week`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
        }
    }
}

/// What has a line of its own in a report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// A vehicle.
    #[default]
    Vehicle,
    /// A fleet, with what all its vehicles did while they were in it.
    Fleet,
}

impl Per {
    /// Reads `vehicle` or `fleet`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Vehicle, Self::Fleet].into_iter().find(|per| per.as_str() == name)
    }

    /// `vehicle` or `fleet`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Vehicle => "vehicle",
            Self::Fleet => "fleet",
        }
    }

    pub(super) fn is_vehicle(&self) -> bool {
        *self == Self::Vehicle
    }
}

/// What a report is attached as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportFormat {
    /// Comma-separated.
    Csv,
    /// An Excel workbook.
    Xlsx,
}

impl ReportFormat {
    /// Reads `csv` or `xlsx`.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Csv, Self::Xlsx].into_iter().find(|format| format.as_str() == name)
    }

    /// `csv` or `xlsx`: also the file's extension.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Xlsx => "xlsx",
        }
    }
}

/// A time of the day in a time zone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "LocalTimeText", into = "LocalTimeText")]
pub struct LocalTime {
    zone: Tz,
    time: NaiveTime,
}

/// A local time as people write it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LocalTimeText {
    /// `07:00`.
    pub time: String,
    /// Name in the IANA database: `Europe/Warsaw`.
    pub time_zone: String,
}

impl TryFrom<LocalTimeText> for LocalTime {
    type Error = String;

    fn try_from(text: LocalTimeText) -> Result<Self, String> {
        let zone = text.time_zone.parse().map_err(|_| format!("time_zone: {:?} is not a time zone", text.time_zone))?;
        let time = NaiveTime::parse_from_str(&text.time, "%H:%M");
        let time = time.map_err(|_| format!("time: {:?} is not a time like 07:00", text.time))?;
        Ok(Self { zone, time })
    }
}

impl From<LocalTime> for LocalTimeText {
    fn from(at: LocalTime) -> Self {
        Self { time: at.time.format("%H:%M").to_string(), time_zone: at.zone.name().to_owned() }
    }
}

impl LocalTime {
    /// This time on a day; where clocks are put forward over it, an hour later.
    fn on(self, day: NaiveDate) -> Option<Timestamp> {
        self.moment(day, self.time)
    }

    fn midnight(self, day: NaiveDate) -> Option<Timestamp> {
        self.moment(day, NaiveTime::MIN)
    }

    fn moment(self, day: NaiveDate, time: NaiveTime) -> Option<Timestamp> {
        let local = day.and_time(time);
        let later = || self.zone.from_local_datetime(&(local + TimeDelta::hours(1))).earliest();
        let moment = self.zone.from_local_datetime(&local).earliest().or_else(later)?;
        Timestamp::from_millis(moment.timestamp_millis())
    }

    fn day_of(self, at: Timestamp) -> NaiveDate {
        DateTime::<Utc>::from(at).with_timezone(&self.zone).date_naive()
    }
}

/// What a report is about: from the one moment until before the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Included.
    pub from: Timestamp,
    /// Not included.
    pub to: Timestamp,
}

impl Report {
    /// What is wrong with it by itself.
    ///
    /// # Errors
    /// `field: what is wrong`.
    pub fn check(&self) -> Result<(), String> {
        match self.fleets.len() {
            named if named > MAX_NAMED => Err(format!("fleets: at most {MAX_NAMED} can be named, not {named}")),
            _ => Ok(()),
        }
    }

    /// What is to be sent by now, if it `is_new`.
    pub fn due(&self, now: Timestamp, is_new: impl FnOnce(&DeliveryId) -> bool) -> Option<Delivery> {
        if !self.enabled {
            return None;
        }
        let today = self.at.day_of(now);
        // Today its time may be still to come.
        let day = [Some(today), today.pred_opt()].into_iter().flatten().find(|day| {
            let is_day = self.every == Every::Day || day.weekday() == Weekday::Mon;
            is_day && self.at.on(*day).is_some_and(|at| at <= now && now.millis_since(at) <= LATEST_MS)
        })?;
        let first = day.checked_sub_days(Days::new(if self.every == Every::Day { 1 } else { 7 }))?;
        let period = Period { from: self.at.midnight(first)?, to: self.at.midnight(day)? };
        let key = DeliveryId::of_report(&self.id, period.from);
        if is_new(&key) { Some(self.delivery(key, period, (first, day.pred_opt()?), now)) } else { None }
    }

    fn delivery(&self, id: DeliveryId, period: Period, (first, last): (NaiveDate, NaiveDate), now: Timestamp) -> Delivery {
        let days = if first == last { first.to_string() } else { format!("{first} to {last}") };
        Delivery {
            id,
            organisation: self.organisation.clone(),
            channel: self.channel.clone(),
            content: Content::Report {
                report: self.id.clone(),
                title: format!("{}: {days}", self.name),
                fleets: self.fleets.clone(),
                per: self.per,
                period,
                file: format!("report-{first}.{}", self.format.as_str()),
                format: self.format,
            },
            matched_at: now,
            round: 0,
            attempts: 0,
            changed_at: now,
            state: DeliveryState::Pending { next_try_at: now, last_error: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(every: Every, time: &str) -> Report {
        let at = LocalTimeText { time: time.into(), time_zone: "Europe/Warsaw".into() };
        Report {
            id: "r".parse().expect("id"),
            organisation: "o".parse().expect("id"),
            name: "All vans".into(),
            enabled: true,
            fleets: BTreeSet::new(),
            per: Per::default(),
            every,
            at: at.try_into().expect("fine"),
            format: ReportFormat::Csv,
            channel: "c".parse().expect("id"),
        }
    }

    fn at(time: &str) -> Timestamp {
        Timestamp::parse(time).expect("time")
    }

    /// Title and period of what is due.
    fn due(report: &Report, now: &str) -> Option<(String, Period)> {
        match report.due(at(now), |_| true)?.content {
            Content::Report { title, period, .. } => Some((title, period)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_day_is_told_from_its_local_time_on_for_a_day() {
        let daily = report(Every::Day, "07:00");
        let saturday = Period { from: at("2026-11-27T23:00:00Z"), to: at("2026-11-28T23:00:00Z") };
        // 07:00 in winter is 06:00 UTC.
        for now in ["2026-11-29T06:00:00Z", "2026-11-29T22:59:00Z", "2026-11-30T05:59:59Z"] {
            assert_eq!(due(&daily, now), Some(("All vans: 2026-11-28".into(), saturday)), "{now}");
        }
        assert_eq!(due(&daily, "2026-11-29T05:59:59Z").map(|(title, _)| title), Some("All vans: 2026-11-27".into()));
        // The day on which clocks were put forward has 23 hours.
        let (_, short) = due(&daily, "2026-03-30T05:00:00Z").expect("due");
        assert_eq!(short.to.millis_since(short.from), 23 * 3_600_000);
        assert_eq!(due(&Report { enabled: false, ..daily.clone() }, "2026-11-29T06:00:00Z"), None);
        assert_eq!(daily.due(at("2026-11-29T06:00:00Z"), |_| false), None);
        // 02:30 was not on that day.
        assert!(due(&report(Every::Day, "02:30"), "2026-03-29T01:30:00Z").expect("due").0.ends_with("2026-03-28"));
    }

    #[test]
    fn a_week_is_told_on_monday() {
        let weekly = report(Every::Week, "07:00");
        let week = Period { from: at("2026-11-15T23:00:00Z"), to: at("2026-11-22T23:00:00Z") };
        let told = Some(("All vans: 2026-11-16 to 2026-11-22".into(), week));
        assert_eq!(due(&weekly, "2026-11-23T06:00:00Z"), told);
        assert_eq!(due(&weekly, "2026-11-24T05:00:00Z"), told);
        for now in ["2026-11-23T05:59:59Z", "2026-11-24T06:01:00Z", "2026-11-29T12:00:00Z"] {
            assert_eq!(due(&weekly, now), None, "{now}");
        }
    }

    #[test]
    fn the_id_follows_from_report_and_period() {
        let daily = report(Every::Day, "07:00");
        let id = |report: &Report, now: &str| report.due(at(now), |_| true).expect("due").id;
        let first = id(&daily, "2026-11-29T06:00:00Z");
        assert_eq!(first, id(&Report { name: "Vans".into(), ..daily.clone() }, "2026-11-29T20:00:00Z"));
        assert_ne!(first, id(&daily, "2026-11-30T06:00:00Z"));
        assert_ne!(first, id(&Report { id: "other".parse().expect("id"), ..daily.clone() }, "2026-11-29T06:00:00Z"));
        let delivery = daily.due(at("2026-11-29T06:00:00Z"), |_| true).expect("due");
        assert_eq!(Delivery::decode(&delivery.encode()).expect("reads"), delivery);
        let per_fleet = Report { per: Per::Fleet, ..daily }.due(at("2026-11-29T06:00:00Z"), |_| true).expect("due");
        assert_ne!(per_fleet.content, delivery.content);
        assert_eq!(Delivery::decode(&per_fleet.encode()).expect("reads"), per_fleet);
    }

    #[test]
    fn what_is_no_local_time_is_told_by_field() {
        let time = |time: &str, zone: &str| LocalTime::try_from(LocalTimeText { time: time.into(), time_zone: zone.into() });
        assert!(time("7 am", "UTC").expect_err("none").starts_with("time: "));
        assert!(time("07:00", "Mars").expect_err("none").starts_with("time_zone: "));
        let json = r#"{"time":"23:30","time_zone":"America/Lima"}"#;
        let read: LocalTime = serde_json::from_str(json).expect("reads");
        assert_eq!(serde_json::to_string(&read).expect("writes"), json);
    }
}
