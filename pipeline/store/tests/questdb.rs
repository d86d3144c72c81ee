//! What is special about the store in QuestDB: refused rows, suspended tables, lost rows, servers that are down.

use crate::server::Server;
use datafusion::logical_expr::{Expr, col, lit, not};
use datafusion::prelude::SessionContext;
use datafusion::scalar::ScalarValue;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use waystream_domain::codec::{encode_event, encode_position};
use waystream_domain::{DeviceId, Erasure, EventKind, Position};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Record, Topic};
use waystream_store::archive::again;
use waystream_store::contract::{Dice, History, at, event, position, positions, read};
use waystream_store::questdb::{QuestDbOptions, QuestDbStore};
use waystream_store::{Archived, Store, StoreError, newest_only, rows};

fn open(options: &QuestDbOptions) -> Arc<QuestDbStore> {
    QuestDbStore::open(options.clone()).expect("opens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_the_server_refuses_are_set_aside_with_the_reason_and_harm_no_other() {
    let server = Server::shared();
    let options = server.options();
    let store = open(&options);
    store.covered().await.expect("answers");
    // Somebody gave a column another type.
    let prefix = &options.table_prefix;
    server.sql(&format!("ALTER TABLE {prefix}positions DROP COLUMN accuracy_m")).await;
    server.sql(&format!("ALTER TABLE {prefix}positions ADD COLUMN accuracy_m TIMESTAMP")).await;
    let mut history = History::default();
    for i in 0..1_000 {
        let mut p = position("355", at("2026-03-04T10:00:00Z").plus_millis(i * 1_000));
        p.accuracy_m = [333, 700].contains(&i).then_some(2.5);
        history.position(p);
    }
    history.append_all(store.as_ref()).await;
    assert_eq!(store.flush().await.expect("flushes"), history.end(), "the rest goes on");
    assert_eq!(server.sql(&format!("SELECT count() FROM {prefix}positions")).await, [json!(998)]);
    let refused = "count(), min(log_offset), max(log_offset), sum(CASE WHEN reason LIKE '%accuracy_m%' THEN 1 ELSE 0 END)";
    let refused = server.sql(&format!("SELECT {refused} FROM {prefix}refused")).await;
    assert_eq!(refused, [json!(2), json!(333), json!(700), json!(2)]);
    let row = server.sql(&format!("SELECT row FROM {prefix}refused")).await;
    assert!(row[0].as_str().is_some_and(|row| row.contains("\"accuracy_m\":2.5")), "{row:?}");

    // All of them at once are no fault of the rows.
    for i in 0..500 {
        let mut p = position("356", at("2026-03-04T10:00:00Z").plus_millis(i * 1_000));
        p.accuracy_m = Some(2.5);
        history.position(p);
    }
    history.append_all(store.as_ref()).await;
    let failed = store.flush().await.expect_err("nothing can be written");
    assert!(matches!(&failed, StoreError::Unavailable(reason) if reason.contains("accuracy_m")), "{failed}");
    assert_ne!(store.covered().await.expect("answers"), history.end());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_table_is_named_and_nothing_is_covered_until_it_is_resumed() {
    let server = Server::shared();
    let options = server.options();
    let store = open(&options);
    let mut history = History::default();
    Dice::new(20).write(&mut history, 50);
    history.append_all(store.as_ref()).await;
    let covered = store.flush().await.expect("flushes");
    assert!(store.damage().is_empty());
    let table = format!("{}positions", options.table_prefix);
    server.sql(&format!("ALTER TABLE {table} SUSPEND WAL")).await;
    Dice::new(21).write(&mut history, 50);
    history.append_all(store.as_ref()).await;
    let failed = store.flush().await.expect_err("the table is suspended");
    assert!(matches!(&failed, StoreError::Unavailable(reason) if reason.contains(&table)), "{failed}");
    assert!(store.damage().iter().any(|d| d.contains(&table)), "{:?}", store.damage());
    assert_eq!(store.covered().await.expect("answers"), covered);
    history.check(store.as_ref()).await;

    server.sql(&format!("ALTER TABLE {table} RESUME WAL")).await;
    assert_eq!(store.flush().await.expect("flushes"), history.end());
    store.maintain(at("2026-03-04T10:00:00Z")).await.expect("looks after it");
    assert!(store.damage().is_empty(), "{:?}", store.damage());
    history.check(store.as_ref()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_server_has_lost_is_written_again_from_the_log() {
    let dir = tempfile::tempdir().expect("a folder");
    let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default()).expect("opens");
    let server = Server::shared();
    let options = server.options();
    let store = open(&options);
    let mut history = History::default();
    let mut dice = Dice::new(22);
    let (mut rows, mut happenings) = (Vec::new(), Vec::new());
    for _ in 0..300 {
        let p = dice.position();
        let e = event(&p, EventKind::Enter);
        rows.push(Record::new(p.device.as_str().to_owned(), encode_position(&p)));
        happenings.push(Record::new(p.device.as_str().to_owned(), encode_event(&e)));
        history.position(p);
        history.event(e);
    }
    log.append(Topic::Positions, rows).await.expect("appends");
    log.append(Topic::Events, happenings).await.expect("appends");
    assert_eq!(again(log.as_ref(), store.as_ref(), 0).await.expect("writes"), 600);
    let expected = history.expected_positions();
    assert_eq!(positions(store.as_ref(), &[]).await, expected);
    assert!(store.covered().await.expect("answers").is_empty(), "what is covered is the archive's to say");

    server.sql(&format!("TRUNCATE TABLE {}positions", options.table_prefix)).await;
    // As after a restart.
    let store = open(&options);
    assert!(positions(store.as_ref(), &[]).await.len() < expected.len());
    again(log.as_ref(), store.as_ref(), 0).await.expect("writes");
    assert_eq!(positions(store.as_ref(), &[]).await, expected);
    assert_eq!(server.count(&options, "positions").await, expected.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_erased_device_has_told_is_overwritten_and_shown_to_nobody() {
    let server = Server::shared();
    let options = server.options();
    let store = open(&options);
    let (erased, other) = ("356307042441013", "356307042441014");
    let mut history = History::default();
    // One of an odd time.
    for time in ["2026-03-04T10:00:00Z", "2026-03-05T10:00:00Z", "1949-06-11T06:00:00Z"] {
        for device in [erased, other] {
            let p = position(device, at(time));
            history.event(event(&p, EventKind::Enter));
            history.position(p);
        }
    }
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    let (device, until) = (erased.parse().expect("an id"), at("2026-03-06T00:00:00Z"));
    let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
    store.erase(&erasure).await.expect("erases");
    history.erase(erasure);
    let prefix = &options.table_prefix;
    for table in ["positions", "positions_odd_times", "events", "events_odd_times"] {
        let told = "sum(CASE WHEN lat != 0.0 OR lon != 0.0 OR attributes != '{}' THEN 1 ELSE 0 END)";
        for (device, rows_that_tell) in [(erased, 0), (other, if table.ends_with("times") { 1 } else { 2 })] {
            let told = server.sql(&format!("SELECT {told} FROM {prefix}{table} WHERE device = '{device}'")).await;
            assert_eq!(told, [json!(rows_that_tell)], "{table} {device}");
        }
    }
    // Who only reads knows nothing of erasures.
    for store in [store, open(&options)] {
        history.check(store.as_ref()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_device_fleet_columns_and_limit_are_the_servers_work() {
    let options = Server::shared().options();
    let store = open(&options);
    let mut history = History::default();
    Dice::new(23).write(&mut history, 100);
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    let context = SessionContext::new();
    context.register_table("positions", store.positions()).expect("a table");
    let plan = async |sql: &str| {
        let rows = context.sql(&format!("EXPLAIN {sql}")).await.expect("plans").collect().await.expect("rows");
        arrow::util::pretty::pretty_format_batches(&rows).expect("text").to_string()
    };
    let prefix = &options.table_prefix;
    let told = plan(
        "SELECT lat, speed_mps FROM positions WHERE device = 'device-01' AND fleet IN ('north', 'south', 'east', 'west')
         AND fix_time >= '2024-03-01T00:00:00Z' AND fix_time < '2024-03-02T00:00:00Z' LIMIT 7",
    )
    .await;
    let question = format!(
        "QuestDbExec: SELECT lat,speed_mps FROM {prefix}positions WHERE device = 'device-01' AND \
         fleet IN ('north','south','east','west') AND fix_time >= 1709251200000000 AND fix_time < 1709337600000000 AND \
         first_flush <= 2 LIMIT 7"
    );
    assert!(told.contains(&question), "{told}");
    assert!(!told.contains("FilterExec") && !told.contains("odd_times"), "{told}");
    let told = plan("SELECT lat FROM positions WHERE fix_time < '1999-03-01T00:00:00Z' AND lat > 45").await;
    assert!(
        told.contains(&format!("FROM {prefix}positions_odd_times WHERE fix_time < 920246400000000 AND lat > 44.99")),
        "{told}"
    );
    assert!(told.contains("FilterExec") && !told.contains(&format!("FROM {prefix}positions WHERE")), "{told}");
}

/// Of each device the newest.
fn newest(positions: impl IntoIterator<Item = Position>) -> BTreeMap<DeviceId, Position> {
    let mut newest: BTreeMap<DeviceId, Position> = BTreeMap::new();
    for p in positions {
        let kept = newest.entry(p.device.clone()).or_insert_with(|| p.clone());
        if p.fix_time > kept.fix_time {
            *kept = p;
        }
    }
    newest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn newest_rows_are_the_servers_work_and_exact_beside_versions_in_memory() {
    let store = open(&Server::shared().options());
    let (mut history, mut dice) = (History::default(), Dice::new(25));
    let time = |text| lit(ScalarValue::TimestampMillisecond(Some(at(text).as_millis()), Some("UTC".into())));
    type Passes = fn(&Position) -> bool;
    let cases: [(Vec<Expr>, Passes); 6] = [
        (vec![], |_| true),
        (vec![col("fleet").eq(lit("south"))], |p| p.fleet.as_str() == "south"),
        (vec![col("fleet").eq(lit("north")), col("valid")], |p| p.fleet.as_str() == "north" && p.valid),
        (vec![col("fix_time").lt(time("2024-03-02T12:00:00Z"))], |p| p.fix_time < at("2024-03-02T12:00:00Z")),
        (vec![col("device").in_list(vec![lit("device-03"), lit("device-04")], false), not(col("valid"))], |p| {
            ["device-03", "device-04"].contains(&p.device.as_str()) && !p.valid
        }),
        // Not said exactly by the server.
        (vec![col("lat").gt(lit(45.0))], |p| p.location.lat_deg() > 45.0),
    ];
    // All is in memory, all is stored, and then newer versions of stored rows are in memory.
    for (rows, flushes) in [(100, false), (300, true), (200, false), (100, false), (10, true)] {
        dice.write(&mut history, rows);
        history.append_all(store.as_ref()).await;
        if flushes {
            store.flush().await.expect("flushes");
        }
        let table = newest_only(&store.positions()).expect("it makes a difference");
        for (filters, passes) in &cases {
            let batches = read(Arc::clone(&table), filters, None).await;
            let told = newest(batches.iter().flat_map(|batch| rows::positions_from(batch).expect("positions")));
            let expected = newest(history.expected_positions().into_iter().filter(passes));
            assert!(!expected.is_empty(), "{filters:?} would check nothing");
            assert_eq!(told, expected, "{filters:?}");
        }
    }
    assert!(newest_only(&store.events()).is_none());

    let context = SessionContext::new();
    context.register_table("newest", newest_only(&store.positions()).expect("a table")).expect("a table");
    let plan = async |sql: &str| {
        let rows = context.sql(&format!("EXPLAIN {sql}")).await.expect("plans").collect().await.expect("rows");
        arrow::util::pretty::pretty_format_batches(&rows).expect("text").to_string()
    };
    // All is stored: nothing is undecided.
    let told =
        plan("SELECT lat FROM newest WHERE fleet = 'north' AND fix_time >= '2024-03-01T00:00:00Z' AND fix_time < '2024-04-01T00:00:00Z'")
            .await;
    assert!(told.contains("SELECT fix_time,device,lat FROM "), "{told}");
    assert_eq!(told.matches("QuestDbExec").count(), 1, "{told}");
    assert!(told.contains(" LATEST ON fix_time PARTITION BY device LIMIT "), "{told}");
    let told = plan("SELECT lat FROM newest WHERE lat > 45").await;
    assert!(!told.contains("LATEST ON") && told.contains("FilterExec"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_a_newer_version_made_are_refused() {
    let server = Server::shared();
    let options = server.options();
    open(&options).covered().await.expect("answers");
    server.sql(&format!("INSERT INTO {}migrations VALUES (now(), 99)", options.table_prefix)).await;
    let refused = open(&options).covered().await.expect_err("unknown tables");
    assert!(matches!(&refused, StoreError::Refused(reason) if reason.contains("99")), "{refused}");
    let odd = QuestDbOptions { table_prefix: "x; DROP".into(), ..options };
    assert!(matches!(QuestDbStore::open(odd), Err(StoreError::Refused(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_of_all_kinds_are_kept_and_found() {
    let store = open(&Server::shared().options());
    let mut history = History::default();
    let names = ["it's", "a,b c=d\\", "Zażółć", "日本 \u{1F69A}", "\"quoted\"", "'; DROP TABLE positions; --", "NULL", "-"];
    for (i, name) in names.iter().enumerate() {
        let mut p = position(name, at("2026-03-04T10:00:00Z"));
        p.protocol = ["", "a b"][i % 2].into();
        p.attributes = [("note", format!("{name}\n\t\\n \"x\"").as_str())].into_iter().collect();
        history.position(p);
    }
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    history.check(store.as_ref()).await;
    for name in names {
        let rows = positions(store.as_ref(), &[col("device").eq(lit(name))]).await;
        assert_eq!(rows.iter().map(|p| p.device.as_str()).collect::<Vec<_>>(), [name]);
    }
    // Sent again, they are known.
    history.rewind(Default::default());
    history.append_all(store.as_ref()).await;
    assert_eq!(store.flush().await.expect("flushes"), history.end());
    history.check(store.as_ref()).await;
    assert_eq!(read(store.positions(), &[], None).await.iter().map(|b| b.num_rows()).sum::<usize>(), names.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_process_sees_what_is_flushed() {
    let options = Server::shared().options();
    let (writer, reader) = (open(&options), open(&options));
    let mut history = History::default();
    Dice::new(24).write(&mut history, 100);
    history.append_all(writer.as_ref()).await;
    assert!(positions(reader.as_ref(), &[]).await.is_empty());
    writer.flush().await.expect("flushes");
    history.check(reader.as_ref()).await;
    let first: Vec<Archived<_>> = waystream_store::contract::events(reader.as_ref(), &[]).await;
    assert_eq!(first, history.expected_events());
}
