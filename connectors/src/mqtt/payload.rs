//! What is published where: a subscription's topic, and how its messages are read.

use super::mapping::{Field, Mapping, Path};
use super::topic::{Template, Told};
use crate::config::{ConnectorsConfig, ListenerName};
use crate::protocol::{Context, Decoded, Decoder, Fault, Fix, Protocol, Transport};
use crate::protocols::{self, json, owntracks};
use crate::readers::{frames_of, malformed, parse_hex};
use crate::senders::Senders;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::time::Instant;
use waystream_domain::{DeviceId, FleetId, Timestamp};

/// A topic, and what its messages are. A bare topic is one of OwnTracks messages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Subscription {
    pub(super) topic: Template,
    payload: Payload,
}

#[derive(Debug, Clone, PartialEq)]
enum Payload {
    OwnTracks,
    /// Positions under our own names: one object, a list of them, or one a line.
    Json,
    /// The bytes that a tracker would send to the protocol's port, or their hexadecimal digits.
    Raw {
        protocol: ListenerName,
        hex: bool,
    },
    Template(Mapping),
}

/// As it stands in the configuration.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Topic(String),
    Table(Table),
}

#[derive(Serialize, Deserialize)]
struct Table {
    topic: String,
    payload: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    protocol: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hex: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    positions: Option<Path>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    fields: BTreeMap<String, Path>,
    /// Everything else: no setting, and said to be none.
    #[serde(flatten, skip_serializing)]
    unknown: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    OwnTracks,
    Json,
    Raw,
    Template,
}

impl Subscription {
    /// A topic of OwnTracks messages.
    pub fn owntracks(topic: &str) -> Result<Self, String> {
        Ok(Self { topic: Template::parse(topic)?, payload: Payload::OwnTracks })
    }
}

impl TryFrom<Written> for Subscription {
    type Error = String;
    fn try_from(written: Written) -> Result<Self, String> {
        let table = match written {
            Written::Topic(topic) => return Self::owntracks(&topic),
            Written::Table(table) => table,
        };
        let wrong = |what: &str| Err(format!("topic {:?}: {what}", table.topic));
        if let Some(name) = table.unknown.keys().next() {
            return wrong(&format!("there is no setting {name:?}"));
        }
        let maps = table.positions.is_some() || !table.fields.is_empty();
        if table.payload != Kind::Raw && (table.protocol.is_some() || table.hex) {
            return wrong("protocol and hex are for raw payloads");
        }
        if table.payload != Kind::Template && maps {
            return wrong("positions and fields are for template payloads");
        }
        let payload = match table.payload {
            Kind::OwnTracks => Payload::OwnTracks,
            Kind::Json => Payload::Json,
            Kind::Raw => {
                let Some(name) = table.protocol else { return wrong("a raw payload needs a protocol") };
                let protocol = ListenerName::try_from(name)?;
                match protocols::by_name(protocol.as_str()).map(|protocol| &protocol.transport) {
                    Some(Transport::Socket { .. }) => Payload::Raw { protocol, hex: table.hex },
                    _ => return wrong("raw payloads are of protocols of TCP and UDP"),
                }
            }
            Kind::Template => {
                let fields = table.fields.into_iter().map(|(name, path)| Ok((Field::try_from(name)?, path)));
                let mapping = Mapping { positions: table.positions, fields: fields.collect::<Result<_, String>>()? };
                mapping.check()?;
                Payload::Template(mapping)
            }
        };
        Ok(Self { topic: Template::parse(&table.topic)?, payload })
    }
}

impl From<Subscription> for Written {
    fn from(subscription: Subscription) -> Self {
        let topic = subscription.topic.as_str().to_owned();
        let table = |payload| Table {
            topic: topic.clone(),
            payload,
            protocol: None,
            hex: false,
            positions: None,
            fields: BTreeMap::new(),
            unknown: BTreeMap::new(),
        };
        Self::Table(match subscription.payload {
            Payload::OwnTracks => return Self::Topic(topic),
            Payload::Json => table(Kind::Json),
            Payload::Raw { protocol, hex } => Table { protocol: Some(protocol.as_str().into()), hex, ..table(Kind::Raw) },
            Payload::Template(Mapping { positions, fields }) => Table {
                positions,
                fields: fields.into_iter().map(|(field, path)| (field.into(), path)).collect(),
                ..table(Kind::Template)
            },
        })
    }
}

/// The decoders of topics on which trackers speak their own protocols: what one has told once counts for its next messages.
pub(super) type Sessions = Senders<SmolStr, Box<dyn Decoder>>;

