//! The extended protocol: prepared statements, values, portals.

use crate::client::{Client, error, kinds, table};
use crate::server::Server;

/// Runs a statement with values in text.
async fn run(
    client: &mut Client,
    sql: &str,
    types: &[u32],
    values: &[Option<&str>],
) -> Result<Vec<Vec<Option<String>>>, String> {
    client.parse("", sql, types).await;
    let values: Vec<Option<&[u8]>> = values.iter().map(|v| v.map(str::as_bytes)).collect();
    client.bind("", "", 0, &values).await;
    client.send('D', b"P\0").await;
    client.execute("", 0).await;
    let all = client.sync().await;
    table(&all).map_err(|e| format!("{} {}", e.code, e.message))
}

#[tokio::test]
async fn values_take_the_place_of_placeholders() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    const INT4: u32 = 23;
    const INT8: u32 = 20;
    const FLOAT8: u32 = 701;
    const TIMESTAMPTZ: u32 = 1184;
    const TEXT_LIST: u32 = 1009;
    const NUMERIC: u32 = 1700;
    const NUMERIC_LIST: u32 = 1231;
    let first = "2026-03-04 23:55:00+00:00";
    for (sql, types, values, expected) in [
        ("SELECT count(*) FROM positions WHERE device = $1", &[][..], &[Some("n1")][..], "100"),
        ("SELECT count(*) FROM positions WHERE fix_time <= $1", &[], &[Some("2026-03-04T23:55:00Z")], "10"),
        ("SELECT count(*) FROM positions WHERE fix_time <= $1", &[TIMESTAMPTZ], &[Some(first)], "10"),
        (
            "SELECT count(*) FROM positions WHERE lat < $1 AND speed_mps > $2",
            &[FLOAT8, INT4],
            &[Some("52.01"), Some("5")],
            "100",
        ),
        ("SELECT count(*) FROM positions WHERE device = ANY($1)", &[TEXT_LIST], &[Some("{n1,\"s1\",e1}")], "200"),
        ("SELECT count(*) FROM positions WHERE device = ANY($1)", &[], &[Some("{ n1, \"s1\" }")], "200"),
        ("SELECT count(*) FROM positions WHERE lat = ANY($1)", &[], &[Some("{52.001,1}")], "10"),
        ("SELECT count(*) FROM positions WHERE device IN ($1, $2)", &[], &[Some("n1"), None], "100"),
        ("SELECT count(*) FROM (SELECT * FROM positions LIMIT $1)", &[INT8], &[Some("7")], "7"),
        ("SELECT $1::int + 1", &[], &[Some("41")], "42"),
        ("SELECT upper($1)", &[], &[Some("x' OR true --")], "X' OR TRUE --"),
        ("SELECT round(speed_kmh($1))", &[FLOAT8], &[Some("10")], "36.0"),
        ("SELECT round(haversine_m($1, $2, $3, $4))", &[FLOAT8; 4], &[Some("0"), Some("0"), Some("0"), Some("1")], "111195.0"),
        ("SELECT $2::text || $1::text", &[], &[Some("b"), Some("a")], "ab"),
        ("SELECT count(*) FROM positions WHERE valid = $1", &[16], &[Some("t")], "1000"),
        ("SELECT count(*) FROM positions WHERE speed_mps > $1", &[NUMERIC], &[Some("0.05")], "1000"),
        ("SELECT count(*) FROM positions WHERE lat = ANY($1)", &[NUMERIC_LIST], &[Some("{NULL,52.001,1.25}")], "10"),
        (
            "SELECT count(*) FROM gaps($1, $2, $3)",
            &[],
            &[Some("10"), Some("2026-03-05T00:00:00Z"), Some("2026-03-05T00:00:15Z")],
            "10",
        ),
        ("SELECT count(*) FROM gaps($1, $2)", &[FLOAT8, TIMESTAMPTZ], &[Some("9.5"), Some(first)], "990"),
        ("SHOW server_encoding", &[], &[], "UTF8"),
    ] {
        let rows = run(&mut anna, sql, types, values).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
        assert_eq!(rows, [[Some(expected.to_owned())]], "{sql}");
    }
    for (sql, types, values, code) in [
        ("SELECT $1", &[][..], &[][..], "08P01"),
        ("SELECT 1", &[], &[Some("1")], "08P01"),
        ("SELECT count(*) FROM positions WHERE lat < $1", &[], &[Some("x")], "22P02"),
        ("SELECT $1::int", &[INT4], &[Some("x")], "22P02"),
        ("SELECT 1; SELECT 2", &[], &[], "42601"),
        ("SELECT nothing FROM positions", &[], &[], "42703"),
        ("INSERT INTO positions VALUES ($1)", &[], &[Some("1")], "25006"),
        ("SELECT $0", &[], &[], "42000"),
    ] {
        let error = run(&mut anna, sql, types, values).await.expect_err(sql);
        assert!(error.starts_with(code), "{sql}: {error}");
    }
    assert_eq!(anna.status().await, 'I');
    server.stop().await;
}

