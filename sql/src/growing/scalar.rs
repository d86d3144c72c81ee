//! Scalar functions that say no before they make what is too long.

use super::{MAX_VALUE, ROWS};
use datafusion::arrow::array::{Array, ArrayRef, AsArray};
use datafusion::arrow::compute::concat;
use datafusion::arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    StructFieldMapping,
};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

/// Most bytes that are made in one go.
const MAX_MADE: usize = MAX_VALUE * ROWS;
/// What a value of fixed size takes at most as a text.
const FIXED: usize = 64;

/// How long a result may be beside the arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// As all of them together.
    Sum,
    /// As the first one, with another one for each of its bytes.
    Product,
}

/// The function, with an end.
pub(super) fn bounded(inner: Arc<ScalarUDF>, growth: Growth) -> ScalarUDF {
    ScalarUDF::from(Bounded { inner, growth })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Bounded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
}

impl ScalarUDFImpl for Bounded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.schema_name(args)
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(types)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn struct_field_mapping(&self, literals: &[Option<ScalarValue>]) -> Option<StructFieldMapping> {
        self.inner.inner().struct_field_mapping(literals)
    }

    /// Not at all: some make the result while they simplify.
    fn simplify(&self, args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        Ok(ExprSimplifyResult::Original(args))
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let longest = self.longest(&args.args);
        if longest > MAX_MADE {
            return self.refuse();
        }
        let rows = MAX_MADE / longest.max(1);
        let columns = args.args.iter().any(|a| matches!(a, ColumnarValue::Array(_)));
        if !columns || args.number_rows <= rows {
            let made = self.inner.invoke_with_args(args)?;
            return if longest_value(&made) > MAX_VALUE { self.refuse() } else { Ok(made) };
        }
        let mut parts = Vec::new();
        for start in (0..args.number_rows).step_by(rows) {
            let part = part(&args, start, rows.min(args.number_rows - start));
            let number_rows = part.number_rows;
            let made = self.inner.invoke_with_args(part)?;
            if longest_value(&made) > MAX_VALUE {
                return self.refuse();
            }
            parts.push(made.into_array(number_rows)?);
        }
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        Ok(ColumnarValue::Array(concat(&parts)?))
    }
}

impl Bounded {
    /// What one row may come to at most, bytes.
    fn longest(&self, args: &[ColumnarValue]) -> usize {
        let mut lengths = args.iter().map(longest_value);
        match self.growth {
            Growth::Sum => lengths.fold(0, usize::saturating_add),
            Growth::Product => {
                let first = lengths.next().unwrap_or(0);
                let others = lengths.fold(0, usize::saturating_add);
                first.saturating_add(1).saturating_mul(others.saturating_add(2))
            }
        }
    }

    fn refuse<T>(&self) -> Result<T> {
        exec_err!("{} would make a value that is longer than {MAX_VALUE} bytes", self.name())
    }
}

/// Some rows of arguments.
fn part(args: &ScalarFunctionArgs, start: usize, rows: usize) -> ScalarFunctionArgs {
    let of = |arg: &ColumnarValue| match arg {
        ColumnarValue::Array(column) => ColumnarValue::Array(column.slice(start, rows)),
        ColumnarValue::Scalar(value) => ColumnarValue::Scalar(value.clone()),
    };
    ScalarFunctionArgs { args: args.args.iter().map(of).collect(), number_rows: rows, ..args.clone() }
}

/// Bytes of the longest one.
fn longest_value(values: &ColumnarValue) -> usize {
    match values {
        ColumnarValue::Array(column) => longest(column),
        ColumnarValue::Scalar(value) => value.to_array().map_or(0, |one| longest(&one)),
    }
}

/// Bytes of the longest value of a column.
pub(super) fn longest(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::Utf8 => longest_between(column.as_string::<i32>().value_offsets()),
        DataType::LargeUtf8 => longest_between(column.as_string::<i64>().value_offsets()),
        DataType::Binary => longest_between(column.as_binary::<i32>().value_offsets()),
        DataType::LargeBinary => longest_between(column.as_binary::<i64>().value_offsets()),
        // The lower half of a view is its length.
        DataType::Utf8View => column.as_string_view().views().iter().map(|view| *view as u32 as usize).max().unwrap_or(0),
        DataType::BinaryView => column.as_binary_view().views().iter().map(|view| *view as u32 as usize).max().unwrap_or(0),
        // One may have it all.
        nested if nested.is_nested() => column.get_array_memory_size() / NESTED,
        _ => FIXED,
    }
}

/// Lists of a whole batch are measured together: none is as long as sixteen values may be.
const NESTED: usize = 16;

fn longest_between<O: Copy + std::ops::Sub<Output = O> + TryInto<usize>>(offsets: &[O]) -> usize {
    offsets.windows(2).filter_map(|pair| (pair[1] - pair[0]).try_into().ok()).max().unwrap_or(0)
}
