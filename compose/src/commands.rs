//! The commands that end by themselves: on files, on a data folder, or on the system that runs on one.

use crate::access::{with_history, with_history_of};
use crate::cli::{
    ArchiveArgs, CheckConfigArgs, DecodeArgs, ExportArgs, GeofenceArgs, ImportArgs, RunArgs, ServeArgs, SqlArgs, TableFormat,
};
use crate::config::{self, Config, Overrides};
use crate::exports::{self, PartFile};
use crate::geofence::{self, GeofenceJob};
use crate::history::Selection;
use crate::shell;
use anyhow::Context;
use futures::TryStreamExt;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use waystream_connectors::decode::{self, DecodeRequest, Input};
use waystream_connectors::files::{self, RowFault, TrackPoint, csv};
use waystream_connectors::protocol::Checksums;
use waystream_connectors::protocols;
use waystream_domain::{DeviceId, Timestamp};
use waystream_sql::output;

/// In the data folder: what was typed into the SQL shell.
const SHELL_HISTORY: &str = "sql_history";

/// Points that go into history at a time.
pub(crate) const BATCH: usize = 5_000;

/// The settings that a command line asks for.
pub fn settings(args: &RunArgs) -> anyhow::Result<Config> {
    Config::load(args.config.as_deref(), &Overrides { data: args.data.clone(), roles: None })
}

/// The settings that a command line of a system asks for.
pub fn serve_settings(args: &ServeArgs) -> anyhow::Result<Config> {
    let roles = args.roles.as_ref().map(|roles| roles.iter().copied().collect());
    Config::load(args.run.config.as_deref(), &Overrides { data: args.run.data.clone(), roles })
}

/// `waystream check-config`.
pub fn check_config(args: &CheckConfigArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let text = if args.defaults { config::DEFAULTS.to_owned() } else { settings(&args.run)?.to_toml()? };
    Ok(out.write_all(text.as_bytes())?)
}

/// `waystream decode`; gives whether every frame was understood.
pub fn decode(args: &DecodeArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let protocol = protocols::by_name(&args.protocol).with_context(|| {
        let known: Vec<_> = protocols::ALL.iter().map(|p| p.name).collect();
        format!("there is no protocol {:?}; there are {}", args.protocol, known.join(", "))
    })?;
    let frames = || args.frames.iter().map(|frame| decode::parse_hex(frame)).collect::<Result<Vec<_>, _>>();
    let input = match (&args.file, &args.hex) {
        (Some(path), _) => Input::Stream(read_bytes(path)?),
        (None, Some(hex)) => Input::Stream(decode::parse_hex(hex)?),
        (None, None) if args.datagrams => Input::Datagrams(frames()?),
        (None, None) => Input::Frames(frames()?),
    };
    // A wrong checksum is told as a fault, and what the frame says is shown all the same: one is looking for the fault.
    let request =
        DecodeRequest { protocol, input, replies: args.replies, checksums: Checksums::Count, received_at: crate::now() };
    Ok(decode::run(&request, out, &mut io::stderr().lock())?)
}

fn read_bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = match path.as_os_str() == "-" {
        true => io::stdin().lock().read_to_end(&mut bytes),
        false => File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)),
    };
    read.with_context(|| format!("could not read {}", path.display()))?;
    Ok(bytes)
}

/// `waystream geofence`: events on `out`, what was counted on stderr.
pub async fn geofence(args: &GeofenceArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let GeofenceArgs { fences, tracks, as_received, workers } = args.clone();
    let mut out = BufWriter::new(out);
    let summary = geofence::run(&GeofenceJob { fences, tracks, as_received, workers }, &mut out).await?;
    out.flush()?;
    writeln!(io::stderr(), "{summary}")?;
    Ok(())
}

/// `waystream import`.
pub async fn import(args: &ImportArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let (sender, mut batches) = mpsc::channel(4);
    let columns =
        csv::Names::parse(args.columns.iter().map(String::as_str)).map_err(anyhow::Error::msg).context("--columns")?;
    let paths = args.files.clone();
    let reading = tokio::task::spawn_blocking(move || read_points(&paths, &columns, &sender));
    let config = settings(&args.run)?;
    let stored = with_history_of(&config, &args.whose, |history| async move {
        let mut stored = 0;
        while let Some(batch) = batches.recv().await {
            stored += history.store(batch).await?;
        }
        history.settle().await?;
        Ok(stored)
    });
    let stored = stored.await?;
    let faults = reading.await.context("reading failed")??;
    writeln!(out, "{stored} positions imported, {faults} rows left out")?;
    Ok(())
}

