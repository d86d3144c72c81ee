//! GpsGate (FRANSON): NMEA-like sentences; `$FRLIN` is the login, positions are `$GPRMC` or `$FRCMD,…,_SendMessage`.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, Rmc, device_id, dmy, sentence_holds};
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "gpsgate",
    port: 5026,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"\r\n", b"\n", b"\0"], MAX_FRAME_BYTES)),
        decoder: || Box::new(GpsGate { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
/// The name of the session that a login opens.
const SESSION: &str = "$FRSES,embedded*73\r\n";

struct GpsGate {
    device: Option<DeviceId>,
}

impl Decoder for GpsGate {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let line = String::from_utf8_lossy(frame);
        let line = line.trim();
        if !sentence_holds(line, context, decoded) {
            return Ok(());
        }
        let fields = Fields::new(line.split('*').next().unwrap_or_default(), ',');
        match fields.get(0) {
            "$FRLIN" => {
                self.device = Some(device_id(fields.get(2))?);
                decoded.replies.push(SESSION.into());
            }
            "$GPRMC" if self.device.is_none() => {
                return Err(Fault::new(FaultKind::NoDevice, "a sentence before the login"));
            }
            "$GPRMC" => {
                let Rmc { fix, time, lat_deg, lon_deg } = Rmc::read(&fields, 1)?;
                decoded.fixes.push(fix.at(time, lat_deg, lon_deg)?);
            }
            "$FRCMD" => {
                self.device = Some(device_id(fields.get(1))?);
                if fields.get(2) == "_SendMessage" {
                    decoded.fixes.push(message(&fields)?);
                }
            }
            // Versions, pings, what commands were answered.
            _ => {}
        }
        Ok(())
    }
}

/// `id,_SendMessage,,lat,N,lon,E,altitude,knots,course,ddmmyy,hhmmss,valid,…`.
fn message(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(13) == "1");
    if let Some(altitude) = fields.number(8) {
        fix.altitude_m(altitude);
    }
    fix.speed_knots(fields.number(9).unwrap_or(-1.0)).course_deg(fields.number(10).unwrap_or(-1.0));
    let (lat, lon) = fields.nmea_place(4)?;
    fix.at(dmy(fields.get(11), fields.get(12))?, lat, lon)
}
