//! Galileosky: `01` + `u16` length + tags of known lengths + CRC-16/MODBUS, little-endian; answered with the checksum. Also as the
//! payload of Iridium's short bursts.

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, ascii, from_unix_secs, imei, malformed, unsaid};
use crate::vocabulary as name;
use bytes::{Buf, Bytes, BytesMut};
use crc::{CRC_16_MODBUS, Crc};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "galileo",
    port: 5034,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(GalileoFraming),
        decoder: || Box::new(Galileo { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 32 * 1024 + 5;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);
const TAGS: u8 = 0x01;
const PICTURE: u8 = 0x07;
/// Coming from the device's memory: the top bit of the length.
const ARCHIVE: u16 = 0x8000;
/// What the first element of an Iridium message begins with: its kind and its length.
const IRIDIUM_HEADER: [u8; 3] = [0x01, 0x00, 0x1c];

struct GalileoFraming;

impl Framing for GalileoFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| matches!(*byte, TAGS | PICTURE)).unwrap_or(buffer.len());
        buffer.advance(start);
        if buffer.len() < 6 {
            return Ok(None);
        }
        let length = if is_iridium(buffer) {
            3 + usize::from(u16::from_be_bytes([buffer[1], buffer[2]]))
        } else {
            5 + usize::from(u16::from_le_bytes([buffer[1], buffer[2]]) & !ARCHIVE)
        };
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

fn is_iridium(bytes: &[u8]) -> bool {
    bytes[0] == TAGS && bytes.get(3..6) == Some(&IRIDIUM_HEADER)
}

struct Galileo {
    device: Option<DeviceId>,
}

impl Decoder for Galileo {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let text = match instruction {
            Instruction::Text { text } => text.clone(),
            Instruction::RequestPosition => "status".to_owned(),
            Instruction::Restart => "reset".to_owned(),
            Instruction::SetOutput { output, on } => format!("out {output},{}", u8::from(*on)),
            _ => return Err(unsaid(instruction)),
        };
        let length = u8::try_from(text.len()).map_err(|_| SmolStr::new_static("the text is too long for one message"))?;
        // IMEI, number of the device, number of the command, the command.
        let tags =
            [&[0x03], device.as_str().as_bytes(), &[0x04, 0, 0, 0xe0, 0, 0, 0, 0, 0xe1, length], text.as_bytes()].concat();
        let mut packet = [&[TAGS][..], &(tags.len() as u16).to_le_bytes(), &tags].concat();
        packet.extend_from_slice(&CRC.checksum(&packet).to_le_bytes());
        Ok(packet.into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame.first() {
            Some(_) if is_iridium(frame) => self.iridium(frame, decoded),
            Some(_) => self.packet(frame, context, decoded),
            None => Err(malformed("an empty packet")),
        }
    }
}

