//! The messages of GT06 that hold a fix, and what stands behind the fix in each.

use super::{is_known, others};
use crate::protocol::{Fault, Fix};
use crate::readers::{FixBuilder, Reader, bit, civil, hex, spoken_place};
use crate::vocabulary::{self as name, alarm};
use waystream_domain::Timestamp;

/// Coordinates are in 1/1,800,000 degree.
const UNITS_PER_DEGREE: f64 = 1_800_000.0;
/// Time, satellites, latitude, longitude, speed, course.
const FIX_BYTES: usize = 18;

/// The fix of a message; `None` if it has none by its kind or its length.
pub(super) fn fix(extended: bool, kind: u8, content: &[u8], utc_offset_ms: i64) -> Option<Result<Fix, Fault>> {
    let mut reader = Reader::new(content);
    let reader = &mut reader;
    let zone = utc_offset_ms;
    match (extended, kind) {
        (
            false,
            0x10..=0x12 | 0x16 | 0x17 | 0x1a | 0x1e | 0x22 | 0x26 | 0x27 | 0x2d | 0x31 | 0x32 | 0x37 | 0x61 | 0xa0 | 0xa4,
        ) if content.len() >= FIX_BYTES => {
            Some(place(reader, zone).and_then(|place| place.finish(|fix| behind(kind, reader, fix))))
        }
        // The same numbers are used for lists of stations, status and pictures: told by how the fix begins.
        (false, 0x24 | 0x36 | 0xa2) if has_fix(content) => {
            Some(place(reader, zone).and_then(|place| place.finish(|fix| behind(kind, reader, fix))))
        }
        (false, 0x25 | 0xa3) if place_at(content).is_some() => {
            Some(place(reader, zone).and_then(|place| place.finish(|fix| behind(kind, reader, fix))))
        }
        (false, 0x34) => Some(
            reader.skip(4).and_then(|()| place(reader, zone)).and_then(|place| place.finish(|fix| others::x1(reader, fix))),
        ),
        (false, 0x95) => others::driving_event(reader, zone),
        (true, 0x21) => spoken_place(&String::from_utf8_lossy(content), zone),
        (true, 0x32) => others::az735(reader, zone),
        (true, 0x38) => Some(place(reader, zone).and_then(|place| place.finish(|_| Ok(())))),
        (true, 0x70) => others::modular(content),
        // Makes add types: what begins as a fix does is one.
        _ if !is_known(extended, kind) && has_fix(content) => {
            Some(place(reader, zone).and_then(|place| place.finish(|_| Ok(()))))
        }
        _ => None,
    }
}

/// Whether a content that may be something else begins with a time and the length byte of a fix (12 bytes, above the satellites).
pub(super) fn has_fix(content: &[u8]) -> bool {
    content.len() > FIX_BYTES && content[6] >> 4 == 0xc && plausible_time(content)
}

/// Whether these bytes can be a time of a tracker: year since 2000, month, day, hour, minute, second.
fn plausible_time(bytes: &[u8]) -> bool {
    matches!(bytes, [1..=99, 1..=12, 1..=31, 0..=23, 0..=59, 0..=59, ..])
}

/// A fix whose attributes are still to be read.
pub(super) struct Place {
    time: Timestamp,
    lat_deg: f64,
    lon_deg: f64,
    builder: FixBuilder,
}

impl Place {
    /// Reads what stands behind the fix. What is missing there is no fault: it differs between makes and models.
    pub(super) fn finish(mut self, behind: impl FnOnce(&mut FixBuilder) -> Result<(), Fault>) -> Result<Fix, Fault> {
        behind(&mut self.builder).ok();
        self.builder.at(self.time, self.lat_deg, self.lon_deg)
    }
}

/// Where time and place begin: some models put their IMEI first, one also a byte and the time of sending.
fn place_at(content: &[u8]) -> Option<usize> {
    let time_at = |at: usize| content.get(at..).is_some_and(|bytes| bytes.len() >= FIX_BYTES && plausible_time(bytes));
    match () {
        () if time_at(0) => Some(0),
        () if time_at(8) => Some(8),
        () if content.first() == Some(&1) && time_at(9) && time_at(15) => Some(15),
        () => None,
    }
}

/// Time, satellites, latitude, longitude, speed, course.
fn place(reader: &mut Reader<'_>, zone: i64) -> Result<Place, Fault> {
    reader.skip(place_at(reader.rest()).unwrap_or(0))?;
    let time = time(reader, zone)?;
    coordinates(reader, time)
}

