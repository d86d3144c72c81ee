//! Questions about newest rows and counts, which are answered without reading the others.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, device, fixture, position};
use std::sync::Arc;
use waystream_domain::{Erasure, Position, Timestamp};
use waystream_sql::output::{self, Format};
use waystream_sql::{Scope, SqlOptions};
use waystream_store::{ArchiveBatch, Archived};

async fn csv(f: &common::Fixture, scope: &Scope, sql: &str) -> String {
    let mut out = Vec::new();
    let result = f.engine.query(scope, sql).await.unwrap();
    output::write(result, Format::Csv, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

/// Ways to ask for device, time and latitude of the newest rows, `$where` among them.
const SHAPES: [&str; 8] = [
    "SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat FROM positions $where GROUP BY device",
    "SELECT device, first_value(fix_time ORDER BY fix_time DESC) AS t, first_value(lat ORDER BY fix_time DESC) AS lat FROM positions $where GROUP BY device",
    "SELECT p.device, max(p.fix_time) AS t, last_value(p.lat ORDER BY p.device, p.fix_time) AS lat FROM (SELECT lat, device, fix_time FROM positions $where) AS p GROUP BY p.device",
    "SELECT DISTINCT ON (device) device, fix_time AS t, lat FROM positions $where ORDER BY device, fix_time DESC",
    "SELECT device, fix_time AS t, lat FROM (SELECT *, row_number() OVER (PARTITION BY device ORDER BY fix_time DESC) AS n FROM positions $where) AS x WHERE n = 1",
    "SELECT device, fix_time AS t, lat FROM (SELECT *, rank() OVER (PARTITION BY device ORDER BY fix_time DESC) AS n FROM positions $where) AS x WHERE n <= 1",
    "SELECT device, t, lat FROM (SELECT device, fix_time AS t, lat, dense_rank() OVER (PARTITION BY device ORDER BY fix_time DESC) AS n FROM positions $where) AS x WHERE n < 2",
    "SELECT device, fix_time AS t, lat FROM positions $where QUALIFY row_number() OVER (PARTITION BY device ORDER BY fix_time DESC) = 1",
];

/// Asks the same of all rows: they are counted too.
const PLAIN: &str = "SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat FROM positions $where GROUP BY device HAVING count(*) > 0";

/// Questions that look alike and need other rows as well.
const OTHERS: [&str; 8] = [
    PLAIN,
    "SELECT device, last_value(speed_mps ORDER BY fix_time) IGNORE NULLS AS v FROM positions GROUP BY device",
    "SELECT device, last_value(lat ORDER BY received_at) AS lat FROM positions GROUP BY device",
    "SELECT device, first_value(lat ORDER BY fix_time) AS lat FROM positions GROUP BY device",
    "SELECT device, last_value(lat ORDER BY fix_time) FILTER (WHERE lat > 52.01) AS lat FROM positions GROUP BY device",
    "SELECT fleet, last_value(lat ORDER BY fix_time) AS lat FROM positions GROUP BY fleet",
    "SELECT device, m FROM (SELECT device, max(lat) OVER (PARTITION BY device) AS m, row_number() OVER (PARTITION BY device ORDER BY fix_time DESC) AS n FROM positions) AS x WHERE n = 1",
    "SELECT device, lat FROM (SELECT device, lat, row_number() OVER (PARTITION BY device ORDER BY fix_time DESC) AS n FROM positions) AS x WHERE n = 2",
];

fn of(shape: &str, condition: &str) -> String {
    let condition = if condition.is_empty() { String::new() } else { format!("WHERE {condition}") };
    format!("SELECT * FROM ({}) AS answer ORDER BY device", shape.replace("$where", &condition))
}

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, n: u64) -> i64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n) as i64
    }

    /// Of devices in fleets of their own, of one that changes within its organisation, and of one that another organisation got; late
    /// rows and further versions among them.
    fn position(&mut self) -> Position {
        let minute = self.roll(600);
        let time: Timestamp = at("2026-03-06T00:00:00Z").plus_millis(minute * 60_000 * 7);
        let (id, fleet) = match self.roll(7) {
            0 => ("r0", "north"),
            1 => ("r1", "south"),
            2 => ("r2", "east"),
            3 => ("r3", ["north", "south"][self.roll(2) as usize]),
            4 => ("r4", if minute < 300 { "north" } else { "east" }),
            5 => ("r5", if minute < 300 { "east" } else { "south" }),
            _ => ("n1", "north"),
        };
        let mut p = position(id, fleet, time, 52.0 + self.roll(1_000) as f64 / 1e4, 13.0);
        p.received_at = time.plus_millis(self.roll(5) * 1_000);
        p.valid = self.roll(3) > 0;
        p
    }
}

