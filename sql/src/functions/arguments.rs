//! Arguments of table functions: constants, where NULL is as good as none, or places (`$1` of a prepared statement) that get their values
//! later. The engine has simplified them: what has a value now is a literal.

use datafusion::arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{Expr, LogicalPlan, cast, lit};
use waystream_domain::Timestamp;

/// A number of `what`, if it is known now.
pub(super) fn number(function: &str, what: &str, argument: Option<&Expr>) -> Result<Option<f64>> {
    match argument {
        None => Ok(None),
        Some(Expr::Literal(value, _)) if value.is_null() => Ok(None),
        Some(Expr::Literal(value, _)) if value.data_type().is_numeric() => match value.cast_to(&DataType::Float64)? {
            ScalarValue::Float64(number) => Ok(number),
            other => plan_err!("{function} takes a number of {what}, not {other}"),
        },
        Some(other) => plan_err!("{function} takes a number of {what}, not {other}"),
    }
}

/// A number of `what`, now or later.
pub(super) fn number_or_place(function: &str, what: &str, argument: &Expr) -> Result<Expr> {
    if is_open(argument)? {
        return Ok(cast(argument.clone(), DataType::Float64));
    }
    Ok(lit(ScalarValue::Float64(number(function, what, Some(argument))?)))
}

/// From the first of these times to the second; without them, all times that text can name: the years 1 to 9999.
pub(super) fn range(function: &str, times: &[Expr]) -> Result<[Expr; 2]> {
    let of_rows = DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()));
    let time = |i: usize, otherwise: &str| match times.get(i) {
        None => parse(otherwise),
        Some(Expr::Literal(value, _)) if value.is_null() => parse(otherwise),
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)) => parse(text),
        Some(Expr::Literal(value, _)) if value.data_type().is_temporal() => Ok(lit(value.cast_to(&of_rows)?)),
        Some(open) if is_open(open)? => Ok(cast(open.clone(), of_rows.clone())),
        Some(other) => plan_err!("{function} takes a time, not {other}"),
    };
    Ok([time(0, "0001-01-01T00:00:00Z")?, time(1, "9999-12-31T23:59:59.999Z")?])
}

/// A plan with arguments in its places, `$1` and on. They may have places themselves.
pub(super) fn filled(function: &str, plan: LogicalPlan, arguments: &[Expr]) -> Result<LogicalPlan> {
    let filled = plan.transform_up_with_subqueries(|node| {
        node.map_expressions(|expr| {
            expr.transform_up(|expr| match &expr {
                Expr::Placeholder(place) => {
                    let number = place.id.trim_start_matches('$').parse::<usize>().ok();
                    let argument = number.and_then(|n| arguments.get(n.checked_sub(1)?));
                    match argument {
                        Some(argument) => Ok(Transformed::yes(argument.clone())),
                        None => plan_err!("{function} has no place {}", place.id),
                    }
                }
                _ => Ok(Transformed::no(expr)),
            })
        })
    })?;
    Ok(filled.data)
}

/// Whether its value is still to come.
fn is_open(expr: &Expr) -> Result<bool> {
    expr.exists(|e| Ok(matches!(e, Expr::Placeholder(_))))
}

fn parse(text: &str) -> Result<Expr> {
    match Timestamp::parse(text) {
        Some(time) => Ok(lit(ScalarValue::TimestampMillisecond(Some(time.as_millis()), Some("UTC".into())))),
        None => plan_err!("{text} is not a time (ISO 8601)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::col;
    use proptest::prelude::*;

    fn argument() -> impl Strategy<Value = Expr> {
        prop_oneof![
            any::<f64>().prop_map(lit),
            any::<i64>().prop_map(lit),
            any::<bool>().prop_map(lit),
            ".*".prop_map(lit),
            "[0-9]{4}-[0-9]{2}-[0-9]{2}".prop_map(lit),
            Just(lit(ScalarValue::Null)),
            Just(lit(ScalarValue::Float64(None))),
            Just(lit(ScalarValue::Utf8(None))),
            Just(col("a")),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn anything_is_taken_or_refused_and_nothing_is_none(arguments in prop::collection::vec(argument(), 0..3)) {
            let is_null = |expr: &Expr| matches!(expr, Expr::Literal(value, _) if value.is_null());
            let none = range("f", &[]).expect("all times");
            match range("f", &arguments) {
                Ok(range) => {
                    for (i, argument) in arguments.iter().take(2).enumerate() {
                        prop_assert!(!is_null(argument) || range[i] == none[i], "{argument}: {:?}", range[i]);
                    }
                }
                Err(error) => prop_assert!(error.to_string().contains("time"), "{error}"),
            }
            match number("f", "seconds", arguments.first()) {
                Ok(number) => prop_assert_eq!(number.is_none(), arguments.first().is_none_or(is_null)),
                Err(error) => prop_assert!(error.to_string().contains("f takes a number of seconds"), "{error}"),
            }
        }
    }
}
