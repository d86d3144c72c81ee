//! Rows to the server: QuestDB's line protocol over HTTP, a batch of one table a request. Everything here blocks.
//!
//! A request is all or nothing. When it is open what became of one, it is sent again: rows have keys, so that nothing is doubled.

use super::QuestDbOptions;
use super::schema::{FIRST_FLUSH, Names, Times, is_symbol};
use crate::{StoreError, Table, metrics};
use arrow::array::{Array, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array, RecordBatch};
use arrow::array::{StringViewArray, TimestampMillisecondArray};
use arrow::datatypes::DataType;
use questdb::ErrorCode;
use questdb::ingress::{Buffer, ColumnName, Protocol, Sender, SenderBuilder, TableName, TimestampMicros};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::thread::sleep;
use std::time::Duration;
use tracing::{error, warn};
use waystream_log::Offsets;

/// Rows per request. More don't make it faster.
const BATCH_ROWS: usize = 10_000;
/// Waits before a request is sent again; after the last the caller may try later.
const BACKOFF: [Duration; 4] =
    [Duration::from_millis(50), Duration::from_millis(150), Duration::from_millis(400), Duration::from_millis(800)];
/// More rows than these refused by one flush are no fault of the rows: the tables or the server are not as they should be.
const MAX_REFUSED: usize = 100;
/// What the server says of lines that it does not understand or that don't fit its table, and of requests that are too large for it. All else is its
/// own trouble, or that of a proxy, whatever the rows: a full disk is an inner error.
const OF_ROWS: [&str; 2] = ["invalid", "request too large"];
/// Below this a slow server is waited for.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The client itself repeats what the server failed to do for inner reasons, within this time.
const RETRY_TIMEOUT: Duration = Duration::from_secs(2);

/// The writing side of a server.
#[derive(Debug)]
pub(crate) struct Writer {
    options: QuestDbOptions,
    names: Names,
    /// `None`: not connected, or not any more.
    sender: Mutex<Option<Sender>>,
}

/// Why a request wasn't taken.
enum Failure {
    /// These rows, or one of them, for this reason.
    Refused(String),
    /// Whatever it contained.
    Unavailable(String),
}

impl Writer {
    pub(crate) fn new(options: QuestDbOptions, names: Names) -> Self {
        Self { options, names, sender: Mutex::default() }
    }

    /// Writes rows as of this flush; they are durable when it returns. The names of the tables that were written to.
    pub(crate) fn write(&self, table: Table, rows: &RecordBatch, flush: i32) -> Result<Vec<String>, StoreError> {
        let columns = Columns::of(table, rows, flush).ok_or_else(|| StoreError::Refused("a column is missing".into()))?;
        let mut written = Vec::new();
        let mut refused = Vec::new();
        for times in Times::ALL {
            let indices: Vec<usize> = (0..rows.num_rows()).filter(|i| Times::of(columns.fix_time.value(*i)) == times).collect();
            if indices.is_empty() {
                continue;
            }
            let name = self.names.rows(table, times);
            for chunk in indices.chunks(BATCH_ROWS) {
                let write = |buffer: &mut Buffer, i: usize| columns.write(buffer, &name, times, chunk[i]);
                self.send_rows(0..chunk.len(), &write, &mut |i, reason| {
                    refused.push((chunk[i], reason));
                    refused.len() <= MAX_REFUSED
                })?;
            }
            written.push(name);
        }
        if refused.len() > 1 && refused.len() == rows.num_rows() {
            let reason = refused.swap_remove(0).1;
            return Err(StoreError::Unavailable(format!("QuestDB refuses all rows of {}: {reason}", table.name())));
        }
        if !refused.is_empty() {
            self.set_aside(table, rows, &refused)?;
            written.push(self.names.refused());
        }
        Ok(written)
    }

    /// Says how far the log is covered.
    pub(crate) fn cover(&self, offsets: &Offsets, flush: i32) -> Result<String, StoreError> {
        let name = self.names.archived();
        let offsets: Vec<_> = offsets.iter().collect();
        let write = |buffer: &mut Buffer, i: usize| {
            let ((topic, partition), next) = offsets[i];
            buffer
                .table(TableName::new(&name)?)?
                .symbol("topic", topic.name())?
                .column_i64("log_partition", i64::from(*partition))?
                .column_i64("next_offset", i64::try_from(*next).unwrap_or(i64::MAX))?
                .column_i64("flush", i64::from(flush))?
                .at(TimestampMicros::new(0))
        };
        self.send_rows(0..offsets.len(), &write, &mut |_, reason| {
            error!(reason, "QuestDB refuses offsets");
            false
        })?;
        Ok(name)
    }

