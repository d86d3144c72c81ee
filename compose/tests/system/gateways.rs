//! Two gateways behind HAProxy, as `compose/haproxy.cfg` sets it up, and socket.io-client from npm in front of it.

use crate::bad_wire::{BadWire, Weather};
use crate::browser::Browser;
use crate::common::{System, free_port, seed};
use crate::deployment::Deployment;
use crate::lifecycle::fix_at;
use crate::redis::Redis;
use serde_json::{Value, json};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;

/// Longer than a gateway takes to give up its connection to Redis, and shorter than notices are kept to be sent again.
const BLACK_HOLE: Duration = Duration::from_secs(10);

/// The balancer; killed when dropped.
struct HaProxy {
    child: Child,
    url: String,
    _folder: tempfile::TempDir,
}

impl HaProxy {
    /// With the settings that users get, but for addresses: these gateways in place of those of the containers.
    fn start(gateways: &[SocketAddr]) -> Self {
        let port = free_port().unwrap();
        let settings = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("haproxy.cfg")).unwrap();
        let mut ours = String::new();
        for line in settings.lines() {
            let server = line.trim().strip_prefix("server gateway-").and_then(|rest| rest[..1].parse::<usize>().ok());
            match server.map(|number| (number, gateways.get(number - 1))) {
                Some((number, Some(address))) => ours += &format!("    server gateway-{number} {address} cookie {number}\n"),
                Some((_, None)) => {}
                None => {
                    ours += &line
                        .replace("bind :8080", &format!("bind 127.0.0.1:{port}"))
                        .replace(" resolvers docker init-addr last,libc,none", "");
                    ours += "\n";
                }
            }
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("haproxy.cfg");
        std::fs::write(&file, ours).unwrap();
        let child = Command::new("haproxy").arg("-db").arg("-f").arg(&file).spawn();
        let mut child = child.expect("haproxy is installed");
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(matches!(child.try_wait(), Ok(None)), "haproxy does not start");
            std::thread::yield_now();
        }
        Self { child, url: format!("http://127.0.0.1:{port}"), _folder: folder }
    }
}

