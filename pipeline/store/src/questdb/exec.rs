//! A question to QuestDB as a node of a DataFusion plan.

use super::recent::Recent;
use super::schema::Tables;
use super::server::external;
use crate::Table;
use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions,
};
use std::fmt;
use std::sync::Arc;

/// Decoded batches that may wait for their reader.
const BATCHES: usize = 2;

/// The rows that a question gives, but for those that are in memory in a newer version.
#[derive(Debug)]
pub(crate) struct QuestDbExec {
    tables: Arc<Tables>,
    table: Table,
    /// The question. Its columns include those of the key if anything is in memory.
    sql: String,
    /// Its columns.
    asked: SchemaRef,
    /// Which of them come out, in this order.
    columns: Vec<usize>,
    recent: Arc<Recent>,
    properties: Arc<PlanProperties>,
}

impl QuestDbExec {
    pub(crate) fn new(
        tables: Arc<Tables>,
        table: Table,
        sql: String,
        asked: SchemaRef,
        columns: Vec<usize>,
        recent: Arc<Recent>,
    ) -> Result<Self> {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::new(asked.project(&columns)?)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { tables, table, sql, asked, columns, recent, properties: Arc::new(properties) })
    }
}

impl DisplayAs for QuestDbExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "QuestDbExec: {}", self.sql)
    }
}

impl ExecutionPlan for QuestDbExec {
    fn name(&self) -> &'static str {
        "QuestDbExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("a question has one answer");
        }
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), BATCHES);
        let out = stream.tx();
        let (tables, sql, asked, columns) = (self.tables.clone(), self.sql.clone(), self.asked.clone(), self.columns.clone());
        let (table, recent) = (self.table, self.recent.clone());
        // Dropped with the stream: the server notices that nobody waits for its answer.
        stream.spawn(async move {
            let server = tables.server().await.map_err(external)?;
            let exported = server.export(&sql, &context.runtime_env().disk_manager, None).await?;
            let decode = move || {
                let merged = recent.merged(table)?;
                for batch in exported.batches(asked)? {
                    let mut batch = batch?;
                    if let Some(merged) = merged {
                        batch = filter_record_batch(&batch, &BooleanArray::from(merged.lacks(table, &batch)?))?;
                    }
                    if out.blocking_send(Ok(batch.project(&columns)?)).is_err() {
                        break;
                    }
                }
                Ok(())
            };
            match tokio::task::spawn_blocking(decode).await {
                Ok(decoded) => decoded,
                Err(e) => internal_err!("decoding broke off: {e}"),
            }
        });
        Ok(stream.build())
    }
}
