//! EGTS (GOST R 54619, GOST 33472): packets of records of sub-records; a relay sends the records of many devices through one connection.

use crate::protocol::{Context, Decoded, Decoder, Fault, FaultKind, Framing, Protocol, Transport};
use crate::readers::{FixBuilder, Reader, bit, checksum_holds, device_id, from_unix_secs, malformed};
use crate::vocabulary as name;
use bytes::{Bytes, BytesMut};
use crc::{CRC_8_NRSC_5, CRC_16_IBM_3740, Crc};
use smol_str::format_smolstr;
use waystream_domain::DeviceId;

pub(super) const PROTOCOL: Protocol = Protocol {
    name: "egts",
    port: 5162,
    max_frame_bytes: MAX_FRAME_BYTES,
    transport: Transport::Socket {
        tcp: true,
        udp: false,
        framing: || Box::new(EgtsFraming),
        decoder: || Box::new(Egts::default()),
    },
};

/// The standard's largest packet.
const MAX_FRAME_BYTES: usize = 65_535;
/// A record with a place has 31 bytes. Each is answered, so of shorter ones there may not be more either.
const MAX_RECORDS: usize = MAX_FRAME_BYTES / 31;
const HEADER_CRC: Crc<u8> = Crc::<u8>::new(&CRC_8_NRSC_5);
const DATA_CRC: Crc<u16> = Crc::<u16>::new(&CRC_16_IBM_3740);

const RESPONSE: u8 = 0;
const APPDATA: u8 = 1;
const SIGNED_APPDATA: u8 = 2;

const RECORD_RESPONSE: u8 = 0;
const TERM_IDENTITY: u8 = 1;
const RESULT_CODE: u8 = 7;
const POS_DATA: u8 = 16;
const EXT_POS_DATA: u8 = 17;
const AD_SENSORS_DATA: u8 = 18;
/// Edition 2 of the standard moved it from 21.
const STATE_DATA: [u8; 2] = [20, 21];
const ABS_AN_SENS_DATA: u8 = 24;
const LIQUID_LEVEL_SENSOR: u8 = 27;

/// Service that sub-records of identity belong to.
const AUTH_SERVICE: u8 = 1;
/// 2010-01-01, seconds since 1970: the epoch of the standard.
const EPOCH_SECS: i64 = 1_262_304_000;
/// Version, key, flags, header length, encoding, data length, id, type, checksum.
const HEADER_BYTES: u8 = 11;

struct EgtsFraming;

impl Framing for EgtsFraming {
    fn next_frame(&mut self, buffer: &mut BytesMut) -> Result<Option<Bytes>, Fault> {
        if buffer.first().is_some_and(|version| *version != 1) {
            return Err(malformed("a packet begins with version 1"));
        }
        let [_, _, _, header, _, low, high, ..] = buffer[..] else { return Ok(None) };
        if header < HEADER_BYTES {
            return Err(malformed(format_args!("a header of {header} bytes")));
        }
        let data = usize::from(u16::from_le_bytes([low, high]));
        let length = usize::from(header) + if data > 0 { data + 2 } else { 0 };
        if length > MAX_FRAME_BYTES {
            return Err(Fault::new(FaultKind::Oversized, format_smolstr!("a packet of {length} bytes")));
        }
        Ok((buffer.len() >= length).then(|| buffer.split_to(length).freeze()))
    }
}

#[derive(Default)]
struct Egts {
    /// A terminal that identified itself; then object ids in records are its own numbers.
    device: Option<DeviceId>,
    /// Number of the next packet to the device.
    next_packet: u16,
}

impl Decoder for Egts {
    fn session(&mut self) -> Option<&mut Option<DeviceId>> {
        Some(&mut self.device)
    }

    fn understand(&mut self, frame: &[u8], context: &Context, decoded: &mut Decoded) -> Result<(), Fault> {
        let mut reader = Reader::new(frame);
        reader.skip(3)?;
        let header = usize::from(reader.u8()?);
        reader.skip(1)?;
        let length = usize::from(reader.u16_le()?);
        let packet = reader.u16_le()?;
        let kind = reader.u8()?;
        reader.skip(header.checked_sub(usize::from(HEADER_BYTES)).ok_or_else(|| malformed("a short header"))?)?;
        let found = reader.u8()?;
        if !checksum_holds(found, HEADER_CRC.checksum(&frame[..header - 1]), context, decoded) || length == 0 {
            return Ok(());
        }
        let data = reader.take(length)?;
        if !checksum_holds(reader.u16_le()?, DATA_CRC.checksum(data), context, decoded) {
            return Ok(());
        }
        let mut records = Reader::new(data);
        match kind {
            RESPONSE => return Ok(()),
            APPDATA => {}
            SIGNED_APPDATA => {
                let signature = records.u16_le()?;
                records.skip(usize::from(signature))?;
            }
            _ => return Err(Fault::new(FaultKind::UnknownMessage, format_smolstr!("a packet of type {kind}"))),
        }
        for _ in 0..MAX_RECORDS {
            if records.left() == 0 {
                return Ok(());
            }
            self.record(packet, &mut records, decoded)?;
        }
        Err(malformed("more records than places fit into a packet"))
    }
}

