//! Handles of prepared statements, and tickets: the statement itself and the values of its parameters, as they were sent. Clients can make what
//! they like of them; they could as well send another statement.

use crate::SqlError;
use crate::manner::Manner;
use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_batches;
use bytes::Bytes;
use datafusion::arrow::datatypes::DataType;
use datafusion::arrow::ipc::convert::fb_to_schema;
use datafusion::arrow::ipc::root_as_message;
use datafusion::common::metadata::ScalarAndMetadata;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::logical_expr::LogicalPlan;
use prost::Message;

/// Most bytes of it: less than of a message, in which it stands.
const MAX_BYTES: usize = 768 << 10;

/// See the module.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Handle {
    /// The statement.
    #[prost(string, tag = "1")]
    pub(super) sql: String,
    /// Columns of the parameters and one row of values; nothing: none were given.
    #[prost(message, repeated, tag = "2")]
    pub(super) values: Vec<FlightData>,
}

impl Handle {
    /// Of a statement without values.
    pub(super) fn of(sql: String) -> Self {
        Self { sql, values: Vec::new() }
    }

    /// Reads what a client gives back.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, SqlError> {
        Self::decode(bytes).map_err(|_| SqlError::invalid("this is no ticket or handle of a prepared statement"))
    }

    /// For the client.
    pub(super) fn write(&self) -> Result<Bytes, SqlError> {
        match self.encoded_len() {
            length if length > MAX_BYTES => {
                Err(SqlError::invalid(format!("statement and values are longer than {MAX_BYTES} bytes")))
            }
            _ => Ok(self.encode_to_vec().into()),
        }
    }

    /// The values, if there are any. Blocks, and may panic at what lies about itself: run it aside.
    pub(super) fn values(&self) -> Result<Option<ParamValues>, SqlError> {
        let Some((columns, rows)) = self.values.split_first() else { return Ok(None) };
        check(columns, rows)?;
        let batches = flight_data_to_batches(&self.values).map_err(|e| unreadable(&e.to_string()))?;
        let [batch] = &batches[..] else { return Err(one_row()) };
        if batch.num_rows() != 1 {
            return Err(one_row());
        }
        let values = batch.columns().iter().map(|column| ScalarValue::try_from_array(column, 0).map(ScalarAndMetadata::from));
        Ok(Some(ParamValues::List(values.collect::<Result<_, _>>()?)))
    }
}

/// Looks at the messages before the crate that trusts them: one row, and nothing that says itself how large it will be.
fn check(columns: &FlightData, rows: &[FlightData]) -> Result<(), SqlError> {
    let no_message = |_| unreadable("a message is malformed");
    let message = root_as_message(&columns.data_header).map_err(no_message)?;
    let columns = message.header_as_schema().ok_or_else(|| unreadable("their columns come first"))?;
    let columns = fb_to_schema(columns);
    if let Some(column) = columns.fields().iter().find(|column| !is_taken(column.data_type())) {
        return Err(unreadable(&format!("{} is neither a plain type nor a list of one", column.data_type())));
    }
    let [row] = rows else { return Err(one_row()) };
    let message = root_as_message(&row.data_header).map_err(no_message)?;
    let row = message.header_as_record_batch().ok_or_else(|| unreadable("there is something else than rows"))?;
    if row.compression().is_some() {
        return Err(unreadable("they are compressed"));
    }
    if row.length() == 1 { Ok(()) } else { Err(one_row()) }
}

/// Whether a value of this type is no longer than its bytes: numbers, times, text, and lists of these. Of a list of nothing, or of lists, a few
/// bytes say that it is longer than all memory; views of one text may be many. Nobody who works with a value expects that of it.
fn is_taken(data_type: &DataType) -> bool {
    match data_type {
        DataType::List(element) | DataType::LargeList(element) => is_as_long_as_its_bytes(element.data_type()),
        DataType::Null | DataType::Utf8View | DataType::BinaryView | DataType::FixedSizeBinary(_) => true,
        other => is_as_long_as_its_bytes(other),
    }
}

fn is_as_long_as_its_bytes(data_type: &DataType) -> bool {
    use DataType::{Binary, Boolean, LargeBinary, LargeUtf8, Utf8};
    data_type.is_primitive() || matches!(data_type, Boolean | Utf8 | LargeUtf8 | Binary | LargeBinary)
}

fn unreadable(why: &str) -> SqlError {
    SqlError::invalid(format!("values can't be read: {why}"))
}

fn one_row() -> SqlError {
    SqlError::invalid("one row of values is taken at a time")
}

/// Plain SQL with values for `$1`.
pub(super) struct Asked(pub(super) Option<ParamValues>);

