//! The embedded MQTT broker with clients of other makers: mosquitto_pub and rumqttc.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::{System, in_time, short};
use rumqttc::{AsyncClient, ConnectionError, Event, EventLoop, MqttOptions, Packet, QoS, SubscribeReasonCode, v5};
use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use waystream_connectors::{ConnectorsConfig, UnknownDevices};

const START: i64 = 1_718_000_000;

fn location(tst: i64) -> String {
    format!(r#"{{"_type":"location","lat":52.1,"lon":21.0,"tst":{tst},"tid":"JJ","vel":36,"batt":46}}"#)
}

fn client(system: &System, id: &str) -> (AsyncClient, EventLoop) {
    let address = system.address("mqtt");
    let mut options = MqttOptions::new(id, address.ip().to_string(), address.port());
    options.set_keep_alive(Duration::from_secs(30));
    // With a clean session this client would forget what was not acknowledged.
    options.set_clean_session(false);
    AsyncClient::new(options, 400)
}

/// Polls until `wanted` says so.
async fn until(events: &mut EventLoop, mut wanted: impl FnMut(&Packet) -> bool) -> Result<(), ConnectionError> {
    in_time(async {
        loop {
            if let Event::Incoming(packet) = events.poll().await?
                && wanted(&packet)
            {
                return Ok(());
            }
        }
    })
    .await
}

async fn mosquitto_pub(system: &System, arguments: &[&str]) -> std::process::Output {
    let address = system.address("mqtt");
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]).args(arguments).stdin(Stdio::null());
    in_time(command.output()).await.expect("mosquitto-clients is installed")
}

