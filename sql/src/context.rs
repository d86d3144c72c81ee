//! The context of one question: tables that show what the scope allows, and nothing else.

use crate::functions::{Gaps, JourneysTable, Zones};
use crate::manner::Manner;
use crate::memory::Memory;
use crate::newest::NewestRows;
use crate::room::Room;
use crate::{
    Flaw, LatestPositions, Scope, SqlError, attributes, functions, growing, latest, named, pieces, statement, tables, views,
};
#[cfg(any(feature = "flight", feature = "postgres"))]
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::{Result, TableReference};
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::execution::context::SQLOptions;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder, col, lit};
use datafusion::prelude::{DataFrame, SessionConfig, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};
use waystream_domain::SharedCatalog;
use waystream_store::{EVENT_COLUMNS, Store, Table};

/// Scalar functions whose result may be as large as an argument says, or which may take as long as two long texts say, beyond the
/// reach of memory pool and deadline.
const UNBOUNDED: [&str; 9] =
    ["repeat", "lpad", "rpad", "range", "generate_series", "array_repeat", "array_resize", "list_repeat", "levenshtein"];
/// The one that works with a function of the question's own, once for each element.
const UNBOUNDED_OF_ELEMENTS: &str = "array_transform";

/// Tables that are no questions over others. Who names only such is not kept waiting until all there is has been planned.
const PLAIN: [&str; 6] = ["positions", "events", "devices", "fleets", "geofences", "acknowledgements"];

/// The column that tables have though nobody names it: where rows are only counted they would be without any.
const ALWAYS: &str = "device";

/// What the tables are in.
pub(crate) const CATALOG: &str = "waystream";
pub(crate) const SCHEMA: &str = "public";

/// What questions run on.
pub(crate) struct Core {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) catalog: SharedCatalog,
    pub(crate) latest: OnceLock<Arc<dyn LatestPositions>>,
    pub(crate) memory: Memory,
    pub(crate) partitions: usize,
    /// Of the open streams of fixes.
    pub(crate) fix_room: Room,
}

impl Core {
    fn config(&self) -> SessionConfig {
        let mut config = SessionConfig::new()
            .with_information_schema(true)
            .with_default_catalog_and_schema(CATALOG, SCHEMA)
            .with_target_partitions(self.partitions);
        let options = config.options_mut();
        options.sql_parser.dialect = statement::DIALECT;
        options.sql_parser.collect_spans = true;
        options.execution.parquet.pushdown_filters = true;
        // Files of older programs have some. Rows are sorted by device: the bounds of row groups and pages tell as much without reading on.
        options.execution.parquet.bloom_filter_on_read = false;
        options.execution.sort_spill_reservation_bytes = self.memory.sort_bytes(self.partitions);
        // Several sorts side by side take all the memory there is for merging their files, and then who merges their rows has
        // none; with one, a sort of any size ends well. Reading and filtering before it stay side by side.
        options.optimizer.repartition_sorts = false;
        config
    }

    /// A context of its own for one question.
    fn context(&self, scope: &Scope) -> Result<SessionContext> {
        let state =
            SessionStateBuilder::new().with_config(self.config()).with_runtime_env(self.memory.of(scope.organisation())?);
        let state = state.with_default_features().with_physical_optimizer_rules(pieces::rules());
        let mut context = SessionContext::new_with_state(state.build());
        UNBOUNDED.iter().for_each(|name| context.deregister_udf(name));
        context.deregister_higher_order_function(UNBOUNDED_OF_ELEMENTS);
        growing::look_after(&mut context)?;
        context.add_optimizer_rule(Arc::new(NewestRows));
        Ok(context)
    }

    /// All columns of a table of the store, rows of the scope's fleets only. For questions of our own, in which nothing is called by its
    /// name: several hundred functions need not be registered for a vehicle's day.
    pub(crate) fn rows(&self, scope: &Scope, table: Table) -> Result<DataFrame> {
        let plan = in_fleets(self.provider(table), table, scope)?.build()?;
        let runtime = self.memory.of(scope.organisation())?;
        let state = SessionStateBuilder::new().with_config(self.config()).with_runtime_env(runtime).build();
        Ok(DataFrame::new(state, plan))
    }

    fn provider(&self, table: Table) -> Arc<dyn TableProvider> {
        match table {
            Table::Positions => self.store.positions(),
            Table::Events => self.store.events(),
        }
    }

