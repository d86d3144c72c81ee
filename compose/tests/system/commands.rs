//! The commands that end by themselves, as a user types them.

use crate::common::{BINARY, System, run, settings, shared};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Runs a command that has to end well; gives its output.
pub(crate) fn well(arguments: &[&str]) -> String {
    let (out, err, ended_well) = run(arguments).unwrap();
    assert!(ended_well, "{arguments:?}: {err}");
    out
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn decode_prints_positions_and_replies() {
    let frames = "000f333536333037303432343431303133,000000000000003608010000016b40d8ea30010000000000000000000000000000000105021503010101425e0f01f10000601a014e0000000000000000010000c7cf";
    let out = well(&["decode", "--protocol", "teltonika", "--replies", "--frames", frames]);
    let lines: Vec<serde_json::Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0], serde_json::json!({"frame": 0, "reply_hex": "01"}));
    assert_eq!(lines[1]["device_id"], "356307042441013");
    assert_eq!(lines[1]["fix_time"], "2019-06-10T10:04:46.000Z");
    assert_eq!(lines[2], serde_json::json!({"frame": 1, "reply_hex": "00000001"}));

    let (_, err, ended_well) = run(&["decode", "--protocol", "teltonika", "--hex", "000f3335"]).unwrap();
    assert!(!ended_well && err.contains('0'), "a frame that is cut off is a fault with its index: {err}");
    let (_, err, ended_well) = run(&["decode", "--protocol", "telex", "--hex", "00"]).unwrap();
    assert!(!ended_well && err.contains("telex") && err.contains("teltonika"), "{err}");
}

#[test]
fn messages_in_quarantine_are_listed_and_what_is_understood_now_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    assert_eq!(well(&["quarantine", "list", "--data", data]), "");

    let line = |protocol: &str, device: &str, login: serde_json::Value, hex: &str| {
        let message = serde_json::json!({
            "received_at": "2019-06-10T10:04:50.000Z", "protocol": protocol, "device": device, "peer": null,
            "reason": "an old version", "datagram": false, "login_hex": login, "hex": hex,
        });
        message.to_string()
    };
    let packet = "000000000000003608010000016b40d8ea30010000000000000000000000000000000105021503010101425e0f01f10000601a014e0000000000000000010000c7cf";
    let lines = [
        line("teltonika", "356307042441013", "000f333536333037303432343431303133".into(), packet),
        line("jt808", "13812345678", serde_json::Value::Null, "7e0f01000301381234567800010102033d7e"),
    ];
    std::fs::create_dir(folder.path().join("quarantine")).unwrap();
    std::fs::write(folder.path().join("quarantine/newer.jsonl"), lines.join("\n") + "\n").unwrap();

    let listed = well(&["quarantine", "list", "--data", data]);
    assert_eq!(listed.lines().count(), 2);
    assert!(listed.lines().next().unwrap().contains(&format!("\t356307042441013\t-\tan old version\t{packet}")), "{listed}");
    assert_eq!(well(&["quarantine", "list", "--data", data, "--protocol", "jt808"]).lines().count(), 1);
    assert_eq!(well(&["quarantine", "list", "--data", data, "--device", "1"]), "");

    // Twice does no harm.
    for _ in 0..2 {
        let replayed = well(&["quarantine", "replay", "--data", data]);
        assert_eq!(replayed, "1 messages understood now, 1 positions stored; 1 are not understood\n");
    }
    let exported = well(&["export", "--data", data]);
    assert_eq!(exported.lines().filter(|line| line.contains("356307042441013")).count(), 1, "{exported}");
}

