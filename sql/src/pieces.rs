//! Groups by device over one file that several threads read, each a piece of it.
//!
//! A file is sorted by device, so the piece of the second thread begins behind that of the first. DataFusion keeps this order on the way
//! to the final grouping, which then has each group as soon as its last row has come; but who merges pieces in order takes all of the
//! first before the second may go on, and one processor works. Here the order is given up, unless something above asks for it:
//! then the final grouping keeps all its groups, which are those of one file.

use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::physical_plan::FileScanConfig;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_optimizer::sanity_checker::SanityCheckPlan;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::repartition::RepartitionExec;
use std::collections::HashSet;
use std::sync::Arc;

type Rules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

/// DataFusion's rules, and this one while it is still known which order the asker wants.
pub(crate) fn rules() -> Rules {
    let mut rules = PhysicalOptimizer::new().rules;
    let forgotten = rules.iter().rposition(|rule| rule.name() == "OutputRequirements").unwrap_or(rules.len());
    rules.insert(forgotten, Arc::new(PiecesSideBySide));
    rules
}

#[derive(Debug)]
struct PiecesSideBySide;

impl PhysicalOptimizerRule for PiecesSideBySide {
    fn name(&self) -> &str {
        "pieces_side_by_side"
    }

    fn schema_check(&self) -> bool {
        true
    }

    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let open = Arc::clone(&plan).transform_up(without_order)?;
        // Whether all above have what they ask for.
        let is_enough = open.transformed && SanityCheckPlan::new().optimize(Arc::clone(&open.data), config).is_ok();
        Ok(if is_enough { open.data } else { plan })
    }
}

/// A final grouping that takes its rows as they come.
fn without_order(plan: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let input = match plan.downcast_ref::<AggregateExec>() {
        Some(grouping) if *grouping.mode() == AggregateMode::FinalPartitioned => grouping.input(),
        _ => return Ok(Transformed::no(plan)),
    };
    match input.downcast_ref::<RepartitionExec>() {
        Some(ordered) if ordered.preserve_order() && reads_pieces(ordered.input())? => {
            let open = RepartitionExec::try_new(Arc::clone(ordered.input()), ordered.partitioning().clone())?;
            Ok(Transformed::yes(replace_children_if_necessary(plan, vec![Arc::new(open)])?))
        }
        _ => Ok(Transformed::no(plan)),
    }
}

/// Whether two partitions read of one file.
fn reads_pieces(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply(|node| {
        let source = node.downcast_ref::<DataSourceExec>().and_then(|exec| exec.data_source().downcast_ref::<FileScanConfig>());
        if let Some(source) = source {
            let mut seen = HashSet::new();
            let files = source.file_groups.iter().flat_map(|group| group.files());
            found |= files.map(|file| &file.object_meta.location).any(|path| !seen.insert(path));
        }
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{ArrayRef, Float64Array, RecordBatch, StringArray};
    use datafusion::arrow::util::pretty::pretty_format_batches;
    use datafusion::common::config::TableParquetOptions;
    use datafusion::dataframe::DataFrameWriteOptions;
    use datafusion::execution::session_state::SessionStateBuilder;
    use datafusion::physical_plan::displayable;
    use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext, col};

    const DEVICES: usize = 100;
    const ROWS_OF_A_DEVICE: usize = 300;

    /// A file of several row groups, sorted by device, that two threads read.
    async fn context(folder: &std::path::Path, rules: Rules) -> SessionContext {
        let config = SessionConfig::new().with_target_partitions(2).with_repartition_file_min_size(1);
        let state = SessionStateBuilder::new().with_config(config).with_default_features();
        let context = SessionContext::new_with_state(state.with_physical_optimizer_rules(rules).build());
        let rows = (0..DEVICES).flat_map(|device| (0..ROWS_OF_A_DEVICE).map(move |n| (device, n)));
        let devices: StringArray = rows.clone().map(|(device, _)| Some(format!("d{device:02}"))).collect();
        let speeds: Float64Array = rows.map(|(device, n)| Some((device * n) as f64)).collect();
        let columns: [(&str, ArrayRef); 2] = [("device", Arc::new(devices)), ("speed_mps", Arc::new(speeds))];
        let rows = context.read_batch(RecordBatch::try_from_iter(columns).expect("columns")).expect("rows");
        let path = folder.join("day.parquet").display().to_string();
        let mut options = TableParquetOptions::default();
        options.global.max_row_group_size = 10 * ROWS_OF_A_DEVICE;
        rows.write_parquet(&path, DataFrameWriteOptions::new(), Some(options)).await.expect("a file");
        let sorted = ParquetReadOptions::default().file_sort_order(vec![vec![col("device").sort(true, false)]]);
        context.register_parquet("positions", &path, sorted).await.expect("a table");
        context
    }

    async fn plan_and_rows(context: &SessionContext, sql: &str) -> (String, String) {
        let frame = context.sql(sql).await.expect("a question");
        let plan = frame.clone().create_physical_plan().await.expect("a plan");
        let rows = frame.collect().await.expect("an answer");
        (displayable(plan.as_ref()).indent(false).to_string(), pretty_format_batches(&rows).expect("text").to_string())
    }

    #[tokio::test]
    async fn pieces_of_a_file_do_not_wait_for_each_other_unless_their_order_is_asked_for() {
        let folder = tempfile::tempdir().expect("a folder");
        let context = context(folder.path(), rules()).await;
        let plain = super::tests::context(folder.path(), PhysicalOptimizer::new().rules).await;
        let groups = "SELECT device, avg(speed_mps) AS v, count(*) AS n FROM positions GROUP BY device";
        let sorted = |rows: &str| {
            let mut lines: Vec<String> = rows.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        let (before, expected) = plan_and_rows(&plain, groups).await;
        assert!(before.contains("preserve_order=true"), "DataFusion does so no more, this rule may go: {before}");
        let (plan, rows) = plan_and_rows(&context, groups).await;
        assert!(!plan.contains("preserve_order=true"), "{plan}");
        assert_eq!(sorted(&rows), sorted(&expected));

        for asked in [
            format!("{groups} ORDER BY device"),
            format!("SELECT *, lag(v) OVER (ORDER BY device) FROM ({groups}) ORDER BY device"),
        ] {
            let (plan, rows) = plan_and_rows(&context, &asked).await;
            assert_eq!(rows, plan_and_rows(&plain, &asked).await.1, "{plan}");
        }
    }
}
