//! What browsers say over sockets, mangled as no browser would say it: it is answered, or ends the socket that said it. Nobody else notices, and
//! nothing of another organisation is told. `SEED` repeats a run, `CASES` asks more of them than usual.

#![allow(clippy::unwrap_used)]

mod system;
#[path = "../../../sql/tests/mangled/tokens.rs"]
mod tokens;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use std::sync::Mutex;
use system::browser::Browser;
use system::raw::{Packet, Raw};
use system::{START_MS, System, device, event, live, position};
use tokens::tokens;
use waystream_gateway::wire::cells::decode_cells;
use waystream_gateway::wire::frame::decode_frame;

const CASES: u64 = 120;
/// Longest message that is taken, bytes.
const MAX_MESSAGE: usize = 64 * 1024;

/// What browsers say.
const SAID: &[&str] = &[
    "40",
    "40/other,",
    r#"40{"token":"x"}"#,
    "41",
    r#"420["watch",{"fleets":null,"alerts_after":null}]"#,
    r#"421["watch",{"fleets":["their"],"viewport":{"zoom":3,"x":1,"y":2,"w":4,"h":4},"follow":["v1","t1"],"only":"their"}]"#,
    r#"422["watch",{"fleets":null,"alerts_after":"0:0"}]"#,
    r#"42["viewport",{"zoom":2,"x":3,"y":0,"w":4,"h":4}]"#,
    r#"42["follow",{"devices":["v1","t1"]}]"#,
    r#"42["only",{"fleet":"south"}]"#,
    r#"42["only",{"fleet":null}]"#,
    r#"42["inside",{"on":true}]"#,
    r#"42["ack",1]"#,
    r#"423["replay",{"id":1,"action":"open","devices":null,"fleet":null,"from":1761955200000,"to":1761955300000,"speed":200}]"#,
    r#"424["replay",{"id":2,"action":"open","devices":["v1","t1"],"from":0,"to":1761955300000}]"#,
    r#"42["replay",{"id":1,"action":"play"}]"#,
    r#"42["replay",{"id":1,"action":"pause"}]"#,
    r#"42["replay",{"id":1,"action":"seek","at":1761955250000}]"#,
    r#"42["replay",{"id":1,"action":"step","to":null,"device":"v1"}]"#,
    r#"42["replay",{"id":1,"action":"speed","speed":0.5}]"#,
    r#"42["replay",{"id":1,"action":"close"}]"#,
    r#"42["replay_ack",{"id":1,"seq":1}]"#,
    r#"451-["watch",{"_placeholder":true,"num":0}]"#,
    r#"451-7["replay",{"_placeholder":true,"num":0}]"#,
    "430[true]",
    r#"461-0[{"_placeholder":true,"num":0}]"#,
    "2probe",
    "3",
    "5",
    "6",
    "1",
];

const ODD: &[&str] = &[
    "null",
    "true",
    "-1",
    "0",
    "1e308",
    "1e400",
    "18446744073709551616",
    "4294967296",
    "-0",
    "[]",
    "{}",
    "[",
    "}",
    "\"",
    "\"\"",
    ",",
    "/",
    "\\",
    "\\ud800",
    "\\u0000",
    "\0",
    "\u{1e}",
    "🚚",
    "e\u{301}",
    "b",
    "451-",
    "459999999999999999999-",
    "4",
    "2",
    "__proto__",
];

/// Words that are never said, of what another organisation has.
const FOREIGN: [&str; 6] = ["Hidden", "yard", "north", "NORTH", "ours", "admin"];

/// Panics on whatever thread.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn mangle(rng: &mut StdRng, text: &str) -> String {
    let mut tokens = tokens(text);
    for _ in 0..rng.random_range(1..4) {
        if tokens.is_empty() {
            break;
        }
        let (at, other) = (rng.random_range(0..tokens.len()), rng.random_range(0..tokens.len()));
        let odd = ODD[rng.random_range(0..ODD.len())].to_owned();
        match rng.random_range(0..7) {
            0 => drop(tokens.remove(at)),
            1 => tokens.swap(at, other),
            2 => tokens.insert(at, odd),
            3 => tokens.truncate(at),
            4 => tokens[at] = tokens[at].repeat(rng.random_range(2..300)),
            // What was a value may be one of another type.
            _ => tokens[at] = odd,
        }
    }
    tokens.concat()
}

