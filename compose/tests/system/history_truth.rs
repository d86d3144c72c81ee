//! What SQL works out of positions afterwards against what the dataflow said while they came in.

use crate::common::{System, add_districts, fixed};
use crate::recorded::{Recorded, Reporting};
use std::collections::{BTreeMap, BTreeSet};
use waystream::control::Remote;
use waystream_sql::output::Format;

/// Rows of an answer.
async fn ask(remote: &Remote, query: &str) -> Vec<Vec<String>> {
    let csv = String::from_utf8(remote.ask(query, Format::Csv).await.unwrap()).unwrap();
    csv.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

/// Milliseconds inside, by device and geofence.
type Inside = BTreeMap<(String, String), i64>;

/// From an enter to its exit, or to the last fix.
async fn inside_as_told(remote: &Remote) -> Inside {
    let last = ask(remote, "SELECT device, max(CAST(fix_time AS BIGINT)) AS ms FROM positions GROUP BY device").await;
    let last: BTreeMap<&str, i64> = last.iter().map(|row| (row[0].as_str(), row[1].parse().unwrap())).collect();
    let told = "SELECT device, geofence, kind, CAST(fix_time AS BIGINT) AS ms FROM events
                WHERE kind IN ('enter', 'exit') AND NOT retracted ORDER BY device, geofence, fix_time";
    let (mut inside, mut entered) = (Inside::new(), BTreeMap::new());
    for row in ask(remote, told).await {
        let [device, geofence, kind, ms]: [String; 4] = row.try_into().unwrap();
        let (pair, ms): (_, i64) = ((device, geofence), ms.parse().unwrap());
        if kind == "enter" {
            assert_eq!(entered.insert(pair.clone(), ms), None, "{pair:?} is entered twice");
        } else {
            let since = entered.remove(&pair).unwrap();
            *inside.entry(pair).or_default() += ms - since;
        }
    }
    for (pair, since) in entered {
        let until = last[pair.0.as_str()];
        *inside.entry(pair).or_default() += until - since;
    }
    inside
}

/// From each fix inside to the next fix, wherever that is.
async fn inside_as_asked(remote: &Remote) -> Inside {
    let asked = "SELECT p.device, g.geofence, sum(p.ms) AS ms FROM (
                     SELECT device, lat, lon,
                            coalesce(CAST(lead(fix_time) OVER (PARTITION BY device ORDER BY fix_time) AS BIGINT), CAST(fix_time AS BIGINT))
                                - CAST(fix_time AS BIGINT) AS ms
                     FROM positions) AS p
                 CROSS JOIN geofences AS g WHERE in_geofence(p.lat, p.lon, g.geofence) GROUP BY p.device, g.geofence";
    let rows = ask(remote, asked).await;
    rows.into_iter().map(|row| ((row[0].clone(), row[1].clone()), row[2].parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn sql_finds_the_time_inside_and_the_trips_that_were_told_live() {
    let mut recorded = Recorded::read(&[("warsaw_bus", 30_000)]);
    // Of two fixes with one time the dataflow goes by the first, and history keeps the last.
    for fixes in recorded.tracks.values_mut() {
        let mut times = BTreeSet::new();
        fixes.retain(|fix| times.insert(fix.fix_time));
    }
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &format!("{settings}[sql]\ndeadline_s = 600\n")).unwrap();
    add_districts(&system).await;
    system.remote().add(recorded.catalog()).await.unwrap();
    let reporting = Reporting::start(&recorded, server, 10);
    reporting.until(recorded.positions()).await;
    reporting.end().await;
    recorded.check_in(&system).await;
    let remote = system.remote();

    let told = inside_as_told(&remote).await;
    let asked = inside_as_asked(&remote).await;
    assert!(told.len() > 100 && told.values().sum::<i64>() > 3_600_000, "{} devices and districts", told.len());
    let wrong: Vec<_> = told.iter().filter(|(pair, ms)| asked.get(*pair) != Some(*ms)).take(5).collect();
    assert!(wrong.is_empty(), "not what SQL says: {wrong:?}");
    assert_eq!(asked.len(), told.len());

    for table in ["trips", "stops"] {
        let all = |from: &str| format!("SELECT * FROM {from} ORDER BY device, started_at");
        let told = ask(&remote, &all(table)).await;
        let asked = ask(&remote, &all(&format!("{table}()"))).await;
        assert!(told.len() > 50, "{} {table}", told.len());
        assert!(asked.len() == told.len(), "{} {table} told, {} found", told.len(), asked.len());
        let wrong: Vec<_> = told.iter().zip(&asked).filter(|(told, asked)| told != asked).take(3).collect();
        assert!(wrong.is_empty(), "{table} told, and found: {wrong:?}");
    }
    let ends = ask(&remote, "SELECT count(*) AS n FROM events WHERE kind = 'trip_end' AND NOT retracted").await;
    assert_eq!(ask(&remote, "SELECT count(*) AS n FROM trips() WHERE ended_at IS NOT NULL").await, ends);
    // Told to the millimetre.
    let ways = "SELECT count(*) AS n, count(*) FILTER (WHERE abs(told_m - m) > 0.001) AS other FROM (
                    SELECT t.device, t.started_at, min(t.distance_m) AS told_m, path_m(p.lat, p.lon ORDER BY p.fix_time) AS m
                    FROM trips AS t JOIN positions AS p ON p.device = t.device
                    WHERE p.fix_time >= t.started_at AND p.fix_time <= t.ended_at
                    GROUP BY t.device, t.started_at) AS ways";
    assert_eq!(ask(&remote, ways).await, [[ends[0][0].clone(), "0".to_owned()]]);
}
