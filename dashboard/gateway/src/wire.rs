//! What a browser sees, all of it: the JSON of REST and Socket.IO, and the binary frames of the live map.
//!
//! TypeScript gets the same types: `dashboard/web/src/wire/types.ts` is written from here (see [`typescript`]).
//! Times are numbers: milliseconds since the Unix epoch, UTC. Socket.IO events, server to client:
//!
//! | event | arguments | kept in order, never lost |
//! | --- | --- | --- |
//! | `f` | one FT1 [`frame`], of vehicles or of [`cells`] | merged for a slow client |
//! | `slots` | [`SlotsMessage`]: before the first frame that uses them, and when a name or fleet changes | yes |
//! | `alert` | [`AlertEvent`] | yes |
//! | `catalog` | [`CatalogMessage`] | yes |
//! | `detail` | [`DetailMessage`] | yes |
//! | `inside` | [`InsideMessage`] | all counts again for a slow client |
//! | `notice` | [`NoticeMessage`]: answered when it is shown | no |
//! | `r` | replay id, one FT1 frame with [`frame::flags::REPLAY`] | yes |
//! | `replay_state` | [`ReplayState`] | yes |
//! | `replay_alert` | [`ReplayAlert`] | yes |
//!
//! Client to server: `watch` ([`WatchRequest`], answered by [`WatchAnswer`]), `viewport` ([`Viewport`]), `follow` ([`FollowRequest`]),
//! `only` ([`OnlyRequest`]), `inside` ([`InsideRequest`]), `ack` (seq of a live frame), `replay` ([`ReplayRequest`], opening is answered by [`ReplayAnswer`]), `replay_ack` ([`ReplayAck`]).

mod acknowledgements;
mod audit;
pub mod cells;
mod device_access;
mod exports;
pub mod frame;
mod inside;
mod notices;
mod notifications;
mod oidc;
mod second_factor;
mod shares;
mod sql;
mod tokens;
mod transfers;
#[cfg(test)]
mod typescript;
mod unknown_devices;
mod users;
mod vehicles;
mod viewport;

pub(crate) use acknowledgements::acknowledgement_info;
pub use acknowledgements::{AcknowledgementInfo, NewAcknowledgement, NewAcknowledgements};
pub use audit::{AuditAnswer, ChangeInfo};
pub use device_access::{DeviceAccessInfo, DeviceAddressesEdit, DeviceTokenAnswer, DeviceTokenInfo};
pub use exports::ExportRequest;
pub use inside::{InsideMessage, InsideRequest};
pub use notices::{NewNotice, NoticeAnswer, NoticeMessage, PresenceAnswer};
pub use notifications::{
    ChannelEdit, ChannelInfo, DeliveriesAnswer, DeliveryInfo, NotificationRuleEdit, NotificationRuleInfo, QuietHours,
    ReportEdit, ReportInfo, TestAnswer,
};
pub use oidc::OidcButton;
pub use second_factor::{RecoveryCodes, SecondFactorCode, SecondFactorInfo, SecondFactorProposal, SecondFactorStart};
pub use shares::{NewShareLinkAnswer, NewShareLinkRequest, ShareLinkInfo, SharedPosition, SharedTrail, SharedView};
pub use sql::{SavedQueryEdit, SavedQueryInfo, SqlAnswer, SqlColumn, SqlRequest};
pub use tokens::{NewTokenAnswer, NewTokenRequest, TokenInfo, TokenScopeName};
pub use transfers::{NewTransferAnswer, TransferInfo, TransferRedemption};
pub use unknown_devices::{UnknownDeviceInfo, UnknownDevicePolicyName, UnknownDeviceRuleInfo};
pub use users::{NewUserRequest, PreferencesInfo, RoleName, UnitsName, UserEdit, UserInfo, UserLink};
pub use vehicles::{ListedVehicle, VehicleListAnswer, VehicleListRequest, VehicleSort};
pub use viewport::{DetailMessage, OnlyRequest, Viewport};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::catalog::Fleet;
use waystream_domain::{Attributes, FleetRules, Geofence};

/// Every answer that is not a success.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct ErrorAnswer {
    /// For people.
    pub error: String,
}

/// What the page needs before anybody has signed in.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct PageConfig {
    /// Of the page.
    pub title: String,
    /// Of the program.
    pub version: String,
    /// Map tiles; `null`: no tiles, coastlines only.
    pub tiles: Option<TileSource>,
    /// Another way to sign in; `null`: there is none.
    pub oidc: Option<OidcButton>,
}

