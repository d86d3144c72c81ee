//! The log: what happened, in order, durable. The first of the two seams of waystream.
//!
//! A *topic* is cut into a fixed number of *partitions*; a record's key decides its partition, for ever. Inside a partition
//! records have growing *offsets* (not always consecutive: compaction and retention leave gaps). Adapters: [`embedded`]
//! (redb, in this process) and [`kafka`] (for several processes). This crate is *not* a message bus: nobody is called back,
//! readers pull.

pub mod audit;
pub mod catalog;
pub mod contract;
pub mod embedded;
pub mod kafka;
mod membership;
pub mod metrics;
mod record;
mod topic;

pub use membership::{Membership, Share};
pub use record::{Entry, Record};
pub use topic::{Keep, Topic, partition_of};

use async_trait::async_trait;
use std::collections::BTreeMap;

/// Where readers go on: per topic and partition, the offset of the next record to read.
pub type Offsets = BTreeMap<(Topic, u32), u64>;

/// Whose offsets `commit` moves: a consumer group, and the member (dataflow worker) in it that writes.
/// Offsets are kept per group and partition; two members must not own one partition at a time.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Group {
    /// Name of the group: `dataflow`, `archive`.
    pub name: String,
    /// Number of the member.
    pub member: u32,
}

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Passing trouble; the write surely did not happen. Try again.
    #[error("log is unavailable: {0}")]
    Unavailable(String),
    /// The write may or may not have happened. Try again: everything downstream is idempotent.
    #[error("log write may not have happened: {0}")]
    Indeterminate(String),
    /// A record is too large or a partition does not exist: the same call can't succeed.
    #[error("log refused: {0}")]
    Refused(String),
    /// The id of a fleet, the name of a user or a device is another organisation's: the same edit can't succeed.
    #[error("{0} is taken")]
    Taken(String),
    /// An organisation would be left without anybody who can let others in: the same edit can't succeed before there is another owner.
    #[error("an organisation keeps at least one owner")]
    LastOwner,
    /// The log's data can't be read: stop, an operator must look.
    #[error("log is damaged: {0}")]
    Damaged(String),
    /// Another member has taken over this group's writes (fenced), or the log is closing: stop.
    #[error("log is closed to this caller: {0}")]
    Closed(String),
}

/// Bounds of one partition: `first..next` are the offsets that can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Oldest offset still there (or `next` if empty).
    pub first: u64,
    /// Offset that the next record will get at the earliest.
    pub next: u64,
}

/// The seam. Guarantees: see each method. Non-guarantees: no order between partitions or topics; a reader may see a record
/// again after a crash of the *reader* (it goes on from what it committed), never after a crash of the log.
#[async_trait]
pub trait Log: Send + Sync + 'static {
    /// Number of partitions of a topic, from 1.
    fn partitions(&self, topic: Topic) -> u32;

    /// Returns when every record is durable (fsync, or acks=all). Records of one key keep the order of the calls.
    /// Cancelling the future leaves it open whether the records are written.
    async fn append(&self, topic: Topic, records: Vec<Record>) -> Result<(), LogError>;

    /// A cursor over the partitions named in `from` (those of `topic`; others are ignored), from those offsets on. An offset
    /// below the partition's first starts at the first. Compacted topics may leave out overwritten values.
    async fn read(&self, topic: Topic, from: &Offsets) -> Result<Box<dyn LogReader>, LogError>;

    /// Joins `group` as one of the processes that share its work: tells which partitions are this process's to read and commit.
    /// Once at a time per process and group.
    async fn join(&self, group: &str) -> Result<Box<dyn Membership>, LogError>;

    /// Atomically: these records appended AND `group` moved to these offsets (of any topics). All or nothing, durable on return.
    /// Without records and offsets it only ends what an earlier process may have left half-done as this member.
    async fn commit(&self, group: &Group, records: Vec<(Topic, Record)>, offsets: &Offsets) -> Result<(), LogError>;

    /// What `group` (all members together) has committed for this topic; partitions without a commit are at 0.
    async fn committed(&self, group: &str, topic: Topic) -> Result<Offsets, LogError>;

    /// Bounds of every partition of a topic, by partition.
    async fn bounds(&self, topic: Topic) -> Result<Vec<Bounds>, LogError>;

    /// Per partition, the first offset appended at or after this time (milliseconds since the Unix epoch); `next` if none.
    async fn offsets_at(&self, topic: Topic, time_ms: i64) -> Result<Offsets, LogError>;
}

/// A cursor. Dropping it is the way to stop.
#[async_trait]
pub trait LogReader: Send {
    /// Waits until there is at least one record, wakes at once when one is committed, returns up to about `max` records of
    /// ONE partition in offset order; partitions take turns. Cancel-safe: a record not returned is returned next time.
    async fn next(&mut self, max: usize) -> Result<Batch, LogError>;

    /// Like `next`, but `None` once all that was acknowledged before this call has been returned.
    async fn try_next(&mut self, max: usize) -> Result<Option<Batch>, LogError>;
}

/// Some consecutive records of one partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Which partition.
    pub partition: u32,
    /// In offset order, at least one.
    pub entries: Vec<Entry>,
    /// Where this reader goes on in this partition: commit this.
    pub next: u64,
}
