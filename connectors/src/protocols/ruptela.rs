//! Ruptela: `u16` length, IMEI as `u64`, command, payload, CRC-16/KERMIT. Records are answered by one packet for all.

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, ascii, from_unix_secs, imei, spoken, unsaid};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use crc::{CRC_16_KERMIT, Crc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "ruptela",
    port: 5046,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(RuptelaFraming),
        decoder: || Box::new(Ruptela { device: None }),
    },
};

/// Packets have at most 1 KiB of payload.
const MAX_FRAME_BYTES: usize = 4096;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_KERMIT);
/// Stands for a coordinate that is not known.
const UNKNOWN: i32 = i32::MIN;

const RECORDS: u8 = 0x01;
/// A text to the device, as if by a short message; its answer comes with [`SHORT_MESSAGE_ANSWER`].
const SHORT_MESSAGE: u8 = 108;
const SHORT_MESSAGE_ANSWER: u8 = 0x07;
const TROUBLE_CODES: u8 = 0x09;
const FILES: u8 = 0x25;
const EXTENDED_RECORDS: u8 = 0x44;

struct RuptelaFraming;

impl Framing for RuptelaFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let [high, low, ..] = buffer[..] else { return Ok(None) };
        let length = usize::from(u16::from_be_bytes([high, low])) + 4;
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a packet of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Ruptela {
    device: Option<DeviceId>,
}

impl Decoder for Ruptela {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        // Texts are those that it takes as short messages: an empty password, then the command.
        let text = match instruction {
            Instruction::RequestPosition => " coords".to_owned(),
            Instruction::Restart => " reset".to_owned(),
            Instruction::SetOutput { output, on } => format!(" setio {output},{}", u8::from(*on)),
            Instruction::Text { text } => text.clone(),
            _ => return Err(unsaid(instruction)),
        };
        Ok(reply(SHORT_MESSAGE, text.as_bytes()))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(2)?;
        let mut data = reader.part(reader.left().saturating_sub(2))?;
        let (found, expected) = (reader.u16()?, CRC.checksum(data.rest()));
        if found != expected {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        self.device = Some(imei(&format!("{:015}", data.u64()?))?);
        let command = data.u8()?;
        match command {
            // Both kinds of records are answered alike. What was refused here is answered too, or it would come again for ever.
            RECORDS | EXTENDED_RECORDS => {
                decoded.replies.push(reply(100, &[1]));
                records(&mut data, command == EXTENDED_RECORDS, decoded)?;
            }
            TROUBLE_CODES => {
                decoded.replies.push(reply(100 + command, &[1]));
                for _ in 0..data.u8()? {
                    match trouble_code(&mut data)? {
                        Ok(fix) => decoded.fixes.push(fix),
                        Err(fault) => decoded.faults.push(fault),
                    }
                }
            }
            // Identification and heartbeat.
            0x0f | 0x10 => decoded.replies.push(reply(100 + command, &[1])),
            FILES => {
                decoded.unread = Some("part of a file");
                decoded.replies.extend(next_part(&mut data)?);
            }
            SHORT_MESSAGE_ANSWER => decoded.answer = Some(spoken(data.rest())),
            // Answers to our commands, and texts.
            0x02..=0x08 => {}
            _ => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("command {command:02x}"))),
        }
        Ok(())
    }
}

fn reply(command: u8, content: &[u8]) -> Bytes {
    let data = [&[command], content].concat();
    [&(data.len() as u16).to_be_bytes(), &data[..], &CRC.checksum(&data).to_be_bytes()].concat().into()
}

/// A part of a picture: its kind, camera, name, the number of parts, this one's index, bytes. The next part is asked for, or the
/// device stays with this one.
fn next_part(data: &mut Reader<'_>) -> Result<Option<Bytes>, Fault> {
    const PART_OF_PICTURE: u8 = 2;
    let head = data.take(1 + 1 + 8)?;
    let (total, index) = (data.u16()?, data.u16()?);
    let next = index.saturating_add(1);
    let more = head[0] == PART_OF_PICTURE && next < total;
    Ok(more.then(|| reply(100 + FILES, &[head, &next.to_be_bytes()].concat())))
}

