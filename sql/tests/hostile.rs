//! Questions that must not be answered, or not with other people's data.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::fixture;
use std::time::Duration;
use waystream_sql::output::{self, Format};
use waystream_sql::{Devices, EventFilter, SqlError, SqlOptions, TrackRequest};

async fn answer(f: &common::Fixture, sql: &str) -> Result<String, SqlError> {
    let mut out = Vec::new();
    let result = f.engine.query(&f.acme, sql).await?;
    output::write(result, Format::Csv, &mut out).await?;
    Ok(String::from_utf8(out).unwrap())
}

#[tokio::test]
async fn nobody_sees_another_organisations_rows() {
    let f = fixture(SqlOptions::default()).await;
    // Whatever is asked, acme's answer shows none of bolt's fleet `east`, devices `e0`… and names.
    for sql in [
        "SELECT * FROM positions WHERE fleet = 'east' OR true",
        "SELECT DISTINCT device, fleet FROM positions UNION ALL SELECT DISTINCT device, fleet FROM events",
        "SELECT * FROM waystream.public.positions WHERE NOT (fleet IN ('north', 'south'))",
        "SELECT a.device, b.device FROM positions a FULL JOIN events b ON a.fleet <> b.fleet AND a.fix_time = b.fix_time",
        "SELECT * FROM (SELECT * FROM positions) AS p(fix_time) WHERE EXISTS (SELECT 1 FROM positions q WHERE q.fleet = 'east')",
        "WITH positions AS (SELECT * FROM positions) SELECT DISTINCT fleet FROM positions",
        "SELECT device FROM devices UNION SELECT fleet FROM fleets UNION SELECT name FROM devices",
        "SELECT * FROM geofences",
        "SELECT * FROM latest_positions",
        "SELECT * FROM gaps(0)",
        "SELECT * FROM trips(NULL, NULL, 1, 1)",
        "SELECT * FROM stops()",
        "SELECT zone_id(lat, lon), device FROM positions",
        "SELECT in_geofence(lat, lon, 'Yard of bolt') FROM positions",
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM information_schema.views",
        "SELECT * FROM information_schema.columns",
        "SELECT max(fleet), min(fleet), max(device), min(device) FROM positions",
        "SELECT array_agg(DISTINCT fleet), string_agg(DISTINCT device, ',') FROM positions",
        "EXPLAIN ANALYZE SELECT DISTINCT fleet FROM positions WHERE fleet > 'd'",
        "SELECT last_value(fleet) OVER (ORDER BY fleet ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM positions",
    ] {
        if let Ok(text) = answer(&f, sql).await {
            let words = text.split(|c: char| !c.is_alphanumeric() && c != '-');
            let foreign =
                words.filter(|w| ["east", "EAST", "bolt", "yard-bolt", "e0", "e1", "e2", "e3", "e4"].contains(w)).count();
            assert_eq!(foreign, 0, "{sql}\n{text}");
        }
    }
    for (sql, scope, count) in [
        ("SELECT count(*) FROM positions", &f.acme, "1000"),
        ("SELECT count(*) FROM positions", &f.bolt, "500"),
        ("SELECT count(*) FROM events WHERE fleet = 'north'", &f.bolt, "0"),
        ("SELECT count(*) FROM devices", &f.bolt, "5"),
    ] {
        let batch = f.engine.query(scope, sql).await.unwrap().collect().await.unwrap().remove(0);
        assert_eq!(output::json_rows(&batch).unwrap()[0].to_string(), format!("[{count}]"), "{sql}");
    }
    let everything =
        TrackRequest { devices: Devices::All, from: common::at("0001-01-01"), to: common::at("9999-01-01"), max_rows: 9_999 };
    for devices in
        [Devices::All, Devices::Fleet(common::fleet("east")), Devices::Only(vec![common::device("e1"), common::device("n1")])]
    {
        let mut track = f.engine.track(&f.acme, TrackRequest { devices, ..everything.clone() });
        while let Some(batch) = track.next().await {
            assert!(batch.unwrap().iter().all(|p| p.fleet.as_str() != "east"));
        }
    }
    let filter = EventFilter { devices: vec![common::device("e1")], limit: 10, ..EventFilter::default() };
    assert!(f.engine.events(&f.acme, filter).await.unwrap().events.is_empty());
}

