//! Statements of the simple protocol: answers, mistakes, transactions, settings.

use crate::client::{Client, kinds, table};
use crate::server::Server;

fn cells(row: &[&str]) -> Vec<Option<String>> {
    row.iter().map(|cell| Some((*cell).to_owned())).collect()
}

#[tokio::test]
async fn statements_of_a_text_are_answered_in_order_up_to_the_first_mistake() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let asked = b"SELECT count(*) FROM positions; SHOW server_encoding;;SELECT nothing FROM positions; SELECT 3\0";
    anna.send('Q', asked).await;
    let all = anna.until_ready().await;
    assert_eq!(kinds(&all), "TDCTDCEZ");
    assert_eq!(table(&all[..3]), Ok(vec![cells(&["1000"])]));
    assert_eq!(table(&all[3..6]), Ok(vec![cells(&["UTF8"])]));
    assert_eq!((all[2].1.as_slice(), all[5].1.as_slice()), (&b"SELECT 1\0"[..], &b"SHOW\0"[..]));
    anna.send('Q', b" ; -- nothing\0").await;
    assert_eq!(kinds(&anna.until_ready().await), "IZ");
    server.stop().await;
}

#[tokio::test]
async fn a_mistake_has_its_code_and_its_place() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    for (sql, code, position) in [
        ("SELECT 1; SELECT device,\n  nothing FROM positions", "42703", "28"),
        ("SELECT 1;\nSELECT *\nFORM positions", "42601", "25"),
        ("SELECT * FROM nowhere", "42P01", ""),
        ("SELECT * FROM bolt.positions", "42P01", ""),
        ("SELECT 'open", "42601", ""),
        ("SELECT cast('x' AS INT)", "22000", ""),
        ("SHOW nonsense", "42704", ""),
        ("SET nonsense = 1", "42704", ""),
        ("CLOSE nothing", "34000", ""),
        ("DEALLOCATE nothing", "26000", ""),
        ("DECLARE c CURSOR FOR SELECT 1", "25P01", ""),
        ("SELECT 1; COPY (SELECT nothing FROM positions) TO STDOUT", "42703", "24"),
        ("PREPARE p AS SELECT nothing FROM positions", "42703", "21"),
        ("EXECUTE nothing", "26000", ""),
        ("SELECT current_setting('nothing')", "22000", ""),
        ("SELECT set_config('server_version', '17', false)", "22000", ""),
    ] {
        let error = anna.query(sql).await.expect_err(sql);
        assert_eq!((error.severity.as_str(), error.code.as_str()), ("ERROR", code), "{sql}: {error:?}");
        if !position.is_empty() {
            assert_eq!(error.position, position, "{sql}: {error:?}");
        }
    }
    anna.query("SELECT 1").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn transactions_are_kept_as_far_as_clients_see() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    assert_eq!(anna.status().await, 'I');
    anna.query("BEGIN; SAVEPOINT a").await.unwrap();
    assert_eq!(anna.status().await, 'T');
    anna.query("SELECT nothing FROM positions").await.unwrap_err();
    assert_eq!(anna.status().await, 'E');
    assert_eq!(anna.query("SELECT 1").await.unwrap_err().code, "25P02");
    anna.query("ROLLBACK TO SAVEPOINT a; RELEASE SAVEPOINT a").await.unwrap();
    assert_eq!(anna.status().await, 'T');
    anna.query("SELECT nothing FROM positions").await.unwrap_err();
    anna.send('Q', b"COMMIT\0").await;
    let all = anna.until_ready().await;
    assert_eq!((all[0].1.as_slice(), all[1].1.as_slice()), (&b"ROLLBACK\0"[..], &b"I"[..]));
    server.stop().await;
}

