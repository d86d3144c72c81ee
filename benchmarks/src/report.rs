//! Figures as rows of a small table for `RESULTS.md`.

use std::fmt;
use std::io::Write;
use std::time::Duration;

/// What was measured and what came out.
#[derive(Debug, Clone)]
pub struct Row {
    what: String,
    figure: String,
}

impl Row {
    /// One line of the table.
    pub fn new(what: impl Into<String>, figure: impl Into<String>) -> Self {
        Self { what: what.into(), figure: figure.into() }
    }

    /// The same figure under another name.
    #[must_use]
    pub fn named(self, what: impl Into<String>) -> Self {
        Self { what: what.into(), ..self }
    }
}

/// Writes the table, with the command and the machine it is for, to standard output.
pub fn print(title: &str, rows: &[Row]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    let command: Vec<_> = std::env::args().collect();
    let program = command[0].rsplit('/').next().unwrap_or_default();
    let arguments = command[1..].join(" ");
    writeln!(out, "### {title}\n\n`cargo run --release -p waystream-benchmarks --bin {program} -- {arguments}`")?;
    writeln!(out, "{}\n\n| measured | figure |\n| --- | --- |", machine())?;
    for Row { what, figure } in rows {
        writeln!(out, "| {what} | {figure} |")?;
    }
    writeln!(out)
}

/// Writes a row as a line of two columns with a tab between: for a program that reads it.
pub fn print_line(row: &Row) -> std::io::Result<()> {
    writeln!(std::io::stdout().lock(), "{}\t{}", row.what, row.figure)
}

/// Processor, cores, memory, and how this program was built.
pub fn machine() -> String {
    let field = |file: &str, name: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        let line = text.lines().find(|l| l.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kb = field("/proc/meminfo", "MemTotal").and_then(|m| m.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0);
    let build = if cfg!(debug_assertions) { ", DEBUG BUILD: no figures" } else { "" };
    format!("{cpu}, {cores} cores, {:.1} GB{build}", kb as f64 / 1e6)
}

/// A rate with separators: `1 234 567`.
pub fn per_second(n: usize, took: Duration) -> String {
    grouped((n as f64 / took.as_secs_f64().max(1e-9)).round() as u64)
}

/// Digits in groups of three.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

/// Many durations; shown as their quantiles.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Extend<Duration> for Latencies {
    fn extend<I: IntoIterator<Item = Duration>>(&mut self, durations: I) {
        self.0.extend(durations);
    }
}

impl fmt::Display for Latencies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let quantile = |q: f64| {
            let at = ((sorted.len() as f64 - 1.0) * q).round().max(0.0) as usize;
            sorted.get(at).map_or(f64::NAN, |d| d.as_secs_f64() * 1e3)
        };
        write!(f, "p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms", quantile(0.5), quantile(0.99), quantile(1.0))
    }
}
