//! The entries of the catalog, and their keys: what edits are made of.

use super::{Device, Fleet, Organisation, SavedQuery, Session, SessionUse, User};
use crate::chosen::{UserPassword, UserPreferences};
use crate::command::Command;
use crate::device_access::{DeviceAddresses, DeviceToken};
use crate::erasure::Erasure;
use crate::fleet_owner::FleetOwner;
use crate::geofence::Geofence;
use crate::notify::{Channel, NotificationRule, Report};
use crate::retention::Retention;
use crate::second_factor::SecondFactor;
use crate::share::ShareLink;
use crate::sign_in::SignInLink;
use crate::transfer::{Handover, Transfer};
use crate::unknown::{UnknownDevice, UnknownDeviceRule};
use crate::{
    Acknowledgement, ApiToken, ChannelId, CommandId, DeviceId, EventId, FleetId, GeofenceId, NotificationRuleId,
    OrganisationId, QueryId, ReportId, ShareLinkId, TokenId, UserId,
};
use serde::{Deserialize, Serialize};
use std::fmt;

/// One entry of the catalog.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum CatalogEntry {
    /// A tenant.
    Organisation(Organisation),
    /// A set of devices.
    Fleet(Fleet),
    /// A tracker.
    Device(Device),
    /// A named area.
    Geofence(Geofence),
    /// A person.
    User(User),
    /// What that one has chosen to sign in with.
    UserPassword(UserPassword),
    /// How that one reads figures and times.
    UserPreferences(UserPreferences),
    /// A signed-in browser.
    Session(Session),
    /// When a session was last used.
    SessionUse(SessionUse),
    /// A query.
    Query(SavedQuery),
    /// Something that a device is told.
    Command(Command),
    /// A way to notify.
    Channel(Channel),
    /// What is notified.
    NotificationRule(NotificationRule),
    /// What is sent by itself.
    Report(Report),
    /// How a program signs in.
    ApiToken(ApiToken),
    /// How somebody signs in once.
    SignInLink(SignInLink),
    /// What else is asked for than a password.
    SecondFactor(SecondFactor),
    /// A tracker that was refused.
    UnknownDevice(UnknownDevice),
    /// That somebody has seen to an alert.
    Acknowledgement(Acknowledgement),
    /// How somebody without an account sees a vehicle.
    ShareLink(ShareLink),
    /// A device that is offered to another organisation.
    Transfer(Transfer),
    /// Who had a device before.
    Handover(Handover),
    /// Whose the id of a fleet is.
    FleetOwner(FleetOwner),
    /// What a device has to show.
    DeviceToken(DeviceToken),
    /// Where a device speaks from.
    DeviceAddresses(DeviceAddresses),
    /// That a device's history is erased.
    Erasure(Erasure),
    /// How long history is kept.
    Retention(Retention),
    /// What happens to devices that nobody has entered.
    UnknownDeviceRule(UnknownDeviceRule),
}

/// The key of an entry: its kind and its id. As text `kind/id`, which is the record key in the log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CatalogKey {
    /// An organisation.
    Organisation(OrganisationId),
    /// A fleet.
    Fleet(FleetId),
    /// A device.
    Device(DeviceId),
    /// A geofence.
    Geofence(GeofenceId),
    /// A user.
    User(UserId),
    /// A user's password.
    UserPassword(UserId),
    /// How a user reads figures and times.
    UserPreferences(UserId),
    /// A session, by its token's hash.
    Session(String),
    /// When a session was last used, by its token's hash.
    SessionUse(String),
    /// A saved query.
    Query(QueryId),
    /// A command. As text `command/id/device`, as ids of devices may have slashes.
    Command(DeviceId, CommandId),
    /// A way to notify.
    Channel(ChannelId),
    /// A rule of notifications.
    NotificationRule(NotificationRuleId),
    /// A report.
    Report(ReportId),
    /// How a program signs in.
    ApiToken(TokenId),
    /// How somebody signs in once, by its secret's hash.
    SignInLink(String),
    /// What else is asked for than a user's password.
    SecondFactor(UserId),
    /// A device that was refused, by what it calls itself.
    UnknownDevice(DeviceId),
    /// That somebody has seen to an alert, by the event.
    Acknowledgement(EventId),
    /// How somebody without an account sees a vehicle.
    ShareLink(ShareLinkId),
    /// A device that is offered.
    Transfer(DeviceId),
    /// Who had a device before.
    Handover(DeviceId),
    /// Whose the id of a fleet is. Each organisation that claims one has its own, so that the first is never overwritten. As text
    /// `fleet_owner/length of organisation/organisation/fleet`, as ids of both may have slashes.
    FleetOwner(OrganisationId, FleetId),
    /// What a device has to show.
    DeviceToken(DeviceId),
    /// Where a device speaks from.
    DeviceAddresses(DeviceId),
    /// That a device's history is erased.
    Erasure(DeviceId),
    /// How long an organisation keeps history.
    Retention(OrganisationId),
    /// What happens to devices that nobody of an organisation has entered.
    UnknownDeviceRule(OrganisationId),
}

