//! Which statements are let in: one read, of bounded depth.

use crate::bounded::Bounded;
use crate::{Flaw, SqlError};
use datafusion::config::Dialect;
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::ast::{self, Visit, Visitor};
use datafusion::sql::sqlparser::dialect::PostgreSqlDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};
use std::convert::Infallible;
use std::ops::ControlFlow;

/// Longest text taken.
pub(crate) const MAX_BYTES: usize = 256 * 1024;

/// Each of these tokens may make the statement's tree one deeper, and the planner walks the tree by recursion.
const MAX_OPERATORS: usize = 1_000;

/// The dialect of the parser here and in the session.
pub(crate) const DIALECT: Dialect = Dialect::PostgreSQL;

/// Parses a text that must be one reading statement.
pub(crate) fn parse(sql: &str) -> Result<Statement, SqlError> {
    if sql.len() > MAX_BYTES {
        return Err(SqlError::invalid(format!("query is longer than {MAX_BYTES} bytes")));
    }
    if tokens(sql)?.iter().filter(|t| deepens(&t.token)).count() > MAX_OPERATORS {
        return Err(SqlError::invalid(format!("query has more than {MAX_OPERATORS} operators")));
    }
    let dialect = Bounded::new();
    let parsed = DFParserBuilder::new(sql).with_dialect(&dialect).build().and_then(|mut parser| parser.parse_statements());
    if dialect.is_spent() {
        return Err(SqlError::invalid("query is nested too deeply"));
    }
    let mut statements = parsed?;
    match (statements.pop_front(), statements.is_empty()) {
        (Some(statement), true) => {
            check(&statement)?;
            Ok(statement)
        }
        (Some(_), false) => Err(SqlError::invalid("more than one statement")),
        (None, _) => Err(SqlError::invalid("no statement")),
    }
}

/// The words of a text.
pub(crate) fn tokens(sql: &str) -> Result<Vec<TokenWithSpan>, SqlError> {
    Tokenizer::new(&PostgreSqlDialect {}, sql).tokenize_with_location().map_err(|e| SqlError::Invalid {
        message: e.message,
        at: Some((e.location.line, e.location.column)),
        flaw: Flaw::Syntax,
    })
}

fn deepens(token: &Token) -> bool {
    match token {
        Token::Word(w) => matches!(
            w.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::CASE
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::JOIN
                | Keyword::SELECT
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::IS
                | Keyword::BETWEEN
                | Keyword::CAST
                | Keyword::OPERATOR
                | Keyword::COLLATE
                | Keyword::AT
        ),
        Token::Whitespace(_)
        | Token::Comma
        | Token::SemiColon
        | Token::RParen
        | Token::RBracket
        | Token::RBrace
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Period
        | Token::EOF => false,
        _ => true,
    }
}

fn check(statement: &Statement) -> Result<(), SqlError> {
    match statement {
        Statement::Statement(s) => check_standard(s),
        Statement::Explain(e) => check(&e.statement),
        Statement::CreateExternalTable(_) => Err(SqlError::ReadOnly("CREATE EXTERNAL TABLE")),
        Statement::CopyTo(_) => Err(SqlError::ReadOnly("COPY")),
        Statement::Reset(_) => Err(SqlError::ReadOnly("RESET")),
    }
}

/// The plan is checked too (for writes that hide in a query); here is the list of what may begin at all.
fn check_standard(statement: &ast::Statement) -> Result<(), SqlError> {
    use ast::Statement as S;
    match statement {
        S::Query(_)
        | S::ExplainTable { .. }
        | S::ShowTables { .. }
        | S::ShowColumns { .. }
        | S::ShowVariable { .. }
        | S::ShowFunctions { .. } => Ok(()),
        S::Explain { statement, .. } => check_standard(statement),
        _ => Err(SqlError::ReadOnly("one SELECT, EXPLAIN, SHOW or DESCRIBE")),
    }
}

/// Functions that are tables behind LATERAL, which are not among the tables that a statement names for DataFusion.
pub(crate) fn lateral_functions(statement: &Statement) -> Vec<String> {
    let mut functions = Functions::default();
    match statement {
        Statement::Statement(s) => {
            let ControlFlow::Continue(()) = s.visit(&mut functions);
        }
        Statement::Explain(e) => return lateral_functions(&e.statement),
        _ => {}
    }
    functions.0
}

#[derive(Default)]
struct Functions(Vec<String>);

impl Visitor for Functions {
    type Break = Infallible;

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<Infallible> {
        if let ast::TableFactor::Function { name, .. } = factor {
            self.0.extend(name.0.last().and_then(|part| part.as_ident()).map(|name| name.value.to_lowercase()));
        }
        ControlFlow::Continue(())
    }
}
