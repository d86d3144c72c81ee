//! Encoders: batches of rows in, bytes out, as they come.

use super::{Format, columns, formatters, json_rows};
use crate::SqlError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::file::properties::WriterProperties;
use std::io::Write;

/// Rows of a Parquet row group: what is in memory before it is written.
const ROW_GROUP: usize = 65_536;

/// Writes a result piece by piece; what it has written is appended to `out`.
pub(super) trait Encoder: Send {
    /// The next rows.
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError>;

    /// There are no more; `truncated`: though the query had more.
    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), SqlError>;

    /// The query has failed after its beginning was sent. `false`: the format can't say so, and the reader has to see it from the
    /// missing end.
    fn fail(&mut self, _error: &SqlError, _out: &mut Vec<u8>) -> bool {
        false
    }
}

/// The encoder of a format; a table needs all rows at once and has none.
pub(super) fn encoder(format: Format, schema: SchemaRef, out: &mut Vec<u8>) -> Result<Box<dyn Encoder>, SqlError> {
    Ok(match format {
        Format::Table => return Err(SqlError::invalid("a table can't be streamed: csv, json, arrow or parquet")),
        Format::Csv => {
            let mut csv = csv::Writer::from_writer(out);
            csv.write_record(schema.fields().iter().map(|f| f.name())).map_err(std::io::Error::from)?;
            csv.flush()?;
            Box::new(Csv)
        }
        Format::Json => {
            write!(out, "{{\"columns\":{},\"rows\":[", columns(&schema))?;
            Box::new(Json { first: true })
        }
        Format::Arrow => {
            let mut writer = StreamWriter::try_new(Vec::new(), &schema).map_err(unwritable)?;
            out.append(writer.get_mut());
            Box::new(Arrow(writer))
        }
        Format::Parquet => {
            let properties = WriterProperties::builder()
                .set_compression(Compression::ZSTD(ZstdLevel::default()))
                .set_max_row_group_row_count(Some(ROW_GROUP))
                .build();
            let mut writer = ArrowWriter::try_new(Vec::new(), schema, Some(properties)).map_err(unwritable)?;
            out.append(writer.inner_mut());
            Box::new(Parquet(writer))
        }
    })
}

/// RFC 4180. NULL is empty.
struct Csv;

impl Encoder for Csv {
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let mut csv = csv::Writer::from_writer(out);
        let columns = formatters(batch)?;
        for i in 0..batch.num_rows() {
            csv.write_record(columns.iter().map(|c| c.value(i).to_string())).map_err(std::io::Error::from)?;
        }
        Ok(csv.flush()?)
    }

    fn end(&mut self, _: bool, _: &mut Vec<u8>) -> Result<(), SqlError> {
        Ok(())
    }
}

/// One JSON object.
struct Json {
    first: bool,
}

impl Encoder for Json {
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        for row in json_rows(batch)? {
            let comma = if std::mem::take(&mut self.first) { "" } else { "," };
            write!(out, "{comma}\n{row}")?;
        }
        Ok(())
    }

    fn end(&mut self, truncated: bool, out: &mut Vec<u8>) -> Result<(), SqlError> {
        Ok(writeln!(out, "],\"truncated\":{truncated}}}")?)
    }

    fn fail(&mut self, error: &SqlError, out: &mut Vec<u8>) -> bool {
        let error = serde_json::Value::from(error.to_string());
        writeln!(out, "],\"truncated\":true,\"error\":{error}}}").is_ok()
    }
}

struct Arrow(StreamWriter<Vec<u8>>);

impl Encoder for Arrow {
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        self.0.write(batch).map_err(unwritable)?;
        out.append(self.0.get_mut());
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<(), SqlError> {
        self.0.finish().map_err(unwritable)?;
        out.append(self.0.get_mut());
        Ok(())
    }
}

struct Parquet(ArrowWriter<Vec<u8>>);

impl Encoder for Parquet {
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        self.0.write(batch).map_err(unwritable)?;
        out.append(self.0.inner_mut());
        Ok(())
    }

    fn end(&mut self, _: bool, out: &mut Vec<u8>) -> Result<(), SqlError> {
        self.0.finish().map_err(unwritable)?;
        out.append(self.0.inner_mut());
        Ok(())
    }
}

fn unwritable(error: impl std::fmt::Display) -> SqlError {
    SqlError::invalid(format!("the result can't be written in this format: {error}"))
}
