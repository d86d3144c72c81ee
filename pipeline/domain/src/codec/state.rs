//! How the memory of the fold is written: one device's state, and its last fixes.

use super::motion::{MotionMessage, motion_from_message, motion_to_message};
use super::{CodecError, LivePositionMessage, body, decode, encode, location, position, timestamp};
use crate::recent::Segment;
use crate::{
    ClosedSegments, DeviceId, DeviceState, Fix, FleetId, Fuel, GeofenceId, Inside, LatLon, Latest, Link, Member, Phase, Recent,
    SavedSegments, Speeding, Standing, Tank, Timestamp, Vitals,
};
use prost::Message;
use smol_str::SmolStr;

/// Schema of a device's state.
#[derive(Clone, PartialEq, Message)]
pub struct DeviceStateMessage {
    /// Device id.
    #[prost(string, tag = "1")]
    pub device: String,
    /// Fleet id.
    #[prost(string, tag = "2")]
    pub fleet: String,
    /// Newest valid position.
    #[prost(message, optional, tag = "3")]
    pub latest: Option<LivePositionMessage>,
    /// Geofences that hold it.
    #[prost(message, repeated, tag = "4")]
    pub inside: Vec<InsideMessage>,
    /// What it is doing, if trips are told.
    #[prost(message, optional, tag = "5")]
    pub motion: Option<MotionMessage>,
    /// What was decided about the newest valid position.
    #[prost(message, repeated, tag = "6")]
    pub members: Vec<MemberMessage>,
    /// The last fixes of all; those before them are in the topic `recent`.
    #[prost(message, optional, tag = "7")]
    pub open: Option<SegmentMessage>,
    /// What its sensors said last.
    #[prost(message, optional, tag = "8")]
    pub vitals: Option<VitalsMessage>,
    /// When it was heard last, milliseconds since the Unix epoch.
    #[prost(sint64, optional, tag = "9")]
    pub heard_at_ms: Option<i64>,
    /// 0 online, 1 late, 2 offline.
    #[prost(uint32, tag = "10")]
    pub link: u32,
    /// The time that has passed without a fix, as far as something was told of it, milliseconds since the Unix epoch.
    #[prost(sint64, optional, tag = "11")]
    pub passed_ms: Option<i64>,
    /// Says by which rules the last fixes were told.
    #[prost(fixed32, tag = "12")]
    pub told_by: u32,
}

/// Schema of the fold's memory before a segment.
#[derive(Clone, PartialEq, Message)]
pub struct StandingMessage {
    /// Fleet id.
    #[prost(string, tag = "1")]
    pub fleet: String,
    /// What was decided about the last fix.
    #[prost(message, repeated, tag = "2")]
    pub members: Vec<MemberMessage>,
    /// Geofences that hold it.
    #[prost(message, repeated, tag = "3")]
    pub inside: Vec<InsideMessage>,
    /// What the device is doing, if trips are told.
    #[prost(message, optional, tag = "4")]
    pub motion: Option<MotionMessage>,
    /// What its sensors said last.
    #[prost(message, optional, tag = "5")]
    pub vitals: Option<VitalsMessage>,
}

/// Schema of what a device's sensors said last.
#[derive(Clone, PartialEq, Message)]
pub struct VitalsMessage {
    /// On or off.
    #[prost(bool, optional, tag = "1")]
    pub ignition: Option<bool>,
    /// The alarm of the last fix.
    #[prost(string, optional, tag = "2")]
    pub alarm: Option<String>,
    /// Tenths of a litre or percent.
    #[prost(uint32, optional, tag = "3")]
    pub fuel_tenths: Option<u32>,
    /// Percent; else litres.
    #[prost(bool, tag = "4")]
    pub fuel_is_percent: bool,
    /// When that was in the tank, milliseconds since the Unix epoch.
    #[prost(sint64, tag = "5")]
    pub fuel_at_ms: i64,
    /// Faster than allowed.
    #[prost(message, optional, boxed, tag = "6")]
    pub speeding: Option<Box<SpeedingMessage>>,
}

