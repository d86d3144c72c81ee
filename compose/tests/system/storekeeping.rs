//! `waystream store`: history as a whole, on a folder and beside a running system.

use crate::commands::{rows, text, well};
use crate::common::{System, run, settings};
use std::path::{Path, PathBuf};

const ERASED: &str = "352093081452251";
const OTHER: &str = "352093081452252";

/// A file of recorded tracks of both devices.
fn tracks(folder: &Path) -> PathBuf {
    let row = |device: &str, minute: usize| format!("{device},2024-06-03T04:{minute:02}:00Z,52.2{minute:02},21.01\n");
    let rows: String = [ERASED, OTHER].iter().flat_map(|device| (0..30).map(move |minute| row(device, minute))).collect();
    let path = folder.join("tracks.csv");
    std::fs::write(&path, format!("device_id,time,lat,lon\n{rows}")).unwrap();
    path
}

fn files_with(folder: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let (folders, files): (Vec<_>, Vec<_>) = paths.into_iter().partition(|path| path.is_dir());
    let holds = |path: &PathBuf| std::fs::read(path).unwrap().windows(bytes.len()).any(|some| some == bytes);
    let below = folders.iter().flat_map(|folder| files_with(folder, bytes));
    files.iter().filter(|path| holds(path)).cloned().chain(below).collect()
}

fn devices(csv: &str) -> Vec<&str> {
    let mut devices: Vec<_> = csv.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    devices.dedup();
    devices
}

#[test]
fn a_store_is_exported_checked_erased_from_and_imported() {
    let folder = tempfile::tempdir().unwrap();
    let (data, taken, restored) = (folder.path().join("data"), folder.path().join("taken"), folder.path().join("restored"));
    let (data_text, restored_text) = (text(&data), text(&restored));
    well(&["import", text(&tracks(folder.path())), "--data", data_text]);
    well(&["store", "compact", "--data", data_text]);
    assert_eq!(well(&["store", "check", "--data", data_text]), "nothing is damaged\n");
    let said = well(&["store", "export", text(&taken), "--data", data_text]);
    assert!(said.starts_with("exported ") && !folder.path().join("taken.part").exists(), "{said}");
    let (_, err, ended_well) = run(&["store", "export", text(&taken), "--data", data_text]).unwrap();
    assert!(!ended_well && err.contains("is there already"), "{err}");

    // What is taken elsewhere is the same there, and is not put into what has history.
    let all = rows(&well(&["export", "--data", data_text]));
    assert!(well(&["store", "import", text(&taken), "--data", restored_text]).starts_with("imported "));
    assert_eq!(rows(&well(&["export", "--data", restored_text])), all);
    let (_, err, ended_well) = run(&["store", "import", text(&taken), "--data", restored_text]).unwrap();
    assert!(!ended_well && err.contains("has history already"), "{err}");

    // On a folder.
    assert!(!files_with(&data.join("store"), ERASED.as_bytes()).is_empty());
    let said = well(&["store", "erase", ERASED, "--data", data_text]);
    assert!(said.contains("is erased"), "{said}");
    assert_eq!(files_with(&data.join("store"), ERASED.as_bytes()), Vec::<PathBuf>::new());
    // The log still has it, and nothing of that comes back.
    well(&["archive", "--from", "2000-01-01", "--data", data_text]);
    assert_eq!(devices(&well(&["export", "--data", data_text])), [OTHER]);
    assert_eq!(files_with(&data.join("store"), ERASED.as_bytes()), Vec::<PathBuf>::new());

    // Beside a running system.
    let system = System::start(&restored, &settings(&[])).unwrap();
    let (_, err, ended_well) = run(&["store", "import", text(&taken), "--data", restored_text]).unwrap();
    assert!(!ended_well && err.contains("another waystream runs"), "{err}");
    assert_eq!(well(&["store", "check", "--data", restored_text]), "nothing is damaged\n");
    well(&["store", "erase", ERASED, "--data", restored_text]);
    assert_eq!(files_with(&restored.join("store"), ERASED.as_bytes()), Vec::<PathBuf>::new());
    assert_eq!(devices(&well(&["export", "--data", restored_text])), [OTHER]);
    system.terminate().unwrap();

    // An older copy does not bring it back where it was erased.
    std::fs::remove_dir_all(data.join("store")).unwrap();
    well(&["store", "import", text(&taken), "--data", data_text]);
    assert_eq!(devices(&well(&["export", "--data", data_text])), [OTHER]);

    // Damage is named.
    let file = files_with(&taken, b"PAR1").into_iter().find(|path| path.parent().is_some_and(|p| p.ends_with("positions")));
    std::fs::write(file.unwrap(), "nonsense").unwrap();
    let (_, err, ended_well) = run(&["store", "import", text(&taken), "--data", text(&folder.path().join("new"))]).unwrap();
    assert!(!ended_well && err.contains("checksum is wrong"), "{err}");
}
