//! What is kept of a user's second factor: an authenticator's secret, and codes for when it is lost.

use crate::token::{hex, sha256};
use crate::{Timestamp, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;

/// Codes by time (RFC 6238) of one user. Whether a code is right is the gateway's to work out.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct SecondFactor {
    /// Whose.
    pub user: UserId,
    /// What the authenticator shares with us, base32. It has to be kept as it is, as codes are made from it.
    pub secret: String,
    /// The newest step of 30 s whose code has been used: none is good twice.
    pub used_step: u64,
    /// SHA-256 of the recovery codes that are left, hex. They are random, so a fast hash is enough.
    pub recovery_sha256: BTreeSet<String>,
    /// Since when it has been asked for.
    pub since: Timestamp,
}

/// Secrets stay out of logs.
impl fmt::Debug for SecondFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecondFactor").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A code for when the authenticator is lost: `0123-4567-89ab-cdef`.
pub fn recovery_code(random: &[u8; 8]) -> String {
    let digits = hex(random);
    let groups: Vec<&str> = (0..4).map(|group| &digits[group * 4..][..4]).collect();
    groups.join("-")
}

/// Under which hash a recovery code is kept; how it is spaced doesn't matter.
pub fn recovery_hash(code: &str) -> String {
    let digits: String = code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    hex(&sha256(&digits))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recovery_code_is_known_however_it_is_written() {
        let code = recovery_code(&[0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef]);
        assert_eq!(code, "0123-4567-89ab-cdef");
        assert_eq!(recovery_hash(&code), recovery_hash(" 01234567 89AB CDEF"));
        assert_ne!(recovery_hash(&code), recovery_hash("0123-4567-89ab-cdee"));
    }
}
