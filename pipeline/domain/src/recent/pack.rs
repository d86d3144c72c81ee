//! Fixes, decisions and marks as few bits: what differs from what the fixes before let expect. About four bytes a fix on the road,
//! one for a parked vehicle.

use super::bits::{Mean, Writer, zigzag};
use crate::standing::{Entry, Mark, Member, Step};
use crate::{Fix, LatLon};

/// What an entry has beside time, place, speed and odometer; most have nothing.
pub(super) const MARK: u8 = 1;
pub(super) const FLEET: u8 = 1 << 1;
pub(super) const MEMBERS: u8 = 1 << 2;
pub(super) const ALARM: u8 = 1 << 3;
pub(super) const CROSSED: u8 = 1 << 4;
/// The ignition is not as at the fix before.
pub(super) const IGNITION: u8 = 1 << 5;
/// The fuel is not as at the fix before.
pub(super) const FUEL: u8 = 1 << 6;
/// Speed or odometer are known and were not at the fix before, or the other way round.
pub(super) const FORM: u8 = 1 << 7;
/// Bits of a member's flags.
pub(super) const NEAR: u8 = 1;
pub(super) const DWELL: u8 = 1 << 1;
pub(super) const LOITER: u8 = 1 << 2;
pub(super) const LIMIT: u8 = 1 << 3;

/// What lets expect the next fix: the way from the one before the last to the last, and how well that was of use lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// 0: nothing is expected.
    pub(super) wait_ms: u32,
    lat: i32,
    lon: i32,
    pub(super) waits_s: Mean,
    pub(super) waits_ms: Mean,
    pub(super) places: Mean,
    pub(super) speeds: Mean,
    pub(super) odometers: Mean,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            wait_ms: 0,
            lat: 0,
            lon: 0,
            waits_s: Mean::of(8),
            waits_ms: Mean::of(1000),
            places: Mean::of(1000),
            speeds: Mean::of(100),
            odometers: Mean::of(16),
        }
    }
}

