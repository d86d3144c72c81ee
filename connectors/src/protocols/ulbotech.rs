//! Ulbotech (T3xx): binary messages of tagged parts between bytes `f8`, and texts `*TS01,…#`.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{
    FixBuilder, Marked, Reader, ascii, bit, checksum_holds, device_id, from_unix_secs, malformed, packed_imei, unsaid,
};
use crate::vocabulary::{self as name, alarm};
use bytes::{Bytes, BytesMut};
use crc::{CRC_16_XMODEM, Crc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "ulbotech",
    port: 5072,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(UlbotechFraming),
        decoder: || Box::new(Ulbotech { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
/// First and last byte.
const MARK: u8 = 0xf8;
const MARKED: Marked = Marked { mark: MARK, escape: 0xf7, for_mark: 0x0f };
/// Version, kind of the answer, and what recorded answers carry: the first two bytes of the message.
const ACKNOWLEDGED: [u8; 4] = [0x01, 0xfe, 0xf8, 0x01];
/// 2000-01-01, seconds since 1970: the epoch of its times.
const EPOCH_SECS: i64 = 946_684_800;

struct UlbotechFraming;

impl Framing for UlbotechFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        MARKED.next(buffer, MAX_FRAME_BYTES)
    }
}

struct Ulbotech {
    device: Option<DeviceId>,
}

impl Decoder for Ulbotech {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        match instruction {
            Instruction::Text { text } => Ok(format!("*TS01,{text}#").into()),
            _ => Err(unsaid(instruction)),
        }
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        if frame.first() == Some(&MARK) {
            return self.binary(frame, context, decoded);
        }
        let text = ascii(frame.trim_ascii())?;
        let inner = text.strip_prefix('*').and_then(|text| text.strip_suffix('#')).ok_or_else(|| malformed("no text"))?;
        let id = inner.split(',').nth(1).ok_or_else(|| malformed("no id"))?;
        self.device = Some(device_id(id)?);
        decoded.replies.push(format!("*TS01,ACK:{:04X}#", CRC.checksum(inner.as_bytes())).into());
        Ok(())
    }
}

impl Ulbotech {
    /// Mark, version, kind, IMEI, time (its highest bit is whether the clock was set by satellites), parts, CRC, mark.
    fn binary(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let inner = frame.strip_prefix(&[MARK]).and_then(|frame| frame.strip_suffix(&[MARK])).unwrap_or_default();
        let Some((covered, [high, low])) = inner.len().checked_sub(2).map(|at| inner.split_at(at)) else {
            return Err(malformed("a short message"));
        };
        if !checksum_holds(u16::from_be_bytes([*high, *low]), CRC.checksum(covered), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        reader.skip(1 + 1)?;
        self.device = Some(packed_imei(reader.take(8)?)?);
        let checksum = CRC.checksum(&ACKNOWLEDGED).to_be_bytes();
        decoded.replies.push([&[MARK][..], &ACKNOWLEDGED, &checksum, &[MARK]].concat().into());
        let time = i64::from(reader.u32()? & 0x7fff_ffff) + EPOCH_SECS;
        decoded.fixes.extend(position(time, &mut reader)?);
        Ok(())
    }
}

fn position(time: i64, reader: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    let mut fix = FixBuilder::default();
    let mut place = None;
    while reader.left() >= 2 {
        let (tag, length) = (reader.u8()?, reader.u8()?);
        let mut part = reader.part(length.into())?;
        match tag {
            0x01 => {
                place = Some((f64::from(part.i32()?) / 1e6, f64::from(part.i32()?) / 1e6));
                fix.speed_kmh(part.u16()?.into()).course_deg(part.u16()?.into());
                let hdop = part.u16()?;
                fix.valid = hdop < 9999;
                fix.set(name::HDOP, f64::from(hdop) / 100.0);
            }
            0x03 => {
                let (status, alarms) = (part.u16()?, part.u16()?);
                fix.set(name::STATUS, i64::from(status)).set(name::IGNITION, bit(status, 9));
                for (index, word) in
                    [(0, alarm::POWER_OFF), (1, alarm::MOVEMENT), (2, alarm::OVERSPEED), (4, alarm::GEOFENCE), (10, alarm::SOS)]
                {
                    if bit(alarms, index) {
                        fix.set(name::ALARM, word);
                    }
                }
            }
            0x04 => drop(fix.set(name::ODOMETER_M, i64::from(part.u32()?))),
            0x05 => {
                // Four bits of number, twelve of value between the ends of a scale.
                while part.left() >= 2 {
                    let value = part.u16()?;
                    let scaled = |from: f64, to: f64| from + f64::from(value & 0xfff) * (to - from) / 4096.0;
                    match value >> 12 {
                        0 => fix.set(name::POWER_V, scaled(-10.0, 100.0)),
                        1 => fix.set("temperature_c.1", scaled(-55.0, 125.0)),
                        2 => fix.set(name::BATTERY_V, scaled(-10.0, 100.0)),
                        number => fix.set(format_smolstr!("adc.{number}"), scaled(-10.0, 100.0)),
                    };
                }
            }
            0x07 => engine(&mut part, &mut fix)?,
            0x10 => drop(fix.set(name::EVENT, i64::from(part.u8()?))),
            // Cells, fences, fuel, behaviour, codes, VIN.
            _ => {}
        }
    }
    let Some((lat, lon)) = place else { return Ok(None) };
    fix.at(from_unix_secs(time)?, lat, lon).map(Some)
}

/// Length (itself included) and mode in four bits each, the standard's number of the value, the value.
fn engine(part: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    while part.left() > 0 {
        let head = part.u8()?;
        let mut value = part.part(usize::from(head >> 4).saturating_sub(1))?;
        if head & 0xf != 1 {
            continue;
        }
        match value.u8()? {
            0x05 => drop(fix.set(name::COOLANT_TEMPERATURE_C, i64::from(value.u8()?) - 40)),
            0x0c => drop(fix.set(name::RPM, i64::from(value.u16()?) / 4)),
            0x0d => drop(fix.set(name::OBD_SPEED_KMH, i64::from(value.u8()?))),
            0x2f => drop(fix.set(name::FUEL_LEVEL, f64::from(value.u8()?) * 100.0 / 255.0)),
            _ => {}
        }
    }
    Ok(())
}
