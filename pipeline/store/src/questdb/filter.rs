//! Conditions in QuestDB's SQL. Only what means exactly the same there, or is surely wider: the rest DataFusion checks itself.

use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator, TableProviderFilterPushDown};
use std::ops::RangeInclusive;

/// Longer conditions stay here: a request has at most 64 KB, with quotes and commas taking three bytes each.
pub(crate) const MAX_BYTES: usize = 12_000;

/// A condition for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) sql: String,
    /// Whether exactly the rows pass that should; if not, some others do too.
    pub(crate) exact: bool,
}

/// How the server can help with a filter.
pub(crate) fn support(filter: &Expr, schema: &SchemaRef) -> TableProviderFilterPushDown {
    match translate(filter, schema) {
        Some(Condition { exact: true, .. }) => TableProviderFilterPushDown::Exact,
        Some(_) => TableProviderFilterPushDown::Inexact,
        None => TableProviderFilterPushDown::Unsupported,
    }
}

/// `None`: nothing that the server could check.
pub(crate) fn translate(filter: &Expr, schema: &SchemaRef) -> Option<Condition> {
    condition(filter, schema).filter(|c| c.sql.len() <= MAX_BYTES)
}

fn exact(sql: String) -> Option<Condition> {
    Some(Condition { sql, exact: true })
}

fn condition(filter: &Expr, schema: &SchemaRef) -> Option<Condition> {
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: op @ (Operator::And | Operator::Or), right }) => {
            let (left, right) = (condition(left, schema), condition(right, schema));
            let word = if *op == Operator::And { "AND" } else { "OR" };
            match (left, right) {
                (Some(l), Some(r)) => {
                    Some(Condition { sql: format!("({} {word} {})", l.sql, r.sql), exact: l.exact && r.exact })
                }
                // Half of a conjunction is wider than the whole.
                (Some(one), None) | (None, Some(one)) if *op == Operator::And => Some(Condition { exact: false, ..one }),
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
            (Expr::Column(c), Expr::Literal(value, _)) => compare(&c.name, *op, value, schema),
            (Expr::Literal(value, _), Expr::Column(c)) => compare(&c.name, op.swap()?, value, schema),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let side = |op, bound: &Expr| match (expr.as_ref(), bound) {
                (Expr::Column(c), Expr::Literal(value, _)) => compare(&c.name, op, value, schema),
                _ => None,
            };
            let (low, high) = (side(Operator::GtEq, low)?, side(Operator::LtEq, high)?);
            Some(Condition { sql: format!("({} AND {})", low.sql, high.sql), exact: low.exact && high.exact })
        }
        Expr::InList(list) => {
            let Expr::Column(c) = list.expr.as_ref() else { return None };
            let nullable = schema.field_with_name(&c.name).ok()?.is_nullable();
            let texts = list.list.iter().map(|e| match e {
                Expr::Literal(value, _) => text(value),
                _ => None,
            });
            let texts = texts.collect::<Option<Vec<_>>>()?;
            // NULL is not "not in a list" in SQL, but it is in QuestDB.
            if texts.is_empty() || (list.negated && nullable) {
                return None;
            }
            exact(format!("{} {}IN ({})", c.name, if list.negated { "NOT " } else { "" }, texts.join(",")))
        }
        Expr::Column(c) if is_flag(&c.name, schema) => exact(c.name.clone()),
        Expr::Not(inner) => match inner.as_ref() {
            Expr::Column(c) if is_flag(&c.name, schema) => exact(format!("NOT {}", c.name)),
            _ => None,
        },
        Expr::IsNull(inner) => nullable_column(inner, schema).and_then(|c| exact(format!("{c} IS NULL"))),
        Expr::IsNotNull(inner) => nullable_column(inner, schema).and_then(|c| exact(format!("{c} IS NOT NULL"))),
        _ => None,
    }
}

fn is_flag(name: &str, schema: &SchemaRef) -> bool {
    schema.field_with_name(name).is_ok_and(|f| f.data_type() == &arrow::datatypes::DataType::Boolean && !f.is_nullable())
}

