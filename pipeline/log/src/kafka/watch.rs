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
    /// A call that is told to return long before [`HUNG`]. `None`: the thread has been left behind, now or meanwhile. What it was at has been
    /// told to be uncertain, and may have been done by another since: it must not go on with it.
    pub(super) fn call<T>(&self, call: impl FnOnce() -> T) -> Option<T> {
        {
            let mut state = self.state();
            if state.abandoned {
                return None;
            }
            state.call = Some(Instant::now());
        }
        let result = call();
        let mut state = self.state();
        state.call = None;
        (!state.abandoned).then_some(result)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// As if the call had begun long ago.
    fn make_old(watch: &Watch) {
        let mut state = watch.state();
        assert!(state.call.is_some());
        state.call = Instant::now().checked_sub(HUNG * 2);
    }

    #[test]
    fn who_is_left_behind_goes_on_with_nothing() {
        let watch = Watch::default();
        assert_eq!(watch.call(|| 1), Some(1));
        assert!(!watch.hangs() && !watch.abandon(), "it is in no call");
        let returned = watch.call(|| {
            assert!(!watch.hangs() && !watch.abandon(), "it has only begun");
            make_old(&watch);
            assert!(watch.hangs() && watch.abandon());
        });
        assert_eq!(returned, None);
        assert!(watch.abandoned());
        let mut called = false;
        assert_eq!(watch.call(|| called = true), None);
        assert!(!called, "another does its work");
    }

    #[test]
    fn a_call_that_returns_in_time_is_not_left_behind() {
        let watch = Watch::default();
        let returned = watch.call(|| {
            make_old(&watch);
            assert!(watch.hangs());
        });
        assert_eq!(returned, Some(()));
        assert!(!watch.hangs() && !watch.abandon() && !watch.abandoned());
    }
}
