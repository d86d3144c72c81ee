//! Cellocator (Pointer, PowerFleet): `MCGP` + kind + id + …, lowest bytes first, angles in radians; each message is acknowledged.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Said, Transport};
use crate::readers::{FixBuilder, Reader, checksum_holds, civil, device_id, hex, malformed, sum, unsaid};
use crate::vocabulary::{self as name, alarm};
use bytes::{Bytes, BytesMut};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "cellocator",
    port: 5033,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(CellocatorFraming),
        decoder: || Box::new(Cellocator::default()),
    },
};

const MAX_FRAME_BYTES: usize = 2048;
/// The system code, and that of units whose numbers are in degrees and km/h.
const RADIANS: &[u8] = b"MCGP";
const DEGREES: &[u8] = b"MCPG";

const STATUS: u8 = 0;
const PROGRAMMING: u8 = 3;
const LOG: u8 = 7;
const SERIAL: u8 = 8;
const MODULAR: u8 = 9;
const MODULAR_LONG: u8 = 11;

struct CellocatorFraming;

impl Framing for CellocatorFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let Some(head) = buffer.get(..19) else { return Ok(None) };
        if !head.starts_with(RADIANS) && !head.starts_with(DEGREES) {
            return Err(malformed("a message begins with MCGP"));
        }
        let number = |at: usize| usize::from(u16::from_le_bytes([head[at], head[at + 1]]));
        let length = match head[4] {
            STATUS | LOG => 70,
            PROGRAMMING => 31,
            SERIAL => 19 + number(16),
            MODULAR => 15 + usize::from(head[13]),
            MODULAR_LONG => 16 + number(13),
            kind => return Err(malformed(format_args!("nothing tells the length of a message of kind {kind}"))),
        };
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

#[derive(Default)]
struct Cellocator {
    device: Option<DeviceId>,
    /// Number of the next acknowledgement.
    sent: u8,
}

impl Decoder for Cellocator {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let (output, on) = match instruction {
            Instruction::SetOutput { output, on } => (*output, *on),
            _ => return Err(unsaid(instruction)),
        };
        if output > 7 {
            return Err(SmolStr::new_static("outputs are 0 to 7"));
        }
        let id = device.as_str().parse::<u32>().unwrap_or_default();
        // Change an output, twice: which, and what to.
        let which = output | u8::from(on) << 4;
        let mut message = [RADIANS, &[0], &id.to_le_bytes(), &[0; 5], &[3, 3, which, which], &[0; 6]].concat();
        message.push(sum(&message[4..]));
        Ok(message.into())
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let Some((found, covered)) = frame.split_last().filter(|(_, covered)| covered.len() > 4) else {
            return Err(malformed("a short message"));
        };
        let in_degrees = covered.starts_with(DEGREES);
        // The sum of the other family is not known: one recorded message differs.
        if !in_degrees && !checksum_holds(*found, sum(&covered[4..]), context, decoded) {
            return Ok(());
        }
        let mut reader = Reader::new(covered);
        reader.skip(4)?;
        let kind = reader.u8()?;
        let id = reader.u32_le()?;
        self.device = Some(device_id(&id.to_string())?);
        if kind != SERIAL {
            reader.skip(2)?;
        }
        let number = reader.u8()?;
        decoded.replies.push(if kind == MODULAR_LONG {
            modular_acknowledgement(id, number)
        } else {
            self.acknowledgement(id, number)
        });
        match kind {
            STATUS => decoded.fixes.push(status(in_degrees, &mut reader)?),
            MODULAR_LONG => decoded.fixes.extend(modules(&mut reader)?),
            _ => {}
        }
        Ok(())
    }
}

impl Cellocator {
    fn acknowledgement(&mut self, id: u32, number: u8) -> Bytes {
        let mut message = [RADIANS, &[4], &id.to_le_bytes(), &[self.sent, 0, 0, 0, 0, 0, number], &[0; 11]].concat();
        message.push(sum(&message[4..]));
        self.sent = self.sent.wrapping_add(1);
        message.into()
    }
}

/// The same for messages of modules: control, length, spare, and a module 9 of three bytes.
fn modular_acknowledgement(id: u32, number: u8) -> Bytes {
    let head = [RADIANS, &[MODULAR_LONG], &id.to_le_bytes(), &[number, 0, 0, 0, 0]].concat();
    let mut message = [&head[..], &[0x80, 10, 0, 0, 0, 0, 0], &[9, 3, 0, 0, 0, 0]].concat();
    message.push(sum(&message[4..]));
    message.into()
}

