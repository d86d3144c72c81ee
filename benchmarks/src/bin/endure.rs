//! `endure`: thousands of trackers and sockets at once while faults go on: memory, lag, how fast all are well again, and whether all
//! that was answered is in history, once.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use waystream_benchmarks::endure::faults::{Fault, Faults, Happened};
use waystream_benchmarks::endure::sockets::{self, Sockets, Watching};
use waystream_benchmarks::endure::system::{Sizes, System};
use waystream_benchmarks::endure::trackers::{Fixes, Trackers};
use waystream_benchmarks::endure::{Recovery, Span, now_ms, quiet};
use waystream_benchmarks::process::{Usage, usage};
use waystream_benchmarks::report::{self, Row};
use waystream_benchmarks::watcher::sign_in;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The command of the process that has the sockets.
const WATCH: &str = "watch";
/// Descriptors of a process besides those of its clients.
const OTHER_FILES: u64 = 500;
/// Before it is measured each tracker has reported so often: its trip has begun, and its alerts have been told.
const REPORTS_BEFORE: u32 = 2;
/// Whoever waits longer for something to be told misses something, unless its fleet reports less often.
const HUNGRY_AFTER: Duration = Duration::from_secs(3);
/// Until all sockets have been told something, all trackers are answered, and all is in history.
const DEADLINE: Duration = Duration::from_secs(120);
/// Seconds that reading all of history may take.
const QUERY_S: u64 = 120;
/// Devices that are named if something of them is lost.
const NAMED: usize = 10;

/// Measures how the program, as processes on Kafka, QuestDB and Redis or as one process, stands faults under load.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Role>,
    /// The program; by default the one beside this.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// One process on embedded parts instead.
    #[arg(long)]
    embedded: bool,
    /// Trackers, each a connection.
    #[arg(long, default_value_t = 15_000)]
    connections: u32,
    /// Sockets, half of them at each of two gateways.
    #[arg(long, default_value_t = 10_000)]
    sockets: usize,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 180)]
    seconds: u64,
    /// Seconds between two reports of a tracker.
    #[arg(long, default_value_t = 30)]
    period: u64,
    /// Fleets that the trackers belong to; each socket watches one.
    #[arg(long, default_value_t = 500)]
    fleets: usize,
    /// Which faults; by default all that are possible.
    #[arg(long, value_enum, value_delimiter = ',')]
    faults: Vec<Fault>,
    /// Gives the same faults again; by default made up, and told.
    #[arg(long)]
    seed: Option<u64>,
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
    let files = rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
    if let Some(Role::Watch(watching)) = args.command {
        return sockets::serve(watching).await;
    }
    let together = if args.embedded { args.sockets as u64 } else { 0 };
    let needed = (u64::from(args.connections) + together).max(args.sockets as u64) + OTHER_FILES;
    ensure!(needed <= files, "a process may have {files} open files, and one would need {needed}");
    ensure!(args.connections > 0 && args.fleets > 0 && args.period > 0, "nobody would report");
    let seed = args.seed.unwrap_or_else(rand::random);
    eprintln!("--seed {seed}");
    run(&args, seed).await
}

async fn run(args: &Args, seed: u64) -> Result<()> {
    let dir = tempfile::tempdir_in(&args.dir)?;
    let beside = std::env::current_exe()?.with_file_name("waystream");
    let binary = args.binary.clone().unwrap_or(beside);
    let sizes = Sizes { connections: args.connections, sockets: args.sockets, fleets: args.fleets, query_s: QUERY_S };
    let mut system = System::start(&binary, dir.path(), args.embedded, sizes).await?;
    system.enrol(sizes).await?;
    let cookie = sign_in(system.link()?).await?;

    let period = Duration::from_secs(args.period);
    let mut trackers = Trackers::start(system.trackers, args.connections, period);
    trackers.have_reported(REPORTS_BEFORE).await;
    ensure!(trackers.missing() == 0, "{} trackers could not connect", trackers.missing());
    let told_every = period.mul_f64(args.fleets as f64 / f64::from(args.connections));
    let watching =
        Watching::new(system.dashboards.clone(), args.sockets, args.fleets, HUNGRY_AFTER.max(told_every.mul_f64(3.0)));
    let mut sockets = Sockets::start(WATCH, &watching, &cookie).await?;
    sockets.all_fed(DEADLINE).await?;

    let mut faults = Faults::new(seed, args.connections);
    let before = all_usage(&system, &sockets)?;
    let ended_before = sockets.ended();
    let (started, started_ms) = (Instant::now(), now_ms());
    let time = Duration::from_secs(args.seconds);
    let mut happened: Vec<Happened> = Vec::new();
    for (at, fault) in faults.schedule(&kinds(args), time) {
        sleep_until(started + at).await;
        let second = started.elapsed().as_secs();
        let fault = faults.happen(fault, &mut system, &mut sockets).await?;
        eprintln!("second {second}: {}", fault.what);
        happened.push(fault);
    }
    sleep_until(started + time).await;
    let measured = started_ms..now_ms();
    let costs = costs(&before, &all_usage(&system, &sockets)?, &measured);
    let (looks, hungry, ended) = (trackers.looks(), sockets.looks(), sockets.ended() - ended_before);

    let mut answered = trackers.end(DEADLINE).await?;
    answered.extend(faults.end(DEADLINE).await?);
    let lasted: Vec<Span> = happened.iter().map(|fault| fault.lasted.clone()).collect();
    let quiet = quiet(&measured, &lasted);
    let mut rows = answers(args, &trackers, &measured, &quiet);
    rows.extend(sockets.end(&measured, &quiet).await?);
    rows.extend(recoveries(&happened, &measured, [&looks, &hungry]));
    rows.push(Row::new("sockets that ended and came back", ended.to_string()));
    rows.extend(costs);
    let asked = Instant::now();
    let stored = system.history(DEADLINE).await?;
    rows.push(Row::new("from the end until all was read from history", format!("{:.1} s", asked.elapsed().as_secs_f64())));
    let lost = lost(&answered, &stored);
    let twice: usize = stored.values().map(|fixes| fixes.len() - distinct(fixes).len()).sum();
    let all = |fixes: &Fixes| fixes.values().map(Vec::len).sum::<usize>().to_string();
    let missing: usize = lost.values().sum();
    rows.push(Row::new("positions answered, floods included", all(&answered)));
    rows.push(Row::new("positions in history", all(&stored)));
    rows.push(Row::new("lost", missing.to_string()));
    rows.push(Row::new("twice", twice.to_string()));
    let form = if args.embedded { "one process" } else { "roles as processes on Kafka, QuestDB and Redis" };
    report::print(&format!("{} trackers and {} sockets, {form}; seed {seed}", args.connections, args.sockets), &rows)?;
    let named: Vec<_> = lost.iter().take(NAMED).collect();
    ensure!(missing == 0 && twice == 0, "{missing} positions are lost, {twice} are there twice; lost by device: {named:?}");
    Ok(())
}

