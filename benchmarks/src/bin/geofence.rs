//! `geofence`: the geofence job on the shared workload, checked against its truth while it is measured.

use anyhow::{Context, Result};
use clap::Parser;
use std::path::PathBuf;
use waystream_benchmarks::workload::{self, Size};
use waystream_benchmarks::{folded, report};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the geofence job.
#[derive(Debug, Parser)]
struct Args {
    /// Numbers of geofences.
    #[arg(long, value_delimiter = ',', default_values_t = [100, 1000, 10_000])]
    fences: Vec<usize>,
    /// Numbers of dataflow workers.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 2])]
    workers: Vec<usize>,
    /// Devices.
    #[arg(long, default_value_t = 10_000)]
    devices: usize,
    /// Fixes of each device.
    #[arg(long, default_value_t = 100)]
    ticks: usize,
    /// Positions a second while latency is measured; 0: don't.
    #[arg(long, default_value_t = 10_000)]
    rate: usize,
    /// Seconds of measuring latency.
    #[arg(long, default_value_t = 20)]
    seconds: usize,
    /// Source of the generator.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/geofence-workload/gen.rs"))]
    generator: PathBuf,
    /// Where to make folders; on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(args.dir)?;
    let generator = workload::build_generator(&args.generator, dir.path())?;
    let mut logs = 0;
    let mut open = || {
        logs += 1;
        EmbeddedLog::open(&dir.path().join(format!("log-{logs}")), EmbeddedOptions::default())
    };
    let mut rows = Vec::new();
    for fences in args.fences {
        let size = Size { fences, devices: args.devices, ticks: args.ticks };
        let workload = workload::generate(&generator, dir.path(), size).with_context(|| format!("{fences} geofences"))?;
        rows.extend(folded::fold_alone(&workload)?);
        for workers in &args.workers {
            let log = open()?;
            rows.push(folded::whole_job(log.clone(), &workload, *workers).await?);
            log.close().await;
        }
        if args.rate > 0 {
            let log = open()?;
            rows.push(folded::epoch_latency(log.clone(), &workload, args.rate, args.seconds).await?);
            log.close().await;
        }
    }
    report::print("Geofence job", &rows)?;
    Ok(())
}
