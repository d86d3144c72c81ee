//! What programs read is whole, however little people are shown at a time.

use crate::commands::{text, well};
use crate::common::{System, settings, shared};

#[test]
fn files_have_every_row_from_a_folder_and_from_a_running_system() {
    let folder = tempfile::tempdir().unwrap();
    let (data, config) = (text(folder.path()), folder.path().join("settings.toml"));
    let settings = settings(&[]) + "[sql]\nmax_rows = 5\n";
    std::fs::write(&config, &settings).unwrap();
    well(&["import", text(&shared("data/tracks/liverpool_bus.csv.gz")), "--data", data]);
    let ask = |format: &str| {
        let query = "SELECT device, fix_time FROM positions";
        well(&["sql", query, "--format", format, "--data", data, "--config", text(&config)])
    };
    let check = || {
        assert_eq!(ask("csv").lines().count(), 1 + 1_533);
        let json: serde_json::Value = serde_json::from_str(&ask("json")).unwrap();
        assert_eq!(json["rows"].as_array().unwrap().len(), 5);
        assert_eq!(json["truncated"], true);
        assert!(ask("table").ends_with("5 rows, cut off at the limit\n"));
        // Of all eight vehicles.
        assert_eq!(well(&["export", "--data", data, "--config", text(&config)]).lines().count(), 1 + 1_533);
    };
    check();
    let _system = System::start(folder.path(), &settings).unwrap();
    check();
}

#[tokio::test]
async fn what_a_removed_device_has_reported_is_exported() {
    let folder = tempfile::tempdir().unwrap();
    well(&["import", text(&shared("data/tracks/liverpool_bus.csv.gz")), "--data", text(folder.path())]);
    let system = System::start(folder.path(), &settings(&[])).unwrap();
    let browser = system.browser().await;
    let url = format!("http://{}/api", system.address("dashboard"));
    let remove = browser.delete(format!("{url}/devices/livbus-4716")).header("x-waystream", "1");
    assert_eq!(remove.send().await.unwrap().status(), 204);
    let exported = browser.get(format!("{url}/export?format=csv")).send().await.unwrap().error_for_status().unwrap();
    assert_eq!(exported.text().await.unwrap().lines().count(), 1 + 1_533);
}
