//! Reading texts: identifiers, digits, degrees as NMEA writes them.

use super::malformed;
use crate::protocol::{Fault, FaultKind};
use smol_str::format_smolstr;
use std::fmt::Write;
use waystream_domain::DeviceId;

/// Bytes that must be printable ASCII.
pub(crate) fn ascii(bytes: &[u8]) -> Result<&str, Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|b| (0x20..0x7f).contains(&b)) => Ok(text),
        _ => Err(malformed(format_args!("{} is not a text", hex(bytes)))),
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

/// Packed decimal digits as text, without leading zeros: how devices send their IMEI.
pub(crate) fn bcd_text(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    digits.trim_start_matches('0').to_owned()
}

/// A device's id, if it is one.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, Fault> {
    DeviceId::new(text).map_err(|error| Fault::new(FaultKind::NoDevice, format_smolstr!("{error}")))
}

/// Degrees from `ddmm.mmmm` (`dddmm.mmmm`) and a hemisphere letter.
pub(crate) fn nmea_degrees(text: &str, hemisphere: &str) -> Result<f64, Fault> {
    let value: f64 = text.trim().parse().map_err(|_| malformed(format_args!("{text:?} is not an angle")))?;
    let degrees = (value / 100.0).trunc();
    let angle = degrees + (value - degrees * 100.0) / 60.0;
    match hemisphere {
        "N" | "E" => Ok(angle),
        "S" | "W" => Ok(-angle),
        other => Err(malformed(format_args!("{other:?} is not a hemisphere"))),
    }
}
