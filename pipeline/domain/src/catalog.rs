//! What people set up: organisations, fleets, devices, geofences, users and their sessions; one entry per key, last wins.

mod entry;

pub use crate::chosen::{UserPassword, UserPreferences};
pub use crate::role::Role;
pub use crate::session::{Session, SessionLimits, SessionUse};
pub use entry::{CatalogEdit, CatalogEntry, CatalogKey};

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
    Acknowledgement, ApiToken, ChannelId, CommandId, DeviceId, EventId, FleetId, FleetRules, GeofenceId, NotificationRuleId,
    OrganisationId, QueryId, ReportId, ShareLinkId, Timestamp, TokenId, UserId,
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

/// Somebody who signs in.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// Sign-in name.
    pub id: UserId,
    /// Whose fleets the user sees.
    pub organisation: OrganisationId,
    /// What the user may do.
    pub role: Role,
    /// PHC string (argon2id) of a password that was chosen before these were entries of their own: see [`Catalog::password_of`].
    pub password_hash: Option<String>,
    /// How figures and times are shown, if that was chosen before: see [`Catalog::preferences_of`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preferences: Option<Preferences>,
}

/// How a user reads figures and times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preferences {
    /// Of lengths and speeds.
    pub units: Units,
    /// Name of the tz database; `None`: that of the browser.
    pub time_zone: Option<String>,
}

/// Units of lengths and speeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Units {
    /// Kilometres.
    Metric,
    /// Miles.
    Imperial,
    /// Nautical miles.
    Nautical,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("role", &self.role).finish_non_exhaustive()
    }
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

/// The catalog as edits have made it. Cheap to clone (entries are shared).
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By id.
    pub organisations: BTreeMap<OrganisationId, Arc<Organisation>>,
    /// By id.
    pub fleets: BTreeMap<FleetId, Arc<Fleet>>,
    /// By id.
    pub devices: BTreeMap<DeviceId, Arc<Device>>,
    /// Devices in each fleet that has some, as follows from them: there may be a million to count.
    pub(crate) fleet_sizes: BTreeMap<FleetId, usize>,
    /// By id.
    pub geofences: BTreeMap<GeofenceId, Arc<Geofence>>,
    /// By sign-in name.
    pub users: BTreeMap<UserId, Arc<User>>,
    /// By user; also of those who are gone.
    pub user_passwords: BTreeMap<UserId, Arc<UserPassword>>,
    /// By user; also of those who are gone.
    pub user_preferences: BTreeMap<UserId, Arc<UserPreferences>>,
    /// By token hash.
    pub sessions: BTreeMap<String, Arc<Session>>,
    /// By token hash; also of sessions that have ended.
    pub session_uses: BTreeMap<String, SessionUse>,
    /// By id.
    pub queries: BTreeMap<QueryId, Arc<SavedQuery>>,
    /// By device, oldest first.
    pub commands: BTreeMap<DeviceId, BTreeMap<CommandId, Arc<Command>>>,
    /// By id.
    pub channels: BTreeMap<ChannelId, Arc<Channel>>,
    /// By id.
    pub notification_rules: BTreeMap<NotificationRuleId, Arc<NotificationRule>>,
    /// By id.
    pub reports: BTreeMap<ReportId, Arc<Report>>,
    /// By id.
    pub api_tokens: BTreeMap<TokenId, Arc<ApiToken>>,
    /// By their secret's hash.
    pub sign_in_links: BTreeMap<String, Arc<SignInLink>>,
    /// By user.
    pub second_factors: BTreeMap<UserId, Arc<SecondFactor>>,
    /// By what they call themselves; also dismissed ones, and those that have come into the catalog since.
    pub unknown_devices: BTreeMap<DeviceId, Arc<UnknownDevice>>,
    /// By event.
    pub acknowledgements: BTreeMap<EventId, Arc<Acknowledgement>>,
    /// By id; also those that are over.
    pub share_links: BTreeMap<ShareLinkId, Arc<ShareLink>>,
    /// By device.
    pub transfers: BTreeMap<DeviceId, Arc<Transfer>>,
    /// By device.
    pub handovers: BTreeMap<DeviceId, Arc<Handover>>,
    /// By fleet, also of those that are gone.
    pub fleet_owners: BTreeMap<FleetId, Arc<FleetOwner>>,
    /// By device; those without one have nothing to show.
    pub device_tokens: BTreeMap<DeviceId, Arc<DeviceToken>>,
    /// By device; those without an entry may speak from anywhere.
    pub device_addresses: BTreeMap<DeviceId, Arc<DeviceAddresses>>,
    /// By device; also those that are done.
    pub erasures: BTreeMap<DeviceId, Arc<Erasure>>,
    /// By organisation.
    pub retentions: BTreeMap<OrganisationId, Arc<Retention>>,
    /// By organisation; those without one leave it to the installation.
    pub unknown_device_rules: BTreeMap<OrganisationId, UnknownDeviceRule>,
}

