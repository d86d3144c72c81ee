//! waystream, put together: configuration, command line, the composition root, the demo.
//!
//! This crate is *not* a place for rules about positions, maps or storage: it opens the parts, connects them and stops them.

pub mod access;
pub mod app;
pub mod audit;
pub mod cli;
pub mod commands;
pub mod config;
pub mod control;
pub mod demo;
#[cfg(any(feature = "flight", feature = "postgres"))]
pub mod door;
pub mod exports;
#[cfg(feature = "flight")]
pub mod flight;
pub mod folder;
pub mod geofence;
pub mod health;
pub mod history;
pub mod log;
pub mod metrics;
pub mod people;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod quarantine;
pub mod redis;
pub mod reports;
mod shell;
pub mod store;
pub mod storekeeping;
pub mod tasks;
pub mod tokens;
pub mod traccar;
pub mod trackers;
pub mod zeroed;

use waystream_domain::Timestamp;

/// The wall clock. The parts below this crate are told the time.
pub fn now() -> Timestamp {
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_millis(since_1970.as_millis() as i64).unwrap_or_default()
}
