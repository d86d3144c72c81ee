//! Cancel requests: a connection of their own names another one by its number and a secret.

use bytes::Bytes;
use ring::rand::{SecureRandom, SystemRandom};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;

/// Every connection that has signed in.
#[derive(Default)]
pub(super) struct Cancels {
    known: Mutex<HashMap<i32, Entry>>,
}

struct Entry {
    secret: Bytes,
    /// Of the statement that runs; none runs: nothing to cancel.
    running: Option<CancellationToken>,
}

/// One connection's place among them; dropping it gives it up.
pub(super) struct Cancellable {
    all: Arc<Cancels>,
    pub(super) pid: i32,
    pub(super) secret: Bytes,
}

impl Cancels {
    /// A place for a connection whose protocol has secrets of so many bytes.
    pub(super) fn enter(self: &Arc<Self>, secret_bytes: usize) -> Option<Cancellable> {
        let mut random = vec![0; secret_bytes + 4];
        SystemRandom::new().fill(&mut random).ok()?;
        let secret = Bytes::from(random.split_off(4));
        let mut pid = i32::from_be_bytes(random.try_into().ok()?) & i32::MAX;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        while pid == 0 || known.contains_key(&pid) {
            pid = pid.wrapping_add(1) & i32::MAX;
        }
        known.insert(pid, Entry { secret: secret.clone(), running: None });
        Some(Cancellable { all: Arc::clone(self), pid, secret })
    }

    /// Stops what that connection runs; nothing happens if it runs nothing, or the secret is wrong.
    pub(super) fn cancel(&self, pid: i32, secret: &[u8]) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let running = known.get(&pid).filter(|entry| entry.secret == secret).and_then(|entry| entry.running.as_ref());
        running.inspect(|running| running.cancel()).is_some()
    }
}

impl Cancellable {
    /// A statement begins; what it gives is cancelled with it.
    pub(super) fn begin(&self) -> CancellationToken {
        let token = CancellationToken::new();
        self.set(Some(token.clone()));
        token
    }

    /// It has ended.
    pub(super) fn end(&self) {
        self.set(None);
    }

    fn set(&self, running: Option<CancellationToken>) {
        let mut known = self.all.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = known.get_mut(&self.pid) {
            entry.running = running;
        }
    }
}

impl Drop for Cancellable {
    fn drop(&mut self) {
        self.all.known.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.pid);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_who_knows_the_secret_cancels_and_only_what_runs() {
        let all = Arc::new(Cancels::default());
        let (one, other) = (all.enter(4).unwrap(), all.enter(32).unwrap());
        assert!(!all.cancel(one.pid, &one.secret), "nothing runs");
        let (mine, theirs) = (one.begin(), other.begin());
        assert!(!all.cancel(one.pid, &other.secret) && !all.cancel(one.pid, b""));
        assert!(all.cancel(one.pid, &one.secret));
        assert!(mine.is_cancelled() && !theirs.is_cancelled());
        one.end();
        assert!(!all.cancel(one.pid, &one.secret));
        let (pid, secret) = (other.pid, other.secret.clone());
        drop(other);
        assert!(!all.cancel(pid, &secret));
    }
}
