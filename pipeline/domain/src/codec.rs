//! How values are written into the log, so that other programs can read them.
//!
//! Positions, events, states and snapshots are protobuf messages behind one version byte; the message definitions below are
//! the published schema (field numbers never change their meaning; unknown fields are skipped). Catalog entries and what was
//! changed about them are JSON: they are few, and people look at them. A record's key is the device, the fleet, or `kind/id` of the
//! catalog, as text.

mod audit;
mod motion;
mod position;
mod state;

pub use audit::{decode_audit, encode_audit};
pub use motion::{MotionMessage, TripMessage};
pub use state::{
    DeviceStateMessage, InsideMessage, MemberMessage, PendingMessage, SegmentMessage, SegmentsMessage, SpeedingMessage,
    StandingMessage, VitalsMessage, decode_segments, decode_state, encode_segments, encode_state,
};
pub(crate) use state::{decode_checkpoint, encode_checkpoint};

use crate::catalog::{CatalogEdit, CatalogEntry, CatalogKey};
use crate::{
    AttributeValue, Attributes, DeviceId, Event, EventId, EventKind, FleetId, FleetSnapshot, GeofenceId, IdError, LatLon,
    Latest, LivePosition, Position, Timestamp,
};
use prost::Message;
use smol_str::SmolStr;
use std::borrow::Cow;

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

/// What stands behind the version byte.
fn body(bytes: &[u8]) -> Result<&[u8], CodecError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => Ok(rest),
        first => Err(CodecError::Version(first.map(|(v, _)| *v))),
    }
}

fn decode<M: Message + Default>(bytes: &[u8]) -> Result<M, CodecError> {
    Ok(M::decode(body(bytes)?)?)
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
    let mut out = Vec::with_capacity(160);
    out.push(VERSION);
    position::encode(&mut out, position);
    out
}

/// [`LivePositionMessage`] as bytes.
pub(crate) fn encode_live(live: &LivePosition) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    position::encode_live(&mut out, live);
    out
}

/// And back.
pub(crate) fn decode_live(bytes: &[u8]) -> Result<LivePosition, CodecError> {
    position::decode_live(bytes)
}

/// Reads a value of `positions`.
pub fn decode_position(bytes: &[u8]) -> Result<Position, CodecError> {
    position::decode(body(bytes)?)
}

/// Value of a record in `events`.
pub fn encode_event(e: &Event) -> Vec<u8> {
    encode(&EventMessage {
        id: e.id.as_str().to_owned(),
        kind: e.kind as u32,
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
    let live: Vec<Vec<u8>> = s.live.iter().map(encode_live).collect();
    encode_packed_snapshot(&s.fleet, s.closed_at, live.iter().map(Vec::as_slice), &s.left)
}

/// Value of a record in `snapshots`, of positions that are packed already.
pub fn encode_snapshot_of<'a>(
    fleet: &FleetId,
    closed_at: Timestamp,
    live: impl Iterator<Item = &'a Latest>,
    left: &[DeviceId],
) -> Vec<u8> {
    let live: Vec<Cow<'_, [u8]>> = live.map(Latest::packed).collect();
    encode_packed_snapshot(fleet, closed_at, live.iter().map(Cow::as_ref), left)
}

fn encode_packed_snapshot<'a>(
    fleet: &FleetId,
    closed_at: Timestamp,
    live: impl Iterator<Item = &'a [u8]>,
    left: &[DeviceId],
) -> Vec<u8> {
    let mut out = encode(&FleetSnapshotMessage {
        fleet: fleet.as_str().to_owned(),
        closed_at_ms: closed_at.as_millis(),
        live: Vec::new(),
        left: left.iter().map(|d| d.as_str().to_owned()).collect(),
    });
    // Fields may come in any order.
    live.for_each(|bytes| position::put_bytes(&mut out, 3, bytes));
    out
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
pub(crate) mod tests {
    use super::*;

    pub(crate) fn position() -> Position {
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
