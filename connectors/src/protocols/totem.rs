//! Totem (AT and XT models): texts of fixed columns behind `$$` and their length, in four forms of two generations.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Framing, Protocol, Transport};
use crate::readers::{
    Fields, FixBuilder, Rmc, ascii, bit, checksum_holds, device_id, dmy, find, malformed, nmea_degrees, number, xor, ymd,
};
use crate::vocabulary::{self as name, alarm};
use bytes::{Buf, Bytes, BytesMut};
use crc::{CRC_16_MODBUS, Crc};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "totem",
    port: 5007,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(TotemFraming),
        decoder: || Box::new(Totem { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;
const IMEI_DIGITS: usize = 15;
const CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_MODBUS);

struct TotemFraming;

impl Framing for TotemFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        let start = find(buffer, b"$$").unwrap_or(buffer.len().saturating_sub(1));
        buffer.advance(start);
        let Some(digits) = buffer.get(2..6) else { return Ok(None) };
        let digits = String::from_utf8_lossy(digits);
        // The old length has two hexadecimal digits, and no message is so short that the first is 0.
        let length = if digits.starts_with('0') {
            digits.parse::<usize>().ok()
        } else {
            digits.get(..2).and_then(|digits| usize::from_str_radix(digits, 16).ok())
        };
        let length = length.filter(|length| *length >= 6).ok_or_else(|| malformed(format_args!("{digits:?} is no length")))?;
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a message of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

struct Totem {
    device: Option<DeviceId>,
}

impl Decoder for Totem {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let text = ascii(frame.trim_ascii())?;
        let body = text.strip_prefix("$$").ok_or_else(|| malformed("a message begins with $$"))?;
        let fix = if body.starts_with('0') {
            let (covered, digits) = split_end(text, 2)?;
            let found = u8::from_str_radix(digits, 16).map_err(|_| malformed("no checksum"))?;
            if !checksum_holds(found, xor(covered.as_bytes()), context, decoded) {
                return Ok(());
            }
            self.new_form(covered, decoded)?
        } else {
            let (covered, digits) = split_end(text, 4)?;
            let found = u16::from_str_radix(digits, 16).map_err(|_| malformed("no checksum"))?;
            if !checksum_holds(found, CRC.checksum(covered.as_bytes()), context, decoded) {
                return Ok(());
            }
            self.old_form(covered, decoded)?
        };
        decoded.fixes.extend(fix);
        Ok(())
    }
}

impl Totem {
    /// `$$` + length + kind + IMEI + `|` + columns + serial number.
    fn new_form(&mut self, text: &str, decoded: &mut Decoded) -> Result<Option<Fix>, Fault> {
        let kind = text.get(6..8).unwrap_or_default();
        let Some((id, body)) = text.get(8..).and_then(|rest| rest.split_once('|')) else {
            // A sign of life: only the IMEI.
            self.device = Some(device_id(text.get(8..).unwrap_or_default())?);
            return Ok(None);
        };
        self.device = Some(device_id(id)?);
        // The serial number goes back, so that the message is not sent again.
        let (_, serial) = split_end(text, 4)?;
        let answer = format!("$$0014AA{serial}");
        let checksum = xor(answer.as_bytes());
        decoded.replies.push(format!("{answer}{checksum:02X}").into());
        let fix = if body.get(12..13) == Some(",") { listed(body)? } else { columns(body)? };
        Ok(fix.map(|mut fix| {
            if let Some(word) = new_alarm(kind) {
                fix.attributes.set(name::ALARM, word);
            }
            fix
        }))
    }

