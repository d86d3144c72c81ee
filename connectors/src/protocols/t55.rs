//! T55 and everything that sends bare NMEA 0183 lines: the id comes once, in one of a dozen forms, or in front of each sentence.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Fix, Protocol, Transport};
use crate::readers::{Delimited, Fields, FixBuilder, Rmc, device_id, dmy, malformed, pairs, sentence_holds, time_of_day, ymd};
use crate::vocabulary as name;
use smol_str::format_smolstr;
use waystream_domain::{DeviceId, Timestamp};

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "t55",
    port: 5005,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: true,
        framing: || Box::new(Delimited::stripping(&[b"\r\n", b"\n"], MAX_FRAME_BYTES)),
        decoder: || Box::new(T55 { device: None }),
    },
};

const MAX_FRAME_BYTES: usize = 1024;

struct T55 {
    device: Option<DeviceId>,
}

impl Decoder for T55 {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let line = String::from_utf8_lossy(frame);
        if !sentence_holds(&line, context, decoded) {
            return Ok(());
        }
        match self.line(&line, context.received_at)? {
            Some(_) if self.device.is_none() => Err(Fault::new(FaultKind::NoDevice, "a sentence before an id")),
            fix => {
                decoded.fixes.extend(fix);
                Ok(())
            }
        }
    }
}

impl T55 {
    fn line(&mut self, line: &str, now: Timestamp) -> Result<Option<Fix>, Fault> {
        let line = line.trim();
        let Some((front, sentence)) = line.split_once('$') else {
            return self.plain(line);
        };
        // What stands in front of a sentence: an id, perhaps behind a number.
        if let Some(id) = front.trim_end_matches([',', '/']).rsplit('/').next().filter(|id| !id.is_empty()) {
            self.device = Some(device_id(id)?);
        }
        let (body, behind) = sentence.split_once('*').unwrap_or((sentence, ""));
        let fields = Fields::new(body, ',');
        let kind = fields.get(0);
        let mut login = |id: &str| {
            self.device = Some(device_id(id)?);
            Ok(None)
        };
        match kind {
            "PGID" | "GPFID" | "DEVID" | "PCPTI" | "PSIWMDID" | "CONNECT" => login(fields.get(1)),
            "ID" => {
                login(fields.get(1))?;
                keyed(&fields)
            }
            "TRCCR" => trccr(&fields).map(Some),
            "PUBX" if fields.get(1) == "00" => {
                login(fields.get(fields.len() - 2))?;
                pubx(&fields, now).map(Some)
            }
            _ if kind.starts_with("IMEI=") => login(&kind["IMEI=".len()..]),
            _ if kind.ends_with("RMC") => {
                // One make puts satellites, IMEI, ignition, fuel and battery behind the checksum.
                let tail = Fields::new(behind, ',');
                if tail.get(2).len() == 15 {
                    login(tail.get(2))?;
                }
                rmc(&fields, &tail).map(Some)
            }
            _ if kind.ends_with("GGA") => gga(&fields, now).map(Some),
            _ if kind.ends_with("GLL") => gll(&fields, now).map(Some),
            _ if kind.ends_with("RMA") => rma(&fields, now).map(Some),
            // Other sentences have no place.
            _ => Ok(None),
        }
    }

    /// Lines that are no sentences.
    fn plain(&mut self, line: &str) -> Result<Option<Fix>, Fault> {
        if let Some(report) = line.strip_prefix("QZE,") {
            let fields = Fields::new(report, ',');
            self.device = Some(device_id(fields.get(0))?);
            return qze(&fields).map(Some);
        }
        let id = line.strip_prefix("IMEI").unwrap_or(line).trim();
        if id.bytes().all(|byte| byte.is_ascii_alphanumeric()) && id.len() >= 8 {
            self.device = Some(device_id(id)?);
            return Ok(None);
        }
        Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("{line:.40}")))
    }
}

/// The sentence itself, and behind it perhaps `,satellites,imei,ignition,fuel,battery`.
fn rmc(fields: &Fields<'_>, tail: &Fields<'_>) -> Result<Fix, Fault> {
    let Rmc { mut fix, time, lat_deg, lon_deg } = Rmc::read(fields, 1)?;
    if tail.len() >= 6 {
        fix.set(name::SATELLITES, tail.int(1).unwrap_or_default()).set(name::IGNITION, tail.get(3) == "1");
        fix.set(name::FUEL_LEVEL, tail.int(4).unwrap_or_default()).set(name::BATTERY_LEVEL, tail.int(5).unwrap_or_default());
    }
    fix.at(time, lat_deg, lon_deg)
}

