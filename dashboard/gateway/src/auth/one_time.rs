//! One-time sign-in tokens: how the first user gets in without a default password.

use super::{random_token, token_hash};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use waystream_domain::{Timestamp, UserId};

/// How long a token can be used.
pub(crate) const VALID_MS: i64 = 15 * 60 * 1_000;
/// Unused tokens at a time; the oldest is forgotten.
const MAX_TOKENS: usize = 16;

/// Tokens that have not been used. Kept in memory only: a restart makes new ones.
#[derive(Debug, Default)]
pub(crate) struct OneTimeTokens {
    by_hash: Mutex<HashMap<String, (UserId, Timestamp)>>,
}

impl OneTimeTokens {
    /// A token for this user.
    pub(crate) fn issue(&self, user: UserId, now: Timestamp) -> String {
        let token = random_token();
        let mut by_hash = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        by_hash.retain(|_, (_, until)| *until > now);
        if by_hash.len() >= MAX_TOKENS {
            let oldest = by_hash.iter().min_by_key(|(_, (_, until))| *until).map(|(hash, _)| hash.clone());
            oldest.and_then(|hash| by_hash.remove(&hash));
        }
        by_hash.insert(token_hash(&token), (user, now.plus_millis(VALID_MS)));
        token
    }

    /// Uses a token up: whose it was, if it was good.
    pub(crate) fn redeem(&self, token: &str, now: Timestamp) -> Option<UserId> {
        // Looked up by hash, so the time of the look-up tells nothing of the token.
        let (user, until) = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner).remove(&token_hash(token))?;
        (until > now).then_some(user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_once_and_for_fifteen_minutes() {
        let tokens = OneTimeTokens::default();
        let at = |ms| Timestamp::from_millis(ms).expect("a time");
        let admin: UserId = "admin".parse().expect("an id");
        let token = tokens.issue(admin.clone(), at(0));
        assert_eq!(tokens.redeem("something else", at(1)), None);
        assert_eq!(tokens.redeem(&token, at(VALID_MS - 1)), Some(admin.clone()));
        assert_eq!(tokens.redeem(&token, at(VALID_MS - 1)), None);
        let token = tokens.issue(admin.clone(), at(0));
        assert_eq!(tokens.redeem(&token, at(VALID_MS)), None);
        for i in 0..100 {
            tokens.issue(admin.clone(), at(i));
        }
        assert_eq!(tokens.by_hash.lock().expect("not poisoned").len(), MAX_TOKENS);
    }
}