#[test]
fn a_wrong_setting_is_named_with_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    let cases = [
        ("[dataflow]\nworker = 2\n", "dataflow.worker"),
        ("[dataflow]\nworkers = \"many\"\n", "dataflow.workers"),
        ("[log]\nkind = \"papyrus\"\n", "papyrus"),
        ("roles = [\"cook\"]\n", "cook"),
        ("[log]\nkind = \"kafka\"\nbroker = \"here\"\n", "broker"),
        ("[log]\nbrokers = \"here\"\n", "brokers"),
        ("[connectors.listeners]\ntelex = 1\n", "telex"),
        ("[notify]\nsmtp = { host = \"x\", from = \"x\", encryption = \"rot13\" }\n", "notify.smtp"),
        ("[connectors\n", "mine.toml"),
    ];
    for (settings, names) in cases {
        std::fs::write(&file, settings).unwrap();
        let (_, err, ended_well) = run(&["check-config", "--config", text(&file)]).unwrap();
        assert!(!ended_well, "{settings}");
        assert!(err.contains("mine.toml") && err.contains(names), "{settings}: {err}");
    }
    let (_, err, ended_well) = run(&["check-config", "--config", "nowhere.toml"]).unwrap();
    assert!(!ended_well && err.contains("nowhere.toml"), "{err}");
}

#[test]
fn settings_come_from_file_environment_and_flags() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mine.toml");
    std::fs::write(&file, "data = \"from-file\"\n[dataflow]\nworkers = 3\nepoch_ms = 50\n").unwrap();
    let output = std::process::Command::new(crate::common::BINARY)
        .args(["check-config", "--config", text(&file), "--data", "from-flag"])
        .env("WAYSTREAM_DATAFLOW__EPOCH_MS", "70")
        .env("WAYSTREAM_BIN", "not a setting")
        .output()
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    for line in ["data = \"from-flag\"", "workers = 3", "epoch_ms = 70", "keep_positions_days = 7"] {
        assert!(printed.lines().any(|l| l == line), "{line} is missing in\n{printed}");
    }
    assert!(printed.contains("# Threads."), "comments are kept");
    // What is printed can be used.
    std::fs::write(&file, printed).unwrap();
    well(&["check-config", "--config", text(&file)]);
    let defaults = well(&["check-config", "--defaults"]);
    std::fs::write(&file, defaults).unwrap();
    well(&["check-config", "--config", text(&file)]);
}

#[test]
fn the_distributed_form_is_a_few_settings_and_roles() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("distributed.toml");
    let printed = well(&["check-config", "--config", text(&file)]);
    for line in ["kind = \"kafka\"", "brokers = \"127.0.0.1:9092\"", "partitions = 16", "kind = \"questdb\""] {
        assert!(printed.lines().any(|l| l == line), "{line} is missing in\n{printed}");
    }
    // What is printed can be used.
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("printed.toml");
    std::fs::write(&again, printed).unwrap();
    well(&["check-config", "--config", text(&again)]);

    // History in a folder is the business of the process that has the folder.
    std::fs::write(&again, "[log]\nkind = \"kafka\"\nbrokers = \"127.0.0.1:1\"\n").unwrap();
    let data = folder.path().join("data");
    let (_, err, ended_well) =
        run(&["run", "--config", text(&again), "--data", text(&data), "--roles", "gateway,sql"]).unwrap();
    assert!(!ended_well && err.contains("roles") && err.contains("archive"), "{err}");
    let (_, err, ended_well) = run(&["run", "--data", text(&data), "--roles", "cook"]).unwrap();
    assert!(!ended_well && err.contains("cook") && err.contains("dataflow"), "{err}");
}

/// Rows of an export without what is not in the recording, as a set.
pub(crate) fn rows(csv: &str) -> BTreeSet<String> {
    csv.lines().skip(1).map(|line| line.split(',').take(4).collect::<Vec<_>>().join(",")).collect()
}