    /// Sends rows; halves what is refused until the rows are found that are to blame. Goes on as long as `refuse` lets it.
    fn send_rows(
        &self,
        rows: Range<usize>,
        write: &dyn Fn(&mut Buffer, usize) -> questdb::Result<()>,
        refuse: &mut dyn FnMut(usize, String) -> bool,
    ) -> Result<(), StoreError> {
        match self.send(rows.clone(), write) {
            Ok(()) => Ok(()),
            Err(Failure::Unavailable(reason)) => Err(StoreError::Unavailable(reason)),
            Err(Failure::Refused(reason)) if rows.len() == 1 => match refuse(rows.start, reason.clone()) {
                true => Ok(()),
                false => Err(StoreError::Unavailable(format!("QuestDB refuses rows: {reason}"))),
            },
            Err(Failure::Refused(_)) => {
                let middle = rows.start + rows.len() / 2;
                self.send_rows(rows.start..middle, write, refuse)?;
                self.send_rows(middle..rows.end, write, refuse)
            }
        }
    }

    /// One request, repeated while it is open whether the server took it.
    fn send(&self, rows: Range<usize>, write: &dyn Fn(&mut Buffer, usize) -> questdb::Result<()>) -> Result<(), Failure> {
        let mut backoff = BACKOFF.iter();
        loop {
            let failure = match self.try_send(rows.clone(), write) {
                Ok(()) => return Ok(()),
                Err(e) => e,
            };
            let is_of_rows = match failure.code() {
                ErrorCode::ServerFlushError => blames_rows(failure.msg()),
                ErrorCode::InvalidTimestamp | ErrorCode::InvalidName | ErrorCode::InvalidApiCall | ErrorCode::InvalidUtf8 => {
                    true
                }
                _ => false,
            };
            if is_of_rows {
                return Err(Failure::Refused(failure.msg().to_owned()));
            }
            match backoff.next() {
                Some(wait) => sleep(*wait),
                None => {
                    let at = self.options.base_url();
                    return Err(Failure::Unavailable(format!("QuestDB at {at} takes no rows: {}", failure.msg())));
                }
            }
        }
    }

    fn try_send(&self, rows: Range<usize>, write: &dyn Fn(&mut Buffer, usize) -> questdb::Result<()>) -> questdb::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let mut slot = self.sender.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = match &mut *slot {
            Some(sender) => sender,
            None => slot.insert(self.connect()?),
        };
        let mut buffer = sender.new_buffer();
        for i in rows {
            write(&mut buffer, i)?;
        }
        let sent = sender.flush_and_keep_with_flags(&buffer, true);
        if sent.as_ref().is_err_and(|e| e.code() != ErrorCode::ServerFlushError) {
            *slot = None;
        }
        sent
    }

    fn connect(&self) -> questdb::Result<Sender> {
        let protocol = if self.options.tls.is_some() { Protocol::Https } else { Protocol::Http };
        let mut builder = SenderBuilder::new(protocol, self.options.host(), self.options.port())
            .request_timeout(REQUEST_TIMEOUT)?
            .retry_timeout(RETRY_TIMEOUT)?;
        if let Some(ca_file) = self.options.tls.as_ref().and_then(|tls| tls.ca_file.as_ref()) {
            builder = builder.tls_roots(ca_file)?;
        }
        if let Some(token) = &self.options.token {
            builder = builder.token(token)?;
        } else if let Some(user) = &self.options.user {
            builder = builder.username(user)?.password(self.options.password.as_deref().unwrap_or_default())?;
        }
        builder.build()
    }

    /// Keeps refused rows as text, with the reason. If that fails too, the log still has them.
    fn set_aside(&self, table: Table, rows: &RecordBatch, refused: &[(usize, String)]) -> Result<(), StoreError> {
        let name = self.names.refused();
        let time = rows.column_by_name("received_at").and_then(|c| c.as_primitive_opt().cloned());
        let time: TimestampMillisecondArray = time.ok_or_else(|| StoreError::Refused("received_at is missing".into()))?;
        let (partition, offset) = places(rows);
        for (i, reason) in refused {
            let (partition, offset) = (partition.value(*i), offset.value(*i));
            warn!(topic = table.name(), partition, offset, reason, "QuestDB refuses a row, which is set aside");
        }
        metrics::refused(table, refused.len());
        let write = |buffer: &mut Buffer, n: usize| {
            let (i, reason) = &refused[n];
            buffer
                .table(TableName::new(&name)?)?
                .symbol("topic", table.name())?
                .column_i64("log_partition", i64::from(partition.value(*i)))?
                .column_i64("log_offset", offset.value(*i))?
                .column_str("reason", reason)?
                .column_str("row", json(&rows.slice(*i, 1)))?
                // The time of receipt, so that the same row again is the same line.
                .at(TimestampMicros::new(time.value(*i).max(0).saturating_mul(1_000)))
        };
        self.send_rows(0..refused.len(), &write, &mut |n, reason| {
            let (i, _) = &refused[n];
            let (partition, offset) = (partition.value(*i), offset.value(*i));
            error!(
                topic = table.name(),
                partition, offset, reason, "a refused row could not be set aside, only the log has it"
            );
            true
        })
    }
}