pub(super) fn time(reader: &mut Reader<'_>, zone: i64) -> Result<Timestamp, Fault> {
    let [year, month, day, hour, minute, second] = reader.array::<6>()?.map(u32::from);
    Ok(civil([year, month, day], [hour, minute, second])?.plus_millis(-zone))
}

pub(super) fn coordinates(reader: &mut Reader<'_>, time: Timestamp) -> Result<Place, Fault> {
    let satellites = reader.u8()? & 0xf;
    let (lat, lon) = (reader.u32()?, reader.u32()?);
    let speed = reader.u8()?;
    let (lat_deg, lon_deg, mut builder) = course(reader.u16()?, lat, lon);
    builder.speed_kmh(speed.into()).set(name::SATELLITES, i64::from(satellites));
    Ok(Place { time, lat_deg, lon_deg, builder })
}

/// Ten bits of course; then north, west, valid; then whether the ignition is told, and the ignition.
pub(super) fn course(word: u16, lat: u32, lon: u32) -> (f64, f64, FixBuilder) {
    let lat_deg = f64::from(lat) / UNITS_PER_DEGREE * if bit(word, 10) { 1.0 } else { -1.0 };
    let lon_deg = f64::from(lon) / UNITS_PER_DEGREE * if bit(word, 11) { -1.0 } else { 1.0 };
    let mut builder = FixBuilder::valid(bit(word, 12));
    builder.course_deg(f64::from(word & 0x3ff));
    if bit(word, 14) {
        builder.set(name::IGNITION, bit(word, 15));
    }
    (lat_deg, lon_deg, builder)
}

/// What stands behind the fix.
fn behind(kind: u8, reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    match kind {
        0x12 if reader.left() >= 90 => {
            // Card readers: their text follows.
            reader.skip(8)?;
            fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
        }
        0x12 => {
            reader.skip(8)?; // country, operator, area, cell
            match reader.left() {
                4 => {
                    fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
                }
                5 => status_and_power(reader, fix)?,
                12 => {
                    status_and_power(reader, fix)?;
                    reader.skip(2)?; // oil
                    fix.set("temperature_c.1", i64::from(reader.i8()?));
                    fix.set(name::ODOMETER_M, i64::from(reader.u32()?) * 10);
                }
                2 => {
                    let inputs = reader.u16()?;
                    fix.set(name::IGNITION, bit(inputs, 15)).set("in.2", bit(inputs, 14));
                }
                _ => {}
            }
        }
        0x16 | 0x26 | 0x27 => {
            let declared = reader.u8()?;
            // Five bytes of status stand behind; newer makes have cells of four bytes, `27` a fence, others a driver's card.
            let status_bytes = if kind == 0x27 { 6 } else { 5 };
            let cell_bytes = if declared != 8 && reader.left() == 9 + status_bytes { 4 } else { 3 };
            reader.skip(5 + cell_bytes)?;
            status_and_alarm(reader, fix)?;
            if declared == 8 && reader.left() >= 8 {
                fix.set(name::DRIVER_ID, hex(reader.take(8)?).as_str());
            }
        }
        0xa4 => {
            let length = usize::from(reader.u8()?); // counts itself
            reader.skip(length.saturating_sub(1))?;
            status_and_alarm(reader, fix)?;
        }
        0x17 => {
            reader.skip(8)?;
            fix.set(name::DRIVER_ID, hex(reader.take(8)?).as_str());
        }
        0x22 if reader.left() == 22 => {
            // Models that put their IMEI first.
            reader.skip(9)?;
            status(reader.u8()?, fix);
            fix.set(name::POWER_V, f64::from(reader.u16()?) / 100.0);
        }
        0x22 => {
            reader.skip(if reader.left() == 24 { 9 } else { 8 })?;
            report_mode(reader, fix)?;
            if reader.left() >= 4 {
                fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
            }
        }
        0x32 => {
            let length = usize::from(reader.u8()?);
            reader.skip(length)?;
            status_and_alarm(reader, fix)?;
        }
        0x31 => {
            reader.skip(14)?;
            report_mode(reader, fix)?;
            fix.altitude_m(reader.i16()?.into());
        }
        0x37 => {
            reader.skip(8)?;
            report_mode(reader, fix)?;
            elements(reader, fix)?;
        }
        0x36 => {
            reader.skip(8)?;
            report_mode(reader, fix)?;
        }
        0x61 => {
            reader.skip(9 + 2)?;
            match reader.u32()? {
                0 => {}
                driver => drop(fix.set(name::DRIVER_ID, driver.to_string().as_str())),
            }
        }
        0xa0 => {
            long_cell(reader)?;
            report_mode(reader, fix)?;
        }
        0xa2 => {
            long_cell(reader)?;
            reader.skip(1)?;
            status(reader.u8()?, fix);
            fix.set(name::POWER_V, f64::from(reader.u16()?) / 100.0);
            battery(reader.u8()?, fix);
            fix.set(name::RSSI, i64::from(reader.u8()?));
            reader.skip(2)?;
            fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
            reader.skip(4 + 8)?; // hours, IMEI
            fix.set("input", i64::from(reader.u16()?));
        }
        0x24 => {
            reader.skip(8)?;
            fix.set(name::IGNITION, reader.u8()? == 1);
            fix.set(name::POWER_V, f64::from(reader.u16()?) / 100.0).set(name::BATTERY_V, f64::from(reader.u16()?) / 100.0);
        }
        _ => {}
    }
    Ok(())
}

