//! Rows on their way to a client: encoded on the engine's threads, as they are taken.

use super::command::CopyFormat;
use super::failure::Failure;
use crate::engine::Rows;
use crate::{QueryResult, SqlEngine, SqlError};
use arrow_pg::datatypes::{arrow_schema_to_pg_fields, encode_recordbatch};
use bytes::{BufMut, BytesMut};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::Schema;
use pgwire::api::portal::Format;
use pgwire::api::results::FieldInfo;
use pgwire::error::PgWireError;
use pgwire::messages::data::{DataRow, RowDescription};
use pgwire::messages::{Message, PgWireBackendMessage};
use std::sync::Arc;
use tokio::time::Instant;

/// Bytes of a piece, about.
const PIECE: usize = 64 << 10;

/// What binary COPY begins with.
pub(super) const COPY_BEGIN: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";

/// Some rows, as bytes of messages.
struct Piece {
    bytes: BytesMut,
    /// Where each row ends.
    ends: Vec<usize>,
}

/// Rows as they come. Dropping it stops the query.
pub(super) struct RowStream {
    /// Columns.
    pub(super) fields: Arc<Vec<FieldInfo>>,
    /// When the query will be stopped.
    pub(super) deadline: Option<Instant>,
    pieces: Rows<Piece>,
    /// What has come and was not taken.
    rest: Option<(Piece, usize)>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// As rows of a query.
    Rows,
    /// As COPY writes them.
    Copy(CopyFormat),
}

