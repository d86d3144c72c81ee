//! Questions that must not be answered, or not with other people's data.

use crate::server::{Server, options};
use std::time::Duration;
use waystream_sql::SqlOptions;

/// Words of bolt's that acme must never see.
const FOREIGN: [&str; 9] = ["east", "EAST", "bolt", "yard-bolt", "e0", "e1", "e2", "e3", "e4"];

#[tokio::test]
async fn nobody_sees_another_organisations_rows() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let mut asked: Vec<String> = [
        "SELECT * FROM positions WHERE fleet = 'east' OR true",
        "SELECT DISTINCT device, fleet FROM positions UNION ALL SELECT DISTINCT device, fleet FROM events",
        "SELECT * FROM waystream.public.positions WHERE NOT (fleet IN ('north', 'south'))",
        "SELECT * FROM devices; SELECT * FROM fleets; SELECT * FROM geofences; SELECT * FROM latest_positions",
        "SELECT * FROM trips; SELECT * FROM stops; SELECT * FROM gaps(0); SELECT * FROM trips(NULL, NULL, 1, 1); SELECT * FROM stops()",
        "SELECT DISTINCT zone_id(lat, lon), in_geofence(lat, lon, 'Yard of bolt') FROM positions",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.columns",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.df_settings",
        "SELECT * FROM information_schema.schemata",
        "SELECT array_agg(DISTINCT fleet), string_agg(DISTINCT device, ',') FROM positions",
        "EXPLAIN ANALYZE SELECT DISTINCT fleet FROM positions WHERE fleet > 'd'",
        "SET search_path = bolt; SELECT DISTINCT fleet FROM positions",
        "SET session_authorization = 'bert'; SELECT DISTINCT fleet FROM positions",
        "SET ROLE bert; SELECT DISTINCT fleet FROM positions",
        "SELECT set_config('session_authorization', 'bert', false)",
        "COPY (SELECT DISTINCT fleet, device FROM positions) TO STDOUT",
        "BEGIN; DECLARE c CURSOR FOR SELECT DISTINCT fleet FROM positions; FETCH ALL FROM c; ROLLBACK",
    ]
    .map(str::to_owned)
    .into();
    // Everything that is in pg_catalog, bert's session being open.
    let mut bert = server.connect("bert", &server.bert).await.unwrap();
    assert_eq!(bert.query("SELECT DISTINCT fleet FROM positions").await.unwrap(), [[Some("east".to_owned())]]);
    let tables =
        anna.query("SELECT table_name FROM information_schema.tables WHERE table_schema = 'pg_catalog'").await.unwrap();
    assert!(tables.len() > 50, "{}", tables.len());
    asked.extend(tables.into_iter().flatten().flatten().map(|table| format!("SELECT * FROM pg_catalog.{table}")));
    let mut answered = 0;
    for sql in asked {
        if let Ok(rows) = anna.query(&sql).await {
            answered += 1;
            for cell in rows.iter().flatten().flatten() {
                let mut words = cell.split(|c: char| !c.is_alphanumeric() && c != '-');
                let foreign =
                    words.find(|word| FOREIGN.contains(word) && !sql.contains("pg_") || *word == "bert" || *word == "bolt");
                assert_eq!(foreign, None, "{sql}\n{cell}");
            }
        }
    }
    assert!(answered > 60, "{answered}");
    server.stop().await;
}

