//! Sockets that watch for as long as it lasts, in a process of their own: a process may have too few open files for all clients. They
//! come back when they are cut. Orders come as lines on standard input; what is seen goes out as lines.

use super::{LOOK_AGAIN, Looks, PATIENCE, Pauses, Samples, Span, now_ms};
use crate::process::{Usage, usage};
use crate::report::{Row, print_line};
use crate::watcher::{Server, Watcher};
use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;
use waystream_gateway::wire::frame::{FrameKind, decode_frame};

/// New sockets a second, at the beginning.
const RATE: usize = 500;

/// Sockets to be.
#[derive(Debug, Clone, clap::Args)]
pub struct Watching {
    /// Where they connect, by turns.
    #[arg(long, value_delimiter = ',')]
    addresses: Vec<SocketAddr>,
    /// How many.
    #[arg(long)]
    sockets: usize,
    /// Socket i watches fleet i modulo fleets.
    #[arg(long)]
    fleets: usize,
    /// Who has been told nothing for so long misses something.
    #[arg(long)]
    hungry_after_ms: i64,
}

struct Shared {
    watching: Watching,
    server: Server,
    /// Of each, when it was told something last.
    fed_ms: Vec<AtomicI64>,
    /// Of each, until when it reads nothing.
    frozen_until_ms: Vec<AtomicI64>,
    ended: AtomicUsize,
    ages: Samples,
}

/// In a process of its own. The first line is the cookie of a session.
pub async fn serve(watching: Watching) -> Result<()> {
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    let server = Server::Ours(orders.next_line().await?.context("no cookie")?);
    let never = || -> Vec<AtomicI64> { (0..watching.sockets).map(|_| AtomicI64::new(0)).collect() };
    let (fed_ms, frozen_until_ms) = (never(), never());
    let (ended, ages) = (AtomicUsize::new(0), Samples::default());
    let shared = Arc::new(Shared { watching, server, fed_ms, frozen_until_ms, ended, ages });
    let mut tasks = JoinSet::new();
    for number in 0..shared.watching.sockets {
        tasks.spawn(watch(number, Arc::clone(&shared)));
    }
    let mut again = tokio::time::interval(LOOK_AGAIN);
    loop {
        tokio::select! {
            order = orders.next_line() => {
                let Some(order) = order? else { return Ok(()) };
                let mut words = order.split(' ');
                let what = words.next();
                let numbers = words.map(str::parse::<i64>).collect::<Result<Vec<_>, _>>()?;
                match (what, &numbers[..]) {
                    (Some("freeze"), [first, count, time_ms]) => shared.freeze(*first, *count, now_ms() + time_ms),
                    (Some("end"), [from, to, quiet @ ..]) => return shared.tell(*from..*to, quiet),
                    _ => bail!("not an order: {order}"),
                }
            }
            _ = again.tick() => {
                let (hungry, ended) = (shared.hungry(), shared.ended.load(Ordering::Relaxed));
                writeln!(std::io::stdout().lock(), "{} {hungry} {ended}", now_ms())?;
            }
        }
    }
}

impl Shared {
    fn freeze(&self, first: i64, count: i64, until_ms: i64) {
        let chosen = self.frozen_until_ms.iter().skip(first as usize).take(count as usize);
        chosen.for_each(|until| until.store(until_ms, Ordering::Relaxed));
    }

    /// How many should have been told something by now.
    fn hungry(&self) -> usize {
        let since = now_ms() - self.watching.hungry_after_ms;
        let told = self.fed_ms.iter().zip(&self.frozen_until_ms);
        let hungry = told.filter(|(fed, frozen)| fed.load(Ordering::Relaxed).max(frozen.load(Ordering::Relaxed)) < since);
        hungry.count()
    }

    fn tell(&self, measured: Span, quiet: &[i64]) -> Result<()> {
        let quiet: Vec<Span> = quiet.chunks_exact(2).map(|span| span[0]..span[1]).collect();
        let (positions, all) = self.ages.within(std::slice::from_ref(&measured));
        let (_, quiet) = self.ages.within(&quiet);
        let seconds = (measured.end - measured.start) as f64 / 1e3;
        let what = "age of a position when a socket takes it";
        print_line(&Row::new(format!("{what}, quiet"), quiet.to_string()))?;
        print_line(&Row::new(format!("{what}, all the time"), all.to_string()))?;
        print_line(&Row::new("positions taken by sockets", format!("{:.0}/s", positions as f64 / seconds)))?;
        Ok(())
    }
}

/// The life of one.
async fn watch(number: usize, shared: Arc<Shared>) {
    let Watching { addresses, fleets, .. } = &shared.watching;
    let address = addresses[number % addresses.len()];
    tokio::time::sleep(Duration::from_secs(1).mul_f64(number as f64 / RATE as f64)).await;
    let mut pauses = Pauses::default();
    loop {
        if let Ok(Ok(watcher)) = timeout(PATIENCE, Watcher::connect(&shared.server, address, Some(number % fleets))).await {
            pauses = Pauses::default();
            if let Err(error) = take(watcher, number, &shared).await {
                tracing::debug!(number, %error, "a socket ended");
            }
            shared.ended.fetch_add(1, Ordering::Relaxed);
        }
        pauses.pause().await;
    }
}