impl RowStream {
    /// The rows of a query.
    pub(super) fn new(engine: &SqlEngine, mut result: QueryResult, format: &Format, framing: Framing) -> Result<Self, Failure> {
        let fields = Arc::new(fields(&result.schema(), format)?);
        let deadline = result.deadline();
        let of_rows = Arc::clone(&fields);
        let pieces = engine.spawn(None, move |out| async move {
            // Clients take what binary COPY begins with for a part of the first row's message.
            let mut begin = match framing {
                Framing::Copy(CopyFormat::Binary) => COPY_BEGIN,
                Framing::Copy(_) | Framing::Rows => b"",
            };
            while let Some(batch) = result.next().await {
                // A batch of large values is not encoded as a whole.
                let mut rows = Encoder::new(batch?, &of_rows, framing, &mut begin);
                while let Some(piece) = rows.piece()? {
                    if out.send(Ok(piece)).await.is_err() {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        Ok(Self { fields, deadline, pieces, rest: None })
    }

    /// Some of the next rows, at most so many, and how many they are. None: there are no more.
    pub(super) async fn take(&mut self, most: usize) -> Result<Option<(BytesMut, usize)>, Failure> {
        let (mut piece, taken) = match self.rest.take() {
            Some(rest) => rest,
            None => match self.pieces.next().await {
                Some(piece) => (piece?, 0),
                None => return Ok(None),
            },
        };
        let left = piece.ends.len() - taken;
        if left <= most {
            return Ok(Some((piece.bytes, left)));
        }
        let end = piece.ends[taken + most - 1] - if taken == 0 { 0 } else { piece.ends[taken - 1] };
        let bytes = piece.bytes.split_to(end);
        self.rest = Some((piece, taken + most));
        Ok(Some((bytes, most)))
    }
}

/// Columns as clients are told of them.
pub(super) fn fields(schema: &Schema, format: &Format) -> Result<Vec<FieldInfo>, Failure> {
    let columns = schema.fields().len();
    if columns > i16::MAX as usize {
        return Err(Failure::error("54011", "too many columns"));
    }
    // A cursor, or a statement that EXECUTE names, may be another one since the formats were told.
    if let Format::Individual(codes) = format
        && codes.len() != columns
    {
        return Err(Failure::error("08P01", format!("{} formats for {columns} columns", codes.len())));
    }
    Ok(arrow_schema_to_pg_fields(schema, format, None)?)
}

/// The message about columns.
pub(super) fn description(fields: &[FieldInfo]) -> PgWireBackendMessage {
    PgWireBackendMessage::RowDescription(RowDescription::new(fields.iter().map(Into::into).collect()))
}

/// Formats as clients name them: none, one for all, or one for each.
pub(super) fn format(codes: &[i16]) -> Format {
    match codes {
        [] => Format::UnifiedText,
        [one] => Format::from(*one),
        each => Format::Individual(each.to_vec()),
    }
}

struct Encoder<'a> {
    rows: Box<dyn Iterator<Item = Result<DataRow, PgWireError>> + Send>,
    framing: Framing,
    /// What is written before the next row.
    begin: &'a mut &'static [u8],
}

impl<'a> Encoder<'a> {
    fn new(batch: RecordBatch, fields: &Arc<Vec<FieldInfo>>, framing: Framing, begin: &'a mut &'static [u8]) -> Self {
        Self { rows: encode_recordbatch(Arc::clone(fields), batch), framing, begin }
    }

    fn piece(&mut self) -> Result<Option<Piece>, SqlError> {
        let mut piece = Piece { bytes: BytesMut::with_capacity(PIECE), ends: Vec::new() };
        for row in self.rows.by_ref() {
            let row = row.map_err(|e| SqlError::invalid(e.to_string()))?;
            match self.framing {
                Framing::Rows => row.encode(&mut piece.bytes).map_err(|e| SqlError::invalid(e.to_string()))?,
                Framing::Copy(format) => copy_row(&row, format, std::mem::take(self.begin), &mut piece.bytes),
            }
            piece.ends.push(piece.bytes.len());
            if piece.bytes.len() >= PIECE {
                break;
            }
        }
        Ok((!piece.ends.is_empty()).then_some(piece))
    }
}

/// A message of COPY with one row: its values, each behind its length, written in another way.
fn copy_row(row: &DataRow, format: CopyFormat, before: &[u8], out: &mut BytesMut) {
    let begin = out.len();
    out.put_u8(b'd');
    out.put_u32(0);
    out.put_slice(before);
    match format {
        CopyFormat::Binary => {
            out.put_i16(row.field_count);
            out.put_slice(&row.data);
        }
        CopyFormat::Text => separated(row, b'\t', b"\\N", escape_text, out),
        CopyFormat::Csv { .. } => separated(row, b',', b"", quote_csv, out),
    }
    let length = (out.len() - begin - 1) as u32;
    out[begin + 1..begin + 5].copy_from_slice(&length.to_be_bytes());
}

fn separated(row: &DataRow, separator: u8, null: &[u8], write: fn(&[u8], &mut BytesMut), out: &mut BytesMut) {
    let mut rest = &row.data[..];
    let mut first = true;
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        if !std::mem::take(&mut first) {
            out.put_u8(separator);
        }
        match usize::try_from(i32::from_be_bytes(*length)).ok().and_then(|length| after.split_at_checked(length)) {
            Some((value, after)) => {
                write(value, out);
                rest = after;
            }
            None => {
                out.put_slice(null);
                rest = after;
            }
        }
    }
    out.put_u8(b'\n');
}

fn escape_text(value: &[u8], out: &mut BytesMut) {
    for byte in value {
        match byte {
            b'\\' => out.put_slice(b"\\\\"),
            b'\t' => out.put_slice(b"\\t"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            other => out.put_u8(*other),
        }
    }
}

/// Empty text in quotes, as nothing at all is NULL.
fn quote_csv(value: &[u8], out: &mut BytesMut) {
    if !value.is_empty() && !value.iter().any(|b| matches!(b, b',' | b'"' | b'\n' | b'\r')) {
        return out.put_slice(value);
    }
    out.put_u8(b'"');
    for byte in value {
        if *byte == b'"' {
            out.put_u8(b'"');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

/// The line of names of a CSV.
pub(super) fn csv_header(fields: &[FieldInfo]) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (i, field) in fields.iter().enumerate() {
        if i > 0 {
            out.put_u8(b',');
        }
        quote_csv(field.name().as_bytes(), &mut out);
    }
    out.put_u8(b'\n');
    out.to_vec()
}
