//! What a device has to show, so that nobody else is taken for it: a secret with its requests, and an address to speak from.

use crate::scram::Key;
use crate::token::{TokenSecret, hex, sha256};
use crate::{Catalog, CatalogEdit, CatalogKey, DeviceId, Network, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// Begins every secret: people and programs that look for leaked ones know it.
const PREFIX: &str = "wdev_";

/// A secret of one device. Shown once, kept as a hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceToken {
    /// Its key.
    pub device: DeviceId,
    /// Who made it, and so may know it.
    pub made_by: UserId,
    /// When.
    pub made_at: Timestamp,
    /// SHA-256 of the secret: the log never holds it. The secret is random, so a fast hash is enough.
    pub sha256: Key,
}

impl DeviceToken {
    /// Makes one of random bytes: few enough to be typed into a phone, too many to be guessed.
    pub fn issue(device: DeviceId, made_by: UserId, made_at: Timestamp, random: &[u8; 16]) -> (Self, TokenSecret) {
        let text = format!("{PREFIX}{}", hex(random));
        let sha256 = Key::from(sha256(&text));
        (Self { device, made_by, made_at, sha256 }, TokenSecret::new(text))
    }

    /// Whether this is its secret. Hashes are compared, so that the time tells nothing of the secret.
    pub fn is(&self, text: &str) -> bool {
        self.sha256 == Key::from(sha256(text))
    }
}

/// From where a device speaks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceAddresses {
    /// Its key.
    pub device: DeviceId,
    /// From any of these, and from nowhere else.
    pub ranges: Vec<Network>,
}

impl DeviceAddresses {
    /// Most ranges of one device: they are looked through with every message.
    pub const MOST: usize = 32;

    /// Whether an address is in one of the ranges.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(address))
    }
}

impl Catalog {
    /// Edits by which a device has nothing to show any more: whoever gets one of its name next has not chosen it.
    pub fn access_removals(&self, device: &DeviceId) -> Vec<CatalogEdit> {
        let token = self.device_tokens.get(device).map(|token| CatalogKey::DeviceToken(token.device.clone()));
        let addresses = self.device_addresses.get(device).map(|rule| CatalogKey::DeviceAddresses(rule.device.clone()));
        token.into_iter().chain(addresses).map(CatalogEdit::Remove).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_token_is_known_by_its_secret_and_does_not_hold_it() {
        let (device, user) = ("van".parse().expect("an id"), "anna".parse().expect("an id"));
        let (token, secret) = DeviceToken::issue(device, user, Timestamp::default(), &[0xab; 16]);
        assert_eq!(secret.as_str(), format!("wdev_{}", "ab".repeat(16)));
        assert!(token.is(secret.as_str()) && !token.is("wdev_ab") && !token.is(""));
        let kept = serde_json::to_string(&token).expect("JSON");
        assert!(!kept.contains("abab") && !format!("{token:?}{secret:?}").contains("abab"), "{kept}");
        assert_eq!(serde_json::from_str::<DeviceToken>(&kept).expect("a token"), token);
    }
}
