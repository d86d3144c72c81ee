//! A log whose file was mangled while nobody had it open: it can't be opened, or it can and each read gives records that were appended or an
//! error that names the file. Never other records, no panic of ours, no end of waiting. `SEED` says one run again, `CASES` tries more.

mod support;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use support::{now_ms, quiet, read_all, record};
use waystream_log::embedded::EmbeddedLog;
use waystream_log::{Entry, Group, Log, LogError, Offsets, Record, Topic};

const CASES: u64 = 150;
/// Who has not opened and read some megabytes after so long never will.
const PATIENCE: Duration = Duration::from_secs(60);
/// Of the database.
const PAGE_BYTES: usize = 4_096;
const TOPICS: [Topic; 4] = [Topic::Positions, Topic::Catalog, Topic::Events, Topic::States];
const FILE: &str = "log.redb";

/// What happened to some place of the file.
enum Harm {
    Flip { at: usize, bits: u8 },
    Zero { page: usize, pages: usize },
    Noise { at: usize, bytes: Vec<u8> },
    Swap { page: usize, with: usize },
    CutOff { length: usize },
    Append { bytes: Vec<u8> },
}

fn harm(rng: &mut StdRng, length: usize) -> Harm {
    let pages = length / PAGE_BYTES;
    // What is at the beginning says what the rest means.
    let mut page = || if rng.random_bool(0.2) { rng.random_range(0..pages.min(8)) } else { rng.random_range(0..pages) };
    let (page, with) = (page(), page());
    let at = page * PAGE_BYTES + rng.random_range(0..PAGE_BYTES);
    match rng.random_range(0..12) {
        0..5 => Harm::Flip { at, bits: 1_u8 << rng.random_range(0..8_u32) },
        5..7 => Harm::Zero { page, pages: rng.random_range(1..4) },
        7..9 => Harm::Noise { at, bytes: noise(rng) },
        9 => Harm::Swap { page, with },
        10 => Harm::CutOff { length: rng.random_range(0..length) },
        _ => Harm::Append { bytes: noise(rng) },
    }
}

fn noise(rng: &mut StdRng) -> Vec<u8> {
    let length = rng.random_range(1..2 * PAGE_BYTES);
    (0..length).map(|_| rng.random_range(0..=u8::MAX)).collect()
}

fn put(file: &mut [u8], at: usize, bytes: impl Iterator<Item = u8>) {
    for (place, byte) in file.iter_mut().skip(at).zip(bytes) {
        *place = byte;
    }
}

fn mangle(file: &mut Vec<u8>, harm: &Harm) {
    match harm {
        Harm::Flip { at, bits } => {
            if let Some(byte) = file.get_mut(*at) {
                *byte ^= bits;
            }
        }
        Harm::Zero { page, pages } => put(file, page * PAGE_BYTES, std::iter::repeat_n(0, pages * PAGE_BYTES)),
        Harm::Noise { at, bytes } => put(file, *at, bytes.iter().copied()),
        Harm::Swap { page, with } => {
            let of = |page: usize| file.get(page * PAGE_BYTES..(page + 1) * PAGE_BYTES).map(<[u8]>::to_vec);
            if let (Some(one), Some(other)) = (of(*page), of(*with)) {
                put(file, page * PAGE_BYTES, other.into_iter());
                put(file, with * PAGE_BYTES, one.into_iter());
            }
        }
        Harm::CutOff { length } => file.truncate(*length),
        Harm::Append { bytes } => file.extend(bytes),
    }
}

/// Every record by its place.
type Records = BTreeMap<Topic, BTreeMap<(Vec<u8>, u64), Entry>>;

/// Some thousand records of every size, some of them compacted away, properly closed.
async fn filled(folder: &Path) -> Records {
    let log = EmbeddedLog::open(folder, quiet()).expect("opens");
    for n in 0..40_usize {
        for topic in TOPICS {
            let one = |m: usize| record(format!("key-{}", m % 9), format!("{n} {m} {}", "x".repeat(n * m % 900)));
            let mut records: Vec<Record> = (0..25).map(one).collect();
            records.push(Record::removal(format!("key-{}", n % 9)));
            log.append(topic, records).await.expect("appends");
        }
        let offsets = Offsets::from([((Topic::Positions, n as u32 % 16), n as u64)]);
        log.commit(&Group { name: "g".into(), member: 0 }, Vec::new(), &offsets).await.expect("commits");
    }
    log.maintain(now_ms()).await.expect("maintains");
    let mut all = Records::new();
    for topic in TOPICS {
        let entries = read_all(&*log, topic).await.expect("reads");
        all.insert(topic, entries.into_iter().map(|entry| ((entry.key.to_vec(), entry.offset), entry)).collect());
    }
    log.close().await;
    all
}

