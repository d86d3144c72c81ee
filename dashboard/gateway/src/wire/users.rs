//! The people of an organisation.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::Catalog;
use waystream_domain::catalog::{Preferences, Role, Units, User};

/// What a user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum RoleName {
    /// Everything in the organisation.
    Owner,
    /// To look, to edit vehicles and geofences, to send commands.
    Dispatcher,
    /// To look.
    Viewer,
    /// To enter and adopt devices, and to see where they were last.
    Installer,
}

/// Somebody of the organisation.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct UserInfo {
    /// Sign-in name.
    pub id: String,
    /// What may be done.
    pub role: RoleName,
    /// Whether a password has been chosen: until then only links sign in.
    pub has_password: bool,
}

/// Somebody who is invited.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUserRequest {
    /// Sign-in name, which nobody else has in any organisation.
    pub id: String,
    /// What may be done.
    pub role: RoleName,
}

/// What somebody may do from now on.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserEdit {
    /// What may be done.
    pub role: RoleName,
}

/// A way in that works once: for whom it was made, and nobody else, should get it.
#[derive(Debug, Clone, Serialize, Deserialize, TS, ToSchema)]
pub struct UserLink {
    /// Below the dashboard's address.
    pub path: String,
    /// No longer valid from then on.
    pub expires_at: i64,
}

/// Units of lengths and speeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnitsName {
    /// Kilometres.
    Metric,
    /// Miles.
    Imperial,
    /// Nautical miles.
    Nautical,
}

/// How a user reads figures and times, in whatever browser.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, TS, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferencesInfo {
    /// Of lengths and speeds.
    pub units: UnitsName,
    /// Name of the tz database; `null`: that of the browser.
    pub time_zone: Option<String>,
}

impl From<&Preferences> for PreferencesInfo {
    fn from(preferences: &Preferences) -> Self {
        let units = match preferences.units {
            Units::Metric => UnitsName::Metric,
            Units::Imperial => UnitsName::Imperial,
            Units::Nautical => UnitsName::Nautical,
        };
        Self { units, time_zone: preferences.time_zone.clone() }
    }
}

impl From<PreferencesInfo> for Preferences {
    fn from(info: PreferencesInfo) -> Self {
        let units = match info.units {
            UnitsName::Metric => Units::Metric,
            UnitsName::Imperial => Units::Imperial,
            UnitsName::Nautical => Units::Nautical,
        };
        Self { units, time_zone: info.time_zone }
    }
}

impl UserInfo {
    /// A user of this catalog.
    pub(crate) fn of(user: &User, catalog: &Catalog) -> Self {
        Self { id: user.id.to_string(), role: user.role.into(), has_password: catalog.password_of(user).is_some() }
    }
}

impl From<Role> for RoleName {
    fn from(role: Role) -> Self {
        match role {
            Role::Owner => Self::Owner,
            Role::Dispatcher => Self::Dispatcher,
            Role::Viewer => Self::Viewer,
            Role::Installer => Self::Installer,
        }
    }
}

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Owner => Self::Owner,
            RoleName::Dispatcher => Self::Dispatcher,
            RoleName::Viewer => Self::Viewer,
            RoleName::Installer => Self::Installer,
        }
    }
}
