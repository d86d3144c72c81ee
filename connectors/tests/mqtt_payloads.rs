//! What may be published on a broker of somebody else, a real Mosquitto, and how it is told what it is.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::System;
use common::mosquitto::Mosquitto;
use common::teltonika::{START_MS, data, packet};
use serde_json::{Value, json};
use waystream_connectors::decode::parse_hex;
use waystream_connectors::{ConnectorsConfig, ExternalBroker, Version};

const TIME: i64 = 1_718_000_000;

fn topics(topics: &Value) -> Result<ExternalBroker, String> {
    let broker = json!({"host": "localhost", "port": 1, "client_id": "waystream-test", "topics": topics});
    serde_json::from_value(broker).map_err(|error| error.to_string())
}

async fn start(of: Value) -> (Mosquitto, System) {
    let mosquitto = Mosquitto::start(tempfile::tempdir().unwrap(), "allow_anonymous true").await;
    let broker = ExternalBroker { port: mosquitto.port, ..topics(&of).unwrap() };
    let system = System::start_with(ConnectorsConfig { brokers: vec![broker], ..ConnectorsConfig::default() }).await;
    (mosquitto, system)
}

/// What is stored once so many positions are: protocol, fleet, device, seconds after [`TIME`].
async fn stored(system: &System, count: usize) -> Vec<(String, String, String, i64)> {
    system.wait_for_positions(|all| all.len() >= count).await;
    let positions = system.positions().await.into_iter();
    let mut all: Vec<_> = positions
        .map(|p| (p.protocol.to_string(), p.fleet.to_string(), p.device.to_string(), p.fix_time.as_millis() / 1000 - TIME))
        .collect();
    all.sort();
    all
}

fn row(protocol: &str, fleet: &str, device: &str, secs: i64) -> (String, String, String, i64) {
    (protocol.into(), fleet.into(), device.into(), secs)
}

/// Retained, so that it comes whether we have subscribed yet or not.
const RETAINED: &[&str] = &["-r"];

