//! JT/T 808, editions 2011 to 2019: `7e…7e`, escaped, XOR-checked. Every message of a terminal is answered by number.
//!
//! Header: type, attributes (bit 13: part of a longer message, bit 14: edition 2019), from 2019 a version, the terminal's id as
//! digits, a serial number, for parts their total and index. Locks (`55xx`) have a short header of their own and packed digits.

mod framing;
mod location;

use crate::protocol::{Checksums, Context, Decoded, Decoder, Fault, FaultKind, Protocol, Said, Transport};
use crate::readers::{Reader, bit, device_id, hex, imei, luhn, malformed, unhex, unsaid};
use crate::vocabulary as name;
use bytes::Bytes;
use chrono::{DateTime, Datelike, Timelike, Utc};
use framing::{Jt808Framing, escape};
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{DeviceId, Instruction};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "jt808",
    port: 5015,
    max_frame_bytes: framing::MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Jt808Framing),
        decoder: || Box::new(Jt808 { device: None, parts: None, terminal: None, sent: 0 }),
    },
};

/// The terminal's answer to anything of ours.
const CONFIRMATION: u16 = 0x0001;
const POSITION_REQUEST: u16 = 0x8201;
const POSITION_ANSWER: u16 = 0x0201;
const TERMINAL_CONTROL: u16 = 0x8105;
const SET_PARAMETERS: u16 = 0x8103;
/// Seconds between reports at all times.
const REPORT_INTERVAL: u32 = 0x0029;
const TEXT: u16 = 0x8300;
const REGISTRATION: u16 = 0x0100;
const LOCATION: u16 = 0x0200;
const LOCATION_BATCH: u16 = 0x0704;
const LOCK_LOCATION: u16 = 0x5501;
/// Kept while there was no network.
const LOCK_LOCATION_KEPT: u16 = 0x5502;
const TIME_REQUEST: u16 = 0x0109;
const TIME_REQUEST_2019: u16 = 0x0004;

/// What parts of one message may have together.
const MAX_PARTS: u16 = 64;

struct Jt808 {
    device: Option<DeviceId>,
    /// A message that comes in parts, as far as it came.
    parts: Option<Parts>,
    /// How it heads its messages.
    terminal: Option<Terminal>,
    /// The serial number of our last command.
    sent: u16,
}

/// What headers of messages to a terminal repeat of its own.
#[derive(Clone)]
struct Terminal {
    edition_2019: bool,
    version: u8,
    /// As it came.
    id: Vec<u8>,
}

impl Terminal {
    /// One that has not said anything: of the older editions, which are the most.
    fn of_edition_2011(device: &DeviceId) -> Option<Self> {
        let digits = format!("{:0>12}", device.as_str());
        let id = (digits.len() == 12 && digits.bytes().all(|digit| digit.is_ascii_digit())).then(|| unhex(&digits))?;
        Some(Self { edition_2019: false, version: 0, id })
    }

    /// A message to it.
    fn message(&self, kind: u16, serial: u16, body: &[u8]) -> Bytes {
        let attributes = body.len() as u16 | if self.edition_2019 { 1 << 14 } else { 0 };
        let mut message = [kind.to_be_bytes(), attributes.to_be_bytes()].concat();
        if self.edition_2019 {
            message.push(self.version);
        }
        message.extend_from_slice(&self.id);
        message.extend_from_slice(&serial.to_be_bytes());
        message.extend_from_slice(body);
        escape(&message)
    }
}

struct Parts {
    kind: u16,
    total: u16,
    body: Vec<u8>,
    /// Serial numbers to answer once the message is whole.
    serials: Vec<u16>,
}

struct Header<'a> {
    kind: u16,
    edition_2019: bool,
    version: u8,
    /// The terminal's id as it came.
    id: &'a [u8],
    serial: u16,
}

impl Decoder for Jt808 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    /// Twelve digits, or twenty in the edition of 2019, as on labels.
    fn aliases(&self, device: &DeviceId) -> Vec<DeviceId> {
        [12, 20].iter().filter_map(|width| DeviceId::new(format!("{:0>width$}", device.as_str())).ok()).collect()
    }

    fn command(&mut self, device: &DeviceId, instruction: &Instruction, _context: &Context) -> Said {
        let (kind, body) = match instruction {
            Instruction::EngineStop => (TERMINAL_CONTROL, vec![0xf0]),
            Instruction::EngineResume => (TERMINAL_CONTROL, vec![0xf1]),
            Instruction::Restart => (TERMINAL_CONTROL, vec![4]),
            Instruction::RequestPosition => (POSITION_REQUEST, Vec::new()),
            // One parameter of four bytes.
            Instruction::ReportEvery { seconds } => {
                (SET_PARAMETERS, [&[1][..], &REPORT_INTERVAL.to_be_bytes(), &[4], &seconds.to_be_bytes()].concat())
            }
            Instruction::Text { text } => (TEXT, [&[1], text.as_bytes()].concat()),
            _ => return Err(unsaid(instruction)),
        };
        let terminal = match &self.terminal {
            Some(terminal) => terminal.clone(),
            None => Terminal::of_edition_2011(device).ok_or_else(|| SmolStr::new_static("the id is no number of 12 digits"))?,
        };
        self.sent = self.sent.wrapping_add(1);
        Ok(terminal.message(kind, self.sent, &body))
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        match frame.first() {
            Some(b'(') => self.text(frame, context, decoded),
            _ => self.message(frame, context, decoded),
        }
    }
}

