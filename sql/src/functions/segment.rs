//! `segment_id(starts) OVER (…)`: numbers the stretches of a track, where the condition tells which rows begin one.

use super::Entry;
use datafusion::arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use datafusion::arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::function::{PartitionEvaluatorArgs, WindowUDFFieldArgs};
use datafusion::logical_expr::{
    Documentation, LimitEffect, PartitionEvaluator, Signature, Volatility, WindowUDF, WindowUDFImpl,
};
use datafusion::physical_expr::PhysicalExpr;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

pub(super) fn segment_id() -> WindowUDF {
    WindowUDF::from(SegmentId {
        signature: Signature::exact(vec![DataType::Boolean], Volatility::Immutable),
        documentation: Entry::of("segment_id").documentation(),
    })
}

#[derive(Debug)]
struct SegmentId {
    signature: Signature,
    documentation: Documentation,
}

impl PartialEq for SegmentId {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for SegmentId {}

impl Hash for SegmentId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl WindowUDFImpl for SegmentId {
    fn name(&self) -> &str {
        "segment_id"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn partition_evaluator(&self, _: PartitionEvaluatorArgs) -> Result<Box<dyn PartitionEvaluator>> {
        Ok(Box::<Count>::default())
    }

    fn field(&self, args: WindowUDFFieldArgs) -> Result<FieldRef> {
        Ok(Arc::new(Field::new(args.name(), DataType::Int64, false)))
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }

    fn limit_effect(&self, _: &[Arc<dyn PhysicalExpr>]) -> LimitEffect {
        LimitEffect::None
    }
}

/// How many rows up to now begin a segment. Row by row, so that a track need not be in memory.
#[derive(Debug, Default)]
struct Count(i64);

impl Count {
    fn next(&mut self, starts: &ArrayRef, row: usize) -> i64 {
        let starts = starts.as_boolean();
        self.0 += i64::from(starts.is_valid(row) && starts.value(row));
        self.0
    }
}

impl PartitionEvaluator for Count {
    fn is_causal(&self) -> bool {
        true
    }

    fn evaluate_all(&mut self, values: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
        Ok(Arc::new((0..rows).map(|row| self.next(&values[0], row)).collect::<Int64Array>()))
    }

    fn evaluate(&mut self, values: &[ArrayRef], range: &Range<usize>) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.next(&values[0], range.start))))
    }

    fn supports_bounded_execution(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::BooleanArray;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn only_true_begins_a_stretch_row_by_row_or_at_once(starts in prop::collection::vec(any::<Option<bool>>(), 0..50)) {
            let mut begun = 0;
            let wanted: Vec<i64> = starts
                .iter()
                .map(|starts| {
                    begun += i64::from(*starts == Some(true));
                    begun
                })
                .collect();
            let rows = starts.len();
            let values: [ArrayRef; 1] = [Arc::new(BooleanArray::from(starts))];
            let whole = Count::default().evaluate_all(&values, rows).expect("numbers");
            let whole: &Int64Array = whole.as_primitive();
            prop_assert_eq!(whole.values().to_vec(), wanted.clone());
            let mut count = Count::default();
            for (row, number) in wanted.into_iter().enumerate() {
                let one = count.evaluate(&values, &(row..row + 1)).expect("a number");
                prop_assert_eq!(one, ScalarValue::Int64(Some(number)));
            }
        }
    }
}