    /// `$$` + length + IMEI + `|` + alarm + one of three forms.
    fn old_form(&mut self, text: &str, decoded: &mut Decoded) -> Result<Option<Fix>, Fault> {
        let (id, body) = text
            .get(4..)
            .and_then(|rest| rest.split_once('|'))
            .filter(|(id, _)| id.len() <= IMEI_DIGITS && id.bytes().all(|byte| byte.is_ascii_digit()))
            .ok_or_else(|| malformed("no IMEI"))?;
        self.device = Some(device_id(id)?);
        decoded.replies.push("ACK OK\r\n".into());
        let (kind, body) = body.split_at_checked(2).ok_or_else(|| malformed("no alarm"))?;
        let fix = match body.strip_prefix("$GPRMC,") {
            Some(body) => sentence(body).map(Some),
            None if body.contains("|A|") || body.contains("|V|") => parted(body).map(Some),
            // Without a fix the columns hold zeros.
            None if !body.contains(['N', 'S']) => Ok(None),
            None => old_columns(body).map(Some),
        };
        Ok(fix?.map(|mut fix| {
            if let Some(word) = old_alarm(kind) {
                fix.attributes.set(name::ALARM, word);
            }
            fix
        }))
    }
}

fn split_end(text: &str, characters: usize) -> Result<(&str, &str), Fault> {
    text.len().checked_sub(characters).and_then(|at| text.split_at_checked(at)).ok_or_else(|| malformed("a short message"))
}

/// `yymmddhhmmss,lon,lat,…`: with the engine's readings behind `$Cloud`, or with a card's number.
fn listed(body: &str) -> Result<Option<Fix>, Fault> {
    let fields = Fields::new(body.split('|').next().unwrap_or_default(), ',');
    let mut fix = FixBuilder::valid(true);
    if fields.get(3) == "$Cloud" {
        for (at, name) in [(4, name::ODOMETER_M), (8, name::RPM), (9, name::OBD_SPEED_KMH), (12, name::COOLANT_TEMPERATURE_C)] {
            fix.set_some(name, fields.int(at));
        }
        if let Some(millivolts) = fields.number(7) {
            fix.set(name::POWER_V, millivolts / 1e3);
        }
        fix.set_some(name::FUEL_LEVEL, fields.int(16));
    } else if fields.len() == 4 && !fields.get(3).is_empty() {
        fix.set(name::DRIVER_ID, fields.get(3));
    }
    let (date, time) = fields.get(0).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date, time)?, fields.needed(2)?, fields.needed(1)?).map(Some)
}

/// Fixed columns, read from both sides of what varies: status, time, batteries and analogue inputs | LAC, cell, perhaps MCC and MNC, satellites,
/// signal, course, km/h, HDOP, odometer, latitude, longitude.
fn columns(body: &str) -> Result<Option<Fix>, Fault> {
    let (front, place) = at_place(body)?;
    let (front, gnss) = split_end(front, 2 + 2 + 3 + 3 + 4 + 7)?;
    let (head, front) = front.split_at_checked(8 + 12).ok_or_else(|| malformed("a short message"))?;
    // Four digits each of LAC and cell; MCC and MNC make the rest odd, except where the battery has three digits.
    let analogue_digits = front.len().checked_sub(8).ok_or_else(|| malformed("a short message"))?;
    let analogue_digits = if analogue_digits % 2 == 1 && analogue_digits > 7 { analogue_digits - 5 } else { analogue_digits };
    let analogue = front.get(..analogue_digits).unwrap_or_default();

    let status = u32::from_str_radix(head.get(..8).unwrap_or_default(), 16).map_err(|_| malformed("no status"))?;
    let (battery, power, rest) = match analogue.len() {
        7 => (number(&analogue[..3]).map(|v| v / 100.0), None, &analogue[3..]),
        8.. => (number(&analogue[..2]).map(|v| v / 10.0), number(&analogue[2..4]), &analogue[4..]),
        _ => return Err(malformed("no battery")),
    };
    let values: Vec<i64> = (0..rest.len() / 4).filter_map(|n| rest.get(4 * n..4 * n + 4)?.parse().ok()).collect();
    let (adc, temperatures) = match values.len() {
        0..=1 => (values.len(), 0),
        2..=3 => (1, values.len() - 1),
        _ => (4, values.len() - 4),
    };
    let mut fix = FixBuilder::valid(bit(status, if temperatures == 2 { 12 } else { 14 }));
    fix.set(name::STATUS, i64::from(status)).set(name::IGNITION, bit(status, 30)).set(name::CHARGE, bit(status, 28));
    for (index, word) in [
        (31, alarm::SOS),
        (29, alarm::OVERSPEED),
        (27, alarm::GEOFENCE_EXIT),
        (26, alarm::GEOFENCE_ENTER),
        (25, alarm::GPS_ANTENNA_CUT),
    ] {
        if bit(status, index) {
            fix.set(name::ALARM, word);
        }
    }
    for (name, volts) in [(name::BATTERY_V, battery), (name::POWER_V, power)] {
        fix.set_some(name, volts);
    }
    for (index, value) in values[..adc].iter().enumerate() {
        fix.set(format_smolstr!("adc.{}", index + 1), *value);
    }
    for (index, value) in values[adc..].iter().enumerate() {
        fix.set(format_smolstr!("io.temperature.{}", index + 1), *value);
    }
    let part = |from: usize, to: usize| gnss.get(from..to).and_then(number);
    fix.course_deg(part(4, 7).unwrap_or(-1.0)).speed_kmh(part(7, 10).unwrap_or(-1.0));
    gnss_attributes(&mut fix, part(0, 2), part(2, 4), (name::HDOP, part(10, 14)), part(14, 21));
    let (lat, lon) = joined_place(place)?;
    let (date, time) = head[8..].split_at(6);
    fix.at(ymd(date, time)?, lat, lon).map(Some)
}

