//! SCRAM-SHA-256 (RFC 5802, 7677), the half that is computed when a secret is made: what a server keeps to check the secret
//! later without having it.
//!
//! It serves secrets with full entropy only. A password's argon2id hash can't be used for SCRAM, and SCRAM's own keys of a
//! password could be searched for it by whoever reads them; nobody finds 256 random bits that way.

use crate::UserId;
use ring::{digest, hmac, pbkdf2};
use serde::{Deserialize, Serialize};
use std::fmt::{self, Write};
use std::num::NonZeroU32;

/// How often the secret is hashed: the least that RFC 7677 allows, as there is nothing to search for.
pub const ITERATIONS: NonZeroU32 = NonZeroU32::new(4096).expect("not zero");

/// 256 bits; hex as text.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key([u8; 32]);

/// What a server keeps of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScramKeys {
    /// To check the client's proof.
    pub stored_key: Key,
    /// To prove to the client that the server knows the secret.
    pub server_key: Key,
}

/// The salt of all secrets of a user. One for all, so that the server, which has to tell it before it knows which secret will be
/// shown, can take any of them; made of the name, so that users who don't exist have one too. It need not be secret or random:
/// it is there against tables of common passwords.
pub fn salt(user: &UserId) -> [u8; 16] {
    let hash = digest::digest(&digest::SHA256, format!("waystream/scram/{user}").as_bytes());
    let mut salt = [0; 16];
    salt.copy_from_slice(&hash.as_ref()[..16]);
    salt
}

impl ScramKeys {
    /// Of a user's secret, which has ASCII characters only (others would have to be normalised).
    pub fn of(user: &UserId, secret: &str) -> Self {
        Self::derive(secret, &salt(user), ITERATIONS)
    }

    fn derive(secret: &str, salt: &[u8], iterations: NonZeroU32) -> Self {
        let mut salted = [0; 32];
        pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, salt, secret.as_bytes(), &mut salted);
        let salted = Key(salted);
        Self { stored_key: salted.sign(b"Client Key").hash(), server_key: salted.sign(b"Server Key") }
    }
}

impl Key {
    /// HMAC-SHA-256 of a message under this key.
    pub fn sign(&self, message: &[u8]) -> Self {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), message);
        Self::from_slice(tag.as_ref())
    }

    /// SHA-256.
    pub fn hash(&self) -> Self {
        Self::from_slice(digest::digest(&digest::SHA256, &self.0).as_ref())
    }

    /// Bit by bit.
    pub fn xor(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] ^ other.0[i]))
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    fn from_slice(bytes: &[u8]) -> Self {
        let mut key = [0; 32];
        key.copy_from_slice(bytes);
        Self(key)
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Keys stay out of logs.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        let mut text = Self::with_capacity(64);
        write!(text, "{key}").expect("a String grows as needed");
        text
    }
}

impl TryFrom<String> for Key {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        const WRONG: &str = "a key has 64 hex digits";
        if text.len() != 64 || !text.is_ascii() {
            return Err(WRONG);
        }
        let mut key = [0; 32];
        for (i, byte) in key.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * i..2 * i + 2], 16).map_err(|_| WRONG)?;
        }
        Ok(Self(key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677, section 3.
    #[test]
    fn the_keys_are_those_of_the_standard() {
        let salt = [0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81];
        let keys = ScramKeys::derive("pencil", &salt, ITERATIONS);
        let message = b"n=user,r=rOprNGfwEbeRWgbNEkqO,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
                        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        // Its server signature: 6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=
        let signature = keys.server_key.sign(message).to_string();
        assert_eq!(signature, "eabae24d1062db75a9451ff0b6ea7e98c8546549ff741e672d3251b2397de46e");
        // Its client proof: dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=
        let proof =
            Key::try_from("747cdb65aa56224e2352137e52d7bdcad6a0f738df30782caa69a2cfb0277554".to_owned()).expect("a key");
        assert_eq!(proof.xor(&keys.stored_key.sign(message)).hash(), keys.stored_key);
    }

    #[test]
    fn keys_are_text_and_back_and_not_in_logs() {
        let key = Key([0xab; 32]);
        assert_eq!(Key::try_from(String::from(key)), Ok(key));
        assert!(Key::try_from("ab".repeat(31) + "ä").is_err() && Key::try_from("x".repeat(64)).is_err());
        assert_eq!(format!("{key:?}"), "Key(…)");
    }
}