#[tokio::test]
async fn only_reading_statements_are_taken_in_both_protocols() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    for sql in [
        "INSERT INTO positions SELECT * FROM positions",
        "UPDATE positions SET lat = 0",
        "DELETE FROM positions",
        "TRUNCATE TABLE positions",
        "DROP TABLE positions",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "CREATE DATABASE x",
        "CREATE ROLE x",
        "ALTER TABLE positions ADD COLUMN x INT",
        "GRANT ALL ON positions TO anna",
        "SELECT 1 INTO x",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE FUNCTION f() RETURNS INT AS 'x'",
        "DO $$ BEGIN END $$",
        "CALL f()",
        "VACUUM",
        "LOCK TABLE positions",
        "NOTIFY x",
        "PREPARE p AS DELETE FROM positions",
        "PREPARE p AS COMMIT; EXECUTE p",
        "EXECUTE nothing",
        "COPY positions TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.parquet' STORED AS PARQUET",
        "COPY positions FROM '/etc/passwd'",
        "COPY positions FROM STDIN",
        "COPY (SELECT 1) TO PROGRAM 'sh'",
        "COPY (INSERT INTO positions SELECT * FROM positions) TO STDOUT",
        "EXPLAIN ANALYZE INSERT INTO positions SELECT * FROM positions",
        "EXPLAIN ANALYZE COPY positions TO '/tmp/x'",
        "WITH x AS (DELETE FROM positions RETURNING *) SELECT * FROM x",
        "SET datafusion.execution.target_partitions = 1000000",
        "RESET datafusion.execution.target_partitions",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('/')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT dblink('host=127.0.0.1', 'SELECT 1')",
        "SELECT pg_sleep(100)",
        "SELECT pg_terminate_backend(1)",
        "SELECT repeat('x', 1000000000)",
        "SELECT log_offset FROM positions",
    ] {
        let setting = sql.starts_with("RESET");
        if !setting {
            anna.query(sql).await.expect_err(sql);
        }
        anna.parse("", sql, &[]).await;
        anna.bind("", "", 0, &[]).await;
        anna.execute("", 0).await;
        let all = anna.sync().await;
        assert!(setting || all.iter().any(|(kind, _)| *kind == 'E'), "{sql}");
    }
    assert_eq!(anna.query("SELECT count(*) FROM positions").await.unwrap(), [[Some("1000".to_owned())]]);
    assert!(!std::path::Path::new("/tmp/x.csv").exists() && !std::path::Path::new("/tmp/x.parquet").exists());
    server.stop().await;
}

#[tokio::test]
async fn size_depth_and_memory_are_bounded() {
    let limits =
        SqlOptions { deadline: Duration::from_secs(10), memory_bytes: 4 << 20, spill_bytes: 1 << 20, ..SqlOptions::default() };
    let server = Server::start_with(options(), limits).await;
    let mut anna = server.anna().await;
    let n = 60_000;
    for (sql, codes) in [
        (format!("SELECT {}1", "1+".repeat(n)), &["42601"][..]),
        (format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)), &["42601"]),
        (format!("SELECT {}1{}", "abs(".repeat(900), ")".repeat(900)), &["42601"]),
        (format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5_000)), &["42601"]),
        (format!("SELECT * FROM {}pg_catalog.pg_class{}", "(SELECT * FROM ".repeat(400), ") AS p".repeat(400)), &["42601"]),
        (format!("SELECT '{}'", "x".repeat(300_000)), &["54000"]),
        ("SELECT 1;".repeat(20_000), &[]),
        (
            "SELECT a.attributes, b.device, count(*) FROM positions a, positions b GROUP BY 1, 2, a.fix_time, b.fix_time"
                .into(),
            &["53200"],
        ),
        ("SELECT sum(value) FROM generate_series(1, 1000000000000)".into(), &["57014"]),
    ] {
        let start = &sql[..sql.len().min(40)];
        if codes.is_empty() {
            // As many statements as fit into a text: they are answered, one after the other.
            let mut client = server.anna().await;
            client.send('Q', &[sql.as_bytes(), b"\0"].concat()).await;
            for _ in 0..100 {
                assert!("TDC".contains(client.receive().await.0), "{start}");
            }
            continue;
        }
        let error = anna.query(&sql).await.expect_err(start);
        assert!(codes.contains(&error.code.as_str()), "{start}: {error:?}");
        assert!(error.message.len() < 5_000);
        anna.query("SELECT 1").await.unwrap();
    }
    // Longer than any message may be.
    let mut bert = server.connect("bert", &server.bert).await.unwrap();
    let error = bert.query(&"x".repeat(2_000_000)).await.unwrap_err();
    assert!(error.code == "08P01" || error.message == "gone", "{error:?}");
    anna.query("SELECT 1").await.unwrap();
    server.stop().await;
}
