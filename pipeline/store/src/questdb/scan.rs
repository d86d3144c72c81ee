//! A table as DataFusion reads it: a question to QuestDB, and the rows that are only in memory yet.

use super::exec::QuestDbExec;
use super::filter::{self, MAX_BYTES};
use super::newest;
use super::recent::Recent;
use super::schema::{ERASED, FIRST_FLUSH, Tables, Times, USUAL};
use super::server::NO_LIMIT;
use crate::Table;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DFSchema, Result};
use datafusion::datasource::TableType;
use datafusion::datasource::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_expr::expressions;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::union::UnionExec;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::sync::Arc;

/// One table at one moment. Of a row that is replaced while a query runs, the query may see the new version.
#[derive(Debug, Clone)]
pub(crate) struct QuestDbTable {
    pub(crate) tables: Arc<Tables>,
    pub(crate) table: Table,
    pub(crate) recent: Arc<Recent>,
    /// Rows first written by a later flush came later. `None`: all there are.
    pub(crate) flushed: Option<i32>,
    /// See [`crate::newest_only`].
    pub(crate) newest_only: bool,
}

/// Which of the rows that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// All, or so many.
    All(i64),
    /// The newest of each device, by usual fix times.
    Newest,
}

impl QuestDbTable {
    /// The question for rows of some times; `conditions` in SQL.
    fn question(&self, times: Times, columns: &[&str], conditions: &[String], which: Which) -> String {
        let mut sql = format!("SELECT {} FROM {}", columns.join(","), self.tables.names.rows(self.table, times));
        // Those that came later, and those that were erased.
        let hidden = [format!("{FIRST_FLUSH} <= {}", self.flushed.unwrap_or(ERASED - 1))];
        for (i, condition) in conditions.iter().chain(&hidden).enumerate() {
            write!(sql, " {} {condition}", if i == 0 { "WHERE" } else { "AND" }).expect("a String takes everything");
        }
        let limit = match which {
            Which::All(limit) => limit,
            Which::Newest => {
                // Of the rows that pass: conditions come before it.
                sql.push_str(" LATEST ON fix_time PARTITION BY device");
                NO_LIMIT
            }
        };
        write!(sql, " LIMIT {limit}").expect("a String takes everything");
        sql
    }

    /// The filters in the server's words, as far as they fit into a request, and whether they say exactly what the filters do.
    fn conditions(&self, filters: &[Expr]) -> (Vec<String>, bool) {
        let (schema, mut length) = (self.table.schema(), 0);
        let all = filters.iter().filter_map(|f| filter::translate(f, &schema));
        let fitting: Vec<_> = all
            .filter(|c| {
                let fits = length + c.sql.len() <= MAX_BYTES;
                length += if fits { c.sql.len() } else { 0 };
                fits
            })
            .collect();
        let exact = fitting.len() == filters.len() && fitting.iter().all(|c| c.exact);
        (fitting.into_iter().map(|c| c.sql).collect(), exact)
    }
}

#[async_trait]
impl TableProvider for QuestDbTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let schema = self.table.schema();
        let mut length = 0;
        let support = |f: &&Expr| {
            // All of them are in one request.
            length += filter::translate(f, &schema).map_or(0, |c| c.sql.len());
            if length > MAX_BYTES { TableProviderFilterPushDown::Unsupported } else { filter::support(f, &schema) }
        };
        // Which rows are newest depends on all filters: none may be kept from the scan.
        let told = |support| match support {
            TableProviderFilterPushDown::Unsupported if self.newest_only => TableProviderFilterPushDown::Inexact,
            support => support,
        };
        Ok(filters.iter().map(support).map(told).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = self.table.schema();
        let wanted: Vec<usize> = projection.cloned().unwrap_or_else(|| (0..schema.fields().len()).collect());
        let (conditions, all_exact) = self.conditions(filters);
        let merged = self.recent.merged(self.table)?;
        let newest = match self.newest_only && all_exact {
            true => newest::split(state, self.table, filters, merged)?.filter(|split| split.fits_beside(&conditions)),
            false => None,
        };

        let mut read: BTreeSet<usize> = wanted.iter().copied().collect();
        if merged.is_some() {
            for name in self.table.key().iter().chain(self.table.version()) {
                read.insert(schema.index_of(name)?);
            }
        }
        if newest.is_some() {
            read.extend([schema.index_of("device")?, schema.index_of("fix_time")?]);
        } else if read.is_empty() {
            // A question asks for something.
            read.insert(schema.index_of("fix_time")?);
        }
        let read: Vec<usize> = read.into_iter().collect();
        let asked = Arc::new(schema.project(&read)?);
        let names: Vec<&str> = asked.fields().iter().map(|f| f.name().as_str()).collect();
        let columns: Vec<usize> = wanted.iter().filter_map(|w| read.iter().position(|r| r == w)).collect();
        // Each row in memory takes the place of at most one that the server gives.
        let in_memory = merged.map_or(0, |m| m.rows.num_rows());
        let limit = limit.filter(|_| all_exact && !self.newest_only);
        let limit = limit.and_then(|n| i64::try_from(n.saturating_add(in_memory)).ok());
        let all = Which::All(limit.unwrap_or(NO_LIMIT));

        let between = filter::fix_times(filters);
        let usual = *between.start() < USUAL.end && *between.end() >= USUAL.start;
        let odd = *between.start() < USUAL.start || *between.end() >= USUAL.end;
        let mut plans: Vec<Arc<dyn ExecutionPlan>> = Vec::new();
        let mut questions: Vec<String> = Vec::new();
        match newest {
            Some(split) if usual => {
                let with = |more: Option<String>| conditions.iter().cloned().chain(more).collect::<Vec<_>>();
                questions.push(self.question(Times::Usual, &names, &with(split.decided), Which::Newest));
                let undecided = split.undecided.map(|devices| with(Some(devices)));
                questions.extend(undecided.map(|conditions| self.question(Times::Usual, &names, &conditions, all)));
            }
            _ if usual => questions.push(self.question(Times::Usual, &names, &conditions, all)),
            _ => {}
        }
        if odd {
            questions.push(self.question(Times::Odd, &names, &conditions, all));
        }
        for sql in questions {
            let (tables, recent) = (self.tables.clone(), self.recent.clone());
            plans.push(Arc::new(QuestDbExec::new(tables, self.table, sql, asked.clone(), columns.clone(), recent)?));
        }
        if let Some(merged) = merged {
            let all: Vec<usize> = (0..schema.fields().len()).collect();
            let rows = [vec![merged.rows.project(&all)?]];
            let mut plan: Arc<dyn ExecutionPlan> =
                DataSourceExec::from_data_source(MemorySourceConfig::try_new(&rows, schema.clone(), None)?);
            if let Some(filter) = conjunction(filters.iter().cloned()) {
                let filter = state.create_physical_expr(filter, &DFSchema::try_from(schema.clone())?)?;
                plan = Arc::new(FilterExec::try_new(filter, plan)?);
            }
            let columns = wanted.iter().map(|i| {
                let name = schema.field(*i).name();
                Ok((expressions::col(name, &schema)?, name.clone()))
            });
            plans.push(Arc::new(ProjectionExec::try_new(columns.collect::<Result<Vec<_>>>()?, plan)?));
        }
        match plans.len() {
            0 => Ok(Arc::new(EmptyExec::new(Arc::new(schema.project(&wanted)?)))),
            1 => Ok(plans.swap_remove(0)),
            _ => UnionExec::try_new(plans),
        }
    }
}
