//! What one socket says, worked through in the order in which it came. Socket.IO makes a task of each message, and tasks overtake each
//! other: a map that was dragged would be told of where it was before, a replay would go on from the last place but one.

use futures::FutureExt;
use futures::future::BoxFuture;
use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

/// See the module. While nothing waits it is a few words of memory and no task.
#[derive(Default)]
pub(crate) struct InTurn(Mutex<Waiting>);

#[derive(Default)]
struct Waiting {
    works: VecDeque<BoxFuture<'static, ()>>,
    /// Some task works through them.
    is_worked: bool,
}

impl InTurn {
    /// Work whose turn comes after all that was added before. To be called while the message is taken in; the future that it gives, run
    /// whenever and wherever, does the work or leaves it to who is at it.
    pub(crate) fn add<W>(self: &Arc<Self>, work: W) -> impl Future<Output = ()> + Send + 'static + use<W>
    where
        W: Future<Output = ()> + Send + 'static,
    {
        let is_first = {
            let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.works.push_back(work.boxed());
            !std::mem::replace(&mut waiting.is_worked, true)
        };
        let all = is_first.then(|| Arc::clone(self));
        async move {
            if let Some(all) = all {
                while let Some(work) = all.next() {
                    // A fault in one, which has been told of by now, must not hold back what comes after.
                    drop(AssertUnwindSafe(work).catch_unwind().await);
                }
            }
        }
    }

    fn next(&self) -> Option<BoxFuture<'static, ()>> {
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let next = waiting.works.pop_front();
        waiting.is_worked = next.is_some();
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn works_are_done_in_the_order_of_adding_whichever_task_runs_first() {
        let (turn, done) = (Arc::<InTurn>::default(), Arc::<Mutex<Vec<u32>>>::default());
        for round in 0..3 {
            let numbers: Vec<u32> = (0..50).map(|n| round * 50 + n).collect();
            let tasks: Vec<_> = numbers
                .iter()
                .map(|&n| {
                    let done = Arc::clone(&done);
                    turn.add(async move {
                        // The earlier the longer.
                        tokio::time::sleep(Duration::from_micros(u64::from(50 - n % 50))).await;
                        done.lock().expect("the list").push(n);
                    })
                })
                .collect();
            let running: Vec<_> = tasks.into_iter().rev().map(tokio::spawn).collect();
            for task in running {
                task.await.expect("it ends");
            }
        }
        assert_eq!(*done.lock().expect("the list"), (0..150).collect::<Vec<_>>());
        assert!(!turn.0.lock().expect("what waits").is_worked);
    }

    #[tokio::test]
    async fn a_work_that_panics_holds_nobody_back() {
        let (turn, done) = (Arc::<InTurn>::default(), Arc::<Mutex<bool>>::default());
        let faulty = turn.add(async { panic!("a fault") });
        let next = turn.add({
            let done = Arc::clone(&done);
            async move { *done.lock().expect("whether it is done") = true }
        });
        faulty.await;
        next.await;
        assert!(*done.lock().expect("whether it is done"));
    }
}
