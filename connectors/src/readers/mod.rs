//! What protocols share: checked reads of bytes and texts, times, fixes, framings. No read goes past the end, none panics.

mod bytes;
mod checksum;
mod compact;
mod escaped;
mod fix;
mod framing;
mod imei;
mod json;
mod packed;
mod rmc;
mod spoken;
mod text;
mod time;

pub(crate) use bytes::{Reader, bit};
pub(crate) use checksum::{checksum_holds, sum, xor};
pub(crate) use compact::Compact;
pub(crate) use escaped::{Marked, bracketed};
pub(crate) use fix::{FixBuilder, malformed};
pub(crate) use framing::{Datagrams, Delimited, find, frames_of};
pub(crate) use imei::{imei, packed_imei};
pub(crate) use json::{Each, Flat, flat, read as read_json};
pub(crate) use packed::{packed, packed_dmy, packed_place};
pub(crate) use rmc::{Rmc, sentence_holds};
pub(crate) use spoken::spoken_place;
pub(crate) use text::{Fields, ascii, device_id, hex, luhn, nmea_angle, nmea_degrees, number, pairs, spoken, unhex, unsaid};
pub use text::{NotHex, parse_hex};
pub(crate) use time::{MAX_FUTURE_MS, civil, dmy, from_unix_millis, from_unix_secs, time_of_day, ymd};