/// Country, operator (two bytes if the country's top bit is set), area, cell: as 4G models send them.
fn long_cell(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let country = reader.u16()?;
    reader.skip(if bit(country, 15) { 2 } else { 1 })?;
    reader.skip(4 + 8)
}

/// Ignition, why it reported, from memory or not.
fn report_mode(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    fix.set(name::IGNITION, reader.u8()? == 1);
    fix.set(name::EVENT, i64::from(reader.u8()?));
    fix.set(name::ARCHIVE, reader.u8()? == 1);
    Ok(())
}

fn status_and_power(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    status(reader.u8()?, fix);
    fix.set(name::POWER_V, f64::from(reader.u16()?) / 100.0).set(name::RSSI, i64::from(reader.u8()?));
    reader.skip(1)
}

fn status_and_alarm(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    status(reader.u8()?, fix);
    battery(reader.u8()?, fix);
    fix.set(name::RSSI, i64::from(reader.u8()?));
    match reader.u8()? {
        0 => {}
        code => {
            fix.set(name::ALARM, alarm_word(code));
        }
    }
    reader.skip(1) // language
}

/// Bits of the status byte.
fn status(bits: u8, fix: &mut FixBuilder) {
    fix.set(name::STATUS, i64::from(bits));
    fix.set(name::IGNITION, bit(bits, 1)).set(name::CHARGE, bit(bits, 2)).set(name::BLOCKED, bit(bits, 7));
    match bits >> 3 & 7 {
        1 => fix.set(name::ALARM, alarm::VIBRATION),
        2 => fix.set(name::ALARM, alarm::POWER_CUT),
        3 => fix.set(name::ALARM, alarm::LOW_BATTERY),
        4 => fix.set(name::ALARM, alarm::SOS),
        6 => fix.set(name::ALARM, alarm::GEOFENCE),
        _ => fix,
    };
}

/// Six steps, or percent.
fn battery(value: u8, fix: &mut FixBuilder) {
    let percent = if value <= 6 { i64::from(value) * 100 / 6 } else { i64::from(value) };
    fix.set(name::BATTERY_LEVEL, percent);
}

fn alarm_word(code: u8) -> &'static str {
    match code {
        0x01 => alarm::SOS,
        0x02 => alarm::POWER_CUT,
        0x03 | 0x09 => alarm::VIBRATION,
        0x04 => alarm::GEOFENCE_ENTER,
        0x05 => alarm::GEOFENCE_EXIT,
        0x06 => alarm::OVERSPEED,
        0x0e | 0x0f | 0x19 => alarm::LOW_BATTERY,
        0x11 => alarm::POWER_OFF,
        0x0c | 0x13 | 0x1d | 0x25 => alarm::TAMPERING,
        0x14 => alarm::DOOR,
        0x18 => alarm::GPS_ANTENNA_CUT,
        0x23 => alarm::FALL_DOWN,
        0x26 | 0x29 => alarm::HARD_ACCELERATION,
        0x27 | 0x30 => alarm::HARD_BRAKING,
        0x28 | 0x2a | 0x2b | 0x4d | 0x4e => alarm::HARD_CORNERING,
        0x2c => alarm::ACCIDENT,
        _ => alarm::GENERAL,
    }
}

/// `u16` id, `u8` length, value.
fn elements(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    while reader.left() >= 3 {
        let id = reader.u16()?;
        let length = usize::from(reader.u8()?);
        let mut value = reader.part(length)?;
        if id == 0x2e && length == 4 {
            fix.set(name::ODOMETER_M, i64::from(value.u32()?));
        }
    }
    Ok(())
}
