//! Connectors: bytes from devices and files into the log. A device is answered when its positions are durable, not before.
//!
//! This crate can't see the store: where positions go after the log is not its business.

mod any;
pub mod clocks;
mod commands;
mod config;
mod connectors;
mod contest;
pub mod decode;
pub mod faults;
pub mod files;
mod flow;
mod http;
pub mod ingest;
mod link;
mod listen;
pub mod metrics;
mod mqtt;
mod newest;
pub mod protocol;
pub mod protocols;
pub mod quarantine;
mod readers;
pub mod recognise;
mod senders;
pub mod shown;
mod tcp;
mod tray;
mod udp;
pub mod vocabulary;

pub use config::{ConnectorsConfig, Limits, Listen, ListenerName};
pub use connectors::{BoundAddress, BoundConnectors, Connectors, ConnectorsError, Transport};
pub use ingest::UnknownDevices;
pub use mqtt::{ExternalBroker, OwnBroker, Secret, Subscription, Version};

/// The wall clock.
fn now() -> waystream_domain::Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_millis()).ok().and_then(waystream_domain::Timestamp::from_millis).unwrap_or_default()
}