/// Versions, state, reason, mode, inputs, analogue inputs, odometer, card; state of the receiver, place, time.
fn status(in_degrees: bool, reader: &mut Reader<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(true);
    reader.skip(1 + 1 + 1)?;
    fix.set(name::STATUS, i64::from(reader.u8()? & 0xf));
    reader.skip(1 + 1)?;
    let reason = reader.u8()?;
    fix.set(name::EVENT, i64::from(reason)).set_some(name::ALARM, alarm_word(reason));
    reader.skip(1)?;
    fix.set("input", i64::from(reader.u32_le()?));
    reader.skip(1)?;
    for index in 1..=4 {
        fix.set(format_smolstr!("adc.{index}"), i64::from(reader.u8()?));
    }
    let [low, middle, high] = reader.array()?;
    // The installer chooses its unit: the default is a kilometre for units of this family's first form.
    fix.set("odometer", i64::from(u32::from_le_bytes([low, middle, high, 0])));
    let card = reader.take(6)?;
    if card.iter().any(|byte| *byte != 0) {
        fix.set(name::DRIVER_ID, hex(card).as_str());
    }
    reader.skip(2 + 1 + 1 + 1)?; // time of the fix, states
    fix.set(name::SATELLITES, i64::from(reader.u8()?));
    let (lon, lat) = (f64::from(reader.i32_le()?), f64::from(reader.i32_le()?));
    fix.altitude_m(f64::from(reader.i32_le()?) / 100.0);
    let (speed, course) = (f64::from(reader.u32_le()?), f64::from(reader.u16_le()?) / 1e3);
    let (lat, lon) = if in_degrees {
        fix.speed_kmh(speed).course_deg(course);
        (lat / 1e7, lon / 1e7)
    } else {
        fix.speed_mps(speed / 100.0).course_deg(course.to_degrees());
        ((lat / 1e8).to_degrees(), (lon / 1e8).to_degrees())
    };
    let [second, minute, hour, day, month] = reader.array()?.map(u32::from);
    fix.at(civil([reader.u16_le()?.into(), month, day], [hour, minute, second])?, lat, lon)
}

/// Control, length, two words; then modules with their kind and length. A place and a time make a fix.
fn modules(reader: &mut Reader<'_>) -> Result<Option<Fix>, Fault> {
    reader.skip(1 + 2 + 2 + 2)?;
    let mut fix = FixBuilder::default();
    let (mut place, mut time) = (None, None);
    while reader.left() >= 3 {
        let kind = reader.u8()?;
        let length = reader.u16_le()?;
        let mut module = reader.part(length.into())?;
        match kind {
            2 => {
                module.skip(2 + 4)?;
                for _ in 0..module.u8()? {
                    let id = module.u16_le()?;
                    module.skip(1)?;
                    fix.set(format_smolstr!("io.{id}"), i64::from(module.u32_le()?));
                }
            }
            6 => {
                module.skip(1 + 1 + 1)?;
                fix.set(name::SATELLITES, i64::from(module.u8()?));
                let (lon, lat) = (f64::from(module.i32_le()?) / 1e8, f64::from(module.i32_le()?) / 1e8);
                place = Some((lat.to_degrees(), lon.to_degrees()));
                fix.altitude_m(f64::from(module.i32_le()?) / 100.0).speed_mps(f64::from(module.u8()?) / 100.0);
                fix.course_deg((f64::from(module.u16_le()?) / 1e3).to_degrees());
            }
            7 => {
                module.skip(1)?;
                let [second, minute, hour, day, month, year] = module.array()?.map(u32::from);
                time = Some(civil([year, month, day], [hour, minute, second])?);
            }
            _ => {}
        }
    }
    match (place, time) {
        (Some((lat, lon)), Some(time)) => fix.at(time, lat, lon).map(Some),
        _ => Ok(None),
    }
}

fn alarm_word(reason: u8) -> Option<&'static str> {
    match reason {
        70 => Some(alarm::SOS),
        80 => Some(alarm::POWER_CUT),
        81 => Some(alarm::LOW_POWER),
        _ => None,
    }
}
