//! Teltonika: codecs 8, 8 Extended, 16 and GH (positions), 12 and 13 (texts), over TCP and UDP.
//!
//! TCP: a login (`u16` length, IMEI) answered `01`/`00`; then packets of four zero bytes, `u32` length, data, CRC-16/ARC as `u32`.
//! Data: codec, record count, records, record count again. Positions are answered with the count as `u32`; `ff` is a ping.

mod commands;
mod io;
mod pictures;

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, ascii, bit, from_unix_millis, from_unix_secs, imei, malformed, unhex, unsaid};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use crc::{CRC_16_ARC, Crc};
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "teltonika",
    port: 5027,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(TeltonikaFraming),
        decoder: || Box::new(Teltonika { device: None }),
    },
};

/// AVL packets have at most 1,280 bytes; codec 12 carries texts and pictures in blocks of 2 KiB.
const MAX_FRAME_BYTES: usize = 16 * 1024;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_ARC);
/// 2007-01-01, where codec GH counts from.
const GH_EPOCH_SECS: i64 = 1_167_609_600;

const CODEC_GH: u8 = 0x07;
const CODEC_8: u8 = 0x08;
const CODEC_12: u8 = 0x0c;
const CODEC_13: u8 = 0x0d;
const CODEC_16: u8 = 0x10;
const CODEC_8_EXTENDED: u8 = 0x8e;

struct TeltonikaFraming;

impl Framing for TeltonikaFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let length = match buffer[..] {
            [0xff, ..] => 1,
            [0, 0, 0, 0, a, b, c, d, ..] => 12usize.saturating_add(u32::from_be_bytes([a, b, c, d]) as usize),
            // Up to here it may still become a packet.
            [] | [_] | [0, 0] | [0, 0, 0] | [0, 0, 0, 0, ..] => return Ok(None),
            [0, 0, ..] => return Err(malformed("a packet does not begin with four zero bytes")),
            [a, b, ..] => 2 + usize::from(u16::from_be_bytes([a, b])),
        };
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a packet of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Teltonika {
    device: Option<DeviceId>,
}

impl Decoder for Teltonika {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let text = match instruction {
            Instruction::EngineStop => "setdigout 1".to_owned(),
            Instruction::EngineResume => "setdigout 0".to_owned(),
            Instruction::SetOutput { output, on } => {
                // One digit for each output; `?` leaves it as it is.
                let others = "?".repeat(usize::from(output.saturating_sub(1)));
                format!("setdigout {others}{}", u8::from(*on))
            }
            Instruction::RequestPosition => "getgps".to_owned(),
            Instruction::Restart => "cpureset".to_owned(),
            // The least time between records of a moving vehicle in its home network.
            Instruction::ReportEvery { seconds } => format!("setparam 10050:{seconds}"),
            Instruction::Text { text } => text.clone(),
            Instruction::Bytes { hex } => return Ok(commands::packet(&unhex(hex))),
            _ => return Err(unsaid(instruction)),
        };
        Ok(commands::packet(text.as_bytes()))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame {
            [0xff] => Ok(()),
            [0, 0, ..] => self.packet(frame, context, decoded),
            [_, _, digits @ ..] if !context.datagram && digits.iter().all(u8::is_ascii_digit) => self.login(digits, decoded),
            _ => self.datagram(frame, decoded),
        }
    }
}

impl Teltonika {
    fn login(&mut self, digits: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        self.device = Some(imei(ascii(digits)?)?);
        decoded.replies.push(Bytes::from_static(&[1]));
        decoded.refusal = Some(Bytes::from_static(&[0]));
        Ok(())
    }

    fn packet(&self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(8)?;
        let mut data = reader.part(reader.left().saturating_sub(4))?;
        let expected = CRC.checksum(data.rest());
        let found = reader.u32()?;
        if found != u32::from(expected) {
            decoded.faults.push(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a packet before the login"));
        }
        if let [CODEC_12, _, pictures::TYPE, ..] = data.rest() {
            decoded.unread = Some("part of a picture");
            decoded.replies.extend(pictures::request(&mut data)?.map(|data| wrap(&data)));
            return Ok(());
        }
        if let Some(count) = data_field(&mut data, decoded)? {
            decoded.replies.push(Bytes::copy_from_slice(&u32::from(count).to_be_bytes()));
        }
        Ok(())
    }

    /// `u16` length, `u16` packet id, `01`, `u8` id of the AVL packet, `u16` length and IMEI, data. No checksum.
    fn datagram(&mut self, frame: &[u8], decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        let length = usize::from(reader.u16()?);
        let mut reader = reader.part(length)?;
        reader.skip(3)?;
        let packet = reader.u8()?;
        let digits = usize::from(reader.u16()?);
        self.device = Some(imei(ascii(reader.take(digits)?)?)?);
        if let Some(count) = data_field(&mut reader, decoded)? {
            decoded.replies.push(Bytes::copy_from_slice(&[0, 5, 0, 0, 1, packet, count]));
        }
        Ok(())
    }
}

/// The TCP packet around a data field.
fn wrap(data: &[u8]) -> Bytes {
    let checksum = u32::from(CRC.checksum(data)).to_be_bytes();
    [&[0; 4], &(data.len() as u32).to_be_bytes()[..], data, &checksum].concat().into()
}

/// Reads codec, count and records. Gives the count to answer with: all of them, also those that were refused here, so that
/// the device does not send the same packet for ever.
fn data_field(data: &mut Reader<'_>, decoded: &mut Decoded) -> Result<Option<u8>, Fault> {
    let codec = data.u8()?;
    let count = data.u8()?;
    if let CODEC_12 | CODEC_13 = codec {
        // Answers to commands and texts from serial ports: no positions, no answer.
        decoded.answer = commands::answer(codec, data);
        return Ok(None);
    }
    let Some(layout) = Layout::of(codec) else {
        return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("codec {codec:02x}")));
    };
    for index in 0..count {
        let in_record = |fault: Fault| Fault::new(fault.kind, format_smolstr!("record {index}: {}", fault.detail));
        let record = match layout {
            Layout::Gh => gh_record(data),
            Layout::Avl(avl) => avl_record(data, avl),
        };
        match record {
            Ok(Ok(fix)) => decoded.fixes.extend(fix),
            Ok(Err(refused)) => decoded.faults.push(in_record(refused)),
            Err(structure_lost) => {
                decoded.faults.push(in_record(structure_lost));
                return Ok(Some(count));
            }
        }
    }
    if data.u8().ok() != Some(count) {
        decoded.faults.push(malformed("the record counts before and after the records differ"));
    }
    Ok(Some(count))
}

