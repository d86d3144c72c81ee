//! FLEX: messages of columns. A device says once, by a mask, which of them it sends.

use crate::protocol::{Context, Decoded, Fault, FaultKind, Fix};
use crate::readers::{FixBuilder, Reader, bit, checksum_holds, from_unix_secs, malformed};
use crate::vocabulary as name;
use crc::{CRC_8_NRSC_5, Crc};
use smol_str::format_smolstr;

const CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_NRSC_5);

/// From its memory (several), as it happens (one, with its number), and where it is now.
const ARCHIVE: u8 = b'A';
const EVENT: u8 = b'T';
const NOW: u8 = b'C';

/// What columns 1 to 255 hold, bytes: the maker's table.
#[rustfmt::skip] // by what they are of
const WIDTHS: [u8; 255] = [
    4, 2, 4, 1, 1, 1, 1, 1, 4, 4, 4, 4, 4, 2, 4, 4, 2, 2, 2, 2, // number, event, time, states, place, motion, voltages
    2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 4, 4, 2, 2, 4, // inputs and outputs, counters, engine hours
    2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, // levels and temperatures
    2, 4, 2, 1, 4, 2, 2, 2, 2, 2, 1, 1, 1, 2, 4, 2, 1, // the vehicle's bus
    8, 2, 1, 16, 4, 2, 4, 37, // from version 2 on: satellites, the exact receiver, cells
    1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 6, 12, 24, 48, // levels and temperatures, tyres
    1, 1, 2, 1, 4, 4, 1, 4, 2, 6, 2, 6, 2, 2, 2, 2, 2, 2, 2, 2, 1, 2, 2, 2, 1, // tachograph, driver's display, acceleration, passengers, stops, camera
    1, 1, 1, 1, 4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2, 1, 1, 2, 3, 2, 1, 1, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 2, 4, 4, 4, 2, 4, 2, 2, 4, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 4, 4, 4, 4, 6, 3, 1, 2, 2, 1, 4, 5, 4, 4, // from version 3 on
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 4, 4,
    4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 8, 8, 8, // the owner's own
];

fn width(column: u8) -> usize {
    WIDTHS[usize::from(column) - 1].into()
}

/// The columns that a device sends.
pub(super) struct Flex {
    /// Of the protocol, and of the columns.
    pub(super) versions: [u8; 3],
    /// Numbers from 1, ascending.
    columns: Vec<u8>,
}

impl Flex {
    /// Versions, how many columns there are, a bit for each.
    pub(super) fn read(agreement: &[u8]) -> Result<Self, Fault> {
        let mut reader = Reader::new(agreement);
        let versions = reader.array()?;
        let count = reader.u8()?;
        let mask = reader.rest();
        let columns = (1..=count).filter(|column| {
            let at = usize::from(*column - 1);
            mask.get(at / 8).is_some_and(|byte| bit(*byte, 7 - (at % 8) as u32))
        });
        Ok(Self { versions, columns: columns.collect() })
    }

    /// How long the message at the front is; `None`: more bytes are needed to tell.
    pub(super) fn message_bytes(&self, message: &[u8]) -> Result<Option<usize>, Fault> {
        let [_, kind, rest @ ..] = message else { return Ok(None) };
        let (head, count) = match (*kind, rest) {
            (ARCHIVE, []) => return Ok(None),
            (ARCHIVE, [count, ..]) => (1, usize::from(*count)),
            (EVENT, _) => (4, 1),
            (NOW, _) => (0, 1),
            (other, _) => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("columns of kind {other:02x}"))),
        };
        let mut record = 0;
        for column in &self.columns {
            record += width(*column);
        }
        Ok(Some(2 + head + count * record + 1))
    }

    pub(super) fn understand(&self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let Some((found, covered)) = frame.split_last() else { return Err(malformed("an empty message")) };
        if !checksum_holds(*found, CRC.checksum(covered), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        reader.skip(1)?;
        let kind = reader.u8()?;
        let head = match kind {
            ARCHIVE => 1,
            EVENT => 4,
            NOW => 0,
            other => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("columns of kind {other:02x}"))),
        };
        let number = reader.take(head)?;
        let mut answer = [b"~", &[kind][..], number].concat();
        answer.push(CRC.checksum(&answer));
        decoded.replies.push(answer.into());
        // All have the same columns, so the same length.
        let count = if kind == ARCHIVE { usize::from(number[0]) } else { 1 };
        let length = reader.left() / count.max(1);
        for record in reader.rest().chunks_exact(length.max(1)).take(count) {
            match self.record(record, kind == ARCHIVE) {
                Ok(fix) => decoded.fixes.extend(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }

    fn record(&self, record: &[u8], archive: bool) -> Result<Option<Fix>, Fault> {
        let mut reader = Reader::new(record);
        let mut fix = FixBuilder::default();
        let (mut time, mut lat, mut lon) = (None, None, None);
        for column in &self.columns {
            let mut value = reader.part(width(*column))?;
            match *column {
                9 => time = Some(value.u32_le()?),
                10 => lat = Some(f64::from(value.i32_le()?) / 600_000.0),
                11 => lon = Some(f64::from(value.i32_le()?) / 600_000.0),
                other => apply(other, &mut value, &mut fix)?,
            }
        }
        if archive {
            fix.set(name::ARCHIVE, true);
        }
        let (Some(time), Some(lat), Some(lon)) = (time, lat, lon) else { return Ok(None) };
        fix.at(from_unix_secs(time.into())?, lat, lon).map(Some)
    }
}

fn apply(column: u8, value: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    match column {
        2 => drop(fix.set(name::EVENT, i64::from(value.u16_le()?))),
        4 => drop(fix.set(name::STATUS, i64::from(value.u8()?))),
        7 => drop(fix.set(name::RSSI, i64::from(value.u8()?))),
        8 => {
            let state = value.u8()?;
            fix.valid = bit(state, 1);
            fix.set(name::SATELLITES, i64::from(state >> 2));
        }
        12 => drop(fix.altitude_m(f64::from(value.i32_le()?) / 10.0)),
        13 => drop(fix.speed_kmh(value.f32_le()?.into())),
        14 => drop(fix.course_deg(value.u16_le()?.into())),
        15 => drop(fix.set(name::ODOMETER_M, f64::from(value.f32_le()?) * 1e3)),
        19 => drop(fix.set(name::POWER_V, f64::from(value.u16_le()?) / 1e3)),
        20 => drop(fix.set(name::BATTERY_V, f64::from(value.u16_le()?) / 1e3)),
        21..=28 => drop(fix.set(format_smolstr!("adc.{}", column - 20), f64::from(value.u16_le()?) / 1e3)),
        29 => drop(fix.set("input", i64::from(value.u8()?))),
        31 => drop(fix.set("output", i64::from(value.u8()?))),
        37 => drop(fix.set(name::ENGINE_HOURS_H, f64::from(value.u32_le()?) / 3600.0)),
        45..=52 => match value.i8()? {
            // No sensor.
            -128 => {}
            degrees => drop(fix.set(format_smolstr!("temperature_c.{}", column - 44), i64::from(degrees))),
        },
        71 => {
            fix.set(name::HDOP, f64::from(value.u8()?) / 10.0).set(name::PDOP, f64::from(value.u8()?) / 10.0);
        }
        _ => {}
    }
    Ok(())
}