impl Drop for HaProxy {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A vehicle that goes into a district of Warsaw and out of it again, an alert each time.
struct Commuter {
    tracker: Tracker,
    steps: i64,
}

impl Commuter {
    async fn step(&mut self) {
        self.steps += 1;
        let lat = if self.steps % 2 == 1 { 52.23 } else { 53.0 };
        self.tracker.deliver(&[fix_at(self.steps, lat, 21.01)]).await.unwrap();
    }
}

/// The alerts of the commuter's steps; its trips are told too.
fn crossings(browser: &Browser) -> Vec<&Value> {
    browser.alerts.iter().filter(|alert| alert["kind"] == "enter" || alert["kind"] == "exit").collect()
}

fn ids(browser: &Browser) -> Vec<&str> {
    crossings(browser).into_iter().map(|alert| alert["event_id"].as_str().unwrap()).collect()
}

fn everything_after(cursor: Value) -> Value {
    json!({ "fleets": null, "alerts_after": cursor })
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_of_a_gateway_that_dies_move_to_another_and_miss_no_alert() {
    let deployment = Deployment::start_with_questdb(&["warsaw_districts"]).await;
    let _connect = deployment.process("connect", "connect");
    let _dataflow = deployment.process("dataflow", "dataflow");
    let _archive = deployment.process("archive", "archive");
    let a = deployment.process("gateway-1", "gateway,sql");
    let b = deployment.process("gateway-2", "gateway,sql");
    let proxy = HaProxy::start(&[a.address("dashboard"), b.address("dashboard")]);
    let session = a.cookie().await;
    let of_gateway = |number: u32| format!("{session}; waystream_gateway={number}");

    let mut commuter =
        Commuter { tracker: Tracker::Teltonika(Teltonika::new(deployment.trackers, "356307042441013")), steps: 0 };
    let none = Value::Null;
    let (mut stays, _) = Browser::watching(&proxy.url, &of_gateway(1), "websocket", everything_after(none.clone())).await;
    let (mut moves, _) = Browser::watching(&proxy.url, &of_gateway(2), "websocket", everything_after(none.clone())).await;
    let (mut polls, _) = Browser::watching(&proxy.url, &of_gateway(2), "polling", everything_after(none)).await;
    for alerts in 1..=4 {
        commuter.step().await;
        stays.until_so(|b| crossings(b).len() == alerts).await;
    }
    moves.until_so(|b| crossings(b).len() == 4).await;
    polls.until_so(|b| crossings(b).len() == 4).await;

    b.kill().unwrap();
    for alerts in 5..=8 {
        commuter.step().await;
        stays.until_so(|b| crossings(b).len() == alerts).await;
    }
    for browser in [&mut moves, &mut polls] {
        browser.until("disconnect").await;
        browser.until("connect").await;
        assert_eq!(crossings(browser).len(), 4, "they have missed some");
        let cursor = crossings(browser)[3]["cursor"].clone();
        browser.ask(json!(["watch", everything_after(cursor)])).await;
        browser.until_so(|b| crossings(b).len() == 8).await;
    }
    commuter.step().await;
    for browser in [&mut stays, &mut moves, &mut polls] {
        browser.until_so(|b| crossings(b).len() == 9).await;
    }
    assert_eq!(ids(&moves), ids(&stays));
    assert_eq!(ids(&polls), ids(&stays));

    // A store that is down is no reason to send browsers away.
    deployment.questdb.kill();
    let ready = || async { reqwest::get(format!("http://{}/readyz", a.address("dashboard"))).await.unwrap().status() };
    let noticed = async {
        while ready().await != 503 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), noticed).await.expect("it notices");
    let (mut late, _) = Browser::watching(&proxy.url, &of_gateway(1), "websocket", everything_after(Value::Null)).await;
    commuter.step().await;
    late.until_so(|b| crossings(b).len() == 1).await;
    stays.until_so(|b| crossings(b).len() == 10).await;
    assert_eq!(ids(&late)[0], ids(&stays)[9]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_on_one_gateway_is_done_on_all() {
    let deployment = Deployment::start(&[]).await;
    let a = deployment.process("gateway-1", "gateway,sql");
    let b = deployment.process("gateway-2", "gateway,sql");
    let url = |gateway: &System| format!("http://{}", gateway.address("dashboard"));
    let session = a.cookie().await;
    let watch = || everything_after(Value::Null);
    let (mut on_b, _) = Browser::watching(&url(&b), &session, "websocket", watch()).await;
    let (mut polls_b, _) = Browser::watching(&url(&b), &session, "polling", watch()).await;
    let http = reqwest::Client::new();
    let ask = |request: reqwest::RequestBuilder| request.header("cookie", &session).header("x-waystream", "1").send();

    let named = ask(http.put(format!("{}/api/devices/van-1", url(&a))).json(&json!({ "name": "Van 1", "fleet": "default" })));
    let named = named.await.unwrap();
    assert!(named.status().is_success(), "{}", named.text().await.unwrap());
    for browser in [&mut on_b, &mut polls_b] {
        let told = browser.until("catalog").await;
        assert_eq!((&told.args[0]["kind"], &told.args[0]["id"]), (&json!("device"), &json!("van-1")));
    }

    // Signed out on one: cut on all, at once.
    let signed_out = Instant::now();
    assert_eq!(ask(http.delete(format!("{}/api/session", url(&a)))).await.unwrap().status(), 204);
    for browser in [&mut on_b, &mut polls_b] {
        browser.until("disconnect").await;
    }
    eprintln!("sockets on the other gateway were cut after {:?}", signed_out.elapsed());
    assert_eq!(on_b.until("connect_error").await.args[0], "unauthorised");
}

#[tokio::test(flavor = "multi_thread")]
async fn notices_reach_the_dashboards_of_all_gateways_and_redis_may_die() {
    let redis = Redis::start();
    let deployment = Deployment::start(&[]).await;
    let wire = BadWire::to(redis.address(), seed()).await;
    let a = deployment.gateway_with("gateway-1", &redis.url());
    let b = deployment.gateway_with("gateway-2", &format!("redis://{}", wire.address));
    let url = |gateway: &System| format!("http://{}", gateway.address("dashboard"));
    let session = a.cookie().await;
    let watch = || everything_after(Value::Null);
    let (mut on_a, _) = Browser::watching(&url(&a), &session, "websocket", watch()).await;
    let (mut on_b, _) = Browser::watching(&url(&b), &session, "websocket", watch()).await;
    let (mut polls_b, _) = Browser::watching(&url(&b), &session, "polling", watch()).await;
    let http = reqwest::Client::new();
    let ask = async |request: reqwest::RequestBuilder| {
        let answer = request.header("cookie", &session).header("x-waystream", "1").send().await.unwrap();
        answer.error_for_status().unwrap().json::<Value>().await.unwrap()
    };
    // Gives by how many dashboards it is said to be shown.
    let notify = async |gateway: &System, text: &str| {
        ask(http.post(format!("{}/api/notices", url(gateway))).json(&json!({ "text": text }))).await["shown"].as_u64().unwrap()
    };
    let reaches_all = async |text: &str| {
        let all = async { while notify(&a, text).await != 3 {} };
        tokio::time::timeout(Duration::from_secs(60), all).await.expect("all gateways are reached");
    };

    reaches_all("hello").await;
    for browser in [&mut on_a, &mut on_b, &mut polls_b] {
        let told = browser.until("notice").await;
        assert_eq!((&told.args[0]["text"], &told.args[0]["from"]), (&json!("hello"), &json!("admin")));
    }
    let present = async |gateway: &System| ask(http.get(format!("{}/api/presence", url(gateway)))).await;
    assert_eq!(present(&a).await, json!({ "users": ["admin"] }));

    // Who is only at the other one is there too.
    drop(on_a);
    let there = async { while present(&a).await != json!({ "users": ["admin"] }) || notify(&a, "who is left").await != 2 {} };
    tokio::time::timeout(Duration::from_secs(60), there).await.expect("two are left");
    let (mut on_a, _) = Browser::watching(&url(&a), &session, "websocket", watch()).await;

    // Without Redis: everybody here at once. All that does not go this way goes on.
    redis.kill();
    let alone = async { while notify(&a, "alone").await != 1 {} };
    tokio::time::timeout(Duration::from_secs(60), alone).await.expect("its own dashboards are told");
    while on_a.until("notice").await.args[0]["text"] != "alone" {}
    assert_eq!(notify(&a, "late").await, 1);
    let name = async |device: &str| {
        let named = http.put(format!("{}/api/devices/{device}", url(&a))).json(&json!({ "name": "Van", "fleet": "default" }));
        let named = named.header("cookie", &session).header("x-waystream", "1").send().await.unwrap();
        assert!(named.status().is_success());
    };
    name("van-1").await;
    on_b.until("catalog").await;
    redis.restart();
    // The others learn of it later, and once.
    for browser in [&mut on_b, &mut polls_b] {
        until_notice(browser, "late", "").await;
    }
    reaches_all("together again").await;
    for browser in [&mut on_b, &mut polls_b] {
        until_notice(browser, "together again", "late").await;
    }

    // Nothing gets through between Redis and one of them, and neither is told.
    wire.set(Weather { black_hole: true, ..Weather::default() });
    assert_eq!(notify(&a, "held back").await, 1);
    name("van-2").await;
    on_b.until("catalog").await;
    tokio::time::sleep(BLACK_HOLE).await;
    wire.set(Weather { delay: Duration::from_millis(100), ..Weather::default() });
    for browser in [&mut on_b, &mut polls_b] {
        until_notice(browser, "held back", "").await;
    }
    reaches_all("far, but together").await;
    for browser in [&mut on_b, &mut polls_b] {
        until_notice(browser, "far, but together", "held back").await;
    }

    // That a session has ended doesn't go that way: with Redis out of reach it is known everywhere as soon.
    wire.set(Weather { black_hole: true, ..Weather::default() });
    let signed_out = Instant::now();
    let sign_out = http.delete(format!("{}/api/session", url(&a))).header("cookie", &session).header("x-waystream", "1");
    assert_eq!(sign_out.send().await.unwrap().status(), 204);
    for browser in [&mut on_a, &mut on_b, &mut polls_b] {
        browser.until("disconnect").await;
    }
    eprintln!("sockets of both gateways were cut after {:?}, with Redis out of reach", signed_out.elapsed());
    for browser in [&mut on_a, &mut on_b] {
        assert_eq!(browser.until("connect_error").await.args[0], "unauthorised");
    }
}

/// Until this notice comes. The other one must not.
async fn until_notice(browser: &mut Browser, text: &str, other: &str) {
    loop {
        let told = browser.until("notice").await.args[0]["text"].clone();
        assert_ne!(told, other, "a notice comes twice");
        if told == text {
            return;
        }
    }
}
