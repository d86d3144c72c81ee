//! The distributed form: each role its own process on a real Kafka and a real QuestDB. Trackers report to one process, others work out
//! the events and keep history; what is in Kafka and in QuestDB is the truth, read by programs of other makers.

use crate::deployment::Deployment;
use crate::recorded::Recorded;
use std::collections::BTreeSet;
use tokio::task::JoinSet;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_sql::output::Format;

const RECORDS_PER_PACKET: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn roles_as_processes_on_kafka_and_questdb_tell_the_truth() {
    let recorded = Recorded::read(&[("warsaw_bus", 60_000), ("nyharbor_ais", usize::MAX)]);
    let deployment = Deployment::start(&["warsaw_districts", "nyc_boroughs"]).await;
    deployment.put(recorded.catalog()).await;
    let start = |name: &str, roles: &str| deployment.process(name, roles);
    let _running = [
        start("connect-1", "connect"),
        start("dataflow-1", "dataflow"),
        start("dataflow-2", "dataflow"),
        start("archive-1", "archive"),
        start("archive-2", "archive"),
    ];
    let gateway = start("gateway-1", "gateway");
    let sql = start("sql-1", "sql");

    let mut trackers = JoinSet::new();
    for (imei, fixes) in recorded.tracks.clone() {
        let mut tracker = Tracker::Teltonika(Teltonika::new(deployment.trackers, imei.as_str()));
        trackers.spawn(async move {
            for packet in fixes.chunks(RECORDS_PER_PACKET) {
                tracker.deliver(packet).await.unwrap();
            }
        });
    }
    trackers.join_all().await;
    sql.remote().settle().await.unwrap();
    deployment.check(&recorded).await;

    let query = "SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions";
    let history = sql.remote().ask(query, Format::Csv).await.unwrap();
    let rows = recorded.own_rows();
    let (rows, devices) = (rows.len(), rows.iter().map(|(device, _)| device).collect::<BTreeSet<_>>().len());
    assert_eq!(String::from_utf8(history).unwrap(), format!("n,d\n{rows},{devices}\n"));
    recorded.check_rival(&gateway).await;
}
