//! Upro (HQ, VK, MG, AI models): `*` + make + `20` + id + kind, then parts that begin with `&` and a letter.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, FixBuilder, bit, device_id, dmy, malformed, number};
use crate::vocabulary::{self as name, alarm};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "upro",
    port: 5095,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"#"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Upro { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
/// The odometer counts half seconds at one knot.
const METRES_PER_COUNT: f64 = 2.0 * 1852.0 / 3600.0;

struct Upro {
    device: Option<DeviceId>,
}

impl Decoder for Upro {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let frame = frame.trim_ascii();
        let frame = frame.strip_suffix(b"#").unwrap_or(frame);
        let mut parts = frame.split(|byte| *byte == b'&');
        let head = String::from_utf8_lossy(parts.next().unwrap_or_default());
        let (make, rest) = head
            .strip_prefix('*')
            .and_then(|head| head.split_at_checked(4))
            .filter(|(make, _)| make.ends_with("20"))
            .ok_or_else(|| malformed("a message begins with *, two letters and 20"))?;
        let (id, kind) = rest.split_once(',').ok_or_else(|| malformed("no id"))?;
        let (acknowledge, id) = id.split_at_checked(1).ok_or_else(|| malformed("no id"))?;
        self.device = Some(device_id(id)?);
        if acknowledge == "1" {
            let kind = kind.get(..2).unwrap_or(kind);
            decoded.replies.push(format!("*{make}Y{kind}#").into());
        }
        let mut fix = FixBuilder::default();
        let mut place = None;
        for part in parts {
            let Some((letter, data)) = part.split_first() else { continue };
            let data = String::from_utf8_lossy(data);
            if *letter == b'A' {
                place = Some(data.into_owned());
            } else {
                attribute(*letter, &data, make.starts_with("HQ"), &mut fix);
            }
        }
        if let Some(place) = place {
            decoded.fixes.push(position(&place, fix)?);
        }
        Ok(())
    }
}

/// `hhmmss`, `ddmm.mmmm`, `dddmm.mmmm` (without points), flags, speed in 2 knots, course in 10 degrees, `ddmmyy`.
fn position(data: &str, mut fix: FixBuilder) -> Result<Fix, Fault> {
    let part = |from: usize, to: usize| data.get(from..to).unwrap_or_default();
    let value = |from: usize, to: usize| {
        number(part(from, to)).ok_or_else(|| malformed(format_args!("{:?} is no number", part(from, to))))
    };
    let degrees =
        |at: usize, digits: usize| Ok::<_, Fault>(value(at, at + digits)? + value(at + digits, at + digits + 6)? / 600_000.0);
    let (lat, lon) = (degrees(6, 2)?, degrees(14, 3)?);
    let flags = value(23, 24)? as u8;
    fix.valid = !bit(flags, 0);
    // The part F is finer.
    if !fix.has_speed() {
        fix.speed_knots(value(24, 26)? * 2.0);
    }
    fix.course_deg(value(26, 28)? * 10.0);
    let lat = if bit(flags, 1) { lat } else { -lat };
    let lon = if bit(flags, 2) { lon } else { -lon };
    fix.at(dmy(part(28, 34), part(0, 6))?, lat, lon)
}

fn attribute(letter: u8, data: &str, is_hq: bool, fix: &mut FixBuilder) {
    let first = |digits: usize| data.get(..digits).and_then(number);
    match (letter, data.len()) {
        (b'B', 10) => {
            if let Ok(status) = u64::from_str_radix(data, 16) {
                fix.set(name::STATUS, data).set(name::IGNITION, bit(status, 32));
                if bit(status, 4) {
                    fix.set(name::ALARM, alarm::VIBRATION);
                }
                if bit(status, 6) {
                    fix.set(name::ALARM, alarm::LOW_POWER);
                }
            }
        }
        // Characters from '0' on are sixteenths.
        (b'C', 1..=15) => {
            let count = data.bytes().fold(0, |count, byte| count << 4 | u64::from(byte.wrapping_sub(b'0') & 0x0f));
            fix.set(name::ODOMETER_M, (count as f64 * METRES_PER_COUNT) as i64);
        }
        (b'F', 4..) => drop(fix.speed_knots(first(4).map_or(-1.0, |v| v / 10.0))),
        (b'G', 6..) => drop(fix.altitude_m(first(6).map_or(f64::NAN, |v| v / 10.0))),
        (b'J', 6) => {
            if let (Some(value), Some(sign)) = (data.get(2..).and_then(number), data.get(1..2)) {
                let value = if matches!(sign, "1" | "3") { -value } else { value };
                fix.set(format_smolstr!("temperature_c.{}", &data[..1]), value / 10.0);
            }
        }
        (b'M', 3) => drop(fix.set_some(name::BATTERY_LEVEL, first(3).map(|v| v / 10.0))),
        (b'M', 4) => drop(fix.set_some("humidity", data.get(2..).and_then(number))),
        (b'N', 2..) => drop(fix.set_some(name::RSSI, first(2).map(|v| v as i64))),
        (b'O', 2..) => drop(fix.set_some(name::SATELLITES, first(2).map(|v| v as i64))),
        (b'R', 4..) if is_hq => {
            fix.set_some(name::RSSI, first(2).map(|v| v as i64));
            fix.set_some(name::SATELLITES, data.get(2..4).and_then(number).map(|v| v as i64));
        }
        (b'T', 2) => drop(fix.set_some(name::BATTERY_LEVEL, first(2))),
        (b'V', 4..) => drop(fix.set_some(name::POWER_V, first(4).map(|v| v / 10.0))),
        (b'W', 2..) if first(2).is_some_and(|code| bit(code as u8, 2)) => drop(fix.set(name::ALARM, alarm::TAMPERING)),
        // Longer ones are cells.
        (b'Y', 5) => drop(fix.set_some(name::POWER_V, first(5).map(|v| v / 1e3))),
        (b'b', 4..) => drop(fix.set("serial", data.get(3..).unwrap_or_default())),
        (b'd', 5) => drop(fix.set_some("adc.1", first(5).map(|v| v / 100.0))),
        _ => {}
    }
}