impl Trend {
    /// How far it is expected to have gone after so long, 1e-7 degree.
    pub(super) fn expect(&self, wait_ms: i64) -> (i64, i64) {
        let before_ms = i64::from(self.wait_ms);
        // Nobody goes straight on for long.
        if wait_ms <= 0 || before_ms == 0 || wait_ms / 4 > before_ms {
            return (0, 0);
        }
        let scaled = |n: i32| match i64::from(n).checked_mul(wait_ms) {
            Some(product) => product / before_ms,
            None => (i128::from(n) * i128::from(wait_ms) / i128::from(before_ms)) as i64,
        };
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
    pub(super) fn place(&self) -> (i64, i64, i64) {
        self.fix.map_or((0, 0, 0), |f| (f.fix_time.as_millis(), i64::from(f.location.lat_e7()), i64::from(f.location.lon_e7())))
    }

    /// Looks on from this fix.
    pub(super) fn look_on(&self, trend: &mut Trend, fix: &Fix) {
        let (time, lat, lon) = self.place();
        let wait_ms = u32::try_from(fix.fix_time.as_millis() - time).unwrap_or(0);
        let gone = |to: i32, from: i64| i32::try_from(i64::from(to) - from);
        (trend.wait_ms, trend.lat, trend.lon) = match (gone(fix.location.lat_e7(), lat), gone(fix.location.lon_e7(), lon)) {
            (Ok(lat), Ok(lon)) if self.fix.is_some() => (wait_ms, lat, lon),
            _ => (0, 0, 0),
        };
    }
}

/// Many devices report fewer than seven decimals: in what the last place is counted, 1e-7 degree.
pub(super) fn unit_of(at: LatLon) -> i64 {
    let counted_in = |unit: i32| at.lat_e7() % unit == 0 && at.lon_e7() % unit == 0;
    match (counted_in(10), counted_in(100)) {
        (false, _) => 1,
        (true, false) => 10,
        (true, true) => 100,
    }
}

/// A degree of latitude, 1e-7 of it in metres.
const E7_M: f64 = 0.011_119_5;

/// About how far it is, metres. Only what every processor computes alike: what was packed on one must be read on another.
pub(super) fn about_m(from: LatLon, to: LatLon) -> i64 {
    let up = f64::from(to.lat_e7()) - f64::from(from.lat_e7());
    let aside = f64::from(to.lon_e7()) - f64::from(from.lon_e7());
    // Bhaskara's cosine, within 0.2 %.
    let lat2 = from.lat_deg() * from.lat_deg();
    let shrink = (32_400.0 - 4.0 * lat2) / (32_400.0 + lat2);
    ((up * up + aside * aside * shrink * shrink).sqrt() * E7_M) as i64
}

/// Appends an entry; answers the trend behind it.
pub(super) fn put(out: &mut Writer<'_>, entry: &Entry, before: Before<'_>) -> Trend {
    match entry {
        Entry::Step(step) => put_step(out, step, before),
        Entry::Mark(mark) => put_mark(out, mark, before),
    }
}

/// Appends a mark; answers the trend behind it.
pub(super) fn put_mark(out: &mut Writer<'_>, mark: &Mark, before: Before<'_>) -> Trend {
    out.bit(true);
    out.byte(MARK | if mark.fleet.is_some() { FLEET } else { 0 });
    if let Some(fleet) = &mark.fleet {
        out.bytes(fleet.as_str().as_bytes());
    }
    put_members(out, &mark.members);
    out.plain(mark.gone.len() as u64);
    for gone in &mark.gone {
        out.bytes(gone.geofence.as_str().as_bytes());
        out.plain(gone.version);
        out.bit(gone.removed);
    }
    before.trend
}

/// Appends a step; answers the trend behind it.
pub(super) fn put_step(out: &mut Writer<'_>, step: &Step, before: Before<'_>) -> Trend {
    let Fix { fix_time, location, speed_cm_s, ignition, odometer_m, fuel } = step.fix;
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let was = before.fix;
    let speed_before = was.and_then(|f| f.speed_cm_s);
    let odometer_before = was.and_then(|f| f.odometer_m);
    let form = speed_before.is_some() != speed_cm_s.is_some() || odometer_before.is_some() != odometer_m.is_some();
    let more = bit(step.fleet.is_some(), FLEET)
        | bit(step.members.is_some(), MEMBERS)
        | bit(step.alarm.is_some(), ALARM)
        | bit(!step.crossed.is_empty(), CROSSED)
        | bit(ignition != was.and_then(|f| f.ignition), IGNITION)
        | bit(fuel != was.and_then(|f| f.fuel), FUEL)
        | bit(form, FORM);
    out.bit(more != 0);
    if more != 0 {
        put_more(out, step, more);
    }
    let mut trend = before.trend;
    let (time, lat, lon) = before.place();
    let wait_ms = fix_time.as_millis() - time;
    let as_before = wait_ms == i64::from(trend.wait_ms);
    out.bit(as_before);
    if !as_before {
        let seconds = wait_ms % 1000 == 0;
        out.bit(seconds);
        let was_ms = i64::from(trend.wait_ms);
        if seconds {
            out.number(zigzag((wait_ms / 1000).wrapping_sub(was_ms / 1000)), &mut trend.waits_s);
        } else {
            out.number(zigzag(wait_ms.wrapping_sub(was_ms)), &mut trend.waits_ms);
        }
    }
    let (expected_lat, expected_lon) = trend.expect(wait_ms);
    let (by_lat, by_lon) = (i64::from(location.lat_e7()) - lat, i64::from(location.lon_e7()) - lon);
    let mut unit = was.map_or(1, |f| unit_of(f.location));
    if unit > 1 {
        let finer = by_lat % unit != 0 || by_lon % unit != 0;
        out.bit(finer);
        unit = if finer { 1 } else { unit };
    }
    out.number(zigzag(by_lat / unit - expected_lat / unit), &mut trend.places);
    out.number(zigzag(by_lon / unit - expected_lon / unit), &mut trend.places);
    if let Some(speed) = speed_cm_s {
        let by = i64::from(speed) - i64::from(speed_before.unwrap_or(0));
        out.number(zigzag(by), &mut trend.speeds);
    }
    if let Some(metres) = odometer_m {
        let gone_m = was.map_or(0, |was| about_m(was.location, location));
        let by = i64::from(metres) - i64::from(odometer_before.unwrap_or(0)) - gone_m;
        out.number(zigzag(by), &mut trend.odometers);
    }
    before.look_on(&mut trend, &step.fix);
    trend
}

fn put_more(out: &mut Writer<'_>, step: &Step, more: u8) {
    out.byte(more);
    if let Some(fleet) = &step.fleet {
        out.bytes(fleet.as_str().as_bytes());
    }
    if let Some(members) = &step.members {
        put_members(out, members);
    }
    if let Some(alarm) = &step.alarm {
        out.bytes(alarm.as_bytes());
    }
    if !step.crossed.is_empty() {
        out.plain(step.crossed.len() as u64);
        for crossed in &step.crossed {
            out.bytes(crossed.geofence.as_str().as_bytes());
            out.plain(crossed.version);
        }
    }
    if more & IGNITION != 0 {
        out.byte(step.fix.ignition.map_or(2, u8::from));
    }
    if more & FUEL != 0 {
        // 0: none any more.
        out.plain(step.fix.fuel.map_or(0, |f| (u64::from(f.tenths) << 1 | u64::from(f.is_percent)) + 1));
    }
    if more & FORM != 0 {
        out.bit(step.fix.speed_cm_s.is_some());
        out.bit(step.fix.odometer_m.is_some());
    }
}

fn put_members(out: &mut Writer<'_>, members: &[Member]) {
    out.plain(members.len() as u64);
    for member in members {
        out.bytes(member.geofence.as_str().as_bytes());
        out.plain(member.version);
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        out.byte(
            bit(member.near, NEAR)
                | bit(member.dwell_ms > 0, DWELL)
                | bit(member.loiter_ms > 0, LOITER)
                | bit(member.limit_cm_s > 0, LIMIT),
        );
        for number in [u64::from(member.dwell_ms), u64::from(member.loiter_ms), u64::from(member.limit_cm_s)] {
            if number > 0 {
                out.plain(number);
            }
        }
    }
}
