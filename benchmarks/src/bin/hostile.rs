//! `hostile`: trackers report and sockets watch, first undisturbed, then while statements without end or measure are asked of the same
//! process: how old positions are when sockets take them, and how long trackers wait, without those statements and with them.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::time::Duration;
use waystream_benchmarks::endure::sockets::{self, Sockets, Watching};
use waystream_benchmarks::endure::system::{Sizes, System};
use waystream_benchmarks::endure::trackers::Trackers;
use waystream_benchmarks::endure::{Span, now_ms};
use waystream_benchmarks::hostile::{ANSWERED, Asker, Askers};
use waystream_benchmarks::process::Usage;
use waystream_benchmarks::report::{self, Row};
use waystream_benchmarks::watcher::sign_in;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command of the process that has the sockets.
const WATCH: &str = "watch";
/// Before it is measured each tracker has reported so often.
const REPORTS_BEFORE: u32 = 3;
/// Seconds between two reports of a tracker.
const PERIOD: Duration = Duration::from_secs(1);
/// Who is told nothing for so long misses something.
const HUNGRY_AFTER: Duration = Duration::from_secs(5);
/// Until all sockets have been told something, and all trackers are answered.
const DEADLINE: Duration = Duration::from_secs(120);

/// Measures what live tracking notices of statements that nobody should ask.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Role>,
    /// The program; by default the one beside this.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Trackers, each a connection; each reports once a second.
    #[arg(long, default_value_t = 1_000)]
    connections: u32,
    /// Sockets; each watches one fleet.
    #[arg(long, default_value_t = 50)]
    sockets: usize,
    /// Fleets that the trackers belong to.
    #[arg(long, default_value_t = 10)]
    fleets: usize,
    /// Who ask, each one statement after the other.
    #[arg(long, default_value_t = 16)]
    askers: usize,
    /// Seconds of measuring without statements, and as many with them.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Seconds that a query may take.
    #[arg(long, default_value_t = 30)]
    deadline: u64,
    /// Where to make folders.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The sockets; started by this program itself.
    #[command(hide = true)]
    Watch(Watching),
}

// One thread, so that its processor time is one core at most and the rest is the system's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
    if let Some(Role::Watch(watching)) = args.command {
        return sockets::serve(watching).await;
    }
    ensure!(args.connections > 0 && args.fleets > 0 && args.sockets > 0, "nobody would report, or watch");
    run(&args).await
}

async fn run(args: &Args) -> Result<()> {
    let dir = tempfile::tempdir_in(&args.dir)?;
    let beside = std::env::current_exe()?.with_file_name("waystream");
    let binary = args.binary.clone().unwrap_or(beside);
    let (connections, sockets, fleets) = (args.connections, args.sockets, args.fleets);
    let sizes = Sizes { connections, sockets, fleets, query_s: args.deadline };
    let system = System::start(&binary, dir.path(), true, sizes).await?;
    system.enrol(sizes).await?;
    let cookie = sign_in(system.link()?).await?;
    let mut trackers = Trackers::start(system.trackers, connections, PERIOD);
    trackers.have_reported(REPORTS_BEFORE).await;
    ensure!(trackers.missing() == 0, "{} trackers could not connect", trackers.missing());
    let watching = Watching::new(system.dashboards.clone(), sockets, fleets, HUNGRY_AFTER);
    let sockets = Sockets::start(WATCH, &watching, &cookie).await?;
    sockets.all_fed(DEADLINE).await?;

    let time = Duration::from_secs(args.seconds);
    let before = system.usage()?;
    let calm = during(time).await;
    let between = system.usage()?;
    let dashboard = *system.dashboards.first().context("no dashboard")?;
    let askers = Askers::start(dashboard, &cookie, args.askers);
    let disturbed = during(time).await;
    let after = system.usage()?;
    let outcomes = askers.end().await?;
    let asker = Asker::new(dashboard, &cookie);
    let harmless = async {
        while asker.ask("SELECT count(*) FROM positions").await? != ANSWERED {}
        anyhow::Ok(())
    };
    tokio::time::timeout(DEADLINE, harmless).await.context("what is harmless is not answered afterwards")??;

    let answers = |span: &Span| trackers.latencies().within(std::slice::from_ref(span)).1.to_string();
    let mut rows = vec![
        Row::new("from when a report was due to its answer, without", answers(&calm)),
        Row::new("from when a report was due to its answer, with", answers(&disturbed)),
    ];
    trackers.end(DEADLINE).await?;
    let ended = sockets.ended();
    let names = [
        "age of a position when a socket takes it, without",
        "age of a position when a socket takes it, with",
        "positions taken by sockets, with",
    ];
    let ages = sockets.end(&disturbed, std::slice::from_ref(&calm)).await?;
    rows.extend(ages.into_iter().zip(names).map(|(row, name)| row.named(name)));
    rows.push(Row::new("sockets that ended and came back", ended.to_string()));
    for (what, count) in outcomes {
        rows.push(Row::new(format!("statements {what}"), count.to_string()));
    }
    for (name, usage) in &after {
        let cores = |to: &Usage, from: &Usage| to.cpu_since(from).as_secs_f64() / time.as_secs_f64();
        let (without, with) = (cores(&between[name], &before[name]), cores(usage, &between[name]));
        let figure = format!("{:.0} %, {:.0} % of a core; {}", without * 100.0, with * 100.0, usage.memory());
        rows.push(Row::new(format!("{name}: processor without and with, memory"), figure));
    }
    let title = format!("{connections} positions a second, without and with {} who ask hostile SQL", args.askers);
    Ok(report::print(&title, &rows)?)
}

/// From now on for so long.
async fn during(time: Duration) -> Span {
    let from = now_ms();
    tokio::time::sleep(time).await;
    from..now_ms()
}
