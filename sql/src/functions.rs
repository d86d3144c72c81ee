//! Functions for places and speeds. All are NULL if an argument is, and answer something for any number, if only NaN.

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use datafusion::arrow::datatypes::{DataType, Float64Type};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use waystream_domain::{bearing_of_degrees_deg, haversine_degrees_m};

/// All functions of waystream.
pub(crate) fn all() -> Vec<ScalarUDF> {
    vec![
        number("haversine_m", 4, |a| haversine_degrees_m((a[0], a[1]), (a[2], a[3]))),
        number("bearing_deg", 4, |a| bearing_of_degrees_deg((a[0], a[1]), (a[2], a[3]))),
        number("speed_kmh", 1, |a| (a[0] * 3.6 * 1e4).round() / 1e4),
        ScalarUDF::from(Function {
            name: "dwithin_m",
            signature: numbers(5),
            call: Call::Truth(|a| haversine_degrees_m((a[0], a[1]), (a[2], a[3])) <= a[4]),
        }),
    ]
}

fn numbers(n: usize) -> Signature {
    Signature::exact(vec![DataType::Float64; n], Volatility::Immutable)
}

fn number(name: &'static str, arguments: usize, f: fn(&[f64]) -> f64) -> ScalarUDF {
    ScalarUDF::from(Function { name, signature: numbers(arguments), call: Call::Number(f) })
}

#[derive(Debug, Clone, Copy)]
enum Call {
    Number(fn(&[f64]) -> f64),
    Truth(fn(&[f64]) -> bool),
}

/// A function of at most five numbers. Its name is its identity.
#[derive(Debug)]
struct Function {
    name: &'static str,
    signature: Signature,
    call: Call,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Function {}

impl Hash for Function {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl ScalarUDFImpl for Function {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(match self.call {
            Call::Number(_) => DataType::Float64,
            Call::Truth(_) => DataType::Boolean,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let arrays = args.args.into_iter().map(|a| a.into_array(rows)).collect::<Result<Vec<_>>>()?;
        let columns: Vec<&Float64Array> = arrays.iter().map(|a| a.as_primitive::<Float64Type>()).collect();
        let mut row = [0.0; 5];
        let mut at = |i: usize| {
            for (slot, column) in row.iter_mut().zip(&columns) {
                if column.is_null(i) {
                    return None;
                }
                *slot = column.value(i);
            }
            Some(row)
        };
        let out: ArrayRef = match self.call {
            Call::Number(f) => Arc::new((0..rows).map(|i| at(i).map(|a| f(&a))).collect::<Float64Array>()),
            Call::Truth(f) => Arc::new((0..rows).map(|i| at(i).map(|a| f(&a))).collect::<BooleanArray>()),
        };
        Ok(ColumnarValue::Array(out))
    }
}