fn nullable_column<'a>(expr: &'a Expr, schema: &SchemaRef) -> Option<&'a str> {
    match expr {
        Expr::Column(c) if schema.field_with_name(&c.name).ok()?.is_nullable() => Some(&c.name),
        _ => None,
    }
}

fn compare(column: &str, op: Operator, value: &ScalarValue, schema: &SchemaRef) -> Option<Condition> {
    let nullable = schema.field_with_name(column).ok()?.is_nullable();
    let sign = match op {
        Operator::Eq => "=",
        // NULL differs from everything in QuestDB, from nothing in SQL.
        Operator::NotEq if !nullable => "!=",
        Operator::Lt => "<",
        Operator::LtEq => "<=",
        Operator::Gt => ">",
        Operator::GtEq => ">=",
        _ => return None,
    };
    if let Some(text) = text(value) {
        // Texts are ordered otherwise there.
        return if matches!(op, Operator::Eq | Operator::NotEq) { exact(format!("{column} {sign} {text}")) } else { None };
    }
    if let Some(number) = integer(value).filter(|_| !nullable || op == Operator::Eq) {
        return exact(format!("{column} {sign} {number}"));
    }
    // QuestDB takes numbers for equal that differ by 1e-10, and columns may be of single precision: a little wider, then.
    let number = real(value)?;
    let slack = 1e-6 + number.abs() * 1e-6;
    let sql = match op {
        Operator::Lt | Operator::LtEq => format!("{column} < {:?}", number + slack),
        Operator::Gt | Operator::GtEq => format!("{column} > {:?}", number - slack),
        Operator::Eq => format!("({column} > {:?} AND {column} < {:?})", number - slack, number + slack),
        _ => return None,
    };
    Some(Condition { sql, exact: false })
}

/// In quotes. Texts with control characters are left to DataFusion.
fn text(value: &ScalarValue) -> Option<String> {
    match value {
        ScalarValue::Utf8(Some(t)) | ScalarValue::Utf8View(Some(t)) | ScalarValue::LargeUtf8(Some(t)) => {
            // An empty symbol is none.
            (!t.is_empty() && !t.contains(char::is_control)).then(|| format!("'{}'", t.replace('\'', "''")))
        }
        _ => None,
    }
}

/// Whole numbers, and times in microseconds.
fn integer(value: &ScalarValue) -> Option<i64> {
    match value {
        ScalarValue::TimestampNanosecond(Some(t), _) => (t % 1_000 == 0).then_some(t / 1_000),
        ScalarValue::TimestampMicrosecond(Some(t), _) => Some(*t),
        ScalarValue::TimestampMillisecond(Some(t), _) => t.checked_mul(1_000),
        ScalarValue::TimestampSecond(Some(t), _) => t.checked_mul(1_000_000),
        ScalarValue::Int64(Some(n)) => Some(*n),
        ScalarValue::Int32(Some(n)) => Some(i64::from(*n)),
        _ => None,
    }
    // The least number stands for NULL there.
    .filter(|n| *n != i64::MIN)
}

fn real(value: &ScalarValue) -> Option<f64> {
    match value {
        ScalarValue::Float64(Some(n)) => Some(*n),
        ScalarValue::Float32(Some(n)) => Some(f64::from(*n)),
        _ => None,
    }
    .filter(|n| n.is_finite())
}