/// Takes all that comes, until the connection ends.
async fn take(mut watcher: Watcher, number: usize, shared: &Shared) -> Result<()> {
    loop {
        let frozen_ms = shared.frozen_until_ms[number].load(Ordering::Relaxed) - now_ms();
        if frozen_ms > 0 {
            tokio::time::sleep(Duration::from_millis(frozen_ms as u64)).await;
        }
        let frame = decode_frame(&watcher.next().await?)?;
        if frame.head.kind == FrameKind::Delta {
            let now = now_ms();
            let ages = frame.records.iter().map(|record| Duration::from_millis((now - record.fix_time_ms).max(0) as u64));
            shared.ages.note(ages);
            shared.fed_ms[number].store(now, Ordering::Relaxed);
        }
    }
}

/// The process of the sockets, from that which rules it.
pub struct Sockets {
    /// How many.
    pub count: usize,
    child: Child,
    orders: ChildStdin,
    seen: Arc<Mutex<Seen>>,
    reading: JoinHandle<Result<Vec<Row>>>,
}

/// What was told at each look.
#[derive(Default)]
struct Seen {
    hungry: Looks,
    ended: usize,
}

impl Sockets {
    /// Starts this program with a command that ends in [`serve`].
    pub async fn start(command: &str, watching: &Watching, cookie: &str) -> Result<Self> {
        let addresses: Vec<String> = watching.addresses.iter().map(ToString::to_string).collect();
        let mut process = Command::new(std::env::current_exe()?);
        process.arg(command).args(["--addresses", &addresses.join(",")]);
        process.args(["--sockets", &watching.sockets.to_string(), "--fleets", &watching.fleets.to_string()]);
        process.args(["--hungry-after-ms", &watching.hungry_after_ms.to_string()]);
        process.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut child = process.spawn()?;
        let mut orders = child.stdin.take().context("its input")?;
        orders.write_all(format!("{cookie}\n").as_bytes()).await?;
        let seen = Arc::new(Mutex::new(Seen::default()));
        let reading = tokio::spawn(read(child.stdout.take().context("its output")?, Arc::clone(&seen)));
        Ok(Self { count: watching.sockets, child, orders, seen, reading })
    }

    /// Until all have been told something at least once.
    pub async fn all_fed(&self, deadline: Duration) -> Result<()> {
        let all = async {
            while self.hungry() != Some(0) {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        let in_time = timeout(deadline, all).await;
        in_time.with_context(|| format!("{:?} sockets are told nothing", self.hungry()))
    }

    fn hungry(&self) -> Option<usize> {
        self.look(|seen| seen.hungry.last().map(|(_, hungry)| *hungry))
    }

    /// How many were told nothing for too long, and when.
    pub fn looks(&self) -> Looks {
        self.look(|seen| seen.hungry.clone())
    }

    /// Connections that have ended so far.
    pub fn ended(&self) -> usize {
        self.look(|seen| seen.ended)
    }

    fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// So many read nothing for some time.
    pub async fn freeze(&mut self, first: usize, count: usize, time: Duration) -> Result<()> {
        Ok(self.orders.write_all(format!("freeze {first} {count} {}\n", time.as_millis()).as_bytes()).await?)
    }

    /// What the process has used.
    pub fn usage(&self) -> Result<Usage> {
        usage(&self.child.id().context("the sockets have ended")?.to_string())
    }

    /// Lets them go; what they have seen while it was measured.
    pub async fn end(mut self, measured: &Span, quiet: &[Span]) -> Result<Vec<Row>> {
        let numbers = std::iter::once(measured).chain(quiet).map(|span| format!(" {} {}", span.start, span.end));
        let order: String = numbers.collect();
        self.orders.write_all(format!("end{order}\n").as_bytes()).await?;
        let rows = self.reading.await??;
        let status = self.child.wait().await?;
        ensure!(status.success(), "the sockets ended with {status}");
        Ok(rows)
    }
}

/// Lines with a tab are rows, all others are looks.
async fn read(output: ChildStdout, seen: Arc<Mutex<Seen>>) -> Result<Vec<Row>> {
    let mut lines = BufReader::new(output).lines();
    let mut rows = Vec::new();
    while let Some(line) = lines.next_line().await? {
        if let Some((what, figure)) = line.split_once('\t') {
            rows.push(Row::new(what, figure));
            continue;
        }
        let numbers = line.split(' ').map(str::parse::<i64>).collect::<Result<Vec<_>, _>>()?;
        let [at_ms, hungry, ended] = numbers[..] else { bail!("no look: {line}") };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.hungry.push((at_ms, hungry as usize));
        seen.ended = ended as usize;
    }
    Ok(rows)
}

impl Watching {
    /// So many sockets, by turns at these addresses.
    pub fn new(addresses: Vec<SocketAddr>, sockets: usize, fleets: usize, hungry_after: Duration) -> Self {
        Self { addresses, sockets, fleets, hungry_after_ms: hungry_after.as_millis() as i64 }
    }
}