impl Jt808 {
    /// Locks ask for the time in a text: `(id,1,001,BASE,2,TIME)`.
    fn text(&self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a text before the first message"));
        }
        if let Some(request) = text.strip_suffix("TIME)") {
            let now = DateTime::<Utc>::from(context.received_at).format("%Y%m%d%H%M%S");
            decoded.replies.push(format!("{request}{now})").into());
        }
        Ok(())
    }

    fn message(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let Some([_, content @ .., checksum, _]) = frame.get(..).filter(|frame| frame.len() > 12) else {
            return Err(malformed(format_args!("a message of {} bytes", frame.len())));
        };
        let expected = content.iter().fold(0, |sum, byte| sum ^ byte);
        if *checksum != expected {
            let detail = format_smolstr!("checksum is {checksum:02x}, not {expected:02x}");
            decoded.faults.push(Fault::new(FaultKind::Checksum, detail));
            if context.checksums == Checksums::Refuse {
                return Ok(());
            }
        }
        let mut reader = Reader::new(content);
        let kind = reader.u16()?;
        let attributes = reader.u16()?;
        if kind == LOCK_LOCATION || kind == LOCK_LOCATION_KEPT {
            return self.lock(kind, attributes, &mut reader, decoded);
        }
        let edition_2019 = bit(attributes, 14);
        let version = if edition_2019 { reader.u8()? } else { 0 };
        let id = reader.take(if edition_2019 { 10 } else { 6 })?;
        let header = Header { kind, edition_2019, version, id, serial: reader.u16()? };
        self.device = Some(identity(id)?);
        self.terminal = Some(Terminal { edition_2019, version, id: id.to_vec() });
        if bit(attributes, 13) {
            let (total, index) = (reader.u16()?, reader.u16()?);
            return self.part(&header, total, index, reader.rest(), context, decoded);
        }
        whole(&header, reader.rest(), decoded);
        decoded.replies.extend(answer(&header, header.serial, context));
        Ok(())
    }

    /// A part of reports is answered only when the message is whole: until then nothing of it is durable.
    fn part(
        &mut self,
        header: &Header<'_>,
        total: u16,
        index: u16,
        body: &[u8],
        context: &Context,
        decoded: &mut Decoded,
    ) -> Result<(), Fault> {
        // Of what nothing here reads (a picture) there may be any number: each is answered by itself.
        if !matches!(header.kind, LOCATION | LOCATION_BATCH | POSITION_ANSWER) {
            decoded.unread = Some("part of a message");
            decoded.replies.extend(answer(header, header.serial, context));
            return Ok(());
        }
        if !(1..=MAX_PARTS).contains(&total) || !(1..=total).contains(&index) {
            return Err(malformed(format_args!("part {index} of {total}")));
        }
        let next = self.parts.take().filter(|parts| (parts.kind, parts.total) == (header.kind, total));
        let mut parts = match next {
            Some(parts) if usize::from(index) == parts.serials.len() + 1 => parts,
            _ if index == 1 => Parts { kind: header.kind, total, body: Vec::new(), serials: Vec::new() },
            _ => return Err(malformed(format_args!("part {index} of {total} without the parts before it"))),
        };
        parts.body.extend_from_slice(body);
        parts.serials.push(header.serial);
        if index < total {
            self.parts = Some(parts);
            return Ok(());
        }
        whole(header, &parts.body, decoded);
        decoded.replies.extend(parts.serials.iter().filter_map(|serial| answer(header, *serial, context)));
        Ok(())
    }

    /// Id of six bytes, one byte of serial number, then the report. Answered if the top bit of the attributes is set.
    fn lock(&mut self, kind: u16, attributes: u16, reader: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
        let id = reader.take(6)?;
        self.device = Some(identity(id)?);
        reader.skip(1)?;
        if bit(attributes, 15) {
            let body = [&[1], &kind.to_be_bytes()[..], &[0]].concat();
            decoded.replies.push(escape(&[&0x4401u16.to_be_bytes()[..], &3u16.to_be_bytes(), id, &body].concat()));
        }
        decoded.fixes.push(location::lock(reader, kind == LOCK_LOCATION)?);
        Ok(())
    }
}

