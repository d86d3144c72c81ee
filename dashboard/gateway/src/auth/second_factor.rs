//! Second factors: codes of an authenticator (RFC 6238: six digits, SHA-1, steps of 30 s), and recovery codes for when it is lost.

use super::Identity;
use std::sync::{Arc, PoisonError};
use tokio::sync::Mutex;
use totp_rs::{Builder, Secret, Totp};
use waystream_domain::second_factor::{SecondFactor, recovery_code, recovery_hash};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, CatalogKey, Timestamp, UserId};
use waystream_log::LogError;
use waystream_log::catalog::CatalogHandle;

/// Who an authenticator says that its codes are for.
const ISSUER: &str = "waystream";
const SECRET_BYTES: usize = 20;
const RECOVERY_CODES: usize = 8;

/// Checks and keeps second factors.
pub(crate) struct SecondFactors {
    catalog: CatalogHandle,
    /// One code is checked at a time, so that none is good twice.
    checking: Mutex<()>,
}

/// A secret that an authenticator may take over.
pub(crate) struct Proposal {
    /// Base32.
    pub(crate) secret: String,
    /// `otpauth://…`, as authenticators read it.
    pub(crate) uri: String,
}

impl SecondFactors {
    pub(crate) fn new(catalog: CatalogHandle) -> Self {
        Self { catalog, checking: Mutex::default() }
    }

    /// What is kept of this user's; none: it is not asked for.
    pub(crate) fn of(&self, user: &UserId) -> Option<Arc<SecondFactor>> {
        let shared = self.catalog.shared();
        let catalog = shared.read().unwrap_or_else(PoisonError::into_inner);
        catalog.second_factors.get(user).cloned()
    }

    /// A new secret. Nothing is kept until [`Self::turn_on`] has seen a code made from it.
    pub(crate) fn propose(user: &UserId) -> Option<Proposal> {
        let secret = Secret::from(rand::random::<[u8; SECRET_BYTES]>());
        let totp = totp(user, &secret.to_base32())?;
        Some(Proposal { secret: secret.to_base32(), uri: totp.to_url().ok()? })
    }

    /// From now on codes are asked for. Recovery codes, which nobody can have a second time; none if the code or the secret is wrong.
    pub(crate) async fn turn_on(
        &self,
        identity: &Identity,
        secret: &str,
        code: &str,
        now: Timestamp,
    ) -> Result<Option<Vec<String>>, LogError> {
        let user = identity.user();
        let Some(used_step) = totp(user, secret).and_then(|totp| step(&totp, code, now)) else { return Ok(None) };
        let codes: Vec<String> = (0..RECOVERY_CODES).map(|_| recovery_code(&rand::random())).collect();
        let factor = SecondFactor {
            user: user.clone(),
            secret: secret.to_owned(),
            used_step,
            recovery_sha256: codes.iter().map(|code| recovery_hash(code)).collect(),
            since: now,
        };
        self.catalog.edit(&identity.actor(), vec![CatalogEdit::Put(CatalogEntry::SecondFactor(factor))]).await?;
        Ok(Some(codes))
    }

    /// Whether a code of the authenticator or a recovery code is right; it is used up then.
    pub(crate) async fn check(&self, user: &UserId, code: &str, now: Timestamp) -> Result<bool, LogError> {
        let _alone = self.checking.lock().await;
        let Some(factor) = self.of(user) else { return Ok(true) };
        let Some(used) = used(&factor, code, now) else { return Ok(false) };
        let by = Actor::Program { doing: "using a code up".into() };
        self.catalog.edit(&by, vec![CatalogEdit::Put(CatalogEntry::SecondFactor(used))]).await?;
        Ok(true)
    }

    /// Codes are no longer asked for.
    pub(crate) async fn turn_off(&self, by: &Actor, user: &UserId) -> Result<(), LogError> {
        self.catalog.edit(by, vec![CatalogEdit::Remove(CatalogKey::SecondFactor(user.clone()))]).await
    }
}

/// The factor without the code, if it is one of its.
fn used(factor: &SecondFactor, code: &str, now: Timestamp) -> Option<SecondFactor> {
    let mut left = factor.clone();
    if left.recovery_sha256.remove(&recovery_hash(code)) {
        return Some(left);
    }
    let step = step(&totp(&factor.user, &factor.secret)?, code, now)?;
    (step > factor.used_step).then_some(SecondFactor { used_step: step, ..left })
}

/// The step of 30 s that a code is of: this one, or one beside it.
fn step(totp: &Totp, code: &str, now: Timestamp) -> Option<u64> {
    let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
    totp.check(&digits, u64::try_from(now.as_millis() / 1_000).ok()?)
}

fn totp(user: &UserId, secret: &str) -> Option<Totp> {
    let secret = Secret::try_from_base32(secret).ok()?;
    // A colon ends the issuer's name in what authenticators read.
    let account = user.as_str().replace(':', "_");
    Builder::new().with_secret(secret).with_account_name(account).with_issuer(Some(ISSUER)).build().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::collections::BTreeSet;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds).unwrap()
    }

    /// Of RFC 6238, appendix B: the ASCII text `12345678901234567890`; its last six digits.
    const SECRET: &str = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";

    fn factor() -> SecondFactor {
        let recovery_sha256 = BTreeSet::from([recovery_hash("0123-4567-89ab-cdef")]);
        SecondFactor { user: "anna".parse().unwrap(), secret: SECRET.into(), used_step: 0, recovery_sha256, since: at(0) }
    }

    #[test]
    fn codes_are_those_of_the_standard_and_each_is_good_once() {
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            let left = used(&factor(), code, at(seconds)).unwrap_or_else(|| panic!("{code} at {seconds}"));
            assert_eq!(left.used_step, seconds as u64 / 30);
            assert!(used(&left, code, at(seconds)).is_none(), "a second time");
            // A clock that is a step off, either way, and spaces.
            let spaced = format!("{} {}", &code[..3], &code[3..]);
            assert!(used(&factor(), &spaced, at(seconds + 30)).is_some() && used(&factor(), code, at(seconds - 30)).is_some());
            assert!(used(&factor(), code, at(seconds + 90)).is_none());
        }
        for wrong in ["", "287083", "28708", "2870822", "abcdef"] {
            assert!(used(&factor(), wrong, at(59)).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_recovery_code_is_good_once() {
        let left = used(&factor(), "01234567 89AB-CDEF", at(59)).unwrap();
        assert!(left.recovery_sha256.is_empty());
        assert!(used(&left, "0123-4567-89ab-cdef", at(59)).is_none());
    }

    #[test]
    fn what_is_proposed_can_be_read_by_authenticators() {
        let proposal = SecondFactors::propose(&"anna:smith".parse().unwrap()).unwrap();
        assert_eq!(proposal.secret.len(), 32);
        assert!(proposal.uri.starts_with("otpauth://totp/waystream:anna_smith?"), "{}", proposal.uri);
        assert!(proposal.uri.contains(&format!("secret={}", proposal.secret)), "{}", proposal.uri);
    }
}
