//! IMEIs, however a protocol writes them. A number and packed digits can be read from any bytes, so that without a checksum what a bad line made
//! of a message would be somebody's position: what can't be an IMEI is told as none, and nothing of its message is kept.

use super::{device_id, hex};
use crate::protocol::{Fault, FaultKind};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

/// The digit that checks the others included. It is not held against them: numbers that somebody has set in their place are in use.
const DIGITS: usize = 15;
/// So much of what is none is shown.
const SHOWN: usize = 32;

/// A device's IMEI, or a shorter number that is in its place.
pub(crate) fn imei(digits: &str) -> Result<DeviceId, Fault> {
    of_digits(digits, DIGITS)
}

/// The same in packed decimal digits: 15 of them in 8 bytes, so that the first digit is a filler, 0. Some makers put another digit there.
pub(crate) fn packed_imei(bytes: &[u8]) -> Result<DeviceId, Fault> {
    let digits = hex(bytes);
    of_digits(digits.strip_prefix('0').unwrap_or(&digits), DIGITS + 1)
}

fn of_digits(digits: &str, at_most: usize) -> Result<DeviceId, Fault> {
    if (1..=at_most).contains(&digits.len()) && digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return device_id(digits);
    }
    let shown: String = digits.chars().take(SHOWN).collect();
    Err(Fault::new(FaultKind::NoDevice, format_smolstr!("{shown:?} is no IMEI: that is at most {DIGITS} decimal digits")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_imei_keeps_the_zero_that_it_begins_with() {
        for (bytes, id) in [
            ([0x00, 0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34], "012345678901234"),
            ([0x08, 0x64, 0x71, 0x70, 0x03, 0x28, 0x35, 0x81], "864717003283581"),
            ([0x18, 0x64, 0x71, 0x70, 0x03, 0x28, 0x35, 0x81], "1864717003283581"),
        ] {
            assert_eq!(packed_imei(&bytes).unwrap().as_str(), id);
        }
    }

    #[test]
    fn what_can_not_be_an_imei_is_told_as_none() {
        for digits in ["1", "35654231234567", "864717003283581", "000000000000000"] {
            assert_eq!(imei(digits).unwrap().as_str(), digits);
        }
        let packed = |bytes: [u8; 8]| packed_imei(&bytes).unwrap_err();
        let (number, nines) = ((u64::MAX >> 8).to_string(), "9".repeat(1000));
        for (fault, shown) in [
            (imei("").unwrap_err(), ""),
            (imei("8647170032835812").unwrap_err(), "8647170032835812"),
            (imei(&number).unwrap_err(), number.as_str()),
            (imei("86471700328358f").unwrap_err(), "86471700328358f"),
            (imei("-1").unwrap_err(), "-1"),
            (imei("٣٤").unwrap_err(), "٣٤"),
            (imei(&nines).unwrap_err(), &nines[..SHOWN]),
            (packed([0x08, 0x64, 0x71, 0x70, 0xc3, 0x28, 0x35, 0x81]), "8647170c3283581"),
            (packed([0xff; 8]), "ffffffffffffffff"),
        ] {
            assert_eq!(fault.kind, FaultKind::NoDevice);
            assert_eq!(fault.detail, format!("{shown:?} is no IMEI: that is at most 15 decimal digits"));
        }
    }
}
