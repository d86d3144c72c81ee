//! How the memory of the fold is written: one device's state, and its last fixes.

use super::{CodecError, LivePositionMessage, decode, encode, live_from_message, live_to_message, location, timestamp};
use crate::recent::Segment;
use crate::{
    ClosedSegments, DeviceId, DeviceState, Fix, FleetId, GeofenceId, Inside, LatLon, Member, Motion, Pause, Phase, Recent,
    SavedSegments, Standing, Timestamp, Trip,
};
use prost::Message;

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
}

/// Schema of the topic `recent`: the last fixes of a device but for those that stand in its state.
#[derive(Clone, PartialEq, Message)]
pub struct SegmentsMessage {
    /// Oldest first.
    #[prost(message, repeated, tag = "1")]
    pub segments: Vec<SegmentMessage>,
}

/// Schema of some fixes that follow each other.
#[derive(Clone, PartialEq, Message)]
pub struct SegmentMessage {
    /// The fix before the first.
    #[prost(message, optional, tag = "1")]
    pub previous: Option<FixMessage>,
    /// [`StandingMessage`] before the first, behind its version byte.
    #[prost(bytes = "vec", tag = "2")]
    pub checkpoint: Vec<u8>,
    /// Number of fixes and edits.
    #[prost(uint32, tag = "3")]
    pub count: u32,
    /// The fixes, as `recent/pack.rs` writes them.
    #[prost(bytes = "vec", tag = "4")]
    pub packed: Vec<u8>,
}

/// Schema of a fix.
#[derive(Clone, PartialEq, Message)]
pub struct FixMessage {
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub fix_time_ms: i64,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "2")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "3")]
    pub lon_e7: i32,
    /// Metres per second.
    #[prost(float, optional, tag = "4")]
    pub speed_mps: Option<f32>,
    /// On or off.
    #[prost(bool, optional, tag = "5")]
    pub ignition: Option<bool>,
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
}

/// Schema of what a device is doing.
#[derive(Clone, PartialEq, Message)]
pub struct MotionMessage {
    /// Where it stopped, or where it would have stopped on its trip, 1e-7 degree.
    #[prost(sfixed32, tag = "1")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "2")]
    pub lon_e7: i32,
    /// The trip it is on.
    #[prost(message, optional, tag = "3")]
    pub trip: Option<TripMessage>,
}

/// Schema of a trip that has not ended.
#[derive(Clone, PartialEq, Message)]
pub struct TripMessage {
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "1")]
    pub started_at_ms: i64,
    /// Metres.
    #[prost(double, tag = "2")]
    pub distance_m: f64,
    /// Metres per second.
    #[prost(float, optional, tag = "3")]
    pub max_speed_mps: Option<f32>,
    /// Since when it has been where it would have stopped, milliseconds since the Unix epoch.
    #[prost(sint64, tag = "4")]
    pub pause_since_ms: i64,
    /// Length of the trip up to there, metres.
    #[prost(double, tag = "5")]
    pub pause_distance_m: f64,
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
    let StandingMessage { fleet, members, inside, motion } = standing_to_message(&s.standing);
    encode(&DeviceStateMessage {
        device: s.device.as_str().to_owned(),
        fleet,
        latest: s.latest.as_ref().map(live_to_message),
        inside,
        motion,
        members,
        open: s.recent.open().map(segment_to_message),
    })
}

/// Reads a value of `states`. Its [`Recent`] is complete only with what the topic `recent` has of the device.
pub fn decode_state(bytes: &[u8]) -> Result<DeviceState, CodecError> {
    let DeviceStateMessage { device, fleet, latest, inside, motion, members, open } = decode(bytes)?;
    Ok(DeviceState {
        device: DeviceId::new(device)?,
        latest: latest.map(live_from_message).transpose()?,
        standing: standing_from_message(StandingMessage { fleet, members, inside, motion })?,
        recent: Recent::from_segments(open.into_iter().map(segment_from_message).collect::<Result<_, _>>()?),
    })
}

/// Value of a record in `recent`.
pub fn encode_segments(closed: &ClosedSegments<'_>) -> Vec<u8> {
    encode(&SegmentsMessage { segments: closed.0.iter().map(segment_to_message).collect() })
}

/// Reads a value of `recent`.
pub fn decode_segments(bytes: &[u8]) -> Result<SavedSegments, CodecError> {
    let m: SegmentsMessage = decode(bytes)?;
    Ok(SavedSegments(m.segments.into_iter().map(segment_from_message).collect::<Result<_, _>>()?))
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
    };
    StandingMessage {
        fleet: s.fleet.as_str().to_owned(),
        members: s.members.iter().map(member).collect(),
        inside: s.inside.iter().map(inside_to_message).collect(),
        motion: s.motion.as_ref().map(motion_to_message),
    }
}

