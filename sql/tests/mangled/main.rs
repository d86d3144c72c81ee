//! SQL made by a grammar and then mangled, as nobody would write it: each text is answered or refused in time, without a panic and without a
//! row of others. `CASES` asks more of them than usual; proptest prints what failed in its smallest form, and its seed.
#![allow(clippy::unwrap_used)]

#[path = "../common/mod.rs"]
mod common;
mod grammar;
mod tokens;

use common::{Fixture, fixture};
use grammar::statement;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};
use tokens::tokens;
use tokio::runtime::Runtime;
use waystream_sql::output::{self, Format};
use waystream_sql::{SqlError, SqlOptions};

const CASES: u32 = 120;
/// Of one query. Who is not answered long after it waits for ever.
const DEADLINE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(60);

/// What acme must never see.
const FOREIGN: [&str; 9] = ["east", "EAST", "bolt", "yard-bolt", "e0", "e1", "e2", "e3", "e4"];

const ODD: &[&str] = &[
    "'",
    "\"",
    "\0",
    "\u{202e}",
    "\u{feff}",
    "\u{a0}",
    "🚚",
    "e\u{301}",
    "--",
    "/*",
    "*/",
    ";",
    "$$",
    "::",
    "E'\\x'",
    "U&'\\0041'",
    "(",
    ")",
    "[",
    "]",
    "{",
    "\\",
    "?",
    "NULL",
    "*",
    "LATERAL",
    "99999999999999999999999999999999999999",
    "SELECT",
    "FROM",
    "OVER ()",
    "FILTER (WHERE true)",
    "INTO",
    "WITHIN GROUP (ORDER BY lat)",
    "FOR UPDATE",
    "TABLESAMPLE (10)",
    "QUALIFY",
    "PIVOT",
    "'ß'",
    "\u{10ffff}",
];

/// What is done to a text.
#[derive(Debug, Clone)]
enum Edit {
    Delete(Index),
    Repeat(Index, usize),
    Swap(Index, Index),
    Insert(Index, &'static str),
    CutOff(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        2 => place().prop_map(Edit::Delete),
        1 => (place(), prop_oneof![Just(2_usize), 2_usize..300]).prop_map(|(at, times)| Edit::Repeat(at, times)),
        2 => (place(), place()).prop_map(|(a, b)| Edit::Swap(a, b)),
        2 => (place(), select(ODD)).prop_map(|(at, odd)| Edit::Insert(at, odd)),
        1 => place().prop_map(Edit::CutOff),
    ]
}

fn mangled() -> impl Strategy<Value = String> {
    (statement(), prop_oneof![1 => Just(Vec::new()), 1 => vec(edit(), 1..4)]).prop_map(|(text, edits)| mangle(&text, &edits))
}

fn mangle(text: &str, edits: &[Edit]) -> String {
    let mut tokens = tokens(text);
    for edit in edits {
        let count = tokens.len();
        if count == 0 {
            break;
        }
        match edit {
            Edit::Delete(at) => drop(tokens.remove(at.index(count))),
            Edit::Repeat(at, times) => {
                let token = &mut tokens[at.index(count)];
                *token = format!("{token} ").repeat(*times);
            }
            Edit::Swap(a, b) => tokens.swap(a.index(count), b.index(count)),
            Edit::Insert(at, odd) => tokens.insert(at.index(count), (*odd).to_owned()),
            Edit::CutOff(at) => tokens.truncate(at.index(count)),
        }
    }
    tokens.concat()
}

/// Panics on the engine's threads since somebody looked.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

static ENGINE: LazyLock<(Runtime, Fixture)> = LazyLock::new(|| {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| match std::thread::current().name() {
        Some("sql") => PANICS.lock().unwrap().push(panic.to_string()),
        _ => usual(panic),
    }));
    let runtime = Runtime::new().unwrap();
    let options =
        SqlOptions { deadline: DEADLINE, threads: 2, memory_bytes: 32 << 20, max_rows: 1_000, ..SqlOptions::default() };
    let fixture = runtime.block_on(fixture(options));
    (runtime, fixture)
});

/// The answer as CSV; none if there is none in time.
fn ask(sql: &str) -> Option<Result<String, SqlError>> {
    let (runtime, f) = &*ENGINE;
    let answer = async {
        let mut out = Vec::new();
        output::write(f.engine.query(&f.acme, sql).await?, Format::Csv, &mut out).await?;
        Ok(String::from_utf8(out).unwrap())
    };
    runtime.block_on(async { tokio::time::timeout(PATIENCE, answer).await.ok() })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '-')
}

/// Who was stopped was stopped indeed, and harms nobody who comes next.
fn until_answered() -> Result<(), TestCaseError> {
    let began = Instant::now();
    loop {
        match ask("SELECT count(*) AS n FROM events") {
            Some(Ok(count)) if count == "n\n100\n" => return Ok(()),
            // The parser may go on for a moment.
            Some(Err(SqlError::Deadline(_))) if began.elapsed() < PATIENCE => {}
            other => return Err(TestCaseError::fail(format!("the next query: {other:?}"))),
        }
    }
}

fn check(sql: &str) -> Result<(), TestCaseError> {
    let Some(answer) = ask(sql) else { return Err(TestCaseError::fail("no answer in time")) };
    let panics = std::mem::take(&mut *PANICS.lock().unwrap());
    prop_assert!(panics.is_empty(), "{:?}", panics);
    let text = match answer {
        Ok(text) => text,
        Err(error) => {
            let is_the_askers =
                matches!(error, SqlError::Invalid { .. } | SqlError::ReadOnly(_) | SqlError::Deadline(_) | SqlError::Memory(_));
            prop_assert!(is_the_askers && !error.to_string().trim().is_empty(), "{:?}", error);
            if matches!(error, SqlError::Deadline(_)) {
                until_answered()?;
            }
            error.to_string()
        }
    };
    // What was asked with a word may be answered with it.
    let seen: Vec<&str> = words(&text).filter(|word| FOREIGN.contains(word) && !words(sql).any(|said| said == *word)).collect();
    prop_assert!(seen.is_empty(), "{:?} in {}", seen, text);
    Ok(())
}

fn config() -> ProptestConfig {
    ProptestConfig::with_cases(std::env::var("CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(CASES))
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn mangled_sql_is_answered_or_refused_in_time_and_shows_nothing_of_others(sql in mangled()) {
        check(&sql)?;
    }
}