impl Egts {
    fn record(&mut self, packet: u16, records: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
        let length = usize::from(records.u16_le()?);
        let number = records.u16_le()?;
        let flags = records.u8()?;
        let object = if bit(flags, 0) { Some(records.u32_le()?) } else { None };
        records.skip(4 * (usize::from(bit(flags, 1)) + usize::from(bit(flags, 2))))?;
        let service = records.u8()?;
        records.skip(1)?;
        let mut data = records.part(length)?;

        // Packet number and result of the whole, then a record that confirms this one. The packet's number goes back with its
        // bytes swapped, as recorded answers have it: terminals go by the record's number, which is in the standard's order.
        let confirmed = [&packet.to_be_bytes()[..], &[0]].concat();
        let [low, high] = number.to_le_bytes();
        self.answer(RESPONSE, &confirmed, service, RECORD_RESPONSE, &[low, high, 0], decoded);
        let mut places = Vec::new();
        let understood = self.subrecords(service, &mut data, &mut places, decoded);
        decoded.faults.extend(understood.err());
        for place in places {
            let fix = from_unix_secs(place.secs).and_then(|time| {
                let mut fix = place.fix.at(time, place.lat_deg, place.lon_deg)?;
                if self.device.is_none() {
                    fix.device = object.map(|object| device_id(&object.to_string())).transpose()?;
                }
                Ok(fix)
            });
            match fix {
                Ok(fix) => decoded.fixes.push(fix),
                Err(fault) => decoded.faults.push(fault),
            }
        }
        Ok(())
    }

    /// Sensors are said of the place in front of them.
    fn subrecords(
        &mut self,
        service: u8,
        data: &mut Reader<'_>,
        places: &mut Vec<Place>,
        decoded: &mut Decoded,
    ) -> Result<(), Fault> {
        while data.left() > 0 {
            let kind = data.u8()?;
            let length = data.u16_le()?;
            let mut body = data.part(length.into())?;
            let understood = match kind {
                TERM_IDENTITY if service == AUTH_SERVICE => self.identity(&mut body, decoded),
                POS_DATA => Place::read(&mut body).map(|place| places.push(place)),
                _ => places.last_mut().map_or(Ok(()), |place| sensors(kind, &mut body, &mut place.fix)),
            };
            decoded.faults.extend(understood.err());
        }
        Ok(())
    }

    /// Terminal's number, mask of what follows, home dispatcher, IMEI; network data behind it is not kept.
    fn identity(&mut self, body: &mut Reader<'_>, decoded: &mut Decoded) -> Result<(), Fault> {
        let terminal = body.u32_le()?;
        let flags = body.u8()?;
        if bit(flags, 0) {
            body.skip(2)?;
        }
        let imei = if bit(flags, 1) { String::from_utf8_lossy(body.take(15)?) } else { "".into() };
        let imei = imei.trim_matches(['\0', ' ']);
        self.device = Some(device_id(if imei.is_empty() { terminal.to_string() } else { imei.to_owned() }.as_str())?);
        self.answer(APPDATA, &[], AUTH_SERVICE, RESULT_CODE, &[0], decoded);
        Ok(())
    }

    /// A packet with one record with one sub-record.
    fn answer(&mut self, packet_kind: u8, front: &[u8], service: u8, kind: u8, body: &[u8], decoded: &mut Decoded) {
        let length = (body.len() as u16).to_le_bytes();
        let subrecord = [&[kind][..], &length, body].concat();
        // Its number is always 0: the device does not confirm it.
        let record = [&(subrecord.len() as u16).to_le_bytes()[..], &[0, 0, 0, service, service], &subrecord].concat();
        let data = [front, &record].concat();
        let mut packet = vec![1, 0, 0, HEADER_BYTES, 0];
        packet.extend_from_slice(&(data.len() as u16).to_le_bytes());
        packet.extend_from_slice(&self.next_packet.to_le_bytes());
        packet.push(packet_kind);
        packet.push(HEADER_CRC.checksum(&packet));
        packet.extend_from_slice(&data);
        packet.extend_from_slice(&DATA_CRC.checksum(&data).to_le_bytes());
        self.next_packet = self.next_packet.wrapping_add(1);
        decoded.replies.push(packet.into());
    }
}

