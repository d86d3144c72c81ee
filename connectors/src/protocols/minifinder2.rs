//! Eview MiniFinder: `ab` + flags + `u16` length + CRC-16/XMODEM + serial, little-endian; then elements of length, key, value.

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, ascii, bit, device_id, from_unix_secs, malformed, unsaid};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use crc::{CRC_16_XMODEM, Crc};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "minifinder2",
    port: 5187,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Minifinder2Framing),
        decoder: || Box::new(Minifinder2 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;
const HEADER_BYTES: usize = 8;
const MARK: u8 = 0xab;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_XMODEM);
const ANSWER: u8 = 0x7f;

struct Minifinder2Framing;

impl Framing for Minifinder2Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == MARK).unwrap_or(buffer.len());
        buffer.advance(start);
        let [_, _, low, high, ..] = buffer[..] else { return Ok(None) };
        let length = HEADER_BYTES + usize::from(u16::from_le_bytes([low, high]));
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Minifinder2 {
    device: Option<DeviceId>,
}

impl Decoder for Minifinder2 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        // A service, the length of its key and value, the key.
        let (service, key, value) = match instruction {
            Instruction::UpdateFirmware { url } => (0x04, 0x30, url.as_bytes()),
            _ => return Err(unsaid(instruction)),
        };
        let length =
            u8::try_from(1 + value.len()).map_err(|_| SmolStr::new_static("the address is too long for one message"))?;
        let body = [&[service, length, key], value].concat();
        let header = [&[MARK, 0][..], &(body.len() as u16).to_le_bytes(), &CRC.checksum(&body).to_le_bytes()].concat();
        Ok([&header[..], &1u16.to_le_bytes(), &body].concat().into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        if reader.u8()? != MARK {
            return Err(malformed("a message begins with ab"));
        }
        let flags = reader.u8()?;
        reader.skip(2)?;
        let found = reader.u16_le()?;
        let serial = reader.u16_le()?;
        let expected = CRC.checksum(reader.rest());
        if found != expected {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        if reader.u8()? == ANSWER {
            return Ok(());
        }
        self.elements(&mut reader, decoded)?;
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "elements before an id"));
        }
        // The device says whether it waits for an answer.
        if bit(flags, 4) {
            let body = [ANSWER, 1, 0];
            let header = [&[MARK, 0][..], &(body.len() as u16).to_le_bytes(), &CRC.checksum(&body).to_le_bytes()].concat();
            decoded.replies.push([&header[..], &serial.to_le_bytes(), &body].concat().into());
        }
        Ok(())
    }
}

impl Minifinder2 {
    /// Time and state come first, the place that belongs to them behind.
    fn elements(&mut self, reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut time = None;
        let mut level = None;
        while reader.left() >= 2 {
            let length = usize::from(reader.u8()?);
            let Some(length) = length.checked_sub(1) else { continue };
            let key = reader.u8()?;
            let mut value = reader.part(length)?;
            let fix = match key {
                0x01 => {
                    self.device = Some(device_id(ascii(value.rest())?)?);
                    continue;
                }
                0x24 => {
                    time = Some(value.u32_le()?);
                    level = (value.left() >= 4).then(|| value.rest()[3]);
                    continue;
                }
                0x20 => satellite_fix(&mut value),
                0x2a => beacon_fix(&mut value),
                _ => continue,
            };
            let fix = fix.and_then(|place| {
                let Some((mut fix, lat, lon)) = place else { return Ok(None) };
                let time = time.ok_or_else(|| Fault::new(FaultKind::BadTime, "a place without a time"))?;
                if let Some(percent) = level {
                    fix.set(name::BATTERY_LEVEL, i64::from(percent));
                }
                fix.at(from_unix_secs(time.into())?, f64::from(lat) / 1e7, f64::from(lon) / 1e7).map(Some)
            });
            match fix {
                Ok(fix) => decoded.fixes.extend::<Option<Fix>>(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

/// A place that still needs its time.
type Place = Option<(FixBuilder, i32, i32)>;

fn satellite_fix(value: &mut Reader<'_>) -> Result<Place, Fault> {
    let (lat, lon) = (value.i32_le()?, value.i32_le()?);
    let mut fix = FixBuilder::valid(true);
    fix.speed_kmh(value.u16_le()?.into()).course_deg(value.u16_le()?.into()).altitude_m(value.i16_le()?.into());
    fix.set(name::HDOP, f64::from(value.u16_le()?) / 10.0).set(name::ODOMETER_M, i64::from(value.u32_le()?));
    fix.set(name::SATELLITES, i64::from(value.u8()?));
    Ok(Some((fix, lat, lon)))
}

/// A beacon whose place is known to the device.
fn beacon_fix(value: &mut Reader<'_>) -> Result<Place, Fault> {
    let flags = value.u8()?;
    if !bit(flags, 7) {
        return Ok(None);
    }
    value.skip(6 + 1)?; // address, signal
    Ok(Some((FixBuilder::valid(true), value.i32_le()?, value.i32_le()?)))
}
