//! REST as its own description invites to ask it: schemathesis makes requests that fit the description, and such that don't, and holds every
//! answer against it. `SEED` and `EXAMPLES` ask others, and more.

use crate::common::{System, run, settings, shared};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Ends the session that everything is asked with: all else would be refused after it. `signing_in_works_once_by_link_then_by_password`
/// looks at it.
const NOT_ASKED: &str = "DELETE /api/session";

/// What is held against every answer: those of schemathesis that say something about any API, and our own.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,no_secret_in_errors";

/// The program that `compose/test` installs.
fn schemathesis() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../rest-fuzz/bin/schemathesis")
}

#[tokio::test]
async fn whatever_is_asked_is_answered_as_described_and_no_error_tells_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let tracks = shared("data/tracks/liverpool_bus.csv.gz");
    let (_, said, is_there) = run(&["import", tracks.to_str().unwrap(), "--data", folder.path().to_str().unwrap()]).unwrap();
    assert!(is_there, "{said}");
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    let url = format!("http://{}", system.address("dashboard"));
    let cookie = system.cookie().await;
    let given = |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());

    let mut fuzz = Command::new(schemathesis());
    fuzz.arg("run").arg(format!("{url}/api/openapi.json"));
    fuzz.args(["--checks", CHECKS, "--exclude-name", NOT_ASKED, "--phases", "coverage,fuzzing", "--continue-on-failure"]);
    fuzz.args(["--seed", &given("SEED", "1"), "--max-examples", &given("EXAMPLES", "4"), "--request-timeout", "60"]);
    fuzz.args(["--suppress-health-check", "all", "--warnings", "off", "--no-color"]);
    fuzz.args(["--header", &format!("Cookie: {cookie}"), "--header", "x-waystream: 1"]);
    fuzz.env("SCHEMATHESIS_HOOKS", "told").env("SESSION", cookie.rsplit('=').next().unwrap());
    fuzz.env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/rest_fuzz"));
    // What it remembers of a run goes with it.
    let aside = tempfile::tempdir().unwrap();
    fuzz.current_dir(aside.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    let fuzzed = tokio::task::spawn_blocking(move || fuzz.output()).await.unwrap();
    let fuzzed = fuzzed.expect("compose/test has installed schemathesis");
    let said = String::from_utf8_lossy(&fuzzed.stdout);
    assert!(fuzzed.status.success(), "{said}{}", String::from_utf8_lossy(&fuzzed.stderr));

    // The session held to the end, or all would have been refused.
    let session = reqwest::Client::new().get(format!("{url}/api/session")).header("cookie", &cookie).send().await.unwrap();
    assert_eq!(session.status(), 200, "{said}");
    eprintln!("{}", said.lines().rev().take(12).collect::<Vec<_>>().join("\n"));
}