/// Whether what the server has answered is about the rows.
fn blames_rows(message: &str) -> bool {
    code_of(message).is_some_and(|code| OF_ROWS.contains(&code.as_str()))
}

/// The server's own code. The client gives all its answers one code, and the server's only in the message: as the server's JSON, or, where it
/// has taken that apart, behind what the server says: `… [id: 7e1c-3, code: invalid, line: 4]`.
fn code_of(message: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        code: String,
    }
    let json = message.find('{').and_then(|begin| serde_json::from_str(message.get(begin..)?).ok());
    json.map(|Answer { code }| code).or_else(|| {
        let (_, told) = message.rsplit_once(" [")?;
        let (_, code) = told.split_once("code: ")?;
        Some(code.split([',', ']']).next()?.to_owned())
    })
}

/// Partition and offset of each row.
fn places(rows: &RecordBatch) -> (Int32Array, Int64Array) {
    let partition = rows.column_by_name("log_partition").and_then(|c| c.as_primitive_opt().cloned());
    let offset = rows.column_by_name("log_offset").and_then(|c| c.as_primitive_opt().cloned());
    (partition.unwrap_or_else(|| Int32Array::new_null(0)), offset.unwrap_or_else(|| Int64Array::new_null(0)))
}

/// A row for people to read.
fn json(row: &RecordBatch) -> String {
    let mut text = Vec::new();
    let mut writer = arrow::json::LineDelimitedWriter::new(&mut text);
    // What can't be shown is left out: the log has it.
    if writer.write(row).and_then(|()| writer.finish()).is_err() {
        text.clear();
    }
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

/// Columns of some rows, by how they are written.
struct Columns<'a> {
    fix_time: &'a TimestampMillisecondArray,
    symbols: Vec<(ColumnName<'static>, &'a StringViewArray)>,
    others: Vec<(ColumnName<'static>, Values<'a>)>,
    first_flush: Option<&'a Int32Array>,
    flush: i32,
}

