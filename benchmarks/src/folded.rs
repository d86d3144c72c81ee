//! The geofence job on a workload: the fold alone in one thread, and the whole dataflow from log to log.

use crate::process;
use crate::report::{Latencies, Row, grouped, per_second};
use crate::workload::{Outcome, Workload, check, outcome};
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio_util::sync::CancellationToken;
use waystream_dataflow::{Dataflow, DataflowConfig};
use waystream_domain::codec::{decode_event, decode_snapshot, encode_catalog, encode_position};
use waystream_domain::geofence::{GeofenceIndex, IndexEdit, Touched};
use waystream_domain::{Advance, DeviceState, Horizon, Position, Rules, States, Timestamp, TripRules};
use waystream_log::{Log, Offsets, Record, Topic};

/// Records in one append while the log is filled.
const BATCH: usize = 10_000;

/// The fold alone, one thread: what a position costs without log, encoding and dataflow. With all that it tells, without trips, and
/// without the last fixes that late ones need.
pub fn fold_alone(workload: &Workload) -> Result<Vec<Row>> {
    let all = Rules { trips: Some(TripRules::default()), ..Rules::default() };
    let nothing_late = Rules { horizon: Horizon { fixes: 0, ..Horizon::default() }, ..all };
    let without_trips = Rules { trips: None, ..all };
    let kinds = [("", all), (" without trips", without_trips), (" that remembers no fixes", nothing_late)];
    kinds.into_iter().map(|(what, rules)| fold(workload, what, &rules)).collect()
}

fn fold(workload: &Workload, what: &str, rules: &Rules) -> Result<Row> {
    let mut index = GeofenceIndex::default();
    let mut touched = Touched::default();
    for edit in workload.catalog.iter().filter_map(IndexEdit::new) {
        index.apply(edit, &mut touched);
    }
    let mut states = States::default();
    let mut events = Vec::new();
    let positions = workload.positions.clone();
    let count = positions.len();
    let before = process::thread_cpu()?;
    for (seq, position) in (0..).zip(positions) {
        let number = match states.find(&position.device) {
            Some(known) => known,
            None => states.put(DeviceState::new(position.device.clone(), position.fleet.clone())),
        };
        if let Advance::Moved { events: new, .. } = states.get_mut(number).advance(position, seq, &index, rules) {
            events.extend(new);
        }
    }
    let cpu = process::thread_cpu()?.saturating_sub(before);
    let found = events.iter().filter_map(|event| outcome(event).transpose()).collect::<Result<Vec<_>>>()?;
    check("fold alone", &workload.truth, &found)?;
    let each = cpu.as_secs_f64() * 1e6 / count as f64;
    let figure = format!("{each:.2} µs CPU per position ({} positions/s); events exactly the truth", per_second(count, cpu));
    Ok(Row::new(format!("{} geofences, fold alone{what}", fences(workload)), figure))
}

fn fences(workload: &Workload) -> String {
    let fences = workload.catalog.iter().filter(|e| matches!(IndexEdit::new(e), Some(IndexEdit::Put(_)))).count();
    grouped(fences as u64)
}

/// Puts the catalog and all positions into an empty log.
pub async fn fill(log: &dyn Log, workload: &Workload, positions: bool) -> Result<()> {
    for edits in workload.catalog.chunks(100) {
        let records = edits.iter().map(|edit| {
            let (key, value) = encode_catalog(edit);
            Record { key: key.into(), value: value.map(Into::into) }
        });
        log.append(Topic::Catalog, records.collect()).await?;
    }
    if positions {
        for batch in workload.positions.chunks(BATCH) {
            log.append(Topic::Positions, batch.iter().map(record).collect()).await?;
        }
    }
    Ok(())
}

fn record(position: &Position) -> Record {
    Record::new(position.device.as_str().to_owned(), encode_position(position))
}

