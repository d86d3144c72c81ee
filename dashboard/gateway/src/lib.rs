//! The gateway between the log and browsers: live map and replay over Socket.IO, REST, sessions, the web client's files.
//!
//! It follows the log itself (states at the start, then snapshots and events) and asks `waystream-sql` for history. It knows
//! neither the dataflow nor trackers, and nothing but `wire.rs` knows what a browser sees.

mod auth;
mod config;
mod gateway;
mod headers;
mod health;
mod in_turn;
mod listener;
mod live;
pub mod metrics;
mod nodes;
mod oidc;
mod replay;
mod rest;
mod static_files;
mod tiles_file;
pub mod wire;

pub use config::GatewayConfig;
pub use gateway::{Gateway, GatewayError, GatewayParts, SignInLinks};
pub use health::{ReadyCheck, operator_routes};
pub use listener::ListenerLimits;
pub use live::{DetailLimits, LinkLimits};
pub use nodes::{RedisConfig, RedisConfigError};
pub use oidc::{ClientSecret, OidcConfig};
pub use rest::{ExportFormat, OpenTrackFile, TrackSink};
pub use tiles_file::TILES_PATH;

use waystream_domain::Timestamp;

/// The wall clock: read at the rim only.
fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let ms = since.map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    Timestamp::default().plus_millis(ms)
}
