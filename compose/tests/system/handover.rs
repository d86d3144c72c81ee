//! A device that goes from one organisation to another while its tracker reports: history is split at that moment, and nothing of it
//! is lost or told to both.

use crate::browser::Browser;
use crate::common::{System, run, settings};
use reqwest::{Client, Method, redirect};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waystream::trackers::teltonika::Teltonika;
use waystream_connectors::protocol::Fix;
use waystream_domain::{Attributes, LatLon, Timestamp};

const IMEI: &str = "356307042441013";
/// Between two reports.
const PACE: Duration = Duration::from_millis(10);

/// Somebody who has signed in.
struct Person {
    http: Client,
    url: String,
    cookie: String,
}

impl Person {
    async fn ask(&self, method: Method, path: &str, body: &Value) -> (u16, String) {
        let request = self.http.request(method, format!("{}{path}", self.url)).header("cookie", &self.cookie);
        let answer = request.header("x-waystream", "1").json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// The fix times that SQL shows.
    async fn history(&self) -> BTreeSet<i64> {
        let query = format!("SELECT fix_time FROM positions WHERE device = '{IMEI}' ORDER BY fix_time");
        let (status, csv) = self.ask(Method::POST, "/api/sql", &json!({ "query": query, "format": "csv" })).await;
        assert_eq!(status, 200, "{csv}");
        csv.lines().skip(1).map(|line| Timestamp::parse(line).unwrap().as_millis()).collect()
    }

    async fn map(&self) -> Browser {
        let everything = json!({ "fleets": null, "alerts_after": null });
        Browser::watching(&self.url, &self.cookie, "websocket", everything).await.0
    }
}

fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn fix(at: i64) -> Fix {
    Fix {
        device: None,
        fix_time: Timestamp::from_millis(at).unwrap(),
        location: LatLon::new(52.0 + (at % 100_000) as f64 / 1e6, 21.0).unwrap(),
        valid: true,
        altitude_m: None,
        speed_mps: Some(10.0),
        course_deg: None,
        accuracy_m: None,
        attributes: Attributes::default(),
    }
}

fn well(arguments: &[&str]) -> String {
    let (out, err, ended_well) = run(arguments).unwrap();
    assert!(ended_well, "{arguments:?}: {err}");
    out
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_reports_all_the_while_is_handed_over_without_a_gap() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    well(&["organisation", "create", "acme", "--data", data]);
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let link = well(&["user", "create", "anna", "--organisation", "acme", "--role", "dispatcher", "--data", data]);
    let http = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let signed_in = http.get(format!("{url}{}", link.trim())).send().await.unwrap();
    let cookie = signed_in.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let anna = Person { http: http.clone(), url: url.clone(), cookie };
    let admin = Person { http, url, cookie: system.cookie().await };

    // One connection, from beginning to end.
    let mut tracker = Teltonika::new(system.address("teltonika"), IMEI);
    let (count, mut counted) = watch::channel(0_usize);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let driving = tokio::spawn(async move {
        let (mut told, mut at) = (Vec::new(), 0);
        while !stopped.is_cancelled() {
            at = now_ms().max(at + 1);
            tracker.send(&[fix(at)]).await.unwrap();
            told.push(at);
            count.send_replace(told.len());
            tokio::time::sleep(PACE).await;
        }
        (tracker, told)
    });
    drop(counted.wait_for(|count| *count >= 20).await.unwrap());
    let (mut ours, mut theirs) = (admin.map().await, anna.map().await);
    ours.until_so(|b| b.map.contains_key(IMEI)).await;

    let offer = format!("/api/devices/{IMEI}/transfer");
    let (status, offered) = admin.ask(Method::POST, &offer, &Value::Null).await;
    assert_eq!(status, 201, "{offered}");
    let offered: Value = serde_json::from_str(&offered).unwrap();
    let began = now_ms();
    let request = json!({ "code": offered["code"], "name": "Bought", "fleet": "acme" });
    let (status, taken) = anna.ask(Method::POST, "/api/transfers/redeem", &request).await;
    let ended = now_ms();
    assert_eq!(status, 201, "{taken}");
    // Neither has to load the page again.
    ours.until_so(|b| !b.map.contains_key(IMEI)).await;
    theirs.until_so(|b| b.map.contains_key(IMEI)).await;
    assert_eq!(theirs.names[IMEI], "Bought");
    let so_far = *counted.borrow();
    drop(counted.wait_for(|count| *count >= so_far + 20).await.unwrap());
    stop.cancel();
    let (mut tracker, told) = driving.await.unwrap();
    // And one that it had not told in time.
    let late = told[0] - 5_000;
    tracker.send(&[fix(late)]).await.unwrap();

    system.remote().settle().await.unwrap();
    let (before, after) = (admin.history().await, anna.history().await);
    let all: BTreeSet<i64> = told.into_iter().chain([late]).collect();
    assert!(before.is_disjoint(&after));
    assert_eq!(&before | &after, all);
    assert!(before.contains(&late) && before.len() > 20 && after.len() > 20, "{} and {}", before.len(), after.len());
    assert!(before.last() < after.first(), "{:?} {:?}", before.last(), after.first());
    assert!(before.iter().all(|at| *at <= ended) && after.iter().all(|at| *at >= began));
    assert!(!ours.map.contains_key(IMEI));
    system.terminate().unwrap();
}