/// Opens it and reads all there is: how many records could be read, or what is wrong with them.
async fn check(folder: PathBuf, all: Arc<Records>) -> Result<usize, String> {
    let opened = tokio::task::spawn_blocking(move || EmbeddedLog::open(&folder, quiet())).await;
    let log = match opened.map_err(|e| format!("opening: {e}"))? {
        Ok(log) => log,
        Err(error) => return told(&error).map(|()| 0),
    };
    let mut read = 0;
    for topic in TOPICS {
        match read_all(&*log, topic).await {
            Ok(entries) => {
                let mut seen = BTreeSet::new();
                for entry in &entries {
                    let place = (entry.key.to_vec(), entry.offset);
                    let appended = all[&topic].get(&place);
                    if appended != Some(entry) || !seen.insert(place) {
                        return Err(format!("{}: {entry:?}, appended was {appended:?}", topic.name()));
                    }
                }
                read += entries.len();
            }
            Err(error) => told(&error)?,
        }
        // Whatever these say, they say it.
        let (bounds, offsets) = (log.bounds(topic).await, log.offsets_at(topic, 0).await);
        for error in [bounds.err(), offsets.err(), log.committed("g", topic).await.err()] {
            error.map_or(Ok(()), |error| told(&error))?;
        }
    }
    log.maintain(now_ms()).await.map_or_else(|error| told(&error), |_| Ok(()))?;
    log.close().await;
    Ok(read)
}

/// An error has to say which file. What a log refuses, or was closed for, was said in the log.
fn told(error: &LogError) -> Result<(), String> {
    let named = match error {
        LogError::Damaged(what) => what.contains(FILE) || what.contains("records of "),
        LogError::Unavailable(what) => what.contains(FILE),
        LogError::Indeterminate(_) | LogError::Refused(_) | LogError::Closed(_) => true,
        LogError::Taken(_) | LogError::LastOwner => true,
    };
    named.then_some(()).ok_or_else(|| format!("it doesn't say which file: {error}"))
}

/// Panics of our own code. Those of the database are errors to whoever calls us.
static OURS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn a_mangled_file_gives_what_was_appended_or_an_error_that_names_it() {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seed = number("SEED").unwrap_or_else(|| rand::rng().random());
    // Not for the test's own output, which is lost if the process is.
    writeln!(std::io::stderr(), "SEED={seed}").expect("written");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let all = Arc::new(runtime.block_on(filled(folder.path())));
    let records: usize = all.values().map(BTreeMap::len).sum();
    assert!(records > 2_000, "{records}");
    let whole = std::fs::read(folder.path().join(FILE)).expect("the file");

    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // Of crates of others the whole path is told.
        if panic.location().is_some_and(|at| !at.file().starts_with('/')) {
            OURS.lock().expect("never held in a panic").push(panic.to_string());
            usual(panic);
        }
    }));
    let mut rng = StdRng::seed_from_u64(seed);
    let (mut partly, mut readable) = (0, 0);
    let mut failed = None;
    for case in 0..number("CASES").unwrap_or(CASES) {
        let harms: Vec<Harm> = (0..rng.random_range(1..=8)).map(|_| harm(&mut rng, whole.len())).collect();
        let mut file = whole.clone();
        harms.iter().for_each(|harm| mangle(&mut file, harm));
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), &file).expect("written");
        // A task of its own: who hangs is left behind.
        let checking = runtime.spawn(check(folder.path().to_owned(), Arc::clone(&all)));
        let checked = runtime.block_on(async { tokio::time::timeout(PATIENCE, checking).await });
        let ended = checked.map_err(|_| "it hangs".to_owned()).and_then(|ended| ended.map_err(|e| e.to_string()));
        match ended.flatten() {
            Ok(read) => {
                readable += usize::from(read > 0);
                partly += usize::from(read > 0 && read < records);
            }
            Err(why) => failed = Some(format!("case {case}: {why}")),
        }
        let ours = std::mem::take(&mut *OURS.lock().expect("never held in a panic"));
        if !ours.is_empty() {
            failed = Some(format!("case {case}: {ours:?}"));
        }
        if failed.is_some() {
            break;
        }
    }
    runtime.shutdown_background();
    assert_eq!(failed, None, "SEED={seed}");
    assert!(readable > 0 && partly > 0, "{readable} could be read, {partly} of them in part");
}
