//! The nouns of fleet tracking and the one fold over them.
//!
//! Everything here is a value or a pure function: no I/O, no async, no clock (time is an argument). Other crates bring
//! bytes in and carry values out. This crate is *not* a wire format for browsers (that is the gateway's `wire.rs`) and
//! not a table layout (that is the store's).

mod acknowledgement;
mod attributes;
pub mod audit;
pub mod catalog;
mod cell;
mod chosen;
pub mod codec;
pub mod command;
mod device_access;
mod erasure;
mod event;
mod fix;
mod fleet_owner;
pub mod geofence;
mod ids;
mod journeys;
mod late;
mod latest;
mod link;
mod location;
mod network;
pub mod notify;
mod owners;
mod position;
pub mod rate;
mod recent;
mod retention;
mod role;
mod room;
mod rules;
pub mod scram;
pub mod second_factor;
mod session;
mod share;
mod sign_in;
mod snapshot;
mod standing;
mod state;
mod states;
mod taken;
mod timestamp;
mod token;
mod transfer;
mod trip;
pub mod units;
mod unknown;
mod vitals;

pub use acknowledgement::{Acknowledgement, to_forget};
pub use attributes::{AttributeValue, Attributes};
pub use audit::{Actor, AuditRecord};
pub use catalog::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, SharedCatalog};
pub use command::{Command, Instruction, Progress};
pub use device_access::{DeviceAddresses, DeviceToken};
pub use erasure::Erasure;
pub use event::{Event, EventId, EventKind};
pub use fix::{Fix, Fuel};
pub use fleet_owner::FleetOwner;
pub use geofence::Geofence;
pub use ids::{
    ChannelId, CommandId, DeliveryId, DeviceId, FleetId, GeofenceId, IdError, NotificationRuleId, OrganisationId, QueryId,
    ReportId, ShareLinkId, TokenId, UserId,
};
pub use journeys::Journeys;
pub use late::Corrected;
pub use latest::Latest;
pub use link::Link;
pub use location::{
    LatLon, MEAN_EARTH_RADIUS_M, bearing_deg, bearing_of_degrees_deg, geodesic_degrees_m, haversine_degrees_m, haversine_m,
};
pub use network::{Network, NetworkError};
pub use position::Position;
pub use recent::{ClosedSegments, Horizon, Recent, SavedSegments};
pub use retention::Retention;
pub use room::{Full, OrganisationLimits};
pub use rules::{FleetRules, FuelDrop, LinkRules, Rules};
pub use share::{NewShareLink, ShareLink};
pub use sign_in::SignInLink;
pub use snapshot::{FleetSnapshot, LivePosition};
pub use standing::{Inside, Member, Phase, Standing};
pub use state::{Advance, DeviceState};
pub use states::States;
pub use taken::puts_names;
pub use timestamp::Timestamp;
pub use token::{ApiToken, NewToken, TokenScope, TokenSecret};
pub use transfer::{Claim, Handover, Stay, Transfer};
pub use trip::{Motion, Pause, Stop, Travelled, Trip, TripRules};
pub use unknown::{MAX_UNKNOWN_DEVICES, UnknownDevice, UnknownDevicePolicy, UnknownDeviceRule};
pub use vitals::{Speeding, Tank, Vitals};
