//! Operators that hold or multiply rows without asking the memory pool: what comes to them is counted for them.

use super::MAX_VALUE;
use super::scalar::longest;
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Result, ScalarValue, resources_err};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::WindowFrameBound;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, replace_children_if_necessary};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties, ReplaceChildrenOptions, WindowExpr,
};
use futures::StreamExt;
use std::fmt;
use std::sync::Arc;

/// Rows ahead that a window may look at without being counted as one that holds all.
const AHEAD: u64 = 10_000;
/// Most bytes that one row may become.
const MAX_UNNESTED: usize = 256 * MAX_VALUE;

/// The same plan with what is counted.
pub(crate) fn counted(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let Some(burden) = burden(node.as_ref()) else { return Ok(Transformed::no(node)) };
        let children = node.children().into_iter().map(|child| {
            let (input, properties) = (Arc::clone(child), Arc::clone(child.properties()));
            Arc::new(Counted { input, properties, burden }) as Arc<dyn ExecutionPlan>
        });
        let children = children.collect();
        Ok(Transformed::yes(replace_children_if_necessary(node, children)?))
    })?;
    Ok(plan.data)
}

/// What an operator does with its rows.
#[derive(Debug, Clone, Copy)]
enum Burden {
    /// Holds all, and what it works out for them.
    Holds,
    /// Makes many of one.
    Multiplies,
}

fn burden(node: &dyn ExecutionPlan) -> Option<Burden> {
    if node.downcast_ref::<UnnestExec>().is_some() {
        return Some(Burden::Multiplies);
    }
    if node.downcast_ref::<WindowAggExec>().is_some() {
        return Some(Burden::Holds);
    }
    let bounded = node.downcast_ref::<BoundedWindowAggExec>()?;
    bounded.window_expr().iter().any(looks_far_ahead).then_some(Burden::Holds)
}

fn looks_far_ahead(window: &Arc<dyn WindowExpr>) -> bool {
    match &window.get_window_frame().end_bound {
        WindowFrameBound::Following(ScalarValue::UInt64(Some(rows))) => *rows > AHEAD,
        // By values: nobody knows how many rows these are.
        WindowFrameBound::Following(_) => true,
        _ => false,
    }
}

/// Hands rows on, and counts them.
#[derive(Debug)]
struct Counted {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    burden: Burden,
}

impl DisplayAs for Counted {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

impl ExecutionPlan for Counted {
    fn name(&self) -> &'static str {
        "Counted"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.swap_remove(0);
        let properties = Arc::clone(input.properties());
        Ok(Arc::new(Self { input, properties, burden: self.burden }))
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, Arc::clone(&context))?;
        let held = MemoryConsumer::new("rows of a window").register(context.memory_pool());
        let (schema, burden): (SchemaRef, _) = (rows.schema(), self.burden);
        let counted = rows.map(move |batch| {
            let batch = batch?;
            match burden {
                Burden::Holds => hold(&held, &batch)?,
                Burden::Multiplies => check(&batch)?,
            }
            Ok(batch)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, counted)))
    }
}

/// Twice: what a window gives is put together beside what it was given.
fn hold(held: &MemoryReservation, batch: &RecordBatch) -> Result<()> {
    held.try_grow(batch.get_array_memory_size() * 2)
}

/// Whether no row becomes too much when its lists are laid out.
fn check(batch: &RecordBatch) -> Result<()> {
    let elements = batch.columns().iter().map(|column| elements(column)).max().unwrap_or(0);
    let widest = batch.columns().iter().map(longest).fold(0, usize::saturating_add);
    if elements.saturating_mul(widest) > MAX_UNNESTED {
        return resources_err!("rows with {elements} elements and up to {widest} bytes are too much to unnest");
    }
    Ok(())
}

/// Of the longest list.
fn elements(column: &dyn Array) -> usize {
    match column.data_type() {
        DataType::List(_) => {
            column.as_list::<i32>().value_offsets().windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
        }
        DataType::LargeList(_) => {
            column.as_list::<i64>().value_offsets().windows(2).map(|pair| (pair[1] - pair[0]) as usize).max().unwrap_or(0)
        }
        DataType::FixedSizeList(_, elements) => *elements as usize,
        _ => 1,
    }
}
