//! Finds calls into librdkafka that never return.
//!
//! Version 2.12.1 waits for the connection to a group's coordinator until some broker comes or goes: if the coordinator of a cluster
//! dies and is asked for before the others know, `send_offsets_to_transaction` waits for ever, whatever its timeout. Who commits
//! replaces a producer of which that is to be feared (`transact.rs`); where it happens all the same, a thread in such a call can't be
//! helped: it is left behind with its producer.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// So long a call takes only if it never returns, or while no broker can be reached: it is told to take two seconds less. A transaction
/// that waits for longer is most likely too old for Kafka anyway.
const HUNG: Duration = Duration::from_secs(7);

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

impl Watched {
    fn hangs(&self) -> bool {
        self.call.is_some_and(|since| since.elapsed() > HUNG)
    }
}

impl Watch {
    /// A call that is told to return long before [`HUNG`].
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> T {
        self.state().call = Some(Instant::now());
        let result = call();
        self.state().call = None;
        result
    }

    /// Whether it is in a call that takes too long.
    pub(super) fn hangs(&self) -> bool {
        self.state().hangs()
    }

    /// Leaves the thread behind, if it still hangs.
    pub(super) fn abandon(&self) -> bool {
        let mut state = self.state();
        state.abandoned = state.hangs();
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
