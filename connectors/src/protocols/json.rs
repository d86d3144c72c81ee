//! Our own: positions as JSON lines, under the names that tables and exports have; many devices and 10,000 lines in one request.
//!
//! `{"device": "van-1", "fix_time": "2026-11-25T08:00:00Z", "lat": 52.1, "lon": 21.0, "speed_mps": 10.5, "attributes": {"ignition": true}}`

use crate::protocol::{
    Batch, Context, Decoded, Fault, FaultKind, Fix, HttpAnswer, HttpDecoded, HttpRequest, Protocol, Transport,
};
use crate::readers::{Each, FixBuilder, MAX_FUTURE_MS, from_unix_millis, malformed, read_json};
use serde::Deserialize;
use smol_str::{SmolStr, format_smolstr};
use waystream_domain::{Attributes, DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol =
    Protocol { name: "json", port: 5300, max_frame_bytes: 4 * 1024 * 1024, transport: Transport::Http { decode } };

/// Positions in one request.
const MAX_LINES: usize = 10_000;
/// Attributes that one fix may have: the names come from outside.
const MAX_ATTRIBUTES: usize = 64;
const MAX_NAME_BYTES: usize = 64;

/// A position as plain JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    /// May be left out where something else tells it.
    device: Option<DeviceId>,
    fix_time: Time,
    lat: f64,
    lon: f64,
    #[serde(default = "yes")]
    valid: bool,
    altitude_m: Option<f64>,
    speed_mps: Option<f64>,
    course_deg: Option<f64>,
    accuracy_m: Option<f64>,
    #[serde(default)]
    attributes: Attributes,
}

/// Milliseconds since 1970, or ISO 8601.
#[derive(Deserialize)]
#[serde(untagged)]
enum Time {
    Millis(i64),
    Text(SmolStr),
}

const fn yes() -> bool {
    true
}

/// Understands one position. Its device stays empty if the text does not tell it.
fn position(text: &[u8], received_at: Timestamp) -> Result<Fix, Fault> {
    of(serde_json::from_slice(text).map_err(malformed)?, received_at)
}

/// Understands positions as one object, a list of them, or one a line: each for itself.
pub(crate) fn positions(payload: &[u8], received_at: Timestamp) -> Vec<Result<Fix, Fault>> {
    let mut all = Vec::new();
    // A position, and the object of its attributes.
    let each = Each {
        depth: 2,
        then: |value: serde_json::Value| {
            all.push(serde_json::from_value(value).map_err(malformed).and_then(|plain| of(plain, received_at)))
        },
    };
    if read_json(payload, each).is_ok() {
        return all;
    }
    let lines = payload.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    lines.map(|line| position(line, received_at)).collect()
}

fn of(plain: Plain, received_at: Timestamp) -> Result<Fix, Fault> {
    let time = match &plain.fix_time {
        Time::Millis(millis) => from_unix_millis(*millis)?,
        Time::Text(text) => {
            Timestamp::parse(text).ok_or_else(|| Fault::new(FaultKind::BadTime, format_smolstr!("{text:?} is no time")))?
        }
    };
    if time.millis_since(received_at) > MAX_FUTURE_MS {
        return Err(Fault::new(FaultKind::BadTime, format_smolstr!("fix time {time} is in the future")));
    }
    let mut fix = FixBuilder::valid(plain.valid);
    // What is missing is left out like what is below zero.
    fix.speed_mps(plain.speed_mps.unwrap_or(-1.0)).course_deg(plain.course_deg.unwrap_or(-1.0));
    fix.accuracy_m(plain.accuracy_m.unwrap_or(-1.0));
    if let Some(altitude) = plain.altitude_m {
        fix.altitude_m(altitude);
    }
    for (name, value) in plain.attributes.iter().filter(|(name, _)| name.len() <= MAX_NAME_BYTES).take(MAX_ATTRIBUTES) {
        fix.set(name, value.clone());
    }
    let mut fix = fix.at(time, plain.lat, plain.lon)?;
    fix.device = plain.device;
    Ok(fix)
}

/// Every line for itself: one that is wrong costs no other.
fn decode(request: &HttpRequest<'_>, context: &Context) -> HttpDecoded {
    let whole = |answer| HttpDecoded { decoded: Decoded::default(), answer, refusal: HttpAnswer::status(403), batch: None };
    if request.method != "POST" {
        return whole(HttpAnswer::status(405));
    }
    let lines = request.body.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).zip(1..);
    let lines: Vec<(&[u8], u32)> = lines.filter(|(line, _)| !line.is_empty()).take(MAX_LINES + 1).collect();
    if lines.len() > MAX_LINES {
        return whole(HttpAnswer::json(413, r#"{"error":"more than 10,000 positions in one request"}"#));
    }
    let mut decoded = Decoded::default();
    let mut batch = Batch::default();
    for (text, line) in lines {
        let fix = position(text, context.received_at).and_then(|fix| match &fix.device {
            Some(device) => Ok((device.clone(), fix)),
            None => Err(Fault::new(FaultKind::NoDevice, "no device")),
        });
        match fix {
            Ok((device, fix)) => {
                batch.lines.push((line, device));
                decoded.fixes.push(fix);
            }
            Err(fault) => {
                batch.refuse(line, &fault.detail);
                decoded.faults.push(Fault { detail: format_smolstr!("line {line}: {}", fault.detail), ..fault });
            }
        }
    }
    HttpDecoded { decoded, batch: Some(batch), ..whole(HttpAnswer::status(200)) }
}
