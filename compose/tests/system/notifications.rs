//! A device drives into a geofence, and a web server of somebody else hears of it, across kills: of the one process, and of
//! notifiers that share the work. And the figures of history come by e-mail.

use crate::common::{System, free_port, settings};
use crate::deployment::Deployment;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ring::hmac;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SECRET: &str = "known to both of us";

const DEPOT: [[f64; 2]; 5] = [[21.0, 52.0], [21.1, 52.0], [21.1, 52.1], [21.0, 52.1], [21.0, 52.0]];
const PATIENT: &str = "\n[notify]\nallow_private_addresses = true\nfirst_pause_ms = 100\nlongest_pause_s = 1\ntries = 1000\n";

struct Receiver {
    willing: AtomicBool,
    received: mpsc::UnboundedSender<(String, Value)>,
}

/// The id of a delivery, and what it says.
type Told = mpsc::UnboundedReceiver<(String, Value)>;

/// A web server of somebody else, and where it takes notifications. At first it takes none.
async fn receiver() -> (Arc<Receiver>, String, Told) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let (received, told) = mpsc::unbounded_channel();
    let receiver = Arc::new(Receiver { willing: AtomicBool::new(false), received });
    let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&receiver));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (receiver, hook, told)
}

/// A browser that is signed in.
struct Dashboard {
    browser: reqwest::Client,
    url: String,
}

