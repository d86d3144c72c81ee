//! The protocol table. A protocol is one file here and one line in [`ALL`].

use crate::protocol::Protocol;

mod teltonika;

/// Every protocol that we speak.
pub const ALL: &[Protocol] = &[teltonika::PROTOCOL];

/// The protocol of this name.
pub fn by_name(name: &str) -> Option<&'static Protocol> {
    ALL.iter().find(|protocol| protocol.name == name)
}
