//! Gotop: `IMEI,CMD-T,A,DATE:yymmdd,TIME:hhmmss,LAT:…N,LON:…E,Speed:…,battery-signal,…#`; the older form has no words. Not answered.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, device_id, malformed, number, ymd};
use crate::vocabulary::{self as name, alarm};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gotop",
    port: 5050,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"#"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Gotop { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct Gotop {
    device: Option<DeviceId>,
}

impl Decoder for Gotop {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let fields = Fields::new(text.trim_matches(['#', '\r', '\n', ' ']), ',');
        self.device = Some(device_id(fields.get(0))?);
        if matches!(fields.get(2), "A" | "V") {
            decoded.fixes.push(position(&fields)?);
        }
        Ok(())
    }
}

fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let value = |at: usize| fields.get(at).rsplit(':').next().unwrap_or_default();
    let degrees = |at: usize, positive: char, negative: char| {
        let text = value(at);
        let sign = match () {
            () if text.ends_with(positive) => 1.0,
            () if text.ends_with(negative) => -1.0,
            () => return Err(malformed(format_args!("{text:?} has no hemisphere"))),
        };
        let degrees = number(text.trim_end_matches([positive, negative]));
        degrees.map(|degrees| degrees * sign).ok_or_else(|| malformed(format_args!("{text:?} is not an angle")))
    };
    let mut fix = FixBuilder::valid(fields.get(2) == "A");
    fix.set(name::EVENT, fields.get(1)).set_some(name::ALARM, alarm_word(fields.get(1)));
    fix.speed_kmh(number(value(7)).unwrap_or(-1.0));
    if let Some((level, rssi)) = fields.get(8).split_once('-') {
        fix.set_some(name::BATTERY_LEVEL, level.parse::<i64>().ok()).set_some(name::RSSI, rssi.parse::<i64>().ok());
    }
    // Metres and dilution stand together, both with decimals.
    if fields.get(9).contains('.') && fields.get(10).contains('.') {
        fix.altitude_m(fields.told(9)).set_some(name::HDOP, fields.number(10));
    }
    fix.at(ymd(value(3), value(4))?, degrees(5, 'N', 'S')?, degrees(6, 'E', 'W')?)
}

fn alarm_word(kind: &str) -> Option<&'static str> {
    match kind {
        "CMD-KEY" => Some(alarm::SOS),
        _ if kind.starts_with("ALM-B") && kind.ends_with("-1") => Some(alarm::GEOFENCE_ENTER),
        _ => None,
    }
}