/// Fix times, in milliseconds, outside of which no row passes all the filters.
pub(crate) fn fix_times(filters: &[Expr]) -> RangeInclusive<i64> {
    let (mut from, mut to) = (i64::MIN, i64::MAX);
    let mut bound = |op: Operator, value: &ScalarValue| {
        let Some(ms) = integer(value).map(|us| us.div_euclid(1_000)) else { return };
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            from = from.max(ms);
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            to = to.min(ms);
        }
    };
    let is_time = |e: &Expr| matches!(e, Expr::Column(c) if c.name == "fix_time");
    for filter in filters.iter().flat_map(datafusion::logical_expr::utils::split_conjunction) {
        match filter {
            Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (left.as_ref(), right.as_ref()) {
                (column, Expr::Literal(value, _)) if is_time(column) => bound(*op, value),
                (Expr::Literal(value, _), column) if is_time(column) => bound(op.swap().unwrap_or(Operator::NotEq), value),
                _ => {}
            },
            Expr::Between(Between { expr, negated: false, low, high }) if is_time(expr) => {
                if let (Expr::Literal(low, _), Expr::Literal(high, _)) = (low.as_ref(), high.as_ref()) {
                    bound(Operator::GtEq, low);
                    bound(Operator::LtEq, high);
                }
            }
            _ => {}
        }
    }
    from..=to
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Table;
    use datafusion::logical_expr::{col, lit, not};

    fn time(ms: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())))
    }

    #[test]
    fn conditions_say_in_questdbs_sql_what_the_filters_say_or_less() {
        let events = Table::Events.schema();
        let positions = Table::Positions.schema();
        let cases = [
            (&positions, col("device").eq(lit("it's")), Some(("device = 'it''s'", true))),
            (&positions, col("device").not_eq(lit("a")), Some(("device != 'a'", true))),
            (&positions, col("device").gt(lit("a")), None),
            (&positions, col("device").eq(lit("a\u{0}b")), None),
            (&positions, col("device").eq(lit("")), None),
            (&positions, col("fix_time").gt_eq(time(-5)), Some(("fix_time >= -5000", true))),
            (&positions, time(7).gt(col("fix_time")), Some(("fix_time < 7000", true))),
            (&positions, col("fix_time").between(time(1), time(2)), Some(("(fix_time >= 1000 AND fix_time <= 2000)", true))),
            (&positions, col("fix_time").gt(time(i64::MAX)), None),
            (
                &positions,
                col("fleet").in_list(vec![lit("n"), lit("s")], false).or(not(col("valid"))),
                Some(("(fleet IN ('n','s') OR NOT valid)", true)),
            ),
            (&positions, col("fleet").in_list(vec![lit("n")], true), Some(("fleet NOT IN ('n')", true))),
            (&positions, col("lat").gt(lit(45.0)), Some(("lat > 44.999954", false))),
            (&positions, col("lat").gt(lit(f64::NAN)), None),
            (&positions, col("valid").and(col("attributes").like(lit("%x%"))), Some(("valid", false))),
            (&positions, col("valid").or(col("attributes").like(lit("%x%"))), None),
            (&positions, not(col("lat").gt(lit(45.0))), None),
            (&positions, col("speed_mps").is_null(), Some(("speed_mps IS NULL", true))),
            (&positions, col("device").is_null(), None),
            (&events, col("geofence").not_eq(lit("a")), None),
            (&events, col("geofence").in_list(vec![lit("n")], true), None),
            (&events, col("geofence_version").lt(lit(4_i64)), None),
            (&events, col("log_offset").gt_eq(lit(4_i64)), Some(("log_offset >= 4", true))),
        ];
        for (schema, filter, sql) in cases {
            let expected = sql.map(|(sql, exact)| Condition { sql: sql.into(), exact });
            assert_eq!(translate(&filter, schema), expected, "{filter}");
        }
        let many = (0..5_000).map(|i| lit(format!("device {i}"))).collect();
        assert_eq!(translate(&col("device").in_list(many, false), &positions), None, "longer than a request may be");
    }

    #[test]
    fn only_times_within_these_bounds_pass() {
        let day = || col("fix_time").gt_eq(time(10)).and(col("fix_time").lt(time(20)));
        assert_eq!(fix_times(&[day()]), 10..=20);
        assert_eq!(fix_times(&[day(), time(15).lt(col("fix_time"))]), 15..=20);
        assert_eq!(fix_times(&[col("fix_time").eq(time(3))]), 3..=3);
        assert_eq!(fix_times(&[day().or(col("valid"))]), i64::MIN..=i64::MAX);
    }
}
