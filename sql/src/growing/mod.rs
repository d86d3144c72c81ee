//! An end to how long values become. DataFusion works out a batch of rows at once, whatever their length, beyond the reach of memory
//! pool and deadline: a text that is doubled thirty times, or put beside a million rows, would take all memory that there is. So
//! functions that make values longer than those they are given are looked after, and where values may be long batches have few rows.

mod aggregate;
mod concat;
mod operators;
mod scalar;

pub(crate) use operators::counted;

use crate::SqlError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::execution::FunctionRegistry;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::FunctionRewrite;
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, Operator, ScalarUDF};
use datafusion::prelude::SessionContext;
use std::collections::HashMap;
use std::sync::Arc;

/// Longest value that is made, or given as a parameter, bytes.
const MAX_VALUE: usize = 256 << 10;
/// Rows of a batch where values may be as long.
const ROWS: usize = 256;
/// Literals up to here are nothing beside what a row has anyway.
const SHORT: usize = 4 << 10;

/// Functions whose results are about as long as their arguments together, and those that repeat one argument for parts of another.
const ADDING: [&str; 10] = [
    "concat",
    "concat_ws",
    "make_array",
    "array_append",
    "array_prepend",
    "array_concat",
    "struct",
    "named_struct",
    "map",
    "arrays_zip",
];
const REPEATING: [&str; 6] =
    ["replace", "regexp_replace", "array_to_string", "array_replace", "array_replace_n", "array_replace_all"];
/// Aggregates that keep all that they are given.
const KEEPING: [&str; 2] = ["string_agg", "array_agg"];

/// Looks after all functions of a context that need it.
pub(crate) fn look_after(context: &mut SessionContext) -> Result<()> {
    let mut bounded = HashMap::from([(concat::NAME.to_owned(), Arc::new(concat::operator()))]);
    for (names, growth) in [(&ADDING[..], scalar::Growth::Sum), (&REPEATING[..], scalar::Growth::Product)] {
        for name in names {
            // Features decide which there are.
            let Ok(function) = context.udf(name) else { continue };
            let function = Arc::new(scalar::bounded(function, growth));
            SessionContext::register_udf(context, function.as_ref().clone());
            bounded.insert((*name).to_owned(), function);
        }
    }
    for name in KEEPING {
        let function = context.udaf(name)?;
        SessionContext::register_udaf(context, aggregate::bounded(function));
    }
    context.register_function_rewrite(Arc::new(Bounds { bounded }))
}

/// Rows that a batch may have in a plan whose values may be long; `None` if they are not.
pub(crate) fn rows(plan: &LogicalPlan) -> Result<Option<usize>, SqlError> {
    let (mut literals, mut longest, mut grows) = (0, 0, false);
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expression| {
            expression.apply(|e| {
                match e {
                    Expr::Literal(value, _) => {
                        let bytes = length(value);
                        literals += bytes;
                        longest = longest.max(bytes);
                    }
                    Expr::ScalarFunction(call) => grows |= ADDING.contains(&call.name()) || REPEATING.contains(&call.name()),
                    Expr::BinaryExpr(BinaryExpr { op: Operator::StringConcat, .. }) => grows = true,
                    Expr::AggregateFunction(call) => grows |= KEEPING.contains(&call.func.name()),
                    Expr::WindowFunction(call) => grows |= KEEPING.contains(&call.fun.name()),
                    _ => {}
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if longest > MAX_VALUE {
        return Err(SqlError::invalid(format!("a value is longer than {MAX_VALUE} bytes")));
    }
    Ok((grows || literals > SHORT).then_some(ROWS))
}

/// Bytes of a text; of everything else it doesn't matter.
fn length(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(Some(text)) | ScalarValue::LargeUtf8(Some(text)) | ScalarValue::Utf8View(Some(text)) => text.len(),
        ScalarValue::Binary(Some(bytes)) | ScalarValue::LargeBinary(Some(bytes)) | ScalarValue::BinaryView(Some(bytes)) => {
            bytes.len()
        }
        other => other.size(),
    }
}

/// Puts those that are looked after in the place of those that the planner takes without asking by name, for `||` and `ARRAY[…]`.
#[derive(Debug)]
struct Bounds {
    bounded: HashMap<String, Arc<ScalarUDF>>,
}

impl FunctionRewrite for Bounds {
    fn name(&self) -> &str {
        "bounds"
    }

    fn rewrite(&self, expr: Expr, _: &DFSchema, _: &ConfigOptions) -> Result<Transformed<Expr>> {
        Ok(match expr {
            Expr::BinaryExpr(BinaryExpr { left, op: Operator::StringConcat, right }) => {
                let operator = Arc::clone(&self.bounded[concat::NAME]);
                Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(operator, vec![*left, *right])))
            }
            Expr::ScalarFunction(call) => match self.bounded.get(call.name()) {
                Some(bounded) if *bounded != call.func => {
                    Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(bounded), call.args)))
                }
                _ => Transformed::no(Expr::ScalarFunction(call)),
            },
            other => Transformed::no(other),
        })
    }
}
