//! How values are written into the log, so that other programs can read them.
//!
//! Positions, events, states and snapshots are protobuf messages behind one version byte; the message definitions below are
//! the published schema (field numbers never change their meaning; unknown fields are skipped). Catalog entries are JSON:
//! they are few, and people look at them. A record's key is the device, the fleet, or `kind/id` of the catalog, as text.

use crate::catalog::{CatalogEdit, CatalogEntry, CatalogKey};
use crate::recent::Segment;
use crate::{
    AttributeValue, Attributes, ClosedSegments, DeviceId, DeviceState, Event, EventId, EventKind, Fix, FleetId, FleetSnapshot,
    GeofenceId, IdError, Inside, LatLon, LivePosition, Member, Motion, Pause, Phase, Position, Recent, SavedSegments, Standing,
    Timestamp, Trip,
};
use prost::Message;
use smol_str::SmolStr;

/// First byte of every protobuf value.
const VERSION: u8 = 1;

/// Why bytes are not a value of this version.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// No bytes, or a version that this program does not know.
    #[error("unknown encoding version {0:?}")]
    Version(Option<u8>),
    /// Not the protobuf message expected.
    #[error("malformed message")]
    Malformed(#[from] prost::DecodeError),
    /// Not the JSON expected.
    #[error("malformed catalog entry")]
    Json(#[from] serde_json::Error),
    /// An identifier in it is not one.
    #[error("bad identifier")]
    Id(#[from] IdError),
    /// A field is out of its range.
    #[error("{0} is out of range")]
    OutOfRange(&'static str),
}

fn encode(message: &impl Message) -> Vec<u8> {
    let mut out = Vec::with_capacity(1 + message.encoded_len());
    out.push(VERSION);
    message.encode(&mut out).expect("a Vec grows as needed");
    out
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, CodecError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(M::decode(rest)?),
        first => Err(CodecError::Version(first.map(|(v, _)| *v))),
    }
}

/// Schema of an attribute.
#[derive(Clone, PartialEq, Message)]
pub struct AttributeMessage {
    /// Name with unit.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Typed value.
    #[prost(oneof = "AttributeValueMessage", tags = "2, 3, 4, 5")]
    pub value: Option<AttributeValueMessage>,
}

/// Schema of an attribute's value.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum AttributeValueMessage {
    /// Yes or no.
    #[prost(bool, tag = "2")]
    Bool(bool),
    /// Whole number.
    #[prost(sint64, tag = "3")]
    Int(i64),
    /// Measurement.
    #[prost(double, tag = "4")]
    Float(f64),
    /// Text.
    #[prost(string, tag = "5")]
    Text(String),
}

/// Schema of a position.
#[derive(Clone, PartialEq, Message)]
pub struct PositionMessage {
    /// Device id.
    #[prost(string, tag = "1")]
    pub device: String,
    /// Fleet id.
    #[prost(string, tag = "2")]
    pub fleet: String,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "3")]
    pub fix_time_ms: i64,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "4")]
    pub received_at_ms: i64,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "5")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "6")]
    pub lon_e7: i32,
    /// True for a fix that must not move the map.
    #[prost(bool, tag = "7")]
    pub invalid: bool,
    /// Metres.
    #[prost(float, optional, tag = "8")]
    pub altitude_m: Option<f32>,
    /// Metres per second.
    #[prost(float, optional, tag = "9")]
    pub speed_mps: Option<f32>,
    /// Degrees.
    #[prost(float, optional, tag = "10")]
    pub course_deg: Option<f32>,
    /// Metres.
    #[prost(float, optional, tag = "11")]
    pub accuracy_m: Option<f32>,
    /// Protocol name.
    #[prost(string, tag = "12")]
    pub protocol: String,
    /// Everything else.
    #[prost(message, repeated, tag = "13")]
    pub attributes: Vec<AttributeMessage>,
}

/// Schema of an event.
#[derive(Clone, PartialEq, Message)]
pub struct EventMessage {
    /// Event id.
    #[prost(string, tag = "1")]
    pub id: String,
    /// Index into [`EventKind::ALL`].
    #[prost(uint32, tag = "2")]
    pub kind: u32,
    /// Device id.
    #[prost(string, tag = "3")]
    pub device: String,
    /// Fleet id.
    #[prost(string, tag = "4")]
    pub fleet: String,
    /// Geofence id.
    #[prost(string, optional, tag = "5")]
    pub geofence: Option<String>,
    /// Geofence version.
    #[prost(uint64, optional, tag = "6")]
    pub geofence_version: Option<u64>,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "7")]
    pub fix_time_ms: i64,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "8")]
    pub received_at_ms: i64,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "9")]
    pub lat_e7: i32,
    /// 1e-7 degree.
    #[prost(sfixed32, tag = "10")]
    pub lon_e7: i32,
    /// Id of the event that this one corrects.
    #[prost(string, optional, tag = "11")]
    pub revises: Option<String>,
    /// It did not happen.
    #[prost(bool, tag = "12")]
    pub retracted: bool,
    /// Everything else.
    #[prost(message, repeated, tag = "13")]
    pub attributes: Vec<AttributeMessage>,
}

