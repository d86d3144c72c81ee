//! Names and units of Teltonika's IO elements: those that mean the same on every model. The others stay `io.N`.

use crate::readers::{FixBuilder, bit, hex};
use crate::vocabulary::{self as name, alarm};
use smol_str::format_smolstr;

/// An element of 1, 2, 4 or 8 bytes.
pub(super) fn element(fix: &mut FixBuilder, id: u64, bytes: &[u8]) {
    let value = bytes.iter().fold(0u64, |value, byte| (value << 8) | u64::from(*byte));
    let number = value as f64;
    match id {
        1..=4 => fix.set(format_smolstr!("in.{id}"), value != 0),
        16 => fix.set(name::ODOMETER_M, number),
        21 => fix.set(name::RSSI, value as i64),
        66 => fix.set(name::POWER_V, number / 1e3),
        67 => fix.set(name::BATTERY_V, number / 1e3),
        78 if value == 0 => fix, // no key is there
        78 => fix.set(name::DRIVER_ID, format_smolstr!("{value:016x}").as_str()),
        // Dallas sensors, 0.1 °C; 850 and above: no sensor, short circuit, not ready.
        72..=75 => match signed(value, bytes.len()) {
            tenths @ -550..=1150 => fix.set(format_smolstr!("temperature_c.{}", id - 71), tenths as f64 / 10.0),
            _ => fix.set(format_smolstr!("io.{id}"), value as i64),
        },
        // Old models have other things under this number, of other widths.
        113 if bytes.len() == 1 && value <= 100 => fix.set(name::BATTERY_LEVEL, value as i64),
        179 | 180 => fix.set(format_smolstr!("out.{}", id - 178), value != 0),
        181 => fix.set(name::PDOP, number / 10.0),
        182 => fix.set(name::HDOP, number / 10.0),
        199 => fix.set(name::TRIP_ODOMETER_M, number),
        239 => fix.set(name::IGNITION, value != 0),
        240 => fix.set(name::MOTION, value != 0),
        241 => fix.set(name::OPERATOR, value as i64),
        236 | 246 | 247 | 249 | 252 | 253 => {
            let word = match (id, value) {
                (236, 1) => Some(alarm::GENERAL),
                (246, 1) => Some(alarm::TOW),
                (247, 1..) => Some(alarm::ACCIDENT),
                (249, 1) => Some(alarm::JAMMING),
                (252, 1) => Some(alarm::POWER_CUT),
                (253, 1) => Some(alarm::HARD_ACCELERATION),
                (253, 2) => Some(alarm::HARD_BRAKING),
                (253, 3) => Some(alarm::HARD_CORNERING),
                _ => None,
            };
            if let Some(word) = word {
                fix.set(name::ALARM, word);
            }
            fix.set(format_smolstr!("io.{id}"), value as i64)
        }
        _ => fix.set(format_smolstr!("io.{id}"), value as i64),
    };
}

/// An element of any length (codec 8 Extended): texts as such, else hexadecimal.
pub(super) fn variable_element(fix: &mut FixBuilder, id: u16, bytes: &[u8]) {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if text.bytes().all(|b| (0x20..0x7f).contains(&b)) => Some(text.trim()),
        _ => None,
    };
    match (id, text) {
        (_, Some("")) => fix,
        (256, Some(text)) => fix.set(name::VIN, text),
        (281, Some(text)) => fix.set(name::DTCS, text.replace(',', " ").as_str()),
        (132 | 387, Some(text)) => fix.set(format_smolstr!("io.{id}"), text),
        _ => fix.set(format_smolstr!("io.{id}"), hex(bytes).as_str()),
    };
}

/// An element of codec GH, which has numbers of its own.
pub(super) fn gh_element(fix: &mut FixBuilder, id: u8, value: u64) {
    match id {
        1 => fix.set(name::BATTERY_LEVEL, value as i64),
        2 => fix.set("usb_connected", value == 1),
        5 => fix.set("uptime_s", value as i64),
        20 => fix.set(name::HDOP, value as f64 / 10.0),
        21 => fix.set(name::VDOP, value as f64 / 10.0),
        22 => fix.set(name::PDOP, value as f64 / 10.0),
        67 => fix.set(name::BATTERY_V, value as f64 / 1e3),
        221 => fix.set("button", value as i64),
        222 if value == 1 => fix.set(name::ALARM, alarm::SOS),
        240 => fix.set(name::MOTION, bit(value, 0)),
        244 => fix.set("roaming", value == 1),
        _ => fix.set(format_smolstr!("io.{id}"), value as i64),
    };
}

/// Two's complement of a number of `width` bytes.
fn signed(value: u64, width: usize) -> i64 {
    let unused = 64 - 8 * width.clamp(1, 8) as u32;
    ((value << unused) as i64) >> unused
}