#[test]
fn what_is_imported_comes_out_again_from_a_folder_and_from_a_running_system() {
    let tracks = shared("data/tracks/liverpool_bus.csv.gz");
    let mut recorded = String::new();
    let mut file = flate2::read::MultiGzDecoder::new(std::fs::File::open(&tracks).unwrap());
    std::io::Read::read_to_string(&mut file, &mut recorded).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let said = well(&["import", text(&tracks), "--data", data]);
    assert!(said.starts_with("1533 positions imported"), "{said}");
    assert_eq!(rows(&well(&["export", "--data", data])), rows(&recorded), "from a folder");
    // Once more: the same positions stay the same.
    well(&["import", text(&tracks), "--data", data]);
    let count = "SELECT count(*) AS n, count(DISTINCT device) AS d FROM positions";
    assert_eq!(well(&["sql", count, "--data", data, "--format", "csv"]), "n,d\n1533,8\n");

    for (format, start, end) in [("parquet", "PAR1", "PAR1"), ("xlsx", "PK", ""), ("kml", "<?xml", "</kml>\n")] {
        let file = folder.path().join(format!("tracks.{format}"));
        assert_eq!(well(&["export", "--data", data, "--format", format, "--output", text(&file)]), "");
        let written = std::fs::read(&file).unwrap();
        let whole = written.starts_with(start.as_bytes()) && written.ends_with(end.as_bytes());
        assert!(whole && written.len() > 5_000, "{format}: {} bytes", written.len());
        assert!(!folder.path().join(format!("tracks.{format}.part")).exists(), "{format}");
    }

    let _system = System::start(folder.path(), &settings(&[])).unwrap();
    assert_eq!(well(&["sql", count, "--data", data, "--format", "csv"]), "n,d\n1533,8\n");
    assert_eq!(rows(&well(&["export", "--data", data])), rows(&recorded), "from a running system");
    well(&["import", text(&shared("data/tracks/helsinki_phones.csv.gz")), "--data", data]);
    assert!(well(&["sql", count, "--data", data]).contains("16"), "eight phones more");
    let (_, err, ended_well) = run(&["sql", "SELECT nothing FROM nowhere", "--data", data]).unwrap();
    assert!(!ended_well && err.contains("nowhere"), "{err}");
}

/// Types this; gives what is printed, errors behind it, and whether it ended well.
fn typed(mut command: Command, input: &str) -> (String, bool) {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (text(output.stdout) + &text(output.stderr), output.status.success())
}

#[test]
fn the_shell_answers_what_is_piped_into_it_and_goes_on_after_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let (data, tracks) = (text(folder.path()), shared("data/tracks/liverpool_bus.csv.gz"));
    well(&["import", text(&tracks), "--data", data]);
    let script = folder.path().join("count.sql");
    std::fs::write(&script, "SELECT count(*) AS rows\nFROM positions -- all; of them").unwrap();
    let shell = || {
        let mut command = Command::new(BINARY);
        command.args(["sql", "--format", "csv", "--data", data]);
        command
    };
    let (said, ended_well) =
        typed(shell(), &format!("SELECT ';' AS a, 1 AS b; SELECT\n2 AS c;\n\\i {}\n\\d positions\n", text(&script)));
    assert!(ended_well, "{said}");
    assert!(said.starts_with("a,b\n;,1\nc\n2\nrows\n1533\ncolumn,type,nullable\n"), "{said}");
    assert!(said.contains("\nfix_time,"), "{said}");

    let mistakes = "SELECT nothing FROM positions;\n\\nonsense\n\\i /nowhere\n\\format json\nSELECT 3 AS d;\n\\q\nSELECT 4;";
    let (said, ended_well) = typed(shell(), mistakes);
    assert!(!ended_well, "{said}");
    for part in ["\"rows\":[\n[3]]", "nothing", "there is no command \\nonsense", "could not read /nowhere"] {
        assert!(said.contains(part), "{part} is missing in: {said}");
    }
    assert!(!said.contains("[4]"), "after the end: {said}");
    // Files that include themselves end too.
    std::fs::write(&script, format!("\\i {}\n", text(&script))).unwrap();
    assert!(typed(shell(), &format!("\\i {}", text(&script))).0.contains("files include each other"));
}

