//! What Docker's users get is what is tested here: the versions and settings of `compose/stack`, and metrics that exist.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn text(file: &str) -> String {
    fs::read_to_string(here().join(file)).unwrap()
}

/// The value of a line `name=value`.
fn value<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('=')).unwrap()
}

#[test]
fn servers_have_the_versions_and_settings_of_the_stack() {
    let (compose, stack) = (text("compose.yaml"), text("stack"));
    for (image, version) in [("apache/kafka", "KAFKA_VERSION"), ("questdb/questdb", "QUESTDB_VERSION")] {
        let image = format!("image: {image}:{}\n", value(&stack, version));
        assert!(compose.contains(&image), "{image}");
    }
    for (key, names) in [
        (
            "KAFKA",
            &[
                "auto.create.topics.enable",
                "offsets.topic.replication.factor",
                "transaction.state.log.replication.factor",
                "transaction.state.log.min.isr",
                "group.initial.rebalance.delay.ms",
            ] as &[&str],
        ),
        (
            "QDB",
            &[
                "line.auto.create.new.columns",
                "line.auto.create.new.tables",
                "line.tcp.enabled",
                "http.export.connection.limit",
            ],
        ),
    ] {
        for name in names {
            let variable = format!("{key}_{}: ", name.to_uppercase().replace('.', "_"));
            let set =
                compose.lines().find_map(|line| line.trim().strip_prefix(&variable)).unwrap_or_else(|| panic!("{variable}"));
            assert_eq!(set.trim_matches('"'), value(&stack, name), "{name}");
        }
    }
}

#[test]
fn prometheus_asks_where_every_process_answers() {
    let (compose, prometheus) = (text("compose.yaml"), text("prometheus.yml"));
    let port = prometheus.lines().find_map(|line| line.trim().strip_prefix("port: ")).unwrap();
    assert!(compose.contains(&format!("  WAYSTREAM_HEALTH__ADDRESS: 0.0.0.0:{port}\n")), "{port}");
    let asked = prometheus.lines().find_map(|line| line.trim().strip_prefix("- names: [")?.strip_suffix(']')).unwrap();
    for name in asked.split(", ") {
        assert!(compose.contains(&format!("\n  {name}:")), "{name}");
    }
}

/// `/readyz` tells of the store too, and if that is down it is down for every gateway: browsers would have none.
#[test]
fn the_balancer_asks_whether_a_gateway_lives_not_whether_all_is_well() {
    assert!(text("haproxy.cfg").contains("\n    option httpchk GET /healthz\n"));
}

#[test]
fn mounted_files_exist() {
    let compose = text("compose.yaml");
    let mounted: Vec<_> = compose.split('"').filter_map(|part| part.strip_prefix("./")?.split(':').next()).collect();
    assert!(mounted.len() >= 5);
    for file in mounted {
        assert!(here().join(file).is_file(), "{file}");
    }
}

#[test]
fn every_metric_on_the_dashboard_is_one_of_ours() {
    let dashboard: serde_json::Value = serde_json::from_str(&text("grafana/waystream.json")).unwrap();
    let metrics: BTreeSet<String> = strings(&dashboard)
        .into_iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'))
        .filter(|word| word.starts_with("waystream_"))
        .map(String::from)
        .collect();
    assert!(metrics.len() > 10);
    let mut sources = String::new();
    read_sources(&here().join(".."), &mut sources);
    for metric in metrics {
        assert!(sources.contains(&format!("\"{metric}\"")), "{metric}");
    }
}

fn strings(value: &serde_json::Value) -> Vec<&str> {
    match value {
        serde_json::Value::String(text) => vec![text],
        serde_json::Value::Array(values) => values.iter().flat_map(strings).collect(),
        serde_json::Value::Object(map) => map.values().flat_map(strings).collect(),
        _ => Vec::new(),
    }
}

/// All metrics have their names in a file of that name.
fn read_sources(folder: &Path, into: &mut String) {
    let entries: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && !matches!(name.as_str(), "target" | "node_modules" | ".git" | "data") {
            read_sources(&path, into);
        } else if name == "metrics.rs" {
            into.push_str(&fs::read_to_string(path).unwrap());
        }
    }
}
