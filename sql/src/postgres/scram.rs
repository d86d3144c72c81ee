//! The server's side of SCRAM-SHA-256 (RFC 5802) over keys that were kept when tokens were made.
//!
//! The server tells the salt before it knows which of a user's tokens the client has. All of them share one salt
//! ([`waystream_domain::scram::salt`]), so the client's proof is tried on each.

use super::failure::Failure;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use waystream_domain::scram::{ITERATIONS, Key, ScramKeys, salt};
use waystream_domain::{TokenId, UserId};

/// Name of the mechanism. That with channel binding is not offered.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// Half a conversation: the client has said who it is, the server has told the salt.
pub(super) struct Exchange {
    /// What the client began with: `n,,` or `y,,`.
    header: String,
    client_first: String,
    /// What is sent to the client.
    pub(super) server_first: String,
    nonce: String,
}

/// The client has a token.
#[derive(Debug, PartialEq)]
pub(super) struct Proven {
    /// Which.
    pub(super) token: TokenId,
    /// What is sent to the client, so that it knows the server too.
    pub(super) server_final: String,
}

impl Exchange {
    /// Answers the client's first message.
    pub(super) fn begin(user: &UserId, client_first: &str, server_nonce: &str) -> Result<Self, Failure> {
        let malformed = || Failure::protocol("malformed SCRAM message");
        // Channel binding flag, authorisation identity, then the message itself.
        let mut parts = client_first.splitn(3, ',');
        let (flag, identity, bare) = (parts.next(), parts.next(), parts.next().ok_or_else(malformed)?);
        if !matches!((flag, identity), (Some("n" | "y"), Some(""))) {
            return Err(Failure::protocol("SCRAM with channel binding or for somebody else is not supported"));
        }
        let client_nonce = bare.split(',').find_map(|part| part.strip_prefix("r=")).ok_or_else(malformed)?;
        if client_nonce.is_empty() || bare.starts_with("m=") {
            return Err(malformed());
        }
        let nonce = format!("{client_nonce}{server_nonce}");
        let server_first = format!("r={nonce},s={},i={ITERATIONS}", STANDARD.encode(salt(user)));
        let header = client_first[..client_first.len() - bare.len()].to_owned();
        Ok(Self { header, client_first: bare.to_owned(), server_first, nonce })
    }

    /// Checks the client's last message: `None` if it is no proof that it has one of these.
    pub(super) fn finish(&self, client_final: &str, tokens: &[(TokenId, ScramKeys)]) -> Result<Option<Proven>, Failure> {
        let malformed = || Failure::protocol("malformed SCRAM message");
        let (without_proof, proof) = client_final.rsplit_once(",p=").ok_or_else(malformed)?;
        let mut parts = without_proof.split(',');
        let binding = parts.next().and_then(|part| part.strip_prefix("c=")).ok_or_else(malformed)?;
        let nonce = parts.next().and_then(|part| part.strip_prefix("r=")).ok_or_else(malformed)?;
        if binding != STANDARD.encode(&self.header) || nonce != self.nonce {
            return Err(malformed());
        }
        let proof: [u8; 32] = STANDARD.decode(proof).ok().and_then(|p| p.try_into().ok()).ok_or_else(malformed)?;
        let proof = Key::from(proof);
        let message = format!("{},{},{without_proof}", self.client_first, self.server_first);
        // Also where there is no token, so that it takes as long.
        let nothing = ScramKeys { stored_key: [0; 32].into(), server_key: [0; 32].into() };
        let mut found = None;
        for (token, keys) in tokens.iter().map(|(token, keys)| (Some(token), keys)).chain([(None, &nothing)]) {
            // Hashes are compared, so that the time tells nothing.
            let matches = proof.xor(&keys.stored_key.sign(message.as_bytes())).hash() == keys.stored_key;
            if let (true, Some(token)) = (matches, token) {
                found.get_or_insert((token, keys));
            }
        }
        Ok(found.map(|(token, keys)| {
            let signature = keys.server_key.sign(message.as_bytes());
            Proven { token: token.clone(), server_final: format!("v={}", STANDARD.encode(signature.as_bytes())) }
        }))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A client: its proof needs the client key, which nobody keeps.
    fn client_final(user: &UserId, secret: &str, exchange: &Exchange) -> String {
        let mut salted = [0; 32];
        ring::pbkdf2::derive(ring::pbkdf2::PBKDF2_HMAC_SHA256, ITERATIONS, &salt(user), secret.as_bytes(), &mut salted);
        let client_key = Key::from(salted).sign(b"Client Key");
        let without_proof = format!("c={},r={}", STANDARD.encode(&exchange.header), exchange.nonce);
        let message = format!("{},{},{without_proof}", exchange.client_first, exchange.server_first);
        let proof = client_key.xor(&client_key.hash().sign(message.as_bytes()));
        format!("{without_proof},p={}", STANDARD.encode(proof.as_bytes()))
    }

    #[test]
    fn any_token_of_the_user_signs_in_and_no_other() {
        let anna: UserId = "anna".parse().unwrap();
        let tokens: Vec<(TokenId, ScramKeys)> =
            ["one", "two"].map(|secret| (secret.parse().unwrap(), ScramKeys::of(&anna, secret))).into();
        let exchange = Exchange::begin(&anna, "n,,n=,r=abc", "def").unwrap();
        assert!(exchange.server_first.starts_with("r=abcdef,s="), "{}", exchange.server_first);
        for (secret, expected) in [("one", Some("one")), ("two", Some("two")), ("three", None)] {
            let last = client_final(&anna, secret, &exchange);
            let proven = exchange.finish(&last, &tokens).unwrap();
            assert_eq!(proven.as_ref().map(|p| p.token.as_str()), expected);
            assert!(exchange.finish(&last, &[]).unwrap().is_none());
        }
        // Of an earlier conversation: another nonce.
        let last = client_final(&anna, "one", &exchange);
        assert!(Exchange::begin(&anna, "n,,n=,r=abc", "xyz").unwrap().finish(&last, &tokens).is_err());
    }

    #[test]
    fn malformed_messages_are_refused() {
        let anna: UserId = "anna".parse().unwrap();
        for first in ["", "n", "n,,", "n,,n=", "p=tls-unique,,n=,r=a", "n,a=b,n=,r=a", "n,,m=x,n=,r=a", "n,,n=,r="] {
            assert!(Exchange::begin(&anna, first, "def").is_err(), "{first}");
        }
        let exchange = Exchange::begin(&anna, "y,,n=,r=a", "b").unwrap();
        for last in ["", "c=eSws,r=ab", "c=biws,r=ab,p=AAAA", "c=eSws,r=ab,p=AAAA", "c=eSws,r=ac,p=", "c=eSws,r=ab,p=!"] {
            assert!(exchange.finish(last, &[]).is_err(), "{last}");
        }
    }
}
