//! The fold's memory between two fixes, in few bytes: beside the fix before it, most of it is near.

use super::bits::{unzigzag, zigzag};
use super::bytes::{Reader, put_bytes, put_number};
use crate::codec::{decode_checkpoint, encode_checkpoint};
use crate::{Fix, FleetId, LatLon, Motion, Pause, Standing, Stop, Timestamp, Travelled, Trip, Vitals};

/// Bits of the first byte.
const STOPPED: u8 = 1;
const MOVING: u8 = 1 << 1;
/// The trip has not gone on since its pause began.
const SAME: u8 = 1 << 2;
/// It is near geofences or knows more of the sensors than the ignition: all but the motion as protobuf.
const RARE: u8 = 1 << 3;
const IGNITION: u8 = 1 << 4;
const IGNITION_ON: u8 = 1 << 5;

/// What numbers are written beside.
#[derive(Clone, Copy)]
struct Base {
    time_ms: i64,
    lat: i64,
    lon: i64,
    odometer_m: i64,
}

impl Base {
    fn of(fix: Option<&Fix>) -> Self {
        fix.map_or(Self { time_ms: 0, lat: 0, lon: 0, odometer_m: 0 }, |f| Self {
            time_ms: f.fix_time.as_millis(),
            lat: f.location.lat_e7().into(),
            lon: f.location.lon_e7().into(),
            odometer_m: f.odometer_m.unwrap_or(0).into(),
        })
    }
}

/// Appends it; `previous` is the fix before.
pub(super) fn put(out: &mut Vec<u8>, standing: &Standing, previous: Option<&Fix>) {
    let Standing { fleet, members, inside, motion, vitals } = standing;
    let plain = Vitals { ignition: vitals.ignition, ..Vitals::default() };
    let rare = !members.is_empty() || !inside.is_empty() || *vitals != plain;
    let bit = |on: bool, bit: u8| if on { bit } else { 0 };
    let same = matches!(motion, Some(Motion::Moving(trip)) if trip.pause.so_far == trip.so_far);
    out.push(
        bit(matches!(motion, Some(Motion::Stopped(_))), STOPPED)
            | bit(matches!(motion, Some(Motion::Moving(_))), MOVING)
            | bit(same, SAME)
            | bit(rare, RARE)
            | bit(!rare && vitals.ignition.is_some(), IGNITION)
            | bit(!rare && vitals.ignition == Some(true), IGNITION_ON),
    );
    if rare {
        put_bytes(out, &encode_checkpoint(&Standing { motion: None, ..standing.clone() }));
    } else {
        put_bytes(out, fleet.as_str().as_bytes());
    }
    let mut to = Put { out, base: Base::of(previous) };
    match motion {
        None => {}
        Some(Motion::Stopped(Stop { at, since, idle_ms })) => {
            to.place(*at);
            to.time(*since);
            to.maybe(*idle_ms);
        }
        Some(Motion::Moving(trip)) => {
            let Trip { started_at, start, start_odometer_m, so_far, max_speed_cm_s, pause } = &**trip;
            to.time(*started_at);
            to.place(*start);
            to.odometer(*start_odometer_m);
            to.travelled(so_far);
            to.maybe(max_speed_cm_s.map(i64::from));
            to.place(pause.at);
            to.time(pause.since);
            if !same {
                to.travelled(&pause.so_far);
            }
            to.maybe(pause.engine_ms);
        }
    }
}

struct Put<'a> {
    out: &'a mut Vec<u8>,
    base: Base,
}

