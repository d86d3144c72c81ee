//! To a real Mosquitto.

use crate::common::{System, config, enter, in_time};
use crate::email::free_port;
use rumqttc::{AsyncClient, Event, Incoming, MqttOptions, QoS};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use waystream_domain::notify::{Delivery, DeliveryState, Target, Topic};
use waystream_notify::{MqttConfig, NotifyConfig, Password};

pub(crate) async fn broker(folder: &Path, port: u16, settings: &str) -> Child {
    let file = folder.join("mosquitto.conf");
    std::fs::write(&file, format!("user root\nlistener {port} 127.0.0.1\n{settings}\n")).unwrap();
    let mut command = Command::new("mosquitto");
    let child = command.arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
    let child = child.expect("mosquitto is installed");
    in_time(async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    child
}

pub(crate) fn settings(port: u16) -> NotifyConfig {
    let mqtt = MqttConfig {
        host: "127.0.0.1".into(),
        port,
        client_id: "notify".into(),
        topic_prefix: "waystream/{organisation}/".into(),
        user: None,
        password: None,
        password_file: None,
        tls: None,
        insecure: false,
    };
    NotifyConfig { mqtt: Some(mqtt), tries: 1_000, longest_pause_s: 1, ..config() }
}

pub(crate) fn topic(text: &str) -> Target {
    Target::Mqtt { topic: Topic::parse(text).unwrap() }
}

fn fails(all: &[Delivery]) -> bool {
    all.len() == 1 && all[0].attempts >= 2 && matches!(&all[0].state, DeliveryState::Pending { last_error: Some(_), .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publication_waits_for_its_broker_and_comes_under_its_topic() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let system = System::telling(settings(port), &[("a", topic("{fleet}/{device}/{kind}"))]).await;
    system.happen(&[enter("early", 1)]).await;
    system.until(fails).await;

    let _broker = broker(folder.path(), port, "allow_anonymous true").await;
    system.until_all(1, &["delivered"]).await;
    let (listener, mut heard) = AsyncClient::new(MqttOptions::new("listener", "127.0.0.1", port), 4);
    listener.subscribe("#", QoS::AtLeastOnce).await.unwrap();
    let publish = in_time(async {
        loop {
            match heard.poll().await.unwrap() {
                Event::Incoming(Incoming::SubAck(_)) => system.happen(&[enter("+van/7#", 1)]).await,
                Event::Incoming(Incoming::Publish(publish)) => return publish,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!((publish.topic.as_str(), publish.qos), ("waystream/o/north/_van/7_/enter", QoS::AtLeastOnce));
    let delivered = system.until_all(2, &["delivered"]).await;
    let payload: serde_json::Value = serde_json::from_slice(&publish.payload).unwrap();
    assert_eq!(payload["event"]["device"], "+van/7#");
    assert!(delivered.iter().any(|d| payload["delivery"] == d.id.as_str()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_does_not_know_us_is_tried_again() {
    let port = free_port();
    let folder = tempfile::tempdir().unwrap();
    let passwords = folder.path().join("passwords");
    let made = Command::new("mosquitto_passwd").args(["-b", "-c"]).arg(&passwords).args(["me", "right"]).status().await;
    assert!(made.unwrap().success());
    let signed_in = format!("allow_anonymous false\npassword_file {}", passwords.display());
    let _broker = broker(folder.path(), port, &signed_in).await;
    let with = |password: &str| {
        let mut settings = settings(port);
        let mqtt = settings.mqtt.as_mut().unwrap();
        (mqtt.user, mqtt.password) = (Some("me".into()), Some(Password(password.into())));
        settings
    };
    let system = System::telling(with("wrong"), &[("a", topic("x"))]).await;
    system.happen(&[enter("van", 1)]).await;
    system.until(fails).await;
    let right = System::telling(with("right"), &[("a", topic("x"))]).await;
    right.happen(&[enter("van", 1)]).await;
    right.until_all(1, &["delivered"]).await;
}
