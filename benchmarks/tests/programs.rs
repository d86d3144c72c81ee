//! Every program runs at a small size, and its own checks hold: nothing lost, events exactly the truth.

#[path = "../../pipeline/store/tests/support/questdb.rs"]
mod questdb;

use std::path::Path;
use std::process::Command;

fn run(program: &str, arguments: &[&str]) -> String {
    let dir = tempfile::tempdir().expect("a folder");
    let output = Command::new(program).args(arguments).arg("--dir").arg(dir.path()).output().expect("it starts");
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_log_is_measured() {
    let table =
        run(env!("CARGO_BIN_EXE_log"), &["--records", "20000", "--batch", "1000", "--callers", "50", "--lone-calls", "20"]);
    assert!(table.contains("records/s"), "{table}");
}

#[test]
fn every_position_sent_is_in_history() {
    let table = run(env!("CARGO_BIN_EXE_connectors"), &["--connections", "20", "--packets", "5", "--dataflow"]);
    assert_eq!(table.matches("all in history, each once").count(), 2, "{table}");
}

/// Real servers, and the real program in four processes.
#[test]
fn every_position_goes_through_every_role_on_kafka_and_questdb() {
    let table = run(env!("CARGO_BIN_EXE_distributed"), &["--connections", "20", "--packets", "5"]);
    for part in ["worked out by the dataflow", "in QuestDB, counted by itself", "kafka: CPU", "archive: CPU"] {
        assert!(table.contains(part), "{part}: {table}");
    }
    let live = ["--embedded", "--live", "50", "--live-seconds", "1"];
    let table = run(env!("CARGO_BIN_EXE_distributed"), &live);
    assert!(table.contains("/sign-in?token=") && table.contains("50 positions/s asked for"), "{table}");
}

/// All in one process, which is killed while trackers report and sockets watch.
#[test]
fn nothing_is_lost_or_doubled_when_everybody_is_cut_off() {
    let sizes = ["--connections", "50", "--sockets", "20", "--fleets", "5", "--period", "2", "--seconds", "15"];
    let table = run(env!("CARGO_BIN_EXE_endure"), &[&sizes[..], &["--embedded", "--faults", "kill"]].concat());
    for row in ["kill -9 of all | trackers: ", "| lost | 0 |", "| twice | 0 |", "age of a position"] {
        assert!(table.contains(row), "{row}: {table}");
    }
}

#[test]
fn live_tracking_is_measured_beside_hostile_queries() {
    let sizes =
        ["--connections", "20", "--sockets", "4", "--fleets", "2", "--seconds", "3", "--askers", "6", "--deadline", "1"];
    let table = run(env!("CARGO_BIN_EXE_hostile"), &sizes);
    for row in ["takes it, without | p50 ", "takes it, with | p50 ", "statements refused as wrong (400)", "statements stopped"]
    {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert!(!table.contains("NaN"), "{table}");
}

#[test]
fn idle_connections_are_measured() {
    let table = run(env!("CARGO_BIN_EXE_connectors"), &["--connections", "50", "--idle"]);
    assert!(table.contains("memory of the system for each"), "{table}");
}

#[test]
fn every_protocol_is_measured() {
    let output = Command::new(env!("CARGO_BIN_EXE_decode")).args(["--millis", "1"]).output().expect("it starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let table = String::from_utf8(output.stdout).expect("text");
    assert!(table.lines().count() > 40 && table.contains("| gt06 |"), "{table}");
}

#[test]
fn the_geofence_job_is_exact() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/geofence-workload/gen.rs");
    assert!(Path::new(source).exists(), "the shared folder lies beside the workspace");
    let sizes = ["--fences", "100", "--devices", "1000", "--ticks", "20", "--rate", "1000", "--seconds", "1"];
    let table = run(env!("CARGO_BIN_EXE_geofence"), &sizes);
    assert_eq!(table.matches("events exactly the truth").count(), 5, "{table}");
}

#[test]
fn a_replay_is_measured() {
    let sizes = ["--vehicles", "200", "--hours", "1", "--speeds", "1000", "--seconds", "5"];
    let table = run(env!("CARGO_BIN_EXE_replay"), &sizes);
    assert!(table.contains("| x1000: positions/s |") && table.contains("positions/s on a busy core"), "{table}");
}

/// By our gateway alone: the usual stack's server is not part of this repository.
#[test]
fn sockets_that_watch_fleets_are_told_of_them() {
    let sizes = ["--clients", "20", "--fleets", "2", "--frozen", "2", "--seconds", "2", "--warm", "1"];
    let table = run(env!("CARGO_BIN_EXE_fanout"), &sizes);
    for row in ["20 sockets, 2 fleets, 2 frozen", "memory of an idle socket", "/s of 180/s", "frozen sockets that read again"] {
        assert!(table.contains(row), "{row}: {table}");
    }
    assert!(!table.contains("deliveries | 0/s") && !table.contains("arrived | p50 NaN"), "{table}");
}

#[test]
fn what_is_restored_at_scale_is_what_was_saved() {
    let sizes = ["--devices", "1500", "--fences", "500", "--kinds", "road,liverpool_bus"];
    let table = run(env!("CARGO_BIN_EXE_scale"), &sizes);
    assert!(table.contains("start of a dataflow with 1 500 devices"), "{table}");
    assert!(table.contains("states of 1 500 devices restored") && table.contains("an edit among 500 geofences"), "{table}");
}

/// The real QuestDB beside ours: the program compares every row.
#[test]
fn all_three_give_the_same_answers_to_the_questions_of_fleets() {
    let server = questdb::Server::start();
    let (host, port) = server.options().address;
    let address = format!("{host}:{port}");
    let sizes = ["--rows", "160000", "--vehicles", "20", "--repeat", "0", "--questdb", &address];
    let table = run(env!("CARGO_BIN_EXE_sql"), &sizes);
    assert!(table.contains("the same rows and values from all three"), "{table}");
    assert_eq!(table.matches(" rows), ms |").count(), 33, "{table}");
    // Answers without rows are all the same.
    assert!(!table.contains("(0 rows)"), "{table}");
}
