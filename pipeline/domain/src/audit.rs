//! Who changed what, and when: the records of the topic `audit`.
//!
//! They are made here and nowhere else, from edits of the catalog and from what the catalog said before. So an edit can't be told
//! otherwise than it is, and one place decides what is shown of an entry: never a secret, nor the hash of one.

mod view;

pub use view::View;

use crate::catalog::{Session, User};
use crate::notify::Delivery;
use crate::{Catalog, CatalogEdit, CatalogEntry, CatalogKey, DeviceId, FleetId, OrganisationId, Timestamp, TokenId, UserId};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Who makes a change. Whoever edits the catalog has to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Actor {
    /// Somebody who has shown who it is.
    User {
        /// Sign-in name.
        user: UserId,
        /// Whose user.
        organisation: OrganisationId,
        /// What was shown.
        via: Access,
        /// Where the connection came from; behind a proxy that is the proxy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Somebody who has not.
    Nobody {
        /// Where the connection came from; behind a proxy that is the proxy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<IpAddr>,
    },
    /// Whoever has a shell and may read the data folder.
    CommandLine,
    /// This program by itself.
    Program {
        /// What for: `first start`, `demo`.
        doing: SmolStr,
    },
    /// What devices cause: they register themselves, and their commands come forward.
    Connectors,
}

/// By what somebody is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Access {
    /// A signed-in browser.
    Session {
        /// Its name: see [`session_name`].
        session: SmolStr,
    },
    /// An API token.
    Token {
        /// Which.
        token: TokenId,
    },
    /// A password that was just typed.
    Password,
    /// A one-time link.
    Link,
    /// The word of an OpenID provider.
    Oidc,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// New, or changed.
    Put,
    /// Gone.
    Removed,
    /// A user has another password.
    PasswordChanged,
    /// A session begins.
    SignedIn,
    /// Somebody gave a wrong password, or a user who does not exist.
    SignInFailed,
    /// A session is ended by whose it is.
    SignedOut,
    /// A test is sent over a channel.
    Tested,
    /// A notification that was given up is tried again.
    Retried,
}

impl Change {
    /// The name in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Removed => "removed",
            Self::PasswordChanged => "password_changed",
            Self::SignedIn => "signed_in",
            Self::SignInFailed => "sign_in_failed",
            Self::SignedOut => "signed_out",
            Self::Tested => "tested",
            Self::Retried => "retried",
        }
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When it was made, by the clock of the process that made it.
    pub at: Timestamp,
    /// Who made it.
    pub by: Actor,
    /// Whose the changed thing is; none: nobody's, or nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<OrganisationId>,
    /// What was changed: `kind/id` as in the catalog, but that of a session or sign-in link has its [`session_name`] only; or `delivery/id`.
    pub key: String,
    /// What happened.
    pub change: Change,
    /// What it was, as the process that made the change knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<View>,
    /// What it is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<View>,
}

/// Stands for the name of somebody who does not exist: people type passwords into the wrong field.
const UNKNOWN_USER: &str = "user/?";
/// Characters of the name of a session.
const SESSION_NAME: usize = 16;

/// What the program does where one organisation's change has another's as its consequence.
const ELSEWHERE: &str = "for another organisation";

/// Begins the key of a notification, which is in no catalog.
const DELIVERY: &str = "delivery";

/// Whether a text is a kind of thing that records can be of: `device`, `user`.
pub fn is_kind(text: &str) -> bool {
    text == DELIVERY || (!text.contains('/') && CatalogKey::parse(&format!("{text}/a/a")).is_some())
}

/// What a session is called where its hash must not be: the beginning of it. Enough to tell sessions apart, and no way in.
pub fn session_name(token_sha256: &str) -> SmolStr {
    token_sha256.chars().take(SESSION_NAME).collect()
}

impl AuditRecord {
    /// The records of edits that are about to be made. What connectors do is recorded as far as it makes or removes devices: how far
    /// commands have come is told by events.
    ///
    /// A thing that goes from one organisation to another is removed for the one and new for the other: neither sees what was or will
    /// be the other's, nor who of the other did it.
    pub fn of_edits(at: Timestamp, by: &Actor, edits: &[CatalogEdit], known: &Catalog) -> Vec<Self> {
        let owners = Owners::new(known, edits);
        let recorded = edits.iter().filter(|edit| is_recorded(by, edit));
        recorded.flat_map(|edit| of_edit(at, by, edit, &owners)).collect()
    }

    /// Somebody has tried to sign in with a wrong password, or as somebody who does not exist. `wait_s`: how long account or address
    /// have to wait now.
    pub fn of_failed_sign_in(at: Timestamp, user: Option<&User>, address: IpAddr, wait_s: u64) -> Self {
        Self {
            at,
            by: Actor::Nobody { address: Some(address) },
            organisation: user.map(|user| user.organisation.clone()),
            key: user.map_or_else(|| UNKNOWN_USER.to_owned(), |user| CatalogKey::User(user.id.clone()).to_string()),
            change: Change::SignInFailed,
            before: None,
            after: (wait_s > 0).then(|| View::of_wait(wait_s)),
        }
    }