/// `time,lat,N,lon,E,quality,satellites,hdop,altitude,M`.
fn gga(fields: &Fields<'_>, now: Timestamp) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(!matches!(fields.get(6), "" | "0"));
    if let Some(altitude) = fields.number(9) {
        fix.altitude_m(altitude);
    }
    if let Some(satellites) = fields.int(7) {
        fix.set(name::SATELLITES, satellites);
    }
    if let Some(hdop) = fields.number(8) {
        fix.set(name::HDOP, hdop);
    }
    let (lat, lon) = fields.nmea_place(2)?;
    fix.at(time_of_day(fields.get(1), now)?, lat, lon)
}

/// `lat,N,lon,E,time,A`.
fn gll(fields: &Fields<'_>, now: Timestamp) -> Result<Fix, Fault> {
    let (lat, lon) = fields.nmea_place(1)?;
    FixBuilder::valid(fields.get(6) == "A").at(time_of_day(fields.get(5), now)?, lat, lon)
}

/// `A,lat,N,lon,E,,,knots,course`: no time at all.
fn rma(fields: &Fields<'_>, now: Timestamp) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(1) == "A");
    fix.speed_knots(fields.number(8).unwrap_or(-1.0)).course_deg(fields.number(9).unwrap_or(-1.0));
    let (lat, lon) = fields.nmea_place(2)?;
    fix.at(now, lat, lon)
}

/// `yyyymmddhhmmss.sss,A,lat,lon,knots,course,altitude,battery`.
fn trccr(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(2) == "A");
    fix.speed_knots(fields.told(5)).course_deg(fields.told(6)).altitude_m(fields.told(7));
    if let Some(battery) = fields.number(8) {
        fix.set("battery", battery);
    }
    let (date, time) = fields.get(1).split_at_checked(8).ok_or_else(|| malformed("a short time"))?;
    fix.at(ymd(date.get(2..).unwrap_or_default(), time)?, fields.needed(3)?, fields.needed(4)?)
}

/// u-blox: `00,time,lat,N,lon,E,altitude,state,…,km/h,course,…,hdop,vdop,tdop,satellites,…,id`.
fn pubx(fields: &Fields<'_>, now: Timestamp) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(8) != "NF");
    fix.altitude_m(fields.told(7)).speed_kmh(fields.told(11)).course_deg(fields.told(12));
    fix.set_some(name::HDOP, fields.number(15)).set_some(name::VDOP, fields.number(16));
    fix.set_some(name::SATELLITES, fields.int(18));
    let (lat, lon) = fields.nmea_place(3)?;
    fix.at(time_of_day(fields.get(2), now)?, lat, lon)
}

/// `imei,event,ddmmyyyy,hhmmss,lat,lon,knots,course,A,ignition`.
fn qze(fields: &Fields<'_>) -> Result<Fix, Fault> {
    let mut fix = FixBuilder::valid(fields.get(8) == "A");
    fix.speed_knots(fields.told(6)).course_deg(fields.told(7));
    fix.set_some(name::EVENT, fields.int(1)).set(name::IGNITION, fields.get(9) == "1");
    let [day, month, _, year] = pairs(fields.get(2))?;
    let date = format!("{year:02}{month:02}{day:02}");
    fix.at(ymd(&date, fields.get(3))?, fields.needed(4)?, fields.needed(5)?)
}

/// WMCS: keys and values in turn, `…,A,D,ddmmyy,T,hhmmss,…,La,51.8,N,Lo,5.8,E,…`.
fn keyed(fields: &Fields<'_>) -> Result<Option<Fix>, Fault> {
    let at = |key: &str| fields.from(0).iter().position(|field| *field == key);
    let (Some(date), Some(lat), Some(lon)) = (at("D"), at("La"), at("Lo")) else { return Ok(None) };
    let signed = |at: usize, negative: &str| {
        let degrees = fields.needed(at + 1)?;
        Ok::<_, Fault>(if fields.get(at + 2) == negative { -degrees } else { degrees })
    };
    let mut fix = FixBuilder::valid(fields.get(date - 1) == "A");
    let value = |key: &str| fields.from(lon).iter().position(|field| *field == key).and_then(|at| fields.number(lon + at + 1));
    fix.course_deg(value("H").unwrap_or(-1.0)).speed_kmh(value("V").unwrap_or(-1.0));
    fix.at(dmy(fields.get(date + 1), fields.get(date + 3))?, signed(lat, "S")?, signed(lon, "W")?).map(Some)
}
