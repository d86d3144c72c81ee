//! Prepared statements: nothing of them is kept, their handles are all there is.

use crate::server::{Server, row, rows, told};
use datafusion::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::arrow::datatypes::DataType;
use std::sync::Arc;
use tonic::Code;

fn values(columns: Vec<ArrayRef>) -> RecordBatch {
    RecordBatch::try_from_iter(columns.into_iter().enumerate().map(|(i, column)| (format!("{}", i + 1), column))).unwrap()
}

fn text(text: Option<&str>) -> ArrayRef {
    Arc::new(StringArray::from(vec![text]))
}

fn numbers(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}

#[tokio::test]
async fn values_are_put_in_as_they_were_sent() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let sql = "SELECT count(*) AS n FROM positions WHERE device = $1 AND lat > $2 AND fix_time >= $3";
    let mut prepared = anna.prepare(sql.to_owned(), None).await.unwrap();
    let names: Vec<_> = prepared.dataset_schema().unwrap().fields().iter().map(|field| field.name().clone()).collect();
    let taken = prepared.parameter_schema().unwrap().clone();
    assert_eq!((names, taken.fields().len()), (vec!["n".to_owned()], 3));
    assert_eq!(taken.field(0).data_type(), &DataType::Utf8);
    assert_eq!(taken.field(1).data_type(), &DataType::Float64);
    // Without values it can't be answered.
    assert_eq!(told(prepared.execute().await.unwrap_err()).code(), Code::InvalidArgument);
    let begin = text(Some("2026-03-04T23:55:00Z"));
    for (device, lat, expected) in [
        ("n0", Arc::new(Float64Array::from(vec![52.0495])) as ArrayRef, "50"),
        ("n0", numbers(&[52]), "99"),
        // Another organisation's.
        ("e0", numbers(&[0]), "0"),
        ("x' OR true --", numbers(&[0]), "0"),
    ] {
        prepared.set_parameters(values(vec![text(Some(device)), lat, begin.clone()])).unwrap();
        let info = prepared.execute().await.unwrap();
        assert_eq!(row(&rows(&mut anna, info).await.unwrap()), [expected], "{device}");
    }
    // NULL is nobody's name.
    prepared.set_parameters(values(vec![text(None), numbers(&[0]), begin])).unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(row(&rows(&mut anna, info).await.unwrap()), ["0"]);
    prepared.close().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn one_row_of_values_is_taken_and_as_many_as_the_statement_has() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let mut prepared = anna.prepare("SELECT $1::bigint + $2::bigint AS n".to_owned(), None).await.unwrap();
    for wrong in [values(vec![numbers(&[1])]), values(vec![numbers(&[1, 2]), numbers(&[1, 2])])] {
        prepared.set_parameters(wrong).unwrap();
        assert_eq!(told(prepared.execute().await.unwrap_err()).code(), Code::InvalidArgument);
    }
    prepared.set_parameters(values(vec![numbers(&[40]), numbers(&[2])])).unwrap();
    let info = prepared.execute().await.unwrap();
    assert_eq!(row(&rows(&mut anna, info).await.unwrap()), ["42"]);
    // A statement that can't be is refused when it is prepared.
    let refused = anna.prepare("DELETE FROM positions".to_owned(), None).await.err().unwrap();
    assert_eq!(told(refused).code(), Code::InvalidArgument);
    server.stop().await;
}
