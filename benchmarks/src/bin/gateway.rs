//! `gateway`: the real gateway over a log into which a simulated fleet writes what the dataflow would; for browsers and sockets
//! to be measured against.

use anyhow::Result;
use clap::Parser;
use std::net::SocketAddr;
use std::path::PathBuf;
use waystream_benchmarks::fleet::Sizes;
use waystream_benchmarks::gateway::serve;
use waystream_benchmarks::past::Past;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves a dashboard of moving vehicles until standard input ends. Prints one sign-in link for each line that it reads.
#[derive(Debug, Parser)]
struct Args {
    /// Vehicles.
    #[arg(long, default_value_t = 20_000)]
    vehicles: usize,
    /// Each moves once in so many seconds.
    #[arg(long, default_value_t = 1)]
    period: usize,
    /// Fleets they belong to.
    #[arg(long, default_value_t = 10)]
    fleets: usize,
    /// Times a second that the fleet's part that moved is written.
    #[arg(long, default_value_t = 10)]
    hz: usize,
    /// Hours of history for replays.
    #[arg(long, default_value_t = 0)]
    history_hours: usize,
    /// In history each has reported once in so many seconds.
    #[arg(long, default_value_t = 45)]
    history_period: usize,
    /// Nobody moves.
    #[arg(long)]
    parked: bool,
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Where to make the folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let Args { vehicles, period, fleets, hz, history_hours, history_period, parked, listen, dir } = Args::parse();
    let dir = tempfile::tempdir_in(dir)?;
    let history = Past { hours: history_hours, period_s: history_period };
    serve(dir.path(), listen, Sizes { vehicles, fleets, hz, period_s: period }, history, parked).await
}