impl Put<'_> {
    fn near(&mut self, number: i64, base: i64) {
        put_number(self.out, zigzag(number.wrapping_sub(base)));
    }

    fn time(&mut self, time: Timestamp) {
        self.near(time.as_millis(), self.base.time_ms);
    }

    fn place(&mut self, at: LatLon) {
        self.near(at.lat_e7().into(), self.base.lat);
        self.near(at.lon_e7().into(), self.base.lon);
    }

    /// Whether there is one, then what.
    fn maybe(&mut self, number: Option<i64>) {
        self.out.push(u8::from(number.is_some()));
        if let Some(number) = number {
            self.near(number, 0);
        }
    }

    fn odometer(&mut self, metres: Option<u32>) {
        self.maybe(metres.map(|m| i64::from(m) - self.base.odometer_m));
    }

    fn travelled(&mut self, so_far: &Travelled) {
        self.out.extend_from_slice(&so_far.distance_m.to_le_bytes());
        self.odometer(so_far.odometer_m);
        self.near(so_far.driving_ms, 0);
        self.near(so_far.idle_ms, 0);
    }
}

/// Reads what [`put`] has written.
pub(super) fn read(bytes: &[u8], previous: Option<&Fix>) -> Option<Standing> {
    let mut reader = Reader(bytes);
    let flags = reader.byte()?;
    let head = reader.bytes()?;
    let mut standing = if flags & RARE != 0 {
        decode_checkpoint(head).ok()?
    } else {
        let mut plain = Standing::new(FleetId::new(std::str::from_utf8(head).ok()?).ok()?);
        plain.vitals.ignition = (flags & IGNITION != 0).then_some(flags & IGNITION_ON != 0);
        plain
    };
    let mut from = Get { reader, base: Base::of(previous) };
    if flags & STOPPED != 0 {
        let (at, since) = (from.place()?, from.time()?);
        standing.motion = Some(Motion::Stopped(Stop { at, since, idle_ms: from.maybe()? }));
    } else if flags & MOVING != 0 {
        let (started_at, start, start_odometer_m) = (from.time()?, from.place()?, from.odometer()?);
        let so_far = from.travelled()?;
        let max_speed_cm_s = from.maybe()?.map(u16::try_from).transpose().ok()?;
        let (at, since) = (from.place()?, from.time()?);
        let at_pause = if flags & SAME != 0 { so_far } else { from.travelled()? };
        let pause = Pause { at, since, so_far: at_pause, engine_ms: from.maybe()? };
        let trip = Trip { started_at, start, start_odometer_m, so_far, max_speed_cm_s, pause };
        standing.motion = Some(Motion::Moving(Box::new(trip)));
    }
    Some(standing)
}

struct Get<'a> {
    reader: Reader<'a>,
    base: Base,
}

impl Get<'_> {
    fn near(&mut self, base: i64) -> Option<i64> {
        Some(unzigzag(self.reader.number()?).wrapping_add(base))
    }

    fn time(&mut self) -> Option<Timestamp> {
        Timestamp::from_millis(self.near(self.base.time_ms)?)
    }

    fn place(&mut self) -> Option<LatLon> {
        let (lat, lon) = (self.near(self.base.lat)?, self.near(self.base.lon)?);
        LatLon::from_e7(i32::try_from(lat).ok()?, i32::try_from(lon).ok()?)
    }

    #[expect(clippy::option_option, reason = "bytes that are none, and no number")]
    fn maybe(&mut self) -> Option<Option<i64>> {
        Some(match self.reader.byte()? {
            0 => None,
            _ => Some(self.near(0)?),
        })
    }

    #[expect(clippy::option_option, reason = "bytes that are none, and no number")]
    fn odometer(&mut self) -> Option<Option<u32>> {
        let base = self.base.odometer_m;
        self.maybe()?.map(|by| u32::try_from(base.checked_add(by)?).ok()).map_or(Some(None), |metres| metres.map(Some))
    }

    fn travelled(&mut self) -> Option<Travelled> {
        let distance_m = f64::from_le_bytes(*self.reader.take(8)?.first_chunk()?);
        Some(Travelled { distance_m, odometer_m: self.odometer()?, driving_ms: self.near(0)?, idle_ms: self.near(0)? })
    }
}
