//! PT502 and kin (Aopda): lines much like NMEA's RMC with states behind slashes; pictures come in parts that we ask for.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, Rmc, device_id, malformed, number};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "pt502",
    port: 5017,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Pt502Framing),
        decoder: || Box::new(Pt502::default()),
    },
};

const MAX_FRAME_BYTES: usize = 2048;
/// The largest part of a picture that is asked for at a time.
const PART_BYTES: usize = 960;
/// Mark, serial and length that some models put in front of several lines.
const PREFIX: [u8; 2] = [0xbf, 0xfb];
const PREFIX_BYTES: usize = 5;

struct Pt502Framing;

impl Framing for Pt502Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        loop {
            if buffer.starts_with(&PREFIX) {
                if buffer.len() < PREFIX_BYTES {
                    return Ok(None);
                }
                buffer.advance(PREFIX_BYTES);
            }
            match buffer.first() {
                Some(b'$') => break,
                Some(byte) if *byte == PREFIX[0] && buffer.len() == 1 => return Ok(None),
                Some(_) => buffer.advance(1),
                None => return Ok(None),
            }
        }
        let is_picture = b"$PHD".iter().zip(buffer.iter()).all(|(a, b)| a == b);
        let length = if is_picture { picture(buffer)? } else { buffer.iter().position(|byte| matches!(byte, b'\r' | b'\n')) };
        match length {
            Some(length) if buffer.len() >= length => Ok(Some(buffer.split_to(length).freeze())),
            None if buffer.len() > MAX_FRAME_BYTES => {
                Err(Fault::new(FaultKind::Oversized, "no line end within the largest message"))
            }
            _ => Ok(None),
        }
    }
}

/// The length of `$PHD` + offset + `,` + count + `,` + bytes, once its head is there.
fn picture(buffer: &[u8]) -> Result<Option<usize>, Fault> {
    let mut commas = buffer.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(at, _)| at);
    let (Some(first), Some(second)) = (commas.next(), commas.next()) else { return Ok(None) };
    let count = String::from_utf8_lossy(&buffer[first + 1..second]).parse::<usize>().ok().filter(|count| *count <= PART_BYTES);
    count.map(|count| Some(second + 1 + count)).ok_or_else(|| malformed("a part of a picture without its length"))
}

#[derive(Default)]
struct Pt502 {
    device: Option<DeviceId>,
    /// Bytes of the picture that the device offered, and how many of them have come.
    picture_bytes: usize,
    picture_received: usize,
}

impl Decoder for Pt502 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        if frame.starts_with(b"$PHD") {
            let bytes = frame.splitn(3, |byte| *byte == b',').nth(2).map_or(0, <[u8]>::len);
            self.picture_received = self.picture_received.saturating_add(bytes);
            decoded.unread = Some("a part of a picture");
            if bytes > 0 {
                self.ask_for_picture(decoded);
            }
            return Ok(());
        }
        let text = String::from_utf8_lossy(frame);
        let mut parts = text.trim().split('/');
        let head = Fields::new(parts.next().unwrap_or_default(), ',');
        let kind = head.get(0).strip_prefix('$').ok_or_else(|| malformed("a message begins with $"))?;
        if let Some(id) = kind.strip_prefix("FUS") {
            self.device = Some(device_id(id)?);
            return Ok(());
        }
        self.device = Some(device_id(head.get(1))?);
        if let Some(size) = kind.strip_prefix("PHO") {
            self.picture_bytes = size.split('-').next().and_then(|size| size.parse().ok()).unwrap_or_default();
            self.picture_received = 0;
            self.ask_for_picture(decoded);
        }
        if matches!(head.get(3), "A" | "V") {
            decoded.fixes.push(position(kind, &head, &parts.collect::<Vec<_>>())?);
        }
        Ok(())
    }
}

impl Pt502 {
    fn ask_for_picture(&self, decoded: &mut Decoded) {
        let left = self.picture_bytes.saturating_sub(self.picture_received);
        if left > 0 {
            decoded.replies.push(format!("#PHD{},{}\r\n", self.picture_received, left.min(PART_BYTES)).into());
        }
    }
}

/// `$kind,id,` RMC `/inputs,outputs/adc,…/odometer/card/state/`.
fn position(kind: &str, head: &Fields<'_>, parts: &[&str]) -> Result<Fix, Fault> {
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let Rmc { mut fix, time, lat_deg, lon_deg } = Rmc::read(head, 2)?;
    fix.set_some(name::ALARM, alarm_word(kind));
    let (inputs, outputs) = part(0).split_once(',').unwrap_or_default();
    for (name, bits) in [("input", inputs), ("output", outputs)] {
        fix.set_some(name, i64::from_str_radix(bits, 2).ok());
    }
    for (index, value) in part(1).split(',').enumerate() {
        fix.set_some(format_smolstr!("adc.{}", index + 1), i64::from_str_radix(value, 16).ok());
    }
    fix.set_some(name::ODOMETER_M, number(part(2)).map(|value| value as i64));
    if !part(3).is_empty() {
        fix.set(name::DRIVER_ID, part(3));
    }
    // Three hexadecimal digits: battery, signal, satellites.
    if let Some(state) = u16::from_str_radix(part(4), 16).ok().filter(|_| part(4).len() == 3) {
        fix.set("battery", i64::from(state >> 8)).set(name::RSSI, i64::from(state >> 4 & 0xf));
        fix.set(name::SATELLITES, i64::from(state & 0xf));
    }
    fix.at(time, lat_deg, lon_deg)
}

fn alarm_word(kind: &str) -> Option<&'static str> {
    match kind {
        "IN1" => Some(alarm::SOS),
        "GOF" => Some(alarm::GEOFENCE),
        "TOW" => Some(alarm::TOW),
        "HDA" => Some(alarm::HARD_ACCELERATION),
        "HDB" => Some(alarm::HARD_BRAKING),
        "FDA" => Some(alarm::FATIGUE_DRIVING),
        "SKA" => Some(alarm::VIBRATION),
        "PMA" => Some(alarm::MOVEMENT),
        "CPA" => Some(alarm::POWER_CUT),
        _ => None,
    }
}
