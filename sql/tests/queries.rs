//! Questions that are answered.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{at, device, fixture, fleet};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::ipc::reader::StreamReader;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use std::sync::Arc;
use waystream_domain::catalog::Device;
use waystream_domain::{AttributeValue, CatalogEdit, CatalogEntry, Event, EventKind};
use waystream_sql::output::{self, Format};
use waystream_sql::{Devices, EventFilter, Scope, SqlError, SqlOptions, TrackRequest};
use waystream_store::{ArchiveBatch, Archived};

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
            "table_name\nacknowledgements\ndevices\nevents\nfleets\ngeofences\nlatest_positions\npositions\nstops\ntrips\n",
        ),
        ("SELECT count(*) AS n FROM information_schema.columns WHERE table_name = 'positions'", "n\n25\n"),
        (
            "SELECT min(arrow_typeof(odometer_m)) AS o, min(arrow_typeof(alarm)) AS a, count(*) AS n FROM positions WHERE ignition AND odometer_m IS NULL",
            "o,a,n\nFloat64,Utf8,1000\n",
        ),
        ("SELECT count(*) AS n FROM latest_positions WHERE ignition AND fuel_l IS NULL", "n\n10\n"),
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

/// A plan has the columns that its statement names; with a `*` anywhere, all that there are.
#[tokio::test]
async fn an_answer_is_the_same_over_the_columns_that_are_named_and_over_all() {
    let f = fixture(SqlOptions::default()).await;
    for sql in [
        "SELECT count(*) AS n FROM positions",
        "SELECT 1 AS one FROM events LIMIT 1",
        "SELECT count(*) AS n FROM positions p JOIN events e ON p.device = e.device AND p.fix_time = e.fix_time",
        "SELECT name FROM devices d WHERE EXISTS (SELECT 1 FROM events e WHERE e.device = d.device AND kind = 'enter') ORDER BY 1",
        "SELECT speed_mps * 2 AS lat FROM positions ORDER BY lat, device, fix_time LIMIT 2",
        "SELECT lat AS lon, count(*) AS lat FROM positions GROUP BY positions.lat ORDER BY 1 LIMIT 3",
        "SELECT p.device, (SELECT max(e.fix_time) FROM events e WHERE e.device = p.device) AS t FROM positions p ORDER BY p.fix_time, 1 LIMIT 3",
        "SELECT kind AS word FROM events UNION SELECT device FROM devices ORDER BY 1 LIMIT 3",
        "SELECT count(*) AS n, max(received_at) AS t FROM latest_positions WHERE valid",
    ] {
        let named = csv(&f, &f.acme, sql).await;
        assert!(named.lines().count() > 1, "{sql}");
        assert_eq!(named, csv(&f, &f.acme, &format!("WITH whole AS (SELECT * FROM positions) {sql}")).await, "{sql}");
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
    let nothing = Scope::of_organisation(common::organisation("acme"), &Default::default());
    assert_eq!(f.engine.time_range(&nothing).await.unwrap(), None);
}

#[tokio::test]
async fn paging_through_events_skips_none_and_repeats_none() {
    let f = fixture(SqlOptions::default()).await;
    let newest = f.engine.events(&f.acme, EventFilter { limit: 7, ..EventFilter::default() }).await.unwrap();
    assert_eq!(newest.events.len(), 7);
    assert!(newest.events.iter().all(|e| e.row.fix_time >= at("2026-03-05T00:10:00Z")));
    let one = newest.events[3].row.clone();
    let by_id = EventFilter {
        ids: vec![one.id.clone()],
        devices: vec![one.device.clone()],
        from: Some(one.fix_time),
        to: Some(one.fix_time),
        limit: 1,
        ..EventFilter::default()
    };
    let found = f.engine.events(&f.acme, by_id).await.unwrap();
    assert_eq!(found.events.iter().map(|e| &e.row).collect::<Vec<_>>(), [&one]);
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

/// Figures from elsewhere: GeographicLib's manual (Kennedy to Heathrow), H3's and geohash's own examples, OpenStreetMap's wiki.
#[tokio::test]
async fn functions_give_the_figures_that_others_have_published() {
    let f = fixture(SqlOptions::default()).await;
    for (expression, expected) in [
        ("round(geodesic_m(40.6, -73.8, 51.6, -0.5), 4)", "5551759.4003"),
        ("geodesic_m(0, 0, 0, 181), haversine_m(0, 0, 0, 181), bearing_deg(95, 0, 0, 0)", "NaN,NaN,NaN"),
        ("dwithin_m(0, 0, 0, 181, 1e9), dwithin_m(0, 0, 0, 1, CAST('NaN' AS DOUBLE)), dwithin_m(0, 0, 0, 1, -1)", ",,false"),
        ("h3_cell(37.3615593, -122.0553238, 7)", "87283472bffffff"),
        ("h3_cell(37.345793375368, -121.976375972551, 5)", "85283473fffffff"),
        ("round(h3_lat('85283473fffffff'), 9)", "37.345793375"),
        ("round(h3_lon('85283473fffffff'), 9)", "-121.976375973"),
        ("h3_cell(37.36, -122.05, 16)", ""),
        ("h3_lat('no cell')", ""),
        ("geohash(57.64911, 10.40744, 11)", "u4pruydqqvj"),
        ("geohash(42.605, -5.603, 5)", "ezs42"),
        ("geohash(91, 0, 5)", ""),
        ("in_geofence(NULL, 0, 'nowhere')", ""),
        ("tile(35.6590699, 139.7006793, 18)", "18/232798/103246"),
        ("tile(-90, 180, 1)", "1/1/1"),
        ("speed_kmh(10), speed_mph(44.704), speed_kn(1852)", "36.0,100.0,3600.0"),
        ("zone_id(52.008, 13), zone_id(52.01, 13)", "yard-acme,"),
        ("in_geofence(52.008, 13, 'Yard of acme'), in_geofence(52.01, 13, 'yard-acme')", "true,false"),
        ("ST_Distance(ST_Point(0, 0), 'LINESTRING(3 4,9 4)'), ST_AsText(ST_Point(13.5, -52))", "5.0,POINT(13.5 -52)"),
        ("ST_Within(ST_Point(1, 1), ST_GeomFromText('POLYGON((0 0,4 0,4 4,0 0))')), ST_Area('POINT EMPTY')", "false,"),
        ("ST_DWithin(ST_GeomFromGeoJSON('{\"type\":\"Point\",\"coordinates\":[1,2]}'), 'POINT(1 3)', 1)", "true"),
        ("attribute_number('{\"fuel_l\":12.5}', 'fuel_l')", "12.5"),
        ("attribute_text('{\"a\":12.5,\"b\":\"x\"}', 'b')", "x"),
        ("attribute_number('{\"a\":\"12\"}', 'a')", ""),
        ("attribute_flag('{\"ignition\":true}', 'ignition')", "true"),
        ("attribute_flag('nothing', 'ignition')", ""),
    ] {
        let answer = csv(&f, &f.acme, &format!("SELECT {expression}")).await;
        // A row of one empty field is quoted.
        assert_eq!(answer.lines().nth(1).map(|line| line.trim_matches('"')), Some(expected), "{expression}");
    }
    for (sql, expected) in [
        // 99 steps of a thousandth of a degree of the mean sphere.
        (
            "SELECT device, round(path_m(lat, lon ORDER BY fix_time), 2) AS m, round(path_m(lat, lon ORDER BY fix_time DESC), 2) AS back
             FROM positions WHERE device IN ('n0', 's4') GROUP BY device ORDER BY device",
            "device,m,back\nn0,11008.31,11008.31\ns4,11008.31,11008.31\n",
        ),
        (
            "SELECT segment, count(*) AS n, min(fix_time) AS since FROM (SELECT fix_time,
               segment_id(extract(minute FROM fix_time) IN (0, 5) AND extract(second FROM fix_time) = 0)
               OVER (PARTITION BY device ORDER BY fix_time) AS segment FROM positions WHERE device = 'n1') GROUP BY 1 ORDER BY 1",
            "segment,n,since\n0,30,2026-03-04T23:55:00.000Z\n1,30,2026-03-05T00:00:00.000Z\n2,40,2026-03-05T00:05:00.000Z\n",
        ),
        ("SELECT count(*) AS n, min(gap_s) AS gap_s, round(max(distance_m), 1) AS m FROM gaps(10)", "n,gap_s,m\n990,10.0,111.2\n"),
        (
            "SELECT count(*) AS n FROM positions WHERE ST_Contains('POLYGON((12 51,14 51,14 52.0505,12 52.0505,12 51))', ST_Point(lon, lat))",
            "n\n510\n",
        ),
        ("SELECT count(*) AS n FROM gaps(10.5)", "n\n0\n"),
        ("SELECT count(*) AS n FROM fleets AS f CROSS JOIN LATERAL gaps(10) AS g", "n\n1980\n"),
        ("SELECT count(*) AS n FROM gaps(NULL, '2026-03-05')", "n\n0\n"),
        (
            "SELECT count(*) AS n FROM gaps(5 * 2, TIMESTAMP '2026-03-05 00:00:00', timestamptz '2026-03-05 00:00:15Z')",
            "n\n10\n",
        ),
        ("SELECT count(*) AS n FROM gaps(10, now() - INTERVAL '36500 days', now() + INTERVAL '36500 days')", "n\n990\n"),
        (
            "SELECT device, from_time, to_time FROM gaps(1, '2026-03-05T00:00:00Z', '2026-03-05T00:00:15Z') ORDER BY 1 LIMIT 1",
            "device,from_time,to_time\nn0,2026-03-05T00:00:00.000Z,2026-03-05T00:00:10.000Z\n",
        ),
        (
            "SELECT count(*) AS n, count(DISTINCT device) AS d, min(fix_time) AS t, max(fleet) AS f FROM latest_positions",
            "n,d,t,f\n10,10,2026-03-05T00:11:30.000Z,south\n",
        ),
    ] {
        assert_eq!(csv(&f, &f.acme, sql).await, expected, "{sql}");
    }
    for (sql, why) in [
        ("SELECT path_m(lat, lon) FROM positions", "ORDER BY"),
        ("SELECT path_m(lat, lon ORDER BY device) FROM positions", "time"),
        ("SELECT in_geofence(52, 13, 'Yard of bolt')", "no geofence Yard of bolt"),
        ("SELECT * FROM gaps()", "seconds"),
        ("SELECT * FROM gaps('x')", "seconds"),
        ("SELECT * FROM gaps(1, 'yesterday')", "yesterday is not a time"),
        ("SELECT * FROM gaps(1, 7)", "a time, not"),
        ("SELECT * FROM trips('yesterday')", "yesterday is not a time"),
        ("SELECT * FROM trips(NULL, NULL, 0)", "trips: stop_after_s is not between"),
        ("SELECT * FROM stops(NULL, NULL, NULL, 'far')", "number of metres"),
        ("SELECT * FROM stops(1, 2, 3, 4, 5, 6)", "two times"),
    ] {
        let error = match f.engine.query(&f.acme, sql).await {
            Ok(mut result) => result.collect().await.expect_err(sql),
            Err(error) => error,
        };
        assert!(error.to_string().contains(why), "{sql}: {error}");
    }
}

#[tokio::test]
async fn every_column_of_every_table_is_documented() {
    let f = fixture(SqlOptions::default()).await;
    let sql = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public' ORDER BY table_name, ordinal_position";
    let mut columns: Vec<String> = csv(&f, &f.acme, sql).await.lines().skip(1).map(str::to_owned).collect();
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sql.md")).unwrap();
    let tables = page.split("## Tables").nth(1).unwrap().split("## Functions").next().unwrap();
    let mut documented = Vec::new();
    for chapter in tables.split("\n### ").skip(1) {
        let table = chapter.lines().next().unwrap();
        let names = chapter.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
        documented.extend(names.map(|name| format!("{table},{name}")));
    }
    columns.sort();
    documented.sort();
    assert_eq!(documented, columns);
}

/// Of the rows that the filters leave out nothing comes out of the scan: above it there is no filter, and it knows the limit.
#[tokio::test]
async fn explain_shows_that_only_what_is_asked_for_is_read() {
    let f = fixture(SqlOptions::default()).await;
    f.store.flush().await.unwrap();
    for (sql, shown) in [
        (
            "SELECT lat FROM positions WHERE device = 'n1' AND fix_time >= '2026-03-05' AND fix_time < '2026-03-06'",
            &[
                "projection=[lat]",
                "predicate=(fix_time@0 >= 1772668800000 AND fix_time@0 < 1772755200000 OR false) AND device@2 = n1 AND",
                "device in (n1)",
            ][..],
        ),
        (
            "SELECT device FROM positions WHERE fleet = 'north' LIMIT 5",
            &["projection=[device]", "AND fleet@3 = north", "limit=5"],
        ),
        (
            "SELECT event_id FROM events WHERE device IN ('n1', 's1') LIMIT 1",
            &["projection=[event_id]", "device@4 = n1 OR device@4 = s1", "limit=1"],
        ),
    ] {
        let plan = csv(&f, &f.acme, &format!("EXPLAIN {sql}")).await;
        let scan = plan.split("physical_plan").nth(1).unwrap();
        for word in shown {
            assert!(scan.contains(word), "{sql}: {word}\n{plan}");
        }
        assert_eq!(scan.matches("Exec").count(), 1, "{sql}\n{plan}");
    }
}

async fn bytes(f: &common::Fixture, sql: &str, format: Format) -> Result<Vec<u8>, SqlError> {
    let mut pieces = f.engine.stream(&f.acme, sql, format).await?;
    let mut all = Vec::new();
    while let Some(piece) = pieces.next().await {
        all.extend(piece?);
    }
    Ok(all)
}

#[tokio::test]
async fn every_format_streams_the_same_rows() {
    let f = fixture(SqlOptions { max_rows: 1_000, ..SqlOptions::default() }).await;
    let sql = "SELECT value AS n, 'row ' || value AS name, value / 2.0 AS half FROM generate_series(1, 200000)";
    let csv = String::from_utf8(bytes(&f, sql, Format::Csv).await.unwrap()).unwrap();
    assert_eq!((csv.lines().count(), csv.lines().last()), (200_001, Some("200000,row 200000,100000.0")));

    let arrow = bytes(&f, sql, Format::Arrow).await.unwrap();
    let arrow: Vec<RecordBatch> = StreamReader::try_new(arrow.as_slice(), None).unwrap().map(Result::unwrap).collect();
    let parquet = bytes(&f, sql, Format::Parquet).await.unwrap();
    let parquet = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(parquet)).unwrap().build().unwrap();
    let parquet: Vec<RecordBatch> = parquet.map(Result::unwrap).collect();
    for batches in [arrow, parquet] {
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        let last = batches.last().unwrap();
        let row = output::json_rows(&last.slice(last.num_rows() - 1, 1)).unwrap();
        assert_eq!((rows, row[0].to_string()), (200_000, r#"[200000,"row 200000",100000.0]"#.to_owned()));
    }

    let json: serde_json::Value = serde_json::from_slice(&bytes(&f, sql, Format::Json).await.unwrap()).unwrap();
    assert_eq!((json["rows"].as_array().unwrap().len(), &json["truncated"]), (1_000, &true.into()));
    assert!(matches!(bytes(&f, sql, Format::Table).await, Err(SqlError::Invalid { .. })));
    let nothing = bytes(&f, "SELECT device, lat FROM positions WHERE false", Format::Csv).await.unwrap();
    assert_eq!(nothing, b"device,lat\n");
}

#[tokio::test]
async fn a_query_that_fails_after_its_beginning_was_sent_is_not_taken_for_whole() {
    let f = fixture(SqlOptions { max_rows: 1_000_000, ..SqlOptions::default() }).await;
    let sql = "SELECT 1 / (150000 - value) AS n, 'padding' AS padding FROM generate_series(1, 200000)";
    let json: serde_json::Value = serde_json::from_slice(&bytes(&f, sql, Format::Json).await.unwrap()).unwrap();
    assert!(json["error"].as_str().unwrap().to_lowercase().contains("divide by zero"), "{}", json["error"]);
    assert!(json["rows"].as_array().unwrap().len() > 1_000);
    for format in [Format::Csv, Format::Arrow, Format::Parquet] {
        assert!(matches!(bytes(&f, sql, format).await, Err(SqlError::Invalid { .. })), "{format:?}");
    }
}

/// Events as the dataflow tells them, revisions among them.
#[tokio::test]
async fn trips_and_stops_are_what_the_dataflow_has_told_last() {
    let f = fixture(SqlOptions::default()).await;
    let told = |kind, minute: i64, attributes: &[(&str, &str)], retracted| {
        let time = at("2026-03-05T08:00:00Z").plus_millis(minute * 60_000);
        let p = common::position("n0", "north", time, 52.0, 13.0);
        let number = |(name, value): &(&str, &str)| match value.parse::<f64>() {
            Ok(number) => (name.to_string(), AttributeValue::Float(number)),
            Err(_) => (name.to_string(), AttributeValue::from(*value)),
        };
        Event { retracted, attributes: attributes.iter().map(number).collect(), ..common::event(&p, kind) }
    };
    let began = ("started_at", "2026-03-05T08:00:00.000Z");
    let began_later = ("started_at", "2026-03-05T09:00:00.000Z");
    let end = |at, metres| [began, ("ended_at", at), ("duration_s", "1200.5"), ("distance_m", metres), ("end_lat", "52.5")];
    let events = [
        told(EventKind::TripStart, 1, &[began, ("start_lat", "52.0")], false),
        told(EventKind::TripEnd, 24, &end("2026-03-05T08:21:00.000Z", "9000"), true),
        told(EventKind::TripEnd, 25, &end("2026-03-05T08:20:00.500Z", "9100.5"), false),
        told(EventKind::Stopped, 25, &[("started_at", "2026-03-05T08:20:00.500Z"), ("stop_lat", "52.5")], false),
        told(
            EventKind::Moving,
            61,
            &[
                ("started_at", "2026-03-05T08:20:00.500Z"),
                ("ended_at", "2026-03-05T09:00:00.000Z"),
                ("duration_s", "2399.5"),
                ("stop_lat", "52.5"),
                ("idle_s", "60"),
            ],
            false,
        ),
        told(EventKind::TripStart, 61, &[began_later, ("start_lat", "52.5")], false),
    ];
    let events = events.into_iter().enumerate().map(|(i, row)| Archived { partition: 0, offset: 1_000 + i as u64, row });
    f.store.append(Arc::new(ArchiveBatch { events: events.collect(), ..Default::default() })).await.unwrap();
    for (sql, expected) in [
        (
            "SELECT started_at, ended_at, duration_s, distance_m, end_lat FROM trips WHERE device = 'n0' ORDER BY started_at",
            "started_at,ended_at,duration_s,distance_m,end_lat\n\
             2026-03-05T08:00:00.000Z,2026-03-05T08:20:00.500Z,1200.5,9100.5,52.5\n2026-03-05T09:00:00.000Z,,,,\n",
        ),
        (
            "SELECT device, fleet, started_at, ended_at, duration_s, idle_s, lat FROM stops",
            "device,fleet,started_at,ended_at,duration_s,idle_s,lat\n\
             n0,north,2026-03-05T08:20:00.500Z,2026-03-05T09:00:00.000Z,2399.5,60.0,52.5\n",
        ),
    ] {
        assert_eq!(csv(&f, &f.acme, sql).await, expected, "{sql}");
        assert_eq!(csv(&f, &f.bolt, sql).await.lines().count(), 1, "{sql}");
    }
}

#[tokio::test]
async fn a_large_catalog_is_told_whole() {
    let f = fixture(SqlOptions::default()).await;
    // More than are looked at before others may have the catalog, of one organisation between those of another.
    for n in 0..9_000 {
        let (id, fleet) = (device(&format!("many-{n:05}")), fleet(if n % 3 == 0 { "north" } else { "east" }));
        let entry = CatalogEntry::Device(Device { id, fleet, name: "one of many".into() });
        f.catalog.write().unwrap().apply(CatalogEdit::Put(entry));
    }
    let asked = "SELECT count(*) AS n, count(DISTINCT device) AS d FROM devices";
    assert_eq!(csv(&f, &f.acme, asked).await, "n,d\n3010,3010\n");
    assert_eq!(csv(&f, &f.bolt, asked).await, "n,d\n6005,6005\n");
}