enum Values<'a> {
    Text(&'a StringViewArray),
    Double(&'a Float64Array),
    Float(&'a Float32Array),
    Flag(&'a BooleanArray),
    Int(&'a Int32Array),
    Long(&'a Int64Array),
    Time(&'a TimestampMillisecondArray),
}

impl<'a> Columns<'a> {
    /// `None` if a column is missing or of another type.
    fn of(table: Table, rows: &'a RecordBatch, flush: i32) -> Option<Self> {
        static NAMES: std::sync::LazyLock<HashSet<&'static str>> = std::sync::LazyLock::new(|| {
            let all = crate::POSITION_COLUMNS.into_iter().chain(crate::EVENT_COLUMNS);
            all.chain(["geofence_version", "log_partition", "log_offset"]).collect()
        });
        let (mut symbols, mut others) = (Vec::new(), Vec::new());
        for field in table.schema().fields() {
            let name = ColumnName::new_unchecked(NAMES.get(field.name().as_str())?);
            let column = rows.column_by_name(field.name())?;
            others.push((
                name,
                match field.data_type() {
                    DataType::Utf8View if is_symbol(field.name()) => {
                        symbols.push((name, column.as_string_view_opt()?));
                        continue;
                    }
                    DataType::Utf8View => Values::Text(column.as_string_view_opt()?),
                    DataType::Float64 => Values::Double(column.as_primitive_opt()?),
                    DataType::Float32 => Values::Float(column.as_primitive_opt()?),
                    DataType::Boolean => Values::Flag(column.as_boolean_opt()?),
                    DataType::Int32 => Values::Int(column.as_primitive_opt()?),
                    DataType::Int64 => Values::Long(column.as_primitive_opt()?),
                    _ if field.name() == "fix_time" => continue,
                    _ => Values::Time(column.as_primitive_opt()?),
                },
            ));
        }
        let fix_time = rows.column_by_name("fix_time")?.as_primitive_opt()?;
        let first_flush = rows.column_by_name(FIRST_FLUSH).and_then(|c| c.as_primitive_opt());
        Some(Self { fix_time, symbols, others, first_flush, flush })
    }

    fn write(&self, buffer: &mut Buffer, table: &str, times: Times, i: usize) -> questdb::Result<()> {
        buffer.table(TableName::new(table)?)?;
        for (name, column) in &self.symbols {
            // An empty symbol and none are the same.
            if column.is_valid(i) && !column.value(i).is_empty() {
                buffer.symbol(*name, column.value(i))?;
            }
        }
        for (name, column) in &self.others {
            match column {
                Values::Text(c) if c.is_valid(i) => buffer.column_str(*name, c.value(i))?,
                Values::Double(c) if c.is_valid(i) => buffer.column_f64(*name, c.value(i))?,
                Values::Float(c) if c.is_valid(i) => buffer.column_f64(*name, f64::from(c.value(i)))?,
                Values::Flag(c) if c.is_valid(i) => buffer.column_bool(*name, c.value(i))?,
                Values::Int(c) if c.is_valid(i) => buffer.column_i64(*name, i64::from(c.value(i)))?,
                Values::Long(c) if c.is_valid(i) => buffer.column_i64(*name, c.value(i))?,
                Values::Time(c) if c.is_valid(i) => buffer.column_ts(*name, micros(c.value(i)))?,
                _ => continue,
            };
        }
        let first = self.first_flush.filter(|c| c.is_valid(i)).map_or(self.flush, |c| c.value(i));
        buffer.column_i64(FIRST_FLUSH, i64::from(first))?;
        let fix_time = self.fix_time.value(i);
        match times {
            Times::Usual => buffer.at(micros(fix_time)),
            Times::Odd => buffer.column_ts("fix_time", micros(fix_time))?.at(micros(fix_time.max(0))),
        }
    }
}

/// Times of positions lie in the years 1 to 9999: they fit.
fn micros(ms: i64) -> TimestampMicros {
    TimestampMicros::new(ms.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Archived;
    use crate::contract::{at, position};
    use crate::rows::positions_batch;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    /// A server that answers so whoever writes, and nobody else.
    fn answering(status: &'static str, body: &'static str) -> QuestDbOptions {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.expect("a connection"));
                let (mut line, mut length, mut writes) = (String::new(), 0, false);
                while stream.read_line(&mut line).expect("a head") > 2 {
                    writes |= line.starts_with("POST");
                    if let Some(bytes) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                        length = bytes.trim().parse().expect("a number");
                    }
                    line.clear();
                }
                stream.read_exact(&mut vec![0; length]).expect("a body");
                let (status, body) = if writes { (status, body) } else { ("404 Not Found", "") };
                let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n");
                let answer = format!("{head}Content-Length: {}\r\n\r\n{body}", body.len());
                stream.get_mut().write_all(answer.as_bytes()).expect("who asks listens");
            }
        });
        QuestDbOptions { address: ("127.0.0.1".into(), port), ..QuestDbOptions::default() }
    }

    #[test]
    fn a_row_that_the_server_can_not_take_now_is_not_to_blame() {
        let answer = r#"{"code":"not accepting writes","message":"read only","line":1,"errorId":"7e1c-3"}"#;
        let writer = Writer::new(answering("421 Misdirected Request", answer), Names::new(""));
        let row = position("355", at("2026-03-04T10:00:00Z"));
        let written = writer.write(Table::Positions, &positions_batch(&[Archived { partition: 0, offset: 7, row }]), 1);
        assert!(matches!(&written, Err(StoreError::Unavailable(why)) if why.contains("read only")), "{written:?}");
    }

    #[test]
    fn rows_are_to_blame_where_the_server_says_so() {
        for (message, rows) in [
            ("Could not flush buffer: error in line 4 [id: 7e1c-3, code: invalid, line: 4]", true),
            ("Could not flush buffer: buffer is too small [id: 7e1c-4, code: request too large]", true),
            ("Could not flush buffer: code: invalid [28] [id: 7e1c-5, code: internal error, line: 1]", false),
            ("Could not flush buffer: table renamed [id: 7e1c-6, code: retry operation]", false),
            ("Could not flush buffer: <html>[code: invalid]</html>", false),
            (r#"Could not flush buffer: {"code":"invalid","message":"cast error","line":334,"errorId":"d78c-5"}"#, true),
            (r#"Could not flush buffer: {"code":"internal error","message":"[code: invalid]","errorId":"d78c-6"}"#, false),
            ("Could not flush buffer: {\"code\":", false),
            ("Could not flush buffer: ", false),
        ] {
            assert_eq!(blames_rows(message), rows, "{message}");
        }
    }
}