/// Schema of being faster than allowed.
#[derive(Clone, PartialEq, Message)]
pub struct SpeedingMessage {
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub since_ms: i64,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "2")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "3")]
    pub lon_e7: i32,
    /// Centimetres per second.
    #[prost(uint32, tag = "4")]
    pub limit_cm_s: u32,
    /// Geofence id.
    #[prost(string, optional, tag = "5")]
    pub geofence: Option<String>,
    /// Geofence version.
    #[prost(uint64, tag = "6")]
    pub version: u64,
    /// Centimetres per second.
    #[prost(uint32, tag = "7")]
    pub first_cm_s: u32,
    /// Centimetres per second.
    #[prost(uint32, tag = "8")]
    pub max_cm_s: u32,
    /// It was told.
    #[prost(bool, tag = "9")]
    pub told: bool,
}

/// Schema of the topic `recent`: the last fixes of a device but for those that stand in its state.
#[derive(Clone, PartialEq, Message)]
pub struct SegmentsMessage {
    /// Oldest first.
    #[prost(message, repeated, tag = "1")]
    pub segments: Vec<SegmentMessage>,
}

/// Schema of some fixes that follow each other. Tags 1, 2 and 4 were another packing; such segments are forgotten. Another one, of
/// whole bytes, is still read.
#[derive(Clone, PartialEq, Message)]
pub struct SegmentMessage {
    /// Number of fixes and edits.
    #[prost(uint32, tag = "3")]
    pub count: u32,
    /// Time of the fix before the first, milliseconds since the Unix epoch.
    #[prost(sint64, optional, tag = "5")]
    pub after_ms: Option<i64>,
    /// The fix before, [`StandingMessage`] before the first behind its version byte, and the fixes, as `recent/bytes.rs` reads them: no
    /// longer written.
    #[prost(bytes = "vec", tag = "6")]
    pub whole_bytes: Vec<u8>,
    /// The fix before, the fold's memory before the first and the fixes, as `recent/pack.rs` and `recent/checkpoint.rs` write them.
    #[prost(bytes = "vec", tag = "7")]
    pub bits: Vec<u8>,
}

/// Schema of what was decided about a fix and a geofence.
#[derive(Clone, PartialEq, Message)]
pub struct MemberMessage {
    /// Geofence id.
    #[prost(string, tag = "1")]
    pub geofence: String,
    /// Geofence version.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Outside, within the exit margin.
    #[prost(bool, tag = "3")]
    pub near: bool,
    /// Milliseconds.
    #[prost(uint32, tag = "4")]
    pub dwell_ms: u32,
    /// Milliseconds.
    #[prost(uint32, tag = "5")]
    pub loiter_ms: u32,
    /// Centimetres per second.
    #[prost(uint32, tag = "6")]
    pub limit_cm_s: u32,
}

/// Schema of a geofence that a device is inside of.
#[derive(Clone, PartialEq, Message)]
pub struct InsideMessage {
    /// Geofence id.
    #[prost(string, tag = "1")]
    pub geofence: String,
    /// Geofence version.
    #[prost(uint64, tag = "2")]
    pub version: u64,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "3")]
    pub since_ms: i64,
    /// How long an enter or exit must last, milliseconds.
    #[prost(uint32, tag = "4")]
    pub dwell_ms: u32,
    /// The enter or exit that has not lasted long enough yet.
    #[prost(message, optional, tag = "5")]
    pub pending: Option<PendingMessage>,
    /// How long inside is to be told, milliseconds.
    #[prost(uint32, tag = "6")]
    pub loiter_ms: u32,
    /// It has been told.
    #[prost(bool, tag = "7")]
    pub loitered: bool,
}

/// Schema of an enter or exit that has not lasted long enough yet.
#[derive(Clone, PartialEq, Message)]
pub struct PendingMessage {
    /// An exit; else an enter.
    #[prost(bool, tag = "1")]
    pub leaving: bool,
    /// Fix time, milliseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub since_ms: i64,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "3")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "4")]
    pub lon_e7: i32,
    /// It was the device's first fix.
    #[prost(bool, tag = "5")]
    pub initial: bool,
}

