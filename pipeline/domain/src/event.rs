//! What happened: the dataflow's conclusions from positions.

use crate::{Attributes, DeviceId, FleetId, GeofenceId, LatLon, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The device is inside a geofence and was not at its previous fix (or this is its first).
    Enter,
    /// The device is outside a geofence and was inside at its previous fix.
    Exit,
    /// A trip began: the device left the place where it had stopped.
    TripStart,
    /// A trip ended: the device has stopped.
    TripEnd,
}

impl EventKind {
    /// Every kind; the position in this list is the kind's number in the log encoding, so only append.
    pub const ALL: [Self; 4] = [Self::Enter, Self::Exit, Self::TripStart, Self::TripEnd];

    /// The name used in tables, addresses and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
            Self::TripStart => "trip_start",
            Self::TripEnd => "trip_end",
        }
    }

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|k| k.as_str() == name)
    }
}

/// Deterministic from what happened (device, geofence, kind, fix time): telling it twice tells it once.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct EventId(SmolStr);

impl EventId {
    /// The id of this happening.
    pub fn of(device: &DeviceId, geofence: Option<&GeofenceId>, kind: EventKind, fix_time: Timestamp) -> Self {
        let fence = geofence.map_or("-", GeofenceId::as_str);
        Self(smol_str::format_smolstr!("{device}/{fence}/{}/{}", kind.as_str(), fix_time.as_millis()))
    }

    /// The id of an enter or exit that was not shown by a fix but by an edit of the geofence: one and the same fix can show
    /// several, one for each version.
    pub fn of_edit(device: &DeviceId, geofence: &GeofenceId, kind: EventKind, fix_time: Timestamp, version: u64) -> Self {
        Self(smol_str::format_smolstr!("{device}/{geofence}/{}/{}/edit/{version}", kind.as_str(), fix_time.as_millis()))
    }

    /// An id read back from where one was written.
    pub fn from_text(text: &str) -> Self {
        Self(SmolStr::new(text))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// One thing that happened to one device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// See [`EventId::of`].
    pub id: EventId,
    /// What happened.
    pub kind: EventKind,
    /// To whom.
    pub device: DeviceId,
    /// The device's fleet at that time.
    pub fleet: FleetId,
    /// The geofence entered or exited.
    pub geofence: Option<GeofenceId>,
    /// Which version of the geofence decided it.
    pub geofence_version: Option<u64>,
    /// Time of the fix that showed it.
    pub fix_time: Timestamp,
    /// When that fix reached us.
    pub received_at: Timestamp,
    /// Where that fix was.
    pub location: LatLon,
    /// The earlier event that this one corrects.
    pub revises: Option<EventId>,
    /// True if a later report showed that this did not happen.
    pub retracted: bool,
    /// `initial = true` for an enter at the first fix, `reason` for a fence edit, trip figures.
    pub attributes: Attributes,
}