/// Where map tiles come from.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct TileSource {
    /// With `{z}`, `{x}`, `{y}` and perhaps `{s}`; or of a PMTiles archive.
    pub url: String,
    /// Whether all tiles are in one archive, read piece by piece: pictures, or shapes that the page draws.
    pub archive: bool,
    /// HTML to show on the map.
    pub attribution: String,
    /// Deepest zoom level there is. An archive says so itself.
    pub max_zoom: u8,
}

/// Signing in.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SignIn {
    /// Sign-in name.
    pub user: String,
    /// As typed.
    pub password: String,
    /// Of the second factor, where one is asked for (status 428 says so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub code: Option<String>,
}

/// Choosing a password.
#[derive(Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct NewPassword {
    /// At least 10 characters.
    pub password: String,
    /// The one that it replaces, where that is asked for (status 428 says so).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub present: Option<String>,
}

/// Who is signed in.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SessionInfo {
    /// Sign-in name.
    pub user: String,
    /// Whose fleets are seen.
    pub organisation: String,
    /// `owner`, `dispatcher`, `viewer` or `installer`.
    #[ts(type = "\"owner\" | \"dispatcher\" | \"viewer\" | \"installer\"")]
    pub role: String,
    /// False until the user has chosen one.
    pub has_password: bool,
    /// How figures and times are shown; `null` until the user has chosen.
    pub preferences: Option<PreferencesInfo>,
    /// All that the session may see.
    pub fleets: Vec<FleetInfo>,
}

/// A fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct FleetInfo {
    /// Key.
    pub id: String,
    /// For people.
    pub name: String,
    /// What is told otherwise of its devices: `leave_m`, `stop_after_s`, `gap_s`, `speed_limit_mps`.
    #[serde(default, skip_serializing_if = "FleetRules::is_default")]
    #[ts(type = "Record<string, number>", optional)]
    #[schema(value_type = Object)]
    pub rules: FleetRules,
}

/// A fleet as browsers see it.
pub(crate) fn fleet_info(fleet: &Fleet) -> FleetInfo {
    FleetInfo { id: fleet.id.to_string(), name: fleet.name.clone(), rules: fleet.rules }
}

/// A new or changed fleet.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct FleetEdit {
    /// Key of a new fleet; made from the name if missing. Not for changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub id: Option<String>,
    /// For people.
    pub name: String,
    /// What is told otherwise of its devices; missing: as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(type = "Record<string, number>", optional)]
    #[schema(value_type = Option<Object>)]
    pub rules: Option<FleetRules>,
}

/// Something to tell a device.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandRequest {
    /// `engine_stop`, `engine_resume`, `request_position`, `report_every`, `set_output`, `restart`, `set_utc_offset`,
    /// `movement_alarm`, `update_firmware`, `text` or `bytes`; each but the first three and `restart` has fields below.
    pub instruction: String,
    /// Of `report_every`: 1 to 86,400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub seconds: Option<u32>,
    /// Of `set_output`: which, counted as the maker does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub output: Option<u8>,
    /// Of `set_output`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub on: Option<bool>,
    /// Of `set_utc_offset`: east of Greenwich is positive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub minutes: Option<i16>,
    /// Of `movement_alarm`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub radius_m: Option<u16>,
    /// Of `update_firmware`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub url: Option<String>,
    /// Of `text`: the maker's own command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub text: Option<String>,
    /// Of `bytes`: two hexadecimal digits each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub hex: Option<String>,
    /// Not sent any more after so many seconds; a day by default, 30 days at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub expires_in_s: Option<u32>,
}

/// Something that a device is told.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct CommandInfo {
    /// Key, together with the device.
    pub id: String,
    /// Who is told.
    pub device: String,
    /// What: see [`CommandRequest`].
    pub instruction: String,
    /// Its fields.
    #[ts(type = "Record<string, unknown>")]
    pub parameters: Value,
    /// The user who told it.
    pub by: String,
    /// When it was given.
    pub queued_at: i64,
    /// Not sent any more from then on.
    pub expires_at: i64,
    /// `queued`, `sending`, `sent`, `answered`, `failed`, `expired`, `cancelled`, or `uncertain`: nobody knows whether it was sent.
    pub state: String,
    /// Since when it is in this state; `null` while it is queued.
    pub changed_at: Option<i64>,
    /// What the device answered, or why the command failed.
    pub note: Option<String>,
}

/// A device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceInfo {
    /// What the device calls itself.
    pub id: String,
    /// For people.
    pub name: String,
    /// Key of its fleet.
    pub fleet: String,
}