/// Value of a record in `states`.
pub fn encode_state(s: &DeviceState) -> Vec<u8> {
    let StandingMessage { fleet, members, inside, motion, vitals } = standing_to_message(&s.standing);
    let mut out = encode(&DeviceStateMessage {
        device: s.device.as_str().to_owned(),
        fleet,
        latest: None,
        inside,
        motion,
        members,
        open: s.recent.open().map(segment_to_message),
        vitals,
        heard_at_ms: Some(s.heard_at.as_millis()),
        link: match s.link {
            Link::Online => 0,
            Link::Late => 1,
            Link::Offline => 2,
        },
        passed_ms: s.passed.map(Timestamp::as_millis),
        told_by: s.told_by,
    });
    if let Some(latest) = &s.latest {
        // Fields may come in any order; this one is written already.
        position::put_bytes(&mut out, 3, &latest.packed());
    }
    out
}

/// Reads a value of `states`. Its [`Recent`] is complete only with what the topic `recent` has of the device.
pub fn decode_state(bytes: &[u8]) -> Result<DeviceState, CodecError> {
    // The newest position stays as it is written.
    let (packed, rest) = position::split(body(bytes)?, 3)?;
    let m = DeviceStateMessage::decode(&*rest)?;
    let latest = packed.map(position::decode_live).transpose()?;
    let received_at = latest.as_ref().map_or(Timestamp::default(), |l| l.position.received_at);
    let (fleet, members, inside, motion, vitals) = (m.fleet, m.members, m.inside, m.motion, m.vitals);
    Ok(DeviceState {
        device: DeviceId::new(m.device)?,
        last: latest.as_ref().map(|l| Fix::of(&l.position).0),
        latest: packed.map(Latest::of_packed),
        standing: standing_from_message(StandingMessage { fleet, members, inside, motion, vitals })?,
        recent: Recent::from_open(m.open.map(segment_from_message).transpose()?.flatten()),
        heard_at: m.heard_at_ms.map_or(Ok(received_at), |ms| timestamp(ms, "heard_at_ms"))?,
        link: match m.link {
            0 => Link::Online,
            1 => Link::Late,
            2 => Link::Offline,
            _ => return Err(CodecError::OutOfRange("link")),
        },
        passed: m.passed_ms.map(|ms| timestamp(ms, "passed_ms")).transpose()?,
        seen: Default::default(),
        told_by: m.told_by,
    })
}

/// Value of a record in `recent`.
pub fn encode_segments(closed: ClosedSegments) -> Vec<u8> {
    encode(&SegmentsMessage { segments: closed.0.into_iter().map(segment_to_message).collect() })
}

/// Reads a value of `recent`.
pub fn decode_segments(bytes: &[u8]) -> Result<SavedSegments, CodecError> {
    let m: SegmentsMessage = decode(bytes)?;
    let segments = m.segments.into_iter().map(segment_from_message).collect::<Result<Option<_>, _>>()?;
    Ok(SavedSegments(segments.unwrap_or_default()))
}

/// The fold's memory before a segment.
pub(crate) fn encode_checkpoint(standing: &Standing) -> Vec<u8> {
    encode(&standing_to_message(standing))
}

pub(crate) fn decode_checkpoint(bytes: &[u8]) -> Result<Standing, CodecError> {
    standing_from_message(decode(bytes)?)
}

fn standing_to_message(s: &Standing) -> StandingMessage {
    let member = |m: &Member| MemberMessage {
        geofence: m.geofence.as_str().to_owned(),
        version: m.version,
        near: m.near,
        dwell_ms: m.dwell_ms,
        loiter_ms: m.loiter_ms,
        limit_cm_s: u32::from(m.limit_cm_s),
    };
    StandingMessage {
        fleet: s.fleet.as_str().to_owned(),
        members: s.members.iter().map(member).collect(),
        inside: s.inside.iter().map(inside_to_message).collect(),
        motion: s.motion.as_ref().map(motion_to_message),
        vitals: (s.vitals != Vitals::default()).then(|| vitals_to_message(&s.vitals)),
    }
}

fn standing_from_message(m: StandingMessage) -> Result<Standing, CodecError> {
    let inside = m.inside.into_iter().map(inside_from_message).collect::<Result<Vec<_>, _>>()?;
    let member = |m: MemberMessage| {
        let geofence = GeofenceId::new(m.geofence)?;
        Ok(Member {
            geofence,
            version: m.version,
            near: m.near,
            dwell_ms: m.dwell_ms,
            loiter_ms: m.loiter_ms,
            limit_cm_s: u16_of(m.limit_cm_s, "limit_cm_s")?,
        })
    };
    let members = m.members.into_iter().map(member).collect::<Result<Vec<_>, CodecError>>()?;
    Ok(Standing {
        fleet: FleetId::new(m.fleet)?,
        members,
        inside,
        motion: m.motion.map(motion_from_message).transpose()?,
        vitals: m.vitals.map(vitals_from_message).transpose()?.unwrap_or_default(),
    })
}

