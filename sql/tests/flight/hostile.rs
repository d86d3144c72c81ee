//! Tickets, handles and values that nobody gave out.

use crate::server::{Server, query, row, text, told};
use arrow_flight::sql::{Any, CommandPreparedStatementQuery, ProstMessageExt, TicketStatementQuery};
use arrow_flight::{Action, FlightData, FlightDescriptor, Ticket};
use datafusion::arrow::array::{Int64Array, RecordBatch, StringArray};
use futures::TryStreamExt;
use prost::Message;
use std::sync::Arc;
use std::time::Duration;
use tonic::Code;
use waystream_sql::SqlOptions;

const FOREIGN: [&str; 9] = ["east", "EAST", "bolt", "yard-bolt", "e0", "e1", "e2", "e3", "e4"];

#[tokio::test]
async fn tickets_that_nobody_gave_out_are_refused() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let of_statement =
        |handle: &[u8]| TicketStatementQuery { statement_handle: handle.to_vec().into() }.as_any().encode_to_vec();
    let unknown = Any { type_url: "type.googleapis.com/nothing".to_owned(), value: vec![1, 2, 3].into() };
    for bytes in [
        Vec::new(),
        b"\0".to_vec(),
        vec![0xff; 64],
        b"SELECT 1".to_vec(),
        unknown.encode_to_vec(),
        of_statement(b""),
        of_statement(b"SELECT 1"),
        of_statement(&[0xff; 1_000]),
        Any { value: vec![0xff; 10].into(), ..TicketStatementQuery::default().as_any() }.encode_to_vec(),
    ] {
        let refused = told(anna.do_get(Ticket::new(bytes.clone())).await.err().unwrap());
        assert!(matches!(refused.code(), Code::InvalidArgument | Code::Unimplemented), "{bytes:?}: {refused}");
    }
    for bytes in [vec![b'x'; 2 << 20], of_statement(&vec![b'x'; 900 << 10])] {
        let refused = told(anna.do_get(Ticket::new(bytes)).await.err().unwrap());
        assert!(matches!(refused.code(), Code::InvalidArgument | Code::OutOfRange | Code::ResourceExhausted), "{refused}");
    }
    for action in ["CreatePreparedStatement", "ClosePreparedStatement", "BeginTransaction", "", "x"] {
        for body in [&b""[..], &[0xff; 64], b"SELECT 1"] {
            assert!(anna.do_action(Action::new(action, body.to_vec())).await.is_err(), "{action}");
        }
    }
    assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn values_that_are_too_many_or_of_nothing_are_refused() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let prepared = CommandPreparedStatementQuery { prepared_statement_handle: Default::default() }.as_any().encode_to_vec();
    let first = FlightData::new().with_descriptor(FlightDescriptor::new_cmd(prepared));
    let rubbish = FlightData::new().with_data_header(vec![1_u8; 100]);
    let endless = std::iter::once(first.clone()).chain(std::iter::repeat_n(rubbish.clone(), 1_000));
    for sent in [Vec::new(), vec![rubbish.clone()], vec![first.clone(), rubbish.clone()], endless.collect()] {
        let mut told = match anna.do_put(futures::stream::iter(sent)).await {
            Ok(told) => told,
            Err(error) => {
                assert_eq!(crate::server::told(error).code(), Code::InvalidArgument);
                continue;
            }
        };
        assert_eq!(told.message().await.unwrap_err().code(), Code::InvalidArgument);
    }
    assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    server.stop().await;
}

#[tokio::test]
async fn mangled_tickets_and_values_are_answered_or_refused_and_show_nothing_of_others() {
    let limits = SqlOptions { deadline: Duration::from_millis(500), ..SqlOptions::default() };
    let server = Server::start_with(crate::server::options(), limits).await;
    let mut anna = server.anna().await;
    let sql = "SELECT DISTINCT device, fleet, $2 AS n FROM positions WHERE fleet >= $1";
    let mut prepared = anna.prepare(sql.to_owned(), None).await.unwrap();
    let columns: [(&str, datafusion::arrow::array::ArrayRef); 2] =
        [("1", Arc::new(StringArray::from(vec!["a"]))), ("2", Arc::new(Int64Array::from(vec![7])))];
    prepared.set_parameters(RecordBatch::try_from_iter(columns).unwrap()).unwrap();
    let info = prepared.execute().await.unwrap();
    let good = crate::server::ticket(&info).ticket;
    let (mut answered, mut refused) = (0, 0);
    for at in 0..good.len() {
        let mut bytes = good.to_vec();
        bytes[at] ^= [0xff, 0x01, 0x80, 0x10][at % 4];
        let stream = match anna.do_get(Ticket::new(bytes)).await {
            Ok(stream) => stream,
            Err(_) => {
                refused += 1;
                continue;
            }
        };
        match stream.try_collect::<Vec<_>>().await {
            Ok(batches) => {
                answered += 1;
                let answer = text(&batches);
                let foreign = answer.split(|c: char| !c.is_alphanumeric() && c != '-').find(|word| FOREIGN.contains(word));
                assert_eq!(foreign, None, "byte {at}");
            }
            Err(_) => refused += 1,
        }
    }
    assert!(answered > 0 && refused > 0, "{answered} {refused}");
    server.until_running(0).await;
    assert_eq!(row(&query(&mut anna, "SELECT 1 AS n").await.unwrap()), ["1"]);
    server.stop().await;
}
