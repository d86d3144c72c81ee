//! Listeners that ask devices for certificates: nobody is heard without one, and nobody speaks for another device than it names.
#![allow(clippy::unwrap_used)]

use crate::common;

use common::teltonika::{START_MS, Tracker, data, datagram, login, packet};
use common::{System, in_time};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use waystream_connectors::ConnectorsConfig;
use waystream_tls::{ClientTlsStream, TlsClient, TlsTrust};

const IMEI: &str = "356307042441013";
const OTHER_IMEI: &str = "356307042441014";

fn openssl(folder: &Path, arguments: &str) {
    let output = std::process::Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// An authority, and a certificate of it for each name: `ca.pem`, `name.pem`, `name.key`.
fn certificates(folder: &Path, ca: &str, names: &[&str]) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(folder, &format!("req -x509 {key} -keyout {ca}.key -out {ca}.pem -subj /CN={ca} -days 2"));
    std::fs::write(folder.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    for name in names {
        openssl(folder, &format!("req {key} -keyout {name}.key -out {name}.csr -subj /O=Acme/CN={name}"));
        let signing = format!("-CA {ca}.pem -CAkey {ca}.key -CAcreateserial");
        openssl(folder, &format!("x509 -req -in {name}.csr {signing} -out {name}.pem -days 2 -extfile names"));
    }
}

/// Connectors that ask on these listeners for certificates of `ca`, and show one of it themselves.
async fn asking(folder: &Path, listeners: &[&str]) -> System {
    certificates(folder, "ca", &["server", IMEI, "jane"]);
    certificates(folder, "others", &["stranger"]);
    let authorities: serde_json::Map<_, _> =
        listeners.iter().map(|name| ((*name).to_owned(), serde_json::json!(folder.join("ca.pem")))).collect();
    let config: ConnectorsConfig = serde_json::from_value(serde_json::json!({
        "tls": { "certificate_file": folder.join("server.pem"), "key_file": folder.join("server.key") },
        "client_ca_files": authorities,
    }))
    .unwrap();
    System::start_with(config).await
}

/// An encrypted connection of who shows this certificate, if any.
async fn connect(system: &System, listener: &str, folder: &Path, name: Option<&str>) -> ClientTlsStream<TcpStream> {
    let file = |end: &str| name.map(|name| folder.join(format!("{name}.{end}")));
    let trust = TlsTrust { ca_file: Some(folder.join("ca.pem")), certificate_file: file("pem"), key_file: file("key") };
    let stream = in_time(TcpStream::connect(system.address(listener))).await.unwrap();
    in_time(TlsClient::new(&trust, "localhost").unwrap().connect(stream)).await.unwrap()
}

/// What is answered to these bytes before the connection ends, or so much of it.
async fn answered(mut stream: ClientTlsStream<TcpStream>, bytes: &[u8], most: usize) -> Vec<u8> {
    let mut answer = vec![0; most];
    let mut got = 0;
    if in_time(stream.write_all(bytes)).await.is_ok() {
        while got < most {
            match in_time(stream.read(&mut answer[got..])).await {
                Ok(0) | Err(_) => break,
                Ok(more) => got += more,
            }
        }
    }
    answer.truncate(got);
    answer
}

#[tokio::test]
async fn a_device_speaks_for_the_one_that_its_certificate_names() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let system = asking(folder, &["teltonika", "osmand"]).await;
    let report = |imei: &str| [login(imei), packet(&data(START_MS, 2))].concat();

    let own = connect(&system, "teltonika", folder, Some(IMEI)).await;
    assert_eq!(answered(own, &report(IMEI), 5).await, [1, 0, 0, 0, 2]);
    let of_another = connect(&system, "teltonika", folder, Some(IMEI)).await;
    assert_ne!(answered(of_another, &report(OTHER_IMEI), 1).await, [1]);
    // Of nobody, and of another authority: over TLS 1.3 that is told once one speaks.
    for name in [None, Some("stranger")] {
        let stranger = connect(&system, "teltonika", folder, name).await;
        assert_eq!(answered(stranger, &report(IMEI), 1).await, Vec::<u8>::new(), "{name:?}");
    }
    // Also from this machine nobody does without.
    assert!(Tracker::connect(system.address("teltonika")).await.try_login(IMEI).await.is_err());
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(system.address("teltonika")).await.unwrap();
    socket.send(&datagram(IMEI, 1, &data(START_MS, 1))).await.unwrap();
    assert!(in_time(socket.recv(&mut [0; 16])).await.is_err(), "nobody is there");

    let get = |id: &str| format!("GET /?id={id}&lat=52.1&lon=21.0&timestamp=1718000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
    for (id, answer) in [(OTHER_IMEI, "HTTP/1.1 404"), (IMEI, "HTTP/1.1 200")] {
        let own = connect(&system, "osmand", folder, Some(IMEI)).await;
        assert_eq!(answered(own, get(id).as_bytes(), answer.len()).await, answer.as_bytes());
    }
    let devices: Vec<_> = system.positions().await.into_iter().map(|position| position.device.to_string()).collect();
    assert_eq!(devices, [IMEI; 3]);
    // A listener that asks for nothing hears everybody as before.
    let mut free = Tracker::login(system.address("any"), OTHER_IMEI).await;
    assert_eq!(free.report(&data(START_MS, 1)).await.unwrap(), 1);
    system.stop().await;
}

#[tokio::test]
async fn over_mqtt_the_certificate_is_the_user_name() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let system = asking(folder, &["mqtt"]).await;
    let port = system.address("mqtt").port().to_string();
    let (certificate, key) = (|name: &str| folder.join(format!("{name}.pem")), |name: &str| folder.join(format!("{name}.key")));
    for (shown, more, topic, taken) in [
        (Some("jane"), &[] as &[&str], "owntracks/jane/phone", true),
        (Some("jane"), &["-u", "jane"], "owntracks/jane/tablet", true),
        (Some("jane"), &["-u", "bob"], "owntracks/bob/phone", false),
        (Some("jane"), &[], "owntracks/bob/phone", false),
        (Some("stranger"), &[], "owntracks/stranger/phone", false),
        (None, &[], "owntracks/jane/phone", false),
    ] {
        let mut command = tokio::process::Command::new("mosquitto_pub");
        command.args(["-V", "mqttv5", "-h", "localhost", "-p", &port, "-q", "1", "-t", topic]).args(more);
        command.args(["-m", r#"{"_type":"location","lat":52.1,"lon":21.0,"tst":1718000000}"#]);
        command.arg("--cafile").arg(certificate("ca"));
        if let Some(name) = shown {
            command.arg("--cert").arg(certificate(name)).arg("--key").arg(key(name));
        }
        let output = in_time(command.output()).await.expect("mosquitto-clients is installed");
        // The exit code of some versions of the program says nothing of a refused publication.
        let told = output.stderr.is_empty() && output.status.success();
        assert_eq!(told, taken, "{shown:?} {more:?} {topic}: {}", String::from_utf8_lossy(&output.stderr));
    }
    let mut devices: Vec<_> = system.positions().await.into_iter().map(|position| position.device.to_string()).collect();
    devices.sort();
    assert_eq!(devices, ["owntracks/jane/phone", "owntracks/jane/tablet"]);
    system.stop().await;
}
