//! The store: all history, queryable. The second of the two seams of waystream.
//!
//! A [`Store`] takes what the [`archive`] loop reads from the log and gives it back as DataFusion tables, each row once
//! however often it was appended. Adapters: [`parquet`] (sorted files in a data folder), [`questdb`] (tables of a server). This crate is
//! *not* a query engine (that is `waystream-sql`) and knows no rights: its tables show everything.

pub mod archive;
pub mod contract;
mod cursor;
mod digest;
mod erased;
pub mod erasing;
mod export;
mod memory;
mod merge;
pub mod metrics;
pub mod parquet;
pub mod questdb;
mod retention;
pub mod rows;
mod table;

pub use archive::{Archive, ArchiveConfig, ArchiveError};
pub use cursor::EventCursor;
pub use export::PositionsFile;
pub use retention::RetentionRules;
pub use table::{EVENT_COLUMNS, POSITION_COLUMNS, Table};

use async_trait::async_trait;
use datafusion::catalog::TableProvider;
use datafusion::physical_plan::ExecutionPlan;
use std::path::Path;
use std::sync::Arc;
use waystream_domain::{Erasure, Event, Position, Timestamp};
use waystream_log::Offsets;

/// A record of the log, decoded, with its place: what breaks ties between versions of a row, and what event cursors count.
#[derive(Debug, Clone, PartialEq)]
pub struct Archived<T> {
    /// Partition of the topic.
    pub partition: u32,
    /// Offset in the partition.
    pub offset: u64,
    /// The row.
    pub row: T,
}

/// What one `append` takes: rows, and how far the log is covered once they are in.
#[derive(Debug, Clone, Default)]
pub struct ArchiveBatch {
    /// From the topic `positions`.
    pub positions: Vec<Archived<Position>>,
    /// From the topic `events`.
    pub events: Vec<Archived<Event>>,
    /// Per topic and partition, the offset after the last one that this batch covers (records skipped as undecodable included).
    /// Partitions that the batch doesn't touch are left out.
    pub offsets: Offsets,
}

/// How much is readable but not yet durable: who appends decides by it when to [`Store::flush`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unflushed {
    /// Rows of all tables.
    pub rows: usize,
    /// Bytes of memory they take.
    pub bytes: usize,
}

/// What was taken elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Number of files.
    pub files: usize,
    /// Rows in them.
    pub rows: u64,
    /// Their size.
    pub bytes: u64,
}

/// Errors by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Passing trouble (disk full, service down): the same call may succeed later. Appending again is harmless.
    #[error("store is unavailable: {0}")]
    Unavailable(String),
    /// What is stored can't be read or trusted: stop, an operator must look.
    #[error("store is damaged: {0}")]
    Damaged(String),
    /// The store is open elsewhere, read only, or made by a newer version: the same call can't succeed.
    #[error("store refused: {0}")]
    Refused(String),
}

/// The same table for a question whose answer depends on no rows but the newest of each device: of the rows that pass the filters
/// of a scan, older ones than a device's last by fix time may be left out. `None` if the store can't make use of that.
pub fn newest_only(table: &Arc<dyn TableProvider>) -> Option<Arc<dyn TableProvider>> {
    parquet::newest_only(table).or_else(|| questdb::newest_only(table))
}

/// The seam. Guarantees:
///
/// - `append` is idempotent. A position is its (device, fix_time): of several versions the one received last is kept, and of
///   those received in the same millisecond the one last in the log. An event is its id (which fixes device and fix time): the
///   version last in the log is kept.
/// - What an `append` that returned has taken is in the tables asked for afterwards.
/// - What `covered` answers is durable and never goes back; everything below it is in the tables after any crash.
/// - A table is a snapshot: it never changes, and stays readable while files are compacted or retired.
/// - What was erased stays erased, whatever is appended again.
///
/// Non-guarantees: rows above `covered` may be gone after a crash (they are in the log: append them again); rows come in no
/// order.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Takes rows in; they are readable when it returns, durable after the next `flush`.
    async fn append(&self, batch: Arc<ArchiveBatch>) -> Result<Unflushed, StoreError>;

    /// Makes everything appended before the call durable; answers what is covered then.
    async fn flush(&self) -> Result<Offsets, StoreError>;

    /// Where the archive must go on: per topic and partition the first offset that is not durably stored.
    async fn covered(&self) -> Result<Offsets, StoreError>;

    /// Per topic and partition the first offset whose row is not yet readable: `covered`, and what was appended since.
    fn readable(&self) -> Offsets;

    /// All positions as they are now: columns [`POSITION_COLUMNS`], then `log_partition`, `log_offset`.
    fn positions(&self) -> Arc<dyn TableProvider>;

    /// All events as they are now: columns [`EVENT_COLUMNS`], then `log_partition`, `log_offset`.
    fn events(&self) -> Arc<dyn TableProvider>;

    /// First and last fix time of all positions, if that is known without reading them. There may be less, but nothing beyond.
    fn fix_times(&self) -> Option<(Timestamp, Timestamp)> {
        None
    }

    /// Housekeeping that may take long and can be repeated at will: compaction, retention as of `now`.
    async fn maintain(&self, now: Timestamp) -> Result<(), StoreError>;

    /// Reading by this plan has failed: finds out whether what it reads is damaged, so that it is left out from then on.
    async fn suspect(&self, plan: Arc<dyn ExecutionPlan>) {
        drop(plan);
    }

    /// From now on `maintain` removes also what is past these rules. (QuestDB has one time for a table: there they change nothing.)
    fn keep_only(&self, rules: RetentionRules);

    /// Removes what an erasure covers, and leaves it out whenever it is appended again. Tables asked for afterwards don't have it; when it
    /// returns, no file has it either, so it waits for readers of earlier tables (what QuestDB keeps: see its adapter). Can be repeated.
    async fn erase(&self, erasure: &Erasure) -> Result<(), StoreError>;

    /// What can't be read and is left out of the tables: one sentence each, naming the file.
    fn damage(&self) -> Vec<String>;

    /// Looks at all that is stored, however long that takes; answers as [`Self::damage`] does then.
    async fn check(&self) -> Result<Vec<String>, StoreError>;

    /// Copies all that was appended before into a new folder. `Refused` where history is not in files of ours.
    async fn copy_to(&self, folder: &Path) -> Result<Copied, StoreError>;
}
