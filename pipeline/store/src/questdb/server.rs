//! The server as reached over HTTP: statements and small answers as JSON, rows as Parquet.

use super::QuestDbOptions;
use crate::StoreError;
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use bytes::Bytes;
use datafusion::common::DataFusionError;
use datafusion::execution::disk_manager::{DiskManager, DiskManagerBuilder};
use datafusion::execution::spill_file::SpillFile;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use serde_json::Value;
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Long enough for statements on large tables; queries of users end by their own deadline.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);
/// Where nobody else sets a deadline, a server that sends nothing of its answer for so long is gone.
const SILENCE: Duration = Duration::from_secs(60);
/// A server that doesn't take a connection within this time is down.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Larger exports wait in a temporary file to be decoded: a Parquet file is read from its end.
const IN_MEMORY_BYTES: usize = 32 << 20;
/// Without a limit, version 9.3.4 writes text columns that can't be read.
pub(crate) const NO_LIMIT: i64 = i64::MAX;
/// Rows per decoded batch.
const BATCH_ROWS: usize = 8_192;
/// First and last bytes of every Parquet file.
const MAGIC: &[u8] = b"PAR1";

/// A QuestDB server.
#[derive(Debug)]
pub(crate) struct Server {
    http: reqwest::Client,
    options: QuestDbOptions,
    /// The server refuses more exports at a time than it is set to.
    exports: Semaphore,
    /// For our own questions; those of users have limits of their own.
    spill: Arc<DiskManager>,
}

/// Rows as the server sent them.
pub(crate) enum Exported {
    Memory(Bytes),
    File(Arc<dyn SpillFile>),
}

impl Server {
    pub(crate) fn new(options: QuestDbOptions) -> Result<Self, StoreError> {
        let http = reqwest::Client::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let http = http.map_err(|e| StoreError::Unavailable(format!("could not make an HTTP client: {e}")))?;
        let spill = DiskManagerBuilder::default().build();
        let spill = spill.map_err(|e| StoreError::Unavailable(format!("there is no place for temporary files: {e}")))?;
        Ok(Self { http, exports: Semaphore::new(options.max_exports.max(1)), options, spill: Arc::new(spill) })
    }

    pub(crate) fn options(&self) -> &QuestDbOptions {
        &self.options
    }

    fn get(&self, path: &str, query: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let request = self.http.get(format!("{}/{path}", self.options.base_url())).query(query);
        match &self.options.user {
            Some(user) => request.basic_auth(user, self.options.password.as_deref()),
            None => request,
        }
    }

    /// Runs a statement; the rows of its answer, if it has any.
    pub(crate) async fn execute(&self, sql: &str) -> Result<Vec<Vec<Value>>, StoreError> {
        let answer = self.get("exec", &[("query", sql)]).timeout(STATEMENT_TIMEOUT).send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut answer: Value = answer.json().await.map_err(unreachable)?;
        if let Some(error) = answer["error"].as_str() {
            return Err(StoreError::Unavailable(format!("QuestDB did not run {}: {error}", shortened(sql))));
        }
        if !status.is_success() {
            return Err(StoreError::Unavailable(format!("QuestDB answered {status} to {}", shortened(sql))));
        }
        serde_json::from_value(answer["dataset"].take())
            .or_else(|e| if answer["ddl"].is_string() || answer["dml"].is_string() { Ok(Vec::new()) } else { Err(e) })
            .map_err(|e| StoreError::Unavailable(format!("QuestDB answered {} otherwise than expected: {e}", shortened(sql))))
    }

    /// Asks for rows. What doesn't fit into memory goes to the disk of `spill`. `silence`: how long nothing may come; none: the asker
    /// has a deadline.
    pub(crate) async fn export(
        &self,
        sql: &str,
        spill: &Arc<DiskManager>,
        silence: Option<Duration>,
    ) -> Result<Exported, DataFusionError> {
        let failed =
            |reason: String| external(StoreError::Unavailable(format!("QuestDB did not answer {}: {reason}", shortened(sql))));
        let _turn = self.exports.acquire().await.map_err(|e| failed(e.to_string()))?;
        let query = [("query", sql), ("fmt", "parquet"), ("compression_codec", "lz4_raw")];
        let gone = |e| external(unreachable(e));
        let mut answer = heard(silence, async { self.get("exp", &query).send().await.map_err(gone) }).await?;
        let mut memory = Vec::new();
        let mut file: Option<(Arc<dyn SpillFile>, _)> = None;
        let mut last = Vec::new();
        while let Some(chunk) = heard(silence, async { answer.chunk().await.map_err(gone) }).await? {
            last.extend_from_slice(&chunk[chunk.len().saturating_sub(MAGIC.len())..]);
            last.drain(..last.len().saturating_sub(MAGIC.len()));
            if memory.len() + chunk.len() <= IN_MEMORY_BYTES && file.is_none() {
                memory.extend_from_slice(&chunk);
                continue;
            }
            let (_, writer) = match &mut file {
                Some(file) => file,
                None => {
                    let new = spill.create_tmp_file("rows from QuestDB")?;
                    let mut writer = new.open_writer()?;
                    writer.write_all(&memory)?;
                    file.insert((new, writer))
                }
            };
            // A write into the page cache: short enough for the runtime's threads.
            writer.write_all(&chunk)?;
        }
        // A failed export can end in the middle of a success, and errors come as JSON.
        if !memory.starts_with(MAGIC) || last != MAGIC {
            let text = String::from_utf8_lossy(&memory[..memory.len().min(500)]).into_owned();
            let error = serde_json::from_str::<Value>(&text).ok().and_then(|v| v["error"].as_str().map(str::to_owned));
            return Err(failed(error.unwrap_or_else(|| "the answer was cut off".into())));
        }
        match file {
            None => Ok(Exported::Memory(memory.into())),
            Some((file, mut writer)) => {
                writer.finish()?;
                Ok(Exported::File(file))
            }
        }
    }

