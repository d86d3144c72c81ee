//! Checks of how tables are read.

use super::{Dice, History, Subject, at, events, position, positions, read};
use datafusion::logical_expr::{Expr, col, lit, not};
use datafusion::scalar::ScalarValue;
use waystream_domain::Position;

fn time(text: &str) -> Expr {
    lit(ScalarValue::TimestampMillisecond(Some(at(text).as_millis()), Some("UTC".into())))
}

/// Exactly the rows that pass are given, with whatever part of history in files or in memory, and versions that are not kept
/// never pass in place of those that are.
pub async fn filters_are_exact(subject: &mut impl Subject) {
    let mut dice = Dice::new(5);
    let mut history = History::default();
    for rows in [300, 200, 100, 50] {
        subject.store().flush().await.expect("flushes");
        dice.write(&mut history, rows);
        history.append_all(subject.store().as_ref()).await;
    }
    type Passes = fn(&Position) -> bool;
    let cases: [(Expr, Passes); 8] = [
        (col("device").eq(lit("device-03")), |p| p.device.as_str() == "device-03"),
        (col("device").in_list(vec![lit("device-00"), lit("device-06"), lit("nobody")], false), |p| {
            ["device-00", "device-06"].contains(&p.device.as_str())
        }),
        (col("fix_time").gt_eq(time("2024-03-01T06:00:00Z")).and(col("fix_time").lt(time("2024-03-02T12:00:00Z"))), |p| {
            p.fix_time >= at("2024-03-01T06:00:00Z") && p.fix_time < at("2024-03-02T12:00:00Z")
        }),
        (col("fix_time").lt(time("1970-01-01T00:00:00Z")), |p| p.fix_time.as_millis() < 0),
        (col("fleet").eq(lit("south")), |p| p.fleet.as_str() == "south"),
        (not(col("valid")), |p| !p.valid),
        (col("speed_mps").is_null().or(col("lat").gt(lit(45.0))), |p| p.speed_mps.is_none() || p.location.lat_deg() > 45.0),
        (col("received_at").lt(time("2024-03-01T12:00:01Z")), |p| p.received_at < at("2024-03-01T12:00:01Z")),
    ];
    let expected = history.expected_positions();
    for (filter, passes) in &cases {
        let rows = positions(subject.store().as_ref(), std::slice::from_ref(filter)).await;
        let expected: Vec<_> = expected.iter().filter(|p| passes(p)).cloned().collect();
        assert!(!expected.is_empty(), "{filter} would check nothing");
        assert_eq!(rows, expected, "{filter}");
    }
    for ((one, passes_one), (other, passes_other)) in cases.iter().zip(&cases[1..]) {
        let rows = positions(subject.store().as_ref(), &[one.clone(), other.clone()]).await;
        let expected: Vec<_> = expected.iter().filter(|p| passes_one(p) && passes_other(p)).cloned().collect();
        assert_eq!(rows, expected, "{one} and {other}");
    }
    for limit in [0, 1, 100] {
        let rows: usize = read(subject.store().positions(), &[], Some(limit)).await.iter().map(|b| b.num_rows()).sum();
        assert_eq!(rows, limit);
    }
}

/// Everything from an offset on, and only that: what event cursors build on.
pub async fn events_are_found_by_their_place(subject: &mut impl Subject) {
    let mut dice = Dice::new(6);
    let mut history = History::default();
    for rows in [300, 200, 100] {
        subject.store().flush().await.expect("flushes");
        dice.write(&mut history, rows);
        history.append_all(subject.store().as_ref()).await;
    }
    for (partition, offset) in [(0, 0), (1, 20), (2, 40), (1, 100_000)] {
        let filter = col("log_partition").eq(lit(partition)).and(col("log_offset").gt_eq(lit(i64::from(offset))));
        let rows = events(subject.store().as_ref(), &[filter]).await;
        let passes = |e: &crate::Archived<_>| e.partition == partition as u32 && e.offset >= offset as u64;
        assert_eq!(rows, history.expected_events().into_iter().filter(passes).collect::<Vec<_>>());
    }
}

/// A table shows what it showed when it was taken, and can be read while what it stands on is merged and replaced.
pub async fn a_table_is_a_snapshot(subject: &mut impl Subject) {
    let store = subject.store();
    let mut history = History::default();
    let fix_time = |i: i64| at("2026-03-04T10:00:00Z").plus_millis(i * 1_000);
    for i in 0..20 {
        history.position(position("355", fix_time(i)));
        history.append_all(store.as_ref()).await;
        store.flush().await.expect("flushes");
    }
    let before = store.positions();
    history.position(position("355", fix_time(100)));
    history.append_all(store.as_ref()).await;
    store.flush().await.expect("flushes");
    store.maintain(at("2026-03-09T00:00:00Z")).await.expect("keeps house");
    let count = async |table| read(table, &[], None).await.iter().map(|b| b.num_rows()).sum::<usize>();
    assert_eq!(count(before).await, 20);
    assert_eq!(count(store.positions()).await, 21);
}
