//! Digits packed two to a byte, and the place that several makes write in them.

use super::{Reader, bit, civil};
use crate::protocol::Fault;
use waystream_domain::Timestamp;

/// The number of two packed digits. What is no digit counts as it is: some makes put numbers there.
pub(crate) fn packed(byte: u8) -> u32 {
    u32::from(byte >> 4) * 10 + u32::from(byte & 0xf)
}

/// `ddmmyyhhmmss`. Whether it is a time is another matter than whether it is there.
pub(crate) fn packed_dmy(reader: &mut Reader<'_>) -> Result<Result<Timestamp, Fault>, Fault> {
    let [day, month, year, hour, minute, second] = reader.array()?.map(packed);
    Ok(civil([year, month, day], [hour, minute, second]))
}

/// `ddmmmmmm`, `dddmmmmmm` (ten-thousandths of a minute) and four bits: valid, north, east. Gives the first, latitude and longitude.
pub(crate) fn packed_place(reader: &mut Reader<'_>) -> Result<(bool, f64, f64), Fault> {
    let lat = reader.array::<4>()?.into_iter().fold(0, |value, byte| value * 100 + packed(byte));
    let [first @ .., last] = reader.array::<5>()?;
    let lon = first.into_iter().fold(0, |value, byte| value * 100 + packed(byte)) * 10 + u32::from(last >> 4);
    let degrees = |value: u32| f64::from(value / 1_000_000) + f64::from(value % 1_000_000) / 600_000.0;
    let lat = if bit(last, 1) { degrees(lat) } else { -degrees(lat) };
    let lon = if bit(last, 2) { degrees(lon) } else { -degrees(lon) };
    Ok((bit(last, 0), lat, lon))
}
