//! `log`: how fast the embedded log is.

use anyhow::Result;
use clap::Parser;
use std::path::PathBuf;
use waystream_benchmarks::log::{Sizes, measure};
use waystream_benchmarks::process;
use waystream_benchmarks::report::{self, Row};
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the embedded log on an empty folder.
#[derive(Debug, Parser)]
struct Args {
    /// Records in the part with big batches; a tenth of them in the part with small calls.
    #[arg(long, default_value_t = 2_000_000)]
    records: usize,
    /// Bytes of each value.
    #[arg(long, default_value_t = 100)]
    value_bytes: usize,
    /// Records per call in the part with big batches.
    #[arg(long, default_value_t = 10_000)]
    batch: usize,
    /// Calls waiting at the same time in the part with small calls.
    #[arg(long, default_value_t = 1000)]
    callers: usize,
    /// Calls of a lone caller.
    #[arg(long, default_value_t = 1000)]
    lone_calls: usize,
    /// Where to make the folder; on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// With quick repair.
    #[arg(long)]
    quick_repair: bool,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    let Args { records, value_bytes, batch, callers, lone_calls, .. } = args;
    let dir = tempfile::tempdir_in(args.dir)?;
    let options = EmbeddedOptions { quick_repair: args.quick_repair, ..EmbeddedOptions::default() };
    let log = EmbeddedLog::open(dir.path(), options)?;
    let mut rows = measure(log.clone(), &Sizes { records, value_bytes, batch, callers, lone_calls }).await?;
    log.close().await;
    rows.push(Row::new("memory of the process", process::usage("self")?.memory()));
    report::print("Embedded log", &rows)?;
    Ok(())
}