#[tokio::test]
async fn settings_are_each_connections_own() {
    let server = Server::start().await;
    let parameters = [("user", "anna"), ("options", "-c statement_timeout=1234"), ("application_name", "one")];
    let mut one = Client::connect_with(server.address, &parameters, &server.anna).await.unwrap();
    let mut two = server.anna().await;
    one.send('Q', b"SET TimeZone TO 'Europe/Riga'; SET search_path = a, b\0").await;
    let all = one.until_ready().await;
    assert_eq!(kinds(&all), "SCCZ", "clients are told of some");
    assert_eq!(all[0].1, b"TimeZone\0Europe/Riga\0");
    let shown = "SHOW TIME ZONE; SHOW search_path; SHOW statement_timeout; SELECT current_setting('application_name')";
    let texts = |table: Vec<Vec<Option<String>>>| table.into_iter().flatten().flatten().collect::<Vec<_>>();
    assert_eq!(texts(one.query(shown).await.unwrap()), ["Europe/Riga", "a, b", "1234", "one"]);
    assert_eq!(texts(two.query(shown).await.unwrap()), ["UTC", "\"$user\", public", "0", ""]);
    one.query("RESET ALL; DISCARD ALL").await.unwrap();
    assert_eq!(texts(one.query(shown).await.unwrap()), ["UTC", "\"$user\", public", "1234", "one"]);
    assert!(one.query("SHOW ALL").await.unwrap().len() > 20);
    // As functions.
    one.send('Q', b"SELECT set_config('TimeZone', 'Asia/Tokyo', false), set_config('my.own', '1', false); SHOW my.own\0").await;
    let all = one.until_ready().await;
    assert_eq!((kinds(&all).as_str(), all[3].1.as_slice()), ("TDCSTDCZ", &b"TimeZone\0Asia/Tokyo\0"[..]));
    let functions = "SELECT current_setting('timezone'), current_setting('my.own', true), current_setting('nothing', true)";
    let row = one.query(functions).await.unwrap();
    assert_eq!(row, [vec![Some("Asia/Tokyo".to_owned()), Some("1".to_owned()), None]]);
    // What is only planned, or fails, changes nothing.
    one.query("EXPLAIN SELECT set_config('my.own', '2', false)").await.unwrap();
    one.query("SELECT set_config('my.own', '3', false), set_config('nothing', '', false)").await.unwrap_err();
    assert_eq!(texts(one.query("SHOW my.own").await.unwrap()), ["1"]);
    one.query("RESET ALL").await.unwrap();
    let facts = "SELECT current_schema(), current_database(), session_user, pg_backend_pid()";
    let pid = two.pid.to_string();
    assert_eq!(two.query(facts).await.unwrap(), [cells(&["public", "waystream", "anna", &pid])]);
    let version = texts(two.query("SELECT version()").await.unwrap());
    assert!(version[0].starts_with("PostgreSQL 16.6") && version[0].contains("waystream"), "{version:?}");
    server.stop().await;
}

#[tokio::test]
async fn statements_are_prepared_with_sql_too() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    anna.query("PREPARE by_device (text) AS SELECT count(*) FROM positions WHERE device = $1 AND lat < $2").await.unwrap();
    anna.query("SET TimeZone = 'UTC'; PREPARE six AS SELECT 6").await.unwrap();
    for (sql, expected) in [
        ("EXECUTE by_device ('n1', 99)", "100"),
        ("EXECUTE by_device ('n1', -99.5)", "0"),
        ("EXECUTE by_device ('x'' OR true --', 99)", "0"),
        ("EXECUTE by_device (NULL, 99)", "0"),
        ("EXECUTE six", "6"),
    ] {
        assert_eq!(anna.query(sql).await.unwrap(), [cells(&[expected])], "{sql}");
    }
    // Known to the extended protocol under the same names, and the other way round.
    anna.parse("sum", "SELECT $1::int + 1", &[]).await;
    anna.bind("", "six", 0, &[]).await;
    anna.execute("", 0).await;
    assert_eq!(table(&anna.sync().await), Ok(vec![cells(&["6"])]));
    assert_eq!(anna.query("EXECUTE sum (41)").await.unwrap(), [cells(&["42"])]);
    anna.parse("", "EXECUTE sum (1)", &[]).await;
    anna.bind("", "", 0, &[]).await;
    anna.send('D', b"P\0").await;
    anna.execute("", 0).await;
    assert_eq!(kinds(&anna.sync().await), "12TDCZ");
    for (sql, code) in [
        ("PREPARE six AS SELECT 7", "42P05"),
        ("EXECUTE by_device ('n1')", "08P01"),
        ("EXECUTE by_device ('n1', 'x')", "22P02"),
        ("PREPARE c AS COMMIT; EXECUTE c", "0A000"),
        ("DEALLOCATE six; EXECUTE six", "26000"),
    ] {
        assert_eq!(anna.query(sql).await.unwrap_err().code, code, "{sql}");
    }
    server.stop().await;
}

