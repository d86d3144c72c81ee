//! Arguments of table functions: constants, where NULL is as good as none.

use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::Expr;
use waystream_domain::Timestamp;

/// A number of `what`.
pub(super) fn number(function: &str, what: &str, argument: Option<&Expr>) -> Result<Option<f64>> {
    match argument {
        None => Ok(None),
        Some(Expr::Literal(value, _)) if value.is_null() => Ok(None),
        Some(Expr::Literal(ScalarValue::Int64(Some(number)), _)) => Ok(Some(*number as f64)),
        Some(Expr::Literal(ScalarValue::Float64(Some(number)), _)) => Ok(Some(*number)),
        Some(other) => plan_err!("{function} takes a number of {what}, not {other}"),
    }
}

/// From the first of these times to the second; without them, all times that text can name: the years 1 to 9999.
pub(super) fn range(function: &str, times: &[Expr]) -> Result<[ScalarValue; 2]> {
    let time = |i: usize, otherwise: &str| match times.get(i) {
        None => parse(otherwise),
        Some(Expr::Literal(value, _)) if value.is_null() => parse(otherwise),
        Some(Expr::Literal(ScalarValue::Utf8(Some(text)) | ScalarValue::Utf8View(Some(text)), _)) => parse(text),
        Some(other) => plan_err!("{function} takes a time as text, not {other}"),
    };
    Ok([time(0, "0001-01-01T00:00:00Z")?, time(1, "9999-12-31T23:59:59.999Z")?])
}

fn parse(text: &str) -> Result<ScalarValue> {
    match Timestamp::parse(text) {
        Some(time) => Ok(ScalarValue::TimestampMillisecond(Some(time.as_millis()), Some("UTC".into()))),
        None => plan_err!("{text} is not a time (ISO 8601)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::logical_expr::{col, lit};
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
