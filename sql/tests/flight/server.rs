//! The server under test, and a client of another maker.

use crate::common::{Fixture, fixture};
use crate::people::{CatalogDoor, people};
use arrow_flight::error::FlightError;
use arrow_flight::sql::client::FlightSqlServiceClient;
use arrow_flight::{FlightInfo, Ticket};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::util::pretty::pretty_format_batches;
use futures::TryStreamExt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};
use waystream_sql::SqlOptions;
use waystream_sql::flight::{Flight, FlightOptions};

pub(crate) type Client = FlightSqlServiceClient<Channel>;

/// `anna` is of acme, `bert` of bolt; each has one token.
pub(crate) struct Server {
    pub(crate) fixture: Fixture,
    pub(crate) address: SocketAddr,
    pub(crate) anna: String,
    pub(crate) bert: String,
    stop: CancellationToken,
    running: tokio::task::JoinHandle<()>,
}

/// What tests begin with.
pub(crate) fn options() -> FlightOptions {
    FlightOptions {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        insecure: false,
        connections: 20,
        startup: Duration::from_secs(10),
        idle: Duration::from_secs(600),
        stuck: Duration::from_secs(30),
    }
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::start_with(options(), SqlOptions::default()).await
    }

    pub(crate) async fn start_with(options: FlightOptions, limits: SqlOptions) -> Self {
        let fixture = fixture(limits).await;
        let [anna, bert] = people(&fixture);
        let door = Arc::new(CatalogDoor(fixture.catalog.clone()));
        let flight = Flight::bind(options, fixture.engine.clone(), door).await.unwrap();
        let address = flight.local_addr();
        let stop = CancellationToken::new();
        let running = tokio::spawn(flight.run(stop.clone()));
        Self { fixture, address, anna, bert, stop, running }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap()
    }

    /// A client that has shown nothing.
    pub(crate) async fn stranger(&self) -> Client {
        Client::new(self.endpoint().connect().await.unwrap())
    }

    pub(crate) async fn client(&self, secret: &str) -> Client {
        let mut client = self.stranger().await;
        client.set_token(secret.to_owned());
        client
    }

    pub(crate) async fn anna(&self) -> Client {
        self.client(&self.anna).await
    }

    /// Waits until so many queries run.
    pub(crate) async fn until_running(&self, queries: usize) {
        let begun = Instant::now();
        while self.fixture.engine.running() != queries {
            let running = self.fixture.engine.running();
            assert!(begun.elapsed() < Duration::from_secs(20), "{running} queries run, not {queries}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.running).await.expect("ends soon").unwrap();
    }
}

/// What the server has told.
pub(crate) fn told(error: FlightError) -> Status {
    match error {
        FlightError::Tonic(status) => *status,
        other => panic!("not told by the server: {other}"),
    }
}

pub(crate) fn ticket(info: &FlightInfo) -> Ticket {
    info.endpoint[0].ticket.clone().unwrap()
}

/// The rows of an answer; their columns are those that were told before.
pub(crate) async fn rows(client: &mut Client, info: FlightInfo) -> Result<Vec<RecordBatch>, Status> {
    let mut stream = client.do_get(ticket(&info)).await.map_err(told)?;
    let mut batches = Vec::new();
    while let Some(batch) = stream.try_next().await.map_err(told)? {
        batches.push(batch);
    }
    assert_eq!(stream.schema().unwrap().as_ref(), &info.try_decode_schema().unwrap());
    Ok(batches)
}

pub(crate) async fn query(client: &mut Client, sql: &str) -> Result<Vec<RecordBatch>, Status> {
    let info = client.execute(sql.to_owned(), None).await.map_err(told)?;
    rows(client, info).await
}

/// As people read them.
pub(crate) fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

/// The cells of the only row.
pub(crate) fn row(batches: &[RecordBatch]) -> Vec<String> {
    let text = text(batches);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 5, "{text}");
    lines[3].trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect()
}
