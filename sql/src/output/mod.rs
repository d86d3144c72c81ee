//! Results written out: a table for people, CSV, JSON, Arrow, Parquet. In text, times are ISO 8601, UTC, with milliseconds.

mod encode;
mod stream;

pub use stream::ByteStream;

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
    /// Arrow's IPC stream.
    Arrow,
    /// One Parquet file.
    Parquet,
}

impl Format {
    /// Each with its name.
    pub const ALL: [(&'static str, Self); 5] =
        [("table", Self::Table), ("csv", Self::Csv), ("json", Self::Json), ("arrow", Self::Arrow), ("parquet", Self::Parquet)];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, format)| *format == self).map_or("", |(name, _)| name)
    }

    /// For `Content-Type`.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Table => "text/plain; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Arrow => "application/vnd.apache.arrow.stream",
            Self::Parquet => "application/vnd.apache.parquet",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = SqlError;

    fn from_str(name: &str) -> Result<Self, SqlError> {
        let known = Self::ALL.into_iter().find(|(known, _)| *known == name);
        known.map(|(_, format)| format).ok_or_else(|| {
            SqlError::invalid(format!("unknown format {name}: {}", Self::ALL.map(|(known, _)| known).join(", ")))
        })
    }
}

const OPTIONS: FormatOptions<'static> = FormatOptions::new()
    .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.3fZ"))
    .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.3f"))
    .with_datetime_format(Some("%Y-%m-%dT%H:%M:%S%.3f"));

/// Writes all rows of a result; answers how many.
pub async fn write(mut result: QueryResult, format: Format, out: &mut impl Write) -> Result<usize, SqlError> {
    if format == Format::Table {
        return write_table(result, out).await;
    }
    let mut bytes = Vec::new();
    let mut encoder = encode::encoder(format, result.schema(), &mut bytes)?;
    let mut rows = 0;
    while let Some(batch) = result.next().await {
        let batch = batch?;
        encoder.rows(&batch, &mut bytes)?;
        rows += batch.num_rows();
        out.write_all(&bytes)?;
        bytes.clear();
    }
    encoder.end(result.truncated(), &mut bytes)?;
    out.write_all(&bytes)?;
    Ok(rows)
}

/// As a table; the whole result is held in memory, since widths depend on every row.
async fn write_table(mut result: QueryResult, out: &mut impl Write) -> Result<usize, SqlError> {
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
