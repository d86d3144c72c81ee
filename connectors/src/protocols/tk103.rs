//! TK103 and kin: texts in brackets, `(id` + command + payload`)` or `(id,command,…)`; `$` hides brackets in free text.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Compact, Fields, FixBuilder, bit, device_id, dmy, malformed, nmea_degrees};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "tk103",
    port: 5002,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Tk103Framing::default()),
        decoder: || Box::new(Tk103 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;

#[derive(Default)]
struct Tk103Framing {
    /// How far the buffer has been looked at, and whether that ends in free text.
    searched: usize,
    in_text: bool,
}

impl Framing for Tk103Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if self.searched == 0 {
            let start = buffer.iter().position(|byte| *byte == b'(').unwrap_or(buffer.len());
            buffer.advance(start);
        }
        while let Some(byte) = buffer.get(self.searched) {
            self.searched += 1;
            match byte {
                b'$' => self.in_text = !self.in_text,
                b')' if !self.in_text => {
                    let frame = buffer.split_to(self.searched).freeze();
                    *self = Self::default();
                    return Ok(Some(frame));
                }
                _ => {}
            }
        }
        if buffer.len() > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, "no closing bracket within the largest message"));
        }
        Ok(None)
    }
}

struct Tk103 {
    device: Option<DeviceId>,
}

impl Decoder for Tk103 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    /// Ids are twelve characters there, with the bracket if the digits are eleven.
    fn aliases(&self, device: &DeviceId) -> Vec<DeviceId> {
        let eleven = device.as_str().len() == 11;
        eleven.then(|| DeviceId::new(format!("({device}")).ok()).flatten().into_iter().collect()
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.message(&String::from_utf8_lossy(frame), decoded)
    }
}

impl Tk103 {
    fn message(&mut self, text: &str, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = text.trim();
        let text = text.strip_prefix('(').unwrap_or(text);
        let text = text.strip_suffix(')').unwrap_or(text);
        let (id, command, rest) = take_apart(text)?;
        self.device = Some(device_id(id)?);
        match command {
            // Models that put a comma behind the id do not wait for an answer.
            _ if text[id.len()..].starts_with(',') => {}
            "BP00" => decoded.replies.push(format!("({id}AP01HSO)").into()),
            "BP05" => decoded.replies.push(format!("({id}AP05)").into()),
            _ => {}
        }
        if let Some(fix) = packed(command, rest).or_else(|| separated(command, rest)) {
            decoded.fixes.push(fix?);
        }
        Ok(())
    }
}

/// Id, command of two letters and two more, and what follows. The id ends at a comma, or where the command begins.
fn take_apart(text: &str) -> Result<(&str, &str, &str), Fault> {
    let is_command = |text: &str| matches!(text.as_bytes(), [a, b, c, d] if a.is_ascii_uppercase() && b.is_ascii_uppercase() && c.is_ascii_alphanumeric() && d.is_ascii_hexdigit());
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    for at in [digits, 12, 11] {
        if let Some((id, rest)) = text.split_at_checked(at)
            && !id.is_empty()
            && let rest = rest.strip_prefix(',').unwrap_or(rest)
            && let Some(command) = rest.get(..4).filter(|command| is_command(command))
        {
            return Ok((id, command, &rest[4..]));
        }
    }
    Err(malformed(format_args!("no command in {text:.40?}")))
}

/// The compact form, then a state of 8 characters and `L` with the odometer in hexadecimal.
fn packed(command: &str, text: &str) -> Option<Result<Fix, Fault>> {
    let compact = Compact::find(text)?;
    let mut fix = compact.builder();
    if let state @ [charge, ignition, ..] = compact.tail(17, 25).as_bytes()
        && state.iter().all(u8::is_ascii_hexdigit)
    {
        fix.set(name::CHARGE, *charge == b'0').set(name::IGNITION, *ignition == b'1');
        let digit = |at: usize| char::from(state[at]).to_digit(16).unwrap_or_default();
        fix.set("in.2", bit(digit(2), 0)).set("out.2", bit(digit(2), 2));
        if bit(digit(2), 3) {
            fix.set(name::BLOCKED, true);
        }
        if bit(digit(3), 3) {
            fix.set(name::DOOR, true);
        }
        // Of a sensor that differs from vehicle to vehicle.
        fix.set("fuel_raw", i64::from(digit(5) << 8 | digit(6) << 4 | digit(7)));
    }
    if let Some(digits) = compact.rest(25).strip_prefix('L')
        && let digits = &digits[..digits.bytes().take_while(u8::is_ascii_hexdigit).count().min(8)]
        && let Ok(metres) = i64::from_str_radix(digits, 16)
    {
        fix.set(name::ODOMETER_M, metres);
    }
    name_alarm(command, text, &mut fix);
    Some(compact.time().and_then(|time| compact.place().and_then(|(lat, lon)| fix.at(time, lat, lon))))
}

/// `,ddmmyy,A,` latitude`N,` longitude`E,` speed, time, course.
fn separated(command: &str, text: &str) -> Option<Result<Fix, Fault>> {
    let fields = Fields::new(text.strip_prefix(',')?, ',');
    if !matches!(fields.get(1), "A" | "V") || !fields.get(2).ends_with(['N', 'S']) {
        return None;
    }
    let read = || {
        let degrees = |at: usize| {
            let text = fields.get(at);
            let value = text.trim_end_matches(['N', 'S', 'E', 'W']);
            nmea_degrees(value, &text[value.len()..])
        };
        let mut fix = FixBuilder::valid(fields.get(1) == "A");
        fix.speed_kmh(fields.number(4).unwrap_or(-1.0)).course_deg(fields.number(6).unwrap_or(-1.0));
        name_alarm(command, text, &mut fix);
        fix.at(dmy(fields.get(0), fields.get(5))?, degrees(2)?, degrees(3)?)
    };
    Some(read())
}

fn name_alarm(command: &str, text: &str, fix: &mut FixBuilder) {
    let word = match (command, text.as_bytes().first()) {
        ("BO01", Some(b'0')) => alarm::POWER_CUT,
        ("BO01", Some(b'1')) => alarm::ACCIDENT,
        ("BO01", Some(b'2')) => alarm::SOS,
        ("BO01", Some(b'3')) => alarm::VIBRATION,
        ("BO01", Some(b'5')) => alarm::OVERSPEED,
        ("BO01", Some(b'6')) => alarm::GEOFENCE,
        ("ZC11", _) => alarm::MOVEMENT,
        ("ZC12", _) => alarm::LOW_BATTERY,
        ("ZC13", _) => alarm::POWER_CUT,
        ("ZC17", _) => alarm::TAMPERING,
        ("BQ81", _) => alarm::OVERSPEED,
        _ => return,
    };
    fix.set(name::ALARM, word);
}
