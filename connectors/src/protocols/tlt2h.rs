//! TLT-2H (V500, MT600, MT700 and kin): a head with IMEI, model and status, then lines of states and NMEA's RMC, up to `##`.

use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, Rmc, device_id, malformed, number, sentence_holds};
use crate::vocabulary as name;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "tlt2h",
    port: 5030,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::stripping(&[b"##\r\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Tlt2h { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 8 * 1024;

struct Tlt2h {
    device: Option<DeviceId>,
}

impl Decoder for Tlt2h {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = String::from_utf8_lossy(frame);
        let mut lines = text.trim().split('\n').map(str::trim);
        let head = lines.next().unwrap_or_default();
        let head = Fields::new(head.strip_prefix('#').ok_or_else(|| malformed("a message begins with #"))?, '#');
        self.device = Some(device_id(head.get(0))?);
        for line in lines.filter(|line| line.contains("RMC,")) {
            if !sentence_holds(line, context, decoded) {
                continue;
            }
            match position(&head, line) {
                Ok(fix) => decoded.fixes.extend(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }
}

/// Head: `imei#model#password#[door#adc#power#battery#temperature#]status#count`; line: `#battery or cell$GPRMC,…*cs`.
fn position(head: &Fields<'_>, line: &str) -> Result<Option<Fix>, Fault> {
    let (front, sentence) = line.split_once('$').ok_or_else(|| malformed("no sentence"))?;
    let fields = Fields::new(sentence.split('*').next().unwrap_or_default(), ',');
    if fields.get(3).is_empty() {
        return Ok(None);
    }
    let Rmc { mut fix, time, lat_deg, lon_deg } = Rmc::read(&fields, 1)?;
    match head.get(head.len().saturating_sub(2)) {
        "AUTO" => drop(fix.set(name::IGNITION, true)),
        "AUTOSTOP" | "AUTOLOW" => drop(fix.set(name::IGNITION, false)),
        status => drop(fix.set(name::STATUS, status)),
    }
    if head.len() >= 10 {
        // Tenths of a volt.
        fix.set(name::DOOR, head.get(3) == "1");
        for (at, name) in [(4, "adc.1"), (5, name::POWER_V), (6, name::BATTERY_V)] {
            fix.set_some(name, head.number(at).map(|tenths| tenths / 10.0));
        }
        fix.set_some("temperature_c.1", head.number(7));
    }
    // In front of a sentence two digits are tenths of a volt, four are millivolts, longer ones a cell.
    let front = front.trim_matches('#');
    let scale = match front.len() {
        2 => Some(10.0),
        4 => Some(1e3),
        _ => None,
    };
    if front.bytes().all(|byte| byte.is_ascii_digit()) {
        fix.set_some(name::BATTERY_V, scale.and_then(|scale| number(front).map(|value| value / scale)));
    }
    fix.at(time, lat_deg, lon_deg).map(Some)
}
