//! Reading texts: identifiers, digits, degrees as NMEA writes them.

use super::malformed;
use crate::protocol::{Fault, FaultKind};
use smol_str::{SmolStr, format_smolstr};
use std::fmt::Write;
use waystream_domain::{DeviceId, Instruction};

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

/// Why a text is not hexadecimal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not pairs of hexadecimal digits")]
pub struct NotHex(String);

/// Bytes from hexadecimal digits; white space is ignored.
pub fn parse_hex(text: &str) -> Result<Vec<u8>, NotHex> {
    let digits: Option<Vec<u8>> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).map(|digit| digit as u8)).collect();
    match digits {
        Some(digits) if digits.len().is_multiple_of(2) => {
            Ok(digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect())
        }
        _ => Err(NotHex(text.chars().take(40).collect())),
    }
}

/// The bytes of pairs of hexadecimal digits; what is none counts as zero.
pub(crate) fn unhex(digits: &str) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).unwrap_or(0) as u8;
    digits.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | pair.get(1).map_or(0, |low| digit(*low))).collect()
}

/// What a device says, for people: trimmed text, or hexadecimal digits if it is no text.
pub(crate) fn spoken(bytes: &[u8]) -> SmolStr {
    let bytes = bytes.trim_ascii();
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !matches!(c, '\r' | '\n' | '\t')) => text.into(),
        _ => hex(bytes).into(),
    }
}

/// Why an instruction can't be said.
pub(crate) fn unsaid(instruction: &Instruction) -> SmolStr {
    format_smolstr!("the protocol has no {}", instruction.name())
}

/// The check digit that follows these digits, which must be some (ISO/IEC 7812-1).
pub(crate) fn luhn(digits: &str) -> u32 {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let digit = u32::from(digit - b'0') * if index % 2 == 0 { 2 } else { 1 };
            digit / 10 + digit % 10
        })
        .sum();
    (10 - sum % 10) % 10
}

/// A device's id, if it is one.
pub(crate) fn device_id(text: &str) -> Result<DeviceId, Fault> {
    DeviceId::new(text).map_err(|error| Fault::new(FaultKind::NoDevice, format_smolstr!("{error}")))
}

/// Degrees from `ddmm.mmmm` (`dddmm.mmmm`) and a hemisphere letter.
pub(crate) fn nmea_degrees(text: &str, hemisphere: &str) -> Result<f64, Fault> {
    let angle = nmea_angle(text).ok_or_else(|| malformed(format_args!("{text:?} is not an angle")))?;
    match hemisphere {
        "N" | "E" => Ok(angle),
        "S" | "W" => Ok(-angle),
        other => Err(malformed(format_args!("{other:?} is not a hemisphere"))),
    }
}

/// Degrees from `ddmm.mmmm` (`dddmm.mmmm`); leading zeros may be missing.
pub(crate) fn nmea_angle(text: &str) -> Option<f64> {
    let value = number(text)?;
    let degrees = (value / 100.0).trunc();
    Some(degrees + (value - degrees * 100.0) / 60.0)
}

/// More fields than any message has: what lies behind them is not looked at.
const MAX_FIELDS: usize = 4096;

/// The fields of a message between separators. A field that is not there is empty.
#[derive(Debug)]
pub(crate) struct Fields<'a>(Vec<&'a str>);

impl<'a> Fields<'a> {
    pub(crate) fn new(text: &'a str, separator: char) -> Self {
        Self(text.split(separator).take(MAX_FIELDS).map(str::trim).collect())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn get(&self, index: usize) -> &'a str {
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The fields from `index` on.
    pub(crate) fn from(&self, index: usize) -> &[&'a str] {
        self.0.get(index..).unwrap_or_default()
    }

    /// A number, if the field holds one.
    pub(crate) fn number(&self, index: usize) -> Option<f64> {
        number(self.get(index))
    }

    /// A whole number, if the field holds one.
    pub(crate) fn int(&self, index: usize) -> Option<i64> {
        self.get(index).parse().ok()
    }

    /// A hexadecimal number, if the field holds one.
    pub(crate) fn hex(&self, index: usize) -> Option<u64> {
        u64::from_str_radix(self.get(index), 16).ok()
    }

    /// A number that has to be there.
    pub(crate) fn needed(&self, index: usize) -> Result<f64, Fault> {
        self.number(index).ok_or_else(|| malformed(format_args!("field {index} is no number: {:?}", self.get(index))))
    }

    /// A number, or none: of what a fix leaves out if it is not told.
    pub(crate) fn told(&self, index: usize) -> f64 {
        self.number(index).unwrap_or(f64::NAN)
    }

    /// Latitude and longitude from degrees and minutes with their hemispheres, in four fields from `index` on.
    pub(crate) fn nmea_place(&self, index: usize) -> Result<(f64, f64), Fault> {
        Ok((nmea_degrees(self.get(index), self.get(index + 1))?, nmea_degrees(self.get(index + 2), self.get(index + 3))?))
    }
}

/// A finite number.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().parse().ok().filter(|number: &f64| number.is_finite())
}

/// Two-digit numbers that stand without separators, such as `ddmmyy`.
pub(crate) fn pairs<const N: usize>(text: &str) -> Result<[u32; N], Fault> {
    let digits = text.as_bytes();
    let mut numbers = [0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        *number = match digits.get(2 * index..2 * index + 2) {
            Some([tens @ b'0'..=b'9', ones @ b'0'..=b'9']) => u32::from(tens - b'0') * 10 + u32::from(ones - b'0'),
            _ => return Err(malformed(format_args!("{text:?} has not {N} two-digit numbers"))),
        };
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn degrees_and_minutes_become_degrees() {
        assert!((nmea_degrees("5213.0095", "N").unwrap() - 52.216_825).abs() < 1e-9);
        assert!((nmea_degrees("00057.6630", "W").unwrap() + 0.961_05).abs() < 1e-9);
        assert_eq!(nmea_degrees("12", "N").unwrap(), 0.2);
        assert!(nmea_degrees("5213.0095", "").is_err());
        assert!(nmea_degrees("NaN", "N").is_err());
    }

    #[test]
    fn fields_that_are_not_there_are_empty() {
        let fields = Fields::new("a, 7 ,ff,", ',');
        assert_eq!((fields.len(), fields.get(0), fields.get(9)), (4, "a", ""));
        assert_eq!((fields.int(1), fields.hex(2), fields.number(3)), (Some(7), Some(255), None));
        assert!(fields.needed(0).is_err());
        assert_eq!(pairs::<3>("235959").unwrap(), [23, 59, 59]);
        assert!(pairs::<3>("2359").is_err());
    }
}
