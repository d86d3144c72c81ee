//! The whole program with QuestDB as its store.

use crate::browser::Browser;
use crate::common::{System, run, settings};
use crate::lifecycle::fix_at;
use crate::playback::every_position_arrives;
use crate::server::Server;
use serde_json::json;
use std::time::Duration;
use waystream::demo::sockets::Sockets;
use waystream::demo::world::Reporting;
use waystream_domain::DeviceId;
use waystream_sql::output::Format;
use waystream_store::questdb::QuestDbOptions;

/// Settings of a system that keeps its history there.
pub(crate) fn on(options: &QuestDbOptions) -> String {
    let (host, port) = &options.address;
    let prefix = &options.table_prefix;
    format!("{}[store]\nkind = \"questdb\"\naddress = \"{host}:{port}\"\ntable_prefix = \"{prefix}\"\n", settings(&[]))
}

/// Rows of a table, as the system answers.
pub(crate) async fn count(system: &System, table: &str) -> u64 {
    let answer = system.remote().ask(&format!("SELECT count(*) AS n FROM {table}"), Format::Csv).await.unwrap();
    String::from_utf8(answer).unwrap().lines().nth(1).unwrap().parse().unwrap()
}

/// Waits until a count is exactly this.
pub(crate) async fn until(rows: u64, count: impl AsyncFn() -> u64) {
    let counted = async {
        while count().await != rows {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), counted).await.unwrap_or_else(|_| panic!("never {rows} rows"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_played_track_is_answered_from_questdb_and_written_again_after_a_loss() {
    let server = Server::shared();
    let options = server.options();
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &on(&options)).unwrap();
    let rows = every_position_arrives(&system, "data/tracks/nyharbor_ais.csv.gz").await as u64;
    assert_eq!(count(&system, "positions").await, rows);
    // Rows are answered from memory until they are known to be written.
    until(rows, async || server.count(&options, "positions").await).await;

    server.sql(&format!("TRUNCATE TABLE {}positions", options.table_prefix)).await;
    until(0, async || count(&system, "positions").await).await;
    let data = folder.path().to_str().unwrap();
    let (_, err, ended_well) = run(&["archive", "--data", data, "--from", "yesterday"]).unwrap();
    assert!(!ended_well && err.contains("yesterday"), "{err}");
    let (out, err, ended_well) = run(&["archive", "--data", data, "--from", "2020-01-01T00:00:00Z"]).unwrap();
    assert!(ended_well && out.contains("written again"), "{out}{err}");
    assert_eq!(count(&system, "positions").await, rows);
    assert_eq!(server.count(&options, "positions").await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_moves_while_questdb_is_down_and_history_catches_up() {
    let server = Server::start();
    let options = server.options();
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &on(&options)).unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let client = reqwest::Client::new();
    let cookie = system.cookie().await;
    let (mut map, _) = Browser::watching(&url, &cookie, "websocket", json!({ "fleets": null, "alerts_after": null })).await;
    let ready = async || {
        let answer = client.get(format!("{url}/readyz")).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let until_ready = async |status: u16| {
        let asked = async {
            while ready().await.0 != status {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), asked).await.expect("it becomes so");
    };

    let device = DeviceId::new("356307042441013").unwrap();
    let sockets = Sockets::new(system.address("teltonika"), system.address("osmand"), system.address("mqtt"));
    let mut tracker = sockets.tracker(Reporting::Teltonika, &device);
    let lat = |n: i64| 52.0 + n as f64 * 1e-3;
    let fix = |n: i64| fix_at(n, lat(n), 21.0);
    for n in 0..60 {
        match n {
            10 => {
                server.kill();
                until_ready(503).await;
                assert!(ready().await.1.contains("QuestDB can't be reached"));
            }
            50 => {
                let asked = system.remote().ask("SELECT count(*) FROM positions", Format::Csv).await;
                assert!(asked.is_err_and(|e| e.to_string().contains("QuestDB can't be reached")));
                tokio::task::block_in_place(|| server.restart());
            }
            _ => {}
        }
        tracker.send(&[fix(n)]).await.unwrap();
        map.until_so(|map| map.map.get(device.as_str()).is_some_and(|shown| (shown - lat(n)).abs() < 1e-6)).await;
    }
    tokio::time::timeout(Duration::from_secs(60), system.remote().settle()).await.expect("it catches up").unwrap();
    assert_eq!(count(&system, "positions").await, 60);
    until_ready(200).await;
    until(60, async || server.count(&options, "positions").await).await;
}
