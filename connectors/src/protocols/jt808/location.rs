//! JT/T 808's location reports: a fixed part, then elements of id, length, value.

use crate::protocol::{Fault, Fix};
use crate::readers::{FixBuilder, Reader, bit, civil, hex, number, pairs};
use crate::vocabulary::{self as name, alarm};

/// The standard has Beijing time everywhere.
const UTC_OFFSET_MS: i64 = 8 * 3_600_000;

/// What every report has.
pub(super) const FIXED_BYTES: usize = 28;

/// Alarms, status, latitude, longitude, altitude, speed, course, time, elements.
pub(super) fn report(reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let alarms = reader.u32()?;
    let status = reader.u32()?;
    let (lat, lon) = (f64::from(reader.u32()?) / 1e6, f64::from(reader.u32()?) / 1e6);
    let mut fix = FixBuilder::valid(bit(status, 1));
    fix.altitude_m(reader.i16()?.into()).speed_kmh(f64::from(reader.u16()?) / 10.0).course_deg(reader.u16()?.into());
    let [year, month, day, hour, minute, second] = pairs(&hex(reader.take(6)?))?;
    let time = civil([year, month, day], [hour, minute, second])?.plus_millis(-UTC_OFFSET_MS);

    fix.set(name::IGNITION, bit(status, 0)).set(name::BLOCKED, bit(status, 10)).set(name::CHARGE, bit(status, 26));
    if let Some((_, word)) = ALARMS.iter().find(|(index, _)| bit(alarms, *index)) {
        fix.set(name::ALARM, *word);
    }
    elements(reader, &mut fix);
    fix.at(time, if bit(status, 2) { -lat } else { lat }, if bit(status, 3) { -lon } else { lon })
}

/// Bits of the alarm word, the gravest first.
const ALARMS: [(u32, &str); 15] = [
    (0, alarm::SOS),
    (29, alarm::ACCIDENT),
    (30, alarm::ACCIDENT),
    (8, alarm::POWER_CUT),
    (7, alarm::LOW_POWER),
    (28, alarm::MOVEMENT),
    (15, alarm::VIBRATION),
    (5, alarm::GPS_ANTENNA_CUT),
    (1, alarm::OVERSPEED),
    (2, alarm::FATIGUE_DRIVING),
    (20, alarm::GEOFENCE),
    (19, alarm::IDLE),
    (17, alarm::TAMPERING),
    (4, alarm::FAULT),
    (3, alarm::GENERAL),
];

/// The elements of the standard; makers' own are passed over. Some makes put texts here, which end the reading.
fn elements(reader: &mut Reader<'_>, fix: &mut FixBuilder) {
    while reader.left() >= 2 {
        let mut next = || {
            let id = reader.u8()?;
            let length = usize::from(reader.u8()?);
            let mut value = reader.part(length)?;
            match (id, length) {
                (0x01, 4) => fix.set(name::ODOMETER_M, i64::from(value.u32()?) * 100),
                (0x02, 2) => fix.set(name::FUEL_L, f64::from(value.u16()?) / 10.0),
                (0x03, 2) => fix.set(name::OBD_SPEED_KMH, f64::from(value.u16()?) / 10.0),
                (0x30, 1) => fix.set(name::RSSI, i64::from(value.u8()?)),
                (0x31, 1) => fix.set(name::SATELLITES, i64::from(value.u8()?)),
                (0x61, 2) => fix.set(name::POWER_V, f64::from(value.u16()?) / 100.0),
                // The commonest of the makers' own.
                (0x82 | 0xe1, 2) => fix.set(name::POWER_V, f64::from(value.u16()?) / 10.0),
                (0xe3, 6) => {
                    fix.set(name::BATTERY_LEVEL, i64::from(value.u16()?));
                    fix.set(name::BATTERY_V, f64::from(value.u16()?) / 100.0)
                }
                (0xe4, 2) => {
                    fix.set(name::CHARGE, value.u8()? == 0);
                    fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?))
                }
                (0x56, 2) => fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?) * 10),
                (0x69, 2) => fix.set(name::BATTERY_V, f64::from(value.u16()?) / 100.0),
                (0x80, 1) => fix.set(name::OBD_SPEED_KMH, i64::from(value.u8()?)),
                (0x81, 2) => fix.set(name::RPM, i64::from(value.u16()?)),
                (0x84, 1) => fix.set(name::COOLANT_TEMPERATURE_C, i64::from(value.u8()?) - 40),
                (0x8b, 17) => fix.set(name::VIN, &*String::from_utf8_lossy(value.rest())),
                (0x8c, 4) => fix.set(name::OBD_ODOMETER_M, i64::from(value.u32()?) * 100),
                (0x8d, 2) => fix.set(name::TRIP_ODOMETER_M, i64::from(value.u16()?) * 1000),
                (0x8e, 1) => fix.set(name::FUEL_LEVEL, i64::from(value.u8()?)),
                (0xa0, _) => fix.set(name::DTCS, &*String::from_utf8_lossy(value.rest()).replace(',', " ")),
                (0xac, 4) => fix.set(name::ODOMETER_M, i64::from(value.u32()?)),
                (0xbd, _) => fix.set(name::DRIVER_ID, String::from_utf8_lossy(value.rest()).trim_matches(['\0', ' '])),
                (0xd3, 2) => fix.set(name::POWER_V, f64::from(value.u16()?) / 10.0),
                (0xd4 | 0xfe, 1) => fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?)),
                (0xf3, 4..) => obd(&mut value, fix)?,
                // Temperature is there if bit 1 of the second byte is set.
                (0xf6, 4..) if bit(value.rest()[1], 1) => {
                    value.skip(2)?;
                    fix.set("temperature_c.1", f64::from(value.i16()?) / 10.0)
                }
                (0xf7, 6..) => {
                    fix.set(name::BATTERY_V, f64::from(value.u32()?) / 1e3);
                    value.skip(1)?;
                    fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?))
                }
                (0xe5, 1) => fix.set(name::MOTION, value.u8()? == 1),
                (0xeb, 4..) => nested(&mut value, fix)?,
                _ => fix,
            };
            Ok::<_, Fault>(())
        };
        if next().is_err() {
            return;
        }
    }
}

