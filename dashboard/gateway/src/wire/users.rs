//! The people of an organisation.

use serde::{Deserialize, Serialize};
use ts_rs::TS;
use utoipa::ToSchema;
use waystream_domain::catalog::{Role, User};

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

impl From<&User> for UserInfo {
    fn from(user: &User) -> Self {
        Self { id: user.id.to_string(), role: user.role.into(), has_password: user.password_hash.is_some() }
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