#[tokio::test]
async fn a_statement_says_what_it_takes_and_gives() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    anna.parse("s", "SELECT device, lat, fix_time FROM positions WHERE lat < $1 AND device = $2 AND fix_time > $3", &[]).await;
    anna.send('D', b"Ss\0").await;
    let all = anna.sync().await;
    assert_eq!(kinds(&all), "1tTZ");
    assert_eq!(all[1].1, b"\0\x03\0\0\x02\xbd\0\0\0\x19\0\0\x04\xa0", "float8, text, timestamptz");
    let text = String::from_utf8_lossy(&all[2].1).into_owned();
    assert!(text.contains("device") && text.contains("lat") && text.contains("fix_time"));
    // In binary, as often as one likes.
    for (lat, device, expected) in [(52.0_f64, "n1", 0), (52.01, "n1", 10), (99.0, "s2", 100)] {
        let after = (-1_000_000_000_000_000_i64).to_be_bytes();
        anna.bind("", "s", 1, &[Some(&lat.to_be_bytes()), Some(device.as_bytes()), Some(&after)]).await;
        anna.execute("", 0).await;
        let all = anna.sync().await;
        assert_eq!(table(&all).unwrap().len(), expected, "{:?}", kinds(&all));
    }
    anna.send('C', b"Ss\0").await;
    assert_eq!(kinds(&anna.sync().await), "3Z");
    anna.bind("", "s", 0, &[]).await;
    let all = anna.sync().await;
    assert_eq!(error(&all[0].1).code, "26000");
    // Commands and nothing at all give no rows.
    for (sql, expected) in [("BEGIN", "12nCZ"), ("", "12nIZ"), ("SET application_name = 'x'", "12nSCZ"), ("COMMIT", "12nCZ")] {
        anna.parse("", sql, &[]).await;
        anna.bind("", "", 0, &[]).await;
        anna.send('D', b"P\0").await;
        anna.execute("", 0).await;
        assert_eq!(kinds(&anna.sync().await), expected, "{sql}");
    }
    server.stop().await;
}

#[tokio::test]
async fn rows_are_taken_as_many_at_a_time_as_one_likes() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    anna.query("BEGIN").await.unwrap();
    anna.parse("", "SELECT device FROM positions WHERE device < $1", &[]).await;
    anna.bind("p", "", 0, &[Some(b"n3")]).await;
    for (most, expected) in [(120, 120), (120, 120), (120, 60), (120, 0)] {
        anna.execute("p", most).await;
        let all = anna.sync().await;
        assert_eq!(table(&all).unwrap().len(), expected);
        let end = all[all.len() - 2].0;
        assert_eq!(end, if expected == 120 { 's' } else { 'C' }, "{:?}", kinds(&all));
    }
    // Portals end with their transaction, and their queries with them.
    anna.parse("", "SELECT * FROM generate_series(1, 10000000)", &[]).await;
    anna.bind("long", "", 0, &[]).await;
    anna.execute("long", 1).await;
    assert!(kinds(&anna.sync().await).ends_with("DsZ"));
    server.until_running(1).await;
    anna.query("COMMIT").await.unwrap();
    server.until_running(0).await;
    anna.execute("long", 1).await;
    assert_eq!(error(&anna.sync().await[0].1).code, "34000");
    server.stop().await;
}

#[tokio::test]
async fn cursors_are_portals_with_names() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    anna.query("BEGIN; DECLARE c CURSOR FOR SELECT device FROM positions").await.unwrap();
    for (sql, expected) in [("FETCH 10 FROM c", 10), ("FETCH FORWARD 500 FROM c", 500), ("FETCH ALL IN c", 490), ("FETCH c", 0)]
    {
        anna.send('Q', &[sql.as_bytes(), b"\0"].concat()).await;
        let all = anna.until_ready().await;
        assert_eq!(table(&all).unwrap().len(), expected, "{sql}");
        assert_eq!(all[all.len() - 2].1, format!("FETCH {expected}\0").as_bytes());
    }
    assert_eq!(anna.query("FETCH BACKWARD 1 FROM c").await.unwrap_err().code, "0A000");
    anna.query("ROLLBACK").await.unwrap();
    // With values, over the extended protocol.
    anna.query("BEGIN").await.unwrap();
    run(&mut anna, "DECLARE d CURSOR FOR SELECT lat FROM positions WHERE device = $1", &[], &[Some("n1")]).await.unwrap();
    let rows = run(&mut anna, "FETCH 30 FROM d", &[], &[]).await.unwrap();
    assert_eq!(rows.len(), 30);
    anna.query("CLOSE d; COMMIT").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn after_a_mistake_all_is_left_out_up_to_the_next_sync() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    anna.parse("", "SELECT nothing FROM positions", &[]).await;
    anna.bind("", "", 0, &[]).await;
    anna.execute("", 0).await;
    anna.send('Q', b"SELECT 1\0").await;
    anna.send('H', b"").await;
    assert_eq!(kinds(&anna.sync().await), "EZ");
    anna.query("SELECT 1").await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn what_a_client_can_keep_is_bounded() {
    let server = Server::start().await;
    let mut anna = server.anna().await;
    let text = format!("SELECT '{}'", "x".repeat(200_000));
    let mut refused = None;
    for i in 0..30 {
        anna.parse(&format!("s{i}"), &text, &[]).await;
        if let Some((_, body)) = anna.sync().await.into_iter().find(|(kind, _)| *kind == 'E') {
            refused = Some(error(&body).code);
            break;
        }
    }
    assert_eq!(refused.as_deref(), Some("53400"), "texts of prepared statements");
    anna.query("BEGIN; DEALLOCATE ALL").await.unwrap();
    anna.parse("s", "SELECT 1", &[]).await;
    let mut codes = Vec::new();
    for i in 0..70 {
        anna.bind(&format!("p{i}"), "s", 0, &[]).await;
    }
    codes.extend(anna.sync().await.into_iter().filter(|(kind, _)| *kind == 'E').map(|(_, body)| error(&body).code));
    assert_eq!(codes, ["53400"], "portals");
    server.stop().await;
}