impl CatalogEntry {
    /// The key under which it is kept.
    pub fn key(&self) -> CatalogKey {
        match self {
            Self::Organisation(o) => CatalogKey::Organisation(o.id.clone()),
            Self::Fleet(f) => CatalogKey::Fleet(f.id.clone()),
            Self::Device(d) => CatalogKey::Device(d.id.clone()),
            Self::Geofence(g) => CatalogKey::Geofence(g.id.clone()),
            Self::User(u) => CatalogKey::User(u.id.clone()),
            Self::UserPassword(p) => CatalogKey::UserPassword(p.user.clone()),
            Self::UserPreferences(p) => CatalogKey::UserPreferences(p.user.clone()),
            Self::Session(s) => CatalogKey::Session(s.token_sha256.clone()),
            Self::SessionUse(u) => CatalogKey::SessionUse(u.token_sha256.clone()),
            Self::Query(q) => CatalogKey::Query(q.id.clone()),
            Self::Command(c) => CatalogKey::Command(c.device.clone(), c.id.clone()),
            Self::Channel(c) => CatalogKey::Channel(c.id.clone()),
            Self::NotificationRule(r) => CatalogKey::NotificationRule(r.id.clone()),
            Self::Report(r) => CatalogKey::Report(r.id.clone()),
            Self::ApiToken(t) => CatalogKey::ApiToken(t.id.clone()),
            Self::SignInLink(l) => CatalogKey::SignInLink(l.token_sha256.clone()),
            Self::SecondFactor(f) => CatalogKey::SecondFactor(f.user.clone()),
            Self::UnknownDevice(u) => CatalogKey::UnknownDevice(u.id.clone()),
            Self::Acknowledgement(a) => CatalogKey::Acknowledgement(a.event.clone()),
            Self::ShareLink(l) => CatalogKey::ShareLink(l.id.clone()),
            Self::Transfer(t) => CatalogKey::Transfer(t.device.clone()),
            Self::Handover(h) => CatalogKey::Handover(h.device.clone()),
            Self::FleetOwner(o) => CatalogKey::FleetOwner(o.organisation.clone(), o.fleet.clone()),
            Self::DeviceToken(t) => CatalogKey::DeviceToken(t.device.clone()),
            Self::DeviceAddresses(a) => CatalogKey::DeviceAddresses(a.device.clone()),
            Self::Erasure(e) => CatalogKey::Erasure(e.device.clone()),
            Self::Retention(r) => CatalogKey::Retention(r.organisation.clone()),
            Self::UnknownDeviceRule(r) => CatalogKey::UnknownDeviceRule(r.organisation.clone()),
        }
    }
}

