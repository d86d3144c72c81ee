//! Identifiers: short texts that are safe to log, to use in an address and to keep in a key.

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;
use std::fmt;

/// Longest identifier accepted, in bytes. IMEIs have 15; OwnTracks' `user/device` and AIS names stay well below.
const MAX_ID_BYTES: usize = 128;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing but white space.
    #[error("identifier is empty")]
    Empty,
    /// More than [`MAX_ID_BYTES`].
    #[error("identifier has {0} bytes, at most {MAX_ID_BYTES} are allowed")]
    TooLong(usize),
    /// Control characters would break logs, keys and CSV.
    #[error("identifier contains a control character")]
    ControlCharacter,
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(SmolStr);

        impl $name {
            /// Trims white space and checks length and characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref().trim();
                if text.is_empty() {
                    return Err(IdError::Empty);
                }
                if text.len() > MAX_ID_BYTES {
                    return Err(IdError::TooLong(text.len()));
                }
                if text.chars().any(char::is_control) {
                    return Err(IdError::ControlCharacter);
                }
                Ok(Self(SmolStr::new(text)))
            }

            /// The identifier as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(self.0.as_str(), f)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0.into()
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

id!(
    /// What a device calls itself: its IMEI or another unique id, as text.
    DeviceId
);
id!(
    /// A named set of devices. Unique over all organisations.
    FleetId
);
id!(
    /// A named area. Unique over all organisations.
    GeofenceId
);
id!(
    /// A tenant: owns fleets, devices, geofences and users.
    OrganisationId
);
id!(
    /// Somebody who signs in.
    UserId
);
id!(
    /// One command to one device. Those of one device sort by when they were given.
    CommandId
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_trimmed_and_checked() {
        assert_eq!(DeviceId::new(" 356307042441013 ").map(|d| d.to_string()), Ok("356307042441013".into()));
        assert_eq!(DeviceId::new("  "), Err(IdError::Empty));
        assert_eq!(DeviceId::new("a\nb"), Err(IdError::ControlCharacter));
        assert_eq!(DeviceId::new("x".repeat(129)), Err(IdError::TooLong(129)));
    }
}
id!(
    /// A saved query.
    QueryId
);
id!(
    /// A rule of notifications.
    NotificationRuleId
);
id!(
    /// A report that is sent by itself.
    ReportId
);
id!(
    /// A way to notify.
    ChannelId
);
id!(
    /// One notification over one channel: the same however often it is tried.
    DeliveryId
);
id!(
    /// An API token: not the secret, which only begins with it.
    TokenId
);
id!(
    /// A share link: not the secret, which only begins with it.
    ShareLinkId
);
