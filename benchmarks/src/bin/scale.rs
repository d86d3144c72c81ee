//! `scale`: how large one process can be.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::Command;
use waystream_benchmarks::report::{self, Row};
use waystream_benchmarks::{scale, start};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures memory, restore and edits at scale.
#[derive(Debug, Parser)]
struct Args {
    /// Devices.
    #[arg(long, default_value_t = 1_000_000)]
    devices: usize,
    /// Geofences.
    #[arg(long, default_value_t = 1_000_000)]
    fences: usize,
    /// What the devices do: parked, road, worst, or the name of recorded tracks. Each by itself.
    #[arg(long, value_delimiter = ',', default_value = "parked,road,warsaw_bus,us_coastal_ais,austin_bus,worst")]
    kinds: Vec<String>,
    /// Most bytes of each device's last fixes: each kind once without and once with this limit.
    #[arg(long, default_value_t = 400)]
    late_bytes: usize,
    /// Dataflow workers at the start that is timed.
    #[arg(long, default_value_t = 2)]
    workers: usize,
    /// Where to make the log; on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// Recorded tracks.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/tracks"))]
    tracks: PathBuf,
    #[command(subcommand)]
    alone: Option<Alone>,
}

#[derive(Debug, Subcommand)]
enum Alone {
    /// Only the memory of states in a file, as a line of two columns: the program calls itself.
    Memory { what: String, devices: usize, models: PathBuf },
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(Alone::Memory { what, devices, models }) = args.alone {
        let saved = serde_json::from_reader(BufReader::new(File::open(models)?))?;
        return Ok(report::print_line(&scale::memory(&what, &saved, devices)?)?);
    }
    let mut rows = Vec::new();
    for late_bytes in [usize::MAX, args.late_bytes] {
        for kind in &args.kinds {
            let limit = if late_bytes == usize::MAX { String::new() } else { format!(", `late_bytes = {late_bytes}`") };
            let (what, saved) = (format!("{kind}{limit}"), scale::models(kind, late_bytes, &args.tracks)?);
            rows.push(memory(&what, &saved, args.devices)?);
            if rows.len() == 1 {
                rows.push(scale::restore(&what, &saved, args.devices)?);
                let dir = tempfile::tempdir_in(&args.dir)?;
                let log = EmbeddedLog::open(dir.path(), EmbeddedOptions::default())?;
                rows.push(start::start(log.clone(), &what, &saved, args.devices, args.workers).await?);
                log.close().await;
            }
        }
    }
    rows.extend(scale::edits(args.fences, args.devices)?);
    report::print("Scale", &rows)?;
    Ok(())
}

/// In a process of its own.
fn memory(what: &str, saved: &scale::Saved, devices: usize) -> Result<Row> {
    let mut models = tempfile::NamedTempFile::new()?;
    serde_json::to_writer(&mut models, saved)?;
    let mut alone = Command::new(std::env::current_exe()?);
    let output = alone.args(["memory", what, &devices.to_string()]).arg(models.path()).output()?;
    ensure!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout)?;
    let (what, figure) = text.trim_end().split_once('\t').context("a line of two columns")?;
    Ok(Row::new(what, figure))
}
