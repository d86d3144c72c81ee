//! `replay`: a day of many vehicles replayed faster than they reported, without a browser: positions a second, and what each costs the
//! server.

use anyhow::{Result, ensure};
use clap::Parser;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use waystream_benchmarks::replayed::{Replayed, Wanted};
use waystream_benchmarks::report::{self, Row, grouped, per_second};
use waystream_benchmarks::served::Served;
use waystream_benchmarks::watcher::Watcher;

/// Replays all vehicles to one client that takes everything at once, with the server in a process of its own. Most of the time it takes is
/// for putting the history in.
#[derive(Debug, Parser)]
struct Args {
    /// Vehicles.
    #[arg(long, default_value_t = 10_000)]
    vehicles: usize,
    /// Hours of history.
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// In history each has reported once in so many seconds.
    #[arg(long, default_value_t = 45)]
    history_period: usize,
    /// Times real time, up to 1000; several, one after the other from the beginning, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "480,1000")]
    speeds: Vec<f64>,
    /// Seconds of measuring each.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Where to make the folder.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

// One thread, so that its processor time is one core at most and the rest is the server's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    let dir = tempfile::tempdir_in(&args.dir)?;
    let of_gateway = [
        ("--vehicles", args.vehicles.to_string()),
        ("--period", "10".into()),
        ("--history-hours", args.hours.to_string()),
        ("--history-period", args.history_period.to_string()),
    ];
    let of_gateway: Vec<String> = of_gateway.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect();
    let served = Served::start(&of_gateway, dir.path()).await?;
    let to_ms = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?;
    let from_ms = to_ms - 3_600_000 * i64::from(args.hours);

    let idle = served.usage()?;
    let looked = Duration::from_secs(args.seconds.min(5));
    tokio::time::sleep(looked).await;
    let idle = served.usage()?.cpu_since(&idle).as_secs_f64() / looked.as_secs_f64();
    let mut rows = vec![Row::new("server before it: the live fleet alone", format!("{:.0} % of a core", 100.0 * idle))];
    for speed in &args.speeds {
        rows.extend(measure(&args, &served, Wanted { from_ms, to_ms, speed: *speed }).await?);
    }
    let title = format!(
        "Replay of {} vehicles, {} h of a position each {} s",
        grouped(args.vehicles as u64),
        args.hours,
        args.history_period
    );
    Ok(report::print(&title, &rows)?)
}

async fn measure(args: &Args, served: &Served, wanted: Wanted) -> Result<Vec<Row>> {
    let watcher = Watcher::connect(&served.server, served.address, None).await?;
    let began = Instant::now();
    let mut replayed = Replayed::open(watcher, wanted).await?;
    let opened = began.elapsed();
    ensure!(replayed.vehicles == args.vehicles, "{} vehicles have a history", replayed.vehicles);

    let (before, clock_ms) = (served.usage()?, replayed.clock_ms);
    let took = replayed.play(Duration::from_secs(args.seconds)).await?;
    let after = served.usage()?;
    let cpu = after.cpu_since(&before).as_secs_f64();
    ensure!(replayed.positions > 0, "nothing was replayed");
    let reached = (replayed.clock_ms - clock_ms) as f64 / 1e3 / took.as_secs_f64();
    let what = format!("x{}", wanted.speed);
    let positions = replayed.positions as f64;
    Ok(vec![
        Row::new(format!("{what}: until it is ready"), format!("{:.2} s", opened.as_secs_f64())),
        Row::new(
            format!("{what}: positions/s"),
            format!(
                "{}, clock at x{reached:.0}, {:.1} bytes each",
                per_second(replayed.positions, took),
                replayed.bytes as f64 / positions
            ),
        ),
        Row::new(
            format!("{what}: processor of the server"),
            format!(
                "{:.0} % of a core, {:.2} µs a position, {} positions/s on a busy core",
                100.0 * cpu / took.as_secs_f64(),
                cpu * 1e6 / positions,
                grouped((positions / cpu.max(1e-9)) as u64)
            ),
        ),
        Row::new(format!("{what}: memory of the server"), after.memory()),
    ])
}