/// A message that is understood.
pub(super) struct Understood {
    /// Name of the protocol that its positions have.
    pub(super) protocol: &'static str,
    /// The fleet that the topic names, for a device that is new.
    pub(super) fleet: Option<FleetId>,
    pub(super) decoded: Decoded,
    /// The bytes, if they are a tracker's own.
    pub(super) frame: Option<Bytes>,
}

/// What is known besides the message.
pub(super) struct Around<'a> {
    pub(super) received_at: Timestamp,
    pub(super) config: &'a ConnectorsConfig,
    pub(super) sessions: &'a mut Sessions,
}

/// What a publication means to the first of these subscriptions that it is for. Nothing, if it is for none. `named`: whose it is, if
/// the topic does not tell.
pub(super) fn understand(
    all: &[Subscription],
    topic: &str,
    payload: &Bytes,
    named: Option<DeviceId>,
    around: &mut Around<'_>,
) -> Vec<Understood> {
    let Some((subscription, told)) = all.iter().find_map(|one| Some((one, one.topic.told(topic)?))) else { return Vec::new() };
    let told = Told { device: told.device.or(named), ..told };
    let one = |protocol, decoded: Decoded, told: Told| {
        let device = told.device.or(decoded.device);
        vec![Understood { protocol, fleet: told.fleet, decoded: Decoded { device, ..decoded }, frame: None }]
    };
    match &subscription.payload {
        Payload::OwnTracks => one("owntracks", owntracks::decode_mqtt(topic, payload), told),
        Payload::Json => one("json", of_all(json::positions(payload, around.received_at), told.device.is_some()), told),
        Payload::Template(mapping) => {
            let read = match serde_json::from_slice::<Value>(payload) {
                Ok(message) => mapping.read(&message, around.received_at),
                // An empty message clears a retained one.
                Err(_) if payload.is_empty() => Vec::new(),
                Err(error) => vec![Err(malformed(error))],
            };
            one("json", of_all(read, told.device.is_some()), told)
        }
        Payload::Raw { protocol, hex } => match protocols::by_name(protocol.as_str()) {
            Some(protocol) => raw(protocol, *hex, topic, payload, told, around),
            None => Vec::new(),
        },
    }
}

/// Fixes and faults of one message. If the topic tells the device, what the message says of it does not count: who may publish
/// where is the broker's to decide.
fn of_all(read: Vec<Result<Fix, Fault>>, told_by_topic: bool) -> Decoded {
    let mut decoded = Decoded::default();
    for one in read {
        match one {
            Ok(fix) if told_by_topic => decoded.fixes.push(Fix { device: None, ..fix }),
            Ok(fix) => decoded.fixes.push(fix),
            Err(fault) => decoded.faults.push(fault),
        }
    }
    decoded
}

fn raw(
    protocol: &'static Protocol,
    hex: bool,
    topic: &str,
    payload: &Bytes,
    told: Told,
    around: &mut Around<'_>,
) -> Vec<Understood> {
    let Transport::Socket { framing, decoder, .. } = protocol.transport else { return Vec::new() };
    let understood = |decoded, frame| Understood { protocol: protocol.name, fleet: told.fleet.clone(), decoded, frame };
    let payload = match hex.then(|| parse_hex(&String::from_utf8_lossy(payload))) {
        None => payload.clone(),
        Some(Ok(bytes)) => bytes.into(),
        Some(Err(error)) => {
            return vec![understood(Decoded { faults: malformed(error).into(), ..Decoded::default() }, None)];
        }
    };
    let context = Context { checksums: around.config.checksums(protocol.name), ..Context::stream(around.received_at) };
    let now = Instant::now();
    let key = SmolStr::from(topic);
    let mut decoder = around.sessions.take(&key, now).unwrap_or_else(decoder);
    let mut all = Vec::new();
    let (frames, lost) = frames_of(framing(), &payload);
    for frame in frames {
        if let (Some(session), Some(device)) = (decoder.session(), &told.device) {
            *session = Some(device.clone());
        }
        let mut decoded = decoder.decode(&frame, &context);
        if told.device.is_some() {
            decoded.device.clone_from(&told.device);
            // Also what a relay says of others: it may not speak for them here.
            decoded.fixes.iter_mut().for_each(|fix| fix.device = None);
        }
        all.push(understood(decoded, Some(frame)));
    }
    if let Some(fault) = lost {
        all.push(understood(Decoded { device: told.device.clone(), faults: fault.into(), ..Decoded::default() }, None));
    }
    around.sessions.remember(key, decoder, now);
    all
}
