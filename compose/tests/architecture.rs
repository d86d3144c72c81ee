//! Holds what ARCHITECTURE.md promises: the arrows between crates, who may see which library, and the size of files; and that the proofs
//! of SECURITY.md are there.

use cargo_metadata::{Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The only arrows: crate, and what it may use. Also for tests and build scripts.
const ARROWS: [(&str, &[&str]); 11] = [
    ("waystream-domain", &[]),
    ("waystream-log", &["domain"]),
    ("waystream-store", &["domain", "log", "tls"]),
    ("waystream-dataflow", &["domain", "log"]),
    ("waystream-notify", &["domain", "log", "tls"]),
    ("waystream-tls", &[]),
    ("waystream-connectors", &["domain", "log", "tls"]),
    ("waystream-sql", &["domain", "store", "tls"]),
    ("waystream-gateway", &["domain", "log", "sql", "tls"]),
    ("waystream", &["domain", "log", "store", "dataflow", "notify", "tls", "connectors", "sql", "gateway"]),
    ("waystream-benchmarks", &["domain", "log", "store", "dataflow", "notify", "connectors", "sql", "gateway", ""]),
];

/// Arrows that only tests may use.
const TEST_ARROWS: [(&str, &str); 2] = [
    // A store is filled through batches with the log's offsets.
    ("waystream-sql", "log"),
    // The gateway's tests need an SQL engine with something behind it.
    ("waystream-gateway", "store"),
];

/// Who alone may use a library.
const FENCED: [(&str, &[&str]); 9] = [
    ("timely", &["waystream-dataflow"]),
    ("questdb-rs", &["waystream-store"]),
    ("redb", &["waystream-log"]),
    ("lettre", &["waystream-notify"]),
    ("rdkafka", &["waystream-log"]),
    ("arrow-flight", &["waystream-sql"]),
    ("tonic", &["waystream-sql"]),
    ("datafusion", &["waystream-store", "waystream-sql", "waystream-benchmarks"]),
    (
        "tokio",
        &[
            "waystream-log",
            "waystream-store",
            "waystream-dataflow",
            "waystream-notify",
            "waystream-tls",
            "waystream-connectors",
            "waystream-sql",
            "waystream-gateway",
            "waystream",
            "waystream-benchmarks",
        ],
    ),
];

/// Files that may make a scope, by what they know whose it is.
const SCOPE_MAKERS: [(&str, &str); 6] = [
    ("compose/src/door.rs", "an API token that is valid and for SQL"),
    ("compose/src/history.rs", "the machine's owner, who asks from the command line"),
    ("compose/src/reports.rs", "a report of the organisation's own"),
    ("dashboard/gateway/src/auth/identity.rs", "a session or an API token that is valid"),
    ("dashboard/gateway/src/auth/shares.rs", "a share link that is open"),
    ("sql/src/door.rs", "nobody, who sees no rows"),
];

/// Lines of code in a file, comments, blank lines and unit tests not counted.
const MAX_LINES: usize = 400;

/// Files that may be longer, with the reason.
const LONG_FILES: [(&str, &str); 2] = [
    ("dashboard/web/src/wire/types.ts", "written by a test from the wire types"),
    ("dashboard/web/src/texts.ts", "all that the dashboard says, so that another language is one file"),
];

/// Folders in which people's own files lie: a committed text that names one names a place on somebody's machine.
const OWN_FOLDERS: [&str; 4] = ["root", "work", "home", "Users"];

/// Crates that `deny.toml` keeps out: with ring there is one maker of keys and ciphers, and whom to trust is nobody's list but the system's.
const KEPT_OUT: [&str; 6] = ["aws-lc-rs", "aws-lc-sys", "boring-sys", "native-tls", "openssl", "webpki-roots"];

fn metadata() -> Metadata {
    MetadataCommand::new().manifest_path(root().join("Cargo.toml")).no_deps().exec().expect("cargo metadata")
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("compose lies in the workspace").to_owned()
}

/// Committed files whose names end so.
fn committed(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git").arg("-C").arg(root()).args(["ls-files", "-z"]).output().expect("git runs");
    assert!(output.status.success(), "git ls-files failed");
    let names = String::from_utf8(output.stdout).expect("file names are text");
    let files: Vec<_> = names.split('\0').filter(|n| !n.is_empty() && n.ends_with(ending)).map(|n| root().join(n)).collect();
    // A file that is deleted but not yet committed is no file.
    files.into_iter().filter(|path| path.is_file()).collect()
}

fn name(path: &Path) -> String {
    path.strip_prefix(root()).expect("in the workspace").to_string_lossy().into_owned()
}

#[test]
fn crates_use_each_other_only_along_the_arrows() {
    let allowed: BTreeMap<_, _> = ARROWS.into_iter().collect();
    let metadata = metadata();
    let ours: BTreeSet<_> = metadata.packages.iter().map(|p| p.name.to_string()).collect();
    assert_eq!(ours, allowed.keys().map(|name| (*name).to_owned()).collect(), "the table names every crate");
    for package in &metadata.packages {
        let from = package.name.as_str();
        for dependency in &package.dependencies {
            let Some(to) = dependency.name.strip_prefix("waystream") else { continue };
            let to = to.trim_start_matches('-');
            let in_tests = dependency.kind == cargo_metadata::DependencyKind::Development;
            let fine = allowed[from].contains(&to) || (in_tests && TEST_ARROWS.contains(&(from, to)));
            assert!(fine, "{from} may not use {}: see ARCHITECTURE.md", dependency.name);
        }
    }
}

#[test]
fn fenced_libraries_are_used_only_behind_their_fence() {
    for package in &metadata().packages {
        for dependency in &package.dependencies {
            let fence = FENCED.iter().find(|(library, _)| *library == dependency.name);
            if let Some((library, users)) = fence {
                assert!(users.contains(&package.name.as_str()), "{} may not use {library}", package.name);
            }
        }
    }
}

#[test]
fn only_two_files_see_timely() {
    for path in committed(".rs") {
        let text = fs::read_to_string(&path).expect("readable");
        let file = name(&path);
        let sees = text.lines().any(|line| !line.trim_start().starts_with("//") && line.contains("timely::"));
        let may = ["pipeline/dataflow/src/graph.rs", "pipeline/dataflow/src/worker.rs"].contains(&file.as_str());
        assert!(may || !sees || file.ends_with("architecture.rs"), "{file} sees timely");
    }
}

/// Whoever edits the catalog goes through `waystream_log::catalog` and has to say who it is: no change is without a record of it.
#[test]
fn only_one_file_writes_the_catalog_and_the_records_of_its_changes() {
    let mut writers = BTreeSet::new();
    for path in committed(".rs") {
        let file = name(&path);
        // Tests write what nobody should, and what benchmarks measure nobody keeps.
        if file.contains("/tests/") || file.starts_with("benchmarks/") || file.starts_with("pipeline/log/src/contract/") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        let writes = |line: &str| {
            line.contains("append(") && ["Topic::Catalog", "Topic::Audit"].iter().any(|topic| line.contains(topic))
        };
        if code.lines().any(writes) {
            writers.insert(file);
        }
    }
    assert_eq!(writers, BTreeSet::from(["pipeline/log/src/catalog.rs".to_owned()]));
}

/// Nothing of history is asked without a scope, so these are all the doors to it: each has checked who asks.
#[test]
fn only_who_has_checked_who_asks_makes_a_scope() {
    let mut makers = BTreeSet::new();
    for path in committed(".rs") {
        let file = name(&path);
        if file.contains("/tests/") || file.starts_with("benchmarks/") {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
        if code.contains("Scope::of_organisation(") {
            makers.insert(file);
        }
    }
    assert_eq!(makers, SCOPE_MAKERS.iter().map(|(file, _)| (*file).to_owned()).collect());
}

#[test]
fn no_file_is_too_long() {
    let exceptions: BTreeMap<_, _> = LONG_FILES.into_iter().collect();
    let sources = [".rs", ".ts"].into_iter().flat_map(committed);
    let mut too_long: Vec<String> = Vec::new();
    for path in sources {
        let lines = lines_of_code(&fs::read_to_string(&path).expect("readable"));
        let file = name(&path);
        if lines > MAX_LINES && !exceptions.contains_key(file.as_str()) {
            too_long.push(format!("{file}: {lines} lines of code"));
        }
    }
    assert!(too_long.is_empty(), "more than {MAX_LINES}: split them\n{}", too_long.join("\n"));
}

fn lines_of_code(text: &str) -> usize {
    let code = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with('*')).count()
}

/// Where a crate says itself which programs its tests are, a file that is forgotten would never run.
#[test]
fn every_file_of_tests_is_part_of_a_program() {
    let mut forgotten = Vec::new();
    for manifest in committed("Cargo.toml") {
        let settings = fs::read_to_string(&manifest).expect("readable");
        if !settings.contains("\nautotests = false\n") {
            continue;
        }
        let folder = manifest.with_file_name("tests");
        let all = fs::read_to_string(folder.join("all.rs")).expect("its tests have one program for all");
        for path in committed(".rs").into_iter().filter(|path| path.parent() == Some(folder.as_path())) {
            let stem = path.file_stem().and_then(|stem| stem.to_str()).expect("a name");
            let is_part = all.lines().any(|line| line == format!("mod {stem};"));
            if !is_part && !settings.contains(&format!("\npath = \"tests/{stem}.rs\"\n")) {
                forgotten.push(name(&path));
            }
        }
    }
    assert!(forgotten.is_empty(), "in no program: name them in all.rs, or in Cargo.toml: {forgotten:?}");
}

/// Names in the last column of its tables, in backticks; a path is no test.
#[test]
fn every_proof_in_security_md_is_a_test() {
    let mut tests = BTreeSet::new();
    for path in committed(".rs") {
        let text = fs::read_to_string(&path).expect("readable");
        let mut lines = text.lines().map(str::trim);
        while let Some(line) = lines.next() {
            if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
                let declared = lines.find(|line| line.contains("fn ")).unwrap_or_default();
                let name = declared.split_once("fn ").and_then(|(_, rest)| rest.split_once('('));
                tests.extend(name.map(|(name, _)| name.to_owned()));
            }
        }
    }
    let text = fs::read_to_string(root().join("SECURITY.md")).expect("readable");
    let rows = text.lines().filter(|line| line.starts_with("| ")).filter_map(|line| line.rsplit('|').nth(1));
    let proofs: Vec<&str> = rows.flat_map(|proofs| proofs.split('`').skip(1).step_by(2)).collect();
    assert!(proofs.len() > 50, "{} proofs", proofs.len());
    let missing: Vec<_> = proofs.into_iter().filter(|proof| !tests.contains(*proof)).collect();
    assert!(missing.is_empty(), "no such tests: {missing:?}");
}