/// Runs a dataflow until it has concluded all that is in the log: how long that took, and processor time of the whole process.
pub(crate) async fn run(log: Arc<dyn Log>, config: DataflowConfig) -> Result<(Duration, Duration)> {
    let stop = CancellationToken::new();
    let (before, started) = (process::usage("self")?, Instant::now());
    let mut running = tokio::spawn(Dataflow::new(config).run(Arc::clone(&log), stop.clone()));
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while waystream_dataflow::lag(&*log).await? > 0 {
        tokio::select! {
            ended = &mut running => ended?.context("the dataflow ended")?,
            _ = look.tick() => {}
        }
    }
    let (took, cpu) = (started.elapsed(), process::usage("self")?.cpu_since(&before));
    stop.cancel();
    running.await??;
    Ok((took, cpu))
}

/// The whole job: positions out of the log, events, states and snapshots into it, committed. Processor time is that of the
/// whole process, so also of the log's reading and writing.
pub async fn whole_job(log: Arc<dyn Log>, workload: &Workload, workers: usize) -> Result<Row> {
    fill(&*log, workload, true).await?;
    let (took, cpu) = run(Arc::clone(&log), DataflowConfig { workers, ..DataflowConfig::default() }).await?;
    check("whole job", &workload.truth, &outcomes(&*log).await?)?;
    let count = workload.positions.len();
    let figure = format!(
        "{} positions/s; {} positions/s per busy core; events exactly the truth",
        per_second(count, took),
        per_second(count, cpu)
    );
    Ok(Row::new(format!("{} geofences, whole job, {workers} workers", fences(workload)), figure))
}

async fn outcomes(log: &dyn Log) -> Result<Vec<Outcome>> {
    let from: Offsets = (0..log.partitions(Topic::Events)).map(|p| ((Topic::Events, p), 0)).collect();
    let mut reader = log.read(Topic::Events, &from).await?;
    let mut found = Vec::new();
    while let Some(batch) = reader.try_next(BATCH).await? {
        for entry in batch.entries {
            found.extend(outcome(&decode_event(entry.value.as_deref().unwrap_or_default())?)?);
        }
    }
    Ok(found)
}

/// Positions come at a steady rate; how long until each is in a snapshot that a gateway can read.
pub async fn epoch_latency(log: Arc<dyn Log>, workload: &Workload, rate: usize, seconds: usize) -> Result<Row> {
    fill(&*log, workload, false).await?;
    let stop = CancellationToken::new();
    let running = tokio::spawn(Dataflow::new(DataflowConfig::default()).run(Arc::clone(&log), stop.clone()));
    let from: Offsets = (0..log.partitions(Topic::Snapshots)).map(|p| ((Topic::Snapshots, p), 0)).collect();
    let mut snapshots = log.read(Topic::Snapshots, &from).await?;
    let send_every = Duration::from_millis(10);
    let (per_tick, ticks) = ((rate / 100).max(1), (seconds * 100).max(1));
    let sending = {
        let log = Arc::clone(&log);
        let positions: Vec<_> = workload.positions.iter().cycle().take(per_tick * ticks).cloned().collect();
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(send_every);
            for batch in positions.chunks(per_tick) {
                tick.tick().await;
                let now = now();
                // Times of the fixes are those of now too, so that every position is the newest of its device.
                let records =
                    batch.iter().map(|p| record(&Position { fix_time: now, received_at: now, ..p.clone() })).collect();
                log.append(Topic::Positions, records).await?;
            }
            anyhow::Ok(())
        })
    };
    let mut latencies = Latencies::default();
    let mut idle = 0;
    while idle < 20 {
        match tokio::time::timeout(Duration::from_millis(100), snapshots.next(100)).await {
            Ok(batch) => {
                let now = now();
                for entry in batch?.entries {
                    let snapshot = decode_snapshot(entry.value.as_deref().unwrap_or_default())?;
                    let ages = snapshot.live.iter().map(|l| now.millis_since(l.position.received_at).max(0) as u64);
                    latencies.extend(ages.map(Duration::from_millis));
                }
                idle = 0;
            }
            Err(_) if sending.is_finished() => idle += 1,
            Err(_) => {}
        }
    }
    sending.await??;
    stop.cancel();
    running.await??;
    let what = format!(
        "{} geofences, {} positions/s: from before the append to a readable snapshot",
        fences(workload),
        grouped(rate as u64)
    );
    Ok(Row::new(what, latencies.to_string()))
}

fn now() -> Timestamp {
    let ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
    Timestamp::from_millis(ms).unwrap_or_default()
}
