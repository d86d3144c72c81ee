//! Rows on their way to a client: encoded on the engine's threads, as they are taken. What ends a query reaches it also while nobody takes
//! any: HTTP/2 asks for nothing on behalf of a client that has room for nothing.

use super::call::Call;
use super::failure;
use crate::engine::Rows;
use crate::fair::Place;
use crate::{QueryResult, SqlEngine, SqlError, metrics};
use arrow_flight::FlightData;
use arrow_flight::encode::FlightDataEncoderBuilder;
use arrow_flight::error::FlightError;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use futures::stream::{BoxStream, Stream};
use futures::{StreamExt, TryStreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// Bytes of a message, about.
const PIECE: usize = 256 << 10;

/// What a client takes.
pub(super) type Pieces = BoxStream<'static, Result<FlightData, Status>>;

/// Rows as they come. Dropping it stops the query.
struct RowStream {
    pieces: mpsc::Receiver<Result<FlightData, Status>>,
    _pump: AbortOnDropHandle<()>,
    _place: Place,
}

impl Stream for RowStream {
    type Item = Result<FlightData, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().pieces.poll_recv(cx)
    }
}

/// The rows of a query.
pub(super) fn stream(engine: &SqlEngine, result: QueryResult, call: &Call, place: Place) -> Pieces {
    let deadline = result.deadline().map(|at| (at, engine.deadline()));
    let schema = plain(&result.schema());
    let encoded = engine.spawn(None, move |out| async move {
        let batches = futures::stream::unfold(result, |mut result| async move {
            let batch = result.next().await?;
            Some((batch.map_err(|error| FlightError::ExternalError(Box::new(error))), result))
        });
        let mut pieces = FlightDataEncoderBuilder::new().with_schema(schema).with_max_flight_data_size(PIECE).build(batches);
        while let Some(piece) = pieces.next().await {
            if out.send(Ok(piece.map_err(reason)?)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    });
    let (out, pieces) = mpsc::channel(1);
    let pump = AbortOnDropHandle::new(tokio::spawn(pump(encoded, deadline, call.clone(), out)));
    RowStream { pieces, _pump: pump, _place: place }.boxed()
}

/// Columns of such rows, as the encoder will tell them.
pub(super) fn columns_at_once(batch: &RecordBatch) -> SchemaRef {
    let encoder = FlightDataEncoderBuilder::new().with_schema(batch.schema()).build(futures::stream::empty());
    encoder.known_schema().unwrap_or_else(|| batch.schema())
}

/// Rows that are there already.
pub(super) fn at_once(batch: RecordBatch) -> Pieces {
    let schema = batch.schema();
    let pieces = FlightDataEncoderBuilder::new().with_schema(schema).build(futures::stream::iter([Ok(batch)]));
    pieces.map_err(|error| failure::of(reason(error))).boxed()
}

async fn pump(
    mut encoded: Rows<FlightData>,
    deadline: Option<(Instant, Duration)>,
    call: Call,
    out: mpsc::Sender<Result<FlightData, Status>>,
) {
    let work = async {
        while let Some(piece) = encoded.next().await {
            // With the stream this task is gone too.
            if out.send(Ok(piece.map_err(failure::of)?)).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    };
    // A client that takes no rows holds the query up: the deadline is for that too.
    let in_time = async {
        match deadline {
            Some((at, after)) => timeout_at(at, work).await.unwrap_or_else(|_| Err(failure::of(SqlError::Deadline(after)))),
            None => work.await,
        }
    };
    let ended = call.guarded(in_time).await;
    // The query ends before a slow client is told.
    drop(encoded);
    let patience = Instant::now() + call.visit.shared.options.stuck;
    if let Err(status) = ended {
        timeout_at(patience, out.send(Err(status))).await.ok();
    }
    drop(out);
    // Once all is taken the stream goes, and this task with it.
    sleep_until(patience).await;
    metrics::flight_failed("stuck");
    tracing::warn!(peer = %call.visit.peer, "Flight SQL client cut off: it takes nothing");
    call.visit.kill.cancel();
}

/// Why there are no more pieces.
fn reason(error: FlightError) -> SqlError {
    match error {
        FlightError::ExternalError(error) => match error.downcast::<SqlError>() {
            Ok(error) => *error,
            Err(error) => SqlError::Store(error.to_string()),
        },
        other => SqlError::invalid(format!("the result can't be written in this format: {other}")),
    }
}

/// Columns as clients get them: text and bytes as every client knows them, not as views, and no dictionaries. The encoder casts rows to that. Any
/// may be NULL: clients hold what was told of a query against its rows, and a plan may know more of that than its rows say.
pub(super) fn plain(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| Field::new(field.name(), plain_type(field.data_type()), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::List(element) | DataType::LargeList(element) => {
            let data_type = plain_type(element.data_type());
            DataType::List(Arc::new(Field::new(element.name(), data_type, element.is_nullable())))
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_of_types_that_every_client_knows() {
        let list = |element| DataType::new_list(element, true);
        let coded = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8View));
        for (from, to) in [
            (DataType::Utf8View, DataType::Utf8),
            (DataType::BinaryView, DataType::Binary),
            (coded, DataType::Utf8),
            (list(DataType::Utf8View), list(DataType::Utf8)),
            (DataType::Float64, DataType::Float64),
        ] {
            let schema = Schema::new(vec![Field::new("a", from, false)]);
            assert_eq!(plain(&schema).field(0), &Field::new("a", to, true));
        }
    }
}
