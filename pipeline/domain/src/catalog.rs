//! What people set up: organisations, fleets, devices, geofences, users and their sessions; one entry per key, last wins.

use crate::command::Command;
use crate::geofence::Geofence;
use crate::notify::{Channel, NotificationRule};
use crate::{
    ChannelId, CommandId, DeviceId, FleetId, FleetRules, GeofenceId, NotificationRuleId, OrganisationId, QueryId, Timestamp,
    UserId,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A tenant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Organisation {
    /// Its key.
    pub id: OrganisationId,
    /// For people.
    pub name: String,
}

/// A named set of devices of one organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Its key.
    pub id: FleetId,
    /// Owner.
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// What is told otherwise of its devices.
    #[serde(default, skip_serializing_if = "FleetRules::is_default")]
    pub rules: FleetRules,
}

/// A tracker or phone that may report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Its key: the id that it reports.
    pub id: DeviceId,
    /// Where its positions go.
    pub fleet: FleetId,
    /// For people; often the number plate.
    pub name: String,
}

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything in the organisation.
    Owner,
    /// Looks and edits geofences and devices.
    Dispatcher,
    /// Looks.
    Viewer,
}

/// Somebody who signs in.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Sign-in name.
    pub id: UserId,
    /// Whose fleets the user sees.
    pub organisation: OrganisationId,
    /// What the user may do.
    pub role: Role,
    /// PHC string (argon2id); `None` until the user has chosen a password.
    pub password_hash: Option<String>,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
}

/// A signed-in browser. Durable, so that a restart signs nobody out, and shared by all gateways.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// SHA-256 of the cookie's token, hex: the log never holds a token.
    pub token_sha256: String,
    /// Whose.
    pub user: UserId,
    /// No longer valid from then on.
    pub expires_at: Timestamp,
}

/// A query that the people of an organisation keep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedQuery {
    /// Its key.
    pub id: QueryId,
    /// Whose.
    pub organisation: OrganisationId,
    /// For people.
    pub name: String,
    /// The statement; whether it can be run shows when it is.
    pub sql: String,
}

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
    /// A signed-in browser.
    Session(Session),
    /// A query.
    Query(SavedQuery),
    /// Something that a device is told.
    Command(Command),
    /// A way to notify.
    Channel(Channel),
    /// What is notified.
    NotificationRule(NotificationRule),
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
    /// A session, by its token's hash.
    Session(String),
    /// A saved query.
    Query(QueryId),
    /// A command. As text `command/id/device`, as ids of devices may have slashes.
    Command(DeviceId, CommandId),
    /// A way to notify.
    Channel(ChannelId),
    /// A rule of notifications.
    NotificationRule(NotificationRuleId),
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
            Self::Session(s) => CatalogKey::Session(s.token_sha256.clone()),
            Self::Query(q) => CatalogKey::Query(q.id.clone()),
            Self::Command(c) => CatalogKey::Command(c.device.clone(), c.id.clone()),
            Self::Channel(c) => CatalogKey::Channel(c.id.clone()),
            Self::NotificationRule(r) => CatalogKey::NotificationRule(r.id.clone()),
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
            Self::Session(hash) => write!(f, "session/{hash}"),
            Self::Query(id) => write!(f, "query/{id}"),
            Self::Command(device, id) => write!(f, "command/{id}/{device}"),
            Self::Channel(id) => write!(f, "channel/{id}"),
            Self::NotificationRule(id) => write!(f, "notification_rule/{id}"),
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
            "session" => Self::Session(id.to_owned()),
            "query" => Self::Query(id.parse().ok()?),
            "command" => {
                let (id, device) = id.split_once('/')?;
                Self::Command(device.parse().ok()?, id.parse().ok()?)
            }
            "channel" => Self::Channel(id.parse().ok()?),
            "notification_rule" => Self::NotificationRule(id.parse().ok()?),
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