fn u16_of(n: u32, field: &'static str) -> Result<u16, CodecError> {
    u16::try_from(n).map_err(|_| CodecError::OutOfRange(field))
}

fn vitals_to_message(v: &Vitals) -> VitalsMessage {
    let speeding = |s: &Speeding| SpeedingMessage {
        since_ms: s.since.as_millis(),
        lat_e7: s.at.lat_e7(),
        lon_e7: s.at.lon_e7(),
        limit_cm_s: u32::from(s.limit_cm_s),
        geofence: s.geofence.as_ref().map(|g| g.0.as_str().to_owned()),
        version: s.geofence.as_ref().map_or(0, |g| g.1),
        first_cm_s: u32::from(s.first_cm_s),
        max_cm_s: u32::from(s.max_cm_s),
        told: s.told,
    };
    VitalsMessage {
        ignition: v.ignition,
        alarm: v.alarm.as_ref().map(SmolStr::to_string),
        fuel_tenths: v.tank.map(|t| u32::from(t.fuel.tenths)),
        fuel_is_percent: v.tank.is_some_and(|t| t.fuel.is_percent),
        fuel_at_ms: v.tank.map_or(0, |t| t.at.as_millis()),
        speeding: v.speeding.as_deref().map(|s| Box::new(speeding(s))),
    }
}

fn vitals_from_message(m: VitalsMessage) -> Result<Vitals, CodecError> {
    let tank = |tenths: u32| -> Result<Tank, CodecError> {
        let fuel = Fuel { tenths: u16_of(tenths, "fuel_tenths")?, is_percent: m.fuel_is_percent };
        Ok(Tank { fuel, at: timestamp(m.fuel_at_ms, "fuel_at_ms")? })
    };
    let speeding = |s: Box<SpeedingMessage>| -> Result<Box<Speeding>, CodecError> {
        Ok(Box::new(Speeding {
            since: timestamp(s.since_ms, "since_ms")?,
            at: location(s.lat_e7, s.lon_e7)?,
            limit_cm_s: u16_of(s.limit_cm_s, "limit_cm_s")?,
            geofence: s.geofence.map(GeofenceId::new).transpose()?.map(|id| (id, s.version)),
            first_cm_s: u16_of(s.first_cm_s, "first_cm_s")?,
            max_cm_s: u16_of(s.max_cm_s, "max_cm_s")?,
            told: s.told,
        }))
    };
    Ok(Vitals {
        ignition: m.ignition,
        alarm: m.alarm.map(SmolStr::new),
        tank: m.fuel_tenths.map(tank).transpose()?,
        speeding: m.speeding.map(speeding).transpose()?,
    })
}

fn inside_to_message(i: &Inside) -> InsideMessage {
    let pending = |leaving, since: Timestamp, at: LatLon, initial| PendingMessage {
        leaving,
        since_ms: since.as_millis(),
        lat_e7: at.lat_e7(),
        lon_e7: at.lon_e7(),
        initial,
    };
    InsideMessage {
        geofence: i.geofence.as_str().to_owned(),
        version: i.version,
        since_ms: i.since.as_millis(),
        dwell_ms: i.dwell_ms,
        pending: match i.phase {
            Phase::In => None,
            Phase::Entering { at, initial } => Some(pending(false, i.since, at, initial)),
            Phase::Leaving { left, at } => Some(pending(true, left, at, false)),
        },
        loiter_ms: i.loiter_ms,
        loitered: i.loitered,
    }
}

fn inside_from_message(m: InsideMessage) -> Result<Inside, CodecError> {
    let phase = match m.pending {
        None => Phase::In,
        Some(p) => {
            let at = location(p.lat_e7, p.lon_e7)?;
            match p.leaving {
                true => Phase::Leaving { left: timestamp(p.since_ms, "since_ms")?, at },
                false => Phase::Entering { at, initial: p.initial },
            }
        }
    };
    Ok(Inside {
        geofence: GeofenceId::new(m.geofence)?,
        version: m.version,
        since: timestamp(m.since_ms, "since_ms")?,
        dwell_ms: m.dwell_ms,
        loiter_ms: m.loiter_ms,
        loitered: m.loitered,
        phase,
    })
}