/// Digits without leading zeros; or, if they are no digits, the first 14 digits of an IMEI as a number.
fn identity(id: &[u8]) -> Result<DeviceId, Fault> {
    let digits = hex(id);
    if digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return match digits.trim_start_matches('0') {
            "" => device_id("0"),
            digits => device_id(digits),
        };
    }
    let number = id.iter().fold(0u128, |number, byte| number << 8 | u128::from(*byte)).to_string();
    let check = luhn(&number);
    imei(&format!("{number}{check}"))
}

/// Takes the fixes out of a whole message's body.
fn whole(header: &Header<'_>, body: &[u8], decoded: &mut Decoded) {
    let mut reader = Reader::new(body);
    if header.kind == LOCATION_BATCH {
        // At once, as many as there is room for: growing step by step would take twice the memory.
        decoded.fixes.reserve_exact(body.len() / (2 + location::FIXED_BYTES));
    }
    let mut keep = |report: &mut Reader<'_>, kept: bool| match location::report(report) {
        Ok(mut fix) => {
            if kept {
                fix.attributes.set(name::ARCHIVE, true);
            }
            decoded.fixes.push(fix);
        }
        Err(fault) => decoded.faults.push(fault),
    };
    match header.kind {
        LOCATION => keep(&mut reader, false),
        LOCATION_BATCH => {
            let mut each = || {
                let count = reader.u16()?;
                // 1: from the terminal's memory, of a time without network.
                let kept = reader.u8()? > 0;
                for _ in 0..count {
                    let length = usize::from(reader.u16()?);
                    keep(&mut reader.part(length)?, kept);
                }
                Ok::<_, Fault>(())
            };
            let read = each();
            decoded.faults.extend(read.err());
        }
        CONFIRMATION => decoded.answer = confirmation(&mut reader),
        // The serial number of the request, then a report.
        POSITION_ANSWER if reader.skip(2).is_ok() => {
            decoded.answer = Some(SmolStr::new_static("position"));
            keep(&mut reader, false);
        }
        // Answers to us, heartbeats, logins, the time.
        0x0002..=0x0004 | REGISTRATION | 0x0101 | 0x0102 | 0x0104 | 0x0107 | TIME_REQUEST => {}
        _ => decoded.unread = Some("a message type"),
    }
}

/// What became of a command: its serial number, its type, the result. What confirms our answers is none.
fn confirmation(reader: &mut Reader<'_>) -> Option<SmolStr> {
    reader.skip(2).ok()?;
    let kind = reader.u16().ok()?;
    if !matches!(kind, TERMINAL_CONTROL | SET_PARAMETERS | TEXT | POSITION_REQUEST) {
        return None;
    }
    Some(match reader.u8().ok()? {
        0 => SmolStr::new_static("done"),
        1 => SmolStr::new_static("failed"),
        2 => SmolStr::new_static("the message was wrong"),
        3 => SmolStr::new_static("not supported"),
        other => format_smolstr!("result {other}"),
    })
}

/// What the terminal waits for.
fn answer(header: &Header<'_>, serial: u16, context: &Context) -> Option<Bytes> {
    let now = DateTime::<Utc>::from(context.received_at);
    let rest = [now.month(), now.day(), now.hour(), now.minute(), now.second()].map(|part| part as u8);
    let (kind, body) = match header.kind {
        // Its own answers to us, and driver's cards, commands' texts: not answered.
        0x0001 | 0x0104 | 0x0107 | 0x0702 | 0x1300 => return None,
        REGISTRATION => {
            // The code that it has to identify itself with from now on: its own id.
            let code = hex(header.id);
            (0x8100, [&serial.to_be_bytes()[..], &[0], code.as_bytes()].concat())
        }
        TIME_REQUEST => (0x8109, [&(now.year() as u16).to_be_bytes()[..], &rest, &[0]].concat()),
        TIME_REQUEST_2019 => {
            let packed = |part: u8| ((part / 10) << 4) | (part % 10);
            (0x8004, [&[packed((now.year() % 100) as u8)][..], &rest.map(packed)].concat())
        }
        kind => (0x8001, [&serial.to_be_bytes()[..], &kind.to_be_bytes(), &[0]].concat()),
    };
    let terminal = Terminal { edition_2019: header.edition_2019, version: header.version, id: header.id.to_vec() };
    Some(terminal.message(kind, 0, &body))
}