struct Place {
    fix: FixBuilder,
    secs: i64,
    lat_deg: f64,
    lon_deg: f64,
}

impl Place {
    /// Seconds since 2010, parts of 90 and 180 degrees, flags, speed and signs, course, odometer, inputs, reason, altitude.
    fn read(body: &mut Reader<'_>) -> Result<Self, Fault> {
        let secs = i64::from(body.u32_le()?) + EPOCH_SECS;
        let whole = f64::from(u32::MAX);
        let (lat, lon) = (f64::from(body.u32_le()?) * 90.0 / whole, f64::from(body.u32_le()?) * 180.0 / whole);
        let flags = body.u8()?;
        let speed = body.u16_le()?;
        let course = u16::from(body.u8()?) | u16::from(bit(speed, 15)) << 8;
        let mut fix = FixBuilder::valid(bit(flags, 0));
        fix.speed_kmh(f64::from(speed & 0x3fff) / 10.0).course_deg(course.into());
        let [low, middle, high] = body.array()?;
        fix.set(name::ODOMETER_M, i64::from(u32::from_le_bytes([low, middle, high, 0])) * 100);
        fix.set("input", i64::from(body.u8()?)).set(name::EVENT, i64::from(body.u8()?));
        fix.set(name::MOTION, bit(flags, 4)).set(name::ARCHIVE, bit(flags, 3));
        if bit(flags, 7) {
            let [low, middle, high] = body.array()?;
            let altitude = f64::from(u32::from_le_bytes([low, middle, high, 0]));
            fix.altitude_m(if bit(speed, 14) { -altitude } else { altitude });
        }
        Ok(Self { fix, secs, lat_deg: if bit(flags, 5) { -lat } else { lat }, lon_deg: if bit(flags, 6) { -lon } else { lon } })
    }
}

fn sensors(kind: u8, body: &mut Reader<'_>, fix: &mut FixBuilder) -> Result<(), Fault> {
    match kind {
        EXT_POS_DATA => {
            let flags = body.u8()?;
            for (index, name) in [(0, name::VDOP), (1, name::HDOP), (2, name::PDOP)] {
                if bit(flags, index) {
                    fix.set(name, f64::from(body.u16_le()?) / 100.0);
                }
            }
            if bit(flags, 3) {
                fix.set(name::SATELLITES, i64::from(body.u8()?));
            }
        }
        AD_SENSORS_DATA => {
            let digital = body.u8()?;
            fix.set("output", i64::from(body.u8()?));
            let analogue = body.u8()?;
            for index in (0..8).filter(|index| bit(digital, *index)) {
                fix.set(format_smolstr!("input.{}", index + 1), i64::from(body.u8()?));
            }
            for index in (0..8).filter(|index| bit(analogue, *index)) {
                let [low, middle, high] = body.array()?;
                fix.set(format_smolstr!("adc.{}", index + 1), i64::from(u32::from_le_bytes([low, middle, high, 0])));
            }
        }
        _ if STATE_DATA.contains(&kind) => {
            fix.set(name::STATUS, i64::from(body.u8()?)).set(name::POWER_V, f64::from(body.u8()?) / 10.0);
            body.skip(1)?; // the reserve battery
            fix.set(name::BATTERY_V, f64::from(body.u8()?) / 10.0);
        }
        ABS_AN_SENS_DATA => {
            let number = body.u8()?;
            let [low, middle, high] = body.array()?;
            fix.set(format_smolstr!("adc.{number}"), i64::from(u32::from_le_bytes([low, middle, high, 0])));
        }
        LIQUID_LEVEL_SENSOR => {
            let flags = body.u8()?;
            body.skip(2)?;
            let number = flags & 7;
            // Bit 3: the sensor's own bytes instead of a number; bit 6: the sensor is in trouble.
            if !bit(flags, 3) && !bit(flags, 6) {
                let value = body.u32_le()?;
                match flags >> 4 & 3 {
                    1 => fix.set(format_smolstr!("{}.{number}", name::FUEL_LEVEL), i64::from(value)),
                    2 => fix.set(format_smolstr!("{}.{number}", name::FUEL_L), f64::from(value) / 10.0),
                    _ => fix.set(format_smolstr!("liquid.{number}"), i64::from(value)),
                };
            }
        }
        // Counters, single inputs, passengers, loops: no place and no common name.
        _ => {}
    }
    Ok(())
}
