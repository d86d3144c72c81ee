//! TRV and IW: `TRVAP01…#` texts of watches and small trackers, positions in the compact form. Login first.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Compact, Delimited, device_id, malformed, number};
use crate::vocabulary as name;
use chrono::{DateTime, Utc};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "trv",
    port: 5010,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(Delimited::stripping(&[b"#"], MAX_FRAME_BYTES)),
        decoder: || Box::new(Trv { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 2048;

struct Trv {
    device: Option<DeviceId>,
}

impl Decoder for Trv {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        self.message(&String::from_utf8_lossy(frame), context, decoded)
    }
}

impl Trv {
    fn message(&mut self, text: &str, context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = text.trim().trim_end_matches('#');
        let maker =
            ["TRV", "IW"].into_iter().find(|maker| text.starts_with(maker)).ok_or_else(|| malformed("neither TRV nor IW"))?;
        let Some((kind, body)) = text[maker.len()..].split_at_checked(4) else {
            return Err(malformed("a message without a type"));
        };
        if kind == "AP00" {
            let digits = body.bytes().take_while(u8::is_ascii_digit).count();
            self.device = Some(device_id(&body[..digits.min(15)])?);
            let now = DateTime::<Utc>::from(context.received_at).format("%Y%m%d%H%M%S");
            decoded.replies.push(if maker == "IW" { format!("IWBP00,{now},0#") } else { "TRVBP00#".to_owned() }.into());
            return Ok(());
        }
        if self.device.is_none() {
            return Err(Fault::new(FaultKind::NoDevice, format_smolstr!("message {kind} before the login")));
        }
        // The answer has the next letter of the alphabet.
        if let "AP01" | "AP10" | "AP02" | "AP03" | "AP49" | "APHT" | "APHP" | "CP01" | "YP03" | "YP14" = kind {
            let letter = char::from(kind.as_bytes()[0] + 1);
            decoded.replies.push(format!("{maker}{letter}{}#", &kind[1..]).into());
        }
        if let "AP01" | "AP10" | "YP03" | "YP14" = kind {
            let compact = Compact::find(body).ok_or_else(|| malformed("a position that has none"))?;
            decoded.fixes.push(position(&compact)?);
        }
        Ok(())
    }
}

/// Three digits each of signal, satellites, battery; then the ignition (1 on, 2 off).
fn position(compact: &Compact<'_>) -> Result<Fix, Fault> {
    let mut fix = compact.builder();
    for (name, from) in [(name::RSSI, 17), (name::SATELLITES, 20), (name::BATTERY_LEVEL, 23)] {
        if let Some(value) = number(compact.tail(from, from + 3)) {
            fix.set(name, value as i64);
        }
    }
    match compact.tail(26, 27) {
        "1" => fix.set(name::IGNITION, true),
        "2" => fix.set(name::IGNITION, false),
        _ => &mut fix,
    };
    let (lat, lon) = compact.place()?;
    fix.at(compact.time()?, lat, lon)
}
