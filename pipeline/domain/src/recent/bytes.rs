//! Numbers and texts as whole bytes, and the entries of segments as they were packed before bits were: still read, no longer written.

use super::bits::unzigzag;
use crate::standing::{Crossed, Entry, Gone, Mark, Member, Step};
use crate::{Fix, FleetId, Fuel, GeofenceId, LatLon, Timestamp};
use smol_str::SmolStr;

/// Bits of an entry's first byte.
const MARK: u8 = 1;
/// A second byte follows.
const MORE: u8 = 1 << 1;
/// As long after the fix before as that one after the one before it.
const SAME_WAIT: u8 = 1 << 2;
/// The wait is in whole seconds.
const SECONDS: u8 = 1 << 3;
/// Exactly where it was expected.
const EXPECTED: u8 = 1 << 4;
/// The speed of the fix before, or like it none.
const SAME_SPEED: u8 = 1 << 5;
/// Another speed.
const SPEED: u8 = 1 << 6;
/// Bits of the second byte.
const FLEET: u8 = 1;
const MEMBERS: u8 = 1 << 1;
const ALARM: u8 = 1 << 2;
const CROSSED: u8 = 1 << 3;
/// The ignition is not as at the fix before.
const IGNITION: u8 = 1 << 4;
/// The odometer is not as at the fix before.
const ODOMETER: u8 = 1 << 5;
/// The fuel is not as at the fix before.
const FUEL: u8 = 1 << 6;
/// Bits of a member's flags.
const NEAR: u8 = 1;
const DWELL: u8 = 1 << 1;
const LOITER: u8 = 1 << 2;
const LIMIT: u8 = 1 << 3;

/// From the fix before the last to the last: what lets expect the next one.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Trend {
    wait_ms: i64,
    lat: i64,
    lon: i64,
}

impl Trend {
    /// How far it is expected to have gone after so long, 1e-7 degree.
    fn expect(&self, wait_ms: i64) -> (i64, i64) {
        // Nobody goes straight on for long.
        if wait_ms <= 0 || self.wait_ms <= 0 || wait_ms / 4 > self.wait_ms {
            return (0, 0);
        }
        let scaled = |n: i64| (i128::from(n) * i128::from(wait_ms) / i128::from(self.wait_ms)) as i64;
        (scaled(self.lat), scaled(self.lon))
    }
}

/// What is known before an entry.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Before<'a> {
    pub(super) fix: Option<&'a Fix>,
    pub(super) trend: Trend,
}

impl Before<'_> {
    fn place(&self) -> (i64, i64, i64) {
        self.fix.map_or((0, 0, 0), |f| (f.fix_time.as_millis(), i64::from(f.location.lat_e7()), i64::from(f.location.lon_e7())))
    }

    fn trend_to(&self, fix: &Fix) -> Trend {
        if self.fix.is_none() {
            return Trend::default();
        }
        let (time, lat, lon) = self.place();
        Trend {
            wait_ms: fix.fix_time.as_millis() - time,
            lat: i64::from(fix.location.lat_e7()) - lat,
            lon: i64::from(fix.location.lon_e7()) - lon,
        }
    }
}