/// A new or changed device.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceEdit {
    /// For people.
    pub name: String,
    /// Key of its fleet.
    pub fleet: String,
}

/// A device with what is known of it now.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct DeviceDetails {
    /// What the device calls itself.
    pub id: String,
    /// For people.
    pub name: String,
    /// Key of its fleet.
    pub fleet: String,
    /// The newest valid position.
    pub position: Option<PositionInfo>,
    /// When that position reached us.
    #[ts(type = "number | null")]
    pub received_at: Option<i64>,
    /// How it reached us.
    pub protocol: Option<String>,
    /// Geofences that the device is inside of.
    pub inside: Vec<InsideInfo>,
}

/// A geofence that a device is inside of.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct InsideInfo {
    /// Key of the geofence.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Fix time of the enter.
    #[ts(type = "number")]
    pub since: i64,
}

/// One position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct PositionInfo {
    /// When the fix was taken.
    #[ts(type = "number")]
    pub fix_time: i64,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// Metres per second.
    pub speed_mps: Option<f32>,
    /// Degrees clockwise from true north.
    pub course_deg: Option<f32>,
    /// Metres.
    pub altitude_m: Option<f32>,
    /// Whether the receiver trusts it.
    pub valid: bool,
    /// Everything else that was reported.
    #[ts(type = "Record<string, boolean | number | string>")]
    #[schema(value_type = Object)]
    pub attributes: Attributes,
}

/// The positions of one device in a time range.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct TrackAnswer {
    /// Whose.
    pub device: String,
    /// In order of fix time.
    pub positions: Vec<PositionInfo>,
    /// There are more after the last.
    pub truncated: bool,
}

/// From when to when there is history.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct RangeAnswer {
    /// First fix time; `null`: there is none.
    #[ts(type = "number | null")]
    pub from: Option<i64>,
    /// Last fix time.
    #[ts(type = "number | null")]
    pub to: Option<i64>,
}

/// Something that happened to a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct AlertEvent {
    /// The same for the same happening, however often it is told.
    pub event_id: String,
    /// Give it as `alerts_after` or `after` to get what comes next; `null` for events of the past.
    pub cursor: Option<String>,
    /// What happened: `enter`, `exit`, `trip_start`, `alarm`, …
    pub kind: String,
    /// To whom.
    pub device: String,
    /// Its name now.
    pub device_name: String,
    /// Key of its fleet at that time.
    pub fleet: String,
    /// Key of the geofence.
    pub geofence: Option<String>,
    /// Its name now.
    pub geofence_name: Option<String>,
    /// Of the fix that showed it.
    #[ts(type = "number")]
    pub fix_time: i64,
    /// When that fix reached us.
    #[ts(type = "number")]
    pub received_at: i64,
    /// Degrees.
    pub lat: f64,
    /// Degrees.
    pub lon: f64,
    /// A later report showed that this did not happen.
    pub retracted: bool,
    /// Who had seen to it when this was told; `null`: nobody. Later ones come as [`CatalogMessage::Acknowledgements`].
    pub acknowledged: Option<AcknowledgementInfo>,
    /// Figures that belong to it.
    #[ts(type = "Record<string, boolean | number | string>")]
    #[schema(value_type = Object)]
    pub attributes: Attributes,
}

/// Some events.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct EventsAnswer {
    /// Newest last.
    pub events: Vec<AlertEvent>,
    /// Give it as `alerts_after` or `after` to get what comes next.
    pub cursor: String,
}

/// A geofence as a GeoJSON feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS, ToSchema)]
pub struct GeofenceFeature {
    /// `Feature`.
    #[ts(type = "\"Feature\"")]
    pub r#type: String,
    /// `Polygon`, `MultiPolygon`, `Point` with `radius_m`, or `LineString` with `width_m`.
    #[ts(type = "{ type: \"Polygon\" | \"MultiPolygon\" | \"Point\" | \"LineString\"; coordinates: unknown }")]
    #[schema(value_type = Object)]
    pub geometry: Value,
    /// The rest.
    pub properties: GeofenceProperties,
}

