//! Running a plan over the store's tables: what turns out to be unreadable on the way is left out from then on.

use crate::context::Core;
use crate::{SqlError, growing};
use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use datafusion::prelude::DataFrame;
use futures::StreamExt;
use std::sync::Arc;
use waystream_store::Store;

/// Rows as they come.
pub(crate) struct Reading {
    store: Arc<dyn Store>,
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) rows: SendableRecordBatchStream,
}

impl Core {
    /// Begins to read.
    pub(crate) async fn read(&self, rows: DataFrame) -> Result<Reading, SqlError> {
        let context = Arc::new(rows.task_ctx());
        let plan = growing::counted(rows.create_physical_plan().await?)?;
        let rows = execute_stream(plan.clone(), context)?;
        Ok(Reading { store: self.store.clone(), plan, rows })
    }
}

impl Reading {
    /// The next rows; `None` at the end. After an error of the store it has looked for the cause.
    pub(crate) async fn next(&mut self) -> Result<Option<RecordBatch>, SqlError> {
        match self.rows.next().await.transpose().map_err(SqlError::from) {
            Err(SqlError::Store(why)) => {
                self.store.suspect(self.plan.clone()).await;
                Err(SqlError::Store(why))
            }
            next => next,
        }
    }
}
