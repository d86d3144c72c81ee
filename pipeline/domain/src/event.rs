//! What happened: the dataflow's conclusions from positions.

use crate::{Attributes, CommandId, DeviceId, FleetId, GeofenceId, LatLon, Timestamp};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// What kind of thing happened. Which attributes an event of each kind has is said here: they are what tables, notifications
/// and the dashboard may rely on. Times in attributes are ISO 8601 texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// The device is inside a geofence and was not at its previous fix (or this is its first: `initial = true`). `reason` if it
    /// was not the device that moved.
    Enter,
    /// The device is outside a geofence and was inside at its previous fix. `reason` if it was not the device that moved.
    Exit,
    /// A trip began: the device left the place where it had stopped. `started_at`, `start_lat`, `start_lon`.
    TripStart,
    /// A trip ended: the device has stopped, or is silent (`reason = "gap"`). What [`Self::TripStart`] has, `ended_at`, `end_lat`,
    /// `end_lon`, `duration_s`, `distance_m`, `odometer_distance_m` if the device has one, `driving_s`, `idle_s`,
    /// `max_speed_mps` if speeds were reported.
    TripEnd,
    /// The device went through a geofence between two fixes, neither of which is inside.
    Cross,
    /// The device has been inside a geofence for its loitering time: `entered_at`, `loitering_s`. Once per visit; the time of the
    /// event is when that time was over.
    Dwell,
    /// The device is faster than a geofence or its fleet allows: `limit_mps`, `speed_mps`.
    SpeedingStart,
    /// It no longer is: `started_at`, `duration_s`, `limit_mps` of the start, `max_speed_mps`.
    SpeedingEnd,
    /// The device left the place where it had stood: `started_at` (of the stop), `ended_at`, `duration_s`, `stop_lat`, `stop_lon`,
    /// `idle_s` with the engine on if the device knows.
    Moving,
    /// The device stands: `started_at`, `stop_lat`, `stop_lon`; `reason = "gap"` after silence.
    Stopped,
    /// The ignition was switched on.
    IgnitionOn,
    /// The ignition was switched off.
    IgnitionOff,
    /// The device raised an alarm: `alarm`.
    Alarm,
    /// Fuel went away faster than an engine burns it: `before`, `after`, `unit` (`l` or `percent`).
    FuelDrop,
    /// The device is heard again: `silent_s`.
    DeviceOnline,
    /// The device has not been heard for a while: `heard_at`. The time of the event is when that was noticed at the earliest.
    DeviceLate,
    /// The device has not been heard for long: `heard_at`.
    DeviceOffline,
    /// A command went to the device: `command` (its id), `instruction`, `by`. The time is when that was, also below.
    CommandSent,
    /// The device answered a command: what [`Self::CommandSent`] has, `answer`.
    CommandAnswered,
    /// A command did not go to the device: what [`Self::CommandSent`] has, `reason` (`expired`, `uncertain` if nobody knows whether
    /// it arrived, or why it can't be said to this device).
    CommandFailed,
    /// Two senders speak as the device by turns: `address` and `other_address` (of the network), `protocol`. At most once in ten
    /// minutes, as long as it goes on; the time is when that was, the place is where the newer sender says it is (0,0 if not yet).
    DeviceContested,
}

impl EventKind {
    /// Every kind; the position in this list is the kind's number in the log encoding, so only append.
    pub const ALL: [Self; 21] = [
        Self::Enter,
        Self::Exit,
        Self::TripStart,
        Self::TripEnd,
        Self::Cross,
        Self::Dwell,
        Self::SpeedingStart,
        Self::SpeedingEnd,
        Self::Moving,
        Self::Stopped,
        Self::IgnitionOn,
        Self::IgnitionOff,
        Self::Alarm,
        Self::FuelDrop,
        Self::DeviceOnline,
        Self::DeviceLate,
        Self::DeviceOffline,
        Self::CommandSent,
        Self::CommandAnswered,
        Self::CommandFailed,
        Self::DeviceContested,
    ];

