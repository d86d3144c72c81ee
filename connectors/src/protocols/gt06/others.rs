//! Messages of single makes: X1, JC400 cameras, AZ735, modular ones, and answers to a question for the place.

use super::messages::{coordinates, course, time};
use crate::protocol::{Fault, Fix};
use crate::readers::{FixBuilder, Reader, bit, from_unix_secs, hex};
use crate::vocabulary::{self as name, alarm};

/// Behind the fix of the X1: odometer, cell, driver's card, voltages.
pub(super) fn x1(reader: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    reader.skip(2)?;
    fix.set(name::ODOMETER_M, i64::from(reader.u32()?));
    reader.skip(9)?;
    let driver = reader.u32()?;
    if driver > 0 {
        fix.set(name::DRIVER_ID, driver.to_string().as_str());
    }
    fix.set(name::POWER_V, f64::from(reader.u16()?) / 100.0).set(name::BATTERY_V, f64::from(reader.u16()?) / 100.0);
    reader.skip(2 + 2 + 1 + 1)?; // analogue of the cell, inputs, outputs
    for port in ["adc.1", "adc.2"] {
        fix.set(port, f64::from(reader.u16()?) / 100.0);
    }
    Ok(())
}

/// JC400 cameras: an event with or without its place. A second form begins with `ffff01` and has satellites, a wider speed and
/// the voltage.
pub(super) fn driving_event(reader: &mut Reader<'_>, zone: i64) -> Option<Result<Fix, Fault>> {
    const EVENT_WITH_PLACE_BYTES: usize = 6 + 4 + 4 + 2 + 1;
    if reader.left() < EVENT_WITH_PLACE_BYTES {
        return None;
    }
    let mut read = || {
        let long = reader.rest().starts_with(&[0xff, 0xff]);
        if long {
            reader.skip(3)?;
        }
        let time = time(reader, zone)?;
        let satellites = if long { Some(reader.u8()? & 0xf) } else { None };
        let (lat, lon) = (reader.u32()?, reader.u32()?);
        let (lat_deg, lon_deg, mut fix) = course(reader.u16()?, lat, lon);
        if let Some(satellites) = satellites {
            fix.set(name::SATELLITES, i64::from(satellites)).speed_kmh(reader.u16()?.into());
            fix.set(name::POWER_V, f64::from(reader.u16()?) / 10.0);
        }
        let event = reader.u8()?;
        fix.set(name::EVENT, i64::from(event));
        fix.set(
            name::ALARM,
            match event {
                0x01 => alarm::SOS,
                0x80 => alarm::VIBRATION,
                0x90 => alarm::HARD_ACCELERATION,
                0x91 => alarm::HARD_BRAKING,
                0x92 => alarm::HARD_CORNERING,
                0x93 => alarm::ACCIDENT,
                _ => alarm::GENERAL,
            },
        );
        fix.at(time, lat_deg, lon_deg)
    };
    Some(read())
}

/// AZ735: time, then the length of the fix, zero if there is none.
pub(super) fn az735(reader: &mut Reader<'_>, zone: i64) -> Option<Result<Fix, Fault>> {
    let mut read = || {
        let time = time(reader, zone)?;
        if reader.u8()? == 0 {
            return Ok(None);
        }
        coordinates(reader, time)?.finish(|_| Ok(())).map(Some)
    };
    read().transpose()
}

/// Elements of `u16` id, `u16` length, value; 0x33 is the fix.
pub(super) fn modular(content: &[u8]) -> Option<Result<Fix, Fault>> {
    let read = || {
        let mut reader = Reader::new(content);
        let mut place = None;
        let mut attributes = FixBuilder::default();
        while reader.left() >= 4 {
            let id = reader.u16()?;
            let length = usize::from(reader.u16()?);
            let mut value = reader.part(length)?;
            match id {
                0x03 if length == 10 => {
                    attributes.set(name::ICCID, hex(value.rest()).trim_end_matches('f'));
                }
                0x18 => {
                    attributes.set(name::BATTERY_V, f64::from(value.u16()?) / 100.0);
                }
                0x28 => {
                    attributes.set(name::HDOP, value.uint(length)? as f64 / 10.0);
                }
                0x33 => place = Some(value),
                0x2a if length == 1 => {
                    let state = value.u8()?;
                    attributes.set(name::DOOR, bit(state, 4));
                    if bit(state, 0) {
                        attributes.set(name::ALARM, alarm::TAMPERING);
                    }
                }
                0x2e if length == 4 => {
                    attributes.set(name::ODOMETER_M, i64::from(value.u32()?));
                }
                0x34 => {
                    attributes.set(name::EVENT, i64::from(value.u8()?));
                }
                _ => {}
            }
        }
        let Some(mut place) = place else { return Ok(None) };
        let time = from_unix_secs(place.u32()?.into())?;
        let satellites = place.u8()?;
        let altitude = place.i16()?;
        let (lat, lon) = (place.u32()?, place.u32()?);
        let speed = place.u8()?;
        let (lat_deg, lon_deg, mut fix) = course(place.u16()?, lat, lon);
        fix.altitude_m(altitude.into()).speed_kmh(speed.into()).set(name::SATELLITES, i64::from(satellites));
        fix.merge(attributes);
        fix.at(time, lat_deg, lon_deg).map(Some)
    };
    read().transpose()
}
