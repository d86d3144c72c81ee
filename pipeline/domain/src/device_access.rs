//! What a device has to show, so that nobody else is taken for it: a secret with its requests, and an address to speak from.

use crate::scram::Key;
use crate::token::{TokenSecret, hex, sha256};
use crate::{Catalog, CatalogEdit, CatalogKey, DeviceId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

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
    pub ranges: Vec<AddressRange>,
}

impl DeviceAddresses {
    /// Most ranges of one device: they are looked through with every message.
    pub const MOST: usize = 32;

    /// Whether an address is in one of the ranges.
    pub fn hold(&self, address: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.holds(address))
    }
}

/// Addresses that begin alike: `10.20.0.0/16`, `2001:db8::/32`; without a length it is one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AddressRange {
    /// Whose bits beyond the length are zero.
    first: IpAddr,
    bits: u8,
}

/// Why a text is no range of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address or range of addresses, such as 192.0.2.7 or 10.20.0.0/16")]
pub struct AddressRangeError(String);

impl AddressRange {
    /// Whether an address begins so. One of IPv4 that came over IPv6 is one of IPv4.
    pub fn holds(&self, address: IpAddr) -> bool {
        beginning(address.to_canonical(), self.bits) == Some(self.first)
    }
}

/// An address with all bits but the first ones cleared; `None`: it has not so many.
fn beginning(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V4((u32::from(address) & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V6((u128::from(address) & mask).into()))
        }
    }
}

impl FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let wrong = || AddressRangeError(text.chars().take(64).collect());
        let (address, bits) = match text.trim().split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse::<u8>().map_err(|_| wrong())?)),
            None => (text.trim(), None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let bits = bits.unwrap_or(if address.is_ipv4() { 32 } else { 128 });
        Ok(Self { first: beginning(address, bits).ok_or_else(wrong)?, bits })
    }
}

impl fmt::Display for AddressRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl From<AddressRange> for String {
    fn from(range: AddressRange) -> Self {
        range.to_string()
    }
}

impl TryFrom<String> for AddressRange {
    type Error = AddressRangeError;

    fn try_from(text: String) -> Result<Self, AddressRangeError> {
        text.parse()
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

    #[test]
    fn a_range_holds_the_addresses_that_begin_like_it() {
        for (range, shown, inside, outside) in [
            ("10.20.0.0/16", "10.20.0.0/16", "10.20.255.255", "10.21.0.0"),
            ("10.20.7.9/16", "10.20.0.0/16", "::ffff:10.20.0.1", "2001:db8::1"),
            (" 192.0.2.7 ", "192.0.2.7/32", "192.0.2.7", "192.0.2.6"),
            ("2001:db8::/32", "2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("0.0.0.0/0", "0.0.0.0/0", "255.255.255.255", "::"),
            ("::/0", "::/0", "2001:db8::1", "10.0.0.1"),
            ("::ffff:10.0.0.1", "10.0.0.1/32", "10.0.0.1", "10.0.0.2"),
        ] {
            let parsed: AddressRange = range.parse().expect(range);
            assert_eq!(parsed.to_string(), shown);
            let holds = |address: &str| parsed.holds(address.parse().expect("an address"));
            assert_eq!((holds(inside), holds(outside)), (true, false), "{range}");
            let kept = serde_json::to_string(&parsed).expect("JSON");
            assert_eq!(serde_json::from_str::<AddressRange>(&kept).expect("a range"), parsed);
        }
        for wrong in ["", "/", "10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/", "10.0.0.0/-1", "anywhere", "10.0.0.1/8/8"] {
            assert!(wrong.parse::<AddressRange>().is_err(), "{wrong}");
        }
    }
}
