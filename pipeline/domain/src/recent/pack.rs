//! Fixes, decisions and marks as few bytes: what differs from what the fixes before let expect. About six bytes a fix on the road, one
//! or two for a parked vehicle.

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

/// Appends an entry; answers the trend behind it.
pub(super) fn put(out: &mut Vec<u8>, entry: &Entry, before: Before<'_>) -> Trend {
    match entry {
        Entry::Step(step) => put_step(out, step, before),
        Entry::Mark(mark) => {
            out.push(MARK | if mark.fleet.is_some() { MORE } else { 0 });
            if let Some(fleet) = &mark.fleet {
                put_text(out, fleet.as_str());
            }
            put_members(out, &mark.members);
            put_number(out, mark.gone.len() as u64);
            for gone in &mark.gone {
                put_text(out, gone.geofence.as_str());
                put_number(out, gone.version);
                out.push(u8::from(gone.removed));
            }
            before.trend
        }
    }
}

/// Appends a step; answers the trend behind it.
pub(super) fn put_step(out: &mut Vec<u8>, step: &Step, before: Before<'_>) -> Trend {
    let Fix { speed_cm_s, ignition, odometer_m, fuel, .. } = step.fix;
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let was = before.fix;
    let more = bit(step.fleet.is_some(), FLEET)
        | bit(step.members.is_some(), MEMBERS)
        | bit(step.alarm.is_some(), ALARM)
        | bit(!step.crossed.is_empty(), CROSSED)
        | bit(ignition != was.and_then(|f| f.ignition), IGNITION)
        | bit(odometer_m != was.and_then(|f| f.odometer_m), ODOMETER)
        | bit(fuel != was.and_then(|f| f.fuel), FUEL);
    let trend = before.trend_to(&step.fix);
    let (time, lat, lon) = before.place();
    let wait_ms = step.fix.fix_time.as_millis() - time;
    let (expected_lat, expected_lon) = before.trend.expect(wait_ms);
    let off_lat = i64::from(step.fix.location.lat_e7()) - lat - expected_lat;
    let off_lon = i64::from(step.fix.location.lon_e7()) - lon - expected_lon;
    let same_wait = was.is_some() && wait_ms == before.trend.wait_ms;
    let seconds = wait_ms % 1000 == 0;
    let speed_before = was.and_then(|f| f.speed_cm_s);
    let same_speed = speed_cm_s == speed_before;
    out.push(
        bit(more != 0, MORE)
            | bit(same_wait, SAME_WAIT)
            | bit(seconds, SECONDS)
            | bit(off_lat == 0 && off_lon == 0, EXPECTED)
            | bit(same_speed, SAME_SPEED)
            | bit(!same_speed && speed_cm_s.is_some(), SPEED),
    );
    if more != 0 {
        out.push(more);
    }
    if !same_wait {
        put_number(out, zigzag(if seconds { wait_ms / 1000 } else { wait_ms }));
    }
    if off_lat != 0 || off_lon != 0 {
        put_number(out, zigzag(off_lat));
        put_number(out, zigzag(off_lon));
    }
    if let Some(speed) = speed_cm_s.filter(|_| !same_speed) {
        put_number(out, zigzag(i64::from(speed) - i64::from(speed_before.unwrap_or(0))));
    }
    if let Some(fleet) = &step.fleet {
        put_text(out, fleet.as_str());
    }
    if let Some(members) = &step.members {
        put_members(out, members);
    }
    if let Some(alarm) = &step.alarm {
        put_text(out, alarm);
    }
    if !step.crossed.is_empty() {
        put_number(out, step.crossed.len() as u64);
        for crossed in &step.crossed {
            put_text(out, crossed.geofence.as_str());
            put_number(out, crossed.version);
        }
    }
    if more & IGNITION != 0 {
        out.push(ignition.map_or(2, u8::from));
    }
    if more & ODOMETER != 0 {
        // 0: none any more.
        let base = was.and_then(|f| f.odometer_m).unwrap_or(0);
        put_number(out, odometer_m.map_or(0, |m| zigzag(i64::from(m) - i64::from(base)) + 1));
    }
    if more & FUEL != 0 {
        put_number(out, fuel.map_or(0, |f| (u64::from(f.tenths) << 1 | u64::from(f.is_percent)) + 1));
    }
    trend
}

fn put_members(out: &mut Vec<u8>, members: &[Member]) {
    put_number(out, members.len() as u64);
    for member in members {
        put_text(out, member.geofence.as_str());
        put_number(out, member.version);
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        out.push(
            bit(member.near, NEAR)
                | bit(member.dwell_ms > 0, DWELL)
                | bit(member.loiter_ms > 0, LOITER)
                | bit(member.limit_cm_s > 0, LIMIT),
        );
        for number in [u64::from(member.dwell_ms), u64::from(member.loiter_ms), u64::from(member.limit_cm_s)] {
            if number > 0 {
                put_number(out, number);
            }
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_bytes(out, text.as_bytes());
}

/// Appends some bytes with their number before.
pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

const fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

const fn unzigzag(n: u64) -> i64 {
    (n >> 1) as i64 ^ -((n & 1) as i64)
}

/// Seven bits a byte, least first (LEB128).
fn put_number(out: &mut Vec<u8>, mut n: u64) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads what [`put`] has written.
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

    fn take(&mut self, n: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<u64> {
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