    /// The name used in tables, addresses and JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Enter => "enter",
            Self::Exit => "exit",
            Self::TripStart => "trip_start",
            Self::TripEnd => "trip_end",
            Self::Cross => "cross",
            Self::Dwell => "dwell",
            Self::SpeedingStart => "speeding_start",
            Self::SpeedingEnd => "speeding_end",
            Self::Moving => "moving",
            Self::Stopped => "stopped",
            Self::IgnitionOn => "ignition_on",
            Self::IgnitionOff => "ignition_off",
            Self::Alarm => "alarm",
            Self::FuelDrop => "fuel_drop",
            Self::DeviceOnline => "device_online",
            Self::DeviceLate => "device_late",
            Self::DeviceOffline => "device_offline",
            Self::CommandSent => "command_sent",
            Self::CommandAnswered => "command_answered",
            Self::CommandFailed => "command_failed",
            Self::DeviceContested => "device_contested",
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

    /// The id of what became of a command.
    pub fn of_command(device: &DeviceId, command: &CommandId, kind: EventKind) -> Self {
        Self(smol_str::format_smolstr!("{device}/-/{}/{command}", kind.as_str()))
    }

    /// An id read back from where one was written.
    pub fn from_text(text: &str) -> Self {
        Self(SmolStr::new(text))
    }

    /// What the id itself says of where to look the event up: the devices that it may be of, as those and geofences may have
    /// slashes in their ids, and the fix time, which ids of commands don't tell. Empty if no event has such an id.
    pub fn clues(&self) -> (Vec<DeviceId>, Option<Timestamp>) {
        let parts: Vec<&str> = self.0.split('/').collect();
        // Behind the kind there are numbers only.
        let Some(kind) = parts.iter().rposition(|part| EventKind::parse(part).is_some()) else { return (Vec::new(), None) };
        let fix_time = parts.get(kind + 1).and_then(|ms| ms.parse().ok()).and_then(Timestamp::from_millis);
        // A device and a geofence have at least one part each.
        let devices = (1..kind).filter_map(|end| DeviceId::new(parts[..end].join("/")).ok());
        (devices.collect(), fix_time)
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
    /// The geofence that it is about.
    pub geofence: Option<GeofenceId>,
    /// Which version of the geofence decided it.
    pub geofence_version: Option<u64>,
    /// Time of the fix that showed it.
    pub fix_time: Timestamp,
    /// When that fix reached us.
    pub received_at: Timestamp,
    /// Where that fix was. For commands: where the device was last seen; 0,0 if it never was.
    pub location: LatLon,
    /// The earlier event that this one corrects.
    pub revises: Option<EventId>,
    /// True if a later report showed that this did not happen.
    pub retracted: bool,
    /// What else is known: see [`EventKind`].
    pub attributes: Attributes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_has_one_name_and_one_number() {
        for (number, kind) in EventKind::ALL.into_iter().enumerate() {
            assert_eq!(kind as usize, number);
            assert_eq!(EventKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::parse("flying"), None);
    }

    #[test]
    fn an_id_says_where_to_look_its_event_up() {
        let (at, plain, slashed) = (Timestamp::from_millis(1_761_955_200_000), "356307042441013", "jo/phone");
        let fence: GeofenceId = "yard".parse().expect("id");
        for device in [plain, slashed] {
            let (device, time): (DeviceId, _) = (device.parse().expect("id"), at.expect("time"));
            for id in [
                EventId::of(&device, Some(&fence), EventKind::Enter, time),
                EventId::of(&device, None, EventKind::TripStart, time),
                EventId::of_edit(&device, &fence, EventKind::Exit, time, 7),
            ] {
                let (devices, told) = id.clues();
                assert!(devices.contains(&device) && told == at, "{id}: {devices:?}, {told:?}");
            }
            let command: CommandId = "019a3c3f6c00-0000abcd".parse().expect("id");
            let (devices, told) = EventId::of_command(&device, &command, EventKind::CommandFailed).clues();
            assert!(devices.contains(&device) && told.is_none());
        }
        for nonsense in ["", "/", "enter/5", "a/enter/5", "a/b/c/5", "a/-/flying/5"] {
            assert_eq!(EventId::from_text(nonsense).clues().0, [], "{nonsense}");
        }
    }
}
