//! `connectors`: positions a second from TCP bytes to durable answer and to history. The devices are in this process, the
//! system in another, so that their costs are told apart.

use anyhow::{Context, Result, ensure};
use clap::{Parser, Subcommand};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use waystream_benchmarks::load::{Load, Pace};
use waystream_benchmarks::process::usage;
use waystream_benchmarks::report::{self, Row, per_second};
use waystream_benchmarks::system;
use waystream_benchmarks::teltonika::Tracker;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Measures the connectors with Teltonika trackers.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Role>,
    /// Connections, each a device.
    #[arg(long, default_value_t = 1000)]
    connections: u32,
    /// Records per packet: one run for each.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 10])]
    records: Vec<u8>,
    /// Packets of each connection, each sent when the one before is answered.
    #[arg(long, default_value_t = 200)]
    packets: u32,
    /// Also run the dataflow in the system.
    #[arg(long)]
    dataflow: bool,
    /// Only sign in, and measure what connections cost that say nothing.
    #[arg(long)]
    idle: bool,
    /// A running system's Teltonika listener, instead of starting one. History is then not looked at.
    #[arg(long, requires = "pid")]
    address: Option<SocketAddr>,
    /// Process number of the running system.
    #[arg(long)]
    pid: Option<u32>,
    /// Where to make folders; on the disk that is to be measured.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Role {
    /// The system under test; started by this program itself.
    #[command(hide = true)]
    Serve {
        #[arg(long)]
        dir: PathBuf,
        #[arg(long)]
        dataflow: bool,
    },
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    // Each end of a connection is a descriptor; the usual limit of 1,024 is too low for both processes.
    rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
    if let Some(Role::Serve { dir, dataflow }) = args.command {
        return system::serve(&dir, dataflow).await;
    }
    if args.idle {
        report::print("Idle connections", &idle(&args).await?)?;
        return Ok(());
    }
    let mut rows = Vec::new();
    for records in &args.records {
        rows.extend(run(&args, *records).await.with_context(|| format!("{records} records per packet"))?);
    }
    report::print("Connectors", &rows)?;
    Ok(())
}

async fn run(args: &Args, records: u8) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(&args.dir)?;
    let mut system = match (args.address, args.pid) {
        (Some(address), Some(pid)) => System { address, pid, child: None },
        _ => System::start(dir.path(), args.dataflow).await?,
    };
    let load = Load::connect(system.address, args.connections).await?;
    let before = usage(&system.pid.to_string())?;
    let sent = load.send(args.packets, records, Pace::AsAnswered).await?;
    let answered = usage(&system.pid.to_string())?;
    let what = format!("{} connections, {records} records per packet", args.connections);
    let of = |row: &str| format!("{what}: {row}");
    let per_million = |cpu: Duration| format!("{:.2} s", cpu.as_secs_f64() * 1e6 / sent.positions as f64);
    let mut rows = vec![
        Row::new(of("durable positions"), format!("{} positions/s", per_second(sent.positions, sent.took))),
        Row::new(of("from a packet to its answer"), sent.latencies.to_string()),
        Row::new(of("CPU of the system per million positions"), per_million(answered.cpu_since(&before))),
        Row::new(of("CPU of the devices per million positions"), per_million(sent.own_cpu)),
    ];
    if system.child.is_some() {
        let asked = Instant::now();
        let in_history = system.history().await?;
        let late = asked.elapsed();
        ensure!(in_history == sent.positions, "{in_history} of {} positions are in history", sent.positions);
        let rate = per_second(sent.positions, sent.took + late);
        let figure = format!("{rate} positions/s; the last {:.2} s after its answer", late.as_secs_f64());
        rows.push(Row::new(of("all in history, each once"), figure));
        let cpu = usage(&system.pid.to_string())?.cpu_since(&before);
        rows.push(Row::new(of("CPU of the system per million positions, history included"), per_million(cpu)));
    }
    rows.push(Row::new(of("memory of the system"), usage(&system.pid.to_string())?.memory()));
    system.stop().await?;
    Ok(rows)
}

/// All devices sign in and stay. A few before them, so that what is made once is not counted for each.
async fn idle(args: &Args) -> Result<Vec<Row>> {
    let first = (args.connections / 10).min(100);
    let dir = tempfile::tempdir_in(&args.dir)?;
    let system = System::start(dir.path(), args.dataflow).await?;
    let pid = system.pid.to_string();
    let mut trackers = Vec::with_capacity(args.connections as usize);
    let mut before = usage(&pid)?;
    for number in 0..args.connections {
        if number == first {
            before = usage(&pid)?;
        }
        trackers.push(Tracker::connect(system.address, number).await?);
    }
    let after = usage(&pid)?;
    let each = after.rss.saturating_sub(before.rss) / u64::from((args.connections - first).max(1));
    let what = format!("{} idle connections of devices that are new", args.connections);
    let rows = vec![
        Row::new(format!("{what}: memory of the system for each"), format!("{each} bytes")),
        Row::new(format!("{what}: memory of the system"), after.memory()),
    ];
    drop(trackers);
    system.stop().await?;
    Ok(rows)
}

/// The system under test.
struct System {
    address: SocketAddr,
    pid: u32,
    child: Option<(Child, ChildStdin, Lines<BufReader<ChildStdout>>)>,
}

impl System {
    async fn start(dir: &Path, dataflow: bool) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--dir").arg(dir);
        if dataflow {
            command.arg("--dataflow");
        }
        let mut child =
            command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).kill_on_drop(true).spawn()?;
        let stdin = child.stdin.take().context("its input")?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        let address = lines.next_line().await?.context("the system did not start")?.parse()?;
        let pid = child.id().context("the system ended")?;
        Ok(Self { address, pid, child: Some((child, stdin, lines)) })
    }

    /// Waits until history is complete; the number of positions in it.
    async fn history(&mut self) -> Result<usize> {
        let (_, stdin, lines) = self.child.as_mut().context("not our system")?;
        stdin.write_all(b"history\n").await?;
        Ok(lines.next_line().await?.context("the system ended")?.parse()?)
    }

    async fn stop(self) -> Result<()> {
        if let Some((mut child, stdin, _)) = self.child {
            drop(stdin);
            let status = child.wait().await?;
            ensure!(status.success(), "the system ended with {status}");
        }
        Ok(())
    }
}
