//! Laipac (StarFinder, S911): lines much like NMEA's RMC that name their device; what the device asks to be confirmed is in lower case.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, device_id, dmy, number, sentence_holds, xor};
use crate::vocabulary::{self as name, alarm};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "laipac",
    port: 5048,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"\r\n", b"\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Laipac { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
/// What devices come with; commands carry it.
const PASSWORD: &str = "00000000";

struct Laipac {
    device: Option<DeviceId>,
}

impl Decoder for Laipac {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let line = String::from_utf8_lossy(frame);
        let line = line.trim();
        if !sentence_holds(line, context, decoded) {
            return Ok(());
        }
        let (body, checksum) = line.split_once('*').unwrap_or((line, ""));
        let fields = Fields::new(body, ',');
        match fields.get(0) {
            "$ECHK" => {
                self.device = Some(device_id(fields.get(1))?);
                decoded.replies.push(format!("{line}\r\n").into());
            }
            "$EAVSYS" | "$AVSYS" => self.device = Some(device_id(fields.get(1))?),
            "$AVRMC" => {
                self.device = Some(device_id(fields.get(1))?);
                let (status, event) = (fields.get(3), fields.get(11));
                if status.starts_with(|letter: char| letter.is_ascii_lowercase()) {
                    decoded.replies.push(signed(&format!("$EAVACK,{event},{checksum}")).into());
                }
                if let Some(reset) = reset(event) {
                    decoded.replies.push(signed(&format!("$AVCFG,{PASSWORD},{reset}")).into());
                }
                decoded.fixes.push(position(&fields)?);
            }
            other => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("{other:.40}"))),
        }
        Ok(())
    }
}

/// With the checksum of what is behind the `$`.
fn signed(text: &str) -> String {
    format!("{text}*{:02X}\r\n", xor(&text.as_bytes()[1..]))
}

/// The command that ends an event: else it is told again and again.
fn reset(event: &str) -> Option<&'static str> {
    match event {
        "3" => Some("d"),
        "S" | "T" => Some("t"),
        "X" | "4" => Some("x"),
        "Y" => Some("y"),
        "Z" => Some("z"),
        _ => None,
    }
}

/// `id,hhmmss,A,lat,N,lon,E,knots,course,ddmmyy,event,battery,km,gps,adc1,adc2,cell,network`.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let status = fields.get(3);
    // A: autonomous, R: real time, P: from before; V: none.
    let mut fix = FixBuilder::valid(matches!(status, "A" | "a" | "R" | "r" | "P" | "p"));
    fix.speed_knots(fields.number(8).unwrap_or(-1.0)).course_deg(fields.number(9).unwrap_or(-1.0));
    fix.set(name::STATUS, status).set(name::EVENT, fields.get(11)).set(name::ARCHIVE, matches!(status, "P" | "p"));
    match fields.get(11) {
        "Z" => drop(fix.set(name::ALARM, alarm::LOW_BATTERY)),
        "Y" => drop(fix.set(name::ALARM, alarm::TOW)),
        "X" => drop(fix.set(name::ALARM, alarm::GEOFENCE_ENTER)),
        "T" => drop(fix.set(name::ALARM, alarm::TAMPERING)),
        "H" => drop(fix.set(name::ALARM, alarm::POWER_OFF)),
        "8" => drop(fix.set(name::ALARM, alarm::VIBRATION)),
        "7" | "4" => drop(fix.set(name::ALARM, alarm::GEOFENCE_EXIT)),
        "6" => drop(fix.set(name::ALARM, alarm::OVERSPEED)),
        "5" => drop(fix.set(name::ALARM, alarm::POWER_CUT)),
        "3" => drop(fix.set(name::ALARM, alarm::SOS)),
        // Two inputs, the first is the ignition.
        input @ ("A" | "B" | "C" | "D") => drop(fix.set(name::IGNITION, matches!(input, "B" | "D"))),
        _ => {}
    }
    // Volts with a point, or millivolts.
    if let Some(battery) = number(fields.get(12)) {
        fix.set(name::BATTERY_V, if fields.get(12).contains('.') { battery } else { battery / 1e3 });
    }
    if let Some(km) = fields.number(13) {
        fix.set(name::ODOMETER_M, km * 1e3);
    }
    for (at, name) in [(15, "adc.1"), (16, "adc.2")] {
        if let Some(millivolts) = fields.number(at) {
            fix.set(name, millivolts / 1e3);
        }
    }
    let (lat, lon) = fields.nmea_place(4)?;
    fix.at(dmy(fields.get(10), fields.get(2))?, lat, lon)
}
