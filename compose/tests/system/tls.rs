//! TLS of the dashboard and of the listeners for trackers, spoken by other makers' programs; and that nothing is open by mistake.

use crate::common::{System, run, settings};
use crate::lifecycle::fix;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use waystream::trackers::teltonika;
use waystream_sql::output::Format;

/// A certificate for this machine that is its own root: `good.pem` and `good.key`.
pub(crate) fn certificate(folder: &Path) {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout good.key -out good.pem -days 2 \
                     -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    let output = Command::new("openssl").args(arguments.split(' ')).current_dir(folder).output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn encrypted(folder: &Path) -> String {
    certificate(folder);
    let files = format!("certificate_file = \"{0}/good.pem\"\nkey_file = \"{0}/good.key\"\n", folder.display());
    settings(&[]) + &format!("[connectors.tls]\n{files}[gateway.tls]\n{files}")
}

/// What curl says, headers included, of a server whose certificate is in the folder.
fn curl(folder: &Path, url: &str) -> String {
    let authority = folder.join("good.pem");
    let output = Command::new("curl").args(["-sS", "-i", "--max-time", "30", "--cacert"]).arg(authority).arg(url).output();
    let output = output.expect("curl is installed");
    (String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr)).into_owned()
}

/// Whether a server that speaks TLS is trusted by who trusts the certificate in the folder.
fn is_trusted(folder: &Path, server: SocketAddr, more: &[&str]) -> bool {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &server.to_string(), "-verify_return_error", "-CAfile"]).arg(folder.join("good.pem"));
    let output = client.args(more).stdin(Stdio::null()).output().expect("openssl is installed");
    output.status.success()
}

#[test]
fn the_dashboard_is_encrypted_and_sends_those_who_come_without_to_the_same_page() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &encrypted(folder.path())).unwrap();
    let address = system.address("dashboard");

    let signed_in = curl(folder.path(), system.sign_in_link());
    assert!(system.sign_in_link().starts_with("https://127.0.0.1:"), "{}", system.sign_in_link());
    let headers = signed_in.to_lowercase();
    assert!(headers.contains("set-cookie:") && headers.contains("; secure"), "{signed_in}");
    assert!(headers.contains("strict-transport-security: max-age="), "{signed_in}");

    let page = curl(folder.path(), &format!("https://{address}/"));
    assert!(page.contains("200 OK") && page.contains("<!doctype html>"), "{page}");
    let plain = curl(folder.path(), &format!("http://{address}/some?page=1"));
    assert!(plain.contains("308") && plain.contains(&format!("location: https://{address}/some?page=1")), "{plain}");

    // Who doesn't trust the certificate, or breaks off, harms nobody.
    let mistrusted = Command::new("curl").args(["-sS", &format!("https://{address}/")]).output().unwrap();
    assert!(!mistrusted.status.success());
    TcpStream::connect(address).unwrap().write_all(&[0x16, 3, 1, 0xff, 0xff, 1, 2, 3]).unwrap();
    assert!(curl(folder.path(), &format!("https://{address}/healthz")).contains("200 OK"));
}

