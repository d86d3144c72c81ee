//! ID tokens: whether the provider has signed one, and whether it is for us, now and for this flow.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::{Map, Value};
use waystream_domain::Timestamp;

/// How far our clock and the provider's may be apart, seconds.
const LEEWAY_S: f64 = 60.0;
/// Most keys of a provider that are looked at.
const MAX_KEYS: usize = 64;

/// What a token says.
pub(super) type Claims = Map<String, Value>;

/// The provider's keys that we can check signatures with.
pub(super) struct Keys(Vec<Key>);

struct Key {
    id: Option<String>,
    /// What it may have signed with. Never with a shared secret, which we would have to be trusted with, too.
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a token is not believed. The reasons are ours, and hold nothing of the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TokenError {
    /// No key that we know has signed it: there may be a new one.
    UnknownKey,
    /// It is no good.
    Bad(&'static str),
}

/// What a token has to say to be for us.
pub(super) struct Expected<'a> {
    pub(super) issuer: &'a str,
    pub(super) client_id: &'a str,
    pub(super) nonce: &'a str,
    /// When the flow began: no token of it is older.
    pub(super) begun: Timestamp,
}

impl Keys {
    /// Reads a JWK set. Keys that we can't use are left out, so that a new kind of key doesn't spoil the others.
    pub(super) fn parse(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let set: Set = serde_json::from_slice(json).map_err(|e| format!("no set of keys: {e}"))?;
        Ok(Self(set.keys.into_iter().take(MAX_KEYS).filter_map(usable).collect()))
    }

    /// What a token says, if the provider has signed it.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, TokenError> {
        let header = decode_header(token).map_err(|_| TokenError::Bad("no token that is signed in a way we know"))?;
        let fits = |key: &&Key| {
            let named = header.kid.is_none() || key.id.is_none() || key.id == header.kid;
            named && key.algorithms.contains(&header.alg)
        };
        let mut validation = Validation::new(header.alg);
        // The claims are looked at below, where the time is an argument.
        validation.required_spec_claims.clear();
        (validation.validate_exp, validation.validate_aud) = (false, false);
        if ![Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::EdDSA].contains(&header.alg) {
            return Err(TokenError::Bad("signed with an algorithm that is not taken"));
        }
        let mut named = false;
        for key in self.0.iter().filter(fits) {
            if let Ok(data) = decode::<Claims>(token, &key.key, &validation) {
                return Ok(data.claims);
            }
            named |= header.kid.is_some() && key.id == header.kid;
        }
        // Of a key that is known by its name there is no newer one.
        Err(if named { TokenError::Bad("the signature is wrong") } else { TokenError::UnknownKey })
    }
}

fn usable(json: Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    if matches!(&jwk.common.public_key_use, Some(purpose) if *purpose != PublicKeyUse::Signature) {
        return None;
    }
    let can: &[(KeyAlgorithm, Algorithm)] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[(KeyAlgorithm::RS256, Algorithm::RS256), (KeyAlgorithm::PS256, Algorithm::PS256)],
        AlgorithmParameters::EllipticCurve(ec) if ec.curve == EllipticCurve::P256 => &[(KeyAlgorithm::ES256, Algorithm::ES256)],
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
            &[(KeyAlgorithm::EdDSA, Algorithm::EdDSA)]
        }
        _ => return None,
    };
    let only = jwk.common.key_algorithm;
    let may = can.iter().filter(|(name, _)| only.is_none_or(|only| only == *name));
    let algorithms: Vec<Algorithm> = may.map(|(_, algorithm)| *algorithm).collect();
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    (!algorithms.is_empty()).then_some(Key { id: jwk.common.key_id, algorithms, key })
}

/// Whether what a signed token says makes it one for us.
pub(super) fn check(claims: &Claims, expected: &Expected<'_>, now: Timestamp) -> Result<(), TokenError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let seconds = |name: &str| claims.get(name).and_then(Value::as_f64);
    let of = |time: Timestamp| time.as_millis() as f64 / 1_000.0;
    let bad = |reason| Err(TokenError::Bad(reason));
    if text("iss") != Some(expected.issuer) {
        return bad("iss: of another issuer");
    }
    let audiences: Vec<&str> = match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&expected.client_id) {
        return bad("aud: for another client");
    }
    match claims.get("azp") {
        Some(party) if party.as_str() != Some(expected.client_id) => return bad("azp: for another client"),
        None if audiences.len() > 1 => return bad("azp: is missing, though there are several audiences"),
        _ => {}
    }
    if text("sub").is_none_or(str::is_empty) {
        return bad("sub: is missing");
    }
    if text("nonce") != Some(expected.nonce) {
        return bad("nonce: of another flow");
    }
    if seconds("exp").is_none_or(|exp| exp + LEEWAY_S <= of(now)) {
        return bad("exp: its time is over");
    }
    if seconds("nbf").is_some_and(|nbf| nbf > of(now) + LEEWAY_S) {
        return bad("nbf: its time has not begun");
    }
    match seconds("iat") {
        None => bad("iat: is missing"),
        Some(iat) if iat > of(now) + LEEWAY_S => bad("iat: in the future"),
        Some(iat) if iat < of(expected.begun) - LEEWAY_S => bad("iat: older than the flow"),
        Some(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
