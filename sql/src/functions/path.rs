//! `path_m(lat, lon ORDER BY time)`: the length of the way through places in order of time.

use super::{Entry, on_earth};
use datafusion::arrow::array::{ArrayRef, AsArray, LargeBinaryArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, internal_datafusion_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility,
};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use waystream_domain::haversine_degrees_m;

pub(super) fn path_m() -> AggregateUDF {
    AggregateUDF::from(Path {
        signature: Signature::exact(vec![DataType::Float64, DataType::Float64], Volatility::Immutable),
        documentation: Entry::of("path_m").documentation(),
    })
}

#[derive(Debug)]
struct Path {
    signature: Signature,
    documentation: Documentation,
}

impl PartialEq for Path {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Path {}

impl Hash for Path {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl AggregateUDFImpl for Path {
    fn name(&self) -> &str {
        "path_m"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let [order] = args.order_bys else { return plan_err!("path_m needs one ORDER BY: path_m(lat, lon ORDER BY fix_time)") };
        match order.expr.data_type(args.schema)? {
            DataType::Timestamp(..) | DataType::Int64 => Ok(Box::new(Points::default())),
            other => plan_err!("path_m orders by a time, not by {other}"),
        }
    }

    /// The points of a part, since the parts may lie among each other.
    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format!("{}[points]", args.name), DataType::LargeBinary, true))])
    }

    /// It sorts by itself, but sorted input costs less.
    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Beneficial
    }

    fn with_beneficial_ordering(self: Arc<Self>, _: bool) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        Ok(Some(self))
    }

    /// A way is as long backwards.
    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug, Default)]
struct Points {
    /// Time, latitude, longitude, in the order in which they came.
    points: Vec<(i64, f64, f64)>,
}

/// Bytes of one point in the state.
const POINT: usize = 24;

impl Accumulator for Points {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let [lats, lons, times] = values else {
            return Err(internal_datafusion_err!("path_m got {} columns", values.len()));
        };
        let (lats, lons) = (lats.as_primitive::<Float64Type>(), lons.as_primitive::<Float64Type>());
        let times = cast(times, &DataType::Int64)?;
        let times = times.as_primitive::<Int64Type>();
        self.points.extend(times.iter().zip(lats).zip(lons).filter_map(|((t, lat), lon)| Some((t?, lat?, lon?))));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Of one time also by place: else those of one time were a way that depends on how the rows came.
        let order =
            |a: &(i64, f64, f64), b: &(i64, f64, f64)| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)).then(a.2.total_cmp(&b.2));
        if !self.points.is_sorted_by(|a, b| order(a, b).is_le()) {
            self.points.sort_by(order);
        }
        let metres: f64 = if self.points.iter().all(|&(_, lat, lon)| on_earth((lat, lon))) {
            self.points.windows(2).map(|w| haversine_degrees_m((w[0].1, w[0].2), (w[1].1, w[1].2))).sum()
        } else {
            f64::NAN
        };
        Ok(ScalarValue::Float64((!self.points.is_empty()).then_some(metres)))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.points.capacity() * size_of::<(i64, f64, f64)>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let bytes = |&(t, lat, lon): &(i64, f64, f64)| [t.to_le_bytes(), lat.to_le_bytes(), lon.to_le_bytes()].concat();
        Ok(vec![ScalarValue::LargeBinary(Some(self.points.iter().flat_map(bytes).collect()))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let parts: &LargeBinaryArray = states[0].as_binary();
        for part in parts.iter().flatten() {
            let (points, _) = part.as_chunks::<POINT>();
            self.points.extend(points.iter().map(|point| {
                let (words, _) = point.as_chunks::<8>();
                (i64::from_le_bytes(words[0]), f64::from_le_bytes(words[1]), f64::from_le_bytes(words[2]))
            }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Float64Array, Int64Array};
    use proptest::prelude::*;

    fn columns(points: &[(i64, Option<f64>)]) -> [ArrayRef; 3] {
        let lats = Arc::new(points.iter().map(|p| p.1).collect::<Float64Array>());
        let lons = Arc::new(points.iter().map(|p| Some(p.0 as f64 % 180.0)).collect::<Float64Array>());
        [lats, lons, Arc::new(points.iter().map(|p| Some(p.0)).collect::<Int64Array>())]
    }

    fn metres(accumulator: &mut Points) -> Option<f64> {
        match accumulator.evaluate().expect("a sum") {
            ScalarValue::Float64(metres) => metres,
            other => panic!("{other}"),
        }
    }

    fn any_column(number: impl Strategy<Value = f64>) -> impl Strategy<Value = Vec<Option<f64>>> {
        prop::collection::vec(prop::option::weighted(0.9, number), 8)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn any_way_has_a_length_if_only_nan_and_rows_with_nothing_in_them_are_no_places(
            lats in any_column(prop_oneof![any::<f64>(), -100.0..100.0, Just(f64::NAN)]),
            lons in any_column(prop_oneof![any::<f64>(), -200.0..200.0, Just(f64::INFINITY)]),
            times in prop::collection::vec(prop::option::weighted(0.9, any::<i64>()), 8),
        ) {
            let places: Vec<(f64, f64)> =
                lats.iter().zip(&lons).zip(&times).filter_map(|((lat, lon), time)| time.and(Some(((*lat)?, (*lon)?)))).collect();
            let mut points = Points::default();
            let columns: [ArrayRef; 3] =
                [Arc::new(Float64Array::from(lats)), Arc::new(Float64Array::from(lons)), Arc::new(Int64Array::from(times))];
            points.update_batch(&columns).expect("taken");
            match metres(&mut points) {
                None => prop_assert!(places.is_empty()),
                Some(metres) => prop_assert_eq!(metres.is_nan(), !places.iter().all(|place| on_earth(*place))),
            }
        }

        /// Also where several places have one time.
        #[test]
        fn a_way_is_as_long_however_it_is_cut_and_shuffled(
            points in prop::collection::vec((prop_oneof![0_i64..4, 0_i64..1000], prop::option::weighted(0.9, -90.0..90.0)), 0..50),
            parts in 1_usize..6,
        ) {
            let mut sorted = points.clone();
            sorted.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.partial_cmp(&b.1).expect("no NaN")));
            let mut whole = Points::default();
            whole.update_batch(&columns(&sorted)).expect("taken");
            let mut merged = Points::default();
            for part in points.chunks(points.len().div_ceil(parts).max(1)) {
                let mut one = Points::default();
                one.update_batch(&columns(part)).expect("taken");
                let state = one.state().expect("a state").remove(0).to_array().expect("an array");
                merged.merge_batch(&[state]).expect("merged");
            }
            prop_assert_eq!(metres(&mut merged), metres(&mut whole));
        }
    }
}