#[tokio::test]
async fn mosquitto_publishes_and_the_position_is_in_the_log() {
    let system = System::start().await;
    for (version, tst) in [("mqttv311", START), ("mqttv5", START + 1)] {
        let arguments = ["-V", version, "-q", "1", "-t", "owntracks/jane/phone", "-m", &location(tst)];
        let output = mosquitto_pub(&system, &arguments).await;
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let output = mosquitto_pub(&system, &["-q", "2", "-r", "-t", "owntracks/jane/phone", "-m", &location(START + 2)]).await;
    assert!(output.status.success());
    let positions = system.positions().await;
    assert_eq!(positions.iter().map(|p| p.fix_time.as_millis()).collect::<Vec<_>>(), [0, 1, 2].map(|n| (START + n) * 1000));
    assert_eq!(positions[0].device.as_str(), "owntracks/jane/phone");
    assert_eq!((positions[0].protocol.as_str(), positions[0].speed_mps), ("owntracks", Some(10.0)));
    system.stop().await;
}

#[tokio::test]
async fn a_publication_is_acknowledged_only_when_the_log_has_it() {
    let system = System::start().await;
    let (client, mut events) = client(&system, "one");
    until(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap();
    system.gate.close();
    client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, location(START)).await.unwrap();
    let acknowledged = until(&mut events, |packet| matches!(packet, Packet::PubAck(_)));
    tokio::select! {
        biased;
        _ = acknowledged => panic!("acknowledged before it was stored"),
        () = system.gate.held_up(1) => {}
    }
    assert_eq!(system.positions().await, []);
    system.gate.open();
    until(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap();
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn trouble_of_the_log_disconnects_and_the_client_sends_again() {
    let limits = waystream_connectors::Limits { patience_s: 0, ..Default::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    let (client, mut events) = client(&system, "one");
    until(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap();
    system.gate.fail(1);
    client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, location(START)).await.unwrap();
    until(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap_err();
    assert_eq!(system.positions().await, []);
    // The event loop keeps what was not acknowledged.
    until(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap();
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn clients_that_have_gone_leave_so_many_sessions_and_who_has_one_comes_back() {
    let limits = waystream_connectors::Limits { max_mqtt_sessions: 3, ..Default::default() };
    let system = System::start_with(ConnectorsConfig { limits, ..ConnectorsConfig::default() }).await;
    for id in ["one", "two", "three"] {
        // Its connection ends with it.
        let (_client, mut events) = client(&system, id);
        until(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap();
    }
    let (_client, mut events) = client(&system, "four");
    let refused = until(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap_err();
    assert!(matches!(refused, ConnectionError::ConnectionRefused(_)), "{refused:?}");
    let (_client, mut events) = client(&system, "one");
    until(&mut events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn hundreds_under_way_are_all_acknowledged_and_stored() {
    let system = System::start().await;
    let (client, mut events) = client(&system, "one");
    for n in 0..300 {
        client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, location(START + n)).await.unwrap();
    }
    let mut acknowledged = 0;
    until(&mut events, |packet| {
        acknowledged += usize::from(matches!(packet, Packet::PubAck(_)));
        acknowledged == 300
    })
    .await
    .unwrap();
    let times: BTreeSet<_> = system.positions().await.iter().map(|p| p.fix_time).collect();
    assert_eq!(times.len(), 300);
    system.stop().await;
}

#[tokio::test]
async fn nobody_may_listen_to_others_or_speak_for_them() {
    let system = System::start().await;
    let address = system.address("mqtt");
    let mut options = MqttOptions::new("spy", address.ip().to_string(), address.port());
    options.set_credentials("bob", "secret");
    let (client, mut events) = AsyncClient::new(options, 10);
    for (filter, allowed) in [
        ("#", false),
        ("owntracks/+/+", false),
        ("owntracks/jane/phone", false),
        ("owntracks/jane/phone/cmd", false),
        ("owntracks/bob/phone/cmd", true),
    ] {
        client.subscribe(filter, QoS::AtLeastOnce).await.unwrap();
        let mut codes = Vec::new();
        until(&mut events, |packet| match packet {
            Packet::SubAck(ack) => {
                codes = ack.return_codes.clone();
                true
            }
            _ => false,
        })
        .await
        .unwrap();
        assert_eq!(codes != [SubscribeReasonCode::Failure], allowed, "{filter}");
    }
    client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, location(START)).await.unwrap();
    until(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap_err();
    assert_eq!(system.positions().await, []);
    system.stop().await;
}

#[tokio::test]
async fn an_unknown_device_is_refused_if_the_policy_says_so() {
    let config = ConnectorsConfig { unknown_devices: UnknownDevices::Refuse, ..ConnectorsConfig::default() };
    let system = System::start_with(config).await;
    let address = system.address("mqtt");
    let options = v5::MqttOptions::new("one", address.ip().to_string(), address.port());
    let (client, mut events) = v5::AsyncClient::new(options, 10);
    client.publish("owntracks/jane/phone", v5::mqttbytes::QoS::AtLeastOnce, false, location(START)).await.unwrap();
    let reason = in_time(async {
        loop {
            if let v5::Event::Incoming(v5::mqttbytes::v5::Packet::PubAck(ack)) = events.poll().await.unwrap() {
                break ack.reason;
            }
        }
    })
    .await;
    assert_eq!(reason, v5::mqttbytes::v5::PubAckReason::NotAuthorized);
    assert_eq!(system.positions().await, []);
    system.stop().await;
}

#[tokio::test]
async fn bad_payloads_are_acknowledged_and_harm_nobody() {
    let system = System::start().await;
    let (client, mut events) = client(&system, "one");
    let elsewhere = r#"{"_type":"location","lat":91,"lon":21.0,"tst":1718000000}"#.to_owned();
    for payload in
        ["{".to_owned(), String::new(), "[]".to_owned(), r#"{"_type":"lwt","tst":1}"#.to_owned(), elsewhere, location(START)]
    {
        client.publish("owntracks/jane/phone", QoS::AtLeastOnce, false, payload).await.unwrap();
        until(&mut events, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap();
    }
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_closed() {
    let system = System::start_with(ConnectorsConfig { limits: short(), ..ConnectorsConfig::default() }).await;
    let mut silent = TcpStream::connect(system.address("mqtt")).await.unwrap();
    assert_eq!(in_time(silent.read(&mut [0; 16])).await.unwrap(), 0);
    system.stop().await;
}

#[tokio::test]
async fn a_stop_finishes_and_acknowledges_what_is_under_way() {
    let system = System::start().await;
    // By hand: rumqttc does not tell of an acknowledgement that arrives together with the end of the connection.
    let mut client = TcpStream::connect(system.address("mqtt")).await.unwrap();
    client.write_all(b"\x10\x0f\0\x04MQTT\x04\x02\0\x3c\0\x03one").await.unwrap();
    let mut answer = [0; 4];
    in_time(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x20, 2, 0, 0]);
    system.gate.close();
    let (topic, payload) = ("owntracks/jane/phone", location(START));
    let length = u8::try_from(2 + topic.len() + 2 + payload.len()).unwrap();
    assert!(length < 128, "one byte of length");
    let head = [0x32, length, 0, topic.len() as u8];
    client.write_all(&[&head[..], topic.as_bytes(), &[0, 7], payload.as_bytes()].concat()).await.unwrap();
    system.gate.held_up(1).await;
    system.begin_stop();
    system.gate.open();
    in_time(client.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, [0x40, 2, 0, 7]);
    assert_eq!(in_time(client.read(&mut [0; 16])).await.unwrap(), 0);
    assert_eq!(system.positions().await.len(), 1);
    system.stop().await;
}

fn place(secs: i64) -> String {
    format!(r#"{{"fix_time": {}, "lat": 52.1, "lon": 21.0}}"#, (START + secs) * 1000)
}

#[tokio::test]
async fn other_topics_are_taken_as_they_are_set_from_those_whose_they_are() {
    let mqtt = r#"{"mqtt": {"topics": [{"topic": "fleet/{fleet}/{device}", "payload": "json"}, {"topic": "json", "payload": "json"},
        {"topic": "phones/{device}", "payload": "owntracks"}]}}"#;
    let system = System::start_with(serde_json::from_str(mqtt).unwrap()).await;
    system.enter_fleets("ours", &["default", "north"]).await;
    for (user, topic, payload, taken) in [
        ("", "fleet/north/van-1", place(1), true),
        ("van-2", "fleet/north/van-2", place(2), true),
        ("van-2", "fleet/north/van-1", place(3), false),
        // Who gives a name is that device, whatever the message says.
        ("van-3", "json", place(4).replace('{', r#"{"device": "van-1","#), true),
        ("", "json", place(5).replace('{', r#"{"device": "van-4","#), true),
        ("", "phones/jane", location(START + 6), true),
        ("", "elsewhere", place(7), false),
    ] {
        let mut arguments = vec!["-V", "mqttv5", "-q", "1", "-t", topic, "-m", &payload];
        if !user.is_empty() {
            arguments.extend(["-u", user]);
        }
        let output = mosquitto_pub(&system, &arguments).await;
        // The reason is told, but not by the exit code of every version of the program.
        assert!(taken || !output.stderr.is_empty() || !output.status.success(), "{topic} by {user}");
    }
    let mut stored: Vec<(String, String, i64)> = system
        .positions()
        .await
        .iter()
        .map(|p| (p.device.to_string(), p.fleet.to_string(), p.fix_time.as_millis() / 1000 - START))
        .collect();
    stored.sort();
    let row = |device: &str, fleet: &str, secs| (device.to_owned(), fleet.to_owned(), secs);
    let (north, default) = ("north", "default");
    let jane = row("jane", default, 6);
    let vans = [row("van-1", north, 1), row("van-2", north, 2), row("van-3", default, 4), row("van-4", default, 5)];
    assert_eq!(stored, [vec![jane], vans.to_vec()].concat());
    system.stop().await;
}

#[tokio::test]
async fn a_topic_puts_no_new_device_into_another_organisation_s_fleet() {
    for policy in ["accept", "refuse"] {
        let settings = serde_json::json!({ "unknown_devices": policy,
            "mqtt": { "topics": [{ "topic": "fleet/{fleet}/{device}", "payload": "json" }] } });
        let system = System::start_with(serde_json::from_value(settings).unwrap()).await;
        system.enter_fleets("ours", &["default", "north"]).await;
        system.enter_fleets("theirs", &["their"]).await;
        for fleet in ["their", "nobody-s"] {
            let topic = format!("fleet/{fleet}/van-1");
            let output = mosquitto_pub(&system, &["-V", "mqttv5", "-q", "1", "-t", &topic, "-m", &place(1)]).await;
            assert!(!output.stderr.is_empty() || !output.status.success(), "{topic}");
        }
        {
            let catalog = system.catalog.shared();
            let catalog = catalog.read().unwrap();
            assert!(catalog.devices.is_empty() && catalog.unknown_devices.is_empty());
        }
        if policy == "accept" {
            // One that is known stays where it is.
            for (fleet, secs) in [("north", 2), ("their", 3)] {
                let topic = format!("fleet/{fleet}/van-2");
                let output = mosquitto_pub(&system, &["-V", "mqttv5", "-q", "1", "-t", &topic, "-m", &place(secs)]).await;
                assert!(output.status.success(), "{topic}");
            }
        }
        let fleets: Vec<_> = system.positions().await.into_iter().map(|position| position.fleet.to_string()).collect();
        assert_eq!(fleets, if policy == "accept" { vec!["north"; 2] } else { Vec::new() });
        system.stop().await;
    }
}

#[tokio::test]
async fn a_client_whose_password_is_withdrawn_is_cut() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "jane:secret\nbob:other\n").unwrap();
    let mqtt = serde_json::json!({ "mqtt": { "passwords_file": file.path() } });
    let system = System::start_with(serde_json::from_value(mqtt).unwrap()).await;
    let connect = |user: &str, password: &str| {
        let address = system.address("mqtt");
        let mut options = MqttOptions::new(user, address.ip().to_string(), address.port());
        options.set_credentials(user, password);
        AsyncClient::new(options, 10)
    };
    let (_jane, mut events_of_jane) = connect("jane", "secret");
    let (bob, mut events_of_bob) = connect("bob", "other");
    for events in [&mut events_of_jane, &mut events_of_bob] {
        until(events, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap();
    }
    std::fs::write(file.path(), "bob:other\n").unwrap();
    until(&mut events_of_jane, |_| false).await.unwrap_err();
    until(&mut events_of_jane, |packet| matches!(packet, Packet::ConnAck(_))).await.unwrap_err();
    // Who is in the file has noticed nothing.
    bob.publish("owntracks/bob/phone", QoS::AtLeastOnce, false, location(START)).await.unwrap();
    until(&mut events_of_bob, |packet| matches!(packet, Packet::PubAck(_))).await.unwrap();
    system.stop().await;
}

#[tokio::test]
async fn with_a_file_of_passwords_nobody_else_may_connect() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "jane:secret\nbob:other\n").unwrap();
    let mqtt = serde_json::json!({ "mqtt": { "passwords_file": file.path() } });
    let system = System::start_with(serde_json::from_value(mqtt).unwrap()).await;
    for version in ["mqttv311", "mqttv5"] {
        for (user, right) in [
            (&["-u", "jane", "-P", "secret"][..], true),
            (&["-u", "jane", "-P", "other"], false),
            (&["-u", "jane"], false),
            (&["-u", "eve", "-P", "secret"], false),
            (&[], false),
        ] {
            let payload = location(START + i64::from(version == "mqttv5"));
            let arguments = [&["-V", version, "-q", "1", "-t", "owntracks/jane/phone", "-m", &payload][..], user].concat();
            assert_eq!(mosquitto_pub(&system, &arguments).await.status.success(), right, "{version} {user:?}");
        }
    }
    assert_eq!(system.positions().await.len(), 2);
    system.stop().await;
}