#[tokio::test]
async fn only_one_reading_statement_is_taken() {
    let f = fixture(SqlOptions::default()).await;
    for sql in [
        "INSERT INTO positions SELECT * FROM positions",
        "UPDATE positions SET lat = 0",
        "DELETE FROM positions",
        "TRUNCATE TABLE positions",
        "DROP TABLE positions",
        "DROP VIEW positions",
        "CREATE TABLE x AS SELECT 1",
        "CREATE VIEW x AS SELECT 1",
        "SELECT 1 INTO x",
        "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '/etc/passwd'",
        "CREATE FUNCTION f() RETURNS INT AS 'x'",
        "CREATE SCHEMA x",
        "COPY positions TO '/tmp/x.csv'",
        "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "EXPLAIN ANALYZE INSERT INTO positions SELECT * FROM positions",
        "EXPLAIN CREATE TABLE x AS SELECT 1",
        "SET datafusion.execution.target_partitions = 1000000",
        "RESET datafusion.execution.target_partitions",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "DEALLOCATE p",
        "BEGIN",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE positions",
        "",
        ";",
        "-- nothing",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM \"file:///etc/passwd\"",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM parquet_metadata('x.parquet')",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT log_offset FROM positions",
    ] {
        let error = answer(&f, sql).await.expect_err(sql);
        assert!(matches!(error, SqlError::Invalid { .. } | SqlError::ReadOnly(_)), "{sql}: {error:?}");
    }
    assert_eq!(answer(&f, "SELECT count(*) AS n FROM positions").await.unwrap(), "n\n1000\n");
}

#[tokio::test]
async fn an_error_says_what_and_where() {
    let f = fixture(SqlOptions::default()).await;
    for (sql, expected) in [
        ("SELECT nothing FROM positions", "nothing"),
        // Among all that there are, also those that a statement without them doesn't look at.
        ("SELECT device, alarn FROM positions", "positions.alarm"),
        ("SELECT *\nFROM nowhere", "nowhere"),
        ("SELECT *\nFORM positions", "line 2, column 6"),
        ("SELECT 'open", "Unterminated"),
        ("SELECT haversine_m(1) FROM positions", "haversine_m"),
        ("SELECT cast('x' AS INT)", "'x'"),
    ] {
        let error = answer(&f, sql).await.expect_err(sql).to_string();
        assert!(error.to_lowercase().contains(&expected.to_lowercase()), "{sql}: {error}");
    }
    let Err(SqlError::Invalid { at, .. }) = answer(&f, "SELECT device,\n  nothing FROM positions").await else {
        panic!("an error")
    };
    assert_eq!(at, Some((2, 3)));
}

#[tokio::test]
async fn depth_and_length_are_bounded() {
    let f = fixture(SqlOptions::default()).await;
    let n = 100_000;
    for sql in [
        format!("SELECT {}1", "1+".repeat(n)),
        format!("SELECT {}1{}", "(".repeat(n), ")".repeat(n)),
        format!("SELECT {}1", "- ".repeat(n / 10)),
        format!("SELECT {}true", "NOT ".repeat(n / 10)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(5_000)),
        format!("SELECT {}1{}", "CASE WHEN true THEN ".repeat(2_000), " END".repeat(2_000)),
        format!("SELECT {}1{}", "abs(".repeat(900), ")".repeat(900)),
        format!("SELECT '{}'", "x".repeat(10_000_000)),
        format!("SELECT * FROM {}positions{}", "(SELECT * FROM ".repeat(400), ") AS p".repeat(400)),
        "SELECT repeat('x', 1000000000)".to_owned(),
        "SELECT lpad('x', 1000000000)".to_owned(),
        "SELECT array_length(range(0, 100000000000))".to_owned(),
        "SELECT array_length(array_repeat(1, 10000000000))".to_owned(),
    ] {
        let start = &sql[..sql.len().min(40)];
        let error = answer(&f, &sql).await.expect_err(start);
        assert!(matches!(error, SqlError::Invalid { .. }), "{start}: {error:?}");
    }
    // What people write is not bounded.
    let devices: Vec<String> = (0..5_000).map(|i| format!("'device {i}'")).collect();
    answer(&f, &format!("SELECT * FROM positions WHERE device IN ({})", devices.join(", "))).await.unwrap();
    answer(&f, &format!("SELECT {}1", "1+".repeat(900))).await.unwrap();
}