impl Galileo {
    fn packet(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        let kind = reader.u8()?;
        let length = reader.u16_le()?;
        let mut tags = reader.part(reader.left().saturating_sub(2))?;
        let (found, expected) = (reader.u16_le()?, CRC.checksum(&frame[..frame.len() - 2]));
        if found != expected {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        let [low, high] = found.to_le_bytes();
        match kind {
            TAGS => {
                self.records(&mut tags, length & ARCHIVE != 0, decoded);
                if self.device.is_none() {
                    return Err(Fault::new(FaultKind::NoDevice, "tags before the IMEI"));
                }
                decoded.replies.push(Bytes::copy_from_slice(&[0x02, low, high]));
                Ok(())
            }
            // Pictures are not kept, but would come again for ever.
            PICTURE => {
                decoded.replies.push(Bytes::copy_from_slice(&[PICTURE, low, high]));
                Ok(())
            }
            _ => Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("packet {kind:02x}"))),
        }
    }

    /// Elements of a kind, a length, a value: 1 has the IMEI, 2 the tags. Not answered.
    fn iridium(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(3)?;
        while reader.left() >= 3 {
            let kind = reader.u8()?;
            let length = usize::from(reader.u16()?);
            let mut value = reader.part(length)?;
            match kind {
                1 => {
                    value.skip(4)?;
                    self.device = Some(imei(ascii(value.take(15)?)?)?);
                }
                2 => self.records(&mut value, false, decoded),
                _ => {}
            }
        }
        Ok(())
    }

    /// A tag that the record has already begins the next record.
    fn records(&mut self, tags: &mut Reader<'_>, archive: bool, decoded: &mut Decoded) {
        let mut record = Record::default();
        let mut seen = [false; 256];
        while tags.left() > 0 {
            let read = tags.u8().and_then(|tag| {
                if std::mem::replace(&mut seen[usize::from(tag)], true) {
                    seen = [false; 256];
                    seen[usize::from(tag)] = true;
                    finish(std::mem::take(&mut record), archive, decoded);
                }
                let length = length_of(tag, tags)?;
                self.tag(tag, &mut tags.part(length)?, &mut record)
            });
            if let Err(structure_lost) = read {
                decoded.faults.push(structure_lost);
                break;
            }
        }
        finish(record, archive, decoded);
    }

    fn tag(&mut self, tag: u8, value: &mut Reader<'_>, record: &mut Record) -> Result<(), Fault> {
        let fix = &mut record.fix;
        match tag {
            0x03 => self.device = Some(imei(ascii(value.rest())?)?),
            0x20 => record.time = Some(value.u32_le()?),
            0x30 => {
                let state = value.u8()?;
                fix.valid = state >> 4 == 0;
                fix.set(name::SATELLITES, i64::from(state & 0xf));
                record.place = Some((value.i32_le()?, value.i32_le()?));
            }
            0x33 => {
                fix.speed_kmh(f64::from(value.u16_le()?) / 10.0).course_deg(f64::from(value.u16_le()?) / 10.0);
            }
            0x34 => drop(fix.altitude_m(value.i16_le()?.into())),
            0x35 => drop(fix.set(name::HDOP, f64::from(value.u8()?) / 10.0)),
            0x40 => drop(fix.set(name::STATUS, i64::from(value.u16_le()?))),
            0x41 => drop(fix.set(name::POWER_V, f64::from(value.u16_le()?) / 1e3)),
            0x42 => drop(fix.set(name::BATTERY_V, f64::from(value.u16_le()?) / 1e3)),
            0x45 => drop(fix.set("output", i64::from(value.u16_le()?))),
            0x46 => drop(fix.set("input", i64::from(value.u16_le()?))),
            0x50..=0x57 => drop(fix.set(format_smolstr!("adc.{}", tag - 0x50), f64::from(value.u16_le()?) / 1e3)),
            0x90 => match value.u32_le()? {
                0 => {}
                driver => drop(fix.set(name::DRIVER_ID, driver.to_string().as_str())),
            },
            0xd4 => drop(fix.set(name::ODOMETER_M, i64::from(value.u32_le()?))),
            _ => {}
        }
        Ok(())
    }
}

#[derive(Default)]
struct Record {
    time: Option<u32>,
    place: Option<(i32, i32)>,
    fix: FixBuilder,
}

fn finish(mut record: Record, archive: bool, decoded: &mut Decoded) {
    let (Some(time), Some((lat, lon))) = (record.time, record.place) else { return };
    if archive {
        record.fix.set(name::ARCHIVE, true);
    }
    let fix: Result<Fix, Fault> =
        from_unix_secs(time.into()).and_then(|time| record.fix.at(time, f64::from(lat) / 1e6, f64::from(lon) / 1e6));
    match fix {
        Ok(fix) => decoded.fixes.push(fix),
        Err(fault) => decoded.faults.push(fault),
    }
}

/// How many bytes a tag's value has, from the maker's table; some tell it themselves.
fn length_of(tag: u8, tags: &mut Reader<'_>) -> Result<usize, Fault> {
    Ok(match tag {
        0x01 | 0x02 | 0x35 | 0x43 | 0x88..=0x8c | 0xa0..=0xaf | 0xc4..=0xd2 | 0xd5 => 1,
        0x04
        | 0x10
        | 0x34
        | 0x40..=0x42
        | 0x45
        | 0x46
        | 0x48
        | 0x50..=0x59
        | 0x60..=0x62
        | 0x70..=0x77
        | 0xb0..=0xb9
        | 0xd6..=0xda => 2,
        0x5d | 0x63..=0x6f | 0xfa => 3,
        0x20
        | 0x33
        | 0x44
        | 0x47
        | 0x5a
        | 0x90
        | 0xc0..=0xc3
        | 0xd3
        | 0xd4
        | 0xdb..=0xdf
        | 0xe0
        | 0xe2..=0xe9
        | 0xf0..=0xf9 => 4,
        0x5b => 7,
        0xfd => 8,
        0x30 => 9,
        0x03 => 15,
        0x5c => 68,
        0xe1 | 0xea => usize::from(tags.u8()?),
        0xfe => usize::from(tags.u16_le()?),
        _ => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("tag {tag:02x}"))),
    })
}