impl Manner for Asked {
    fn bind(&self, plan: LogicalPlan) -> Result<LogicalPlan, SqlError> {
        match &self.0 {
            Some(values) => Ok(plan.replace_params_with_values(values)?),
            None => Ok(plan),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use arrow_flight::utils::batches_to_flight_data;
    use datafusion::arrow::array::{
        ArrayRef, FixedSizeListArray, Int64Array, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, StructArray,
    };
    use datafusion::arrow::buffer::OffsetBuffer;
    use datafusion::arrow::datatypes::{Field, Int64Type};
    use std::sync::Arc;

    fn handle(numbers: &[Option<i64>]) -> Handle {
        let texts = numbers.iter().map(|n| n.map(|n| n.to_string())).collect::<StringArray>();
        let columns: [(&str, ArrayRef); 2] = [("1", Arc::new(Int64Array::from(numbers.to_vec()))), ("2", Arc::new(texts))];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let values = batches_to_flight_data(&batch.schema(), vec![batch]).unwrap();
        Handle { sql: "SELECT $1, $2".into(), values }
    }

    #[test]
    fn a_handle_has_the_statement_and_one_row_of_values() {
        let told = handle(&[Some(7)]).write().unwrap();
        let read = Handle::read(&told).unwrap();
        assert_eq!(read, handle(&[Some(7)]));
        let Some(ParamValues::List(values)) = read.values().unwrap() else { panic!("values") };
        let values: Vec<_> = values.into_iter().map(|value| value.value).collect();
        assert_eq!(values, [ScalarValue::Int64(Some(7)), ScalarValue::Utf8(Some("7".into()))]);
        assert!(Handle::of("SELECT 1".into()).values().unwrap().is_none());
        assert!(handle(&[]).values().is_err() && handle(&[Some(1), None]).values().is_err());
        assert!(Handle::of("x".repeat(MAX_BYTES + 1)).write().is_err());
        assert!(Handle::read(b"\xff\xff").is_err());
    }

    #[test]
    fn values_that_lie_are_refused_before_they_are_believed() {
        let good = handle(&[Some(7)]);
        let changed = |change: fn(&mut Vec<FlightData>)| {
            let mut values = good.values.clone();
            change(&mut values);
            Handle { values, ..good.clone() }
        };
        for lie in [
            changed(|values| values.truncate(1)),
            changed(|values| values.swap(0, 1)),
            changed(|values| values.push(values[1].clone())),
            changed(|values| values[1].data_header = Bytes::from_static(b"rubbish")),
            changed(|values| values[0].data_header = Bytes::new()),
        ] {
            assert!(matches!(lie.values(), Err(SqlError::Invalid { .. })), "{lie:?}");
        }
    }

    #[test]
    fn values_are_no_longer_than_their_bytes() {
        const MANY: i32 = 1 << 30;
        let of = |value: ArrayRef| {
            let batch = RecordBatch::try_from_iter([("1", value)]).unwrap();
            let values = batches_to_flight_data(&batch.schema(), vec![batch]).unwrap();
            Handle { sql: "SELECT $1".into(), values }
        };
        let list = |elements: ArrayRef, end: i32| -> ArrayRef {
            let element = Arc::new(Field::new("item", elements.data_type().clone(), true));
            Arc::new(ListArray::new(element, OffsetBuffer::new(vec![0, end].into()), elements, None))
        };
        let nothings = || -> ArrayRef { Arc::new(NullArray::new(MANY as usize)) };
        let element = Arc::new(Field::new("item", DataType::Null, true));
        let numbers = || -> ArrayRef {
            Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), None, Some(3)])]))
        };
        for long in [
            list(nothings(), MANY),
            Arc::new(FixedSizeListArray::new(element, MANY, nothings(), None)),
            list(list(nothings(), MANY), 1),
            list(Arc::new(StringViewArray::from(vec!["text"; 3])), 3),
            list(numbers(), 1),
            Arc::new(StructArray::from(vec![(
                Arc::new(Field::new("a", DataType::Int64, true)),
                Arc::new(Int64Array::from(vec![1])) as ArrayRef,
            )])),
        ] {
            let data_type = long.data_type().clone();
            assert!(matches!(of(long).values(), Err(SqlError::Invalid { .. })), "{data_type}");
        }
        for good in [
            numbers(),
            list(Arc::new(StringArray::from(vec!["a", "b"])), 2),
            Arc::new(StringViewArray::from(vec!["text"])),
            Arc::new(NullArray::new(1)),
        ] {
            let data_type = good.data_type().clone();
            assert!(of(good).values().is_ok(), "{data_type}");
        }
    }
}
