//! Questions and their rows.

use crate::server::{Server, query, row, text};
use datafusion::arrow::datatypes::DataType;
use tonic::Code;

/// Words of bolt's that acme must never see.
const FOREIGN: [&str; 9] = ["east", "EAST", "bolt", "yard-bolt", "e0", "e1", "e2", "e3", "e4"];

#[tokio::test]
async fn rows_come_as_columns_of_their_types() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let counted = query(&mut anna, "SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions").await.unwrap();
    assert_eq!(row(&counted), ["1000", "10"]);
    let sql = "SELECT device, fix_time, lat, valid, altitude_m, attributes FROM positions ORDER BY device, fix_time";
    let batches = query(&mut anna, sql).await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 1_000);
    let types: Vec<DataType> = batches[0].schema().fields().iter().map(|field| field.data_type().clone()).collect();
    assert_eq!((&types[0], &types[2], &types[3]), (&DataType::Utf8, &DataType::Float64, &DataType::Boolean));
    assert!(matches!(&types[1], DataType::Timestamp(_, Some(zone)) if zone.as_ref() == "UTC"), "{types:?}");
    // An altitude that nobody has told is NULL.
    assert!(batches.iter().all(|batch| batch.column(4).null_count() == batch.num_rows()));
    let empty = query(&mut anna, "SELECT lat FROM positions WHERE device = 'nobody'").await.unwrap();
    assert_eq!(empty.len(), 0);
    server.stop().await;
}

#[tokio::test]
async fn what_is_not_a_read_or_not_right_is_refused_and_told() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    for (sql, told) in [
        ("DELETE FROM positions", "only reading is possible here"),
        ("CREATE TABLE t AS SELECT 1", "only reading is possible here"),
        ("COPY (SELECT 1) TO '/tmp/x'", "only reading is possible here"),
        ("SET x = 1", "only reading is possible here"),
        ("SELEKT 1", "SELEKT"),
        ("SELECT nothing FROM positions", "nothing"),
        ("SELECT * FROM nowhere", "nowhere"),
        ("SELECT 1; SELECT 2", "more than one statement"),
        ("", "no statement"),
    ] {
        let refused = query(&mut anna, sql).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{sql}: {refused}");
        assert!(refused.message().contains(told), "{sql}: {refused}");
    }
    let long = format!("SELECT '{}'", "x".repeat(300_000));
    assert_eq!(query(&mut anna, &long).await.unwrap_err().code(), Code::InvalidArgument);
    // What fails when rows are under way already is told at their end.
    let late = query(&mut anna, "SELECT 1 / (lat - lat)::bigint FROM positions").await.unwrap_err();
    assert_eq!(late.code(), Code::InvalidArgument, "{late}");
    assert_eq!(row(&query(&mut anna, "SELECT 6 * 7 AS n").await.unwrap()), ["42"]);
    server.stop().await;
}

#[tokio::test]
async fn nobody_sees_another_organisations_rows() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    for sql in [
        "SELECT * FROM positions WHERE fleet = 'east' OR true",
        "SELECT DISTINCT device, fleet FROM positions UNION ALL SELECT DISTINCT device, fleet FROM events",
        "SELECT device, fleet FROM latest_positions",
        "SELECT device FROM devices UNION SELECT fleet FROM fleets UNION SELECT geofence FROM geofences",
        "SELECT table_name FROM information_schema.tables",
        "SELECT DISTINCT zone_id(lat, lon) FROM positions",
    ] {
        let answer = text(&query(&mut anna, sql).await.unwrap());
        let foreign = answer.split(|c: char| !c.is_alphanumeric() && c != '-').find(|word| FOREIGN.contains(word));
        assert_eq!(foreign, None, "{sql}");
    }
    // Whose ticket it was doesn't matter: rows are those of who shows it.
    let info = anna.execute("SELECT count(*) AS n FROM positions".to_owned(), None).await.unwrap();
    let mut bert = server.client(&server.bert).await;
    assert_eq!(row(&crate::server::rows(&mut bert, info).await.unwrap()), ["500"]);
    server.stop().await;
}