    /// Plans a statement of [`statement::parse`] over the tables of the scope.
    pub(crate) async fn plan(&self, scope: &Scope, statement: Statement, manner: &dyn Manner) -> Result<Planned, SqlError> {
        let (tables, _) = resolve_table_references(&statement, true)?;
        let lateral = statement::lateral_functions(&statement);
        let names: HashSet<String> = tables.iter().map(|t| t.table().to_owned()).chain(lateral).collect();
        let mut named = Named { tables: names, columns: None };
        if self.only_plain(&named.tables) {
            named.columns = named::columns(&statement);
        }
        let (mut context, mut planned) = self.try_plan(scope, &statement, &named, manner).await?;
        if planned.is_err() && named.columns.take().is_some() {
            // Who named what there isn't is told what there is.
            (context, planned) = self.try_plan(scope, &statement, &named, manner).await?;
        }
        let plan = planned.map_err(|error| {
            let functions = context.state().table_functions().clone();
            let is_there = |table: &TableReference| {
                functions.contains_key(table.table()) || context.table_exist(table.clone()).unwrap_or(false)
            };
            match error.into() {
                SqlError::Invalid { message, at, flaw: Flaw::Other } if !tables.iter().all(is_there) => {
                    SqlError::Invalid { message, at, flaw: Flaw::Table }
                }
                error => error,
            }
        })?;
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false).verify_plan(&plan)?;
        Ok(Planned { context, plan })
    }

    /// The plan, or what is wrong with the statement, and the context in which it is so.
    async fn try_plan(
        &self,
        scope: &Scope,
        statement: &Statement,
        named: &Named,
        manner: &dyn Manner,
    ) -> Result<(SessionContext, Result<LogicalPlan>), SqlError> {
        let context = self.context(scope)?;
        functions::register(&context, Zones::new(self.catalog.clone(), scope.clone()));
        self.register_tables(&context, scope, named).await?;
        manner.furnish(&context)?;
        let planned = context.state().statement_to_plan(statement.clone()).await;
        Ok((context, planned))
    }

    /// Whether none of these tables is a question over others.
    fn only_plain(&self, tables: &HashSet<String>) -> bool {
        let is_plain = |name: &str| PLAIN.contains(&name) || (name == "latest_positions" && self.latest.get().is_some());
        !tables.is_empty() && tables.iter().all(|name| is_plain(name))
    }

    async fn register_tables(&self, context: &SessionContext, scope: &Scope, named: &Named) -> Result<()> {
        let wanted = &named.tables;
        let only_plain = self.only_plain(wanted);
        let needed = |name: &str| !only_plain || wanted.contains(name);
        let column = |name: &str| named.columns.as_ref().is_none_or(|columns| name == ALWAYS || columns.contains(name));
        for table in Table::ALL.into_iter().filter(|table| needed(table.name())) {
            let rows = in_fleets(self.provider(table), table, scope)?;
            let rows = match table {
                Table::Positions => attributes::with_columns(rows, context, column)?,
                Table::Events => rows.project(EVENT_COLUMNS.into_iter().filter(|name| column(name)).map(col))?,
            };
            context.register_table(table.name(), Arc::new(ViewTable::new(rows.build()?, None)))?;
        }
        for (name, provider) in tables::of_scope(&self.catalog, scope, |name| wanted.contains(name))? {
            if needed(name) {
                context.register_table(name, provider)?;
            }
        }
        if only_plain && !wanted.contains("latest_positions") {
            return Ok(());
        }
        let state = context.state();
        let latest = match self.latest.get() {
            Some(source) if wanted.contains("latest_positions") => latest::plan(source.of_scope(scope), context, column)?,
            Some(_) => latest::plan(Vec::new(), context, column)?,
            None => state.create_logical_plan(latest::FROM_HISTORY).await?,
        };
        context.register_table("latest_positions", Arc::new(ViewTable::new(latest, None)))?;
        if only_plain {
            return Ok(());
        }
        for (name, sql) in views::VIEWS {
            let plan = context.state().create_logical_plan(sql).await?;
            context.register_table(name, Arc::new(ViewTable::new(plan, None)))?;
            if wanted.contains(name) {
                context.register_udtf(name, Arc::new(JourneysTable::new(name, sql, context).await?));
            }
        }
        let gaps = Gaps { plan: state.create_logical_plan(functions::GAPS_QUERY).await? };
        context.register_udtf("gaps", Arc::new(gaps));
        Ok(())
    }

    /// Columns of every table that there is, which are the same in all scopes.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    pub(crate) async fn tables(&self, nobody: &Scope) -> Result<Vec<(String, SchemaRef)>> {
        let context = self.context(nobody)?;
        functions::register(&context, Zones::new(self.catalog.clone(), nobody.clone()));
        self.register_tables(&context, nobody, &Named::default()).await?;
        let mut tables = Vec::new();
        let schema = context.catalog(CATALOG).and_then(|catalog| catalog.schema(SCHEMA));
        for name in schema.iter().flat_map(|schema| schema.table_names()) {
            let provider = context.table_provider(name.as_str()).await?;
            tables.push((name, provider.schema()));
        }
        tables.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(tables)
    }
}

/// What a statement names.
#[derive(Default)]
struct Named {
    tables: HashSet<String>,
    /// See [`named::columns`]; `None` also where tables are questions over others, which name columns of their own.
    columns: Option<HashSet<String>>,
}

/// A statement that may be run, and where.
pub(crate) struct Planned {
    context: SessionContext,
    plan: LogicalPlan,
}

impl Planned {
    /// What it is.
    #[cfg(any(feature = "flight", feature = "postgres"))]
    pub(crate) fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// With the values of its parameters, if it has any.
    pub(crate) async fn start(self, manner: &dyn Manner) -> Result<DataFrame, SqlError> {
        let plan = manner.bind(self.plan)?;
        if let Some(rows) = growing::rows(&plan)? {
            let state = self.context.state_ref();
            let mut state = state.write();
            *state.config_mut() = state.config().clone().with_batch_size(rows);
        }
        Ok(self.context.execute_logical_plan(plan).await?)
    }
}

fn in_fleets(provider: Arc<dyn TableProvider>, table: Table, scope: &Scope) -> Result<LogicalPlanBuilder> {
    let fleets = scope.fleets().iter().map(|f| lit(f.as_str())).collect();
    LogicalPlanBuilder::scan(table.name(), provider_as_source(provider), None)?.filter(col("fleet").in_list(fleets, false))
}
