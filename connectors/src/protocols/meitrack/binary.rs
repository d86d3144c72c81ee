//! Meitrack's binary records: of fixed layout (CCC) or as elements by width (CCE). Coordinates are in 1e-6 degree.

use super::event_alarm;
use crate::protocol::{Decoded, Fault, Fix};
use crate::readers::{FixBuilder, Reader, from_unix_secs, malformed};
use crate::vocabulary as name;
use smol_str::format_smolstr;

/// 2000-01-01, where the device's seconds begin.
const EPOCH_SECS: i64 = 946_684_800;

/// Version, length of a record, two counts that makes fill differently; then records. Gives how many there are, also of those
/// that were refused, which is what the device waits for.
pub(super) fn fixed_records(reader: &mut Reader<'_>) -> Result<(usize, Vec<Fix>, Vec<Fault>), Fault> {
    reader.skip(2)?;
    let length = usize::from(reader.u16_le()?);
    reader.skip(4)?;
    let (mut fixes, mut faults) = (Vec::new(), Vec::new());
    while length > 0 && reader.left() >= length {
        match fixed_record(&mut reader.part(length)?) {
            Ok(fix) => fixes.push(fix),
            Err(fault) => faults.push(fault),
        }
    }
    Ok((fixes.len() + faults.len(), fixes, faults))
}

fn fixed_record(record: &mut Reader<'_>) -> Result<Fix, Fault> {
    let event = i64::from(record.u8()?);
    let (lat, lon) = (record.i32_le()?, record.i32_le()?);
    let time = from_unix_secs(EPOCH_SECS + i64::from(record.u32_le()?))?;
    let mut fix = FixBuilder::valid(record.u8()? == 1);
    fix.set(name::EVENT, event);
    if let Some(word) = event_alarm(event) {
        fix.set(name::ALARM, word);
    }
    fix.set(name::SATELLITES, i64::from(record.u8()?)).set(name::RSSI, i64::from(record.u8()?));
    fix.speed_kmh(record.u16_le()?.into()).course_deg(record.u16_le()?.into());
    fix.set(name::HDOP, f64::from(record.u16_le()?) / 10.0);
    fix.altitude_m(record.i16_le()?.into());
    fix.set(name::ODOMETER_M, i64::from(record.u32_le()?));
    let mut volts = || {
        record.skip(4 + 2 + 2 + 2 + 2 + 2)?; // runtime, cell, ports
        fix.set("adc.1", i64::from(record.u16_le()?));
        fix.set(name::BATTERY_V, f64::from(record.u16_le()?) / 100.0);
        fix.set(name::POWER_V, f64::from(record.u16_le()?) / 100.0);
        Ok::<_, Fault>(())
    };
    volts().ok(); // short records end before
    fix.at(time, f64::from(lat) / 1e6, f64::from(lon) / 1e6)
}

/// Cached count, count; then records, each with its length. Not answered.
pub(super) fn records(reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
    reader.skip(4)?;
    for _ in 0..reader.u16_le()? {
        let length = usize::from(reader.u16_le()?);
        let mut record = reader.part(length)?;
        match elements(&mut record) {
            Ok(fix) => decoded.fixes.extend(fix),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// An element's number: one byte, or two if it begins with `fe`.
fn id(record: &mut Reader<'_>) -> Result<u16, Fault> {
    match record.u8()? {
        0xfe => Ok(0xfe00 | u16::from(record.u8()?)),
        id => Ok(id.into()),
    }
}

fn elements(record: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    record.skip(2)?; // how many there are in all
    let mut fix = FixBuilder::default();
    let (mut lat, mut lon, mut time) = (None, None, None);
    for width in [1, 2, 4] {
        for _ in 0..record.u8()? {
            let id = id(record)?;
            let bytes = record.take(width)?;
            let value = bytes.iter().rev().fold(0u32, |value, byte| value << 8 | u32::from(*byte));
            match (id, width) {
                (0x01, 1) | (0x40, 2) => {
                    fix.set(name::EVENT, i64::from(value));
                    if let Some(word) = event_alarm(value.into()) {
                        fix.set(name::ALARM, word);
                    }
                }
                (0x02, 4) => lat = Some(value as i32),
                (0x03, 4) => lon = Some(value as i32),
                (0x04, 4) => time = Some(value),
                (0x05, 1) => fix.valid = value == 1,
                (0x06, 1) => drop(fix.set(name::SATELLITES, i64::from(value))),
                (0x07, 1) => drop(fix.set(name::RSSI, i64::from(value))),
                (0x08, 2) => drop(fix.speed_kmh(value.into())),
                (0x09, 2) => drop(fix.course_deg(value.into())),
                (0x0a, 2) => drop(fix.set(name::HDOP, f64::from(value) / 10.0)),
                (0x0b, 2) => drop(fix.altitude_m((value as i16).into())),
                (0x0c, 4) => drop(fix.set(name::ODOMETER_M, i64::from(value))),
                (0x16 | 0x17, 2) => drop(fix.set(format_smolstr!("adc.{}", id - 0x15), f64::from(value) / 100.0)),
                (0x92, 2) => drop(fix.set(name::OBD_SPEED_KMH, i64::from(value))),
                (0x99, 2) => drop(fix.set(name::RPM, i64::from(value))),
                (0x9c, 2) => drop(fix.set(name::COOLANT_TEMPERATURE_C, i64::from(value))),
                (0x9b, 4) => drop(fix.set(name::OBD_ODOMETER_M, i64::from(value))),
                (0x19, 2) => drop(fix.set(name::BATTERY_V, f64::from(value) / 100.0)),
                (0x1a, 2) => drop(fix.set(name::POWER_V, f64::from(value) / 100.0)),
                (0xfe69, 1) => drop(fix.set(name::BATTERY_LEVEL, i64::from(value))),
                _ => drop(fix.set(format_smolstr!("io.{id}"), i64::from(value))),
            }
        }
    }
    let mut variable = || {
        for _ in 0..record.u8()? {
            let (id, length) = (id(record)?, usize::from(record.u8()?));
            if let (0xfea8, [_, percent @ 0..=100, ..]) = (id, record.take(length)?) {
                fix.set(name::BATTERY_LEVEL, i64::from(*percent));
            }
        }
        Ok::<_, Fault>(())
    };
    variable().ok(); // what is cut off here costs no fix
    let (Some(lat), Some(lon)) = (lat, lon) else { return Ok(None) };
    let time = time.ok_or_else(|| malformed("a record without a time"))?;
    fix.at(from_unix_secs(EPOCH_SECS + i64::from(time))?, f64::from(lat) / 1e6, f64::from(lon) / 1e6).map(Some)
}
