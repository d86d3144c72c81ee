//! Finds calls into librdkafka that never return.
//!
//! Version 2.12.1 may lose what it asks a coordinator when that broker dies; `send_offsets_to_transaction` then waits for ever,
//! whatever its timeout. A thread in such a call can't be helped: it is left behind with its producer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a call takes only if it never returns. While the only broker is away for half a minute calls outlast their timeouts, and
/// return when it is back.
const HUNG: Duration = Duration::from_secs(45);

/// What a thread is at.
#[derive(Debug, Default)]
pub(super) struct Watch {
    state: Mutex<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Since when a call has been going on.
    call: Option<Instant>,
    abandoned: bool,
}

impl Watch {
    /// A call that is told to return long before [`HUNG`].
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.state().call = Some(Instant::now());
        let result = call();
        self.state().call = None;
        result
    }

    /// Whether the thread is to be left behind.
    pub(super) fn abandon_if_hung(&self) -> bool {
        let mut state = self.state();
        state.abandoned = state.call.is_some_and(|since| since.elapsed() > HUNG);
        state.abandoned
    }

    /// Whether the thread has been left behind: another does its work.
    pub(super) fn abandoned(&self) -> bool {
        self.state().abandoned
    }

    fn state(&self) -> MutexGuard<'_, Watched> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
