//! Networks of addresses, as people name them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that begin alike: `192.0.2.0/24`, `2001:db8::/32`; or one, without a length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    /// Its bits beyond the length are zero.
    first: IpAddr,
    bits: u8,
}

/// The text is no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no network: an address, or one with a length as in 192.0.2.0/24")]
pub struct NetworkError(String);

impl Network {
    /// Whether an address is in it. One of IPv4 that came over IPv6 is one of IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        beginning(address.to_canonical(), self.bits) == Some(self.first)
    }
}

/// An address with all bits but the first ones cleared; `None`: it has not so many.
fn beginning(address: IpAddr, bits: u8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V4((address.to_bits() & mask).into()))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.checked_sub(bits.into())?).unwrap_or(0);
            Some(IpAddr::V6((address.to_bits() & mask).into()))
        }
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let wrong = || NetworkError(text.chars().take(64).collect());
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address = address.trim().parse::<IpAddr>().map_err(|_| wrong())?.to_canonical();
        let most: u8 = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), |bits| bits.trim().parse::<u8>().map_err(|_| wrong()))?;
        Ok(Self { first: beginning(address, bits).ok_or_else(wrong)?, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = NetworkError;

    fn try_from(text: String) -> Result<Self, NetworkError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_in_a_network_or_not() {
        for (network, address, is_in) in [
            ("192.0.2.0/24", "192.0.2.255", true),
            ("192.0.2.0/24", "::ffff:192.0.2.7", true),
            ("192.0.2.0/24", "192.0.3.0", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.6", false),
            ("0.0.0.0/0", "203.0.113.9", true),
            ("0.0.0.0/0", "::1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("::/0", "2001:db9::1", true),
            ("::/0", "10.0.0.1", false),
        ] {
            let known: Network = network.parse().expect("a network");
            assert_eq!(known.contains(address.parse().expect("an address")), is_in, "{network} {address}");
            assert_eq!(known.to_string().parse::<Network>(), Ok(known));
            let kept = serde_json::to_string(&known).expect("JSON");
            assert_eq!(serde_json::from_str::<Network>(&kept).expect("a network"), known);
        }
        for (text, shown) in
            [("10.20.7.9/16", "10.20.0.0/16"), (" 192.0.2.7 ", "192.0.2.7/32"), ("::ffff:10.0.0.1", "10.0.0.1/32")]
        {
            assert_eq!(text.parse::<Network>().expect("a network").to_string(), shown);
        }
        for text in ["", "/", "proxy", "192.0.2.0/33", "::/129", "192.0.2.0/", "192.0.2.0/-1", "192.0.2/24", "10.0.0.1/8/8"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError(text.to_owned())));
        }
    }
}
