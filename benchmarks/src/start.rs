//! How long a dataflow takes to start with many devices: from the log until the first new position is concluded.

use crate::devices;
use crate::folded::run;
use crate::report::{Row, grouped};
use crate::scale::Saved;
use anyhow::{Context, Result, ensure};
use std::sync::Arc;
use std::time::Duration;
use waystream_dataflow::DataflowConfig;
use waystream_domain::Timestamp;
use waystream_domain::codec::{decode_state, encode_position, encode_state};
use waystream_log::{Log, Record, Topic};

/// Records in one append.
const BATCH: usize = 5000;

/// Fills an empty log with states and last fixes, then starts a dataflow on it.
pub async fn start(log: Arc<dyn Log>, what: &str, saved: &Saved, devices: usize, workers: usize) -> Result<Row> {
    for from in (0..devices).step_by(BATCH) {
        let (mut states, mut recent) = (Vec::new(), Vec::new());
        for n in from..devices.min(from + BATCH) {
            let (state, closed) = &saved[n % saved.len()];
            let mut state = decode_state(state)?;
            state.device = devices::name(n);
            states.push(Record::new(state.device.to_string(), encode_state(&state)));
            recent.push(Record::new(state.device.to_string(), closed.clone()));
        }
        log.append(Topic::States, states).await?;
        log.append(Topic::Recent, recent).await?;
    }
    let mut newest = decode_state(&saved[0].0)?.latest.context("it has reported")?.into_live().position;
    newest.fix_time = newest.fix_time.plus_millis(60_000);
    newest.received_at = Timestamp::parse("2026-01-01T00:00:00Z").context("a time")?;
    newest.device = devices::name(0);
    log.append(Topic::Positions, vec![Record::new(newest.device.to_string(), encode_position(&newest))]).await?;
    // Everybody has been silent for long, which would be told first.
    let config = DataflowConfig { workers, late_after_s: 0, ..DataflowConfig::default() };
    let (took, cpu) = run(log, config).await?;
    ensure!(took < Duration::from_secs(600), "it never started");
    let figure = format!("{:.1} s, {:.1} s of CPU", took.as_secs_f64(), cpu.as_secs_f64());
    Ok(Row::new(format!("start of a dataflow with {} devices, {what}, {workers} workers", grouped(devices as u64)), figure))
}
