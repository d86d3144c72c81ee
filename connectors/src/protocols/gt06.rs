//! GT06, Concox and the many makes that speak it: `7878` length8 or `7979` length16, type, content, serial, CRC-X25, `0d0a`.
//!
//! The login comes first and is told once; most messages are answered with their type and serial. Some cheap makes send frames
//! without serial and checksum, or with a length that counts something else: see [`shape`].

mod framing;
mod messages;
mod others;
mod pictures;

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Protocol, Said, Transport};
use crate::readers::{Reader, malformed, packed_imei, spoken, unsaid};
use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike, Utc};
use crc::{CRC_16_IBM_SDLC, Crc};
use framing::{Gt06Framing, Shape, shape};
use pictures::Picture;
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gt06",
    port: 5023,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Gt06Framing),
        decoder: || Box::new(Gt06 { device: None, utc_offset_ms: 0, picture: None }),
    },
};

/// Texts of `7979` frames are the longest: a few hundred bytes.
const MAX_FRAME_BYTES: usize = 4096;
/// CRC-X25, also called CRC-ITU in the makers' documents.
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_SDLC);
const END: [u8; 2] = *b"\r\n";

const LOGIN: u8 = 0x01;
/// The answer to a command, as most makes and as the newer ones send it.
const ANSWER: u8 = 0x15;
const ANSWER_EXTENDED: u8 = 0x21;
const WIFI: u8 = 0x17;
const ADDRESS_REQUEST: u8 = 0x2a;
const WIFI_OFFLINE: u8 = 0x69;
const COMMAND: u8 = 0x80;
const TIME_REQUEST: u8 = 0x8a;
const ADDRESS_RESPONSE: u8 = 0x97;

struct Gt06 {
    device: Option<DeviceId>,
    /// Device time minus UTC, as the login told it.
    utc_offset_ms: i64,
    /// The picture that the device is being asked for.
    picture: Option<Picture>,
}

/// A frame, taken apart.
struct Message<'a> {
    /// `7979`: the second set of message types.
    extended: bool,
    kind: u8,
    /// Between the type and the serial number (or the end mark, if there is no serial number).
    content: &'a [u8],
    serial: u16,
}

impl Decoder for Gt06 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn command(&mut self, _device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let text = match instruction {
            Instruction::EngineStop => "Relay,1#".to_owned(),
            Instruction::EngineResume => "Relay,0#".to_owned(),
            Instruction::RequestPosition => "WHERE#".to_owned(),
            Instruction::ReportEvery { seconds } => format!("TIMER,{seconds},{seconds}#"),
            Instruction::Restart => "RESET#".to_owned(),
            Instruction::Text { text } => text.clone(),
            _ => return Err(unsaid(instruction)),
        };
        // The length of the text and four bytes that the answer repeats, then the text.
        let length = u8::try_from(4 + text.len()).ok().filter(|length| *length <= u8::MAX - 6);
        let Some(length) = length else { return Err(SmolStr::new_static("the text is too long for one message")) };
        Ok(reply(false, COMMAND, 0, &[&[length, 0, 0, 0, 0], text.as_bytes()].concat()))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let shape = shape(frame);
        if shape == Shape::Checked
            && let Err(fault) = check(frame)
        {
            decoded.faults.push(fault);
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        let message = take_apart(frame, shape)?;
        if message.kind == LOGIN && !message.extended {
            return self.login(&message, decoded);
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, format_smolstr!("message {:02x} before the login", message.kind)));
        }
        if shape == Shape::Stations {
            // Only Wi-Fi and cell stations, no fix; the answer repeats the time. Length, type and time stand at 2, 3 and 4.
            let mut reader = Reader::new(message.content);
            decoded.replies.push(Bytes::from([b"xx\0", &[message.kind][..], reader.take(6)?, &END].concat()));
            return Ok(());
        }
        if !message.extended && pictures::is_one(message.kind, message.content, self.picture.as_ref()) {
            decoded.unread = Some("part of a picture");
            decoded.replies.extend(pictures::request(message.kind, message.content, &mut self.picture)?);
            return Ok(());
        }
        decoded.answer = command_answer(&message);
        decoded.replies.extend(answer(&message, context));
        match messages::fix(message.extended, message.kind, message.content, self.utc_offset_ms) {
            Some(Ok(fix)) => decoded.fixes.push(fix),
            Some(Err(fault)) => {
                return Err(Fault::new(fault.kind, format_smolstr!("message {:02x}: {}", message.kind, fault.detail)));
            }
            None if !is_known(message.extended, message.kind) => decoded.unread = Some("a message type"),
            None => {}
        }
        Ok(())
    }
}

/// Whether a type of message is known: of fixes, heartbeats, stations, texts, readings.
const fn is_known(extended: bool, kind: u8) -> bool {
    if extended {
        return matches!(kind, 0x21 | 0x32 | 0x33 | 0x38 | 0x66 | 0x70 | 0x84 | 0x8c | 0x94 | 0x9b | 0xf1 | 0xf2);
    }
    matches!(
        kind,
        0x08 | 0x10..=0x19
            | 0x1a
            | 0x1e
            | 0x1f
            | 0x22..=0x28
            | 0x2a
            | 0x2c..=0x2e
            | 0x31..=0x37
            | 0x61
            | 0x69
            | 0x80..=0x83
            | 0x8a
            | 0x94
            | 0x95
            | 0xa0..=0xa5
            | 0xf3
    )
}

