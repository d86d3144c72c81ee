//! Password hashes (argon2id, 19 MiB, 2 passes, 1 lane: OWASP's minimum), computed off the runtime and few at a time.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Shortest password accepted, in characters.
pub(crate) const MIN_CHARS: usize = 10;
/// Longest password accepted, in bytes: hashing an endless one would be work for free.
pub(crate) const MAX_BYTES: usize = 1024;
/// Hashes computed at a time: 19 MiB each.
const PARALLEL: usize = 2;
/// Callers that may wait for one of them.
const WAITING: usize = 32;

/// Why there is no hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PasswordError {
    /// Too short or too long.
    #[error("a password has {MIN_CHARS} characters or more, and at most {MAX_BYTES} bytes")]
    Length,
    /// Too many callers at once: try again later.
    #[error("too many sign-ins at once")]
    Busy,
}

/// Hashes and checks passwords. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Passwords {
    running: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    /// A hash of a password that nobody knows: checked for users that don't exist, so that they take as long as others.
    dummy: Arc<str>,
}

impl Passwords {
    /// Computes one hash, which takes a few hundredths of a second.
    pub(crate) fn new() -> Self {
        let dummy = hash_now(&super::random_token()).into();
        let semaphore = |n| Arc::new(Semaphore::new(n));
        Self { running: semaphore(PARALLEL), waiting: semaphore(PARALLEL + WAITING), dummy }
    }

    /// The PHC string to keep.
    pub(crate) async fn hash(&self, password: String) -> Result<String, PasswordError> {
        if password.chars().count() < MIN_CHARS || password.len() > MAX_BYTES {
            return Err(PasswordError::Length);
        }
        self.compute(move || hash_now(&password)).await
    }

    /// Whether the password is the one of this hash; without a hash the answer is no, but takes as long.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, PasswordError> {
        if password.len() > MAX_BYTES {
            return Err(PasswordError::Length);
        }
        let known = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.dummy.to_string());
        let matches = self
            .compute(move || match PasswordHash::new(&hash) {
                Ok(parsed) => argon2().verify_password(password.as_bytes(), &parsed).is_ok(),
                Err(error) => {
                    tracing::error!(%error, "a stored password hash can't be read");
                    false
                }
            })
            .await?;
        Ok(matches && known)
    }

    async fn compute<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, PasswordError> {
        let _place = self.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
        let _turn = self.running.acquire().await.expect("the semaphore is never closed");
        Ok(tokio::task::spawn_blocking(work).await.expect("hashing does not panic"))
    }
}

impl Default for Passwords {
    fn default() -> Self {
        Self::new()
    }
}

fn argon2() -> Argon2<'static> {
    let params = Params::new(19 * 1024, 2, 1, None).expect("parameters within argon2's limits");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

fn hash_now(password: &str) -> String {
    argon2().hash_password(password.as_bytes()).expect("the operating system gives random bytes").to_string()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_is_accepted() {
        let passwords = Passwords::new();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_eq!(passwords.verify("correct horse".into(), Some(hash.clone())).await, Ok(true));
        assert_eq!(passwords.verify("correct mule".into(), Some(hash)).await, Ok(false));
        assert_eq!(passwords.verify("correct horse".into(), None).await, Ok(false));
        assert_eq!(passwords.verify("correct horse".into(), Some("not a hash".into())).await, Ok(false));
        assert_eq!(passwords.hash("short".into()).await, Err(PasswordError::Length));
        assert_eq!(passwords.hash("x".repeat(MAX_BYTES + 1)).await, Err(PasswordError::Length));
    }
}
