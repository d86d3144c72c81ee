//! Which columns a statement names. Tables are questions of their own over the store's; what they have and nobody names is looked at
//! in every step of planning, which is most of the time of a question that reads little.

use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{self, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Visit, Visitor};
use std::collections::HashSet;
use std::ops::ControlFlow;

/// All that may be the name of a column, in small letters; `None` if a statement has other ways to ask for one (`*`, NATURAL, new names
/// by place and so on). What is not surely a plain query over names is such.
pub(crate) fn columns(statement: &Statement) -> Option<HashSet<String>> {
    match statement {
        Statement::Statement(s) if matches!(s.as_ref(), ast::Statement::Query(_)) => {
            let mut names = Names::default();
            s.visit(&mut names).is_continue().then_some(names.0)
        }
        Statement::Explain(e) => columns(&e.statement),
        _ => None,
    }
}

#[derive(Default)]
struct Names(HashSet<String>);

impl Names {
    fn add(&mut self, names: &[Ident]) {
        self.0.extend(names.iter().map(|name| name.value.to_lowercase()));
    }
}

impl Visitor for Names {
    type Break = ();

    fn pre_visit_query(&mut self, query: &ast::Query) -> ControlFlow<()> {
        go_on_if(query.pipe_operators.is_empty() && has_lists(&query.body))
    }

    fn pre_visit_select(&mut self, select: &ast::Select) -> ControlFlow<()> {
        let is_named =
            |item: &ast::SelectItem| matches!(item, ast::SelectItem::UnnamedExpr(_) | ast::SelectItem::ExprWithAlias { .. });
        go_on_if(
            select.flavor == ast::SelectFlavor::Standard
                && select.projection.iter().all(is_named)
                && select.from.iter().all(joins_by_names),
        )
    }

    fn pre_visit_table_factor(&mut self, factor: &ast::TableFactor) -> ControlFlow<()> {
        use ast::TableFactor as F;
        let (alias, joins) = match factor {
            F::Table { alias, .. } | F::Derived { alias, .. } => (alias, true),
            F::NestedJoin { table_with_joins, alias } => (alias, joins_by_names(table_with_joins)),
            _ => return ControlFlow::Break(()),
        };
        go_on_if(joins && alias.as_ref().is_none_or(|alias| alias.columns.is_empty()))
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        match expr {
            Expr::Identifier(name) => self.add(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(names) => self.add(names),
            Expr::Wildcard(_) | Expr::QualifiedWildcard(..) => return ControlFlow::Break(()),
            Expr::Function(f) => return go_on_if(is_count(f) || !has_wildcard(&f.args)),
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

fn go_on_if(so: bool) -> ControlFlow<()> {
    if so { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

/// Nothing but SELECT and VALUES, which say what they give.
fn has_lists(body: &ast::SetExpr) -> bool {
    match body {
        ast::SetExpr::Select(_) | ast::SetExpr::Values(_) | ast::SetExpr::Query(_) => true,
        ast::SetExpr::SetOperation { left, right, .. } => has_lists(left) && has_lists(right),
        _ => false,
    }
}

fn joins_by_names(tables: &ast::TableWithJoins) -> bool {
    use ast::{JoinConstraint as C, JoinOperator as J};
    tables.joins.iter().all(|join| match &join.join_operator {
        J::Join(c)
        | J::Inner(c)
        | J::Left(c)
        | J::LeftOuter(c)
        | J::Right(c)
        | J::RightOuter(c)
        | J::FullOuter(c)
        | J::CrossJoin(c) => {
            matches!(c, C::On(_) | C::None)
        }
        _ => false,
    })
}

fn is_count(function: &ast::Function) -> bool {
    let name = function.name.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| name.value.eq_ignore_ascii_case("count"))
}

fn has_wildcard(arguments: &FunctionArguments) -> bool {
    let FunctionArguments::List(list) = arguments else { return false };
    let is_named = |argument: &FunctionArg| match argument {
        FunctionArg::Named { arg, .. } | FunctionArg::ExprNamed { arg, .. } | FunctionArg::Unnamed(arg) => {
            matches!(arg, FunctionArgExpr::Expr(_))
        }
    };
    !list.args.iter().all(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statement;

    fn of(sql: &str) -> Option<Vec<String>> {
        let mut names: Vec<String> = columns(&statement::parse(sql).expect("a statement"))?.into_iter().collect();
        names.sort();
        Some(names)
    }

    #[test]
    fn every_name_is_found_wherever_it_is() {
        let sql = "EXPLAIN WITH a AS (SELECT DISTINCT ON (p.One) Two + 1 AS x FROM positions p WHERE three IN (SELECT four FROM events)),
                   b AS (VALUES (1), (five))
                   SELECT count(*) FILTER (WHERE six), f(named => seven), sum(eight) OVER (PARTITION BY nine ORDER BY \"Ten\"),
                          CASE WHEN eleven THEN 1 END, (twelve).thirteen, last_value(v ORDER BY fourteen), sum(x) OVER w
                   FROM a LEFT JOIN (b JOIN c ON fifteen = 1) ON a.sixteen = b.x, LATERAL (SELECT seventeen) AS l
                   GROUP BY eighteen HAVING nineteen WINDOW w AS (ORDER BY twenty)
                   UNION ALL (SELECT twentyone ORDER BY twentytwo LIMIT 1)";
        let found = of(sql).expect("names");
        let wanted = [
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
            "twentyone",
            "twentytwo",
        ];
        for name in wanted {
            assert!(found.iter().any(|f| f == name), "{name} is not among {found:?}");
        }
    }

    #[test]
    fn what_may_ask_for_a_column_without_its_name_asks_for_all() {
        for sql in [
            "SELECT * FROM positions",
            "SELECT p.* FROM positions p",
            "SELECT 1 FROM (SELECT * FROM positions) AS a",
            "SELECT 1 WHERE EXISTS (SELECT * FROM positions)",
            "SELECT 1 UNION ALL SELECT * FROM positions",
            "WITH a AS (SELECT * FROM positions) SELECT 1 FROM a",
            "SELECT 1 UNION ALL TABLE positions",
            "SELECT 1 FROM positions NATURAL JOIN devices",
            "SELECT 1 FROM positions JOIN devices USING (device)",
            "SELECT 1 FROM (positions NATURAL JOIN devices)",
            "SELECT a FROM positions AS p (a, b)",
            "SELECT a FROM (SELECT 1) AS p (a)",
            "SELECT concat(p.*) FROM positions p",
            "SHOW COLUMNS FROM positions",
            "DESCRIBE positions",
            "EXPLAIN SELECT * FROM positions",
        ] {
            assert_eq!(of(sql), None, "{sql}");
        }
        assert_eq!(of("SELECT count(*), speed_mps * 3.6 FROM positions").expect("names"), ["speed_mps"]);
    }
}