/// What a geofence has beside its shape.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, TS, ToSchema)]
#[serde(default)]
pub struct GeofenceProperties {
    /// Key; given by the server.
    pub id: String,
    /// For people.
    pub name: String,
    /// Only for this fleet; `null`: for all.
    pub fleet: Option<String>,
    /// Under which it is listed and shown together with others; missing or empty: under none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub group: Option<String>,
    /// `#rrggbb`; `null`: the map chooses.
    pub colour: Option<String>,
    /// Grows with every edit; given by the server.
    #[ts(type = "number")]
    pub version: u64,
    /// Of a circle, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub radius_m: Option<f64>,
    /// Of a corridor, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub width_m: Option<f64>,
    /// Who is inside stays inside until farther away than this, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub exit_margin_m: Option<f64>,
    /// An enter or exit counts when it has lasted this long, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub min_dwell_s: Option<f64>,
    /// Being inside for this long is told once per visit, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub loitering_s: Option<f64>,
    /// Faster than this inside is told, metres per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub speed_limit_mps: Option<f64>,
    /// A fix that is less accurate than this says nothing about the geofence, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub max_accuracy_m: Option<f64>,
    /// Inside is not below this altitude, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub min_altitude_m: Option<f64>,
    /// Inside is not above this altitude, metres.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub max_altitude_m: Option<f64>,
    /// Going through between two fixes is told.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub cross: Option<bool>,
    /// Events are told only in these hours: `{"time_zone": "Europe/Warsaw", "hours": ["mon-fri 08:00-18:00"], "closed": ["2026-12-25"]}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[ts(optional, type = "unknown")]
    #[schema(value_type = Object)]
    pub schedule: Option<Value>,
}

/// A geofence as a browser sees it.
pub fn geofence_feature(geofence: &Geofence) -> GeofenceFeature {
    let mut feature = waystream_domain::geofence::geojson::to_feature(geofence);
    GeofenceFeature {
        r#type: "Feature".into(),
        geometry: feature["geometry"].take(),
        properties: GeofenceProperties {
            id: geofence.id.to_string(),
            name: geofence.name.clone(),
            fleet: geofence.fleet.as_ref().map(ToString::to_string),
            group: geofence.group.clone(),
            colour: geofence.colour.clone(),
            version: geofence.version,
            radius_m: feature["properties"]["radius_m"].as_f64(),
            width_m: feature["properties"]["width_m"].as_f64(),
            exit_margin_m: feature["properties"]["exit_margin_m"].as_f64(),
            min_dwell_s: feature["properties"]["min_dwell_s"].as_f64(),
            loitering_s: feature["properties"]["loitering_s"].as_f64(),
            speed_limit_mps: feature["properties"]["speed_limit_mps"].as_f64(),
            max_accuracy_m: feature["properties"]["max_accuracy_m"].as_f64(),
            min_altitude_m: feature["properties"]["min_altitude_m"].as_f64(),
            max_altitude_m: feature["properties"]["max_altitude_m"].as_f64(),
            cross: feature["properties"]["cross"].as_bool(),
            schedule: Some(feature["properties"]["schedule"].take()).filter(|schedule| !schedule.is_null()),
        },
    }
}

/// All geofences.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct GeofenceCollection {
    /// `FeatureCollection`.
    #[ts(type = "\"FeatureCollection\"")]
    pub r#type: String,
    /// Sorted by id.
    pub features: Vec<GeofenceFeature>,
}

/// One row of the slot table: slot, device id, name, fleet id.
pub type SlotRow = (u32, String, String, String);

/// Which vehicle is meant by a slot in frames.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct SlotsMessage {
    /// Changes with every start of the gateway; then forget all slots.
    pub epoch: u32,
    /// Slot, device id, name, fleet id. A slot may come again with another name or fleet.
    #[schema(value_type = Vec<Vec<Value>>)]
    pub slots: Vec<SlotRow>,
}

/// Socket.IO `watch`: what to see live. May come again: the new view replaces the old one and starts with a snapshot.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct WatchRequest {
    /// Keys of fleets; `null`: all of the organisation, also those to come.
    #[serde(default)]
    pub fleets: Option<Vec<String>>,
    /// Cursor of the last alert seen: those after it are sent first. `null`: only new ones.
    #[serde(default)]
    pub alerts_after: Option<String>,
    /// What the map shows; `null`: all vehicles are told of, however many.
    #[serde(default)]
    #[ts(optional)]
    pub viewport: Option<Viewport>,
    /// See [`FollowRequest`].
    #[serde(default)]
    #[ts(optional, as = "Option<Vec<String>>")]
    pub follow: Vec<String>,
    /// See [`OnlyRequest`]; `null`: all that are watched.
    #[serde(default)]
    #[ts(optional)]
    pub only: Option<String>,
    /// See [`InsideRequest`].
    #[serde(default)]
    #[ts(optional, as = "Option<bool>")]
    pub inside: bool,
}

