//! OsmAnd and Traccar Client: one fix per HTTP request, as query or form parameters (speed in knots) or as JSON (m/s).
//!
//! Clients send again whatever is not answered 200: a fix that is no fix is counted and answered 200, a request that cannot be
//! understood 400.

use crate::protocol::{Context, Decoded, Fault, FaultKind, Fix, HttpAnswer, HttpDecoded, HttpRequest, Protocol, Transport};
use crate::readers::{Each, FixBuilder, Flat, device_id, from_unix_millis, malformed, read_json};
use crate::vocabulary as name;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use smol_str::SmolStr;
use std::borrow::Cow;
use std::fmt;
use waystream_domain::{AttributeValue, Timestamp};

pub(super) const PROTOCOL: Protocol =
    Protocol { name: "osmand", port: 5055, max_frame_bytes: 256 * 1024, transport: Transport::Http { decode } };

/// Attributes that one fix may have: the names come from outside.
const MAX_ATTRIBUTES: usize = 64;
const MAX_NAME_BYTES: usize = 64;

fn decode(request: &HttpRequest<'_>, context: &Context) -> HttpDecoded {
    let mut decoded = Decoded::default();
    let body = request.body.trim_ascii();
    let understood = if body.starts_with(b"{") {
        json(body, context, &mut decoded)
    } else {
        let form = std::str::from_utf8(body).unwrap_or_default();
        let pairs = pairs(request.query().unwrap_or_default()).chain(pairs(form));
        parameters(pairs, context, &mut decoded)
    };
    let status = match understood {
        Ok(()) => 200,
        Err(fault) => {
            decoded.faults.push(fault);
            400
        }
    };
    HttpDecoded { decoded, answer: HttpAnswer::status(status), refusal: HttpAnswer::status(404), batch: None }
}

/// Names and values of a query or form, decoded.
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    form_urlencoded::parse(query.as_bytes())
}

fn parameters<'a>(
    pairs: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    context: &Context,
    decoded: &mut Decoded,
) -> Result<(), Fault> {
    let mut fix = FixBuilder::valid(true);
    let mut time = context.received_at;
    let (mut lat, mut lon) = (None, None);
    let mut others = 0;
    for (key, value) in pairs {
        let number = || value.trim().parse::<f64>().map_err(|_| malformed(format_args!("{key} is no number: {value}")));
        match &*key {
            "id" | "deviceid" => decoded.device = Some(device_id(&value)?),
            "timestamp" => time = parse_time(&value)?,
            "valid" => fix.valid = matches!(&*value, "true" | "1"),
            "lat" => lat = Some(number()?),
            "lon" => lon = Some(number()?),
            "location" => {
                let (first, second) = value.split_once(',').ok_or_else(|| malformed("location is not lat,lon"))?;
                lat = first.trim().parse().ok();
                lon = second.trim().parse().ok();
            }
            "speed" => {
                fix.speed_knots(number()?);
            }
            "bearing" | "heading" => {
                fix.course_deg(number()?);
            }
            "altitude" => {
                fix.altitude_m(number()?);
            }
            "accuracy" => {
                fix.accuracy_m(number()?);
            }
            // What a device shows of itself is for nobody who reads its history.
            "cell" | "wifi" | "token" => {}
            _ if others == MAX_ATTRIBUTES || key.len() > MAX_NAME_BYTES || value.is_empty() => {}
            key => {
                others += 1;
                fix.set(our_name(key), our_value(&value));
            }
        }
    }
    if decoded.device.is_none() {
        return Err(Fault::new(FaultKind::NoDevice, "neither id nor deviceid"));
    }
    // Without a place it is a report of stations around: answered, no fix.
    if let (Some(lat), Some(lon)) = (lat, lon) {
        keep(fix.at(time, lat, lon), decoded);
    }
    Ok(())
}

fn keep(fix: Result<Fix, Fault>, decoded: &mut Decoded) {
    match fix {
        Ok(fix) => decoded.fixes.push(fix),
        Err(fault) => decoded.faults.push(fault),
    }
}

/// Seconds or milliseconds since 1970, or ISO 8601, also with a space and without an offset (then UTC).
fn parse_time(text: &str) -> Result<Timestamp, Fault> {
    /// As seconds, the year 5138; as milliseconds, 1973.
    const FIRST_MILLIS: f64 = 1e11;
    match text.trim().parse::<f64>() {
        Ok(number) => from_unix_millis(if number < FIRST_MILLIS { number * 1e3 } else { number } as i64),
        Err(_) => Timestamp::parse(text).ok_or_else(|| Fault::new(FaultKind::BadTime, SmolStr::new(text))),
    }
}