#[tokio::test]
async fn every_way_to_ask_for_newest_rows_gives_what_all_rows_give() {
    let f = fixture(SqlOptions::default()).await;
    let mut dice = Dice(1);
    let mut offset = 10_000;
    for round in 0..3 {
        let rows: Vec<_> = std::iter::repeat_with(|| dice.position()).take(150).collect();
        let archived = rows.into_iter().map(|row| {
            offset += 1;
            Archived { partition: 0, offset, row }
        });
        f.store.append(Arc::new(ArchiveBatch { positions: archived.collect(), ..ArchiveBatch::default() })).await.unwrap();
        for (scope, name) in [(&f.acme, "acme"), (&f.bolt, "bolt")] {
            for condition in [
                "",
                "fleet = 'north'",
                "fix_time >= '2026-03-07T06:00:00Z'",
                "fix_time < '2026-03-07T06:00:00Z' AND fleet IN ('north', 'east')",
                "valid AND lat > 52.05",
                "device = 'r5' AND fix_time BETWEEN '2026-03-06T00:00:00Z' AND '2026-03-08T00:00:00Z'",
            ] {
                let expected = csv(&f, scope, &of(PLAIN, condition)).await;
                // In turns: planning takes its time.
                for shape in SHAPES.into_iter().skip(round % 2).step_by(2) {
                    let sql = of(shape, condition);
                    assert_eq!(csv(&f, scope, &sql).await, expected, "{name}, round {round}: {sql}");
                }
            }
            let expected = csv(&f, scope, "SELECT device, t, lat FROM (SELECT device, max(fix_time) AS t, last_value(lat ORDER BY fix_time) AS lat FROM positions WHERE device = 'r3' GROUP BY device HAVING count(*) > 0) AS x").await;
            let one = "SELECT device, fix_time AS t, lat FROM positions WHERE device = 'r3' ORDER BY fix_time DESC LIMIT 1";
            assert_eq!(csv(&f, scope, one).await, expected, "{name}, round {round}");
            let counted = csv(&f, scope, "SELECT count(*) AS n FROM positions").await;
            let here = "CASE WHEN lat > 52.05 THEN 1 ELSE 0 END";
            let summed = csv(&f, scope, &format!("SELECT sum({here}) + sum(1 - ({here})) AS n FROM positions")).await;
            assert_eq!(counted, summed, "{name}, round {round}");
        }
        match round {
            0 => {
                f.store.flush().await.unwrap();
            }
            _ => {
                let until = at("2030-01-01T00:00:00Z");
                let device = device("r0");
                let erasure = Erasure { device, organisation: None, fleets: None, until, done_at: None, problem: None };
                f.store.erase(&erasure).await.unwrap();
                f.store.maintain(at("2026-04-01T00:00:00Z")).await.unwrap();
            }
        }
    }
}

/// Whether a question reads a file, by its plan.
async fn reads_files(f: &common::Fixture, sql: &str) -> bool {
    csv(f, &f.acme, &format!("EXPLAIN {sql}")).await.contains(".parquet")
}

#[tokio::test]
async fn explain_shows_that_no_other_rows_are_read() {
    let f = fixture(SqlOptions::default()).await;
    f.store.flush().await.unwrap();
    for shape in SHAPES {
        for condition in ["", "fleet = 'north'", "fix_time >= '2026-03-05'"] {
            let sql = of(shape, condition);
            assert!(!reads_files(&f, &sql).await, "{sql}\n{}", csv(&f, &f.acme, &format!("EXPLAIN {sql}")).await);
        }
    }
    for sql in [
        "SELECT device, lat, lon FROM positions WHERE device = 'n1' ORDER BY fix_time DESC LIMIT 1",
        "SELECT max(fix_time) FROM positions",
        "SELECT DISTINCT device FROM positions",
        "SELECT count(*) AS n FROM positions",
        "SELECT count(*) AS n FROM positions WHERE fleet = 'south' AND fix_time >= '2026-03-04'",
        "SELECT count(*) AS n FROM events",
    ] {
        assert!(!reads_files(&f, sql).await, "{sql}\n{}", csv(&f, &f.acme, &format!("EXPLAIN {sql}")).await);
    }
    for sql in OTHERS.map(|sql| sql.replace("$where", "")) {
        assert!(reads_files(&f, &sql).await, "{sql}");
    }
    for sql in [
        "SELECT device, lat FROM positions WHERE device = 'n1' ORDER BY fix_time LIMIT 1",
        "SELECT device, lat FROM positions WHERE device = 'n1' ORDER BY fix_time DESC LIMIT 2",
        "SELECT count(*) AS n FROM positions WHERE fix_time >= '2026-03-05'",
        "SELECT count(*) AS n FROM positions WHERE device = 'n1'",
    ] {
        assert!(reads_files(&f, sql).await, "{sql}");
    }
    for (sql, expected) in [
        ("SELECT count(*) AS n FROM positions", "n\n1000\n"),
        ("SELECT count(*) AS n FROM positions WHERE fleet = 'south' AND fix_time >= '2026-03-04'", "n\n500\n"),
        ("SELECT count(*) AS n FROM positions WHERE fix_time >= '2026-03-05'", "n\n700\n"),
        ("SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions", "n,d\n1000,10\n"),
        ("SELECT count(*) AS n FROM (SELECT 1 FROM positions LIMIT 7) AS x", "n\n7\n"),
        ("SELECT count(*) AS n FROM events", "n\n100\n"),
        ("SELECT count(*) AS n FROM fleets AS f, positions AS p", "n\n2000\n"),
    ] {
        assert_eq!(csv(&f, &f.acme, sql).await, expected, "{sql}");
    }
    assert_eq!(csv(&f, &f.bolt, "SELECT count(*) AS n FROM positions").await, "n\n500\n");
}
