//! TK102: `[`, kind, ten digits, length, text, `]`. Logins and heartbeats are answered with what they said.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, device_id, dmy, malformed, nmea_degrees, number};
use bytes::{Buf, Bytes, BytesMut};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "tk102",
    port: 5036,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Tk102Framing),
        decoder: || Box::new(Tk102 { device: None }),
    },
};

/// Mark, kind, number, length.
const HEAD_BYTES: usize = 13;
const MAX_FRAME_BYTES: usize = HEAD_BYTES + u8::MAX as usize + 1;
const LOGIN: [u8; 2] = [0x80, b'!'];
const LOGIN_ANSWER: u8 = 0x00;
const HEARTBEAT: u8 = 0xf0;
const HEARTBEAT_ANSWER: u8 = 0xff;

struct Tk102Framing;

impl Framing for Tk102Framing {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = buffer.iter().position(|byte| *byte == b'[').unwrap_or(buffer.len());
        buffer.advance(start);
        let Some(length) = buffer.get(HEAD_BYTES - 1) else { return Ok(None) };
        let length = HEAD_BYTES + usize::from(*length) + 1;
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Tk102 {
    device: Option<DeviceId>,
}

impl Decoder for Tk102 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(1)?;
        let kind = reader.u8()?;
        let number = reader.take(10)?;
        let length = usize::from(reader.u8()?);
        let data = reader.take(length)?;
        let text = String::from_utf8_lossy(data);
        let answer = |kind: u8, said: &[u8]| -> Bytes {
            let length = said.len().min(usize::from(u8::MAX)) as u8;
            [&[b'[', kind][..], number, &[length], &said[..usize::from(length)], b"]"].concat().into()
        };
        if LOGIN.contains(&kind) {
            let id = text.trim_start_matches('(').split([',', ')']).next().unwrap_or_default();
            self.device = Some(device_id(id)?);
            decoded.replies.push(answer(LOGIN_ANSWER, &[b"0", data].concat()));
        } else if kind == HEARTBEAT {
            decoded.replies.push(answer(HEARTBEAT_ANSWER, data));
        } else {
            decoded.fixes.extend(position(&text)?);
        }
        Ok(())
    }
}

/// `(ITV153047A1534.0805N03233.0888E000.000290415…`: three letters, time, validity, place, knots in seven characters, date. Other texts
/// tell of cells and the like.
fn position(text: &str) -> Result<Option<Fix>, Fault> {
    let Some(report) = text.strip_prefix('(').filter(|text| text.len() > 10 && text.is_ascii()) else { return Ok(None) };
    let (name, rest) = report.split_at(3);
    let (time, rest) = rest.split_at(6);
    if !name.bytes().all(|byte| byte.is_ascii_uppercase()) || !time.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    let mut fix = FixBuilder::valid(rest.starts_with('A'));
    let rest = &rest[1..];
    let (lat, rest) = angle(rest, ['N', 'S'])?;
    let (lon, rest) = angle(rest, ['E', 'W'])?;
    let (knots, rest) = rest.split_at_checked(7).ok_or_else(|| malformed("no speed"))?;
    fix.speed_knots(number(knots).unwrap_or(-1.0));
    fix.at(dmy(rest, time)?, lat, lon).map(Some)
}

/// Degrees and minutes up to one of two letters, and what follows.
fn angle(text: &str, letters: [char; 2]) -> Result<(f64, &str), Fault> {
    let at = text.find(letters).ok_or_else(|| malformed("no hemisphere"))?;
    let (value, rest) = text.split_at(at);
    let (letter, rest) = rest.split_at(1);
    Ok((nmea_degrees(value, letter)?, rest))
}