/// Schema of one device in a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct LivePositionMessage {
    /// Log offset of the position.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// The position.
    #[prost(message, required, tag = "2")]
    pub position: PositionMessage,
}

/// Schema of a snapshot.
#[derive(Clone, PartialEq, Message)]
pub struct FleetSnapshotMessage {
    /// Fleet id.
    #[prost(string, tag = "1")]
    pub fleet: String,
    /// Milliseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub closed_at_ms: i64,
    /// Latest per device.
    #[prost(message, repeated, tag = "3")]
    pub live: Vec<LivePositionMessage>,
    /// Device ids.
    #[prost(string, repeated, tag = "4")]
    pub left: Vec<String>,
}

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

/// Attributes as their schema has them.
pub fn attributes_to_message(attributes: &Attributes) -> Vec<AttributeMessage> {
    attributes
        .iter()
        .map(|(name, value)| AttributeMessage {
            name: name.to_owned(),
            value: Some(match value {
                AttributeValue::Bool(v) => AttributeValueMessage::Bool(*v),
                AttributeValue::Int(v) => AttributeValueMessage::Int(*v),
                AttributeValue::Float(v) => AttributeValueMessage::Float(*v),
                AttributeValue::Text(v) => AttributeValueMessage::Text(v.to_string()),
            }),
        })
        .collect()
}

/// Attributes from their schema; one without a value is left out.
pub fn attributes_from_message(messages: Vec<AttributeMessage>) -> Attributes {
    messages
        .into_iter()
        .filter_map(|m| {
            let value = match m.value? {
                AttributeValueMessage::Bool(v) => AttributeValue::Bool(v),
                AttributeValueMessage::Int(v) => AttributeValue::Int(v),
                AttributeValueMessage::Float(v) => AttributeValue::Float(v),
                AttributeValueMessage::Text(v) => AttributeValue::Text(SmolStr::new(v)),
            };
            Some((SmolStr::new(m.name), value))
        })
        .collect()
}

fn timestamp(ms: i64, field: &'static str) -> Result<Timestamp, CodecError> {
    Timestamp::from_millis(ms).ok_or(CodecError::OutOfRange(field))
}

fn location(lat_e7: i32, lon_e7: i32) -> Result<LatLon, CodecError> {
    LatLon::from_e7(lat_e7, lon_e7).ok_or(CodecError::OutOfRange("location"))
}

/// A position as its schema has it.
pub fn position_to_message(p: &Position) -> PositionMessage {
    PositionMessage {
        device: p.device.as_str().to_owned(),
        fleet: p.fleet.as_str().to_owned(),
        fix_time_ms: p.fix_time.as_millis(),
        received_at_ms: p.received_at.as_millis(),
        lat_e7: p.location.lat_e7(),
        lon_e7: p.location.lon_e7(),
        invalid: !p.valid,
        altitude_m: p.altitude_m,
        speed_mps: p.speed_mps,
        course_deg: p.course_deg,
        accuracy_m: p.accuracy_m,
        protocol: p.protocol.to_string(),
        attributes: attributes_to_message(&p.attributes),
    }
}

/// A position from its schema, every field checked.
pub fn position_from_message(m: PositionMessage) -> Result<Position, CodecError> {
    Ok(Position {
        device: DeviceId::new(m.device)?,
        fleet: FleetId::new(m.fleet)?,
        fix_time: timestamp(m.fix_time_ms, "fix_time_ms")?,
        received_at: timestamp(m.received_at_ms, "received_at_ms")?,
        location: location(m.lat_e7, m.lon_e7)?,
        valid: !m.invalid,
        altitude_m: m.altitude_m,
        speed_mps: m.speed_mps,
        course_deg: m.course_deg,
        accuracy_m: m.accuracy_m,
        protocol: SmolStr::new(m.protocol),
        attributes: attributes_from_message(m.attributes),
    })
}

/// Value of a record in `positions`.
pub fn encode_position(position: &Position) -> Vec<u8> {
    encode(&position_to_message(position))
}

/// Reads a value of `positions`.
pub fn decode_position(bytes: &[u8]) -> Result<Position, CodecError> {
    position_from_message(decode(bytes)?)
}

/// Value of a record in `events`.
pub fn encode_event(e: &Event) -> Vec<u8> {
    encode(&EventMessage {
        id: e.id.as_str().to_owned(),
        kind: EventKind::ALL.iter().position(|k| *k == e.kind).expect("ALL has every kind") as u32,
        device: e.device.as_str().to_owned(),
        fleet: e.fleet.as_str().to_owned(),
        geofence: e.geofence.as_ref().map(|g| g.as_str().to_owned()),
        geofence_version: e.geofence_version,
        fix_time_ms: e.fix_time.as_millis(),
        received_at_ms: e.received_at.as_millis(),
        lat_e7: e.location.lat_e7(),
        lon_e7: e.location.lon_e7(),
        revises: e.revises.as_ref().map(|id| id.as_str().to_owned()),
        retracted: e.retracted,
        attributes: attributes_to_message(&e.attributes),
    })
}