#[test]
fn who_changed_what_is_told_of_a_folder_and_of_the_system_that_runs_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = text(folder.path());
    let secret = well(&["token", "create", "--user", "admin", "--name", "report", "--data", data]);
    let id = secret.split('_').nth(1).unwrap();
    let told = well(&["audit", "--data", data]);
    let lines: Vec<&str> = told.lines().collect();
    // Newest first: the token, and with what a new system begins.
    assert_eq!((lines.len(), lines[0]), (5, "time\twho\tfrom\tchange\tthing\tdifference"), "{told}");
    assert!(lines[1].contains(&format!("\tcommand line\t-\tput\tapi_token/{id}\t")), "{told}");
    assert!(lines[2].contains("\twaystream (first start)\t-\tput\tuser/admin\t") && !told.contains(secret.trim()), "{told}");

    let system = System::start(folder.path(), &settings(&[])).unwrap();
    let since = well(&["audit", "--data", data]);
    let (header, new) = since.split_once('\n').unwrap();
    let (new, rest) = new.split_once('\n').unwrap();
    assert!(new.contains("\twaystream (a link for the first owner)\t-\tput\tsign_in_link/"), "{since}");
    assert_eq!(format!("{header}\n{rest}"), told);
    well(&["token", "revoke", id, "--data", data]);
    let told = well(&["audit", "--kind", "api_token", "--limit", "1", "--json", "--data", data]);
    let record: serde_json::Value = serde_json::from_str(&told).unwrap();
    assert_eq!((&record["change"], &record["by"]["type"]), (&"removed".into(), &"command_line".into()), "{told}");
    assert_eq!((&record["before"]["name"], &record["organisation"]), (&"report".into(), &"default".into()), "{told}");
    for (filter, lines) in [(["--user", "admin"], 1), (["--since", "2999-01-01"], 1), (["--kind", "api_token"], 3)] {
        let told = well(&[&["audit", "--data", data][..], &filter].concat());
        assert_eq!(told.lines().count(), lines, "{filter:?}: {told}");
    }
    let (_, err, ended_well) = run(&["audit", "--kind", "tyre", "--data", data]).unwrap();
    assert!(!ended_well && err.contains("tyre"), "{err}");
    system.terminate().unwrap();
}

/// Talks with it in a terminal: waits for each text and then types; gives all that was said.
fn talk(arguments: &str, steps: &[(&str, &str)]) -> String {
    // `script` is of util-linux, which every Debian has. What never comes is not waited for.
    let mut command = Command::new("timeout");
    command
        .args(["60", "script", "--quiet", "--return", "--command", &format!("'{BINARY}' {arguments}"), "/dev/null"])
        .env("TERM", "xterm");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let (mut said, mut seen, mut chunk) = (String::new(), 0, [0; 1024]);
    for (until, typed) in steps {
        while !said[seen..].contains(until) {
            let read = screen.read(&mut chunk).unwrap();
            assert!(read > 0, "{until:?} does not come: {said:?}");
            said += &String::from_utf8_lossy(&chunk[..read]);
        }
        seen += said[seen..].find(until).unwrap() + until.len();
        keys.write_all(typed.as_bytes()).unwrap();
    }
    screen.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success(), "{said:?}");
    said
}

#[test]
fn the_shell_in_a_terminal_completes_words_and_remembers_what_was_typed() {
    const PROMPT: &str = "waystream> ";
    let folder = tempfile::tempdir().unwrap();
    let shell = format!("sql --format csv --data '{}'", text(folder.path()));
    talk(
        &shell,
        &[
            (PROMPT, "\\timing\n"),
            ("timing is on", ""),
            (PROMPT, "select count(*) + 41 as n from latest_p\t"),
            ("from latest_positions", ";\n"),
            ("\n41\r\n", ""),
            (" ms", ""),
            (PROMPT, "\\q\n"),
        ],
    );
    // The keys for the line before, twice.
    talk(&shell, &[(PROMPT, "\u{10}\u{10}\n"), ("\n41\r\n", ""), (PROMPT, "\\q\n")]);
}