#[tokio::test]
async fn values_are_written_as_postgres_does() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let sql = "SELECT device, fix_time, lat, valid, altitude_m, attributes FROM positions WHERE device = 'n1' ORDER BY fix_time LIMIT 1";
    let row = anna.query(sql).await.unwrap().remove(0);
    let expected = [Some("n1"), Some("2026-03-04 23:55:00+00"), Some("52.0"), Some("t"), None, Some("{\"ignition\":true}")];
    let row: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
    // Milliseconds may be written or not.
    assert!(row[1].unwrap().starts_with("2026-03-04 23:55:00") && row[1].unwrap().ends_with("+00"), "{row:?}");
    assert_eq!((&row[..1], &row[2..]), (&expected[..1], &expected[2..]));
    let sql = "SELECT ARRAY['a', 'b c'], 1.5::float8, 'x'::text, NULL, DATE '2026-01-02', 1::bigint, 2::smallint, true";
    let row = anna.query(sql).await.unwrap().remove(0);
    let row: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
    let list = Some("{a,\"b c\"}");
    assert_eq!(row, [list, Some("1.5"), Some("x"), None, Some("2026-01-02"), Some("1"), Some("2"), Some("t")]);
    // With a time zone or without, as drivers are told.
    anna.send('Q', b"SELECT now(), '2026-01-02T03:04:05+01'::timestamptz, '2026-01-02'::timestamp\0").await;
    let all = anna.until_ready().await;
    let is_told = |oid: u32| all[0].1.windows(4).filter(|bytes| *bytes == oid.to_be_bytes()).count();
    assert_eq!((is_told(1184), is_told(1114)), (2, 1), "timestamptz, timestamp");
    assert_eq!(table(&all).unwrap()[0][1..], cells(&["2026-01-02 02:04:05.000000+00", "2026-01-02 00:00:00.000000"]));
    server.stop().await;
}

#[tokio::test]
async fn a_question_about_history_is_answered_as_it_is_asked() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    // What is done for the questions of tools about pg_catalog would make NULL of this.
    let newest =
        "SELECT fleet, (SELECT count(*) FROM positions AS p WHERE p.fleet = f.fleet) AS n FROM fleets AS f ORDER BY fleet";
    for sql in [newest.to_owned(), newest.replace("AS n", "AS n, pg_backend_pid() > 0 AS x").replace(" AS x", "")] {
        let rows = anna.query(&sql).await.unwrap();
        let counts: Vec<_> = rows.into_iter().map(|row| row[1].clone()).collect();
        assert_eq!(counts, [Some("500".to_owned()), Some("500".to_owned())], "{sql}");
    }
    let any = "SELECT count(*) FROM positions WHERE device = ANY(ARRAY['n1', 's1']) AND device <> ALL(ARRAY['s1'])";
    assert_eq!(anna.query(any).await.unwrap(), [cells(&["100"])]);
    server.stop().await;
}

#[tokio::test]
async fn copy_writes_rows_for_programs_that_read_many() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let ask = |options: &str| {
        format!("COPY (SELECT device, lat, NULL, 'a\tb,\"c' FROM positions ORDER BY device, lat LIMIT 2) TO STDOUT {options}\0")
    };
    let mut written = Vec::new();
    for options in ["", "(FORMAT csv, HEADER true)", "(FORMAT binary)"] {
        anna.send('Q', ask(options).as_bytes()).await;
        let all = anna.until_ready().await;
        let messages = if options.contains("csv") || options.contains("binary") { "HdddcCZ" } else { "HddcCZ" };
        assert_eq!(kinds(&all), messages, "{options}");
        assert_eq!(all[all.len() - 2].1, b"COPY 2\0");
        written.push(all.into_iter().filter(|(kind, _)| *kind == 'd').flat_map(|(_, body)| body).collect::<Vec<u8>>());
    }
    assert_eq!(written[0], b"n0\t52.0\t\\N\ta\\tb,\"c\nn0\t52.001\t\\N\ta\\tb,\"c\n");
    let csv = String::from_utf8(written[1].clone()).unwrap();
    assert!(csv.starts_with("device,lat,") && csv.ends_with("\nn0,52.0,,\"a\tb,\"\"c\"\nn0,52.001,,\"a\tb,\"\"c\"\n"), "{csv}");
    assert!(
        written[2].starts_with(b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x02n0") && written[2].ends_with(b"\xff\xff")
    );
    // The first message has the beginning and the first row; without rows there is one message of beginning and end.
    anna.send('Q', b"COPY (SELECT lat FROM positions WHERE lat > 99) TO STDOUT BINARY\0").await;
    let all = anna.until_ready().await;
    assert_eq!(kinds(&all), "HdcCZ");
    assert_eq!(all[1].1, b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff");
    for (sql, code) in [
        ("COPY positions TO STDOUT", "25006"),
        ("COPY positions FROM STDIN", "25006"),
        ("COPY (SELECT 1) TO '/tmp/x'", "25006"),
        ("COPY (SELECT 1) TO PROGRAM 'sh'", "25006"),
        ("COPY (DELETE FROM positions) TO STDOUT", "25006"),
        ("COPY (SELECT nothing FROM positions) TO STDOUT", "42703"),
    ] {
        assert_eq!(anna.query(sql).await.unwrap_err().code, code, "{sql}");
    }
    server.stop().await;
}