impl Catalog {
    /// Applies one edit.
    pub fn apply(&mut self, edit: CatalogEdit) {
        match edit {
            CatalogEdit::Put(entry) => match entry {
                CatalogEntry::Organisation(e) => drop(self.organisations.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Fleet(e) => self.put_fleet(e),
                CatalogEntry::Device(e) => self.put_device(e),
                CatalogEntry::Geofence(e) => drop(self.geofences.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::User(e) => drop(self.users.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::UserPassword(e) => drop(self.user_passwords.insert(e.user.clone(), Arc::new(e))),
                CatalogEntry::UserPreferences(e) => drop(self.user_preferences.insert(e.user.clone(), Arc::new(e))),
                CatalogEntry::Session(e) => drop(self.sessions.insert(e.token_sha256.clone(), Arc::new(e))),
                CatalogEntry::SessionUse(e) => drop(self.session_uses.insert(e.token_sha256.clone(), e)),
                CatalogEntry::Query(e) => drop(self.queries.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Command(e) => self.advance(e),
                CatalogEntry::Channel(e) => drop(self.channels.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::NotificationRule(e) => drop(self.notification_rules.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Report(e) => drop(self.reports.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::ApiToken(e) => drop(self.api_tokens.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::SignInLink(e) => drop(self.sign_in_links.insert(e.token_sha256.clone(), Arc::new(e))),
                CatalogEntry::SecondFactor(e) => drop(self.second_factors.insert(e.user.clone(), Arc::new(e))),
                CatalogEntry::UnknownDevice(e) => drop(self.unknown_devices.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Acknowledgement(e) => drop(self.acknowledgements.insert(e.event.clone(), Arc::new(e))),
                CatalogEntry::ShareLink(e) => drop(self.share_links.insert(e.id.clone(), Arc::new(e))),
                CatalogEntry::Transfer(e) => self.put_transfer(e),
                CatalogEntry::Handover(e) => drop(self.handovers.insert(e.device.clone(), Arc::new(e))),
                CatalogEntry::FleetOwner(e) => self.put_fleet_owner(e),
                CatalogEntry::DeviceToken(e) => drop(self.device_tokens.insert(e.device.clone(), Arc::new(e))),
                CatalogEntry::DeviceAddresses(e) => drop(self.device_addresses.insert(e.device.clone(), Arc::new(e))),
                CatalogEntry::Erasure(e) => drop(self.erasures.insert(e.device.clone(), Arc::new(e))),
                CatalogEntry::Retention(e) => drop(self.retentions.insert(e.organisation.clone(), Arc::new(e))),
                CatalogEntry::UnknownDeviceRule(e) => drop(self.unknown_device_rules.insert(e.organisation.clone(), e)),
            },
            CatalogEdit::Remove(key) => match key {
                CatalogKey::Organisation(id) => drop(self.organisations.remove(&id)),
                CatalogKey::Fleet(id) => drop(self.fleets.remove(&id)),
                CatalogKey::Device(id) => self.remove_device(&id),
                CatalogKey::Geofence(id) => drop(self.geofences.remove(&id)),
                CatalogKey::User(id) => drop(self.users.remove(&id)),
                CatalogKey::UserPassword(user) => drop(self.user_passwords.remove(&user)),
                CatalogKey::UserPreferences(user) => drop(self.user_preferences.remove(&user)),
                CatalogKey::Session(hash) => drop(self.sessions.remove(&hash)),
                CatalogKey::SessionUse(hash) => drop(self.session_uses.remove(&hash)),
                CatalogKey::Query(id) => drop(self.queries.remove(&id)),
                CatalogKey::Channel(id) => drop(self.channels.remove(&id)),
                CatalogKey::NotificationRule(id) => drop(self.notification_rules.remove(&id)),
                CatalogKey::Report(id) => drop(self.reports.remove(&id)),
                CatalogKey::ApiToken(id) => drop(self.api_tokens.remove(&id)),
                CatalogKey::SignInLink(hash) => drop(self.sign_in_links.remove(&hash)),
                CatalogKey::SecondFactor(user) => drop(self.second_factors.remove(&user)),
                CatalogKey::UnknownDevice(id) => drop(self.unknown_devices.remove(&id)),
                CatalogKey::Acknowledgement(event) => drop(self.acknowledgements.remove(&event)),
                CatalogKey::ShareLink(id) => drop(self.share_links.remove(&id)),
                CatalogKey::Transfer(device) => drop(self.transfers.remove(&device)),
                CatalogKey::Handover(device) => drop(self.handovers.remove(&device)),
                // Whatever wrote it: an id is never free again.
                CatalogKey::FleetOwner(..) => {}
                CatalogKey::DeviceToken(device) => drop(self.device_tokens.remove(&device)),
                CatalogKey::DeviceAddresses(device) => drop(self.device_addresses.remove(&device)),
                CatalogKey::Erasure(device) => drop(self.erasures.remove(&device)),
                CatalogKey::Retention(organisation) => drop(self.retentions.remove(&organisation)),
                CatalogKey::UnknownDeviceRule(organisation) => drop(self.unknown_device_rules.remove(&organisation)),
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

    /// Whether there is an entry of this key.
    pub fn knows(&self, key: &CatalogKey) -> bool {
        match key {
            CatalogKey::Organisation(id) => self.organisations.contains_key(id),
            CatalogKey::Fleet(id) => self.fleets.contains_key(id),
            CatalogKey::Device(id) => self.devices.contains_key(id),
            CatalogKey::Geofence(id) => self.geofences.contains_key(id),
            CatalogKey::User(id) => self.users.contains_key(id),
            CatalogKey::UserPassword(user) => self.user_passwords.contains_key(user),
            CatalogKey::UserPreferences(user) => self.user_preferences.contains_key(user),
            CatalogKey::Session(hash) => self.sessions.contains_key(hash),
            CatalogKey::SessionUse(hash) => self.session_uses.contains_key(hash),
            CatalogKey::Query(id) => self.queries.contains_key(id),
            CatalogKey::Channel(id) => self.channels.contains_key(id),
            CatalogKey::NotificationRule(id) => self.notification_rules.contains_key(id),
            CatalogKey::Report(id) => self.reports.contains_key(id),
            CatalogKey::Command(device, id) => self.commands.get(device).is_some_and(|of_device| of_device.contains_key(id)),
            CatalogKey::ApiToken(id) => self.api_tokens.contains_key(id),
            CatalogKey::SignInLink(hash) => self.sign_in_links.contains_key(hash),
            CatalogKey::SecondFactor(user) => self.second_factors.contains_key(user),
            CatalogKey::UnknownDevice(id) => self.unknown_devices.contains_key(id),
            CatalogKey::Acknowledgement(event) => self.acknowledgements.contains_key(event),
            CatalogKey::ShareLink(id) => self.share_links.contains_key(id),
            CatalogKey::Transfer(device) => self.transfers.contains_key(device),
            CatalogKey::Handover(device) => self.handovers.contains_key(device),
            CatalogKey::FleetOwner(organisation, fleet) => {
                self.fleet_owners.get(fleet).is_some_and(|owner| owner.organisation == *organisation)
            }
            CatalogKey::DeviceToken(device) => self.device_tokens.contains_key(device),
            CatalogKey::DeviceAddresses(device) => self.device_addresses.contains_key(device),
            CatalogKey::Erasure(device) => self.erasures.contains_key(device),
            CatalogKey::Retention(organisation) => self.retentions.contains_key(organisation),
            CatalogKey::UnknownDeviceRule(organisation) => self.unknown_device_rules.contains_key(organisation),
        }
    }

    /// The entry of this key.
    pub fn get(&self, key: &CatalogKey) -> Option<CatalogEntry> {
        Some(match key {
            CatalogKey::Organisation(id) => CatalogEntry::Organisation(self.organisations.get(id)?.as_ref().clone()),
            CatalogKey::Fleet(id) => CatalogEntry::Fleet(self.fleets.get(id)?.as_ref().clone()),
            CatalogKey::Device(id) => CatalogEntry::Device(self.devices.get(id)?.as_ref().clone()),
            CatalogKey::Geofence(id) => CatalogEntry::Geofence(self.geofences.get(id)?.as_ref().clone()),
            CatalogKey::User(id) => CatalogEntry::User(self.users.get(id)?.as_ref().clone()),
            CatalogKey::UserPassword(user) => CatalogEntry::UserPassword(self.user_passwords.get(user)?.as_ref().clone()),
            CatalogKey::UserPreferences(user) => {
                CatalogEntry::UserPreferences(self.user_preferences.get(user)?.as_ref().clone())
            }
            CatalogKey::Session(hash) => CatalogEntry::Session(self.sessions.get(hash)?.as_ref().clone()),
            CatalogKey::SessionUse(hash) => CatalogEntry::SessionUse(self.session_uses.get(hash)?.clone()),
            CatalogKey::Query(id) => CatalogEntry::Query(self.queries.get(id)?.as_ref().clone()),
            CatalogKey::Command(device, id) => CatalogEntry::Command(self.commands.get(device)?.get(id)?.as_ref().clone()),
            CatalogKey::Channel(id) => CatalogEntry::Channel(self.channels.get(id)?.as_ref().clone()),
            CatalogKey::NotificationRule(id) => {
                CatalogEntry::NotificationRule(self.notification_rules.get(id)?.as_ref().clone())
            }
            CatalogKey::ApiToken(id) => CatalogEntry::ApiToken(self.api_tokens.get(id)?.as_ref().clone()),
            CatalogKey::Report(id) => CatalogEntry::Report(self.reports.get(id)?.as_ref().clone()),
            CatalogKey::SignInLink(hash) => CatalogEntry::SignInLink(self.sign_in_links.get(hash)?.as_ref().clone()),
            CatalogKey::SecondFactor(user) => CatalogEntry::SecondFactor(self.second_factors.get(user)?.as_ref().clone()),
            CatalogKey::UnknownDevice(id) => CatalogEntry::UnknownDevice(self.unknown_devices.get(id)?.as_ref().clone()),
            CatalogKey::Acknowledgement(event) => {
                CatalogEntry::Acknowledgement(self.acknowledgements.get(event)?.as_ref().clone())
            }
            CatalogKey::ShareLink(id) => CatalogEntry::ShareLink(self.share_links.get(id)?.as_ref().clone()),
            CatalogKey::Transfer(device) => CatalogEntry::Transfer(self.transfers.get(device)?.as_ref().clone()),
            CatalogKey::Handover(device) => CatalogEntry::Handover(self.handovers.get(device)?.as_ref().clone()),
            CatalogKey::FleetOwner(organisation, fleet) => {
                let owner = self.fleet_owners.get(fleet).filter(|owner| owner.organisation == *organisation)?;
                CatalogEntry::FleetOwner(owner.as_ref().clone())
            }
            CatalogKey::DeviceToken(device) => CatalogEntry::DeviceToken(self.device_tokens.get(device)?.as_ref().clone()),
            CatalogKey::DeviceAddresses(device) => {
                CatalogEntry::DeviceAddresses(self.device_addresses.get(device)?.as_ref().clone())
            }
            CatalogKey::Erasure(device) => CatalogEntry::Erasure(self.erasures.get(device)?.as_ref().clone()),
            CatalogKey::Retention(organisation) => CatalogEntry::Retention(self.retentions.get(organisation)?.as_ref().clone()),
            CatalogKey::UnknownDeviceRule(organisation) => {
                CatalogEntry::UnknownDeviceRule(self.unknown_device_rules.get(organisation)?.clone())
            }
        })
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

    /// The tokens of a user that are valid now; none if there is no such user.
    pub fn tokens_of<'a>(&'a self, user: &'a UserId, now: Timestamp) -> impl Iterator<Item = &'a Arc<ApiToken>> {
        let known = self.users.contains_key(user);
        self.api_tokens.values().filter(move |t| known && t.user == *user && t.is_valid(now))
    }

    /// The devices that were refused and that an organisation may adopt: neither dismissed, nor in the catalog by now.
    pub fn unknown_devices_of<'a>(&'a self, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<UnknownDevice>> {
        let is_own = move |u: &UnknownDevice| self.fleets.get(&u.fleet).is_some_and(|f| f.organisation == *organisation);
        let is_known =
            move |u: &UnknownDevice| std::iter::once(&u.id).chain(&u.aliases).any(|id| self.devices.contains_key(id));
        self.unknown_devices.values().filter(move |u| !u.dismissed && is_own(u) && !is_known(u))
    }

    /// What the people of one organisation have seen to.
    pub fn acknowledgements_of<'a>(
        &'a self,
        organisation: &'a OrganisationId,
    ) -> impl Iterator<Item = &'a Arc<Acknowledgement>> {
        self.acknowledgements.values().filter(move |a| &a.organisation == organisation)
    }

    /// The fleets of one organisation.
    pub fn fleets_of<'a>(&'a self, organisation: &'a OrganisationId) -> impl Iterator<Item = &'a Arc<Fleet>> {
        self.fleets.values().filter(move |f| &f.organisation == organisation)
    }
}

/// A catalog that one task keeps up to date and many read. Locks are held for a look-up, never across an `.await`.
pub type SharedCatalog = Arc<std::sync::RwLock<Catalog>>;
