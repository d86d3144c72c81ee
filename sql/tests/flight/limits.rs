//! What ends a query ends the work: giving it up, deadlines, clients that go or take nothing, tokens that are removed, too many at once.

use crate::people::revoke;
use crate::server::{Client, Server, options, query, row, ticket, told};
use arrow_flight::decode::FlightRecordBatchStream;
use futures::TryStreamExt;
use std::time::Duration;
use tonic::Code;
use waystream_sql::SqlOptions;
use waystream_sql::flight::FlightOptions;

/// Computes for ever before the first row.
const COMPUTES: &str = "SELECT value % 10 AS n, count(*) AS m FROM generate_series(1, 1000000000000) GROUP BY 1";
/// Gives rows for ever.
const STREAMS: &str = "SELECT value, 'some text to fill the way' AS text FROM generate_series(1, 1000000000000)";

/// Lets one of them begin.
async fn begin(client: &mut Client, sql: &str) -> FlightRecordBatchStream {
    let info = client.execute(sql.to_owned(), None).await.unwrap();
    client.do_get(ticket(&info)).await.unwrap()
}

/// Takes all rows; why there are no more.
async fn end(mut stream: FlightRecordBatchStream) -> Code {
    loop {
        match stream.try_next().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(error) => return told(error).code(),
        }
    }
}

#[tokio::test]
async fn giving_up_a_stream_stops_the_query() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    for sql in [COMPUTES, STREAMS] {
        let mut stream = begin(&mut anna, sql).await;
        server.until_running(1).await;
        if sql == STREAMS {
            assert!(stream.try_next().await.unwrap().is_some());
        }
        drop(stream);
        server.until_running(0).await;
        // The connection goes on.
        assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_query_along() {
    let server = Server::start().await;
    for sql in [COMPUTES, STREAMS] {
        let mut anna = server.anna().await;
        let stream = begin(&mut anna, sql).await;
        server.until_running(1).await;
        drop((anna, stream));
        server.until_running(0).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_stops_the_query() {
    let limits = SqlOptions { deadline: Duration::from_millis(800), ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    let mut anna = server.anna().await;
    for sql in [COMPUTES, STREAMS] {
        let stream = begin(&mut anna, sql).await;
        assert_eq!(end(stream).await, Code::DeadlineExceeded, "{sql}");
        server.until_running(0).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_no_rows_holds_its_place_no_longer_than_the_deadline() {
    let limits = SqlOptions { deadline: Duration::from_millis(800), ..SqlOptions::default() };
    let options = FlightOptions { stuck: Duration::from_millis(400), connections: 1, ..options() };
    let server = Server::start_with(options, limits).await;
    let mut anna = server.anna().await;
    let stream = begin(&mut anna, STREAMS).await;
    server.until_running(1).await;
    server.until_running(0).await;
    // What it would have got is kept for a while only: then its connection gives its place to others.
    while query(&mut server.client(&server.bert).await, "SELECT 1").await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_ne!(end(stream).await, Code::Ok);
    server.stop().await;
}

#[tokio::test]
async fn a_token_that_is_removed_ends_what_it_began() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let mut bert = server.client(&server.bert).await;
    let [computes, streams] = [begin(&mut anna, COMPUTES).await, begin(&mut anna, STREAMS).await];
    server.until_running(2).await;
    revoke(&server.fixture.catalog, &server.anna);
    // Looked at every second.
    assert_eq!(end(computes).await, Code::Unauthenticated);
    assert_eq!(end(streams).await, Code::Unauthenticated);
    server.until_running(0).await;
    assert_eq!(query(&mut anna, "SELECT 1").await.unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(row(&query(&mut bert, "SELECT 1 AS n").await.unwrap()), ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn no_more_queries_run_at_once_than_may() {
    // Beside another organisation, one has half of them at most.
    let limits = SqlOptions { queries: 4, busy_after: Duration::from_millis(200), ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    let mut anna = server.anna().await;
    let two = [begin(&mut anna, COMPUTES).await, begin(&mut anna, COMPUTES).await];
    server.until_running(2).await;
    let refused = query(&mut anna, "SELECT 1").await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused}");
    let mut bert = server.client(&server.bert).await;
    assert_eq!(row(&query(&mut bert, "SELECT 1 AS n").await.unwrap()), ["1"]);
    drop(two);
    server.until_running(0).await;
    assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let stream = begin(&mut anna, COMPUTES).await;
    server.until_running(1).await;
    let (code, ()) = tokio::join!(end(stream), server.stop());
    assert_eq!(code, Code::Unavailable);
}
