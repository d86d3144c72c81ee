//! Clocks of devices: local time taken back to UTC, and dates that a receiver lost with the overflow of its week counter put right.

use crate::config::ListenerName;
use crate::readers::MAX_FUTURE_MS;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use waystream_domain::{DeviceId, Timestamp};

/// After 1,024 weeks the week counter of GPS begins again: a receiver that does not know reports a date so far in the past.
const ROLLOVER_MS: i64 = 1024 * 7 * 24 * 3600 * 1000;
/// No device keeps reports for longer, so that an older date which fits is a rollover.
const MAX_BACKLOG_MS: i64 = 366 * 24 * 3600 * 1000;

/// What device time minus UTC is, where the protocol takes it for UTC though it is not.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Clocks {
    /// By protocol: minutes.
    pub protocols: BTreeMap<ListenerName, UtcOffset>,
    /// By device, instead of its protocol's: minutes.
    pub devices: BTreeMap<DeviceId, UtcOffset>,
}

/// Minutes east of Greenwich, within a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "i16", into = "i16")]
pub struct UtcOffset(i16);

impl TryFrom<i16> for UtcOffset {
    type Error = String;
    fn try_from(minutes: i16) -> Result<Self, String> {
        match minutes {
            -1440..=1440 => Ok(Self(minutes)),
            _ => Err(format!("{minutes} minutes are more than a day")),
        }
    }
}

impl From<UtcOffset> for i16 {
    fn from(offset: UtcOffset) -> Self {
        offset.0
    }
}

impl Clocks {
    /// How far the clock of a device is ahead of UTC, milliseconds.
    pub(crate) fn ahead_ms(&self, protocol: &str, device: &DeviceId) -> i64 {
        let by_protocol = || self.protocols.iter().find(|(name, _)| name.as_str() == protocol).map(|(_, offset)| offset);
        let offset = self.devices.get(device).or_else(by_protocol).copied().unwrap_or_default();
        i64::from(offset.0) * 60_000
    }
}

/// A fix time put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Righted {
    /// UTC, with the right week.
    pub fix_time: Timestamp,
    /// Whether 1,024 weeks were lost.
    pub rollover: bool,
}

impl Clocks {
    /// The time of a fix that a device reported: its local time taken back to UTC, a lost rollover put right.
    pub fn right(&self, protocol: &str, device: &DeviceId, reported: Timestamp, received_at: Timestamp) -> Righted {
        let utc = reported.plus_millis(-self.ahead_ms(protocol, device));
        match without_rollover(utc, received_at) {
            Some(fix_time) => Righted { fix_time, rollover: true },
            None => Righted { fix_time: utc, rollover: false },
        }
    }
}

/// The right time of a fix whose receiver has lost 1,024 weeks; `None`: it has not.
pub fn without_rollover(fix_time: Timestamp, received_at: Timestamp) -> Option<Timestamp> {
    let right = fix_time.plus_millis(ROLLOVER_MS);
    let late_ms = received_at.millis_since(right);
    (-MAX_FUTURE_MS..MAX_BACKLOG_MS).contains(&late_ms).then_some(right)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn time(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn a_date_1024_weeks_ago_is_today() {
        let now = time("2026-11-25T12:00:00Z");
        // 2019-04-06 was the last rollover; a receiver that counts from before it is 7,168 days behind.
        assert_eq!(without_rollover(time("2007-04-11T11:59:00Z"), now), Some(time("2026-11-25T11:59:00Z")));
        assert_eq!(without_rollover(time("2006-05-01T00:00:00Z"), now), Some(time("2025-12-15T00:00:00Z")));
        assert_eq!(without_rollover(time("2005-01-01T00:00:00Z"), now), None);
        assert_eq!(without_rollover(time("2026-11-25T11:59:00Z"), now), None);
        assert_eq!(without_rollover(time("2007-04-13T12:00:00Z"), now), None);
    }

    #[test]
    fn a_devices_own_offset_is_before_its_protocols() {
        let clocks: Clocks =
            serde_json::from_str(r#"{"protocols": {"gt02": 480, "h02": -60}, "devices": {"358899058314017": 0}}"#).unwrap();
        let (own, other) = (DeviceId::new("358899058314017").unwrap(), DeviceId::new("1").unwrap());
        assert_eq!(clocks.ahead_ms("gt02", &other), 8 * 3_600_000);
        assert_eq!(clocks.ahead_ms("h02", &other), -3_600_000);
        assert_eq!(clocks.ahead_ms("gt02", &own), 0);
        assert_eq!(clocks.ahead_ms("gt06", &other), 0);
        assert!(serde_json::from_str::<Clocks>(r#"{"devices": {"1": 1441}}"#).is_err());
        let (now, local) = (time("2026-11-25T12:00:00Z"), time("2026-11-25T19:59:00Z"));
        let fix_time = time("2026-11-25T11:59:00Z");
        assert_eq!(clocks.right("gt02", &other, local, now), Righted { fix_time, rollover: false });
        let lost = time("2007-04-11T19:59:00Z");
        assert_eq!(clocks.right("gt02", &other, lost, now), Righted { fix_time, rollover: true });
    }
}
