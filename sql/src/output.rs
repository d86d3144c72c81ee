//! Results as text: a table for people, CSV, JSON. Times are ISO 8601, UTC, with milliseconds.

use crate::{QueryResult, SqlError};
use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Int64Type, Schema, UInt64Type};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::arrow::util::pretty::pretty_format_batches_with_options;
use serde_json::{Value, json};
use std::io::Write;

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Boxes of aligned text.
    Table,
    /// RFC 4180 with a header row.
    Csv,
    /// `{"columns":[{"name","type"}],"rows":[[…]],"truncated"}`.
    Json,
}

impl std::str::FromStr for Format {
    type Err = SqlError;

    fn from_str(name: &str) -> Result<Self, SqlError> {
        match name {
            "table" => Ok(Self::Table),
            "csv" => Ok(Self::Csv),
            "json" => Ok(Self::Json),
            _ => Err(SqlError::invalid(format!("unknown format {name}: table, csv or json"))),
        }
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.3fZ"))
    .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.3f"))
    .with_datetime_format(Some("%Y-%m-%dT%H:%M:%S%.3f"));

/// Writes all rows of a result; answers how many.
pub async fn write(result: QueryResult, format: Format, out: &mut impl Write) -> Result<usize, SqlError> {
    match format {
        Format::Table => write_table(result, out).await,
        Format::Csv => write_csv(result, out).await,
        Format::Json => write_json(result, out).await,
    }
}

/// As a table; the whole result is held in memory, since widths depend on every row.
pub async fn write_table(mut result: QueryResult, out: &mut impl Write) -> Result<usize, SqlError> {
    let mut batches = result.collect().await?;
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    if batches.is_empty() {
        batches.push(RecordBatch::new_empty(result.schema()));
    }
    writeln!(out, "{}", pretty_format_batches_with_options(&batches, &OPTIONS).map_err(unprintable)?)?;
    let plural = if rows == 1 { "row" } else { "rows" };
    writeln!(out, "{rows} {plural}{}", if result.truncated() { ", cut off at the limit" } else { "" })?;
    Ok(rows)
}

/// As CSV, batch by batch. NULL is empty.
pub async fn write_csv(mut result: QueryResult, out: &mut impl Write) -> Result<usize, SqlError> {
    let mut csv = csv::Writer::from_writer(out);
    csv.write_record(result.schema().fields().iter().map(|f| f.name())).map_err(std::io::Error::from)?;
    let mut rows = 0;
    while let Some(batch) = result.next().await {
        let batch = batch?;
        let columns = formatters(&batch)?;
        for i in 0..batch.num_rows() {
            csv.write_record(columns.iter().map(|c| c.value(i).to_string())).map_err(std::io::Error::from)?;
        }
        rows += batch.num_rows();
    }
    csv.flush()?;
    Ok(rows)
}

/// As one JSON object, batch by batch.
pub async fn write_json(mut result: QueryResult, out: &mut impl Write) -> Result<usize, SqlError> {
    write!(out, "{{\"columns\":{},\"rows\":[", columns(&result.schema()))?;
    let mut rows = 0;
    while let Some(batch) = result.next().await {
        for row in json_rows(&batch?)? {
            let comma = if rows == 0 { "" } else { "," };
            write!(out, "{comma}\n{row}")?;
            rows += 1;
        }
    }
    writeln!(out, "],\"truncated\":{}}}", result.truncated())?;
    Ok(rows)
}

/// `[{"name","type"}]`.
pub fn columns(schema: &Schema) -> Value {
    schema
        .fields()
        .iter()
        .map(|f: &std::sync::Arc<Field>| json!({"name": f.name(), "type": type_name(f.data_type())}))
        .collect()
}

/// Each row as a JSON array. Not-a-number and infinities become null: JSON has none.
pub fn json_rows(batch: &RecordBatch) -> Result<Vec<Value>, SqlError> {
    let formatters = formatters(batch)?;
    Ok((0..batch.num_rows())
        .map(|i| batch.columns().iter().zip(&formatters).map(|(column, text)| json_value(column, text, i)).collect())
        .collect())
}

fn json_value(column: &dyn Array, text: &ArrayFormatter<'_>, i: usize) -> Value {
    if column.is_null(i) {
        return Value::Null;
    }
    match column.data_type() {
        DataType::Boolean => column.as_boolean().value(i).into(),
        DataType::Float64 => column.as_primitive::<Float64Type>().value(i).into(),
        // By its own shortest text: as a double, 0.1 would be 0.10000000149011612.
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().value(i).to_string().parse::<f64>().unwrap_or(f64::NAN).into()
        }
        DataType::Int64 => column.as_primitive::<Int64Type>().value(i).into(),
        DataType::UInt64 => column.as_primitive::<UInt64Type>().value(i).into(),
        t if t.is_integer() => text.value(i).to_string().parse::<i64>().map_or(Value::Null, Value::from),
        _ => text.value(i).to_string().into(),
    }
}

/// Names of types for people: SQL's, short.
fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => "text".into(),
        DataType::Float64 => "double".into(),
        DataType::Float32 => "real".into(),
        DataType::Int64 => "bigint".into(),
        DataType::Int32 => "integer".into(),
        DataType::Boolean => "boolean".into(),
        DataType::Timestamp(_, _) => "timestamp".into(),
        other => other.to_string().to_lowercase(),
    }
}

fn formatters(batch: &RecordBatch) -> Result<Vec<ArrayFormatter<'_>>, SqlError> {
    batch.columns().iter().map(|c| ArrayFormatter::try_new(c.as_ref(), &OPTIONS).map_err(unprintable)).collect()
}

fn unprintable(error: ArrowError) -> SqlError {
    SqlError::invalid(format!("a column can't be written as text: {error}"))
}