fn packet(rng: &mut StdRng) -> Packet {
    let said = SAID[rng.random_range(0..SAID.len())];
    match rng.random_range(0..20) {
        0..3 => Packet::text(said),
        3 => Packet::Binary((0..rng.random_range(0..2_000)).map(|_| rng.random::<u8>()).collect()),
        4 => {
            let long = "x".repeat(rng.random_range(MAX_MESSAGE - 100..2 * MAX_MESSAGE));
            Packet::text(format!(r#"429["watch",{{"fleets":["{long}"]}}]"#))
        }
        5 => {
            let deep = rng.random_range(100..10_000);
            Packet::text(format!(r#"429["watch",{}{}]"#, "[".repeat(deep), "]".repeat(deep)))
        }
        _ => Packet::text(mangle(rng, said)),
    }
}

/// What one socket says.
fn case(rng: &mut StdRng) -> Vec<Packet> {
    let mut packets: Vec<Packet> = (0..rng.random_range(1..9)).map(|_| packet(rng)).collect();
    if rng.random_range(0..6) == 0 {
        // More than are worked on at a time.
        let short = SAID[rng.random_range(0..SAID.len())];
        packets.extend(vec![Packet::text(short); rng.random_range(65..200)]);
    }
    packets
}

/// Panics if something of another organisation is told. There are no vehicles in the asker's own.
fn check(heard: &Packet, said: &str) {
    match heard {
        Packet::Text(text) => {
            let words = |text: &str| -> Vec<String> { text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect() };
            // What was said may be said back, as a part of an error.
            let (told, said) = (words(text), words(said));
            let foreign = told.iter().find(|word| FOREIGN.contains(&word.as_str()) && !said.contains(word));
            assert!(foreign.is_none(), "{foreign:?} in {text}");
        }
        Packet::Binary(bytes) => match (decode_frame(bytes), decode_cells(bytes)) {
            (Ok(frame), _) => assert!(frame.records.is_empty(), "{frame:?}"),
            (_, Ok(cells)) => assert!(cells.cells.iter().all(|cell| cell.sum.count() == 0), "{:?}", cells.cells),
            (Err(error), _) => panic!("no frame: {error}"),
        },
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mangled_messages_are_answered_or_end_their_own_socket_and_tell_nothing_of_others() {
    let seed = number("SEED").unwrap_or_else(|| rand::rng().random());
    eprintln!("SEED={seed}");
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        PANICS.lock().unwrap().push(panic.to_string());
        usual(panic);
    }));
    let system = System::start().await;
    system.edit(device("Hidden van", "v1", "north")).await;
    let positions = (0..100).map(|n| position("v1", "north", n, 1.0)).collect();
    system.archive(positions, vec![event("v1", "north", 50)]).await;
    assert_eq!(START_MS, 1_761_955_200_000, "replays are asked for the time of these positions");
    let (admin, other) = (system.cookie("admin").await, system.cookie("other").await);
    let everything = json!({ "fleets": null, "alerts_after": null });
    let (mut healthy, _) = Browser::watching(&system.url, &admin, "websocket", everything).await;

    let cases = number("CASES").unwrap_or(CASES);
    for case_number in 0..cases {
        // Of its own, so that one that fails can be seen alone.
        let mut rng = StdRng::seed_from_u64(seed.wrapping_add(case_number));
        let transport = ["websocket", "polling"][case_number as usize % 2];
        let packets = case(&mut rng);
        let said = format!("{packets:?}");
        let mut raw = match rng.random_range(0..8) {
            0 => Raw::open(&system.url, &other, transport).await,
            _ => Raw::connected(&system.url, &other, transport).await,
        };
        raw.say(&packets).await;
        // Some leave in the midst of it, and their attachments never come.
        if rng.random_range(0..4) > 0 {
            raw.say(&[Packet::text(r#"42999["watch",{"fleets":null,"alerts_after":null}]"#)]).await;
            while let Some(heard) = raw.hear().await {
                check(&heard, &said);
                if matches!(&heard, Packet::Text(text) if text.starts_with("43999[")) {
                    break;
                }
            }
        }
        drop(raw);
        let n = case_number as i64 + 1;
        let lat = (n % 90) as f64;
        system.move_to("north", vec![live("v1", "north", n as u64, lat)]).await;
        system.happen(&event("v1", "north", n)).await;
        healthy.until_so(|b| b.map.get("v1") == Some(&lat) && b.alerts.len() as i64 == n).await;
        let panics = PANICS.lock().unwrap().clone();
        assert!(panics.is_empty(), "case {case_number} over {transport}: {panics:?}, after {said:.2000}");
    }
    let times: Vec<i64> = healthy.alerts.iter().map(|alert| alert["fix_time"].as_i64().unwrap() - START_MS).collect();
    let expected: Vec<i64> = (1..=cases as i64).map(|n| n * 1_000).collect();
    assert_eq!(times, expected, "in order, none twice, none lost");
    system.stop().await;
}
