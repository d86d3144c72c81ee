//! Handles of prepared statements, and tickets: the statement itself and the values of its parameters, as they were sent. Clients can make what
//! they like of them; they could as well send another statement.

use crate::SqlError;
use crate::manner::Manner;
use arrow_flight::FlightData;
use arrow_flight::utils::flight_data_to_batches;
use bytes::Bytes;
use datafusion::arrow::ipc::{MessageHeader, root_as_message};
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
    if message.header_type() != MessageHeader::Schema {
        return Err(unreadable("their columns come first"));
    }
    let [row] = rows else { return Err(one_row()) };
    let message = root_as_message(&row.data_header).map_err(no_message)?;
    let row = message.header_as_record_batch().ok_or_else(|| unreadable("there is something else than rows"))?;
    if row.compression().is_some() {
        return Err(unreadable("they are compressed"));
    }
    if row.length() == 1 { Ok(()) } else { Err(one_row()) }
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
    use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
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
}