impl Gt06 {
    /// IMEI, then perhaps a model number and the time zone.
    fn login(&mut self, message: &Message<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(message.content);
        self.device = Some(packed_imei(reader.take(8)?)?);
        self.utc_offset_ms = 0;
        if reader.left() >= 4 {
            reader.skip(2)?;
            let zone = reader.u16()?;
            // Hours and minutes as the decimal number hhmm, then a bit for west of Greenwich.
            let minutes = i64::from((zone >> 4) / 100 * 60 + (zone >> 4) % 100);
            if minutes <= 14 * 60 {
                self.utc_offset_ms = minutes * 60_000 * if zone & 0x8 == 0 { 1 } else { -1 };
            }
        }
        decoded.replies.push(reply(false, LOGIN, message.serial, &[]));
        Ok(())
    }
}

/// Compares the checksum, over everything between the start mark and itself.
fn check(frame: &[u8]) -> Result<(), Fault> {
    let Some((covered, [high, low, ..])) = frame.split_at_checked(frame.len().saturating_sub(4)) else {
        return Err(malformed("a frame without a checksum"));
    };
    let (found, expected) = (u16::from_be_bytes([*high, *low]), CRC.checksum(covered.get(2..).unwrap_or_default()));
    if found != expected {
        return Err(Fault::new(FaultKind::Checksum, format_smolstr!("CRC is {found:04x}, not {expected:04x}")));
    }
    Ok(())
}

fn take_apart(frame: &[u8], shape: Shape) -> Result<Message<'_>, Fault> {
    let mut reader = Reader::new(frame);
    let extended = match reader.take(2)? {
        b"xx" => false,
        b"yy" => true,
        _ => return Err(malformed("a frame begins with 7878 or 7979")),
    };
    reader.skip(if extended { 2 } else { 1 })?;
    let kind = reader.u8()?;
    // The serial number that answers repeat. Frames without one are answered with what stands in its place.
    let serial = frame.len().checked_sub(6).and_then(|at| Reader::new(&frame[at..]).u16().ok()).unwrap_or_default();
    let tail = if shape == Shape::Checked { 6 } else { 2 };
    let content = reader.take(reader.left().saturating_sub(tail))?;
    Ok(Message { extended, kind, content, serial })
}

/// The text of an answer to a command: behind its length and four bytes of the command, in front of the language; or behind those
/// four bytes and the encoding.
fn command_answer(message: &Message<'_>) -> Option<SmolStr> {
    let text = match (message.extended, message.kind) {
        (false, ANSWER) => {
            let (length, rest) = message.content.split_first()?;
            rest.get(..usize::from(*length))?.get(4..)?
        }
        (true, ANSWER_EXTENDED) => message.content.get(5..)?,
        _ => return None,
    };
    Some(spoken(text))
}

/// What the device waits for, if it waits.
fn answer(message: &Message<'_>, context: &Context) -> Option<Bytes> {
    match (message.extended, message.kind) {
        (false, ADDRESS_REQUEST) => {
            let text = b"NA&&NA&&0##"; // no address is known
            let content = [&[text.len() as u8, 0, 0, 0, 0], &text[..]].concat();
            Some(reply(true, ADDRESS_RESPONSE, 0, &content))
        }
        (false, TIME_REQUEST) => {
            let now = DateTime::<Utc>::from(context.received_at);
            let parts = [now.year() as u32 % 100, now.month(), now.day(), now.hour(), now.minute(), now.second()];
            Some(reply(false, TIME_REQUEST, 0, &parts.map(|part| part as u8)))
        }
        // Answers to commands, Wi-Fi lists; the X1's positions; those of VXT01, told by where the fix begins.
        (false, 0x80..=0x83 | 0x94 | 0xf3 | 0x34) => None,
        (false, 0x24) if messages::has_fix(message.content) => None,
        (false, kind) => Some(reply(false, kind, message.serial, &[])),
        (true, 0x32 | 0x33) => Some(reply(true, message.kind, message.serial, &[])),
        (true, 0x70 | 0xf1 | 0xf2) => Some(reply(false, message.kind, message.serial, &[])),
        (true, _) => None,
    }
}

/// A frame from us. The length counts type, content, serial number and checksum.
fn reply(extended: bool, kind: u8, serial: u16, content: &[u8]) -> Bytes {
    let length = content.len() + 5;
    let mut frame = if extended { vec![b'y', b'y', 0, length as u8] } else { vec![b'x', b'x', length as u8] };
    frame.push(kind);
    frame.extend_from_slice(content);
    frame.extend_from_slice(&serial.to_be_bytes());
    let checksum = CRC.checksum(&frame[2..]);
    frame.extend_from_slice(&checksum.to_be_bytes());
    frame.extend_from_slice(&END);
    frame.into()
}
