//! The sentence that most receivers speak, and its checksum.

use super::{Fields, FixBuilder, checksum_holds, dmy, xor};
use crate::protocol::{Context, Decoded, Fault};
use waystream_domain::Timestamp;

/// `hhmmss.sss,A,lat,N,lon,E,knots,course,ddmmyy`, in the fields from `at` on.
pub(crate) struct Rmc {
    pub(crate) fix: FixBuilder,
    pub(crate) time: Timestamp,
    pub(crate) lat_deg: f64,
    pub(crate) lon_deg: f64,
}

impl Rmc {
    pub(crate) fn read(fields: &Fields<'_>, at: usize) -> Result<Self, Fault> {
        let mut fix = FixBuilder::valid(fields.get(at + 1) == "A");
        fix.speed_knots(fields.number(at + 6).unwrap_or(-1.0)).course_deg(fields.number(at + 7).unwrap_or(-1.0));
        let (lat_deg, lon_deg) = fields.nmea_place(at + 2)?;
        Ok(Self { fix, time: dmy(fields.get(at + 8), fields.get(at))?, lat_deg, lon_deg })
    }
}

/// Whether to go on with a line: if it has `$…*hh`, the characters between are XORed and compared.
pub(crate) fn sentence_holds(line: &str, context: &Context, decoded: &mut Decoded) -> bool {
    let Some((body, digits)) = line.split_once('$').and_then(|(_, sentence)| sentence.split_once('*')) else { return true };
    let Some(found) = digits.trim().get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) else { return true };
    checksum_holds(found, xor(body.as_bytes()), context, decoded)
}
