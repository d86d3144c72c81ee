//! Xexun and kin: an NMEA RMC sentence without `$`, then `,F,…imei:…,`; a longer form has a serial and a phone number in front and
//! satellites, altitude, voltage behind.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{Fields, FixBuilder, device_id, dmy, find, malformed, nmea_angle, number};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "xexun",
    port: 5006,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket { tcp: true, udp: false, framing: || Box::new(XexunFraming), decoder: || Box::new(Xexun) },
};

const MAX_FRAME_BYTES: usize = 1024;

struct XexunFraming;

impl Framing for XexunFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        // Both forms share the part from RMC to the IMEI: what the longer one has around it is passed over.
        let start = [&b"GPRMC"[..], b"GNRMC"].iter().filter_map(|mark| find(buffer, mark)).min();
        buffer.advance(start.unwrap_or(buffer.len().saturating_sub(4)));
        let end = find(buffer, b"imei:").and_then(|at| Some(at + 5 + find(&buffer[at + 5..], b",")? + 1));
        match end {
            Some(end) if end <= MAX_FRAME_BYTES => Ok(Some(buffer.split_to(end).freeze())),
            None if buffer.len() <= MAX_FRAME_BYTES => Ok(None),
            _ => Err(Fault::new(FaultKind::Oversized, "no imei within the largest message")),
        }
    }
}

/// Every message holds the IMEI: nothing is kept between them.
struct Xexun;

impl Decoder for Xexun {
    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        understand(&String::from_utf8_lossy(frame), decoded)
    }
}

fn understand(text: &str, decoded: &mut Decoded) -> Result<(), Fault> {
    let (front, behind) = text.split_once("imei:").ok_or_else(|| Fault::new(FaultKind::NoDevice, "no imei"))?;
    let behind = Fields::new(behind, ',');
    decoded.device = Some(device_id(behind.get(0))?);
    if let Some((_, sentence)) = front.split_once("RMC,") {
        decoded.fixes.push(position(&Fields::new(sentence, ','), front, &behind)?);
    }
    Ok(())
}

fn position(fields: &Fields<'_>, front: &str, behind: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(1) == "A");
    fix.speed_knots(fields.number(6).unwrap_or(-1.0)).course_deg(fields.number(7).unwrap_or(-1.0));
    if let Some(satellites) = behind.int(1) {
        fix.set(name::SATELLITES, satellites);
    }
    if let Some(altitude) = behind.number(2) {
        fix.altitude_m(altitude);
    }
    if let Some(volts) = behind.get(3).split(['V', '/']).next().and_then(|text| number(text.get(2..)?)) {
        fix.set(name::BATTERY_V, volts);
    }
    let event = front.trim_end_matches([',', ' ']).rsplit(',').next().unwrap_or_default().trim().to_lowercase();
    match event.as_str() {
        "help me!" | "help me" => fix.set(name::ALARM, alarm::SOS),
        "low battery" => fix.set(name::ALARM, alarm::LOW_BATTERY),
        "move!" | "moved!" => fix.set(name::ALARM, alarm::MOVEMENT),
        "accstart" | "acc on" => fix.set(name::IGNITION, true),
        "accstop" | "acc off" => fix.set(name::IGNITION, false),
        _ => &mut fix,
    };
    // A missing hemisphere is north or east.
    let degrees = |at: usize| {
        let angle =
            nmea_angle(fields.get(at)).ok_or_else(|| malformed(format_args!("{:?} is not an angle", fields.get(at))))?;
        Ok::<_, Fault>(if matches!(fields.get(at + 1), "S" | "W") { -angle } else { angle })
    };
    let (lat, lon) = (degrees(2)?, degrees(4)?);
    fix.at(dmy(fields.get(8), fields.get(0))?, lat, lon)
}