/// Readings of the vehicle's computer: `u16` id, `u8` length, value.
fn obd<'f>(reader: &mut Reader<'_>, fix: &'f mut FixBuilder) -> Result<&'f mut FixBuilder, Fault> {
    while reader.left() >= 3 {
        let id = reader.u16()?;
        let length = usize::from(reader.u8()?);
        let mut value = reader.part(length)?;
        match (id, length) {
            (0x0002, 2) => fix.set(name::OBD_SPEED_KMH, f64::from(value.u16()?) / 10.0),
            (0x0003, 2) => fix.set(name::RPM, i64::from(value.u16()?)),
            (0x0004, 2) => fix.set(name::POWER_V, f64::from(value.u16()?) / 1e3),
            (0x0005, 4) => fix.set(name::OBD_ODOMETER_M, i64::from(value.u32()?) * 100),
            (0x0050, 17) => fix.set(name::VIN, &*String::from_utf8_lossy(value.rest())),
            _ => fix,
        };
    }
    Ok(fix)
}

/// Elements of `u16` length, `u16` id, value; the length counts the id.
fn nested<'f>(reader: &mut Reader<'_>, fix: &'f mut FixBuilder) -> Result<&'f mut FixBuilder, Fault> {
    while reader.left() >= 4 {
        let length = usize::from(reader.u16()?);
        let id = reader.u16()?;
        let mut value = reader.part(length.saturating_sub(2))?;
        match (id, value.left()) {
            (0x002d, 2) => fix.set(name::BATTERY_V, f64::from(value.u16()?) / 1e3),
            (0x00a8, 1) => fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?)),
            (0x00b2, 10) => fix.set(name::ICCID, hex(value.rest()).trim_start_matches('0').trim_end_matches('f')),
            (0x00e1, 1) => fix.set(name::BATTERY_LEVEL, i64::from(value.u8()?)),
            (0x00ce, 2) => fix.set(name::POWER_V, f64::from(value.u16()?) / 100.0),
            _ => fix,
        };
    }
    Ok(fix)
}

/// A lock's report, in packed digits: time (UTC), latitude, longitude and four bits, speed in knots, half of the course.
pub(super) fn lock(reader: &mut Reader<'_>, fresh: bool) -> Result<Fix, Fault> {
    let [day, month, year, hour, minute, second] = pairs(&hex(reader.take(6)?))?;
    let time = civil([year, month, day], [hour, minute, second])?;
    let lat = packed_degrees(&hex(reader.take(4)?), 2);
    let lon_and_bits = hex(reader.take(5)?);
    let (lon, bits) = lon_and_bits.split_at(9);
    let lon = packed_degrees(lon, 3);
    let bits = u8::from_str_radix(bits, 16).unwrap_or_default();
    let mut fix = FixBuilder::valid(fresh);
    if !fresh {
        fix.set(name::ARCHIVE, true);
    }
    fix.speed_knots(reader.u8()?.into()).course_deg(f64::from(reader.u8()?) * 2.0);
    fix.set(name::RSSI, i64::from(reader.u8()?)).set(name::SATELLITES, i64::from(reader.u8()?));
    fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 1000);
    match reader.u8()? {
        percent @ 1..=100 => fix.set(name::BATTERY_LEVEL, i64::from(percent)),
        0xaa => fix.set(name::CHARGE, true),
        _ => &mut fix,
    };
    // Cell, area, product, status, alarm; then elements, of which 02 is the altitude.
    if reader.skip(4 + 2 + 1 + 2 + 2).is_ok() {
        while let (Ok(id), Ok(length)) = (reader.u8(), reader.u8()) {
            let Ok(mut value) = reader.part(length.into()) else { break };
            if let (0x02, Ok(metres)) = (id, value.i16()) {
                fix.altitude_m(metres.into());
            }
        }
    }
    fix.at(time, if bit(bits, 1) { lat } else { -lat }, if bit(bits, 2) { lon } else { -lon })
}

/// Degrees, then minutes with four decimals. Not digits: not a number, which no place holds.
fn packed_degrees(digits: &str, degree_digits: usize) -> f64 {
    let (degrees, minutes) = digits.split_at(degree_digits);
    match (number(degrees), number(minutes)) {
        (Some(degrees), Some(minutes)) => degrees + minutes / 1e4 / 60.0,
        _ => f64::NAN,
    }
}
