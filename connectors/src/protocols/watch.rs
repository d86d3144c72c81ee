//! GPS watches (Setracker and kin): `[maker*id*length*content]`, some with a serial number in front of the length.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, bit, device_id, dmy, malformed};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "watch",
    port: 5093,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(WatchFraming::default()),
        decoder: || Box::new(Watch { device: None }),
    },
};

/// Voice messages come in pieces of a few KiB.
const MAX_FRAME_BYTES: usize = 16 * 1024;

#[derive(Default)]
struct WatchFraming {
    /// How far the buffer has been looked at, and how many brackets are open there.
    searched: usize,
    depth: usize,
}

impl Framing for WatchFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if self.searched == 0 {
            let start = buffer.iter().position(|byte| *byte == b'[').unwrap_or(buffer.len());
            buffer.advance(start);
        }
        // The told length is often wrong; names of Wi-Fi stations may hold brackets, in pairs.
        while let Some(byte) = buffer.get(self.searched) {
            self.searched += 1;
            match byte {
                b'[' => self.depth += 1,
                b']' if self.depth == 1 => {
                    let frame = buffer.split_to(self.searched);
                    *self = Self::default();
                    return Ok(Some(unescape(&frame)));
                }
                b']' => self.depth -= 1,
                _ => {}
            }
        }
        if buffer.len() > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, "no closing bracket within the largest message"));
        }
        Ok(None)
    }
}

/// Voice messages escape `}[],*` as `}` and a number.
fn unescape(frame: &[u8]) -> Bytes {
    let mut plain = Vec::with_capacity(frame.len());
    let mut at = 0;
    while let Some(byte) = frame.get(at) {
        let escaped = match (byte, frame.get(at + 1)) {
            (b'}', Some(number @ 1..=5)) => Some(b"}[],*"[usize::from(*number) - 1]),
            _ => None,
        };
        plain.push(escaped.unwrap_or(*byte));
        at += if escaped.is_some() { 2 } else { 1 };
    }
    plain.into()
}

struct Watch {
    device: Option<DeviceId>,
}

impl Decoder for Watch {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.message(&String::from_utf8_lossy(frame), decoded)
    }
}

impl Watch {
    fn message(&mut self, text: &str, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = text.trim().strip_prefix('[').ok_or_else(|| malformed("a message begins with ["))?;
        let text = text.strip_suffix(']').unwrap_or(text);
        let parts: Vec<&str> = text.splitn(5, '*').collect();
        let is_number = |text: &str| text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let (head, content) = match parts[..] {
            [maker, id, serial, length, content] if is_number(serial) && is_number(length) => {
                (format!("{maker}*{id}*{serial}"), content)
            }
            [maker, id, length, ..] if is_number(length) && parts.len() > 3 => {
                (format!("{maker}*{id}"), &text[maker.len() + id.len() + length.len() + 3..])
            }
            _ => return Err(malformed("neither maker, id nor length")),
        };
        self.device = Some(device_id(parts[1])?);
        let (kind, body) = content.split_once(',').unwrap_or((content, ""));
        let answer = match kind {
            "INIT" => Some("INIT,1"),
            "LK" => Some("LK"),
            "TKQ" => Some("TKQ"),
            _ if kind.starts_with("AL") => Some("AL"),
            _ => None,
        };
        if let Some(answer) = answer {
            decoded.replies.push(format!("[{head}*{:04X}*{answer}]", answer.len()).into());
        }
        if ["UD", "AL", "WT"].iter().any(|prefix| kind.starts_with(prefix)) {
            let fields = Fields::new(body, ',');
            if matches!(fields.get(2), "A" | "V") {
                decoded.fixes.push(position(&fields)?);
            }
        }
        Ok(())
    }
}

/// `ddmmyy,hhmmss,A,lat,N,lon,E,km/h,course,altitude,satellites,rssi,battery,steps,rolls,status,…`.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(2) == "A");
    fix.speed_kmh(fields.number(7).unwrap_or(-1.0)).course_deg(fields.number(8).unwrap_or(-1.0));
    if let Some(altitude) = fields.number(9) {
        fix.altitude_m(altitude);
    }
    for (at, name) in [(10, name::SATELLITES), (11, name::RSSI), (12, name::BATTERY_LEVEL), (13, "steps")] {
        if let Some(value) = fields.int(at) {
            fix.set(name, value);
        }
    }
    if let Some(status) = fields.hex(15) {
        fix.set(name::STATUS, status as i64);
        // Bits 0 to 15 are states, those above alarms of the same kinds.
        let word = match () {
            () if bit(status, 16) => Some(alarm::SOS),
            () if bit(status, 17) || bit(status, 0) => Some(alarm::LOW_BATTERY),
            () if bit(status, 18) => Some(alarm::GEOFENCE_EXIT),
            () if bit(status, 19) => Some(alarm::GEOFENCE_ENTER),
            () if bit(status, 20) => Some(alarm::TAMPERING),
            () if bit(status, 21) => Some(alarm::FALL_DOWN),
            () => None,
        };
        if let Some(word) = word {
            fix.set(name::ALARM, word);
        }
    }
    // Some send a sign and the hemisphere, some only one of them.
    let degrees = |at: usize, negative: &str| {
        let value = fields.needed(at)?;
        Ok::<_, Fault>(if fields.get(at + 1) == negative && value > 0.0 { -value } else { value })
    };
    let (lat, lon) = (degrees(3, "S")?, degrees(5, "W")?);
    fix.at(dmy(fields.get(0), fields.get(1))?, lat, lon)
}