    /// Somebody has a test sent over a channel, or a notification tried again.
    pub fn of_delivery(at: Timestamp, by: &Actor, delivery: &Delivery) -> Self {
        let (change, key) = match delivery.round {
            0 => (Change::Tested, CatalogKey::Channel(delivery.channel.clone()).to_string()),
            _ => (Change::Retried, format!("{DELIVERY}/{}", delivery.id)),
        };
        let organisation = Some(delivery.organisation.clone());
        Self { at, by: by.clone(), organisation, key, change, before: None, after: None }
    }

    /// Kind of the thing that was changed: `device`, `user`.
    pub fn kind(&self) -> &str {
        self.key.split_once('/').map_or(self.key.as_str(), |(kind, _)| kind)
    }

    /// Whether a user did it, or tried to sign in as that user failed.
    pub fn is_about_user(&self, user: &UserId) -> bool {
        match &self.by {
            Actor::User { user: by, .. } => by == user,
            Actor::Nobody { .. } => self.key == CatalogKey::User(user.clone()).to_string(),
            Actor::CommandLine | Actor::Program { .. } | Actor::Connectors => false,
        }
    }
}

fn is_recorded(by: &Actor, edit: &CatalogEdit) -> bool {
    match edit {
        // The change of the device says it.
        CatalogEdit::Put(CatalogEntry::Handover(_)) | CatalogEdit::Remove(CatalogKey::Handover(_)) => false,
        // The change of the fleet says it.
        CatalogEdit::Put(CatalogEntry::FleetOwner(_)) | CatalogEdit::Remove(CatalogKey::FleetOwner(..)) => false,
        // The removal of the user says it.
        CatalogEdit::Remove(CatalogKey::UserPassword(_) | CatalogKey::UserPreferences(_)) => false,
        // It changes nothing that anybody has or may do.
        CatalogEdit::Put(CatalogEntry::SessionUse(_)) | CatalogEdit::Remove(CatalogKey::SessionUse(_)) => false,
        CatalogEdit::Put(CatalogEntry::Device(_)) | CatalogEdit::Remove(CatalogKey::Device(_)) => true,
        _ => *by != Actor::Connectors,
    }
}

fn of_edit(at: Timestamp, by: &Actor, edit: &CatalogEdit, owners: &Owners<'_>) -> Vec<AuditRecord> {
    let (key, after) = match edit {
        CatalogEdit::Put(entry) => (entry.key(), Some(entry)),
        CatalogEdit::Remove(key) => (key.clone(), None),
    };
    let before = owners.known.get(&key);
    let shown_key = shown_key(&key);
    let record = |before: Option<&CatalogEntry>, after: Option<&CatalogEntry>| {
        let organisation = owners.of(after.or(before)).or_else(|| own_organisation(by));
        AuditRecord {
            at,
            by: shown_to(organisation.as_ref(), by),
            organisation,
            key: shown_key.clone(),
            change: change(by, before, after),
            before: before.map(|entry| View::of(entry, None)),
            after: after.map(|entry| View::of(entry, before)),
        }
    };
    match (&before, after) {
        (Some(was), Some(is)) if owners.changes_hands(was, is) => vec![record(Some(was), None), record(None, Some(is))],
        (before, after) => vec![record(before.as_ref(), after)],
    }
}

/// People change only what is their organisation's, also where the thing itself can't say whose it is.
fn own_organisation(by: &Actor) -> Option<OrganisationId> {
    match by {
        Actor::User { organisation, .. } => Some(organisation.clone()),
        Actor::Nobody { .. } | Actor::CommandLine | Actor::Program { .. } | Actor::Connectors => None,
    }
}

/// Who an organisation is told it was: not who of another one.
fn shown_to(organisation: Option<&OrganisationId>, by: &Actor) -> Actor {
    match by {
        Actor::User { organisation: own, .. } if organisation.is_some_and(|told| told != own) => {
            Actor::Program { doing: SmolStr::new_static(ELSEWHERE) }
        }
        by => by.clone(),
    }
}

fn shown_key(key: &CatalogKey) -> String {
    match key {
        // Who has another password is what everybody wants to know of it.
        CatalogKey::UserPassword(user) => CatalogKey::User(user.clone()).to_string(),
        CatalogKey::Session(hash) => format!("session/{}", session_name(hash)),
        CatalogKey::SessionUse(hash) => format!("session_use/{}", session_name(hash)),
        CatalogKey::SignInLink(hash) => format!("sign_in_link/{}", session_name(hash)),
        key => key.to_string(),
    }
}

