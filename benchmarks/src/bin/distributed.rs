//! `distributed`: positions a second through every role of the program, its roles as processes on Kafka and QuestDB or all in
//! one process on embedded parts; then, if asked for, a live load for a browser to look at.

use anyhow::{Context, Result, ensure};
use clap::Parser;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use waystream_benchmarks::load::{Load, Pace, Sent};
use waystream_benchmarks::process::Usage;
use waystream_benchmarks::processes::{Process, Servers};
use waystream_benchmarks::report::{self, Row, per_second};
use waystream_connectors::ListenerName;
use waystream_log::kafka::{KafkaLog, KafkaOptions};
use waystream_log::{Log, Topic};

/// Measures the program's roles as processes on Kafka and QuestDB, or as one process.
#[derive(Debug, Parser)]
struct Args {
    /// The program; by default the one beside this.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// One process on embedded parts instead.
    #[arg(long)]
    embedded: bool,
    /// Trackers, each a connection.
    #[arg(long, default_value_t = 500)]
    connections: u32,
    /// Packets of each, as fast as they are answered.
    #[arg(long, default_value_t = 200)]
    packets: u32,
    /// Records of a packet.
    #[arg(long, default_value_t = 10)]
    records: u8,
    /// Afterwards, for a browser: positions a second, one record a packet, for `--live-seconds`. The link to the dashboard is printed.
    #[arg(long)]
    live: Option<u32>,
    #[arg(long, default_value_t = 60)]
    live_seconds: u32,
    /// Each of them reports so many times a second.
    #[arg(long, default_value_t = 10)]
    live_hz: u32,
    /// Where to make folders.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
}

/// What is measured.
struct System {
    /// By role; one that is `all` of them on embedded parts. They end before the servers.
    processes: BTreeMap<&'static str, Process>,
    servers: Option<Servers>,
    /// To see how far the roles are; the embedded one is its process's own.
    log: Option<Arc<KafkaLog>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let args = Args::parse();
    rlimit::increase_nofile_limit(u64::MAX).context("raising the limit of open files")?;
    let dir = tempfile::tempdir_in(&args.dir)?;
    let system = System::start(&args, dir.path()).await?;
    let rows = match args.live {
        None => throughput(&system, &args).await?,
        Some(rate) => live(&system, &args, rate).await?,
    };
    report::print(if args.embedded { "All in one process" } else { "Roles as processes on Kafka and QuestDB" }, &rows)?;
    Ok(())
}

/// As fast as it goes, until everything has been worked out and is in history.
async fn throughput(system: &System, args: &Args) -> Result<Vec<Row>> {
    let load = Load::connect(system.trackers()?, args.connections).await?;
    let (before, started) = (system.usage()?, Instant::now());
    let sent = load.send(args.packets, args.records, Pace::AsAnswered).await?;
    let rate = |took| format!("{} positions/s", per_second(sent.positions, took));
    let mut rows = vec![
        Row::new(
            format!("{} trackers, {} records a packet: durable and answered", args.connections, args.records),
            rate(sent.took),
        ),
        Row::new("from a packet to its answer", sent.latencies.to_string()),
    ];
    if let (Some(log), Some(servers)) = (&system.log, &system.servers) {
        let (told, kept) = tokio::try_join!(until_told(&**log, started), until_kept(servers, sent.positions, started))?;
        rows.push(Row::new("all worked out by the dataflow and committed", rate(told)));
        rows.push(Row::new("all in QuestDB, counted by itself", rate(kept)));
    }
    rows.extend(costs(&before, &system.usage()?, &sent));
    Ok(rows)
}

/// At a pace, with the link to the dashboard on standard output before it begins.
async fn live(system: &System, args: &Args, rate: u32) -> Result<Vec<Row>> {
    let link = system.processes.values().find_map(|process| process.link.as_ref()).context("no dashboard")?;
    writeln!(std::io::stdout(), "{link}\nReady")?;
    let period = Duration::from_secs(1) / args.live_hz;
    let load = Load::connect(system.trackers()?, rate / args.live_hz).await?;
    let before = system.usage()?;
    let sent = load.send(args.live_seconds * args.live_hz, 1, Pace::Every(period)).await?;
    let mut rows = vec![
        Row::new(
            format!("{rate} positions/s asked for: answered"),
            format!("{} positions/s", per_second(sent.positions, sent.took)),
        ),
        Row::new("from a packet to its answer", sent.latencies.to_string()),
    ];
    rows.extend(costs(&before, &system.usage()?, &sent));
    Ok(rows)
}