#[tokio::test]
async fn a_query_without_end_is_stopped() {
    let f = fixture(SqlOptions { deadline: Duration::from_secs(3), threads: 2, ..SqlOptions::default() }).await;
    for sql in [
        "SELECT sum(a.lat * b.lat * c.lat * d.lat) FROM positions a, positions b, positions c, positions d",
        "SELECT sum(value) FROM generate_series(1, 1000000000000)",
        "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT count(*) FROM t",
        "SELECT count(*) FROM generate_series(1, 10000000000) a JOIN generate_series(1, 10000000000) b ON a.value % 2 = b.value % 2",
    ] {
        let error = answer(&f, sql).await.expect_err(sql);
        assert!(matches!(error, SqlError::Deadline(_) | SqlError::Memory(_)), "{sql}: {error:?}");
        // It was stopped indeed: threads and memory are free for others.
        assert_eq!(answer(&f, "SELECT count(*) AS n FROM events").await.unwrap(), "n\n100\n", "after {sql}");
    }
}

#[tokio::test]
async fn no_value_becomes_so_long_that_memory_ends() {
    let f = fixture(SqlOptions { memory_bytes: 64 << 20, ..SqlOptions::default() }).await;
    let long = "x".repeat(200_000);
    let doubled = |how: &str| {
        let steps: Vec<String> = (1..40).map(|n| format!("a{n} AS (SELECT {how} AS s FROM a{})", n - 1)).collect();
        format!("WITH a0 AS (SELECT 'a thousand times' AS s), {} SELECT count(s) FROM a39", steps.join(", "))
    };
    let beside_rows = |how: &str| doubled(how).replace("count(s) FROM a39", "count(s) FROM a39, positions");
    for sql in [
        doubled("s || s"),
        doubled("concat(s, s)"),
        doubled("concat_ws(s, s, s)"),
        doubled("replace(s, 'a', s)"),
        doubled("regexp_replace(s, '.', s, 'g')"),
        doubled("ARRAY[s, s]").replace("count(s)", "count(array_to_string(s, ','))"),
        doubled("array_to_string(string_to_array(s, 'a'), s)"),
        beside_rows("s || s"),
        format!("WITH a AS (SELECT '{long}' AS s) SELECT count(replace(s, 'x', s)) FROM a, positions"),
        format!("WITH a AS (SELECT '{long}' AS s) SELECT count(a.s || b.s) FROM a, a AS b, positions"),
        "WITH RECURSIVE t AS (SELECT 'x' AS s UNION ALL SELECT s || s FROM t) SELECT max(length(s)) FROM t".to_owned(),
        "WITH a AS (SELECT array_agg(a.value) AS l FROM generate_series(1, 500) a, generate_series(1, 500) b),
              b AS (SELECT array_concat(l, l, l, l) AS l FROM a), c AS (SELECT array_concat(l, l, l, l) AS l FROM b)
         SELECT count(l) FROM c, positions"
            .to_owned(),
        "SELECT length(string_agg(value::text, ',')) FROM generate_series(1, 10000000)".to_owned(),
        "SELECT cardinality(array_agg(value)) FROM generate_series(1, 10000000)".to_owned(),
        "SELECT sum(value) OVER () FROM generate_series(1, 100000000)".to_owned(),
        "SELECT sum(value) OVER (ORDER BY value ROWS BETWEEN CURRENT ROW AND 90000000 FOLLOWING) FROM generate_series(1, 100000000)"
            .to_owned(),
        format!("SELECT count(*) FROM (SELECT '{long}' || l[1]::text, unnest(l) FROM (SELECT array_agg(value) AS l FROM generate_series(1, 200000)) AS a) AS b"),
    ] {
        let start = &sql[..sql.len().min(160)];
        let error = answer(&f, &sql).await.expect_err(start);
        assert!(matches!(error, SqlError::Invalid { .. } | SqlError::Memory(_)), "{start}: {error:?}");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kilobytes: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kilobytes < 2 << 20, "{kilobytes} kB");
}

