//! A real Mosquitto as the broker of somebody else: what it acknowledges to its publishers comes into the log, whatever happens.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::mosquitto::Mosquitto;
use common::{System, in_time};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::process::Command;
use waystream_connectors::{Connectors, ConnectorsConfig, ExternalBroker, Limits, Version};
use waystream_tls::TlsTrust;

const START: i64 = 1_718_000_000;

fn location(n: i64) -> String {
    format!(r#"{{"_type":"location","lat":52.1,"lon":21.0,"tst":{}}}"#, START + n)
}

async fn system(broker: ExternalBroker) -> System {
    let limits = Limits { patience_s: 0, ..Limits::default() };
    System::start_with(ConnectorsConfig { brokers: vec![broker], limits, ..ConnectorsConfig::default() }).await
}

/// Waits until the log has these, by the second after [`START`].
async fn arrived(system: &System, wanted: impl IntoIterator<Item = i64>) {
    let wanted: BTreeSet<i64> = wanted.into_iter().collect();
    system
        .wait_for_positions(|all| {
            let times: BTreeSet<i64> = all.iter().map(|p| p.fix_time.as_millis() / 1000 - START).collect();
            times.is_superset(&wanted)
        })
        .await;
}

#[tokio::test]
async fn publications_come_into_the_log_and_again_after_trouble_on_either_side() {
    in_version(Version::V5).await;
}

#[tokio::test]
async fn so_they_do_in_version_3() {
    in_version(Version::V3).await;
}

async fn in_version(version: Version) {
    let mut mosquitto = Mosquitto::start(tempfile::tempdir().unwrap(), "allow_anonymous true").await;
    let settings = ExternalBroker { version, ..mosquitto.settings() };
    // Kept by the broker, so it arrives whenever we subscribe.
    mosquitto.publish(&["-r"], &location(0)).await;
    let first = system(settings.clone()).await;
    arrived(&first, [0]).await;

    // The log does not take it: it is not acknowledged, and comes again.
    first.gate.fail(1);
    mosquitto.publish(&[], &location(1)).await;
    arrived(&first, [1]).await;

    // What makes no sense or is too large stops nothing.
    mosquitto.publish(&[], "{").await;
    mosquitto.publish(&[], &"x".repeat(100_000)).await;
    mosquitto.publish(&[], &location(2)).await;
    arrived(&first, [2]).await;

    // We are gone while it is under way: it is stored by whoever comes back under the same name.
    first.gate.close();
    mosquitto.publish(&[], &location(3)).await;
    first.gate.held_up(1).await;
    first.stop().await;
    mosquitto.publish(&[], &location(4)).await;
    let second = system(settings).await;
    arrived(&second, [3, 4]).await;

    // The broker is gone and comes back. We find it by ourselves.
    mosquitto.restart().await;
    mosquitto.publish(&["-r"], &location(5)).await;
    arrived(&second, [5]).await;
    second.stop().await;
}

#[tokio::test]
async fn in_version_3_what_is_far_too_large_does_not_come_for_ever() {
    let mosquitto = Mosquitto::start(tempfile::tempdir().unwrap(), "allow_anonymous true").await;
    mosquitto.publish(&["-r"], &location(0)).await;
    let system = system(ExternalBroker { version: Version::V3, ..mosquitto.settings() }).await;
    arrived(&system, [0]).await;
    mosquitto.publish(&[], &"x".repeat(5_000_000)).await;
    mosquitto.publish(&["-r"], &location(1)).await;
    arrived(&system, [1]).await;
    system.stop().await;
}

#[tokio::test]
async fn hundreds_at_once_are_all_stored() {
    hundreds(Version::V5).await;
}

#[tokio::test]
async fn hundreds_at_once_are_all_stored_in_version_3_too() {
    hundreds(Version::V3).await;
}

async fn hundreds(version: Version) {
    // Without a window of the broker's own: all of them are under way at a time.
    let settings = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0";
    let mosquitto = Mosquitto::start(tempfile::tempdir().unwrap(), settings).await;
    mosquitto.publish(&["-r"], &location(0)).await;
    let system = system(ExternalBroker { version, ..mosquitto.settings() }).await;
    arrived(&system, [0]).await;
    // More than we hold at a time, while the log stands still.
    system.gate.close();
    publish_lines(&mosquitto, 1..=1000).await;
    system.gate.held_up(1).await;
    system.gate.open();
    arrived(&system, 0..=1000).await;
    system.stop().await;
}

/// Over one connection, as fast as it goes.
async fn publish_lines(mosquitto: &Mosquitto, numbers: impl Iterator<Item = i64>) {
    let lines: String = numbers.map(|n| location(n) + "\n").collect();
    let file = mosquitto.folder.path().join("lines");
    std::fs::write(&file, lines).unwrap();
    let mut command = Command::new("mosquitto_pub");
    command.args(["-h", "localhost", "-p", &mosquitto.port.to_string(), "-q", "1", "-t", "owntracks/jane/phone", "-l"]);
    let status = in_time(command.stdin(std::fs::File::open(file).unwrap()).status()).await.unwrap();
    assert!(status.success());
}

#[tokio::test]
async fn a_device_that_floods_through_a_broker_is_slowed_down_and_loses_nothing() {
    // Without a window and a queue of the broker's own: it would send all at once.
    let settings = "allow_anonymous true\nmax_queued_messages 0\nmax_inflight_messages 0";
    for version in [Version::V5, Version::V3] {
        let mosquitto = Mosquitto::start(tempfile::tempdir().unwrap(), settings).await;
        let limits = Limits { max_messages_per_device_s: 20, ..Limits::default() };
        let brokers = vec![ExternalBroker { version, ..mosquitto.settings() }];
        let system = System::start_with(ConnectorsConfig { brokers, limits, ..ConnectorsConfig::default() }).await;
        mosquitto.publish(&["-r"], &location(0)).await;
        arrived(&system, [0]).await;
        let begun = Instant::now();
        publish_lines(&mosquitto, 1..=520).await;
        arrived(&system, 0..=520).await;
        // Two hundred may come at once. Of the others we hold 256 at most, and twenty a second are acknowledged: on no machine sooner.
        assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
        system.stop().await;
    }
}

fn openssl(folder: &Path, arguments: &str) {
    let output = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn with_tls_client_certificate_and_password() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_owned();
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&path, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=test-ca -days 2"));
    std::fs::write(path.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for name in ["broker", "us"] {
        openssl(&path, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /CN=localhost"));
        openssl(
            &path,
            &format!(
                "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out {name}.pem -days 2 -extfile names"
            ),
        );
    }
    let mut command = std::process::Command::new("mosquitto_passwd");
    command.args(["-b", "-c", "passwords", "waystream", "secret"]).current_dir(&path);
    assert!(command.status().unwrap().success());
    let settings = "cafile FOLDER/ca.pem\ncertfile FOLDER/broker.pem\nkeyfile FOLDER/broker.key\nrequire_certificate true\n\
                    allow_anonymous false\npassword_file FOLDER/passwords";
    let mosquitto = Mosquitto::start(folder, settings).await;
    let (ca, certificate, key) = (path.join("ca.pem"), path.join("us.pem"), path.join("us.key"));
    let tls = TlsTrust { ca_file: Some(ca.clone()), certificate_file: Some(certificate.clone()), key_file: Some(key.clone()) };
    let broker = ExternalBroker {
        username: Some("waystream".into()),
        password: Some(serde_json::from_str("\"secret\"").unwrap()),
        tls: Some(tls),
        ..mosquitto.settings()
    };
    assert!(!format!("{broker:?}{}", serde_json::to_string(&broker).unwrap()).contains("secret"));
    // From a file it is the same, and one of the two it has to be.
    let file = path.join("password");
    std::fs::write(&file, "secret\n").unwrap();
    let twice = ExternalBroker { password_file: Some(file.clone()), ..broker.clone() };
    let nowhere = ExternalBroker { password: None, password_file: Some(path.join("nowhere")), ..broker.clone() };
    for (wrong, why) in [(twice, "there is a password_file, too"), (nowhere, "password_file: could not read")] {
        let config = ConnectorsConfig { brokers: vec![wrong], ..ConnectorsConfig::default() }.on_free_ports();
        let error = Connectors::new(config).bind().await.err().unwrap().to_string();
        assert!(error.contains(why) && !error.contains("secret"), "{error}");
    }
    let system = system(ExternalBroker { password: None, password_file: Some(file), ..broker }).await;
    let [ca, certificate, key] = [&ca, &certificate, &key].map(|path| path.to_str().unwrap());
    let secured = ["--cafile", ca, "--cert", certificate, "--key", key, "-u", "waystream", "-P", "secret", "-r"];
    mosquitto.publish(&secured, &location(0)).await;
    arrived(&system, [0]).await;
    system.stop().await;
}
