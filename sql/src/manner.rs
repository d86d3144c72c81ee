//! How a question is asked: as plain SQL over the scope's tables, or as the clients of another protocol do.

use crate::{SqlError, statement};
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use datafusion::sql::parser::Statement;

/// What a manner may do differently. Whatever it does, one reading statement runs on the tables of a scope: statement and plan are
/// checked by the engine.
pub(crate) trait Manner: Send + Sync + 'static {
    /// Reads the text. Runs on the engine's threads.
    fn parse(&self, sql: &str) -> Result<Statement, SqlError> {
        statement::parse(sql)
    }

    /// Adds what the statement may use besides the scope's tables.
    fn furnish(&self, _context: &SessionContext) -> Result<(), SqlError> {
        Ok(())
    }

    /// Puts in the values of parameters.
    fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        Ok(plan)
    }
}

/// Plain SQL.
pub(crate) struct Plain;

impl Manner for Plain {}
