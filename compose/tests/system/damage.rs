//! Files that are damaged between a kill and the next start: the system tells the truth, or says what is damaged. `SEED` repeats a run.

use crate::common::{BINARY, System, seed, settings};
use crate::lifecycle::fix;
use crate::recorded::PATIENCE;
use futures::TryStreamExt;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use waystream::history::Selection;
use waystream::trackers::Tracker;
use waystream::trackers::teltonika::Teltonika;
use waystream_connectors::protocol::Fix;
use waystream_domain::{DeviceId, Timestamp};

const SESSIONS: i64 = 3;
const FIXES: i64 = 1_000;
/// Of each kind.
const TIMES: usize = 4;

/// What of a position is compared: no other may be shown in its place.
type Row = (DeviceId, Timestamp, i32, i32);

/// What happens to a file.
#[derive(Debug, Clone, Copy)]
enum Harm {
    /// Some bytes in it are others.
    Changed,
    /// Its end is missing.
    CutOff,
    /// It is not there.
    Gone,
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_damaged_before_a_start_is_named_or_the_truth_is_told() {
    let mut rng = StdRng::seed_from_u64(seed());
    let whole = tempfile::tempdir().unwrap();
    let truth = fill(whole.path()).await;
    let of_store = |folder: &Path| -> PathBuf {
        let files = std::fs::read_dir(folder.join("store/positions")).unwrap().map(|file| file.unwrap().path());
        files.min().expect("history is in files")
    };
    let log = |folder: &Path| -> PathBuf { folder.join("log/log.redb") };
    type Finds<'a> = &'a dyn Fn(&Path) -> PathBuf;
    let kinds: [(Finds<'_>, Harm); 5] = [
        (&of_store, Harm::Changed),
        (&of_store, Harm::CutOff),
        (&of_store, Harm::Gone),
        (&log, Harm::Changed),
        (&log, Harm::CutOff),
    ];
    let mut named = 0;
    for (file, harm) in kinds.iter().copied().cycle().take(kinds.len() * TIMES) {
        let copy = tempfile::tempdir().unwrap();
        let copied = Command::new("cp").arg("-r").arg(whole.path().join(".")).arg(copy.path()).status().unwrap();
        assert!(copied.success());
        let file = file(copy.path());
        strike(&file, harm, &mut rng);
        let case = format!("{harm:?} {}", file.strip_prefix(copy.path()).unwrap().display());
        named += usize::from(is_named(copy.path(), &truth, &case).await);
    }
    assert!(named > TIMES, "{named} of all these did harm");
}

/// History in several files, and a log that was not closed. Gives what is in it.
async fn fill(folder: &Path) -> BTreeSet<Row> {
    let mut truth = BTreeSet::new();
    for session in 0..SESSIONS {
        let system = System::start(folder, &settings(&[])).unwrap();
        let mut tracker = Tracker::Teltonika(Teltonika::new(system.address("teltonika"), format!("{session:015}")));
        let fixes: Vec<Fix> = (0..FIXES).map(fix).collect();
        tracker.deliver(&fixes).await.unwrap();
        system.remote().settle().await.unwrap();
        truth = rows(&system).await.unwrap();
        // What is in memory is written at the end.
        let (status, _) = system.terminate().unwrap();
        assert!(status.success(), "{status}");
    }
    assert_eq!(truth.len() as i64, SESSIONS * FIXES);
    System::start(folder, &settings(&[])).unwrap().kill().unwrap();
    truth
}

fn strike(file: &Path, harm: Harm, rng: &mut StdRng) {
    let mut bytes = std::fs::read(file).unwrap();
    match harm {
        Harm::Changed => {
            let (at, length) = (rng.random_range(0..bytes.len()), rng.random_range(1..5_000));
            bytes.iter_mut().skip(at).take(length).for_each(|byte| *byte = !*byte);
        }
        // An empty log would be a new one.
        Harm::CutOff => bytes.truncate(rng.random_range(1..bytes.len())),
        Harm::Gone => return std::fs::remove_file(file).unwrap(),
    }
    std::fs::write(file, bytes).unwrap();
}

/// Whether the damage is named; else the truth is told. Panics if neither is so.
async fn is_named(folder: &Path, truth: &BTreeSet<Row>, case: &str) -> bool {
    let said = folder.join("said");
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" run "$@" 2>"$SAID""#, BINARY]).env("SAID", &said);
    let (told, why) = match System::spawn(command, folder, folder, &settings(&[])) {
        Err(error) => (BTreeSet::new(), format!("{error:#}")),
        Ok(mut system) => {
            let told = rows(&system).await;
            if let Some(status) = system.ended() {
                assert!(status.code().is_some(), "{case}: it died: {status}");
            }
            match told {
                Ok(told) if told == *truth => return false,
                Ok(told) => (told, "some is missing".to_owned()),
                Err(error) => (BTreeSet::new(), format!("{error:#}")),
            }
        }
    };
    assert!(told.is_subset(truth), "{case}: rows that nobody has told");
    let said = std::fs::read_to_string(said).unwrap();
    let names = ["damaged", "could not open the log", "could not read the catalog"];
    assert!(names.iter().any(|name| said.contains(name)), "{case}: {why}, and no word of it in\n{said}");
    true
}

async fn rows(system: &System) -> anyhow::Result<BTreeSet<Row>> {
    let remote = system.remote();
    let asked = async {
        let batches: Vec<_> = remote.positions(&Selection::default()).await?.try_collect().await?;
        let row = |p: waystream_domain::Position| (p.device, p.fix_time, p.location.lat_e7(), p.location.lon_e7());
        anyhow::Ok(batches.into_iter().flatten().map(row).collect())
    };
    tokio::time::timeout(PATIENCE, asked).await.expect("who asks is answered")
}
