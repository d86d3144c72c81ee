//! EasyTrack: `*ET,IMEI,command,…#` whose numbers are hexadecimal.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, bit, civil, device_id, malformed, number};
use crate::vocabulary as name;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "easytrack",
    port: 5056,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"#", b"\r\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(EasyTrack { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
/// Coordinates are in 1/600,000 degree: ten-thousandths of a minute.
const UNITS_PER_DEGREE: f64 = 600_000.0;

struct EasyTrack {
    device: Option<DeviceId>,
}

impl Decoder for EasyTrack {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], _context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let fields = Fields::new(text.trim().trim_end_matches('#'), ',');
        if !fields.get(0).ends_with("ET") {
            return Err(malformed("a message begins with *ET"));
        }
        let id = fields.get(1);
        self.device = Some(device_id(id)?);
        match fields.get(2) {
            "MQ" => decoded.replies.push(format!("*ET,{id},MQ#").into()),
            // Readings of the engine have no place.
            "OB" => {}
            _ if matches!(fields.get(3), "A" | "V") => decoded.fixes.push(position(&fields)?),
            _ => {}
        }
        Ok(())
    }
}

/// `A,yymmdd,hhmmss,lat,lon,speed,course,status,signal,battery,fuel,odometer,altitude`; the battery and the altitude are decimal.
fn position(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let hex = |at: usize| {
        fields.hex(at).ok_or_else(|| malformed(format_args!("field {at} is no hexadecimal number: {:?}", fields.get(at))))
    };
    let bytes = |at: usize| hex(at).map(|value| [value >> 16 & 0xff, value >> 8 & 0xff, value & 0xff].map(|byte| byte as u32));
    // The highest bit is the sign.
    let degrees = |at: usize| {
        let value = hex(at)?;
        let degrees = (value & 0x7fff_ffff) as f64 / UNITS_PER_DEGREE;
        Ok::<_, Fault>(if bit(value, 31) { -degrees } else { degrees })
    };
    let mut fix = FixBuilder::valid(fields.get(3) == "A");
    // What is missing beyond time and place does not cost the fix.
    let hundredths = |at: usize| fields.hex(at).map_or(-1.0, |value| value as f64 / 100.0);
    fix.speed_kmh(hundredths(8)).course_deg(hundredths(9));
    if let Some(status) = fields.hex(10) {
        fix.set(name::STATUS, status as i64).set(name::IGNITION, bit(status, 23));
    }
    fix.set_some(name::RSSI, fields.hex(11).map(|value| value as i64)).set_some(name::BATTERY_LEVEL, fields.number(12));
    fix.set_some("fuel", fields.hex(13).map(|value| value as i64));
    fix.set_some(name::ODOMETER_M, fields.hex(14).map(|value| value as f64 * 100.0));
    if let Some(altitude) = number(fields.get(15)) {
        fix.altitude_m(altitude);
    }
    fix.at(civil(bytes(4)?, bytes(5)?)?, degrees(6)?, degrees(7)?)
}