impl fmt::Display for CatalogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Organisation(id) => write!(f, "organisation/{id}"),
            Self::Fleet(id) => write!(f, "fleet/{id}"),
            Self::Device(id) => write!(f, "device/{id}"),
            Self::Geofence(id) => write!(f, "geofence/{id}"),
            Self::User(id) => write!(f, "user/{id}"),
            Self::UserPassword(user) => write!(f, "user_password/{user}"),
            Self::UserPreferences(user) => write!(f, "user_preferences/{user}"),
            Self::Session(hash) => write!(f, "session/{hash}"),
            Self::SessionUse(hash) => write!(f, "session_use/{hash}"),
            Self::Query(id) => write!(f, "query/{id}"),
            Self::Command(device, id) => write!(f, "command/{id}/{device}"),
            Self::Channel(id) => write!(f, "channel/{id}"),
            Self::NotificationRule(id) => write!(f, "notification_rule/{id}"),
            Self::Report(id) => write!(f, "report/{id}"),
            Self::ApiToken(id) => write!(f, "api_token/{id}"),
            Self::SignInLink(hash) => write!(f, "sign_in_link/{hash}"),
            Self::SecondFactor(user) => write!(f, "second_factor/{user}"),
            Self::UnknownDevice(id) => write!(f, "unknown_device/{id}"),
            Self::Acknowledgement(event) => write!(f, "acknowledgement/{event}"),
            Self::ShareLink(id) => write!(f, "share_link/{id}"),
            Self::Transfer(device) => write!(f, "transfer/{device}"),
            Self::Handover(device) => write!(f, "handover/{device}"),
            Self::FleetOwner(organisation, fleet) => {
                write!(f, "fleet_owner/{}/{organisation}/{fleet}", organisation.as_str().len())
            }
            Self::DeviceToken(device) => write!(f, "device_token/{device}"),
            Self::DeviceAddresses(device) => write!(f, "device_addresses/{device}"),
            Self::Erasure(device) => write!(f, "erasure/{device}"),
            Self::Retention(organisation) => write!(f, "retention/{organisation}"),
            Self::UnknownDeviceRule(organisation) => write!(f, "unknown_device_rule/{organisation}"),
        }
    }
}

impl CatalogKey {
    /// Reads `kind/id`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, id) = text.split_once('/')?;
        Some(match kind {
            "organisation" => Self::Organisation(id.parse().ok()?),
            "fleet" => Self::Fleet(id.parse().ok()?),
            "device" => Self::Device(id.parse().ok()?),
            "geofence" => Self::Geofence(id.parse().ok()?),
            "user" => Self::User(id.parse().ok()?),
            "user_password" => Self::UserPassword(id.parse().ok()?),
            "user_preferences" => Self::UserPreferences(id.parse().ok()?),
            "session" => Self::Session(id.to_owned()),
            "session_use" => Self::SessionUse(id.to_owned()),
            "query" => Self::Query(id.parse().ok()?),
            "command" => {
                let (id, device) = id.split_once('/')?;
                Self::Command(device.parse().ok()?, id.parse().ok()?)
            }
            "channel" => Self::Channel(id.parse().ok()?),
            "notification_rule" => Self::NotificationRule(id.parse().ok()?),
            "report" => Self::Report(id.parse().ok()?),
            "api_token" => Self::ApiToken(id.parse().ok()?),
            "sign_in_link" => Self::SignInLink(id.to_owned()),
            "second_factor" => Self::SecondFactor(id.parse().ok()?),
            "unknown_device" => Self::UnknownDevice(id.parse().ok()?),
            "acknowledgement" => Self::Acknowledgement(EventId::from_text(id)),
            "share_link" => Self::ShareLink(id.parse().ok()?),
            "transfer" => Self::Transfer(id.parse().ok()?),
            "handover" => Self::Handover(id.parse().ok()?),
            "fleet_owner" => {
                let (bytes, both) = id.split_once('/')?;
                let (organisation, fleet) = both.split_at_checked(bytes.parse().ok()?)?;
                Self::FleetOwner(organisation.parse().ok()?, fleet.strip_prefix('/')?.parse().ok()?)
            }
            "device_token" => Self::DeviceToken(id.parse().ok()?),
            "device_addresses" => Self::DeviceAddresses(id.parse().ok()?),
            "erasure" => Self::Erasure(id.parse().ok()?),
            "retention" => Self::Retention(id.parse().ok()?),
            "unknown_device_rule" => Self::UnknownDeviceRule(id.parse().ok()?),
            _ => return None,
        })
    }
}

/// One edit: an entry put, or a key removed.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are put")]
pub enum CatalogEdit {
    /// New or changed.
    Put(CatalogEntry),
    /// Gone.
    Remove(CatalogKey),
}
