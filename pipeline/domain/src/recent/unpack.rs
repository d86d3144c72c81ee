//! Reads what [`super::pack`] has written.

use super::bits::{Reader, unzigzag};
use super::pack::{
    ALARM, Before, CROSSED, DWELL, FLEET, FORM, FUEL, IGNITION, LIMIT, LOITER, MARK, MEMBERS, NEAR, Trend, about_m, unit_of,
};
use crate::standing::{Crossed, Entry, Gone, Mark, Member, Step};
use crate::{Fix, FleetId, Fuel, GeofenceId, LatLon, Timestamp};
use smol_str::SmolStr;

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
    use super::super::bits::{End, Writer};
    use super::super::pack::put;
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
