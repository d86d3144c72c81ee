//! Clients that freeze, or whose network swallows everything, are cut and freed, and others don't notice.

#![allow(clippy::unwrap_used)]

#[path = "../../../compose/tests/system/bad_wire.rs"]
mod bad_wire;
mod system;

use bad_wire::{BadWire, Weather};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use std::process::Command;
use std::time::{Duration, Instant};
use system::browser::Browser;
use system::{System, live};
use waystream_gateway::GatewayConfig;

/// Nothing that is waited for takes so long unless it never comes.
const PATIENCE: Duration = Duration::from_secs(120);

fn signal(browser: &Browser, name: &str) {
    let sent = Command::new("kill").args([name, &browser.pid().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// TCP connections of this process that are open on the gateway's side.
fn connections(url: &str) -> usize {
    let port: u16 = url.rsplit(':').next().unwrap().parse().unwrap();
    let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
    let local = format!(":{port:04X}");
    let established = |line: &&str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        columns.get(1).is_some_and(|at| at.ends_with(&local)) && columns.get(3) == Some(&"01")
    };
    table.lines().filter(established).count()
}

#[tokio::test]
async fn a_frozen_client_is_cut_and_freed_and_is_fresh_when_it_comes_back() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let metrics = recorder.handle();
    metrics::set_global_recorder(recorder).unwrap();
    let value = move |name: &str| -> f64 {
        let text = metrics.render();
        let line = text.lines().find(|line| line.starts_with(name));
        line.map_or(0.0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    };
    let mut config = GatewayConfig { cut_after: Duration::from_secs(2), ..GatewayConfig::default() };
    config.limits.write_stall = Duration::from_secs(2);
    let system = System::start_with(config).await;
    let cookie = system.cookie("admin").await;
    let watch = || json!({ "fleets": null, "alerts_after": null });
    let (mut healthy, _) = Browser::watching(&system.url, &cookie, "websocket", watch()).await;
    healthy.until_so(|b| b.complete).await;
    let mut frozen = Vec::new();
    for transports in ["websocket", "polling,websocket", "polling"] {
        let (mut browser, _) = Browser::watching(&system.url, &cookie, transports, watch()).await;
        browser.until_so(|b| b.complete).await;
        frozen.push(browser);
    }
    // One runs on, but nothing gets to it or from it.
    let wire = BadWire::to(system.url.trim_start_matches("http://").parse().unwrap(), 0).await;
    let (mut far, _) = Browser::watching(&format!("http://{}", wire.address), &cookie, "websocket", watch()).await;
    far.until_so(|b| b.complete).await;
    assert_eq!(value("waystream_gateway_sockets "), 5.0);
    frozen.iter().for_each(|browser| signal(browser, "-STOP"));
    wire.set(Weather { black_hole: true, ..Weather::default() });
    let started = Instant::now();
    let mut n = 0;
    // Everything goes on for the one that reads, while the others are stuck and until they are cut.
    while value("waystream_gateway_sockets ") > 1.0 {
        n += 1;
        system.move_to("north", vec![live("a", "north", n, (n % 90) as f64)]).await;
        healthy.until_so(|b| b.map.get("a") == Some(&((n % 90) as f64))).await;
        assert!(started.elapsed() < PATIENCE, "frozen clients are not cut");
    }
    assert_eq!(value("waystream_gateway_sockets_cut_total{reason=\"frozen\"}"), 4.0);
    // Their connections go too: at most the polling one's keep-alive stays, until it is noticed to be idle.
    while connections(&system.url) > 2 {
        assert!(started.elapsed() < 2 * PATIENCE, "connections are not freed");
        tokio::task::yield_now().await;
    }
    frozen.iter().for_each(|browser| signal(browser, "-CONT"));
    wire.set(Weather::default());
    frozen.push(far);
    for mut browser in frozen {
        browser.until("disconnect").await;
        browser.map.clear();
        // A page does this too: see the web client's link.
        browser.command(json!({ "open": true })).await;
        browser.until("connect").await;
        browser.ask(json!(["watch", watch()])).await;
        browser.until_so(|b| b.map.get("a") == Some(&((n % 90) as f64))).await;
    }
    system.stop().await;
}
