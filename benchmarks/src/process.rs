//! What a process has used so far, from `/proc`.

use anyhow::{Context, Result};
use std::time::Duration;

/// Kernel ticks a second in `/proc/*/stat`: 100 on every Linux since 2.6.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time and memory of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu: Duration,
    /// Memory now, bytes.
    pub rss: u64,
    /// Most memory so far, bytes.
    pub peak_rss: u64,
}

/// Usage of a process, `self` or a number.
pub fn usage(pid: &str) -> Result<Usage> {
    let read = |file: &str| {
        let path = format!("/proc/{pid}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))
    };
    let stat = read("stat")?;
    // The name, in parentheses, may contain spaces; user and system time are the 14th and 15th field.
    let fields: Vec<&str> = stat.rsplit_once(')').context("no name in stat")?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|t| t.parse::<u64>().ok()).context("no times in stat");
    let cpu = Duration::from_secs_f64((ticks(11)? + ticks(12)?) as f64 / TICKS_PER_SECOND);
    let status = read("status")?;
    let bytes = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kb| kb.parse::<u64>().ok()).map_or(0, |kb| kb * 1024)
    };
    Ok(Usage { cpu, rss: bytes("VmRSS:"), peak_rss: bytes("VmHWM:") })
}

impl Usage {
    /// Processor time since an earlier usage.
    pub fn cpu_since(&self, earlier: &Self) -> Duration {
        self.cpu.saturating_sub(earlier.cpu)
    }

    /// Memory as text.
    pub fn memory(&self) -> String {
        format!("{} MB, at most {} MB", self.rss / 1_000_000, self.peak_rss / 1_000_000)
    }
}

/// Processor time of the calling thread.
pub fn thread_cpu() -> Result<Duration> {
    let path = "/proc/thread-self/schedstat";
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    let nanos = text.split_whitespace().next().and_then(|n| n.parse().ok()).context("no time in schedstat")?;
    Ok(Duration::from_nanos(nanos))
}
