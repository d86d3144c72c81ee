//! Fixes, decisions and marks as few bits: what differs from what the fixes before let expect. About four bytes a fix on the road,
//! one for a parked vehicle.

use super::bits::{Mean, Reader, Writer, unzigzag, zigzag};
use crate::standing::{Crossed, Entry, Gone, Mark, Member, Step};
use crate::{Fix, FleetId, Fuel, GeofenceId, LatLon, Timestamp};
use smol_str::SmolStr;

/// What an entry has beside time, place, speed and odometer; most have nothing.
const MARK: u8 = 1;
const FLEET: u8 = 1 << 1;
const MEMBERS: u8 = 1 << 2;
const ALARM: u8 = 1 << 3;
const CROSSED: u8 = 1 << 4;
/// The ignition is not as at the fix before.
const IGNITION: u8 = 1 << 5;
/// The fuel is not as at the fix before.
const FUEL: u8 = 1 << 6;
/// Speed or odometer are known and were not at the fix before, or the other way round.
const FORM: u8 = 1 << 7;
/// Bits of a member's flags.
const NEAR: u8 = 1;
const DWELL: u8 = 1 << 1;
const LOITER: u8 = 1 << 2;
const LIMIT: u8 = 1 << 3;

/// What lets expect the next fix: the way from the one before the last to the last, and how well that was of use lately.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Trend {
    /// 0: nothing is expected.
    wait_ms: u32,
    lat: i32,
    lon: i32,
    waits_s: Mean,
    waits_ms: Mean,
    places: Mean,
    speeds: Mean,
    odometers: Mean,
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
    fn expect(&self, wait_ms: i64) -> (i64, i64) {
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
    fn place(&self) -> (i64, i64, i64) {
        self.fix.map_or((0, 0, 0), |f| (f.fix_time.as_millis(), i64::from(f.location.lat_e7()), i64::from(f.location.lon_e7())))
    }

    /// Looks on from this fix.
    fn look_on(&self, trend: &mut Trend, fix: &Fix) {
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
fn unit_of(at: LatLon) -> i64 {
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
fn about_m(from: LatLon, to: LatLon) -> i64 {
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

/// What an entry has beside time, place, speed and odometer.
struct More {
    fleet: Option<FleetId>,
    members: Option<Vec<Member>>,
    alarm: Option<SmolStr>,
    crossed: Vec<Crossed>,
    ignition: Option<bool>,
    fuel: Option<Fuel>,
    has_speed: bool,
    has_odometer: bool,
}

/// The next entry and the trend behind it; `None` if the bits are none.
pub(super) fn entry(reader: &mut Reader<'_>, before: Before<'_>) -> Option<(Entry, Trend)> {
    let was = before.fix;
    let mut more = More {
        fleet: None,
        members: None,
        alarm: None,
        crossed: Vec::new(),
        ignition: was.and_then(|f| f.ignition),
        fuel: was.and_then(|f| f.fuel),
        has_speed: was.is_some_and(|f| f.speed_cm_s.is_some()),
        has_odometer: was.is_some_and(|f| f.odometer_m.is_some()),
    };
    if reader.bit()? {
        let flags = reader.byte()?;
        if flags & MARK != 0 {
            return Some((Entry::Mark(mark(reader, flags)?), before.trend));
        }
        read_more(reader, flags, &mut more)?;
    }
    let mut trend = before.trend;
    let (time, lat, lon) = before.place();
    let was_ms = i64::from(trend.wait_ms);
    let wait_ms = if reader.bit()? {
        was_ms
    } else if reader.bit()? {
        unzigzag(reader.number(&mut trend.waits_s)?).wrapping_add(was_ms / 1000).checked_mul(1000)?
    } else {
        unzigzag(reader.number(&mut trend.waits_ms)?).wrapping_add(was_ms)
    };
    let fix_time = Timestamp::from_millis(time.checked_add(wait_ms)?)?;
    let (expected_lat, expected_lon) = trend.expect(wait_ms);
    let mut unit = was.map_or(1, |f| unit_of(f.location));
    if unit > 1 && reader.bit()? {
        unit = 1;
    }
    let mut degrees = |from: i64, expected: i64| {
        let off = unzigzag(reader.number(&mut trend.places)?);
        i32::try_from((expected / unit).checked_add(off)?.checked_mul(unit)?.checked_add(from)?).ok()
    };
    let (lat, lon) = (degrees(lat, expected_lat)?, degrees(lon, expected_lon)?);
    let location = LatLon::from_e7(lat, lon)?;
    let mut speed_cm_s = None;
    if more.has_speed {
        let by = unzigzag(reader.number(&mut trend.speeds)?);
        let speed_before = was.and_then(|f| f.speed_cm_s).unwrap_or(0);
        speed_cm_s = Some(u16::try_from(i64::from(speed_before).checked_add(by)?).ok()?);
    }
    let mut odometer_m = None;
    if more.has_odometer {
        let gone_m = was.map_or(0, |was| about_m(was.location, location));
        let odometer_before = was.and_then(|f| f.odometer_m).unwrap_or(0);
        let by = unzigzag(reader.number(&mut trend.odometers)?).checked_add(gone_m)?;
        odometer_m = Some(u32::try_from(i64::from(odometer_before).checked_add(by)?).ok()?);
    }
    let More { fleet, members, alarm, crossed, ignition, fuel, .. } = more;
    let fix = Fix { fix_time, location, speed_cm_s, ignition, odometer_m, fuel };
    before.look_on(&mut trend, &fix);
    Some((Entry::Step(Step { fix, fleet, members, alarm, crossed }), trend))
}

fn mark(reader: &mut Reader<'_>, flags: u8) -> Option<Mark> {
    let fleet = if flags & FLEET != 0 { Some(FleetId::new(text(reader)?).ok()?) } else { None };
    let members = members(reader)?;
    let mut gone = Vec::new();
    for _ in 0..reader.plain()? {
        let geofence = GeofenceId::new(text(reader)?).ok()?;
        gone.push(Gone { geofence, version: reader.plain()?, removed: reader.bit()? });
    }
    Some(Mark { fleet, members, gone })
}

fn read_more(reader: &mut Reader<'_>, flags: u8, more: &mut More) -> Option<()> {
    if flags & FLEET != 0 {
        more.fleet = Some(FleetId::new(text(reader)?).ok()?);
    }
    if flags & MEMBERS != 0 {
        more.members = Some(members(reader)?);
    }
    if flags & ALARM != 0 {
        more.alarm = Some(SmolStr::new(text(reader)?));
    }
    if flags & CROSSED != 0 {
        for _ in 0..reader.plain()? {
            more.crossed.push(Crossed { geofence: GeofenceId::new(text(reader)?).ok()?, version: reader.plain()? });
        }
    }
    if flags & IGNITION != 0 {
        more.ignition = Some(reader.byte()?).filter(|b| *b < 2).map(|b| b == 1);
    }
    if flags & FUEL != 0 {
        more.fuel = match reader.plain()?.checked_sub(1) {
            Some(n) => Some(Fuel { tenths: u16::try_from(n >> 1).ok()?, is_percent: n & 1 != 0 }),
            None => None,
        };
    }
    if flags & FORM != 0 {
        (more.has_speed, more.has_odometer) = (reader.bit()?, reader.bit()?);
    }
    Some(())
}

fn members(reader: &mut Reader<'_>) -> Option<Vec<Member>> {
    let mut all = Vec::new();
    for _ in 0..reader.plain()? {
        let geofence = GeofenceId::new(text(reader)?).ok()?;
        let version = reader.plain()?;
        let flags = reader.byte()?;
        let mut number = |bit: u8| if flags & bit != 0 { reader.plain() } else { Some(0) };
        all.push(Member {
            geofence,
            version,
            near: flags & NEAR != 0,
            dwell_ms: u32::try_from(number(DWELL)?).ok()?,
            loiter_ms: u32::try_from(number(LOITER)?).ok()?,
            limit_cm_s: u16::try_from(number(LIMIT)?).ok()?,
        });
    }
    Some(all)
}

fn text(reader: &mut Reader<'_>) -> Option<String> {
    String::from_utf8(reader.bytes()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::bits::End;
    use super::*;
    use proptest::prelude::*;

    fn fixes() -> impl Strategy<Value = Fix> {
        let waits = prop_oneof![Just(10_000i64), 0..100_000i64, -253_000_000_000_000..253_000_000_000_000i64];
        let places = prop_oneof![
            (-300..300i32, -300..300i32).prop_map(|(lat, lon)| (lat * 100, lon * 10)),
            (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000),
        ];
        let known = (any::<Option<u16>>(), any::<Option<bool>>(), any::<Option<u32>>(), any::<Option<(u16, bool)>>());
        (waits, places, known).prop_map(|(wait_ms, (lat, lon), (speed_cm_s, ignition, odometer_m, fuel))| Fix {
            fix_time: Timestamp::default().plus_millis(wait_ms),
            location: LatLon::from_e7(lat, lon).expect("a place"),
            speed_cm_s,
            ignition,
            odometer_m,
            fuel: fuel.map(|(tenths, is_percent)| Fuel { tenths, is_percent }),
        })
    }

    fn fuller(fix: Fix, n: usize) -> Entry {
        let member = |loiter_ms| Member {
            geofence: "yard".parse().expect("id"),
            version: u64::MAX,
            near: n.is_multiple_of(2),
            dwell_ms: u32::MAX,
            loiter_ms,
            limit_cm_s: n as u16,
        };
        let gone = Gone { geofence: "gate".parse().expect("id"), version: 1, removed: n.is_multiple_of(3) };
        let fleet = (n % 5 < 2).then(|| "south".parse().expect("id"));
        match n % 7 {
            0 => Entry::Mark(Mark { fleet, members: vec![member(0), member(5)], gone: vec![gone] }),
            1 => Entry::Step(Step {
                fix,
                fleet,
                members: Some(vec![member(1)]),
                alarm: Some("sos".into()),
                crossed: vec![Crossed { geofence: "bridge".parse().expect("id"), version: n as u64 }],
            }),
            2 => Entry::Step(Step { members: Some(Vec::new()), ..Step::bare(fix) }),
            _ => Entry::Step(Step::bare(fix)),
        }
    }

    proptest! {
        #[test]
        fn entries_are_read_as_they_were_written(fixes in prop::collection::vec((fixes(), 0..7usize), 1..50)) {
            let entries: Vec<Entry> = fixes.into_iter().map(|(fix, n)| fuller(fix, n)).collect();
            let (mut out, mut end, mut trend, mut previous) = (Vec::new(), End::default(), Trend::default(), None);
            for entry in &entries {
                let mut writer = Writer::behind(&mut out, end);
                trend = put(&mut writer, entry, Before { fix: previous.as_ref(), trend });
                end = writer.finish();
                if let Entry::Step(step) = entry {
                    previous = Some(step.fix);
                }
            }
            let (mut reader, mut trend, mut previous) = (Reader::new(&out), Trend::default(), None);
            for written in &entries {
                let (read, next) = entry(&mut reader, Before { fix: previous.as_ref(), trend }).expect("reads");
                prop_assert_eq!(&read, written);
                trend = next;
                if let Entry::Step(step) = read {
                    previous = Some(step.fix);
                }
            }
            prop_assert_eq!(reader.end(), Some(end));
        }

        #[test]
        fn rubbish_is_no_entry(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut reader = Reader::new(&bytes);
            let mut previous = None;
            while let Some((Entry::Step(step), _)) = entry(&mut reader, Before { fix: previous.as_ref(), trend: Trend::default() }) {
                previous = Some(step.fix);
            }
        }
    }
}