impl Dashboard {
    async fn of(system: &System) -> Self {
        Self { browser: system.browser().await, url: format!("http://{}/api", system.address("dashboard")) }
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let post = self.browser.post(format!("{}{path}", self.url)).header("x-waystream", "1");
        let answer = post.json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.browser.get(format!("{}{path}", self.url)).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    /// Sets up that whoever drives into the depot is told to this address. Gives the depot's id.
    async fn tell_of_arrivals(&self, hook: &str) -> Value {
        let depot = json!({
            "type": "Feature", "properties": { "name": "Depot" },
            "geometry": { "type": "Polygon", "coordinates": [DEPOT] },
        });
        let depot = self.post("/geofences", &depot).await["properties"]["id"].clone();
        let channel = json!({ "name": "Hook", "type": "webhook", "url": hook, "secret": SECRET });
        let channel = self.post("/notifications/channels", &channel).await["id"].clone();
        let rule = json!({ "name": "Arrivals", "kinds": ["enter"], "geofences": [depot], "channel": channel });
        self.post("/notifications/rules", &rule).await;
        depot
    }

    /// Those delivered, once there are so many.
    async fn delivered(&self, count: usize) -> Vec<Value> {
        in_time(async {
            loop {
                let answer = self.get("/notifications/deliveries?state=delivered&limit=1000").await;
                match answer["deliveries"].as_array() {
                    Some(delivered) if delivered.len() >= count => return delivered.clone(),
                    _ => tokio::time::sleep(Duration::from_millis(100)).await,
                }
            }
        })
        .await
    }
}

/// A phone reports a place outside the depot, and then one inside.
async fn arrives(phones: SocketAddr, device: &str) {
    let seconds_ago = |s| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - s;
    for (age_s, lon) in [(60, 20.9), (30, 21.05)] {
        let report = format!("http://{phones}/?id={device}&timestamp={}&lat=52.05&lon={lon}", seconds_ago(age_s));
        assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    }
}

async fn take(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let header = |name: &str| headers[name].to_str().unwrap();
    let hex = header("waystream-signature").strip_prefix("v1=").unwrap();
    let tag: Vec<u8> = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let signed = [header("waystream-timestamp").as_bytes(), b".", &body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    if hmac::verify(&key, &signed, &tag).is_err() {
        return StatusCode::UNAUTHORIZED;
    }
    let told = (header("waystream-delivery").to_owned(), serde_json::from_slice(&body).unwrap());
    receiver.received.send(told).unwrap();
    if receiver.willing.load(Ordering::SeqCst) { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(120), what).await.expect("it takes for ever")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drives_into_a_geofence_is_told_by_webhook_across_a_kill_and_listed_as_delivered() {
    let (receiver, hook, mut told) = receiver().await;
    let folder = tempfile::tempdir().unwrap();
    // The dashboard keeps its address, so that the browser's cookie is for both.
    let settings = settings(&[]).replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap())) + PATIENT;
    let system = System::start(folder.path(), &settings).unwrap();
    let dashboard = Dashboard::of(&system).await;
    let depot = dashboard.tell_of_arrivals(&hook).await;
    arrives(system.address("osmand"), "van-7").await;

    let (first, body) = in_time(told.recv()).await.unwrap();
    assert_eq!(body["headline"], "van-7 entered Depot");
    assert_eq!((&body["delivery"], &body["event"]["geofence"]), (&json!(first), &depot));
    system.kill().unwrap();
    // Nothing is under way any more.
    while told.try_recv().is_ok() {}
    receiver.willing.store(true, Ordering::SeqCst);
    let system = System::start(folder.path(), &settings).unwrap();
    assert_eq!(in_time(told.recv()).await.unwrap(), (first.clone(), body));

    let delivered = dashboard.delivered(1).await;
    assert_eq!((&delivered[0]["id"], &delivered[0]["device"]), (&json!(first), &json!("van-7")));
    assert_eq!(dashboard.get("/notifications/deliveries").await["deliveries"].as_array().unwrap().len(), 1);
    let metrics = dashboard.browser.get(format!("http://{}/metrics", system.address("dashboard"))).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let delivered = "waystream_notify_attempts_total{channel=\"webhook\",outcome=\"delivered\"} 1";
    assert!(metrics.lines().any(|line| line == delivered), "{delivered} is not in\n{metrics}");
    system.terminate().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn notifiers_that_share_the_work_on_kafka_tell_each_arrival_once_though_one_is_killed_and_one_leaves() {
    const WAVES: usize = 4;
    const WAVE: usize = 15;
    let (receiver, hook, mut told) = receiver().await;
    let deployment = Deployment::start(&[]).await;
    let connect = deployment.process("connect", "connect");
    let _dataflow = deployment.process("dataflow", "dataflow");
    let gateway = deployment.process("gateway", "gateway,sql");
    let notifier = |name: &str| deployment.process_with(name, "notify", PATIENT);
    let first = notifier("notify-1");
    let second = notifier("notify-2");
    let dashboard = Dashboard::of(&gateway).await;
    dashboard.tell_of_arrivals(&hook).await;

    let mut ids: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut until_told_of = async |devices: usize| {
        in_time(async {
            while ids.len() < devices {
                let (id, body) = told.recv().await.unwrap();
                ids.entry(body["event"]["device"].as_str().unwrap().to_owned()).or_default().insert(id);
            }
        })
        .await;
        ids.clone()
    };
    let mut running = vec![first, second];
    for wave in 0..WAVES {
        for van in 0..WAVE {
            arrives(connect.address("osmand"), &format!("van-{wave}-{van}")).await;
        }
        match wave {
            // At first everything is refused: all of it is under way when one of the two dies.
            0 => {
                until_told_of(WAVE / 2).await;
                running.remove(0).kill().unwrap();
                receiver.willing.store(true, Ordering::SeqCst);
            }
            1 => running.push(notifier("notify-1")),
            2 => {
                let (status, _) = running.remove(0).terminate().unwrap();
                assert!(status.success(), "it leaves in order: {status}");
            }
            _ => {}
        }
        until_told_of((wave + 1) * WAVE).await;
    }
    let delivered = dashboard.delivered(WAVES * WAVE).await;
    let listed: BTreeMap<String, BTreeSet<String>> = delivered
        .iter()
        .map(|d| (d["device"].as_str().unwrap().to_owned(), [d["id"].as_str().unwrap().to_owned()].into()))
        .collect();
    // However often it was tried, who arrived was told of under one id.
    assert_eq!(until_told_of(WAVES * WAVE).await, listed);
    let all = dashboard.get("/notifications/deliveries?limit=1000").await;
    assert_eq!(all["deliveries"].as_array().unwrap().len(), WAVES * WAVE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_of_each_fleet_comes_by_e_mail_with_the_figures_of_history() {
    let (port, folder, mails) = (free_port().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (address, maildir) = (format!("127.0.0.1:{port}"), mails.path().join("mail"));
    // A real SMTP server, which puts what it takes into a Maildir.
    let mut server = tokio::process::Command::new("aiosmtpd");
    server.args(["-n", "-l", &address, "-c", "aiosmtpd.handlers.Mailbox"]).arg(&maildir).kill_on_drop(true);
    let _server = server.spawn().expect("aiosmtpd is installed (Debian: python3-aiosmtpd)");
    in_time(async {
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let smtp = format!(
        "smtp = {{ host = \"127.0.0.1\", port = {port}, encryption = \"none\", from = \"Fleet <fleet@waystream.example>\" }}\n"
    );
    let settings = settings(&[]).replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap())) + PATIENT + &smtp;
    let system = System::start(folder.path(), &settings).unwrap();
    let dashboard = Dashboard::of(&system).await;
    let channel = json!({ "name": "Boss", "type": "email", "to": ["boss@fleet.example"] });
    let channel = dashboard.post("/notifications/channels", &channel).await["id"].clone();
    // Due since midnight.
    let report = json!({
        "name": "By fleet", "every": "day", "time": "00:00", "time_zone": "UTC", "per": "fleet", "format": "csv", "channel": channel,
    });
    dashboard.post("/notifications/reports", &report).await;
    // A notifier that starts looks at once what is due.
    system.terminate().unwrap();
    let system = System::start(folder.path(), &settings).unwrap();
    dashboard.delivered(1).await;
    let new = std::fs::read_dir(maildir.join("new")).unwrap();
    let new: Vec<String> = new.map(|mail| std::fs::read_to_string(mail.unwrap().path()).unwrap()).collect();
    let [mail] = &new[..] else { panic!("not one mail, but {new:?}") };
    // The header line's beginning, as it goes over the wire.
    for part in ["Subject: By fleet: 2", ".csv\"", "ZmxlZXQsbmFtZSx2ZWhpY2xlcyx2ZWhpY2xlc19kcml2ZW4s"] {
        assert!(mail.contains(part), "{part} is not in\n{mail}");
    }
    system.terminate().unwrap();
}