/// Socket.IO `follow`: the vehicles to be told of wherever they are, instead of those before. At most 16 count.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct FollowRequest {
    /// Ids of devices; who may not be seen is left out.
    pub devices: Vec<String>,
}

/// Answer to `watch`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS)]
pub struct WatchAnswer {
    /// Of the slot table.
    pub epoch: u32,
    /// What is watched.
    pub fleets: Vec<String>,
    /// See [`DetailMessage`].
    pub whole: bool,
    /// Where alerts go on from.
    pub cursor: String,
    /// Set if nothing is watched: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<String>,
}

/// Socket.IO `catalog`: something was edited; `value` is `null` if it is gone. Who watches and says an alert that was seen last is
/// also told which alerts are acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CatalogMessage {
    /// A fleet.
    Fleet {
        /// Key.
        id: String,
        /// As it is now.
        value: Option<FleetInfo>,
    },
    /// A device.
    Device {
        /// Key.
        id: String,
        /// As it is now.
        value: Option<DeviceInfo>,
    },
    /// A geofence.
    Geofence {
        /// Key.
        id: String,
        /// As it is now.
        value: Option<Box<GeofenceFeature>>,
    },
    /// Alerts of the organisation have been acknowledged, or that was taken back.
    Acknowledgements {
        /// Forget all that were told before; if they are many, further messages with the others follow.
        whole: bool,
        /// New ones, and changed ones.
        given: Vec<AcknowledgementInfo>,
        /// Ids of events that are no longer acknowledged.
        taken_back: Vec<String>,
    },
}

/// Socket.IO `replay`.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct ReplayRequest {
    /// Chosen by the client, one per replay.
    pub id: u32,
    /// What to do.
    #[serde(flatten)]
    pub action: ReplayAction,
}

/// What to do with a replay.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ReplayAction {
    /// Start one, paused at `from`.
    Open {
        /// These devices; `null`: those of the fleet.
        #[serde(default)]
        devices: Option<Vec<String>>,
        /// All devices of this fleet; `null` with `devices` `null`: all that the session may see.
        #[serde(default)]
        fleet: Option<String>,
        /// First moment.
        #[ts(type = "number")]
        from: i64,
        /// Last moment.
        #[ts(type = "number")]
        to: i64,
        /// Times real time.
        #[serde(default = "one")]
        speed: f64,
    },
    /// Let the clock run.
    Play,
    /// Stop the clock.
    Pause,
    /// Put the clock; a snapshot of that moment follows.
    Seek {
        /// The moment.
        #[ts(type = "number")]
        at: i64,
    },
    /// Put the clock on, and tell what it passes by without reading history anew.
    Step {
        /// The moment; `null`: that of the next fix.
        #[serde(default)]
        #[ts(type = "number | null")]
        to: Option<i64>,
        /// Whose fix; `null`: anybody's.
        #[serde(default)]
        device: Option<String>,
    },
    /// Change the speed.
    Speed {
        /// Times real time.
        speed: f64,
    },
    /// End it.
    Close,
}

fn one() -> f64 {
    1.0
}

/// Answer to `replay` with `open`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, TS)]
pub struct ReplayAnswer {
    /// Whether it is open.
    pub ok: bool,
    /// Which vehicle is meant by a slot in frames of this replay: slot, device id, name, fleet id.
    pub slots: Vec<SlotRow>,
    /// First moment.
    #[ts(type = "number")]
    pub from: i64,
    /// Last moment.
    #[ts(type = "number")]
    pub to: i64,
    /// Why it is not open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<String>,
}

/// Socket.IO `replay_ack`: a frame has been shown.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, TS)]
pub struct ReplayAck {
    /// Which replay.
    pub id: u32,
    /// `seq` of the frame.
    pub seq: u32,
}

/// Socket.IO `replay_state`: after every action, every second while it plays, and at its end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, TS)]
pub struct ReplayState {
    /// Which replay.
    pub id: u32,
    /// The replay's clock.
    #[ts(type = "number")]
    pub at: i64,
    /// Whether the clock runs.
    pub playing: bool,
    /// Times real time.
    pub speed: f64,
    /// The clock is at the end.
    pub done: bool,
    /// It has ended because of this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[ts(optional)]
    pub error: Option<String>,
}

/// Socket.IO `replay_alert`: an event whose time the replay's clock has reached.
#[derive(Debug, Clone, Serialize, Deserialize, TS)]
pub struct ReplayAlert {
    /// Which replay.
    pub id: u32,
    /// What happened.
    #[serde(flatten)]
    pub alert: AlertEvent,
}
