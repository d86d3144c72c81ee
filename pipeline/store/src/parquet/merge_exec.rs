//! The merge as a node of a DataFusion plan.

use crate::Table;
use crate::merge::{Merge, Step};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexOrdering, OrderingRequirements, Partitioning, PhysicalExpr,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    ChildrenPropertiesMode, DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, PlanProperties, ReplaceChildrenOptions,
};
use futures::{StreamExt, stream};
use std::fmt;
use std::sync::Arc;

/// Merges inputs that are sorted by the table's key, and passes on the newest version of each row. Nothing is pushed down through it but
/// by the scan that makes it, which knows what may pass.
#[derive(Debug)]
pub(crate) struct MergeExec {
    table: Table,
    inputs: Vec<Arc<dyn ExecutionPlan>>,
    ordering: LexOrdering,
    properties: Arc<PlanProperties>,
}

impl MergeExec {
    /// Inputs have one partition each and one schema, with all columns of key and version.
    pub(crate) fn new(table: Table, inputs: Vec<Arc<dyn ExecutionPlan>>, ordering: LexOrdering) -> Result<Self> {
        let Some(first) = inputs.first() else { return internal_err!("nothing to merge") };
        let equivalence = EquivalenceProperties::new_with_orderings(first.schema(), [ordering.clone()]);
        let properties = PlanProperties::new(
            equivalence,
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self { table, inputs, ordering, properties: Arc::new(properties) })
    }
}

impl DisplayAs for MergeExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MergeExec: {}, newest version of each row of {} parts", self.table.name(), self.inputs.len())
    }
}

impl ExecutionPlan for MergeExec {
    fn name(&self) -> &'static str {
        "MergeExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition; self.inputs.len()])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        vec![Some(OrderingRequirements::from(self.ordering.clone())); self.inputs.len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false; self.inputs.len()]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true; self.inputs.len()]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inputs.iter().collect()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self::new(self.table, children, self.ordering.clone())?))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition != 0 || self.inputs.iter().any(|i| i.output_partitioning().partition_count() != 1) {
            return internal_err!("a merge has one partition, and so have its inputs");
        }
        let inputs: Vec<_> = self.inputs.iter().map(|i| i.execute(0, context.clone())).collect::<Result<_>>()?;
        let merge = Merge::new(self.table, inputs.len());
        let rows = stream::try_unfold((merge, inputs), |(mut merge, mut inputs)| async move {
            loop {
                match merge.step()? {
                    Step::Need(i) => match inputs[i].next().await.transpose()? {
                        Some(batch) => merge.give(i, batch)?,
                        None => merge.end(i),
                    },
                    Step::Rows(rows) => return Ok(Some((rows, (merge, inputs)))),
                    Step::Done => return Ok(None),
                }
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
