//! The embedded store: recent rows in memory, the rest in sorted Parquet files.

use crate::merge::{merge_all, sort_unique};
use crate::{ArchiveBatch, Store, StoreError, Table, Unflushed, rows};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{MemTable, TableProvider};
use std::path::Path;
use std::sync::{Arc, RwLock};
use waystream_domain::Timestamp;
use waystream_log::Offsets;

/// How the embedded store behaves.
#[derive(Debug, Clone)]
pub struct ParquetOptions {
    /// Positions and events older than this many days (by fix time) are removed; `None` keeps all.
    pub retention_days: Option<u32>,
    /// Opens without changing anything in the folder; `append` works in memory, `flush` is refused.
    pub read_only: bool,
}

impl Default for ParquetOptions {
    fn default() -> Self {
        Self { retention_days: None, read_only: false }
    }
}

/// A store in a folder.
#[derive(Debug)]
pub struct ParquetStore {
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    positions: Vec<RecordBatch>,
    events: Vec<RecordBatch>,
    readable: Offsets,
}

impl ParquetStore {
    /// Opens the store in `dir`, creating it if there is none.
    pub fn open(_dir: &Path, _options: ParquetOptions) -> Result<Arc<Self>, StoreError> {
        Ok(Arc::new(Self { state: RwLock::default() }))
    }

    fn state(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().expect("nothing panics while it holds this lock")
    }

    fn table(&self, table: Table, runs: &[RecordBatch]) -> Arc<dyn TableProvider> {
        let rows = merge_all(table, runs).expect("runs have all columns");
        Arc::new(MemTable::try_new(table.schema(), vec![rows]).expect("runs have the schema of their table"))
    }
}

#[async_trait]
impl Store for ParquetStore {
    async fn append(&self, batch: Arc<ArchiveBatch>) -> Result<Unflushed, StoreError> {
        let unique = |table, batch: RecordBatch| sort_unique(table, &batch).map_err(|e| StoreError::Refused(e.to_string()));
        let positions = unique(Table::Positions, rows::positions_batch(&batch.positions))?;
        let events = unique(Table::Events, rows::events_batch(&batch.events))?;
        let mut state = self.state.write().expect("nothing panics while it holds this lock");
        state.positions.push(positions);
        state.events.push(events);
        state.readable.extend(batch.offsets.clone());
        Ok(Unflushed::default())
    }

    async fn flush(&self) -> Result<Offsets, StoreError> {
        self.covered().await
    }

    async fn covered(&self) -> Result<Offsets, StoreError> {
        Ok(Offsets::new())
    }

    fn readable(&self) -> Offsets {
        self.state().readable.clone()
    }

    fn positions(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Positions, &self.state().positions)
    }

    fn events(&self) -> Arc<dyn TableProvider> {
        self.table(Table::Events, &self.state().events)
    }

    async fn maintain(&self, _now: Timestamp) -> Result<(), StoreError> {
        Ok(())
    }

    fn damage(&self) -> Vec<String> {
        Vec::new()
    }
}
