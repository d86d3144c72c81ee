//! One flow from the button to the callback. What has to be remembered of it is in a cookie that only gateways of this client can
//! read or make: so the flow may begin at one gateway and end at another, and none has to keep anything for browsers that don't come back.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use waystream_domain::Timestamp;

/// How long somebody may take at the provider.
pub(super) const VALID_MS: i64 = 10 * 60 * 1_000;
/// Callbacks that are remembered; each for as long as its flow is valid.
const REMEMBERED: usize = 10_000;
/// Longest cookie that is looked at, bytes.
const MAX_COOKIE: usize = 1_024;
/// What the key is for. Another layout of [`Flow`] is another purpose.
const PURPOSE: &[u8] = b"waystream sign-in flow 1";

/// What binds a callback to the browser that began.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Flow {
    /// Comes back in the callback.
    pub(super) state: String,
    /// Comes back in the ID token.
    pub(super) nonce: String,
    /// Of PKCE: shows that who fetches the token is who began.
    pub(super) verifier: String,
    /// When it began, milliseconds.
    begun: i64,
}

impl Flow {
    /// A new one: three secrets that nobody can guess.
    pub(super) fn begin(now: Timestamp) -> Self {
        let secret = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        Self { state: secret(), nonce: secret(), verifier: secret(), begun: now.as_millis() }
    }

    /// What the provider is told of the verifier (S256).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier.as_bytes()))
    }

    /// When it began.
    pub(super) fn begun(&self) -> Timestamp {
        Timestamp::from_millis(self.begun).unwrap_or_default()
    }

    /// Whether a callback with this state is its. Hashes are compared, so that how long it takes tells nothing.
    pub(super) fn is(&self, state: &str) -> bool {
        Sha256::digest(self.state.as_bytes()) == Sha256::digest(state.as_bytes())
    }

    fn is_valid(&self, now: Timestamp) -> bool {
        // Clocks of gateways may be a little apart.
        let age_ms = now.millis_since(self.begun());
        (-60_000..VALID_MS).contains(&age_ms)
    }
}

/// Seals flows into cookies. All gateways with the same client secret have the same key.
pub(super) struct Sealer {
    key: LessSafeKey,
}

impl Sealer {
    pub(super) fn new(issuer: &str, client_id: &str, client_secret: &str) -> Self {
        let salt = Salt::new(HKDF_SHA256, issuer.as_bytes());
        let secret = salt.extract(client_secret.as_bytes());
        let info = [PURPOSE, b"\0", client_id.as_bytes()];
        let key = secret.expand(&info, &AES_256_GCM).expect("a key is shorter than what HKDF can give");
        Self { key: LessSafeKey::new(UnboundKey::from(key)) }
    }

    /// For a cookie.
    pub(super) fn seal(&self, flow: &Flow) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut sealed = serde_json::to_vec(flow).expect("texts and numbers are JSON");
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(PURPOSE), &mut sealed)
            .expect("a flow is shorter than what can be sealed");
        let mut cookie = nonce.to_vec();
        cookie.append(&mut sealed);
        URL_SAFE_NO_PAD.encode(cookie)
    }

    /// The flow of a cookie, if one of us has sealed it and it is not over.
    pub(super) fn open(&self, cookie: &str, now: Timestamp) -> Option<Flow> {
        if cookie.len() > MAX_COOKIE {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(cookie).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let opened = self.key.open_in_place(nonce, Aad::from(PURPOSE), sealed).ok()?;
        let flow: Flow = serde_json::from_slice(opened).ok()?;
        flow.is_valid(now).then_some(flow)
    }
}

/// Flows that have come back here. At another gateway it is the provider that takes each code only once.
#[derive(Default)]
pub(super) struct Spent {
    states: Mutex<HashMap<String, Timestamp>>,
}

/// Why a flow can't be used up.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SpendError {
    /// It has been already.
    Already,
    /// Too many at once.
    Full,
}

impl Spent {
    /// Uses a flow up.
    pub(super) fn spend(&self, flow: &Flow, now: Timestamp) -> Result<(), SpendError> {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        if states.contains_key(&flow.state) {
            return Err(SpendError::Already);
        }
        if states.len() >= REMEMBERED {
            // The cookie is no longer valid by then, on whatever clock.
            states.retain(|_, begun| now.millis_since(*begun) < 2 * VALID_MS);
        }
        if states.len() >= REMEMBERED {
            return Err(SpendError::Full);
        }
        states.insert(flow.state.clone(), flow.begun());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ISSUER: &str = "https://id.example.org";
    const SECRET: &str = "a secret of enough letters";

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms).unwrap()
    }

    #[test]
    fn a_flow_goes_on_at_any_gateway_of_the_client_and_nowhere_else() {
        let (one, other) = (Sealer::new(ISSUER, "waystream", SECRET), Sealer::new(ISSUER, "waystream", SECRET));
        let flow = Flow::begin(at(1_000_000));
        let cookie = one.seal(&flow);
        assert!(cookie.len() < 500 && cookie != one.seal(&flow), "{cookie}");
        assert!(other.open(&cookie, at(1_000_001)).is_some_and(|opened| opened == flow));
        for stranger in [
            Sealer::new("https://id.example.com", "waystream", SECRET),
            Sealer::new(ISSUER, "another", SECRET),
            Sealer::new(ISSUER, "waystream", "another secret of enough letters"),
        ] {
            assert!(stranger.open(&cookie, at(1_000_001)).is_none());
        }
        for position in 0..cookie.len() {
            let mut changed = cookie.clone().into_bytes();
            changed[position] = if changed[position] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert!(one.open(&changed, at(1_000_001)).is_none(), "byte {position}");
        }
        for rubbish in ["", "A", "not base64!", &cookie[..20], &"A".repeat(4_000)] {
            assert!(one.open(rubbish, at(1_000_001)).is_none());
        }
    }

    #[test]
    fn a_flow_is_over_after_ten_minutes() {
        let sealer = Sealer::new(ISSUER, "waystream", SECRET);
        let cookie = sealer.seal(&Flow::begin(at(1_000_000)));
        assert!(sealer.open(&cookie, at(1_000_000 + VALID_MS - 1)).is_some());
        assert!(sealer.open(&cookie, at(1_000_000 + VALID_MS)).is_none());
        assert!(sealer.open(&cookie, at(1_000_000 - 60_001)).is_none(), "from the future");
    }

    #[test]
    fn a_flow_comes_back_once_and_what_is_remembered_is_bounded() {
        let spent = Spent::default();
        let flow = Flow::begin(at(0));
        assert!(flow.is(&flow.state) && !flow.is("") && !flow.is(&flow.nonce));
        assert_eq!(spent.spend(&flow, at(1)), Ok(()));
        assert_eq!(spent.spend(&flow, at(2)), Err(SpendError::Already));
        for _ in 1..REMEMBERED {
            assert_eq!(spent.spend(&Flow::begin(at(0)), at(3)), Ok(()));
        }
        assert_eq!(spent.spend(&Flow::begin(at(4)), at(4)), Err(SpendError::Full));
        assert_eq!(spent.spend(&Flow::begin(at(4)), at(2 * VALID_MS)), Ok(()));
        assert!(spent.states.lock().unwrap().len() < 3);
    }

    #[test]
    fn the_challenge_is_that_of_the_standard() {
        // RFC 7636, appendix B.
        let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
        let flow = Flow { verifier: verifier.into(), ..Flow::begin(at(0)) };
        assert_eq!(flow.challenge(), "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
    }
}
