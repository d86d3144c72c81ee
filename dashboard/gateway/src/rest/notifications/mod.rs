//! Notifications: channels, rules and reports are edited here, deliveries looked at. Telling is the notifier's.

pub(super) mod channels;
pub(super) mod deliveries;
pub(super) mod reports;
pub(super) mod rules;

use super::ApiError;

/// A new key.
fn new_id<T: std::str::FromStr>(kind: &str) -> Result<T, ApiError> {
    let id = format!("{kind}-{:016x}", rand::random::<u64>());
    id.parse().map_err(|_| ApiError::Internal("a made id is none".into()))
}
