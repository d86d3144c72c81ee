//! Positions that are left out because of whose they are, as an operator sees them counted. The recorder is the whole process's, so this is one test.
#![allow(clippy::unwrap_used)]

mod common;

use common::egts::{ANSWER_BYTES, relayed};
use common::teltonika::Tracker;
use common::{System, in_time};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use waystream_connectors::{ConnectorsConfig, UnknownDevices};
use waystream_domain::catalog::Device;
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, DeviceAddresses};

fn device(id: &str) -> CatalogEdit {
    let (id, fleet, name) = (id.parse().unwrap(), "default".parse().unwrap(), id.to_owned());
    CatalogEdit::Put(CatalogEntry::Device(Device { id, fleet, name }))
}

/// Nothing that comes from this machine is the device's.
fn elsewhere(id: &str) -> CatalogEdit {
    let ranges = vec!["192.0.2.0/24".parse().unwrap()];
    CatalogEdit::Put(CatalogEntry::DeviceAddresses(DeviceAddresses { device: id.parse().unwrap(), ranges }))
}

#[tokio::test]
async fn positions_of_devices_that_may_not_report_are_counted_by_protocol_and_reason() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let counted = |name: &str, labels: &str| -> u64 {
        let wanted = format!("waystream_connectors_{name}_total{{{labels}}} ");
        let text = metrics.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
        line.map_or(0, |value| value.parse().unwrap())
    };
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let edits = vec![device("3233214134"), device("2586625890"), elsewhere("2586625890")];
    system.catalog.edit(&Actor::CommandLine, edits).await.unwrap();

    // Ten positions of eight devices, behind a relay: two of one that may report, one of one that may not from here.
    let mut relay = Tracker::connect(system.address("egts")).await;
    relay.send(&relayed()).await;
    assert_eq!(relay.answer(ANSWER_BYTES).await.unwrap().len(), ANSWER_BYTES);
    assert_eq!(counted("positions", "protocol=\"egts\""), 2);
    let of = |reason: &str| counted("refused_positions", &format!("protocol=\"egts\",reason=\"{reason}\""));
    assert_eq!((of("refused_device"), of("wrong_address"), of("no_device")), (7, 1, 0));
    assert_eq!(counted("faults", "protocol=\"egts\",kind=\"refused_device\""), 6);

    // A device that speaks for itself.
    let mut stream = in_time(TcpStream::connect(system.address("osmand"))).await.unwrap();
    let request =
        "GET /?id=van&lat=52.1&lon=21.0&timestamp=1718000000 HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    in_time(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(counted("refused_positions", "protocol=\"osmand\",reason=\"refused_device\""), 1);
    assert_eq!(system.positions().await.len(), 2);
    system.stop().await;
}