/// The catalog as edits have made it. Cheap to clone (entries are shared).
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By id.
    pub organisations: BTreeMap<OrganisationId, Arc<Organisation>>,
    /// By id.
    pub fleets: BTreeMap<FleetId, Arc<Fleet>>,
    /// By id.
    pub devices: BTreeMap<DeviceId, Arc<Device>>,
    /// By id.
    pub geofences: BTreeMap<GeofenceId, Arc<Geofence>>,
    /// By sign-in name.
    pub users: BTreeMap<UserId, Arc<User>>,
    /// By token hash.
    pub sessions: BTreeMap<String, Arc<Session>>,
    /// By id.
    pub queries: BTreeMap<QueryId, Arc<SavedQuery>>,
    /// By device, oldest first.
    pub commands: BTreeMap<DeviceId, BTreeMap<CommandId, Arc<Command>>>,
    /// By id.
    pub channels: BTreeMap<ChannelId, Arc<Channel>>,
    /// By id.
    pub notification_rules: BTreeMap<NotificationRuleId, Arc<NotificationRule>>,
}

impl Catalog {
    /// Applies one edit.
    pub fn apply(&mut self, edit: CatalogEdit) {
        match edit {
            CatalogEdit::Put(entry) => match entry {
                CatalogEntry::Organisation(e) => drop(self.organisations.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Fleet(e) => drop(self.fleets.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Device(e) => drop(self.devices.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Geofence(e) => drop(self.geofences.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::User(e) => drop(self.users.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Session(e) => drop(self.sessions.insert(e.token_sha256.clone(), Arc::new(e))),
                CatalogEntry::Query(e) => drop(self.queries.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Command(e) => self.advance(e),
                CatalogEntry::Channel(e) => drop(self.channels.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::NotificationRule(e) => drop(self.notification_rules.insert(e.id.clone(), Arc::new(e))),
            },
            CatalogEdit::Remove(key) => match key {
                CatalogKey::Organisation(id) => drop(self.organisations.remove(&id)),
                CatalogKey::Fleet(id) => drop(self.fleets.remove(&id)),
                CatalogKey::Device(id) => drop(self.devices.remove(&id)),
                CatalogKey::Geofence(id) => drop(self.geofences.remove(&id)),
                CatalogKey::User(id) => drop(self.users.remove(&id)),
                CatalogKey::Session(hash) => drop(self.sessions.remove(&hash)),
                CatalogKey::Query(id) => drop(self.queries.remove(&id)),
                CatalogKey::Channel(id) => drop(self.channels.remove(&id)),
                CatalogKey::NotificationRule(id) => drop(self.notification_rules.remove(&id)),
                CatalogKey::Command(device, id) => {
                    if let Some(of_device) = self.commands.get_mut(&device) {
                        of_device.remove(&id);
                        if of_device.is_empty() {
                            self.commands.remove(&device);
                        }
                    }
                }
            },
        }
    }

    /// A command goes forward only. Whoever reads the catalog reads the same order, so of two that claim one command at once all
    /// see the same one win.
    fn advance(&mut self, command: Command) {
        let of_device = self.commands.entry(command.device.clone()).or_default();
        if of_device.get(&command.id).is_none_or(|known| known.progress.may_become(&command.progress)) {
            of_device.insert(command.id.clone(), Arc::new(command));
        }
    }

    /// The commands of a device, oldest first.
    pub fn commands_of(&self, device: &DeviceId) -> impl DoubleEndedIterator<Item = &Arc<Command>> {
        self.commands.get(device).into_iter().flat_map(BTreeMap::values)
    }

    /// The fleets of one organisation.
    pub fn fleets_of<'a>(&'a self, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<Fleet>> {
        self.fleets.values().filter(move |f| &f.organisation == organisation)
    }
}

/// A catalog that one task keeps up to date and many read. Locks are held for a look-up, never across an `.await`.
pub type SharedCatalog = Arc<std::sync::RwLock<Catalog>>;
