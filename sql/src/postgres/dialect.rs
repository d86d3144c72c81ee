//! Questions as Postgres clients ask them: with `pg_catalog`, functions of Postgres, and values for `$1`.

use super::catalog::{PG_CATALOG, PgCatalog, build};
use super::exchange::Parts;
use super::functions::{Facts, register};
use crate::context::{CATALOG, SCHEMA};
use crate::manner::Manner;
use crate::{SqlError, statement};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::ParamValues;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;
use datafusion::sql::resolve::resolve_table_references;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan};
use datafusion_pg_catalog::pg_catalog::generate_series_arg_coercion::CoerceIntArgsToBigInt;
use datafusion_pg_catalog::pg_catalog::oid_type_planner::PgOidTypePlanner;
use datafusion_pg_catalog::sql::PostgresCompatibilityParser;
use datafusion_pg_catalog::sql::rules::{
    CurrentUserVariableToSessionUserFunctionCall, FixVersionColumnName, RewriteArrayAnyAllOperation, SqlStatementRewriteRule,
    StripCallableQualifier,
};
use std::collections::BTreeSet;
use std::sync::Arc;

/// What all connections share.
pub(super) struct Dialect {
    catalog: PgCatalog,
    /// Names of the tables of a scope.
    history: BTreeSet<String>,
    rewriter: PostgresCompatibilityParser,
    parts: Parts,
    /// What is rewritten in any statement: it means the same afterwards.
    harmless: [Box<dyn SqlStatementRewriteRule>; 4],
}

impl Dialect {
    /// Over the tables that everybody has.
    pub(super) fn new(tables: Vec<(String, SchemaRef)>) -> Result<Self, SqlError> {
        Ok(Self {
            history: tables.iter().map(|(name, _)| name.clone()).collect(),
            catalog: build(tables)?,
            rewriter: PostgresCompatibilityParser::new(),
            parts: Parts::new()?,
            harmless: [
                Box::new(RewriteArrayAnyAllOperation),
                Box::new(CurrentUserVariableToSessionUserFunctionCall),
                Box::new(StripCallableQualifier),
                Box::new(FixVersionColumnName),
            ],
        })
    }

    /// Whether it is about Postgres's own tables only. Questions of that kind, which tools ask, are rewritten until they can be
    /// answered, by which parts of them may come to NULL: never those about history.
    fn is_about_catalog(&self, tokens: &[TokenWithSpan], parsed: &Statement) -> Result<bool, SqlError> {
        if !tokens.iter().any(names_catalog) {
            return Ok(false);
        }
        let (tables, _) = resolve_table_references(parsed, true)?;
        Ok(!tables.iter().any(|t| t.schema().is_none_or(|schema| schema == SCHEMA) && self.history.contains(t.table())))
    }
}

/// One question of one connection.
pub(super) struct Asked {
    pub(super) dialect: Arc<Dialect>,
    pub(super) facts: Facts,
    /// Of `$1` and so on.
    pub(super) values: Option<ParamValues>,
}

impl Manner for Asked {
    fn parse(&self, sql: &str) -> Result<Statement, SqlError> {
        let dialect = self.dialect.as_ref();
        let parsed = statement::parse(sql)?;
        let tokens = statement::tokens(sql)?;
        if dialect.is_about_catalog(&tokens, &parsed)? {
            let exchanged = dialect.parts.exchange(sql, &tokens);
            let sql = exchanged.as_deref().unwrap_or(sql);
            let mut all = dialect.rewriter.parse(sql).map_err(|e| SqlError::invalid(e.to_string()))?;
            if let (Some(rewritten), true) = (all.pop(), all.is_empty()) {
                return Ok(Statement::Statement(Box::new(rewritten)));
            }
        }
        Ok(match parsed {
            Statement::Statement(query) => {
                Statement::Statement(Box::new(dialect.harmless.iter().fold(*query, |query, rule| rule.rewrite(query))))
            }
            other => other,
        })
    }

    fn furnish(&self, context: &SessionContext) -> Result<(), SqlError> {
        let Dialect { catalog, .. } = self.dialect.as_ref();
        if let Some(ours) = context.catalog(CATALOG) {
            ours.register_schema(PG_CATALOG, Arc::clone(&catalog.schema))?;
        }
        register(context, &self.facts);
        context.register_udtf("pg_get_keywords", Arc::clone(&catalog.keywords) as _);
        let state = context.state_ref();
        // So that `now()` and `timestamptz` are times of a time zone, which drivers tell apart from others.
        state.write().config_mut().options_mut().execution.time_zone = Some("UTC".to_owned());
        // Types like regclass. Functions see the time zone too when all is put together again.
        let types = Arc::new(PgOidTypePlanner);
        let ours = SessionStateBuilder::new_from_existing(context.state()).with_type_planner(types).build();
        *state.write() = ours;
        CoerceIntArgsToBigInt::widen(context);
        Ok(())
    }

    fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        match &self.values {
            Some(values) => Ok(plan.replace_params_with_values(values)?),
            None => Ok(plan),
        }
    }
}

/// Whether a word is of Postgres's own.
fn names_catalog(token: &TokenWithSpan) -> bool {
    let Token::Word(word) = &token.token else { return false };
    let word = word.value.to_lowercase();
    word.starts_with("pg_") || ["current_setting", "current_schemas", "information_schema"].contains(&word.as_str())
}
