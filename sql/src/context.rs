//! The context of one question: tables that show what the scope allows, and nothing else.

use crate::functions::{Gaps, Zones};
use crate::{LatestPositions, Scope, functions, latest, statement, tables, views};
use datafusion::catalog::TableProvider;
use datafusion::common::Result;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{LogicalPlanBuilder, col, lit};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use waystream_domain::SharedCatalog;
use waystream_store::{EVENT_COLUMNS, POSITION_COLUMNS, Store, Table};

/// Scalar functions whose result may be as large as an argument says, beyond the reach of memory pool and deadline.
const UNBOUNDED: [&str; 8] =
    ["repeat", "lpad", "rpad", "range", "generate_series", "array_repeat", "array_resize", "list_repeat"];

/// What questions run on.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) catalog: SharedCatalog,
    pub(crate) latest: OnceLock<Arc<dyn LatestPositions>>,
    pub(crate) env: Arc<RuntimeEnv>,
    pub(crate) partitions: usize,
}

impl Core {
    /// A context of its own for one question.
    fn context(&self) -> SessionContext {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema("waystream", "public")
            .with_target_partitions(self.partitions);
        let options = config.options_mut();
        options.sql_parser.dialect = statement::DIALECT;
        options.sql_parser.collect_spans = true;
        options.execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config_rt(config, self.env.clone());
        UNBOUNDED.iter().for_each(|name| context.deregister_udf(name));
        context
    }

    /// All columns of a table of the store, rows of the scope's fleets only.
    pub(crate) fn rows(&self, scope: &Scope, table: Table) -> Result<DataFrame> {
        let plan = in_fleets(self.provider(table), table, scope)?.build()?;
        Ok(DataFrame::new(self.context().state(), plan))
    }

    fn provider(&self, table: Table) -> Arc<dyn TableProvider> {
        match table {
            Table::Positions => self.store.positions(),
            Table::Events => self.store.events(),
        }
    }

    /// Plans a statement of [`statement::parse`] over the tables of the scope.
    pub(crate) async fn plan(&self, scope: &Scope, statement: Statement) -> Result<DataFrame> {
        let context = self.context();
        functions::register(&context, Zones::new(self.catalog.clone(), scope.clone()));
        for (table, columns) in [(Table::Positions, &POSITION_COLUMNS[..]), (Table::Events, &EVENT_COLUMNS[..])] {
            let plan = in_fleets(self.provider(table), table, scope)?.project(columns.iter().map(|c| col(*c)))?.build()?;
            context.register_table(table.name(), Arc::new(ViewTable::new(plan, None)))?;
        }
        let state = context.state();
        let named: HashSet<String> = state.resolve_table_references(&statement)?.iter().map(|t| t.table().to_owned()).collect();
        for (name, provider) in tables::of_scope(&self.catalog, scope, |name| named.contains(name))? {
            context.register_table(name, provider)?;
        }
        let latest = match self.latest.get() {
            Some(source) if named.contains("latest_positions") => latest::table(source.of_scope(scope))?,
            Some(_) => latest::table(Vec::new())?,
            None => Arc::new(ViewTable::new(state.create_logical_plan(latest::FROM_HISTORY).await?, None)),
        };
        context.register_table("latest_positions", latest)?;
        for (name, sql) in views::VIEWS {
            let plan = context.state().create_logical_plan(sql).await?;
            context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
        }
        let gaps = Gaps { plan: state.create_logical_plan(functions::GAPS_QUERY).await? };
        context.register_udtf("gaps", Arc::new(gaps));
        let state = context.state();
        let plan = state.statement_to_plan(statement).await?;
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
        context.execute_logical_plan(plan).await
    }
}

fn in_fleets(provider: Arc<dyn TableProvider>, table: Table, scope: &Scope) -> Result<LogicalPlanBuilder> {
    let fleets = scope.fleets.iter().map(|f| lit(f.as_str())).collect();
    LogicalPlanBuilder::scan(table.name(), provider_as_source(provider), None)?.filter(col("fleet").in_list(fleets, false))
}