/// Reads all files and hands their points on; gives how many rows were no fix. Those are told on stderr.
fn read_points(paths: &[PathBuf], columns: &csv::Names, to: &mpsc::Sender<Vec<TrackPoint>>) -> anyhow::Result<u64> {
    let mut faults = 0;
    let mut batch = Vec::with_capacity(BATCH);
    for path in paths {
        let points = files::open_with(path, columns).with_context(|| format!("could not open {}", path.display()))?;
        for point in points {
            match point {
                Ok(point) => batch.push(point),
                Err(fault @ RowFault::Row { .. }) => {
                    faults += 1;
                    tracing::warn!(file = %path.display(), %fault, "row left out");
                }
                Err(fault) => return Err(anyhow::Error::from(fault).context(format!("in {}", path.display()))),
            }
            // A closed channel means that storing has failed, which is told there.
            if batch.len() == BATCH && to.blocking_send(std::mem::take(&mut batch)).is_err() {
                return Ok(faults);
            }
        }
    }
    drop(to.blocking_send(batch));
    Ok(faults)
}

/// `waystream archive`.
pub async fn archive(args: &ArchiveArgs, out: &mut impl Write) -> anyhow::Result<()> {
    let from = time(&args.from)?;
    let rows = with_history(&settings(&args.run)?, |history| async move { history.archive_again(from).await }).await?;
    writeln!(out, "{rows} rows of the log written again")?;
    Ok(())
}

pub(crate) fn time(text: &str) -> anyhow::Result<Timestamp> {
    Timestamp::parse(text).with_context(|| format!("{text:?} is not an ISO 8601 time"))
}

/// `waystream sql`; gives whether every query was answered.
pub async fn sql(args: &SqlArgs, out: &mut impl Write) -> anyhow::Result<bool> {
    let format = match args.format {
        TableFormat::Table => output::Format::Table,
        TableFormat::Csv => output::Format::Csv,
        TableFormat::Json => output::Format::Json,
        TableFormat::Arrow => output::Format::Arrow,
        TableFormat::Parquet => output::Format::Parquet,
    };
    let config = settings(&args.run)?;
    let typed = config.data.join(SHELL_HISTORY);
    with_history_of(&config, &args.whose, |history| async move {
        history.settle().await?;
        match &args.query {
            Some(query) => {
                let mut pieces = history.answer(query, format).await?;
                while let Some(piece) = pieces.try_next().await? {
                    out.write_all(&piece)?;
                }
                Ok(true)
            }
            None => shell::run(&history, format, &typed, out).await,
        }
    })
    .await
}

/// `waystream export`.
pub async fn export(args: &ExportArgs) -> anyhow::Result<()> {
    let time = |text: &Option<String>| text.as_deref().map(time).transpose();
    let devices: Result<Vec<_>, _> = args.devices.iter().map(DeviceId::new).collect();
    let selection = Selection { devices: devices.context("not a device")?, from: time(&args.from)?, to: time(&args.to)? };
    let path = args.output.as_deref();
    let (out, part) = exports::destination(path)
        .with_context(|| format!("could not create {}", path.unwrap_or(Path::new("the output")).display()))?;
    let format = args.format;
    with_history_of(&settings(&args.run)?, &args.whose, |history| async move {
        history.settle().await?;
        let mut writer = exports::writer(format, Box::new(BufWriter::new(out)))?;
        // Device by device: in GPX and KML each is a track of its own.
        for one in history.by_device(&selection).await? {
            let mut batches = history.positions(&one).await?;
            while let Some(batch) = batches.try_next().await? {
                for position in &batch {
                    writer.write(position)?;
                }
            }
        }
        writer.finish()?;
        drop(writer);
        Ok(part.map_or(Ok(()), PartFile::complete)?)
    })
    .await
}
