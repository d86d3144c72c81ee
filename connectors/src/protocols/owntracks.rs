//! OwnTracks: JSON messages of the apps for Android and iOS, over HTTP and MQTT. Only `location` is a fix.

use crate::protocol::{Context, Decoded, Fault, FaultKind, Fix, HttpAnswer, HttpDecoded, HttpRequest, Protocol, Transport};
use crate::readers::{FixBuilder, device_id, flat, from_unix_millis, malformed};
use crate::vocabulary as name;
use serde_json::Value;
use smol_str::format_smolstr;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "owntracks",
    port: 5144,
    max_frame_bytes: MAX_MESSAGE_BYTES,
    transport: Transport::Http { decode: decode_http },
};

/// A list of waypoints is the longest message.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// The apps send a message again until the answer is 2xx: so only what is not JSON at all gets another one.
fn decode_http(request: &HttpRequest<'_>, _context: &Context) -> HttpDecoded {
    let topic = match (request.header("x-limit-u"), request.header("x-limit-d")) {
        (Some(user), Some(device)) => Some(format!("owntracks/{user}/{device}")),
        _ => None,
    };
    let (decoded, status) = match flat(request.body) {
        Ok(message) => (decode_message(&message, topic.as_deref()), 200),
        Err(error) => (Decoded { faults: malformed(error).into(), ..Decoded::default() }, 400),
    };
    let answer = if status == 200 { HttpAnswer::json(200, "[]") } else { HttpAnswer::status(status) };
    HttpDecoded { decoded, answer, refusal: HttpAnswer::status(403), batch: None }
}

/// Understands a message that was published on `topic` (`owntracks/user/device`, below it for anything but locations).
pub fn decode_mqtt(topic: &str, payload: &[u8]) -> Decoded {
    if payload.len() > MAX_MESSAGE_BYTES {
        let fault = Fault::new(FaultKind::Oversized, format_smolstr!("a message of {} bytes", payload.len()));
        return Decoded { faults: fault.into(), ..Decoded::default() };
    }
    match flat(payload) {
        Ok(message) => decode_message(&message, Some(topic)),
        // An empty message clears a retained one.
        Err(_) if payload.is_empty() => Decoded::default(),
        Err(error) => Decoded { faults: malformed(error).into(), ..Decoded::default() },
    }
}

/// Who sent a message: by the topic that it came on, else the topic inside it, else its short tracker id.
fn decode_message(message: &Value, topic: Option<&str>) -> Decoded {
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    let id = topic.or_else(|| text("topic")).map(device_of_topic).or_else(|| text("tid")).unwrap_or_default();
    let mut decoded = Decoded::default();
    match text("_type") {
        Some("location") => match device_id(id).and_then(|device| Ok((device, location(message)?))) {
            Ok((device, fix)) => {
                decoded.device = Some(device);
                decoded.fixes.push(fix);
            }
            Err(fault) => decoded.faults.push(fault),
        },
        Some("encrypted") => decoded.faults.push(Fault::new(FaultKind::UnknownMessage, "an encrypted message")),
        Some(_) => decoded.device = device_id(id).ok(),
        None => decoded.faults.push(malformed("a message without _type")),
    }
    decoded
}

/// The first three levels: below them are events, cards, waypoints of the same device.
fn device_of_topic(topic: &str) -> &str {
    let end = topic.match_indices('/').nth(2).map_or(topic.len(), |(at, _)| at);
    &topic[..end]
}

fn location(message: &Value) -> Result<Fix, Fault> {
    let number = |key: &str| message.get(key).and_then(Value::as_f64);
    let needed = |key: &str| number(key).ok_or_else(|| malformed(format_args!("a location without {key}")));
    let mut fix = FixBuilder::valid(true);
    if let Some(altitude) = number("alt") {
        fix.altitude_m(altitude);
    }
    if let Some(speed) = number("vel") {
        fix.speed_kmh(speed);
    }
    if let Some(course) = number("cog") {
        fix.course_deg(course);
    }
    if let Some(accuracy) = number("acc") {
        fix.accuracy_m(accuracy);
    }
    if let Some(percent) = number("batt") {
        fix.set(name::BATTERY_LEVEL, percent);
    }
    // 1: unplugged, 2: charging, 3: full.
    if let Some(state @ 1..=3) = message.get("bs").and_then(Value::as_u64) {
        fix.set(name::CHARGE, state == 2);
    }
    if let Some(trigger) = message.get("t").and_then(Value::as_str) {
        fix.set(name::EVENT, trigger);
        // Trackers behind a gateway report a change of the ignition so.
        if let "i" | "I" = trigger {
            fix.set(name::IGNITION, trigger == "i");
        }
    }
    if let Some(metres) = number("odometer") {
        fix.set(name::ODOMETER_M, metres);
    }
    if let Some(volts) = number("uext") {
        fix.set(name::POWER_V, volts);
    }
    if let Some(volts) = number("ubatt") {
        fix.set(name::BATTERY_V, volts);
    }
    let time = from_unix_millis((needed("tst")? * 1000.0) as i64)?;
    fix.at(time, needed("lat")?, needed("lon")?)
}
