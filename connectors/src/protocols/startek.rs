//! Startek: texts of columns behind `&&`, a letter that counts, and their length; a sum at the end.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, ascii, bit, checksum_holds, device_id, find, malformed, sum, ymd};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "startek",
    port: 5222,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(StartekFraming),
        decoder: || Box::new(Startek { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
/// Behind what the length covers: the sum and the line end.
const TAIL_BYTES: usize = 4;

struct StartekFraming;

impl Framing for StartekFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = find(buffer, b"&&").unwrap_or(buffer.len().saturating_sub(1));
        buffer.advance(start);
        if buffer.len() < 2 {
            return Ok(None);
        }
        let Some(comma) = buffer.iter().take(9).position(|byte| *byte == b',') else {
            return if buffer.len() < 9 { Ok(None) } else { Err(malformed("no length behind &&")) };
        };
        let length = buffer.get(3..comma).map(String::from_utf8_lossy).and_then(|digits| digits.parse::<usize>().ok());
        let length = comma + length.ok_or_else(|| malformed("no length behind &&"))? + TAIL_BYTES;
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Startek {
    device: Option<DeviceId>,
}

impl Decoder for Startek {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let frame = frame.trim_ascii_end();
        let Some((covered, digits)) = frame.len().checked_sub(2).map(|at| frame.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        let found = std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok());
        if !checksum_holds(found.ok_or_else(|| malformed("no checksum"))?, sum(covered), context, decoded) {
            return Ok(());
        }
        // Other kinds have lines, and answers to commands anything.
        let text = covered.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
        let fields = Fields::new(ascii(text)?, ',');
        self.device = Some(device_id(fields.get(1))?);
        if fields.get(2) == "000" {
            decoded.fixes.push(position(&fields)?);
        }
        Ok(())
    }
}

/// `000,event,data,yymmddhhmmss,A,lat,lon,satellites,hdop,km/h,course,altitude,metres,cell,signal,status,inputs,outputs,adc|…,…`.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(6) == "A");
    fix.speed_kmh(fields.number(11).unwrap_or(-1.0)).course_deg(fields.number(12).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(13) {
        fix.altitude_m(altitude);
    }
    fix.set_some(name::EVENT, fields.int(3)).set_some(name::SATELLITES, fields.int(9)).set_some(name::HDOP, fields.number(10));
    match fields.int(3) {
        Some(1) => drop(fix.set(name::ALARM, alarm::SOS)),
        Some(53) => drop(fix.set(name::DRIVER_ID, fields.get(4))),
        _ => {}
    }
    fix.set_some(name::ODOMETER_M, fields.int(14)).set_some(name::RSSI, fields.int(16));
    fix.set_some(name::STATUS, fields.hex(17).map(|status| status as i64));
    if let Some(inputs) = fields.hex(18) {
        fix.set("input", inputs as i64).set(name::IGNITION, bit(inputs, 1)).set(name::DOOR, bit(inputs, 2));
    }
    fix.set_some("output", fields.hex(19).map(|outputs| outputs as i64));
    // Hundredths of a volt.
    let volts = Fields::new(fields.get(20), '|');
    for (at, name) in [(0, name::POWER_V), (1, name::BATTERY_V), (2, "adc.2"), (3, "adc.3")] {
        fix.set_some(name, volts.hex(at).map(|value| value as f64 / 100.0));
    }
    // A number of the sensor in two digits, tenths of a degree in four; the first of these is the sign.
    for sensor in fields.get(23).split('|').filter(|sensor| sensor.len() == 6) {
        let (Some(number), Some(value)) = (sensor.get(..2), sensor.get(2..)) else { continue };
        let value = u16::from_str_radix(value, 16).ok();
        let tenths = value.map(|value| if bit(value, 15) { -f64::from(value & 0x7fff) } else { f64::from(value) });
        fix.set_some(format_smolstr!("temperature_c.{}", number.trim_start_matches('0')), tenths.map(|tenths| tenths / 10.0));
    }
    let (date, time) = fields.get(5).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date, time)?, fields.needed(7)?, fields.needed(8)?)
}
