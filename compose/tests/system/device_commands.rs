//! A command from the dashboard's REST to a tracker's socket and its answer back as an event, across a kill of the process.

use crate::common::{System, free_port, settings};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A GT06 tracker's login, 0358657043123456, and what it hears.
const LOGIN: &str = "78780d01035865704312345600012e310d0a";
const LOGGED_IN: [u8; 10] = [0x78, 0x78, 0x05, 0x01, 0x00, 0x01, 0xd9, 0xdc, 0x0d, 0x0a];
/// `Relay,1#`, as the recorded command has it.
const STOP: &str = "787812800c0000000052656c61792c312300009dee0d0a";
/// The tracker's answer: `Relay OK:1`.
const ANSWER: &str = "787816150e0000000052656c6179204f4b3a3100020002acdc0d0a";
const DEVICE: &str = "358657043123456";

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what).await.expect("it takes for ever")
}

/// A tracker that is connected and has logged in.
async fn tracker(system: &System) -> TcpStream {
    let mut stream = in_time(TcpStream::connect(system.address("gt06"))).await.unwrap();
    stream.write_all(&bytes(LOGIN)).await.unwrap();
    let mut answer = [0; 10];
    in_time(stream.read_exact(&mut answer)).await.unwrap();
    assert_eq!(answer, LOGGED_IN);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_outlives_a_kill_is_sent_once_and_its_answer_is_an_event() {
    let folder = tempfile::tempdir().unwrap();
    // The dashboard keeps its address, so that the browser's cookie is for both.
    let settings = settings(&[]).replace("127.0.0.1:0", &format!("127.0.0.1:{}", free_port().unwrap()));
    let system = System::start(folder.path(), &settings).unwrap();
    let browser = system.browser().await;
    let url = format!("http://{}/api", system.address("dashboard"));
    let get = async |path: &str| -> Value {
        browser.get(format!("{url}{path}")).send().await.unwrap().error_for_status().unwrap().json().await.unwrap()
    };

    // The device is known, and away.
    drop(tracker(&system).await);
    let commands = format!("/devices/{DEVICE}/commands");
    let stop = json!({ "instruction": "engine_stop" });
    let given = browser.post(format!("{url}{commands}")).header("x-waystream", "1").json(&stop).send().await.unwrap();
    assert_eq!(given.status(), 201, "{:?}", given.text().await);
    system.kill().unwrap();

    let system = System::start(folder.path(), &settings).unwrap();
    assert_eq!(get(&commands).await[0]["state"], "queued");
    let mut stream = tracker(&system).await;
    let mut heard = vec![0; STOP.len() / 2];
    in_time(stream.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard, bytes(STOP));
    stream.write_all(&bytes(ANSWER)).await.unwrap();
    let events = in_time(async {
        loop {
            let answer = get(&format!("/events?device={DEVICE}")).await;
            let events = answer["events"].as_array().unwrap().clone();
            if events.iter().any(|event| event["kind"] == "command_answered") {
                return events;
            }
        }
    })
    .await;
    let told: Vec<(&str, &str)> = events
        .iter()
        .map(|event| (event["kind"].as_str().unwrap(), event["attributes"]["instruction"].as_str().unwrap()))
        .collect();
    assert_eq!(told, [("command_sent", "engine_stop"), ("command_answered", "engine_stop")]);
    assert_eq!(events[1]["attributes"]["answer"], "Relay OK:1");
    let now = get(&commands).await;
    assert_eq!((&now[0]["state"], &now[0]["note"]), (&json!("answered"), &json!("Relay OK:1")));

    // Neither a new connection nor another kill brings it again: what is heard next is the answer to the login sent next.
    drop(stream);
    drop(tracker(&system).await);
    system.kill().unwrap();
    let system = System::start(folder.path(), &settings).unwrap();
    let mut stream = tracker(&system).await;
    stream.write_all(&bytes(LOGIN)).await.unwrap();
    let mut next = [0; 10];
    in_time(stream.read_exact(&mut next)).await.unwrap();
    assert_eq!(next, LOGGED_IN);
    assert_eq!(get(&commands).await.as_array().unwrap().len(), 1);
    system.terminate().unwrap();
}