fn gnss_attributes(
    fix: &mut FixBuilder,
    satellites: Option<f64>,
    signal: Option<f64>,
    dilution: (&'static str, Option<f64>),
    kilometres: Option<f64>,
) {
    for (name, value) in
        [(name::SATELLITES, satellites), (name::RSSI, signal), (name::ODOMETER_M, kilometres.map(|km| km * 1e3))]
    {
        if let Some(value) = value {
            fix.set(name, value as i64);
        }
    }
    if let (name, Some(value)) = dilution {
        fix.set(name, value);
    }
}

/// Where the place begins; what is behind it is longer in some models. No other column holds an N or S.
fn at_place(body: &str) -> Result<(&str, &str), Fault> {
    body.find(['N', 'S']).and_then(|letter| body.split_at_checked(letter.checked_sub(9)?)).ok_or_else(|| malformed("no place"))
}

/// `ddmm.mmmmNdddmm.mmmmE`.
fn joined_place(place: &str) -> Result<(f64, f64), Fault> {
    let part = |from: usize, to: usize| place.get(from..to).unwrap_or_default();
    Ok((nmea_degrees(part(0, 9), part(9, 10))?, nmea_degrees(part(10, 20), part(20, 21))?))
}

/// `time,A,lat,N,lon,E,knots,course,date,,,A*cs|pdop|hdop|vdop|io|clock|battery and power|adc|cell|temperature|odometer|serial|`.
fn sentence(body: &str) -> Result<Fix, Fault> {
    let (rmc, rest) = body.split_once('*').ok_or_else(|| malformed("half a sentence"))?;
    let Rmc { mut fix, time, lat_deg, lon_deg } = Rmc::read(&Fields::new(rmc, ','), 0)?;
    let fields = Fields::new(rest, '|');
    for (at, name) in [(1, name::PDOP), (2, name::HDOP), (3, name::VDOP)] {
        fix.set_some(name, fields.number(at));
    }
    // Digits are bits, the last is bit 0.
    let io = i64::from_str_radix(fields.get(4), 2).unwrap_or_default();
    fix.set(name::STATUS, io);
    if io & 1 == 1 {
        fix.set(name::ALARM, alarm::SOS);
    }
    // Charged, hundredths of a volt twice.
    let supply = fields.get(6);
    for (name, volts) in [(name::BATTERY_V, supply.get(1..4)), (name::POWER_V, supply.get(4..8))] {
        if let Some(value) = volts.and_then(number) {
            fix.set(name, value / 100.0);
        }
    }
    // The odometer is the one with a point.
    if let Some(km) = fields.from(8).iter().find(|field| field.contains('.')).and_then(|field| number(field)) {
        fix.set(name::ODOMETER_M, km * 1e3);
    }
    fix.at(time, lat_deg, lon_deg)
}

/// `ddmmyyhhmmss|A|lat|N|lon|E|knots|course|hdop|io|battery|adc|cell|temperature|odometer|serial|`.
fn parted(body: &str) -> Result<Fix, Fault> {
    let fields = Fields::new(body, '|');
    let mut fix = FixBuilder::valid(fields.get(1) == "A");
    fix.speed_knots(fields.number(6).unwrap_or(-1.0)).course_deg(fields.number(7).unwrap_or(-1.0));
    fix.set_some(name::HDOP, fields.number(8));
    let io = i64::from_str_radix(fields.get(9), 2).unwrap_or_default();
    fix.set(name::STATUS, io).set(name::CHARGE, io & 2 != 0);
    if let (Some(battery), Some(power)) = (fields.get(10).get(1..3).and_then(number), fields.get(10).get(3..5).and_then(number))
    {
        fix.set(name::BATTERY_V, battery / 10.0).set(name::POWER_V, power);
    }
    if let Some(km) = fields.number(14) {
        fix.set(name::ODOMETER_M, km * 1e3);
    }
    let (lat, lon) = fields.nmea_place(2)?;
    let (date, time) = fields.get(0).split_at_checked(6).ok_or_else(|| malformed("a short time"))?;
    fix.at(dmy(date, time)?, lat, lon)
}

/// Date, time, io, charging, battery, power, two analogue inputs and temperatures, cell | `A`, satellites, course, knots, PDOP,
/// odometer, latitude, longitude, serial.
fn old_columns(body: &str) -> Result<Fix, Fault> {
    let (front, place) = at_place(body)?;
    let (front, gnss) = split_end(front, 1 + 2 + 3 + 3 + 4 + 7)?;
    let part = |from: usize, to: usize| gnss.get(from..to).and_then(number);
    let mut fix = FixBuilder::valid(gnss.starts_with('A'));
    fix.course_deg(part(3, 6).unwrap_or(-1.0)).speed_knots(part(6, 9).unwrap_or(-1.0));
    gnss_attributes(&mut fix, part(1, 3), None, (name::PDOP, part(9, 13)), part(13, 20));
    let head = |from: usize, to: usize| front.get(from..to).unwrap_or_default();
    fix.set(name::STATUS, i64::from_str_radix(head(12, 16), 16).unwrap_or_default());
    fix.set(name::CHARGE, head(16, 17) == "1");
    for (name, value, scale) in [(name::BATTERY_V, head(17, 19), 10.0), (name::POWER_V, head(19, 21), 1.0)] {
        if let Some(value) = number(value) {
            fix.set(name, value / scale);
        }
    }
    for (name, value) in [("adc.1", head(21, 25)), ("adc.2", head(25, 29))] {
        if let Ok(value) = value.parse::<i64>() {
            fix.set(name, value);
        }
    }
    let (lat, lon) = joined_place(place)?;
    fix.at(dmy(head(0, 6), head(6, 12))?, lat, lon)
}

fn old_alarm(kind: &str) -> Option<&'static str> {
    match kind {
        "01" => Some(alarm::SOS),
        "10" => Some(alarm::LOW_BATTERY),
        "11" => Some(alarm::OVERSPEED),
        "42" => Some(alarm::GEOFENCE_EXIT),
        "43" => Some(alarm::GEOFENCE_ENTER),
        _ => None,
    }
}

fn new_alarm(kind: &str) -> Option<&'static str> {
    match kind {
        "01" => Some(alarm::SOS),
        "02" => Some(alarm::OVERSPEED),
        "04" => Some(alarm::GEOFENCE_EXIT),
        "05" => Some(alarm::GEOFENCE_ENTER),
        "06" => Some(alarm::TOW),
        "07" => Some(alarm::GPS_ANTENNA_CUT),
        "10" => Some(alarm::POWER_CUT),
        "11" => Some(alarm::POWER_RESTORED),
        "12" => Some(alarm::LOW_POWER),
        "13" => Some(alarm::LOW_BATTERY),
        "40" => Some(alarm::VIBRATION),
        "41" => Some(alarm::IDLE),
        "42" => Some(alarm::HARD_ACCELERATION),
        "43" => Some(alarm::HARD_BRAKING),
        _ => None,
    }
}
