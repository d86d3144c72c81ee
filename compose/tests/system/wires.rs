//! What networks do to a system, other than ending its processes: bytes that are late, slow, held back, or cut off in the middle. Nothing
//! answered is lost, nothing doubled, and it goes on by itself. `SEED` repeats a run. Between gateways and Redis: `gateways.rs`; between
//! browsers and a gateway: the gateway's own `frozen.rs`; to Kafka: the log's `kafka_outages.rs`.

use crate::bad_wire::{BadWire, Weather};
use crate::browser::Browser;
use crate::common::{System, fixed, seed};
use crate::lifecycle::fix;
use crate::questdb::{count, on, until};
use crate::recorded::{PATIENCE, Recorded, Reporting, SILENCE};
use crate::server::Server;
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::json;
use std::net::Ipv4Addr;
use std::ops::Range;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_sql::output::Format;
use waystream_store::questdb::QuestDbOptions;

const RECORDS_PER_PACKET: usize = 25;
/// How long QuestDB is out of reach.
const BLACK_HOLE: Duration = Duration::from_secs(10);

/// What happens between trackers and us.
#[derive(Debug, Clone, Copy)]
enum Trouble {
    /// Every connection ends after some bytes, in the middle of a packet or of an answer.
    CutInTheMiddle,
    /// All connections end at once, again and again.
    AllCut,
    /// A tenth of a second each way.
    Late,
    /// A few packets a second.
    Slow,
    /// Nothing gets through for a while.
    HeldBack,
    /// Trackers lose their connections and make new ones, and we don't learn of it: what was on its way on the old ones comes later.
    HalfOpen,
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_wire_does_to_trackers_what_was_answered_is_there_once() {
    let seed = seed();
    let recorded = Recorded::read(&[("warsaw_bus", 30_000)]);
    let folder = tempfile::tempdir().unwrap();
    let (settings, server) = fixed();
    let system = System::start(folder.path(), &settings).unwrap();
    recorded.introduce_to(&system).await;
    let wire = BadWire::to(server, seed).await;

    let reporting = Reporting::start(&recorded, wire.address, RECORDS_PER_PACKET);
    let mut troubles =
        [Trouble::CutInTheMiddle, Trouble::AllCut, Trouble::Late, Trouble::Slow, Trouble::HeldBack, Trouble::HalfOpen];
    troubles.shuffle(&mut StdRng::seed_from_u64(seed));
    let part = recorded.positions() / (troubles.len() + 1);
    for (n, trouble) in troubles.into_iter().enumerate() {
        reporting.until(part * (n + 1)).await;
        eprintln!("{trouble:?}");
        wire.set(Weather::default());
        strike(trouble, &wire, &reporting, part).await;
    }
    wire.set(Weather::default());
    reporting.until(recorded.positions()).await;
    reporting.end().await;
    assert!(wire.opened() > recorded.tracks.len(), "nobody had to come back");
    recorded.check_in(&system).await;
}

async fn strike(trouble: Trouble, wire: &BadWire, reporting: &Reporting, part: usize) {
    match trouble {
        Trouble::CutInTheMiddle => {
            // Some three packets, and some ten answers of four bytes.
            wire.set(Weather { cut_within: Some((4_000, 40)), ..Weather::default() });
            wire.cut();
        }
        Trouble::AllCut => {
            let before = reporting.answered();
            for n in 1..=5 {
                wire.cut();
                reporting.until(before + part * n / 10).await;
            }
        }
        Trouble::Late => wire.set(Weather { delay: Duration::from_millis(100), ..Weather::default() }),
        Trouble::Slow => wire.set(Weather { bytes_per_s: Some(8_000), ..Weather::default() }),
        Trouble::HeldBack => {
            wire.set(Weather { black_hole: true, ..Weather::default() });
            reporting.until_silence().await;
            let answered = reporting.answered();
            tokio::time::sleep(SILENCE).await;
            assert_eq!(reporting.answered(), answered, "something got through");
            wire.set(Weather::default());
        }
        Trouble::HalfOpen => {
            wire.set(Weather { delay: Duration::from_millis(300), ..Weather::default() });
            reporting.until(reporting.answered() + part / 10).await;
            // Packets are on their way now; new connections are faster than they.
            wire.set(Weather::default());
            wire.lose_clients();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_map_moves_while_the_wire_to_questdb_is_dead_or_slow_and_history_catches_up() {
    let server = Server::shared();
    let options = server.options();
    let wire = BadWire::to((Ipv4Addr::LOCALHOST, server.http_port()).into(), seed()).await;
    let through = QuestDbOptions { address: ("127.0.0.1".into(), wire.address.port()), ..options.clone() };
    let folder = tempfile::tempdir().unwrap();
    let system = System::start(folder.path(), &(on(&through) + "[sql]\ndeadline_s = 5\n")).unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let cookie = system.cookie().await;
    let (mut map, _) = Browser::watching(&url, &cookie, "websocket", json!({ "fleets": null, "alerts_after": null })).await;
    let device = "356307042441013";
    let mut tracker = Tracker::Teltonika(Teltonika::new(system.address("teltonika"), device));
    let mut drive = async |fixes: Range<i64>| {
        for n in fixes {
            let fix = fix(n);
            tracker.deliver(std::slice::from_ref(&fix)).await.unwrap();
            let lat = fix.location.lat_deg();
            map.until_so(|map| map.map.get(device).is_some_and(|shown| (shown - lat).abs() < 1e-6)).await;
        }
    };
    let until_ready = async |status: u16| {
        let asked = async {
            loop {
                let answer = reqwest::get(format!("{url}/readyz")).await.unwrap();
                if answer.status() == status {
                    return answer.text().await.unwrap();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(40), asked).await.unwrap_or_else(|_| panic!("/readyz never says {status}"))
    };

    drive(0..20).await;
    let over = Instant::now() + BLACK_HOLE;
    wire.set(Weather { black_hole: true, ..Weather::default() });
    drive(20..40).await;
    assert!(until_ready(503).await.contains("QuestDB can't be reached"));
    let remote = system.remote();
    let asked = timeout(PATIENCE, remote.ask("SELECT count(*) FROM positions", Format::Csv)).await;
    assert!(asked.expect("who asks is answered").is_err());
    sleep_until(over).await;
    drive(40..50).await;

    wire.set(Weather { delay: Duration::from_millis(50), bytes_per_s: Some(50_000), ..Weather::default() });
    drive(50..70).await;
    until_ready(200).await;
    timeout(PATIENCE, remote.settle()).await.expect("it catches up").unwrap();
    wire.set(Weather::default());
    assert_eq!(count(&system, "positions").await, 70);
    until(70, async || server.count(&options, "positions").await).await;
}
