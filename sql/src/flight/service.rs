//! The calls of Flight, and the commands of Flight SQL in them.

use super::Shared;
use super::call::Call;
use super::failure;
use super::handle::Handle;
use super::rows::{self, Pieces};
use crate::SqlError;
use arrow_flight::flight_service_server::FlightService;
use arrow_flight::sql::{
    ActionClosePreparedStatementRequest, ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult, Any,
    Command, CommandPreparedStatementQuery, DoPutPreparedStatementResult, ProstMessageExt, TicketStatementQuery,
};
use arrow_flight::{
    Action, ActionType, Criteria, Empty, FlightData, FlightDescriptor, FlightEndpoint, FlightInfo, HandshakeRequest,
    HandshakeResponse, PollInfo, PutResult, Result as ActionResult, SchemaAsIpc, SchemaResult, Ticket,
};
use bytes::Bytes;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::arrow::error::ArrowError;
use datafusion::arrow::ipc::writer::IpcWriteOptions;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use prost::Message;
use std::sync::Arc;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};

/// Longest command that asks about tables: its lists and patterns are worked through.
const MAX_ABOUT: usize = 10_000;

/// Messages in which the values of a statement come: what they are for, their columns, their row.
const MAX_PIECES: usize = 3;

const CREATE: &str = "CreatePreparedStatement";
const CLOSE: &str = "ClosePreparedStatement";

/// See the module.
pub(super) struct Service(pub(super) Arc<Shared>);

type Answers<T> = BoxStream<'static, Result<T, Status>>;

#[tonic::async_trait]
impl FlightService for Service {
    type HandshakeStream = Answers<HandshakeResponse>;
    type ListFlightsStream = Answers<FlightInfo>;
    type DoGetStream = Pieces;
    type DoPutStream = Answers<PutResult>;
    type DoExchangeStream = Answers<FlightData>;
    type DoActionStream = Answers<ActionResult>;
    type ListActionsStream = Answers<ActionType>;

    /// The token is what later calls show: there are no sessions.
    async fn handshake(
        &self,
        request: Request<Streaming<HandshakeRequest>>,
    ) -> Result<Response<Self::HandshakeStream>, Status> {
        let call = call(&request)?;
        let bearer = MetadataValue::try_from(format!("Bearer {}", call.secret));
        let bearer = bearer.map_err(|_| failure::internal("the token is no header"))?;
        let mut response = Response::new(one(HandshakeResponse::default()));
        response.metadata_mut().insert("authorization", bearer);
        Ok(response)
    }

    async fn list_flights(&self, _: Request<Criteria>) -> Result<Response<Self::ListFlightsStream>, Status> {
        Err(failure::missing("nothing is kept to be listed: ask for a statement"))
    }

    async fn get_flight_info(&self, request: Request<FlightDescriptor>) -> Result<Response<FlightInfo>, Status> {
        let call = call(&request)?;
        let descriptor = request.into_inner();
        let (columns, ticket) = self.asked(&call, &descriptor).await?;
        let info = FlightInfo::new().try_with_schema(&columns).map_err(unwritable)?;
        let endpoint = FlightEndpoint::new().with_ticket(Ticket::new(ticket));
        // How many rows there will be nobody knows.
        let info = info.with_endpoint(endpoint).with_descriptor(descriptor).with_total_records(-1).with_total_bytes(-1);
        Ok(Response::new(info))
    }

    async fn poll_flight_info(&self, _: Request<FlightDescriptor>) -> Result<Response<PollInfo>, Status> {
        Err(failure::missing("there are no queries to come back for: rows come as soon as there are any"))
    }

    async fn get_schema(&self, request: Request<FlightDescriptor>) -> Result<Response<SchemaResult>, Status> {
        let call = call(&request)?;
        let (columns, _) = self.asked(&call, &request.into_inner()).await?;
        Ok(Response::new(SchemaResult { schema: written(&columns)? }))
    }

    async fn do_get(&self, request: Request<Ticket>) -> Result<Response<Self::DoGetStream>, Status> {
        let call = call(&request)?;
        let ticket = request.into_inner().ticket;
        let handle = match command(&ticket)? {
            Command::TicketStatementQuery(ticket) => ticket.statement_handle,
            Command::CommandPreparedStatementQuery(prepared) => prepared.prepared_statement_handle,
            about => return Ok(Response::new(rows::at_once(self.about(&ticket, about)?))),
        };
        let handle = Handle::read(&handle).map_err(failure::of)?;
        Ok(Response::new(self.0.rows(&call, handle).await?))
    }

    /// Values for a prepared statement, and nothing else: everything here is read only.
    async fn do_put(&self, request: Request<Streaming<FlightData>>) -> Result<Response<Self::DoPutStream>, Status> {
        let call = call(&request)?;
        let mut sent = request.into_inner();
        let taken = tokio::time::timeout(self.0.options.startup, call.guarded(values(&mut sent))).await;
        let handle = taken.map_err(|_| failure::malformed("the values did not come in time"))??;
        self.0.try_values(&call, handle.clone()).await?;
        let handle = handle.write().map_err(failure::of)?;
        let told = DoPutPreparedStatementResult { prepared_statement_handle: Some(handle) };
        Ok(Response::new(one(PutResult { app_metadata: told.encode_to_vec().into() })))
    }

    async fn do_exchange(&self, _: Request<Streaming<FlightData>>) -> Result<Response<Self::DoExchangeStream>, Status> {
        Err(failure::missing("there is nothing to exchange here"))
    }