/// What `deny.toml` says, as far as lock files tell: `cargo deny` itself is not everywhere.
#[test]
fn all_crates_come_from_the_registry_and_one_provider_makes_keys() {
    let mut registries = BTreeSet::new();
    for lock in ["Cargo.lock", "connectors/fuzz/Cargo.lock"] {
        let text = fs::read_to_string(root().join(lock)).expect("readable");
        let mut crates = 0;
        for package in text.split("[[package]]").skip(1) {
            let value =
                |key: &str| package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
            let name = value("name").expect("a name");
            match value("source") {
                None => assert!(name.starts_with("waystream"), "{lock}: {name} is neither ours nor from the registry"),
                Some(source) => {
                    assert!(source.starts_with("registry+"), "{lock}: {name} is from {source}");
                    registries.insert(source.to_owned());
                    assert!(value("checksum").is_some(), "{lock}: {name} could be changed");
                    crates += 1;
                }
            }
            assert!(!KEPT_OUT.contains(&name), "{lock}: {name}");
        }
        assert!(crates > 30, "{lock}: {crates} crates");
    }
    assert_eq!(registries.len(), 1, "{registries:?}");
}

#[test]
fn no_committed_text_names_a_place_on_a_machine() {
    let mut found = Vec::new();
    for path in committed("") {
        // Pictures and recorded bytes are no text.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in text.lines().enumerate() {
            if names_own_folder(line) {
                found.push(format!("{}:{}: {}", name(&path), number + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "write paths relative to the checkout\n{}", found.join("\n"));
}

/// One of those folders as the beginning of a path, not in the middle of one.
fn names_own_folder(line: &str) -> bool {
    OWN_FOLDERS.iter().any(|folder| {
        let path = format!("/{folder}/");
        line.match_indices(&path).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c)))
    })
}
