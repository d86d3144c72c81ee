//! Questions that are answered.
#![allow(clippy::unwrap_used)]

mod common;

use common::{at, device, fixture, fleet};
use waystream_domain::EventKind;
use waystream_sql::output::{self, Format};
use waystream_sql::{Devices, EventFilter, Scope, SqlOptions, TrackRequest};

async fn csv(f: &common::Fixture, scope: &Scope, sql: &str) -> String {
    let mut out = Vec::new();
    let result = f.engine.query(scope, sql).await.unwrap();
    output::write(result, Format::Csv, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn an_analyst_sees_documented_tables() {
    let f = fixture(SqlOptions::default()).await;
    for (sql, expected) in [
        ("SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions", "n,d\n1000,10\n"),
        (
            "SELECT fix_time, device, fleet, lat, speed_kmh(speed_mps) AS kmh, attributes FROM positions WHERE device = 'n0' ORDER BY fix_time LIMIT 1",
            "fix_time,device,fleet,lat,kmh,attributes\n2026-03-04T23:55:00.000Z,n0,north,52.0,36.0,\"{\"\"ignition\"\":true}\"\n",
        ),
        (
            "SELECT date_bin(INTERVAL '1 day', fix_time) AS day, count(*) AS n FROM positions WHERE fix_time >= '2026-03-05' GROUP BY 1",
            "day,n\n2026-03-05T00:00:00.000Z,700\n",
        ),
        (
            "SELECT d.name, f.name AS fleet FROM devices d JOIN fleets f ON d.fleet = f.fleet ORDER BY 1 LIMIT 1",
            "name,fleet\nvan n0,NORTH\n",
        ),
        ("SELECT kind, count(*) AS n FROM events GROUP BY kind", "kind,n\nenter,100\n"),
        (
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1",
            "table_name\ndevices\nevents\nfleets\ngeofences\npositions\n",
        ),
        ("SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 'positions'", "n\n13\n"),
        (
            "SELECT round(haversine_m(0, 0, 0, 1), 3) AS m, haversine_m(0, NULL, 0, 1) AS nothing, dwithin_m(0, 0, 0, 1, 111196) AS near, bearing_deg(0, 0, 0, 1) AS east",
            "m,nothing,near,east\n111195.08,,true,90.0\n",
        ),
    ] {
        assert_eq!(csv(&f, &f.acme, sql).await, expected, "{sql}");
    }
    for sql in ["EXPLAIN SELECT * FROM positions", "SHOW TABLES", "DESCRIBE positions", "SHOW COLUMNS FROM events"] {
        assert!(csv(&f, &f.acme, sql).await.lines().count() > 1, "{sql}");
    }
}

#[tokio::test]
async fn results_are_written_as_table_and_json() {
    let f = fixture(SqlOptions { max_rows: 2, ..SqlOptions::default() }).await;
    let mut out = Vec::new();
    let sql =
        "SELECT device, speed_mps, valid, course_deg FROM positions WHERE fix_time = '2026-03-04T23:55:00Z' ORDER BY device";
    output::write(f.engine.query(&f.acme, sql).await.unwrap(), Format::Json, &mut out).await.unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"columns\":[{\"name\":\"device\",\"type\":\"text\"},{\"name\":\"speed_mps\",\"type\":\"real\"},{\"name\":\"valid\",\"type\":\"boolean\"},\
         {\"name\":\"course_deg\",\"type\":\"real\"}],\"rows\":[\n[\"n0\",10.0,true,null],\n[\"n1\",10.0,true,null]],\"truncated\":true}\n"
    );
    let mut out = Vec::new();
    output::write(f.engine.query(&f.acme, "SELECT 1 AS one").await.unwrap(), Format::Table, &mut out).await.unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "+-----+\n| one |\n+-----+\n| 1   |\n+-----+\n1 row\n");
}

#[tokio::test]
async fn a_track_comes_in_order_of_fix_time() {
    let f = fixture(SqlOptions::default()).await;
    let request = |devices, max_rows| TrackRequest {
        devices,
        from: at("2026-03-04T00:00:00Z"),
        to: at("2026-03-06T00:00:00Z"),
        max_rows,
    };
    for (devices, max_rows, expected) in [
        (Devices::All, 10_000, 1000),
        (Devices::Fleet(fleet("south")), 10_000, 500),
        (Devices::Fleet(fleet("east")), 10_000, 0),
        (Devices::Only(vec![device("n1"), device("e1")]), 10_000, 100),
        (Devices::All, 333, 333),
    ] {
        let mut stream = f.engine.track(&f.acme, request(devices.clone(), max_rows));
        let mut all = Vec::new();
        while let Some(batch) = stream.next().await {
            all.extend(batch.unwrap());
        }
        assert_eq!(all.len(), expected, "{devices:?}");
        assert!(all.is_sorted_by_key(|p| (p.fix_time, p.device.clone())));
    }
    let range = f.engine.time_range(&f.acme).await.unwrap();
    assert_eq!(range, Some((at("2026-03-04T23:55:00Z"), at("2026-03-05T00:11:30Z"))));
    let nothing = Scope::new(common::organisation("acme"), []);
    assert_eq!(f.engine.time_range(&nothing).await.unwrap(), None);
}

#[tokio::test]
async fn paging_through_events_skips_none_and_repeats_none() {
    let f = fixture(SqlOptions::default()).await;
    let newest = f.engine.events(&f.acme, EventFilter { limit: 7, ..EventFilter::default() }).await.unwrap();
    assert_eq!(newest.events.len(), 7);
    assert!(newest.events.iter().all(|e| e.row.fix_time >= at("2026-03-05T00:10:00Z")));
    let mut filter =
        EventFilter { after: Some("".parse().unwrap()), limit: 7, kinds: vec![EventKind::Enter], ..EventFilter::default() };
    let mut seen = std::collections::BTreeSet::new();
    loop {
        let page = f.engine.events(&f.acme, filter.clone()).await.unwrap();
        for e in &page.events {
            assert!(seen.insert(e.row.id.clone()), "{} came twice", e.row.id);
        }
        assert!(page.events.is_sorted_by_key(|e| e.row.received_at));
        // A cursor survives being given to a client and back.
        filter.after = Some(page.cursor.to_string().parse().unwrap());
        if !page.more {
            break;
        }
    }
    assert_eq!(seen.len(), 100);
}