/// CPU of each process per million positions, and its memory.
fn costs(before: &BTreeMap<&'static str, Usage>, after: &BTreeMap<&'static str, Usage>, sent: &Sent) -> Vec<Row> {
    let per_million = |cpu: Duration| format!("{:.2} s", cpu.as_secs_f64() * 1e6 / sent.positions as f64);
    let of = |(name, usage): (&&'static str, &Usage)| {
        let cpu = usage.cpu_since(&before[name]);
        let busy = per_second(sent.positions, cpu.max(Duration::from_millis(1)));
        let figure = format!("{}; {busy} positions/s per busy core; {}", per_million(cpu), usage.memory());
        Row::new(format!("{name}: CPU per million positions, memory"), figure)
    };
    let mut rows: Vec<Row> = after.iter().map(of).collect();
    rows.push(Row::new("trackers: CPU per million positions", per_million(sent.own_cpu)));
    rows
}

impl System {
    async fn start(args: &Args, dir: &Path) -> Result<Self> {
        let beside = std::env::current_exe()?.with_file_name("waystream");
        let binary = args.binary.clone().unwrap_or(beside);
        let settings = dir.join("settings.toml");
        let start = |name, roles| anyhow::Ok((name, Process::start(&binary, &dir.join(name), &settings, roles)?));
        let listeners: String = ListenerName::all().map(|name| format!("{} = 0\n", name.as_str())).collect();
        let all_free = format!("[gateway]\naddress = \"127.0.0.1:0\"\n[connectors.listeners]\n{listeners}");
        if args.embedded {
            std::fs::write(&settings, all_free)?;
            return Ok(Self { processes: [start("all", None)?].into(), servers: None, log: None });
        }
        let servers = Servers::start(dir, &["kafka", "questdb"])?;
        let brokers = format!("127.0.0.1:{}", servers.kafka);
        let settings_text = format!(
            "{all_free}[log]\nkind = \"kafka\"\nbrokers = \"{brokers}\"\n[store]\nkind = \"questdb\"\naddress = \"127.0.0.1:{}\"\n",
            servers.questdb
        );
        std::fs::write(&settings, settings_text)?;
        let roles = [("connect", "connect"), ("dataflow", "dataflow"), ("archive", "archive"), ("gateway", "gateway,sql")];
        let processes = roles.into_iter().map(|(name, roles)| start(name, Some(roles))).collect::<Result<_>>()?;
        let log = KafkaLog::open(KafkaOptions { brokers, instance: "watching".into(), ..KafkaOptions::default() }).await?;
        Ok(Self { processes, servers: Some(servers), log: Some(log) })
    }

    /// Where trackers report.
    fn trackers(&self) -> Result<SocketAddr> {
        let listening = self.processes.get("connect").or_else(|| self.processes.get("all"));
        listening.context("nobody listens")?.listener("teltonika")
    }

    fn usage(&self) -> Result<BTreeMap<&'static str, Usage>> {
        let mut usage = BTreeMap::new();
        for (name, process) in &self.processes {
            usage.insert(*name, process.usage()?);
        }
        if let Some(servers) = &self.servers {
            for name in ["kafka", "questdb"] {
                usage.insert(name, servers.usage(name)?);
            }
        }
        Ok(usage)
    }
}

/// How long it took until the dataflow has committed all that is in the log now.
async fn until_told(log: &dyn Log, started: Instant) -> Result<Duration> {
    let ends = log.bounds(Topic::Positions).await?;
    loop {
        let committed = log.committed(waystream_dataflow::GROUP, Topic::Positions).await?;
        if ends.iter().zip(0..).all(|(end, partition)| committed[&(Topic::Positions, partition)] >= end.next) {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// How long it took until QuestDB counts so many positions.
async fn until_kept(servers: &Servers, positions: usize, started: Instant) -> Result<Duration> {
    let url = format!("http://127.0.0.1:{}/exp", servers.questdb);
    let client = reqwest::Client::new();
    loop {
        let query = [("query", "SELECT count() FROM positions")];
        let csv = client.get(&url).query(&query).send().await?.error_for_status()?.text().await?;
        let count: usize = csv.lines().nth(1).context("no count")?.trim().parse()?;
        ensure!(count <= positions, "{count} positions of {positions} are in QuestDB");
        if count == positions {
            return Ok(started.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