/// How a codec lays out its records.
#[derive(Clone, Copy)]
enum Layout {
    Gh,
    Avl(Avl),
}

#[derive(Clone, Copy)]
struct Avl {
    id_bytes: usize,
    count_bytes: usize,
    /// A byte says what made the record.
    generation: bool,
    /// Elements of any length follow those of 1, 2, 4 and 8 bytes.
    variable: bool,
}

impl Layout {
    const fn of(codec: u8) -> Option<Self> {
        match codec {
            CODEC_GH => Some(Self::Gh),
            CODEC_8 => Some(Self::Avl(Avl { id_bytes: 1, count_bytes: 1, generation: false, variable: false })),
            CODEC_16 => Some(Self::Avl(Avl { id_bytes: 2, count_bytes: 1, generation: true, variable: false })),
            CODEC_8_EXTENDED => Some(Self::Avl(Avl { id_bytes: 2, count_bytes: 2, generation: false, variable: true })),
            _ => None,
        }
    }
}

/// Outer error: the record's end was not found. Inner error: the record is whole, but its fix is no fix.
type Record = Result<Result<Option<Fix>, Fault>, Fault>;

fn avl_record(data: &mut Reader<'_>, layout: Avl) -> Record {
    let time = data.u64()?;
    let priority = data.u8()?;
    let (lon, lat) = (data.i32()?, data.i32()?);
    let (altitude, course) = (data.i16()?, data.u16()?);
    let (satellites, speed) = (data.u8()?, data.u16()?);
    let event = data.uint(layout.id_bytes)?;

    let mut fix = FixBuilder::valid(satellites > 0);
    fix.altitude_m(altitude.into()).course_deg(course.into()).speed_kmh(speed.into());
    fix.set(name::SATELLITES, i64::from(satellites)).set("priority", i64::from(priority)).set(name::EVENT, event as i64);
    if layout.generation {
        fix.set("generation", i64::from(data.u8()?));
    }
    data.uint(layout.count_bytes)?; // of all elements: the sum of the counts below
    for width in [1, 2, 4, 8] {
        for _ in 0..data.uint(layout.count_bytes)? {
            let id = data.uint(layout.id_bytes)?;
            io::element(&mut fix, id, data.take(width)?);
        }
    }
    if layout.variable {
        for _ in 0..data.u16()? {
            let id = data.u16()?;
            let length = data.u16()?;
            io::variable_element(&mut fix, id, data.take(length.into())?);
        }
    }
    let time = from_unix_millis(time.min(i64::MAX as u64) as i64);
    Ok(time.and_then(|time| fix.at(time, f64::from(lat) / 1e7, f64::from(lon) / 1e7)).map(Some))
}

/// A record of codec GH: a mask says what it holds. A receiver that found no place leaves it out of its part: such a record is
/// kept at 0,0 and invalid, as the other codecs have it. A record without the receiver's part is no fix.
fn gh_record(data: &mut Reader<'_>) -> Record {
    let time = i64::from(data.u32()? & 0x3fff_ffff) + GH_EPOCH_SECS; // the two bits above are the priority
    let parts = data.u8()?;
    let mut fix = FixBuilder::valid(true);
    let mut place = None;
    if bit(parts, 0) {
        place = Some((0.0, 0.0));
        let mask = data.u8()?;
        if bit(mask, 0) {
            place = Some((f64::from(data.f32()?), f64::from(data.f32()?)));
        }
        if bit(mask, 1) {
            fix.altitude_m(data.u16()?.into());
        }
        if bit(mask, 2) {
            fix.course_deg(f64::from(data.u8()?) * 360.0 / 256.0);
        }
        if bit(mask, 3) {
            fix.speed_kmh(data.u8()?.into());
        }
        if bit(mask, 4) {
            let satellites = data.u8()?;
            fix.valid = satellites > 0;
            fix.set(name::SATELLITES, i64::from(satellites));
        }
        if bit(mask, 5) {
            data.skip(4)?; // area and cell of the mobile network
        }
        if bit(mask, 6) {
            fix.set(name::RSSI, i64::from(data.i8()?));
        }
        if bit(mask, 7) {
            fix.set(name::OPERATOR, i64::from(data.u32()?));
        }
    }
    for (index, width) in [(1, 1), (2, 2), (3, 4)] {
        if bit(parts, index) {
            for _ in 0..data.u8()? {
                let id = data.u8()?;
                io::gh_element(&mut fix, id, data.uint(width)?);
            }
        }
    }
    let Some((lat, lon)) = place else { return Ok(Ok(None)) };
    Ok(from_unix_secs(time).and_then(|time| fix.at(time, lat, lon)).map(Some))
}