/// Reads a value of `events`.
pub fn decode_event(bytes: &[u8]) -> Result<Event, CodecError> {
    let m: EventMessage = decode(bytes)?;
    Ok(Event {
        id: EventId::from_text(&m.id),
        kind: *EventKind::ALL.get(m.kind as usize).ok_or(CodecError::OutOfRange("kind"))?,
        device: DeviceId::new(m.device)?,
        fleet: FleetId::new(m.fleet)?,
        geofence: m.geofence.map(GeofenceId::new).transpose()?,
        geofence_version: m.geofence_version,
        fix_time: timestamp(m.fix_time_ms, "fix_time_ms")?,
        received_at: timestamp(m.received_at_ms, "received_at_ms")?,
        location: location(m.lat_e7, m.lon_e7)?,
        revises: m.revises.map(|id| EventId::from_text(&id)),
        retracted: m.retracted,
        attributes: attributes_from_message(m.attributes),
    })
}

/// Value of a record in `snapshots`.
pub fn encode_snapshot(s: &FleetSnapshot) -> Vec<u8> {
    encode(&FleetSnapshotMessage {
        fleet: s.fleet.as_str().to_owned(),
        closed_at_ms: s.closed_at.as_millis(),
        live: s.live.iter().map(live_to_message).collect(),
        left: s.left.iter().map(|d| d.as_str().to_owned()).collect(),
    })
}

/// Reads a value of `snapshots`.
pub fn decode_snapshot(bytes: &[u8]) -> Result<FleetSnapshot, CodecError> {
    let m: FleetSnapshotMessage = decode(bytes)?;
    Ok(FleetSnapshot {
        fleet: FleetId::new(m.fleet)?,
        closed_at: timestamp(m.closed_at_ms, "closed_at_ms")?,
        live: m.live.into_iter().map(live_from_message).collect::<Result<_, _>>()?,
        left: m.left.into_iter().map(DeviceId::new).collect::<Result<_, _>>()?,
    })
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

fn live_to_message(l: &LivePosition) -> LivePositionMessage {
    LivePositionMessage { seq: l.seq, position: position_to_message(&l.position) }
}

fn live_from_message(m: LivePositionMessage) -> Result<LivePosition, CodecError> {
    Ok(LivePosition { seq: m.seq, position: position_from_message(m.position)? })
}

/// Key and value of a record in `catalog`; no value: the entry is removed.
pub fn encode_catalog(edit: &CatalogEdit) -> (String, Option<Vec<u8>>) {
    match edit {
        CatalogEdit::Put(entry) => {
            (entry.key().to_string(), Some(serde_json::to_vec(entry).expect("catalog entries have text keys only")))
        }
        CatalogEdit::Remove(key) => (key.to_string(), None),
    }
}

/// Reads a record of `catalog`.
pub fn decode_catalog(key: &str, value: Option<&[u8]>) -> Result<CatalogEdit, CodecError> {
    Ok(match value {
        Some(json) => CatalogEdit::Put(serde_json::from_slice::<CatalogEntry>(json)?),
        None => CatalogEdit::Remove(CatalogKey::parse(key).ok_or(CodecError::OutOfRange("catalog key"))?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn position() -> Position {
        Position {
            device: "356307042441013".parse().expect("id"),
            fleet: "north".parse().expect("id"),
            fix_time: Timestamp::parse("1949-06-11T06:00:00.123Z").expect("time"),
            received_at: Timestamp::parse("2026-11-25T06:00:00Z").expect("time"),
            location: LatLon::new(-27.4388733, 153.080315).expect("place"),
            valid: true,
            altitude_m: Some(9.0),
            speed_mps: None,
            course_deg: Some(319.0),
            accuracy_m: None,
            protocol: "teltonika".into(),
            attributes: [("ignition", AttributeValue::Bool(true)), ("odometer_m", AttributeValue::Float(12.5))]
                .into_iter()
                .collect(),
        }
    }

    #[test]
    fn a_position_survives_the_log() {
        let p = position();
        assert_eq!(decode_position(&encode_position(&p)).expect("decodes"), p);
    }

    #[test]
    fn unknown_versions_and_rubbish_are_errors() {
        assert!(matches!(decode_position(&[]), Err(CodecError::Version(None))));
        assert!(matches!(decode_position(&[9, 1]), Err(CodecError::Version(Some(9)))));
        assert!(decode_position(&[1, 0xff, 0xff]).is_err());
    }

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

    #[test]
    fn a_snapshot_survives_the_log() {
        let s = FleetSnapshot {
            fleet: "north".parse().expect("id"),
            closed_at: Timestamp::default(),
            live: vec![LivePosition { seq: 7, position: position() }],
            left: vec!["gone".parse().expect("id")],
        };
        assert_eq!(decode_snapshot(&encode_snapshot(&s)).expect("decodes"), s);
    }
}