fn records(data: &mut Reader<'_>, extended: bool, decoded: &mut Decoded) -> Result<(), Fault> {
    data.skip(1)?; // records that are left in the device
    for _ in 0..data.u8()? {
        let (continues, record) = record(data, extended)?;
        match record {
            Ok(Some(fix)) if continues && decoded.fixes.last().is_some_and(|last| last.fix_time == fix.fix_time) => {
                // One fix with more elements than a record holds.
                let last = decoded.fixes.last_mut().expect("there is a last one");
                for (name, value) in fix.attributes.iter() {
                    last.attributes.set(name, value.clone());
                }
            }
            Ok(fix) => decoded.fixes.extend(fix),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    Ok(())
}

/// Outer error: the record's end was not found. Inner error: the record is whole, but its fix is no fix.
type Record = Result<(bool, Result<Option<Fix>, Fault>), Fault>;

/// One record, and whether it continues the one before.
fn record(data: &mut Reader<'_>, extended: bool) -> Record {
    let time = data.u32()?;
    data.skip(1)?;
    // Upper half: how many records belong together, less one. Lower half: which of them this is.
    let continues = extended && data.u8()? & 0xf > 0;
    data.skip(1)?; // priority
    let (lon, lat) = (data.i32()?, data.i32()?);
    let (altitude, course) = (data.u16()?, data.u16()?);
    let (satellites, speed, hdop) = (data.u8()?, data.u16()?, data.u8()?);
    let id_bytes = if extended { 2 } else { 1 };
    let event = data.uint(id_bytes)?;

    let mut fix = FixBuilder::valid(satellites >= 3);
    if altitude != u16::MAX {
        fix.altitude_m(f64::from(altitude as i16) / 10.0);
    }
    if course != u16::MAX {
        fix.course_deg(f64::from(course) / 100.0);
    }
    if speed != u16::MAX {
        fix.speed_kmh(speed.into());
    }
    fix.set(name::SATELLITES, i64::from(satellites)).set(name::HDOP, f64::from(hdop) / 10.0).set(name::EVENT, event as i64);
    for width in [1, 2, 4, 8] {
        for _ in 0..data.u8()? {
            let id = data.uint(id_bytes)?;
            element(&mut fix, id, data.uint(width)?);
        }
    }
    if lon == UNKNOWN || lat == UNKNOWN {
        return Ok((continues, Ok(None)));
    }
    let fix = from_unix_secs(time.into()).and_then(|time| fix.at(time, f64::from(lat) / 1e7, f64::from(lon) / 1e7));
    Ok((continues, fix.map(Some)))
}

fn element(fix: &mut FixBuilder, id: u64, value: u64) {
    match id {
        2..=5 => fix.set(format_smolstr!("in.{}", id - 1), value != 0),
        22 | 23 => fix.set(format_smolstr!("adc.{}", id - 21), value as i64),
        29 => fix.set(name::POWER_V, value as f64 / 1e3),
        30 => fix.set(name::BATTERY_V, value as f64 / 1e3),
        34 if value == 0 => fix, // no key is there
        34 => fix.set(name::DRIVER_ID, format_smolstr!("{value:016x}").as_str()),
        65 => fix.set(name::ODOMETER_M, value as i64),
        95 if value < 0xff => fix.set(name::OBD_SPEED_KMH, value as i64),
        98 => fix.set(name::FUEL_LEVEL, value as f64 * 100.0 / 255.0),
        // Of the vehicle's bus, SAE J1939: all ones stand for what is not known.
        207 if value < 0xfb => fix.set(name::FUEL_LEVEL, value as f64 * 0.4),
        207 => fix,
        208 if value < 0xfb00_0000 => fix.set(name::FUEL_USED_L, value as f64 / 2.0),
        922 => fix.set(name::OBD_ODOMETER_M, (value as i64).saturating_mul(1000)),
        94 => fix.set(name::RPM, value as f64 / 4.0),
        197 => fix.set(name::RPM, value as f64 / 8.0),
        150 => fix.set(name::OPERATOR, value as i64),
        173 => fix.set(name::MOTION, value == 1),
        251 | 409 => fix.set(name::IGNITION, value == 1),
        _ => fix.set(format_smolstr!("io.{id}"), value as i64),
    };
}

/// Where a trouble code was seen.
fn trouble_code(data: &mut Reader<'_>) -> Result<Result<Fix, Fault>, Fault> {
    data.skip(1)?;
    let time = data.u32()?;
    let (lon, lat) = (data.i32()?, data.i32()?);
    let kept = data.u8()? == 2;
    let code = data.take(5)?;
    let mut fix = FixBuilder::valid(true);
    if kept {
        fix.set(name::ARCHIVE, true);
    }
    let finish = |mut fix: FixBuilder| {
        fix.set(name::DTCS, ascii(code)?);
        fix.at(from_unix_secs(time.into())?, f64::from(lat) / 1e7, f64::from(lon) / 1e7)
    };
    Ok(finish(fix))
}