fn our_name(key: &str) -> &str {
    match key {
        "batt" => name::BATTERY_LEVEL,
        "driverUniqueId" => name::DRIVER_ID,
        "odometer" => name::ODOMETER_M,
        "power" => name::POWER_V,
        "battery" => name::BATTERY_V,
        "sat" => name::SATELLITES,
        "fuel" => name::FUEL_L,
        other => other,
    }
}

fn our_value(text: &str) -> AttributeValue {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => number.into(),
        _ if text == "true" || text == "false" => (text == "true").into(),
        _ => text.into(),
    }
}

/// `{"location": {…} | [{…}, …], "device_id": …}`.
fn json(body: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
    let mut understood = Decoded::default();
    let id = read_json(body, Message { context, decoded: &mut understood }).map_err(malformed)?;
    let id = match id {
        Value::String(id) => device_id(&id)?,
        Value::Number(id) => device_id(&id.to_string())?,
        _ => return Err(Fault::new(FaultKind::NoDevice, "no device_id")),
    };
    *decoded = Decoded { device: Some(id), ..understood };
    Ok(())
}

/// Reads a message: each location is understood as it comes. Gives the id.
struct Message<'a> {
    context: &'a Context,
    decoded: &'a mut Decoded,
}

impl<'de> DeserializeSeed<'de> for Message<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<Value, D::Error> {
        input.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Message<'_> {
    type Value = Value;
    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object with location and device_id")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut id = Value::Null;
        while let Some(name) = entries.next_key::<String>()? {
            match &*name {
                "device_id" => id = entries.next_value_seed(Flat { depth: 0 })?,
                "location" => {
                    let then = |location: Value| match json_location(&location, self.context) {
                        Ok(fix) => self.decoded.fixes.extend(fix),
                        Err(fault) => self.decoded.faults.push(fault),
                    };
                    // Objects in it: coords, battery, activity, extras.
                    entries.next_value_seed(Each { depth: 2, then })?;
                }
                _ => drop(entries.next_value::<IgnoredAny>()?),
            }
        }
        Ok(id)
    }
}

fn json_location(location: &Value, context: &Context) -> Result<Option<Fix>, Fault> {
    let time = match location.get("timestamp") {
        Some(Value::String(text)) => parse_time(text)?,
        Some(Value::Number(number)) => parse_time(&number.to_string())?,
        _ => context.received_at,
    };
    let coords = |key: &str| location.pointer("/coords")?.get(key)?.as_f64();
    let (Some(lat), Some(lon)) = (coords("latitude"), coords("longitude")) else { return Ok(None) };
    let mut fix = FixBuilder::valid(true);
    // Unknown values are sent as -1, which the builder leaves out; an altitude may be below the sea.
    fix.speed_mps(coords("speed").unwrap_or(-1.0));
    fix.course_deg(coords("heading").unwrap_or(-1.0));
    fix.accuracy_m(coords("accuracy").unwrap_or(-1.0));
    if let Some(altitude) = coords("altitude") {
        fix.altitude_m(altitude);
    }
    for (path, name) in [
        ("/is_moving", name::MOTION),
        ("/odometer", name::ODOMETER_M),
        ("/event", name::EVENT),
        ("/battery/is_charging", name::CHARGE),
        ("/activity/type", "activity"),
    ] {
        if let Some(value) = location.pointer(path).and_then(json_value) {
            fix.set(name, value);
        }
    }
    if let Some(level @ 0.0..=1.0) = location.pointer("/battery/level").and_then(Value::as_f64) {
        fix.set(name::BATTERY_LEVEL, (level * 100.0).round() as i64);
    }
    if let Some(Value::Object(extras)) = location.get("extras") {
        for (key, value) in extras.iter().filter(|(key, _)| key.len() <= MAX_NAME_BYTES).take(MAX_ATTRIBUTES) {
            if let Some(value) = json_value(value) {
                fix.set(our_name(key), value);
            }
        }
    }
    fix.at(time, lat, lon).map(Some)
}

fn json_value(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::Bool(value) => Some((*value).into()),
        Value::Number(value) => value.as_i64().map(Into::into).or_else(|| value.as_f64().map(Into::into)),
        Value::String(value) if !value.is_empty() => Some(value.as_str().into()),
        _ => None,
    }
}