fn segment_to_message(s: Segment) -> SegmentMessage {
    SegmentMessage { count: s.count, after_ms: s.after.map(Timestamp::as_millis), whole_bytes: Vec::new(), bits: s.bytes }
}

/// `None` for a segment of another packing.
fn segment_from_message(m: SegmentMessage) -> Result<Option<Segment>, CodecError> {
    let after = m.after_ms.map(|ms| timestamp(ms, "after_ms")).transpose()?;
    Ok(match (m.bits.is_empty(), m.whole_bytes.is_empty()) {
        (false, _) => Some(Segment { after, count: m.count, bytes: m.bits }),
        (true, false) => Segment::of_whole_bytes(after, m.count, &m.whole_bytes),
        (true, true) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::position;
    use crate::{LivePosition, Motion, Pause, Position, Stop, Travelled, Trip};

    #[test]
    fn a_state_survives_the_log() {
        let at = position().location;
        let since = position().fix_time;
        let so_far = Travelled { distance_m: 1e6 / 3.0, odometer_m: Some(7), driving_ms: 5, idle_ms: 6 };
        let at_pause = Travelled { distance_m: 7.25, odometer_m: Some(6), driving_ms: 4, idle_ms: 5 };
        let pause = Pause { at, since, so_far: at_pause, engine_ms: Some(3) };
        let start = (since, Some(1), Some(1250));
        let trip = Trip { started_at: start.0, start: at, start_odometer_m: start.1, so_far, max_speed_cm_s: start.2, pause };
        let stop = Stop { at, since, idle_ms: Some(9) };
        let speeding = Speeding {
            since,
            at,
            limit_cm_s: 1389,
            geofence: Some(("a".parse().expect("id"), 4)),
            first_cm_s: 1500,
            max_cm_s: 1600,
            told: true,
        };
        let vitals = Vitals {
            ignition: Some(false),
            alarm: Some("sos".into()),
            tank: Some(Tank { fuel: Fuel { tenths: 333, is_percent: true }, at: since }),
            speeding: Some(Box::new(speeding)),
        };
        let phases = [Phase::In, Phase::Entering { at, initial: true }, Phase::Leaving { left: since.plus_millis(5), at }];
        for (motion, phase) in [None, Some(Motion::Stopped(stop)), Some(Motion::Moving(Box::new(trip)))].into_iter().zip(phases)
        {
            let geofence: GeofenceId = "a".parse().expect("id");
            let mut s = DeviceState {
                latest: Some(LivePosition { seq: 7, position: position() }.into()),
                standing: Standing {
                    fleet: "north".parse().expect("id"),
                    members: vec![Member {
                        geofence: geofence.clone(),
                        version: 3,
                        near: true,
                        dwell_ms: 5,
                        loiter_ms: 6,
                        limit_cm_s: 7,
                    }],
                    inside: vec![Inside { geofence, version: 3, since, dwell_ms: 9, loiter_ms: 5, loitered: true, phase }],
                    motion,
                    vitals: vitals.clone(),
                },
                last: Some(Fix::of(&position()).0),
                link: Link::Late,
                heard_at: since,
                passed: Some(since.plus_millis(3)),
                ..DeviceState::new("truck".parse().expect("id"), "north".parse().expect("id"))
            };
            assert_eq!(decode_state(&encode_state(&s)).expect("decodes"), s);
            let index = crate::geofence::GeofenceIndex::default();
            for seconds in 1..100 {
                let fix = Position { fix_time: since.plus_millis(seconds * 1000), ..position() };
                s.advance(fix, seconds as u64, &index, &crate::Rules::default());
            }
            let closed = encode_segments(s.recent.take_unsaved().expect("more than one segment"));
            let mut restored = decode_state(&encode_state(&s)).expect("decodes");
            restored.recent.restore_closed(decode_segments(&closed).expect("decodes"));
            assert_eq!(restored, s);
        }
    }
}
