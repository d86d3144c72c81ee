//! What ends a query ends the work: cancel requests, deadlines, clients that go, too many at once.

use crate::client::{Client, error, kinds};
use crate::server::{PATIENCE, Server, options};
use std::time::Duration;
use waystream_sql::SqlOptions;

/// Computes for ever before the first row.
const COMPUTES: &str = "SELECT value % 10, count(*) FROM generate_series(1, 1000000000000) GROUP BY 1";
/// Gives rows for ever.
const STREAMS: &str = "SELECT value, 'some text to fill the way' AS text FROM generate_series(1, 1000000000000)";

/// Lets one of them begin, in one of the protocols.
async fn begin(client: &mut Client, sql: &str, extended: bool) {
    if extended {
        client.parse("", sql, &[]).await;
        client.bind("", "", 0, &[]).await;
        client.execute("", 0).await;
        client.send('S', b"").await;
    } else {
        client.send('Q', &[sql.as_bytes(), b"\0"].concat()).await;
    }
}

fn end(messages: &[(char, Vec<u8>)]) -> (String, String) {
    let kinds: String = kinds(messages).replace('D', "");
    let why = messages.iter().find(|(kind, _)| *kind == 'E').map(|(_, body)| error(body).code);
    (kinds, why.unwrap_or_default())
}

#[tokio::test]
async fn a_cancel_request_stops_the_query_in_both_protocols() {
    let server = Server::start().await;
    for sql in [COMPUTES, STREAMS] {
        for extended in [false, true] {
            let mut anna = server.anna().await;
            begin(&mut anna, sql, extended).await;
            server.until_running(1).await;
            if sql == STREAMS {
                while anna.receive().await.0 != 'D' {}
            }
            // By somebody who has not the secret: nothing happens.
            let stranger = Client { secret: vec![0; 4], ..Client::reach(server.address).await };
            Client { pid: anna.pid, ..stranger }.cancel(server.address).await;
            assert_eq!(server.fixture.engine.running(), 1);
            anna.cancel(server.address).await;
            let (kinds, code) = end(&anna.until_ready().await);
            assert!(kinds.ends_with("EZ"), "{sql} {extended}: {kinds}");
            assert_eq!(code, "57014", "{sql} {extended}");
            server.until_running(0).await;
            // The connection goes on, and a cancel that comes too late harms nothing.
            anna.cancel(server.address).await;
            assert_eq!(anna.query("SELECT 1").await.unwrap().len(), 1);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_deadline_stops_the_query_in_both_protocols() {
    let limits = SqlOptions { deadline: Duration::from_millis(800), ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    for sql in [COMPUTES, STREAMS] {
        for extended in [false, true] {
            let mut anna = server.anna().await;
            begin(&mut anna, sql, extended).await;
            let (_, code) = end(&anna.until_ready().await);
            assert_eq!(code, "57014", "{sql} {extended}");
            server.until_running(0).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_s_own_deadline_counts_if_it_is_shorter() {
    const FAR: Duration = Duration::from_secs(3_600);
    for (deadline, own) in [(FAR, "100ms"), (Duration::from_millis(800), "1h")] {
        let limits = SqlOptions { deadline, ..SqlOptions::default() };
        let server = Server::start_with(options(), limits).await;
        let mut anna = server.anna().await;
        anna.query(&format!("SET statement_timeout = '{own}'")).await.unwrap();
        let ended = tokio::time::timeout(PATIENCE, anna.query(COMPUTES)).await.expect("the shorter one counts");
        assert_eq!(ended.unwrap_err().code, "57014", "{own}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_client_that_vanishes_takes_its_query_along() {
    let server = Server::start().await;
    for sql in [COMPUTES, STREAMS] {
        for extended in [false, true] {
            let mut anna = server.anna().await;
            begin(&mut anna, sql, extended).await;
            server.until_running(1).await;
            if sql == STREAMS {
                while anna.receive().await.0 != 'D' {}
            }
            drop(anna);
            server.until_running(0).await;
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_takes_no_rows_holds_its_place_no_longer_than_the_deadline() {
    let limits = SqlOptions { deadline: Duration::from_millis(800), ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    // One that reads nothing, and one that has taken some rows of a portal and doesn't come back.
    let (mut stuck, mut away) = (server.anna().await, server.anna().await);
    begin(&mut stuck, STREAMS, false).await;
    away.query("BEGIN").await.unwrap();
    away.parse("", STREAMS, &[]).await;
    away.bind("p", "", 0, &[]).await;
    away.execute("p", 10).await;
    let said = away.sync().await;
    assert!(kinds(&said).ends_with("sZ"), "{:?}", end(&said));
    server.until_running(0).await;
    away.execute("p", 10).await;
    assert_eq!(error(&away.sync().await[0].1).code, "57014");
    away.query("ROLLBACK").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn no_more_queries_run_at_once_than_may() {
    // Beside another organisation, one has half of them at most.
    let limits = SqlOptions { queries: 16, busy_after: Duration::from_millis(200), ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    let mut eight = Vec::new();
    for _ in 0..8 {
        let mut client = server.anna().await;
        begin(&mut client, COMPUTES, false).await;
        eight.push(client);
    }
    server.until_running(8).await;
    let mut ninth = server.anna().await;
    assert_eq!(ninth.query("SELECT 1").await.unwrap_err().code, "53300");
    begin(&mut ninth, "SELECT 1", true).await;
    assert_eq!(end(&ninth.until_ready().await).1, "53300");
    // What needs no query goes on, and who is of another organisation.
    let mut other = server.connect("bert", &server.bert).await.unwrap();
    other.query("SELECT 1").await.unwrap();
    ninth.query("BEGIN; SHOW server_version; COMMIT").await.unwrap();
    eight.pop();
    server.until_running(7).await;
    ninth.query("SELECT 1").await.unwrap();
    drop(eight);
    server.until_running(0).await;
    server.stop().await;
}