fn kinds(args: &Args) -> Vec<Fault> {
    match args.faults.is_empty() {
        true if args.embedded => Fault::EMBEDDED.to_vec(),
        true => Fault::DISTRIBUTED.to_vec(),
        false => args.faults.clone(),
    }
}

/// What trackers see.
fn answers(args: &Args, trackers: &Trackers, measured: &Span, quiet: &[Span]) -> Vec<Row> {
    let (count, all) = trackers.latencies().within(std::slice::from_ref(measured));
    let (_, in_quiet) = trackers.latencies().within(quiet);
    let seconds = seconds(measured);
    let quiet_seconds: f64 = quiet.iter().map(self::seconds).sum();
    let due = f64::from(args.connections) / args.period as f64;
    vec![
        Row::new("time, quiet time", format!("{seconds:.0} s, {quiet_seconds:.0} s")),
        Row::new("reports due, answered", format!("{due:.0}/s, {:.0}/s", count as f64 / seconds)),
        Row::new("from when a report was due to its answer, quiet", in_quiet.to_string()),
        Row::new("from when a report was due to its answer, all the time", all.to_string()),
    ]
}

/// A row for each fault, and the longest of all: by who was missing of trackers, and of sockets.
fn recoveries(happened: &[Happened], measured: &Span, looks: [&[(i64, usize)]; 2]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut longest = [Some(0), Some(0)];
    for (n, fault) in happened.iter().enumerate() {
        let from = fault.lasted.start;
        let to = happened.get(n + 1).map_or(measured.end, |next| next.lasted.start);
        let over = looks.map(|looks| Recovery::within(looks, &(from..to)));
        for (longest, over) in longest.iter_mut().zip(&over) {
            *longest = longest.zip(over.took_ms).map(|(longest, took)| longest.max(took));
        }
        let [trackers, sockets] = over;
        let what = format!("second {}: {}", (from - measured.start) / 1_000, fault.what);
        rows.push(Row::new(what, format!("trackers: {trackers}; sockets: {sockets}")));
    }
    let whom = ["trackers were connected again", "sockets were told something again"];
    for (whom, longest) in whom.into_iter().zip(longest) {
        let figure = longest.map_or("not always before the next".into(), |ms| format!("{:.1} s", ms as f64 / 1e3));
        rows.push(Row::new(format!("longest from a fault until all {whom}"), figure));
    }
    rows
}

fn all_usage(system: &System, sockets: &Sockets) -> Result<BTreeMap<&'static str, Usage>> {
    let mut all = system.usage()?;
    all.insert("our trackers", usage("self")?);
    all.insert("our sockets", sockets.usage()?);
    Ok(all)
}

/// Memory of each process, and its share of a core.
fn costs(before: &BTreeMap<&'static str, Usage>, after: &BTreeMap<&'static str, Usage>, measured: &Span) -> Vec<Row> {
    let of = |(name, usage): (&&'static str, &Usage)| {
        let cores = usage.cpu_since(&before[name]).as_secs_f64() / seconds(measured);
        Row::new(format!("{name}: memory, processor"), format!("{}; {:.0} % of a core", usage.memory(), cores * 100.0))
    };
    after.iter().map(of).collect()
}

fn seconds(span: &Span) -> f64 {
    (span.end - span.start) as f64 / 1e3
}

/// How many answered positions of each device are not in history.
fn lost(answered: &Fixes, stored: &Fixes) -> BTreeMap<String, usize> {
    let missing = |(device, fixes): (&String, &Vec<i64>)| {
        let there = stored.get(device).map(|fixes| distinct(fixes)).unwrap_or_default();
        let lost = distinct(fixes).difference(&there).count();
        (lost > 0).then(|| (device.clone(), lost))
    };
    answered.iter().filter_map(missing).collect()
}

fn distinct(fixes: &[i64]) -> std::collections::BTreeSet<i64> {
    fixes.iter().copied().collect()
}
