//! PostgreSQL's dialect with an end. What the parser can't make sense of in one way it tries in others, at every level of nesting, so that a
//! hundred bytes (`CAST(CAST(CAST(…`, or a function's argument that is a function's argument) could keep a thread for years. No
//! deadline stops a thread that computes without a pause.

use datafusion::sql::sqlparser::ast::Expr;
use datafusion::sql::sqlparser::dialect::{Dialect, PostgreSqlDialect, Precedence};
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::parser::{Parser, ParserError};
use std::any::TypeId;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Expressions that may be begun for one statement, each try counted: more than fit into the longest text that is taken.
const MAX_STEPS: usize = 200_000;
/// Longest time for it: a step may itself be long.
const LONGEST: Duration = Duration::from_secs(5);

/// For one statement.
#[derive(Debug)]
pub(crate) struct Bounded {
    postgres: PostgreSqlDialect,
    steps: AtomicUsize,
    began: Instant,
}

impl Bounded {
    /// It begins now.
    pub(crate) fn new() -> Self {
        Self { postgres: PostgreSqlDialect {}, steps: AtomicUsize::new(0), began: Instant::now() }
    }

    /// Whether the parser was stopped.
    pub(crate) fn is_spent(&self) -> bool {
        self.steps.load(Ordering::Relaxed) > MAX_STEPS
    }
}

/// What PostgreSQL's dialect answers.
macro_rules! as_postgres {
    ($($question:ident,)*) => {
        $(fn $question(&self) -> bool {
            self.postgres.$question()
        })*
    };
}

impl Dialect for Bounded {
    fn dialect(&self) -> TypeId {
        self.postgres.dialect()
    }

    fn parse_prefix(&self, _: &mut Parser<'_>) -> Option<Result<Expr, ParserError>> {
        let steps = self.steps.fetch_add(1, Ordering::Relaxed);
        if self.began.elapsed() > LONGEST {
            self.steps.store(MAX_STEPS + 1, Ordering::Relaxed);
        }
        // The one error after which it tries nothing else.
        (steps >= MAX_STEPS).then_some(Err(ParserError::RecursionLimitExceeded))
    }

    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        self.postgres.identifier_quote_style(identifier)
    }

    fn is_delimited_identifier_start(&self, c: char) -> bool {
        self.postgres.is_delimited_identifier_start(c)
    }

    fn is_identifier_start(&self, c: char) -> bool {
        self.postgres.is_identifier_start(c)
    }

    fn is_identifier_part(&self, c: char) -> bool {
        self.postgres.is_identifier_part(c)
    }

    fn is_custom_operator_part(&self, c: char) -> bool {
        self.postgres.is_custom_operator_part(c)
    }

    fn is_reserved_for_identifier(&self, keyword: Keyword) -> bool {
        self.postgres.is_reserved_for_identifier(keyword)
    }

    fn get_next_precedence(&self, parser: &Parser<'_>) -> Option<Result<u8, ParserError>> {
        self.postgres.get_next_precedence(parser)
    }

    fn prec_value(&self, precedence: Precedence) -> u8 {
        self.postgres.prec_value(precedence)
    }

    as_postgres!(
        supports_unicode_string_literal,
        supports_filter_during_aggregation,
        supports_group_by_expr,
        allow_extract_custom,
        allow_extract_single_quotes,
        supports_create_index_with_clause,
        supports_explain_with_utility_options,
        supports_listen_notify,
        supports_factorial_operator,
        supports_bitwise_shift_operators,
        supports_comment_on,
        supports_load_extension,
        supports_named_fn_args_with_colon_operator,
        supports_named_fn_args_with_expr_name,
        supports_empty_projections,
        supports_nested_comments,
        supports_string_escape_constant,
        supports_numeric_literal_underscores,
        supports_array_typedef_with_brackets,
        supports_geometric_types,
        supports_set_names,
        supports_alter_column_type_using,
        supports_notnull_operator,
        supports_interval_options,
        supports_insert_table_alias,
        supports_create_table_like_parenthesized,
        supports_select_wildcard_with_alias,
        supports_comma_separated_trim,
        supports_xml_expressions,
        supports_comment_optimizer_hint,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::sql::parser::DFParserBuilder;

    /// What the statements of a text come to, as text.
    fn parsed(sql: &str, dialect: &dyn Dialect) -> Result<String, String> {
        let parser = DFParserBuilder::new(sql).with_dialect(dialect).build();
        let statements = parser.and_then(|mut parser| parser.parse_statements());
        statements.map(|all| format!("{all:?}")).map_err(|error| error.strip_backtrace())
    }

    #[test]
    fn what_the_parser_would_try_for_years_is_refused() {
        // As the engine's threads have it.
        let thread = std::thread::Builder::new().stack_size(32 << 20).spawn(refuse_what_is_tried_for_years);
        thread.expect("a thread").join().expect("all are refused");
    }

    fn refuse_what_is_tried_for_years() {
        let n = 40;
        for sql in [
            format!("SELECT {}1{}", "abs(".repeat(n), ")".repeat(n)),
            format!("SELECT {}+{}", "abs(".repeat(n), ")".repeat(n)),
            format!("SELECT {}+{}", "CAST(".repeat(n), " AS INT)".repeat(n)),
            format!("SELECT {}+{}", "INTERVAL (".repeat(n), ")".repeat(n)),
        ] {
            let bounded = Bounded::new();
            assert!(parsed(&sql, &bounded).is_err() && bounded.is_spent(), "{sql}");
        }
    }

    #[test]
    fn in_all_else_it_is_postgresqls() {
        let many: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
        let many = format!("SELECT 1 IN ({})", many.join(","));
        for sql in [
            "SELECT a->>'b', c @> '{}'::jsonb, d #- '{e}', f || g, h ~ 'i', -j ^ 2 % 3 FROM k WHERE l IS NOT NULL ORDER BY 1",
            "SELECT count(*) FILTER (WHERE a > 1), sum(b) OVER (PARTITION BY c ORDER BY d) FROM e GROUP BY f, g.h HAVING true",
            "SELECT \"A b\", ü_1, x$1, E'a\\nb', U&'\\0041', 1_000, interval '1' day, extract(epoch FROM a AT TIME ZONE 'UTC')",
            "SELECT ARRAY[1, 2][1], a[1:2], $1, $2::int[], round(x => 1), json_object('a': 1) /* b /* c */ d */ FROM LATERAL (SELECT 1) e",
            "WITH a AS (SELECT 1 UNION ALL SELECT 2) SELECT * FROM a NATURAL JOIN b LEFT JOIN LATERAL c(1) ON true",
            "EXPLAIN (ANALYZE, VERBOSE) SELECT a COLLATE \"C\" BETWEEN b AND c OR NOT d LIKE e FROM f",
            "SELECT a !! b FROM c WHERE `d`",
            "SELECT FROM a; SHOW b; SELECT user, current_user",
            many.as_str(),
        ] {
            let bounded = Bounded::new();
            assert_eq!(parsed(sql, &bounded), parsed(sql, &PostgreSqlDialect {}), "{sql}");
            assert!(!bounded.is_spent(), "{sql}");
        }
    }
}
