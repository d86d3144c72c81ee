//! A log where a chosen call goes wrong.

use async_trait::async_trait;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use waystream_log::{Bounds, Group, Log, LogError, LogReader, Membership, Offsets, Record, Topic};

/// What happens at the chosen call.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    /// The caller dies before the call has an effect.
    DieBefore,
    /// The caller dies after it, and does not know.
    DieAfter,
    /// The call fails and surely had no effect.
    Unavailable,
    /// The call fails and had no effect, but the caller can't know.
    IndeterminateBefore,
    /// The call fails though it had its effect.
    IndeterminateAfter,
}

/// A log where the n-th call (reads count too) goes wrong. A dead caller is shut out from then on.
pub(crate) struct Faulty {
    pub(crate) inner: Arc<dyn Log>,
    pub(crate) calls: AtomicU64,
    pub(crate) at: u64,
    pub(crate) fault: Fault,
}

fn dead() -> LogError {
    LogError::Closed("the caller is dead".into())
}

impl Faulty {
    async fn call<T>(&self, effect: impl Future<Output = Result<T, LogError>>) -> Result<T, LogError> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let deadly = matches!(self.fault, Fault::DieBefore | Fault::DieAfter);
        if call < self.at || (call > self.at && !deadly) {
            return effect.await;
        }
        if call > self.at {
            return Err(dead());
        }
        match self.fault {
            Fault::DieBefore => Err(dead()),
            Fault::DieAfter => effect.await.and(Err(dead())),
            Fault::Unavailable => Err(LogError::Unavailable("test".into())),
            Fault::IndeterminateBefore => Err(LogError::Indeterminate("test".into())),
            Fault::IndeterminateAfter => effect.await.and(Err(LogError::Indeterminate("test".into()))),
        }
    }
}

#[async_trait]
impl Log for Faulty {
    fn partitions(&self, topic: Topic) -> u32 {
        self.inner.partitions(topic)
    }
    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError> {
        self.call(self.inner.append(topic, records)).await
    }
    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError> {
        self.call(self.inner.read(topic, from)).await
    }
    async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError> {
        self.call(self.inner.join(group)).await
    }
    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError> {
        self.call(self.inner.commit(group, records, offsets)).await
    }
    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError> {
        self.call(self.inner.committed(group, topic)).await
    }
    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError> {
        self.call(self.inner.bounds(topic)).await
    }
    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError> {
        self.call(self.inner.offsets_at(topic, time_ms)).await
    }
}
