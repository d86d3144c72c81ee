//! SQL clients as people use them, on the real binary: signed in with a token that the command line made.

use crate::common::{System, run, settings, shared};
use crate::tls::certificate;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The Python that `compose/test` puts the clients into.
fn python() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("../sql-clients/bin/python")
}

fn well(arguments: &[&str]) -> String {
    let (out, err, ended_well) = run(arguments).unwrap();
    assert!(ended_well, "{arguments:?}: {err}");
    out
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A system with the tracks of eight buses, Postgres wire and Flight SQL.
struct Buses {
    system: System,
    folder: tempfile::TempDir,
}

impl Buses {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tracks = shared("data/tracks/liverpool_bus.csv.gz");
        well(&["import", tracks.to_str().unwrap(), "--data", folder.path().to_str().unwrap()]);
        let settings = settings(&[])
            + "[postgres]\nlisten = \"127.0.0.1:0\"\n[flight]\nlisten = \"127.0.0.1:0\"\n[sql]\ndeadline_s = 20\n";
        let system = System::start(folder.path(), &settings).unwrap();
        Self { system, folder }
    }

    fn data(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn token(&self, scopes: &str) -> String {
        let made = well(&["token", "create", "--user", "admin", "--name", "test", "--scopes", scopes, "--data", self.data()]);
        made.trim().to_owned()
    }

    fn target(&self, secret: &str) -> String {
        format!("postgresql://admin:{secret}@{}/waystream", self.system.address("postgres"))
    }
}

fn psql(target: &str, sql: &str) -> String {
    said(&Command::new("psql").args(["-X", "-A", "-t", target, "-c", sql]).output().expect("psql is installed"))
}

#[tokio::test]
async fn a_token_of_the_command_line_signs_in_until_it_is_revoked() {
    let buses = Buses::start();
    for wire in ["postgres", "flight"] {
        assert!(buses.system.said.iter().any(|line| line.contains(wire)), "{wire}: {:?}", buses.system.said);
    }
    let secret = buses.token("sql,read");
    let target = buses.target(&secret);
    assert_eq!(psql(&target, "SELECT count(*), count(DISTINCT device) FROM positions"), "1533|8\n");
    assert!(psql(&target.replace("admin:", "nobody:"), "SELECT 1").contains("user name or token is wrong"));
    assert!(psql(&buses.target(&buses.token("read")), "SELECT 1").contains("user name or token is wrong"));

    // The same over HTTP.
    let url = format!("http://{}/api/sql", buses.system.address("dashboard"));
    let http = reqwest::Client::new();
    let query = serde_json::json!({ "query": "SELECT count(*) AS n FROM positions", "format": "csv" });
    let ask = || http.post(&url).bearer_auth(&secret).json(&query).send();
    assert_eq!(ask().await.unwrap().text().await.unwrap(), "n\n1533\n");

    let listed = well(&["token", "list", "--data", buses.data()]);
    let line = listed.lines().find(|line| secret.starts_with(&format!("ws_{}_", line.split('\t').next().unwrap()))).unwrap();
    assert!(line.contains("\tadmin\ttest\tread,sql\t") && !listed.contains(&secret), "{listed}");
    // While a connection is open: its next statement is refused.
    let mut open = Command::new("psql");
    let open = open.args(["-X", "-A", "-t", &target]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut open = open.spawn().unwrap();
    let mut keys = open.stdin.take().unwrap();
    let mut screen = std::io::BufReader::new(open.stdout.take().unwrap());
    let mut first = String::new();
    std::io::Write::write_all(&mut keys, b"SELECT 42;\n").unwrap();
    std::io::BufRead::read_line(&mut screen, &mut first).unwrap();
    assert_eq!(first, "42\n");
    well(&["token", "revoke", line.split('\t').next().unwrap(), "--data", buses.data()]);
    std::io::Write::write_all(&mut keys, b"SELECT 43;\n").unwrap();
    drop(keys);
    let rest = open.wait_with_output().unwrap();
    assert!(said(&rest).contains("the token is no longer valid"), "{}", said(&rest));
    assert!(psql(&target, "SELECT 1").contains("user name or token is wrong"));
    assert_eq!(ask().await.unwrap().status(), 401);

    let metrics = format!("http://{}/metrics", buses.system.address("dashboard"));
    let metrics = http.get(metrics).send().await.unwrap().text().await.unwrap();
    for name in [
        "waystream_postgres_connections",
        "waystream_postgres_queries_total",
        "waystream_postgres_failed_total{why=\"sign_in\"}",
        "waystream_sql_running",
        "waystream_sql_spill_files_total",
        "waystream_sql_spilled_bytes_total",
    ] {
        assert!(metrics.contains(name), "{name} is missing");
    }
    // What is wrong is told.
    for (arguments, says) in [
        (&["token", "create", "--user", "nobody", "--name", "x"][..], "there is no user nobody"),
        (&["token", "revoke", "nothing"], "there is no token nothing"),
    ] {
        let (_, err, ended_well) = run(&[arguments, &["--data", buses.data()]].concat()).unwrap();
        assert!(!ended_well && err.contains(says), "{err}");
    }
}

#[test]
fn clients_of_python_and_what_grafana_asks_are_answered() {
    let buses = Buses::start();
    let secret = buses.token("sql");
    let target = buses.target(&secret);
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/sql_clients");
    for script in ["psycopg3.py", "alchemy.py", "adbc.py", "grafana.py"] {
        let target = if script == "alchemy.py" { target.replace("postgresql:", "postgresql+psycopg:") } else { target.clone() };
        let output = Command::new(python()).arg(scripts.join(script)).arg(&target).output();
        let output = output.expect("compose/test has installed the clients");
        assert!(output.status.success(), "{script}: {}", said(&output));
    }
    let address = buses.system.address("flight").to_string();
    let output = Command::new(python()).arg(scripts.join("flight.py")).args([&address, &secret, &target]).output();
    let output = output.expect("compose/test has installed the clients");
    assert!(output.status.success(), "flight.py: {}", said(&output));
}

#[test]
fn flight_sql_is_encrypted_for_who_trusts_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    certificate(folder.path());
    let tls = format!("tls = {{ certificate_file = \"{}\", key_file = \"{}\" }}\n", path("good.pem"), path("good.key"));
    let system = System::start(folder.path(), &(settings(&[]) + "[flight]\nlisten = \"127.0.0.1:0\"\n" + &tls)).unwrap();
    let data = folder.path().to_str().unwrap();
    let secret = well(&["token", "create", "--user", "admin", "--name", "test", "--scopes", "sql", "--data", data]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/sql_clients/flight_tls.py");
    let address = system.address("flight").to_string();
    let output = Command::new(python()).arg(script).args([address.as_str(), secret.trim(), &path("good.pem")]).output();
    let output = output.expect("compose/test has installed the clients");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn files_of_the_store_and_exported_ones_are_read_by_other_programs() {
    let buses = Buses::start();
    well(&["store", "compact", "--data", buses.data()]);
    let (store, exported) = (buses.folder.path().join("store"), buses.folder.path().join("buses.parquet"));
    well(&["export", "--data", buses.data(), "--format", "parquet", "--output", exported.to_str().unwrap()]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/system/sql_clients/files.py");
    let output = Command::new(python()).arg(script).args([&store, &exported]).output();
    let output = output.expect("compose/test has installed the clients");
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn it_is_off_unless_asked_for_and_refuses_to_be_open() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().to_str().unwrap();
    let file = folder.path().join("mine.toml");
    for (settings, says) in [
        ("[postgres]\nlisten = \"0.0.0.0:0\"\n", "others can reach 0.0.0.0:0"),
        (
            "[postgres]\nlisten = \"127.0.0.1:0\"\ntls = { certificate_file = \"nowhere.pem\", key_file = \"x\" }\n",
            "nowhere.pem",
        ),
        ("[postgres]\nlisten = \"127.0.0.1:0\"\ntls = { certificate_file = \"x\" }\n", "key_file"),
        ("[flight]\nlisten = \"0.0.0.0:0\"\n", "others can reach 0.0.0.0:0"),
        ("[flight]\nlisten = \"127.0.0.1:0\"\ntls = { certificate_file = \"nowhere.pem\", key_file = \"x\" }\n", "nowhere.pem"),
    ] {
        std::fs::write(&file, crate::common::settings(&[]) + settings).unwrap();
        let (_, err, ended_well) = run(&["run", "--config", file.to_str().unwrap(), "--data", data]).unwrap();
        assert!(!ended_well && err.contains(says), "{settings}: {err}");
    }
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    assert!(["postgres", "flight"].iter().all(|wire| !system.contact.listeners.contains_key(*wire)));
}