    /// An answer as one batch, of which `keep` says what is kept: the answer may be large, what is kept must not.
    pub(crate) async fn rows(
        &self,
        sql: &str,
        schema: &SchemaRef,
        keep: impl Fn(RecordBatch) -> Result<RecordBatch, ArrowError> + Send + 'static,
    ) -> Result<RecordBatch, StoreError> {
        let read = async {
            let exported = self.export(sql, &self.spill, Some(SILENCE)).await?;
            let schema = schema.clone();
            let decode = move || {
                let batches = exported.batches(schema.clone())?.map(|batch| Ok(keep(batch?)?));
                Ok(concat_batches(&schema, &batches.collect::<Result<Vec<_>, DataFusionError>>()?)?)
            };
            let decoded = tokio::task::spawn_blocking(decode).await;
            decoded.unwrap_or_else(|e| Err(DataFusionError::Internal(format!("decoding broke off: {e}"))))
        };
        read.await.map_err(|e: DataFusionError| match e {
            DataFusionError::External(e) => match e.downcast::<StoreError>() {
                Ok(e) => *e,
                Err(e) => StoreError::Unavailable(e.to_string()),
            },
            e => StoreError::Unavailable(e.to_string()),
        })
    }
}

impl Exported {
    /// Decodes the rows. Blocks while it reads.
    pub(crate) fn batches(
        self,
        schema: SchemaRef,
    ) -> Result<impl Iterator<Item = Result<RecordBatch, DataFusionError>>, DataFusionError> {
        let reader: ParquetRecordBatchReader = match &self {
            Self::Memory(bytes) => {
                ParquetRecordBatchReaderBuilder::try_new(bytes.clone())?.with_batch_size(BATCH_ROWS).build()?
            }
            Self::File(file) => {
                let path = file.path().ok_or_else(|| DataFusionError::Internal("temporary files have a path".into()))?;
                ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(path)?)?.with_batch_size(BATCH_ROWS).build()?
            }
        };
        // The file lives as long as the reader.
        let held = self;
        Ok(reader.map(move |batch| {
            let _ = &held;
            conform(&batch?, &schema)
        }))
    }
}

/// Gives columns the types of the schema, in its order; they are found by name.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, DataFusionError> {
    let columns = schema.fields().iter().map(|field| -> Result<ArrayRef, DataFusionError> {
        let Some(column) = batch.column_by_name(field.name()) else {
            return Ok(new_null_array(field.data_type(), batch.num_rows()));
        };
        let column = cast(column, field.data_type())?;
        // An empty symbol is stored as none.
        if !field.is_nullable() && column.null_count() > 0 && column.data_type() == &DataType::Utf8View {
            let texts: StringViewArray = column.as_string_view().iter().map(|t| Some(t.unwrap_or_default())).collect();
            return Ok(Arc::new(texts));
        }
        Ok(column)
    });
    Ok(RecordBatch::try_new(schema.clone(), columns.collect::<Result<_, _>>()?)?)
}

/// Waits for a part of an answer, at most for so long.
async fn heard<T>(
    silence: Option<Duration>,
    part: impl Future<Output = Result<T, DataFusionError>>,
) -> Result<T, DataFusionError> {
    let Some(most) = silence else { return part.await };
    let silent = || StoreError::Unavailable(format!("QuestDB can't be reached: nothing came for {} s", most.as_secs_f64()));
    tokio::time::timeout(most, part).await.unwrap_or_else(|_| Err(external(silent())))
}

fn unreachable(error: reqwest::Error) -> StoreError {
    // The reason is only in its sources, and the address is long with the question in it.
    let error = error.without_url();
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(inner) = source {
        reason = format!("{reason}: {inner}");
        source = inner.source();
    }
    StoreError::Unavailable(format!("QuestDB can't be reached: {reason}"))
}

pub(crate) fn external(error: StoreError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

fn shortened(sql: &str) -> String {
    let mut text: String = sql.chars().take(200).collect();
    if text.len() < sql.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    #[tokio::test]
    async fn who_takes_a_question_and_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = silent.local_addr().expect("it is bound").port();
        let options = QuestDbOptions { address: ("127.0.0.1".into(), port), ..QuestDbOptions::default() };
        let server = Server::new(options).expect("a client");
        // The kernel takes the connection; nobody reads from it.
        let asked = server.export("SELECT 1", &server.spill, Some(Duration::from_millis(100))).await;
        let error = asked.err().expect("silence is no answer").to_string();
        assert!(error.contains("nothing came for 0.1 s"), "{error}");
        drop(silent);
    }
}
