//! Who is asking: passwords, second factors, sessions, links that sign in once, links that share a vehicle, throttling, origins.

mod identity;
mod links;
mod origin;
mod passwords;
mod second_factor;
mod shares;
mod throttle;
mod uses;

pub(crate) use identity::{Identity, Sessions, SignedIn, Unknown};
pub(crate) use links::{FIRST_LINK_MS, INVITATION_MS, Links};
pub(crate) use origin::{Origins, require_same_origin};
pub(crate) use passwords::{PasswordError, Passwords};
pub(crate) use second_factor::SecondFactors;
pub(crate) use shares::{NotShared, SharePlace, SharedVehicle, Shares};
pub(crate) use throttle::{Attempt, Throttle};
pub(crate) use uses::Uses;

use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A secret nobody can guess: 256 random bits as hex.
fn random_token() -> String {
    hex(&rand::random::<[u8; 32]>())
}

/// What is kept of a token: its SHA-256, hex. Tokens are random, so a fast hash is enough.
fn token_hash(token: &str) -> String {
    hex(&Sha256::digest(token.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        write!(out, "{b:02x}").expect("a String grows as needed");
        out
    })
}