#[test]
fn a_new_certificate_is_served_without_a_restart() {
    const PATIENCE: Duration = Duration::from_secs(120);
    let folder = tempfile::tempdir().unwrap();
    let settings = encrypted(folder.path());
    let files = format!("{{ certificate_file = \"{0}/good.pem\", key_file = \"{0}/good.key\" }}", folder.path().display());
    let settings = settings + &format!("[postgres]\nlisten = \"127.0.0.1:0\"\ntls = {files}\n");
    let system = System::start(folder.path(), &settings).unwrap();
    let dashboard = format!("https://{}/healthz", system.address("dashboard"));
    let osmand = format!("https://{}/?id=tls-5&lat=52.2&lon=21.0&timestamp=1700000000", system.address("osmand"));
    let is_served = |trusting: &Path, port: &str| match port {
        "dashboard" => curl(trusting, &dashboard).contains("200 OK"),
        "osmand" => curl(trusting, &osmand).contains("200 OK"),
        "postgres" => is_trusted(trusting, system.address(port), &["-starttls", "postgres"]),
        port => is_trusted(trusting, system.address(port), &[]),
    };
    let ports = ["dashboard", "osmand", "teltonika", "mqtt", "postgres"];
    let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
    std::fs::create_dir(&old).unwrap();
    std::fs::create_dir(&new).unwrap();
    std::fs::copy(folder.path().join("good.pem"), old.join("good.pem")).unwrap();
    certificate(&new);
    for port in ports {
        assert!(is_served(&old, port) && !is_served(&new, port), "{port}");
    }
    for file in ["good.pem", "good.key"] {
        std::fs::copy(new.join(file), folder.path().join(file)).unwrap();
    }
    let replaced = Instant::now();
    for port in ports {
        while !is_served(&new, port) {
            assert!(replaced.elapsed() < PATIENCE, "{port} goes on with the old certificate");
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(!is_served(&old, port), "{port}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trackers_speak_tls_or_not_on_the_same_port() {
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &encrypted(folder.path())).unwrap();

    // HTTP, on its own port and on the one for all.
    for (listener, id) in [("osmand", "1"), ("any", "2")] {
        let address = system.address(listener);
        let query = format!("?id=tls-{id}&lat=52.2&lon=21.0&timestamp=1700000000");
        for scheme in ["https", "http"] {
            let answer = curl(folder.path(), &format!("{scheme}://{address}/{query}"));
            assert!(answer.contains("200 OK"), "{scheme} on {listener}: {answer}");
        }
    }

    // A binary protocol, on its own port and on the one for all.
    for (listener, imei) in [("teltonika", "356307042441013"), ("any", "356307042441021")] {
        let mut client = Command::new("openssl");
        client.args(["s_client", "-quiet", "-verify_return_error", "-servername", "localhost", "-CAfile"]);
        client.arg(folder.path().join("good.pem")).args(["-connect", &system.address(listener).to_string()]);
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let (mut to, mut from) = (client.stdin.take().unwrap(), client.stdout.take().unwrap());
        to.write_all(&teltonika::login(imei)).unwrap();
        let mut accepted = [0];
        from.read_exact(&mut accepted).unwrap();
        assert_eq!(accepted, [1]);
        to.write_all(&teltonika::packet(&[fix(0), fix(1)])).unwrap();
        let mut stored = [0; 4];
        from.read_exact(&mut stored).unwrap();
        assert_eq!(stored, [0, 0, 0, 2]);
        client.kill().unwrap();
        client.wait().unwrap();
    }

    // MQTT.
    let address = system.address("mqtt");
    let published = Command::new("mosquitto_pub")
        .args([
            "-h",
            "localhost",
            "-p",
            &address.port().to_string(),
            "-q",
            "1",
            "-i",
            "tls-3",
            "-t",
            "owntracks/tls/3",
            "--cafile",
        ])
        .arg(folder.path().join("good.pem"))
        .args(["-m", r#"{"_type":"location","lat":52.2,"lon":21.0,"tst":1700000000}"#])
        .output()
        .expect("mosquitto_pub is installed");
    assert!(published.status.success(), "{}", String::from_utf8_lossy(&published.stderr));

    let remote = system.remote();
    remote.settle().await.unwrap();
    let counted = remote.ask("SELECT count(DISTINCT device) AS d, count(*) AS n FROM positions", Format::Csv).await.unwrap();
    assert_eq!(String::from_utf8(counted).unwrap().lines().nth(1), Some("5,7"));
}

/// An address of this machine that others can reach.
fn address_to_others() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    // Nothing is sent: the kernel only says from where it would be.
    socket.connect("192.0.2.1:9").expect("this machine has a network");
    socket.local_addr().unwrap().ip()
}

#[test]
fn how_the_process_does_is_told_to_this_machine_only() {
    let folder = tempfile::tempdir().unwrap();
    let open = settings(&[]).replace("127.0.0.1:0", "0.0.0.0:0");
    let open = open.replace("[connectors.listeners]", "insecure = true\n[connectors.listeners]");
    let with_port = open.clone() + "[health]\naddress = \"127.0.0.1:0\"\n";
    for (name, settings, status_here) in [("open", open, "200"), ("with-port", with_port, "404")] {
        let system = System::start(&folder.path().join(name), &settings).unwrap();
        let status = |ip: IpAddr, path: &str, header: &str| {
            let url = format!("http://{}{path}", SocketAddr::new(ip, system.address("dashboard").port()));
            let to = ["-s", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "30", "-H", header, &url];
            String::from_utf8(Command::new("curl").args(to).output().unwrap().stdout).unwrap()
        };
        let (here, elsewhere) = (IpAddr::from([127, 0, 0, 1]), address_to_others());
        for (path, expected) in [("/healthz", "200"), ("/readyz", "404"), ("/metrics", "404")] {
            assert_eq!(status(elsewhere, path, "accept: */*"), expected, "{name}: {path}");
            assert_eq!(status(here, path, "x-forwarded-for: 203.0.113.7"), expected, "{name}: {path}");
            let told = if path == "/healthz" { "200" } else { status_here };
            assert_eq!(status(here, path, "accept: */*"), told, "{name}: {path}");
        }
    }
}

#[test]
fn nothing_is_open_to_others_without_tls_or_an_explicit_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let file = folder.path().join("mine.toml");
    let open = settings(&[]) + "[connectors]\naddress = \"0.0.0.0\"\n";
    let dashboard = settings(&[]).replace("127.0.0.1:0", "0.0.0.0:0");
    let health = settings(&[]) + "[health]\naddress = \"0.0.0.0:0\"\n";
    for (settings, says) in [
        (open.clone(), "others can reach 0.0.0.0:0: set tls, or insecure = true"),
        (dashboard.clone(), "dashboard: others can reach 0.0.0.0:0"),
        (health.clone(), "health: others can reach 0.0.0.0:0"),
        (settings(&[]) + "[gateway.tls]\ncertificate_file = \"nowhere.pem\"\nkey_file = \"x\"\n", "nowhere.pem"),
        (settings(&[]) + "[connectors.tls]\ncertificate_file = \"nowhere.pem\"\nkey_file = \"x\"\n", "nowhere.pem"),
    ] {
        std::fs::write(&file, &settings).unwrap();
        let (_, err, ended_well) = run(&["run", "--config", file.to_str().unwrap(), "--data", data.to_str().unwrap()]).unwrap();
        assert!(!ended_well && err.contains(says), "{settings}: {err}");
    }
    // An explicit word, or a proxy's TLS.
    let insecure = open.clone() + "insecure = true\n";
    let behind = dashboard.replace("[connectors.listeners]", "behind_tls = true\n[connectors.listeners]");
    let health = health + "insecure = true\n";
    for settings in [insecure, behind, health] {
        System::start(folder.path(), &settings).unwrap();
    }

    // With TLS, others have to speak it, and there are no datagrams.
    let strict = encrypted(folder.path()) + "[connectors]\naddress = \"0.0.0.0\"\n";
    let system = System::start(folder.path(), &strict).unwrap();
    let ask = |ip: IpAddr, scheme: &str| {
        let address = SocketAddr::new(ip, system.address("osmand").port());
        let url = format!("{scheme}://{address}/?id=tls-4&lat=52.2&lon=21.0&timestamp=1700000000");
        let output = Command::new("curl").args(["-sS", "-i", "-k", "--max-time", "30", &url]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).contains("200 OK")
    };
    let (here, elsewhere) = (IpAddr::from([127, 0, 0, 1]), address_to_others());
    assert!(ask(here, "http") && ask(here, "https") && ask(elsewhere, "https"));
    assert!(!ask(elsewhere, "http"));
    let gl200 = SocketAddr::new(here, system.address("gl200").port());
    assert!(TcpStream::connect(gl200).is_ok());
    UdpSocket::bind(gl200).expect("nobody listens there");
}