fn standing_from_message(m: StandingMessage) -> Result<Standing, CodecError> {
    let inside = m.inside.into_iter().map(inside_from_message).collect::<Result<Vec<_>, _>>()?;
    let member = |m: MemberMessage| {
        let geofence = GeofenceId::new(m.geofence)?;
        Ok(Member { geofence, version: m.version, near: m.near, dwell_ms: m.dwell_ms })
    };
    let members = m.members.into_iter().map(member).collect::<Result<Vec<_>, CodecError>>()?;
    Ok(Standing { fleet: FleetId::new(m.fleet)?, members, inside, motion: m.motion.map(motion_from_message).transpose()? })
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
    let geofence = GeofenceId::new(m.geofence)?;
    Ok(Inside { geofence, version: m.version, since: timestamp(m.since_ms, "since_ms")?, dwell_ms: m.dwell_ms, phase })
}

fn segment_to_message(s: &Segment) -> SegmentMessage {
    let fix = |f: &Fix| FixMessage {
        fix_time_ms: f.fix_time.as_millis(),
        lat_e7: f.location.lat_e7(),
        lon_e7: f.location.lon_e7(),
        speed_mps: f.speed_mps,
        ignition: f.ignition,
    };
    SegmentMessage {
        previous: s.previous.as_ref().map(fix),
        checkpoint: s.checkpoint.to_vec(),
        count: s.count as u32,
        packed: s.packed.clone(),
    }
}

fn segment_from_message(m: SegmentMessage) -> Result<Segment, CodecError> {
    let fix = |f: FixMessage| -> Result<Fix, CodecError> {
        Ok(Fix {
            fix_time: timestamp(f.fix_time_ms, "fix_time_ms")?,
            location: location(f.lat_e7, f.lon_e7)?,
            speed_mps: f.speed_mps,
            ignition: f.ignition,
        })
    };
    Ok(Segment {
        previous: m.previous.map(fix).transpose()?,
        checkpoint: m.checkpoint.into(),
        count: m.count as usize,
        packed: m.packed,
    })
}

fn motion_to_message(motion: &Motion) -> MotionMessage {
    let (at, trip) = match motion {
        Motion::Stopped { at } => (at, None),
        Motion::Moving(trip) => (&trip.pause.at, Some(trip)),
    };
    let trip = trip.map(|t| TripMessage {
        started_at_ms: t.started_at.as_millis(),
        distance_m: t.distance_m,
        max_speed_mps: t.max_speed_mps,
        pause_since_ms: t.pause.since.as_millis(),
        pause_distance_m: t.pause.distance_m,
    });
    MotionMessage { lat_e7: at.lat_e7(), lon_e7: at.lon_e7(), trip }
}

fn motion_from_message(m: MotionMessage) -> Result<Motion, CodecError> {
    let at = location(m.lat_e7, m.lon_e7)?;
    let Some(t) = m.trip else { return Ok(Motion::Stopped { at }) };
    Ok(Motion::Moving(Trip {
        started_at: timestamp(t.started_at_ms, "started_at_ms")?,
        distance_m: t.distance_m,
        max_speed_mps: t.max_speed_mps,
        pause: Pause { at, since: timestamp(t.pause_since_ms, "pause_since_ms")?, distance_m: t.pause_distance_m },
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::tests::position;
    use crate::{LivePosition, Position};

    #[test]
    fn a_state_survives_the_log() {
        let at = position().location;
        let since = position().fix_time;
        let pause = Pause { at, since, distance_m: 7.25 };
        let trip = Trip { started_at: since, distance_m: 1e6 / 3.0, max_speed_mps: Some(12.5), pause };
        let phases = [Phase::In, Phase::Entering { at, initial: true }, Phase::Leaving { left: since.plus_millis(5), at }];
        for (motion, phase) in [None, Some(Motion::Stopped { at }), Some(Motion::Moving(trip))].into_iter().zip(phases) {
            let geofence: GeofenceId = "a".parse().expect("id");
            let mut s = DeviceState {
                latest: Some(LivePosition { seq: 7, position: position() }),
                standing: Standing {
                    fleet: "north".parse().expect("id"),
                    members: vec![Member { geofence: geofence.clone(), version: 3, near: true, dwell_ms: 5 }],
                    inside: vec![Inside { geofence, version: 3, since, dwell_ms: 9, phase }],
                    motion,
                },
                ..DeviceState::new("truck".parse().expect("id"), "north".parse().expect("id"))
            };
            let index = crate::geofence::GeofenceIndex::default();
            for seconds in 1..100 {
                let fix = Position { fix_time: since.plus_millis(seconds * 1000), ..position() };
                s.advance(fix, seconds as u64, &index, &crate::Rules::default());
            }
            let closed = encode_segments(&s.recent.take_unsaved().expect("more than one segment"));
            let mut restored = decode_state(&encode_state(&s)).expect("decodes");
            restored.recent.restore_closed(decode_segments(&closed).expect("decodes"));
            assert_eq!(restored, s);
        }
    }
}