#[tokio::test]
async fn what_people_do_with_texts_and_lists_is_done() {
    let f = fixture(SqlOptions::default()).await;
    let long = "x".repeat(200_000);
    for (sql, expected) in [
        ("SELECT device || '/' || fleet AS a FROM devices WHERE device = 'n1'".to_owned(), "a\nn1/north\n"),
        ("SELECT 'a' || 1 || NULL AS a, 'b' || 2 AS b, concat('c', NULL, 3) AS c".to_owned(), "a,b,c\n,b2,c3\n"),
        ("SELECT replace('a-b', '-', '') AS a, regexp_replace('abc', '[ac]', 'x', 'g') AS b".to_owned(), "a,b\nab,xbx\n"),
        (
            "SELECT array_to_string(ARRAY['a', 'b'] || 'c', '+') AS a, cardinality(ARRAY[1, 2]) AS b".to_owned(),
            "a,b\na+b+c,2\n",
        ),
        ("SELECT string_agg(DISTINCT fleet, ', ' ORDER BY fleet DESC) AS a FROM positions".to_owned(), "a\n\"south, north\"\n"),
        ("SELECT cardinality(array_agg(device)) AS a FROM positions".to_owned(), "a\n1000\n"),
        (
            "SELECT sum(value) AS a FROM (SELECT unnest(array_agg(value)) AS value FROM generate_series(1, 1000)) AS b"
                .to_owned(),
            "a\n500500\n",
        ),
        (format!("SELECT max(length('{long}' || device)) AS a FROM positions"), "a\n200002\n"),
        (
            "SELECT count(*) AS a FROM (SELECT sum(speed_mps) OVER (PARTITION BY device) FROM positions) AS b".to_owned(),
            "a\n1000\n",
        ),
    ] {
        let start = &sql[..sql.len().min(80)];
        let answered = answer(&f, &sql).await.unwrap_or_else(|error| panic!("{start}: {error}"));
        assert_eq!(answered, expected, "{start}");
    }
}

#[tokio::test]
async fn memory_rows_and_turns_are_limited() {
    let f = fixture(SqlOptions { memory_bytes: 4 << 20, spill_bytes: 1 << 20, ..SqlOptions::default() }).await;
    let error = answer(
        &f,
        "SELECT a.attributes, b.device, count(*) FROM positions a, positions b GROUP BY 1, 2, a.fix_time, b.fix_time",
    )
    .await;
    assert!(matches!(error, Err(SqlError::Memory(_))), "{error:?}");

    // Rows that nobody takes keep the turn: more of them than fit on the way.
    let f = fixture(SqlOptions { queries: 1, busy_after: Duration::from_millis(1), ..SqlOptions::default() }).await;
    let many = f.engine.query(&f.acme, "SELECT value FROM generate_series(1, 10000000)").await.unwrap();
    assert!(matches!(f.engine.query(&f.acme, "SELECT 1").await, Err(SqlError::Busy)));
    drop(many);

    let f = fixture(SqlOptions { max_rows: 10, ..SqlOptions::default() }).await;
    let mut all = f.engine.query(&f.acme, "SELECT * FROM positions").await.unwrap();
    let rows: usize = all.collect().await.unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!((rows, all.truncated()), (10, true));
    drop(all);
    let mut few = f.engine.query(&f.acme, "SELECT * FROM positions LIMIT 10").await.unwrap();
    let rows: usize = few.collect().await.unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!((rows, few.truncated()), (10, false));
}

#[tokio::test]
async fn queries_of_one_organisation_leave_turns_to_others() {
    const MANY: &str = "SELECT value FROM generate_series(1, 10000000)";
    let patient = Duration::from_secs(3_600);
    let f =
        fixture(SqlOptions { queries: 4, waiting: 1, busy_after: patient, deadline: patient, ..SqlOptions::default() }).await;
    // Rows that nobody takes keep the turn.
    let (first, second) = (f.engine.query(&f.acme, MANY).await.unwrap(), f.engine.query(&f.acme, MANY).await.unwrap());
    let mut third = std::pin::pin!(f.engine.query(&f.acme, "SELECT 1"));
    assert!(futures::poll!(third.as_mut()).is_pending(), "it waits behind its own");
    assert!(matches!(f.engine.query(&f.acme, "SELECT 1").await, Err(SqlError::Busy)), "as many wait as may");
    let mut theirs = f.engine.query(&f.bolt, "SELECT device FROM positions").await.unwrap();
    let rows: usize = theirs.collect().await.unwrap().iter().map(|b| b.num_rows()).sum();
    assert_eq!(rows, 500);
    drop((first, second));
    third.await.unwrap().collect().await.unwrap();
}