#[tokio::test]
async fn plain_json_as_one_position_a_list_or_lines() {
    let topic = json!([{"topic": "fleet/{fleet}/{device}", "payload": "json"}, {"topic": "gateway", "payload": "json"}]);
    let (mosquitto, system) = start(topic).await;
    system.enter_fleets("ours", &["default", "north", "south"]).await;
    let at = |secs: i64| format!(r#"{{"fix_time": {}, "lat": 52.1, "lon": 21.0, "speed_mps": 3.5}}"#, (TIME + secs) * 1000);
    mosquitto.publish_to("fleet/north/van-1", RETAINED, at(1).as_bytes()).await;
    mosquitto.publish_to("fleet/north/van-2", RETAINED, format!("[{},{}]", at(2), at(3)).as_bytes()).await;
    // A line that is wrong costs no other; what the topic says counts.
    let lines = format!("{}\nnothing\n{}", at(4), at(5).replace('{', r#"{"device":"other","#));
    mosquitto.publish_to("fleet/south/van-3", RETAINED, lines.as_bytes()).await;
    mosquitto.publish_to("gateway", RETAINED, at(6).replace('{', r#"{"device":"van-4","#).as_bytes()).await;
    mosquitto.publish_to("elsewhere", RETAINED, at(7).as_bytes()).await;
    let wanted = [
        row("json", "default", "van-4", 6),
        row("json", "north", "van-1", 1),
        row("json", "north", "van-2", 2),
        row("json", "north", "van-2", 3),
        row("json", "south", "van-3", 4),
        row("json", "south", "van-3", 5),
    ];
    assert_eq!(stored(&system, 6).await, wanted);
    system.stop().await;
}

#[tokio::test]
async fn a_template_reads_the_messages_of_others() {
    let fields = json!({"device": "imei", "fix_time": "ts", "lat": "pos.lat", "lon": "pos.lng", "speed_kmh": "pos.v",
        "attributes.ignition": "ign"});
    let topic = json!([{"topic": "acme/#", "payload": "template", "positions": "points", "fields": fields}]);
    let (mosquitto, system) = start(topic).await;
    let point = |secs: i64, lat: f64| json!({"ts": TIME + secs, "pos": {"lat": lat, "lng": "21.5", "v": 36}, "ign": 1});
    let message = json!({"imei": 358_899_058_314_017_i64, "points": [point(1, 52.0), point(2, 99.0), point(3, 53.0)]});
    mosquitto.publish_to("acme/a/b", RETAINED, message.to_string().as_bytes()).await;
    mosquitto.publish_to("acme/c", RETAINED, br#"{"imei": 1, "status": "ok"}"#).await;
    let device = "358899058314017";
    assert_eq!(stored(&system, 2).await, [row("json", "default", device, 1), row("json", "default", device, 3)]);
    let first = &system.positions().await[0];
    assert_eq!((first.location.lat_deg(), first.location.lon_deg(), first.speed_mps), (52.0, 21.5, Some(10.0)));
    system.stop().await;
}

#[tokio::test]
async fn trackers_speak_their_own_protocols_with_or_without_a_login() {
    let topic = json!([
        {"topic": "t/{device}/raw", "payload": "raw", "protocol": "teltonika"},
        {"topic": "h/+", "payload": "raw", "protocol": "gt06", "hex": true},
    ]);
    let (mosquitto, system) = start(topic).await;
    // The topic says whose the packet is.
    mosquitto.publish_to("t/356307042441013/raw", RETAINED, &packet(&data(START_MS, 2))).await;
    // A login, and in the next message what it is for.
    system.wait_for_positions(|all| all.len() >= 2).await;
    let login = "78780d01086471700328358100093f040d0a";
    let place = "78782da41a0509160203cf05be31f80c306530001c0010012ed000007ef40000000006428b074205041302ff0009389c0d0a";
    for hex in [login, place] {
        parse_hex(hex).unwrap();
        mosquitto.publish_to("h/1", &[], hex.as_bytes()).await;
    }
    let all = stored(&system, 3).await;
    let devices: Vec<(&str, &str)> = all.iter().map(|(protocol, _, device, _)| (protocol.as_str(), device.as_str())).collect();
    let teltonika = ("teltonika", "356307042441013");
    assert_eq!(devices, [("gt06", "864717003283581"), teltonika, teltonika]);
    system.stop().await;
}

#[test]
fn settings_that_make_no_sense_are_refused_with_the_reason() {
    for (topic, reason) in [
        (json!({"topic": "a", "payload": "raw"}), "needs a protocol"),
        (json!({"topic": "a", "payload": "raw", "protocol": "teltonica"}), "there is no protocol"),
        (json!({"topic": "a", "payload": "raw", "protocol": "osmand"}), "TCP and UDP"),
        (json!({"topic": "a", "payload": "json", "hex": true}), "for raw"),
        (json!({"topic": "a", "payload": "json", "fields": {"lat": "a"}}), "for template"),
        (json!({"topic": "a", "payload": "template", "fields": {"lat": "a"}}), "needs lon"),
        (json!({"topic": "a", "payload": "json", "qos": 1}), "no setting \"qos\""),
        (json!({"topic": "a/#/b", "payload": "json"}), "last level"),
        (json!("a/{x}"), "no level"),
    ] {
        let error = topics(&json!([topic])).unwrap_err();
        assert!(error.contains(reason), "{topic}: {error}");
    }
    let broker = topics(&json!(["a/+", {"topic": "b", "payload": "raw", "protocol": "gt06", "hex": true}])).unwrap();
    assert_eq!(broker.version, Version::V5);
    let again = serde_json::to_value(&broker).unwrap();
    assert_eq!(serde_json::from_value::<ExternalBroker>(again).unwrap(), broker);
}
