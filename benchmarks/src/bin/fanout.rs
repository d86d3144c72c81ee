//! `fanout`: sockets that watch fleets, each told of 100 positions ten times a second: by our gateway, and by the usual stack's Socket.IO
//! server, one after the other in one run. Deliveries a second, latency, processor time and memory a socket.

use anyhow::{Context, Result, bail};
use clap::Parser;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use waystream_benchmarks::fanout::{Clients, Crowd};
use waystream_benchmarks::process::usage;
use waystream_benchmarks::report::{self, Latencies, Row, per_second};
use waystream_benchmarks::served::Served;
use waystream_benchmarks::watcher::Server;

/// A fleet's vehicles: each moves once a second, so every tenth of a second a hundred have.
const VEHICLES_PER_FLEET: usize = 1000;
const HZ: usize = 10;

/// Measures how many sockets can be told of moving fleets.
#[derive(Debug, Parser)]
struct Args {
    /// Sockets; several sizes, separated by commas.
    #[arg(long, value_delimiter = ',', default_value = "1000,2000,5000")]
    clients: Vec<usize>,
    /// Fleets, or rooms.
    #[arg(long, default_value_t = 50)]
    fleets: usize,
    /// So many of the sockets stop reading while it is measured.
    #[arg(long, default_value_t = 0)]
    frozen: usize,
    /// Seconds of measuring.
    #[arg(long, default_value_t = 15)]
    seconds: u64,
    /// Seconds until a server has what it comes to need of itself, which is not its sockets'.
    #[arg(long, default_value_t = 10)]
    warm: u64,
    /// Folder of the usual stack's server, `server.mjs` with its packages installed; without it only ours is measured.
    #[arg(long)]
    peer: Option<PathBuf>,
    /// Where to make folders.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

// One thread, so that its processor time is one core at most and the rest is the server's.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let args = Args::parse();
    rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
    for clients in &args.clients {
        let mut rows = measure("waystream", &args, *clients).await?;
        if args.peer.is_some() {
            rows.extend(measure("Node", &args, *clients).await?);
        }
        report::print(&format!("{clients} sockets, {} fleets, {} frozen", args.fleets, args.frozen), &rows)?;
    }
    Ok(())
}

async fn measure(name: &str, args: &Args, clients: usize) -> Result<Vec<Row>> {
    let dir = tempfile::tempdir_in(&args.dir)?;
    let start = async |produces: bool| match &args.peer {
        Some(folder) if name == "Node" => peer(folder, args.fleets, produces),
        _ => ours(dir.path(), args.fleets, produces).await,
    };
    let crowd = |running: &Served| Clients {
        server: running.server.clone(),
        address: running.address,
        clients,
        frozen: args.frozen,
        rooms: args.fleets,
        rate: 500,
    };
    let a_socket = |bytes: u64| format!("{:.1} kB", bytes as f64 / 1e3 / clients as f64);
    let warm = Duration::from_secs(args.warm);
    let mut rows = Vec::new();
    let mut row = |what: &str, figure: String| rows.push(Row::new(format!("{name}: {what}"), figure));

    let running = start(false).await?;
    tokio::time::sleep(warm).await;
    let before = running.usage()?;
    let idle = Crowd::connect(crowd(&running), false).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    row("memory of an idle socket", a_socket(running.usage()?.rss.saturating_sub(before.rss)));
    idle.leave().await;
    drop(running);

    let running = start(true).await?;
    tokio::time::sleep(warm).await;
    let before = running.usage()?;
    let mut watching = match Crowd::connect(crowd(&running), true).await {
        Ok(watching) => watching,
        // A server that is too slow to take them is a figure, not a fault of the measurement.
        Err(error) => {
            row("deliveries", format!("not measured: {error:#}"));
            return Ok(rows);
        }
    };
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (from, driver) = (running.usage()?, usage("self")?);
    let time = Duration::from_secs(args.seconds);
    let seen = watching.measure(time).await;
    let (to, driver) = (running.usage()?, usage("self")?.cpu_since(&driver));
    let expected = (clients - args.frozen) * HZ;
    let cpu = to.cpu_since(&from);
    let mut latencies = Latencies::default();
    latencies.extend(seen.latencies.iter().copied());
    row(
        "deliveries",
        format!(
            "{}/s of {expected}/s, {:.1} MB/s",
            per_second(seen.delivered, time),
            seen.bytes as f64 / time.as_secs_f64() / 1e6
        ),
    );
    row("from when it was to be sent until it arrived", latencies.to_string());
    let per_delivery = cpu.as_secs_f64() * 1e6 / seen.delivered.max(1) as f64;
    row(
        "processor",
        format!("{:.0} % of a core, {per_delivery:.1} µs a delivery; clients {:.0} %", share(cpu, time), share(driver, time)),
    );
    let loaded = a_socket(to.rss.saturating_sub(before.rss));
    row("memory of a socket under load", format!("{loaded}; {}", to.memory()));
    if args.frozen > 0 {
        let fresh = seen.fresh_after.len();
        let mut after = Latencies::default();
        after.extend(seen.fresh_after);
        row("frozen sockets that read again", format!("{fresh} fresh after {after}; {} cut", seen.ended));
    }
    watching.leave().await;
    Ok(rows)
}

fn share(cpu: Duration, of: Duration) -> f64 {
    cpu.as_secs_f64() / of.as_secs_f64() * 100.0
}

/// The program `gateway` beside this one.
async fn ours(dir: &Path, fleets: usize, produces: bool) -> Result<Served> {
    let sizes = [("--vehicles", fleets * VEHICLES_PER_FLEET), ("--fleets", fleets), ("--hz", HZ)];
    let mut arguments: Vec<String> = sizes.into_iter().flat_map(|(name, size)| [name.to_owned(), size.to_string()]).collect();
    if !produces {
        arguments.push("--parked".to_owned());
    }
    Served::start(&arguments, dir).await
}

/// The usual stack's server.
fn peer(folder: &Path, rooms: usize, produces: bool) -> Result<Served> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(folder);
    command.env("PORT", port.to_string()).env("ROOMS", rooms.to_string()).env("HZ", HZ.to_string());
    command.env("POS", (VEHICLES_PER_FLEET / HZ).to_string()).env("PRODUCE", if produces { "1" } else { "0" });
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("could not start node")?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    // Stopped also if it never listens.
    let running = Served::new(child, address, Server::Peer);
    for _ in 0..250 {
        if std::net::TcpStream::connect(address).is_ok() {
            return Ok(running);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bail!("the usual stack's server does not listen")
}
