//! A device drives into a geofence, and a web server of somebody else hears of it, across a kill of the process.

use crate::common::{System, free_port, settings};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use ring::hmac;
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const SECRET: &str = "known to both of us";

struct Receiver {
    willing: AtomicBool,
    received: mpsc::UnboundedSender<(String, Value)>,
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
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let hook = format!("http://{}/hook", listener.local_addr().unwrap());
    let (received, mut told) = mpsc::unbounded_channel();
    let receiver = Arc::new(Receiver { willing: AtomicBool::new(false), received });
    let router = Router::new().route("/hook", post(take)).with_state(Arc::clone(&receiver));
    tokio::spawn(async move { axum::serve(listener, router).await });

    let folder = tempfile::tempdir().unwrap();
    // The dashboard keeps its address, so that the browser's cookie is for both.
    let settings = settings(&[]).replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap()));
    let settings = format!(
        "{settings}\n[notify]\nallow_private_addresses = true\nfirst_pause_ms = 100\nlongest_pause_s = 1\ntries = 1000\n"
    );
    let system = System::start(folder.path(), &settings).unwrap();
    let browser = system.browser().await;
    let url = format!("http://{}/api", system.address("dashboard"));
    let post = async |path: &str, body: &Value| -> Value {
        let answer = browser.post(format!("{url}{path}")).header("x-waystream", "1").json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    };
    let depot = json!({
        "type": "Feature", "properties": { "name": "Depot" },
        "geometry": { "type": "Polygon", "coordinates": [[[21.0, 52.0], [21.1, 52.0], [21.1, 52.1], [21.0, 52.1], [21.0, 52.0]]] },
    });
    let depot = post("/geofences", &depot).await["properties"]["id"].clone();
    let channel = json!({ "name": "Hook", "type": "webhook", "url": hook, "secret": SECRET });
    let channel = post("/notifications/channels", &channel).await["id"].clone();
    let rule = json!({ "name": "Arrivals", "kinds": ["enter"], "geofences": [depot], "channel": channel });
    post("/notifications/rules", &rule).await;

    let seconds_ago = |s| SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - s;
    for (age_s, lon) in [(60, 20.9), (30, 21.05)] {
        let (phone, time) = (system.address("osmand"), seconds_ago(age_s));
        let report = format!("http://{phone}/?id=van-7&timestamp={time}&lat=52.05&lon={lon}");
        assert_eq!(reqwest::get(report).await.unwrap().status(), 200);
    }

    let (first, body) = in_time(told.recv()).await.unwrap();
    assert_eq!(body["headline"], "van-7 entered Depot");
    assert_eq!((&body["delivery"], &body["event"]["geofence"]), (&json!(first), &depot));
    system.kill().unwrap();
    // Nothing is under way any more.
    while told.try_recv().is_ok() {}
    receiver.willing.store(true, Ordering::SeqCst);
    let system = System::start(folder.path(), &settings).unwrap();
    assert_eq!(in_time(told.recv()).await.unwrap(), (first.clone(), body));

    let get = async |path: &str| -> Value {
        browser.get(format!("{url}{path}")).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    };
    let delivered = in_time(async {
        loop {
            let answer = get("/notifications/deliveries?state=delivered").await;
            if let Some(delivery) = answer["deliveries"].get(0) {
                return delivery.clone();
            }
        }
    })
    .await;
    assert_eq!((&delivered["id"], &delivered["device"]), (&json!(first), &json!("van-7")));
    assert_eq!(get("/notifications/deliveries").await["deliveries"].as_array().unwrap().len(), 1);
    let metrics = browser.get(format!("http://{}/metrics", system.address("dashboard"))).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let delivered = "waystream_notify_attempts_total{channel=\"webhook\",outcome=\"delivered\"} 1";
    assert!(metrics.lines().any(|line| line == delivered), "{delivered} is not in\n{metrics}");
    system.terminate().unwrap();
}