/// Appends some bytes with their number before.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Seven bits a byte, least first (LEB128).
pub(super) fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads such bytes.
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    /// The next entry and the trend behind it; `None` if the bytes are none.
    pub(super) fn entry(&mut self, before: Before<'_>) -> Option<(Entry, Trend)> {
        let flags = self.byte()?;
        if flags & MARK != 0 {
            let fleet = if flags & MORE != 0 { Some(FleetId::new(self.text()?).ok()?) } else { None };
            let members = self.members()?;
            let gone = (0..self.number()?).map(|_| {
                let geofence = GeofenceId::new(self.text()?).ok()?;
                Some(Gone { geofence, version: self.number()?, removed: self.byte()? != 0 })
            });
            let gone = gone.collect::<Option<_>>()?;
            return Some((Entry::Mark(Mark { fleet, members, gone }), before.trend));
        }
        let more = if flags & MORE != 0 { self.byte()? } else { 0 };
        let was = before.fix;
        let wait_ms = match (flags & SAME_WAIT != 0, flags & SECONDS != 0) {
            (true, _) => before.trend.wait_ms,
            (false, true) => unzigzag(self.number()?).checked_mul(1000)?,
            (false, false) => unzigzag(self.number()?),
        };
        let (time, lat, lon) = before.place();
        let (mut by_lat, mut by_lon) = before.trend.expect(wait_ms);
        if flags & EXPECTED == 0 {
            by_lat = by_lat.checked_add(unzigzag(self.number()?))?;
            by_lon = by_lon.checked_add(unzigzag(self.number()?))?;
        }
        let degrees = |from: i64, by: i64| i32::try_from(from.checked_add(by)?).ok();
        let location = LatLon::from_e7(degrees(lat, by_lat)?, degrees(lon, by_lon)?)?;
        let speed_before = was.and_then(|f| f.speed_cm_s);
        let speed_cm_s = match (flags & SAME_SPEED != 0, flags & SPEED != 0) {
            (true, _) => speed_before,
            (false, true) => {
                Some(u16::try_from(i64::from(speed_before.unwrap_or(0)).checked_add(unzigzag(self.number()?))?).ok()?)
            }
            (false, false) => None,
        };
        let fleet = if more & FLEET != 0 { Some(FleetId::new(self.text()?).ok()?) } else { None };
        let members = if more & MEMBERS != 0 { Some(self.members()?) } else { None };
        let alarm = if more & ALARM != 0 { Some(SmolStr::new(self.text()?)) } else { None };
        let mut crossed = Vec::new();
        if more & CROSSED != 0 {
            for _ in 0..self.number()? {
                crossed.push(Crossed { geofence: GeofenceId::new(self.text()?).ok()?, version: self.number()? });
            }
        }
        let ignition = match more & IGNITION != 0 {
            true => Some(self.byte()?).filter(|b| *b < 2).map(|b| b == 1),
            false => was.and_then(|f| f.ignition),
        };
        let odometer_before = was.and_then(|f| f.odometer_m);
        let odometer_m = match more & ODOMETER != 0 {
            true => match self.number()?.checked_sub(1) {
                Some(n) => Some(u32::try_from(i64::from(odometer_before.unwrap_or(0)).checked_add(unzigzag(n))?).ok()?),
                None => None,
            },
            false => odometer_before,
        };
        let fuel = match more & FUEL != 0 {
            true => match self.number()?.checked_sub(1) {
                Some(n) => Some(Fuel { tenths: u16::try_from(n >> 1).ok()?, is_percent: n & 1 != 0 }),
                None => None,
            },
            false => was.and_then(|f| f.fuel),
        };
        let fix_time = Timestamp::from_millis(time.checked_add(wait_ms)?)?;
        let fix = Fix { fix_time, location, speed_cm_s, ignition, odometer_m, fuel };
        let trend = before.trend_to(&fix);
        Some((Entry::Step(Step { fix, fleet, members, alarm, crossed }), trend))
    }

    fn members(&mut self) -> Option<Vec<Member>> {
        let count = self.number()?;
        let member = |_| {
            let geofence = GeofenceId::new(self.text()?).ok()?;
            let version = self.number()?;
            let flags = self.byte()?;
            let mut number = |bit: u8| if flags & bit != 0 { self.number() } else { Some(0) };
            Some(Member {
                geofence,
                version,
                near: flags & NEAR != 0,
                dwell_ms: u32::try_from(number(DWELL)?).ok()?,
                loiter_ms: u32::try_from(number(LOITER)?).ok()?,
                limit_cm_s: u16::try_from(number(LIMIT)?).ok()?,
            })
        };
        (0..count).map(member).collect()
    }

    /// Bytes with their number before.
    pub(super) fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    pub(super) fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    pub(super) fn number(&mut self) -> Option<u64> {
        let mut n = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            n |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(n);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.bytes()?).ok()
    }
}
