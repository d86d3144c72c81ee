//! `scale`: how large one process can be.

use anyhow::Result;
use clap::Parser;
use waystream_benchmarks::{report, scale};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures memory, restore and edits at scale.
#[derive(Debug, Parser)]
struct Args {
    /// Devices.
    #[arg(long, default_value_t = 1_000_000)]
    devices: usize,
    /// Fixes of each device.
    #[arg(long, default_value_t = 64)]
    fixes: usize,
    /// Last fixes of each that are remembered: what `late_memory_mib` leaves room for.
    #[arg(long, default_value_t = 48)]
    remembered: usize,
    /// Geofences.
    #[arg(long, default_value_t = 1_000_000)]
    fences: usize,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let mut rows = scale::fences(args.fences)?;
    let (mut states, row) = scale::states(args.devices, args.fixes, args.remembered)?;
    rows.push(row);
    rows.push(scale::restore(&mut states)?);
    report::print("Scale", &rows)?;
    Ok(())
}