fn change(by: &Actor, before: Option<&CatalogEntry>, after: Option<&CatalogEntry>) -> Change {
    match (before, after) {
        (None, Some(CatalogEntry::Session(_))) => Change::SignedIn,
        (Some(CatalogEntry::Session(session)), None) if is_its_own(by, session) => Change::SignedOut,
        (Some(CatalogEntry::User(was)), Some(CatalogEntry::User(is))) if was.password_hash != is.password_hash => {
            Change::PasswordChanged
        }
        (_, Some(CatalogEntry::UserPassword(_))) => Change::PasswordChanged,
        (_, Some(_)) => Change::Put,
        (_, None) => Change::Removed,
    }
}

fn is_its_own(by: &Actor, session: &Session) -> bool {
    let name = session_name(&session.token_sha256);
    matches!(by, Actor::User { via: Access::Session { session }, .. } if *session == name)
}

/// Whose things are. Fleets and users that the same edits make count.
struct Owners<'a> {
    known: &'a Catalog,
    fleets: BTreeMap<&'a FleetId, &'a OrganisationId>,
    users: BTreeMap<&'a UserId, &'a OrganisationId>,
}

impl<'a> Owners<'a> {
    fn new(known: &'a Catalog, edits: &'a [CatalogEdit]) -> Self {
        let mut owners = Self { known, fleets: BTreeMap::new(), users: BTreeMap::new() };
        for edit in edits {
            match edit {
                CatalogEdit::Put(CatalogEntry::Fleet(fleet)) => {
                    owners.fleets.insert(&fleet.id, &fleet.organisation);
                }
                CatalogEdit::Put(CatalogEntry::User(user)) => {
                    owners.users.insert(&user.id, &user.organisation);
                }
                _ => {}
            }
        }
        owners
    }

    fn of(&self, entry: Option<&CatalogEntry>) -> Option<OrganisationId> {
        match entry? {
            CatalogEntry::Organisation(organisation) => Some(organisation.id.clone()),
            CatalogEntry::Fleet(fleet) => Some(fleet.organisation.clone()),
            CatalogEntry::Device(device) => self.of_fleet(&device.fleet),
            CatalogEntry::Geofence(geofence) => Some(geofence.organisation.clone()),
            CatalogEntry::User(user) => Some(user.organisation.clone()),
            CatalogEntry::UserPassword(password) => Some(password.organisation.clone()),
            CatalogEntry::UserPreferences(preferences) => Some(preferences.organisation.clone()),
            CatalogEntry::Session(session) => self.of_user(&session.user),
            CatalogEntry::SessionUse(used) => self.of_user(&self.known.sessions.get(&used.token_sha256)?.user),
            CatalogEntry::Query(query) => Some(query.organisation.clone()),
            CatalogEntry::Command(command) => self.of_device(&command.device),
            CatalogEntry::Channel(channel) => Some(channel.organisation.clone()),
            CatalogEntry::NotificationRule(rule) => Some(rule.organisation.clone()),
            CatalogEntry::ApiToken(token) => self.of_user(&token.user),
            CatalogEntry::Report(report) => Some(report.organisation.clone()),
            CatalogEntry::SignInLink(link) => self.of_user(&link.user),
            CatalogEntry::SecondFactor(factor) => self.of_user(&factor.user),
            CatalogEntry::UnknownDevice(device) => self.of_fleet(&device.fleet),
            CatalogEntry::Acknowledgement(acknowledgement) => Some(acknowledgement.organisation.clone()),
            CatalogEntry::ShareLink(link) => Some(link.organisation.clone()),
            CatalogEntry::Transfer(transfer) => Some(transfer.organisation.clone()),
            CatalogEntry::DeviceToken(token) => self.of_device(&token.device),
            CatalogEntry::DeviceAddresses(addresses) => self.of_device(&addresses.device),
            CatalogEntry::Handover(handover) => self.of_fleet(&handover.stays.last()?.fleet),
            CatalogEntry::FleetOwner(owner) => Some(owner.organisation.clone()),
            CatalogEntry::Erasure(erasure) => erasure.organisation.clone(),
            CatalogEntry::Retention(retention) => Some(retention.organisation.clone()),
            CatalogEntry::UnknownDeviceRule(rule) => Some(rule.organisation.clone()),
        }
    }

    fn changes_hands(&self, was: &CatalogEntry, is: &CatalogEntry) -> bool {
        matches!((self.of(Some(was)), self.of(Some(is))), (Some(from), Some(to)) if from != to)
    }

    fn of_fleet(&self, fleet: &FleetId) -> Option<OrganisationId> {
        let known = || self.known.fleets.get(fleet).map(|known| &known.organisation);
        self.fleets.get(fleet).copied().or_else(known).cloned()
    }

    fn of_user(&self, user: &UserId) -> Option<OrganisationId> {
        let known = || self.known.users.get(user).map(|known| &known.organisation);
        self.users.get(user).copied().or_else(known).cloned()
    }

    fn of_device(&self, device: &DeviceId) -> Option<OrganisationId> {
        self.of_fleet(&self.known.devices.get(device)?.fleet)
    }
}

#[cfg(test)]
mod tests;
