//! What people of an organisation may do.

use serde::{Deserialize, Serialize};

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
    /// Puts trackers into vehicles: enters devices, adopts them, and sees where they were last.
    Installer,
}

impl Role {
    /// Whether people of this role see what else there is of their organisation than its devices, and where these were last.
    pub fn looks_around(self) -> bool {
        match self {
            Self::Owner | Self::Dispatcher | Self::Viewer => true,
            Self::Installer => false,
        }
    }

    /// Whether they change geofences, fleets and devices, and send commands.
    pub fn edits(self) -> bool {
        match self {
            Self::Owner | Self::Dispatcher => true,
            Self::Viewer | Self::Installer => false,
        }
    }

    /// Whether they enter devices.
    pub fn enters_devices(self) -> bool {
        match self {
            Self::Owner | Self::Dispatcher | Self::Installer => true,
            Self::Viewer => false,
        }
    }

    /// Whether they adopt devices that nobody has entered.
    pub fn adopts_devices(self) -> bool {
        match self {
            Self::Owner | Self::Installer => true,
            Self::Dispatcher | Self::Viewer => false,
        }
    }
}
