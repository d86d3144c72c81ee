//! V680: `#IMEI#user#fix#password#event#count#cell#lon,E,lat,N,knots,course#ddmmyy#hhmmss##`, several places in one message.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, device_id, dmy, malformed, nmea_degrees};
use crate::vocabulary::{self as name, alarm};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "v680",
    port: 5016,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::stripping(&[b"##"], MAX_FRAME_BYTES)),
        decoder: || Box::new(V680 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 4096;

struct V680 {
    device: Option<DeviceId>,
}

impl Decoder for V680 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let text = text.trim().trim_end_matches("##");
        // The first message of a connection names its device, the others may leave id and user out.
        let body = match text.strip_prefix('#') {
            Some(body) => {
                let (id, rest) = body.split_once('#').unwrap_or((body, ""));
                self.device = Some(device_id(id)?);
                rest.split_once('#').map_or("", |(_user, rest)| rest)
            }
            None => text,
        };
        if body.is_empty() {
            return Ok(());
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, "a position before an id"));
        }
        let fields = Fields::new(body, '#');
        let valid = fields.int(0).is_some_and(|fix| fix > 0);
        let event = fields.get(2);
        for place in fields.from(4).chunks(4) {
            let [_cell, place, date, time] = place else { break };
            match position(place, date, time, valid, event) {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

fn position(place: &str, date: &str, time: &str, valid: bool, event: &str) -> Result<Fix, Fault> {
    let fields = Fields::new(place, ',');
    let mut fix = FixBuilder::valid(valid);
    fix.speed_knots(fields.number(4).unwrap_or(-1.0)).course_deg(fields.number(5).unwrap_or(-1.0));
    fix.set(name::EVENT, event);
    if event == "SOS" {
        fix.set(name::ALARM, alarm::SOS);
    }
    // Degrees and minutes, or degrees: the latitude's digits in front of the point tell.
    let (lat, lon) = if fields.get(2).find('.').is_some_and(|point| point > 2) {
        (nmea_degrees(fields.get(2), fields.get(3))?, nmea_degrees(fields.get(0), fields.get(1))?)
    } else {
        let signed = |at: usize| match fields.get(at + 1) {
            "N" | "E" => fields.needed(at),
            "S" | "W" => fields.needed(at).map(|value| -value),
            other => Err(malformed(format_args!("{other:?} is not a hemisphere"))),
        };
        (signed(2)?, signed(0)?)
    };
    fix.at(dmy(date, time)?, lat, lon)
}
