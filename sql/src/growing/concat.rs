//! The operator `||` of texts as a function that can be looked after.

use super::scalar::{Growth, bounded};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column};
use datafusion::scalar::ScalarValue;
use std::sync::Arc;

pub(super) const NAME: &str = "text_concat";

/// The operator.
pub(super) fn operator() -> ScalarUDF {
    bounded(Arc::new(ScalarUDF::from(Concat { signature: Signature::user_defined(Volatility::Immutable) })), Growth::Sum)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Concat {
    signature: Signature,
}

impl ScalarUDFImpl for Concat {
    fn name(&self) -> &str {
        NAME
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let sides: Vec<String> = args.iter().map(|side| side.schema_name().to_string()).collect();
        Ok(sides.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    /// As of the operator.
    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let common = match types {
            [a, b] if *a == DataType::Utf8View || *b == DataType::Utf8View => DataType::Utf8View,
            [a, b] if *a == DataType::LargeUtf8 || *b == DataType::LargeUtf8 => DataType::LargeUtf8,
            [_, _] => DataType::Utf8,
            _ => return plan_err!("{NAME} takes two texts"),
        };
        Ok(vec![common.clone(), common])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Utf8))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one = args.args.iter().all(|side| matches!(side, ColumnarValue::Scalar(_)));
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let field = |(side, column): (usize, &Arc<_>)| {
            let column: &datafusion::arrow::array::ArrayRef = column;
            Field::new(side.to_string(), column.data_type().clone(), true)
        };
        let schema = Schema::new(columns.iter().enumerate().map(field).collect::<Vec<_>>());
        let sides = RecordBatch::try_new(Arc::new(schema), columns)?;
        let side = |index: usize| Arc::new(Column::new(&index.to_string(), index)) as Arc<dyn PhysicalExpr>;
        let joined = BinaryExpr::new(side(0), Operator::StringConcat, side(1)).evaluate(&sides)?;
        match joined {
            ColumnarValue::Array(column) if is_one => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&column, 0)?)),
            joined => Ok(joined),
        }
    }
}