    async fn do_action(&self, request: Request<Action>) -> Result<Response<Self::DoActionStream>, Status> {
        let call = call(&request)?;
        let action = request.into_inner();
        match action.r#type.as_str() {
            CREATE => {
                let asked: ActionCreatePreparedStatementRequest = unpacked(&action.body)?;
                no_transaction(asked.transaction_id.as_ref())?;
                let handle = Handle::of(asked.query);
                let (columns, parameters) = self.0.prepare(&call, handle.clone()).await?;
                let made = ActionCreatePreparedStatementResult {
                    prepared_statement_handle: handle.write().map_err(failure::of)?,
                    dataset_schema: written(&columns)?,
                    parameter_schema: written(&parameters)?,
                };
                Ok(Response::new(one(ActionResult { body: made.as_any().encode_to_vec().into() })))
            }
            // Nothing is kept of it.
            CLOSE => {
                let _closed: ActionClosePreparedStatementRequest = unpacked(&action.body)?;
                Ok(Response::new(stream::empty().boxed()))
            }
            _ => Err(failure::missing("of actions there are those of prepared statements: no transactions, and only reading")),
        }
    }

    async fn list_actions(&self, _: Request<Empty>) -> Result<Response<Self::ListActionsStream>, Status> {
        let all = [
            (CREATE, "ActionCreatePreparedStatementRequest in, ActionCreatePreparedStatementResult out"),
            (CLOSE, "ActionClosePreparedStatementRequest in, nothing out"),
        ];
        let all = all.map(|(name, does)| Ok(ActionType { r#type: name.to_owned(), description: does.to_owned() }));
        Ok(Response::new(stream::iter(all).boxed()))
    }
}

impl Service {
    /// The columns that a command gives, and the ticket for its rows.
    async fn asked(&self, call: &Call, descriptor: &FlightDescriptor) -> Result<(SchemaRef, Bytes), Status> {
        match command(&descriptor.cmd)? {
            Command::CommandStatementQuery(asked) => {
                no_transaction(asked.transaction_id.as_ref())?;
                let handle = Handle::of(asked.query);
                let statement_handle = handle.write().map_err(failure::of)?;
                let columns = self.0.columns(call, handle).await?;
                Ok((columns, TicketStatementQuery { statement_handle }.as_any().encode_to_vec().into()))
            }
            Command::CommandPreparedStatementQuery(prepared) => {
                let handle = Handle::read(&prepared.prepared_statement_handle).map_err(failure::of)?;
                Ok((self.0.columns(call, handle).await?, descriptor.cmd.clone()))
            }
            about => {
                let columns = rows::columns_at_once(&self.about(&descriptor.cmd, about)?);
                Ok((columns, descriptor.cmd.clone()))
            }
        }
    }

    fn about(&self, bytes: &Bytes, command: Command) -> Result<RecordBatch, Status> {
        if bytes.len() > MAX_ABOUT {
            return Err(failure::malformed(format!("the command is longer than {MAX_ABOUT} bytes")));
        }
        self.0.about(command)
    }
}

/// Who makes the call: it was let in.
fn call<T>(request: &Request<T>) -> Result<Call, Status> {
    request.extensions().get::<Call>().cloned().ok_or_else(failure::stranger)
}

fn one<T: Send + 'static>(answer: T) -> Answers<T> {
    stream::iter([Ok(answer)]).boxed()
}

fn command(bytes: &Bytes) -> Result<Command, Status> {
    let no_command = || failure::malformed("this is no command of Flight SQL");
    let any = Any::decode(bytes.clone()).map_err(|_| no_command())?;
    Command::try_from(any).map_err(|_| no_command())
}

fn unpacked<M: ProstMessageExt>(body: &Bytes) -> Result<M, Status> {
    let unpacked = Any::decode(body.clone()).ok().and_then(|any| any.unpack::<M>().ok().flatten());
    unpacked.ok_or_else(|| failure::malformed("the action does not have what it is for"))
}

fn no_transaction(id: Option<&Bytes>) -> Result<(), Status> {
    match id {
        Some(id) if !id.is_empty() => Err(failure::missing("there are no transactions: everything is read only")),
        _ => Ok(()),
    }
}

/// The handle with the values that a client sends for it.
async fn values(sent: &mut Streaming<FlightData>) -> Result<Handle, Status> {
    let broken_off = |_| failure::malformed("the values broke off");
    let mut next = sent.message().await.map_err(broken_off)?;
    let mut handle = begin(next.as_ref().and_then(|first| first.flight_descriptor.as_ref()))?;
    let mut pieces = 0;
    while let Some(piece) = next {
        pieces += 1;
        if pieces > MAX_PIECES {
            return Err(failure::malformed("more is sent than one row of values"));
        }
        if !piece.data_header.is_empty() {
            handle.values.push(FlightData { flight_descriptor: None, app_metadata: Bytes::new(), ..piece });
        }
        next = sent.message().await.map_err(broken_off)?;
    }
    Ok(handle)
}

fn begin(descriptor: Option<&FlightDescriptor>) -> Result<Handle, Status> {
    let descriptor = descriptor.ok_or_else(|| failure::malformed("the first message says what the values are for"))?;
    match command(&descriptor.cmd)? {
        Command::CommandPreparedStatementQuery(CommandPreparedStatementQuery { prepared_statement_handle }) => {
            let handle = Handle::read(&prepared_statement_handle).map_err(failure::of)?;
            // In place of those that it had.
            Ok(Handle::of(handle.sql))
        }
        _ => Err(failure::of(SqlError::ReadOnly("no updates and no ingestion"))),
    }
}

/// Columns as a message of IPC.
fn written(columns: &Schema) -> Result<Bytes, Status> {
    let options = IpcWriteOptions::default();
    let result = SchemaResult::try_from(SchemaAsIpc::new(columns, &options)).map_err(unwritable)?;
    Ok(result.schema)
}

fn unwritable(error: ArrowError) -> Status {
    failure::internal(format!("columns can't be told: {error}"))
}
