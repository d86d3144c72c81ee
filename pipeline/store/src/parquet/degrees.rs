//! Places as files have them: decimal numbers with seven digits behind the point, which is as exact as places are (`LatLon`). From row to row
//! they are small steps of whole numbers, and packed as such they take about two bytes each; of floating-point numbers, whose last bytes are
//! all noise, five are left after compression. Other programs see degrees all the same. Tables have floating-point numbers, and get back
//! each one that was written, to the last bit: whole numbers of ten-millionths, divided as `LatLon` divides them.
//!
//! Files of older programs have floating-point numbers, and are read beside the others until they are compacted.

use crate::Table;
use arrow::array::{Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use std::sync::Arc;

/// Digits behind the point.
const DIGITS: i8 = 7;

/// The columns of a table, with the types that they have in files.
pub(super) fn file_schema(table: Table) -> SchemaRef {
    let schema = table.schema();
    let fields = schema.fields().iter().map(|field| match field.name().as_str() {
        "lat" => Arc::new(Field::clone(field).with_data_type(DataType::Decimal32(9, DIGITS))),
        "lon" => Arc::new(Field::clone(field).with_data_type(DataType::Decimal64(10, DIGITS))),
        _ => Arc::clone(field),
    });
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// The same rows with the types of another schema that has the same columns.
pub(super) fn converted(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    // What does not fit is an error, not NULL.
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    let columns = rows.columns().iter().zip(schema.fields()).map(|(column, field)| {
        if column.data_type() == field.data_type() {
            return Ok(Arc::clone(column));
        }
        cast_with_options(column, field.data_type(), &strict)
    });
    RecordBatch::try_new(Arc::clone(schema), columns.collect::<Result<Vec<_>, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract::{Dice, at, position};
    use crate::rows::positions_batch;
    use arrow::array::{ArrayRef, Float64Array};
    use waystream_domain::{LatLon, Position};

    fn rows(places: &[(i32, i32)]) -> RecordBatch {
        let row = |(lat, lon): &(i32, i32)| {
            let location = LatLon::from_e7(*lat, *lon).expect("on Earth");
            Archived { partition: 0, offset: 0, row: Position { location, ..position("a", at("2026-03-04")) } }
        };
        positions_batch(&places.iter().map(row).collect::<Vec<_>>())
    }

    #[test]
    fn places_come_back_to_the_last_bit() {
        let mut dice = Dice::new(7);
        let mut places = vec![(900_000_000, 1_800_000_000), (-900_000_000, -1_800_000_000), (0, 0), (-1, 1)];
        let mut any = |most: u64| dice.roll(2 * most + 1) as i64 - most as i64;
        places.extend((0..20_000).map(|_| (any(900_000_000) as i32, any(1_800_000_000) as i32)));
        let rows = rows(&places);
        let packed = converted(&rows, &file_schema(Table::Positions)).expect("they fit");
        assert_ne!(packed.schema(), rows.schema());
        let back = converted(&packed, &Table::Positions.schema()).expect("degrees");
        let bits = |rows: &RecordBatch, name: &str| -> Vec<u64> {
            let column = rows.column_by_name(name).and_then(|c| c.as_any().downcast_ref::<Float64Array>()).expect("degrees");
            column.values().iter().map(|degrees| degrees.to_bits()).collect()
        };
        for name in ["lat", "lon"] {
            assert_eq!(bits(&back, name), bits(&rows, name));
        }
        assert_eq!(back, rows);
    }

    #[test]
    fn what_is_no_place_is_not_written_as_something_else() {
        let rows = rows(&[(0, 0)]);
        for no_place in [f64::NAN, f64::INFINITY, 1e3] {
            for name in ["lat", "lon"] {
                let column = rows.schema().index_of(name).expect("a column");
                let mut columns = rows.columns().to_vec();
                columns[column] = Arc::new(Float64Array::from(vec![no_place])) as ArrayRef;
                let rows = RecordBatch::try_new(rows.schema(), columns).expect("rows");
                assert!(converted(&rows, &file_schema(Table::Positions)).is_err(), "{name} {no_place}");
            }
        }
    }
}
