//! The demo: a made-up city whose vehicles report as trackers over real sockets, or recorded tracks played the same way.

pub mod drive;
pub mod playback;
pub mod roads;
pub mod simulate;
pub mod sockets;
pub mod world;

use crate::app::{self, App, Core};
use crate::cli::DemoArgs;
use crate::commands::settings;
use anyhow::Context;
use drive::City;
use playback::{Pace, Tracks};
use roads::Frame;
use simulate::Simulated;
use sockets::Sockets;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::mpsc;
use waystream_domain::{Actor, LatLon, Position, codec};
use waystream_log::{Log, Record, Topic};

/// What plays once the system runs.
enum Show {
    Vehicles(Vec<Simulated>),
    Tracks(Tracks, Pace),
}

/// `waystream demo`.
pub async fn run(args: &DemoArgs) -> anyhow::Result<()> {
    let mut place = args.run.clone();
    let fresh = match &place.data {
        Some(_) => None,
        None => Some(tempfile::Builder::new().prefix("waystream-demo-").tempdir().context("no temporary folder")?),
    };
    if let Some(fresh) = &fresh {
        place.data = Some(fresh.path().to_owned());
    }
    let config = settings(&place)?;
    let mut app = App::open(&config).await?;
    let sockets = sockets(&app)?;
    let show = match args.tracks.is_empty() {
        true => Show::Vehicles(city(args, &app.core).await?),
        false => {
            let paths = args.tracks.clone();
            let tracks = tokio::task::spawn_blocking(move || Tracks::read(&paths)).await.context("reading failed")??;
            tracing::info!(devices = tracks.devices.len(), rows_left_out = tracks.faults, "recorded tracks read");
            Show::Tracks(tracks, Pace { speed: args.speed, original_times: args.original_times })
        }
    };
    app.also("demo", |stop| async move {
        match show {
            Show::Vehicles(vehicles) => simulate::report_live(vehicles, sockets, stop).await,
            Show::Tracks(tracks, pace) => {
                let played = tracks.play(&sockets, pace, &stop).await?;
                let (answered, refused) = (&played.answered, &played.refused);
                let (answered, refused) = (answered.load(Ordering::Relaxed), refused.load(Ordering::Relaxed));
                tracing::info!(answered, refused, "the recording has been played");
                // What it has shown stays to be looked at.
                stop.cancelled().await;
            }
        }
        Ok(())
    });
    app::serve(app).await
}

fn sockets(app: &App) -> anyhow::Result<Sockets> {
    let connectors = app.connectors.as_ref().context("the demo needs the role `connect`")?;
    let address = |name| connectors.address_of(name).with_context(|| format!("the demo needs the listener `{name}`"));
    Ok(Sockets::new(address("teltonika")?, address("osmand")?, address("mqtt")?))
}

/// Builds the city, puts its vehicles into the catalog and the past into the log.
async fn city(args: &DemoArgs, core: &Core) -> anyhow::Result<Vec<Simulated>> {
    let (lat, lon) = world::CENTRE;
    let frame = Frame::around(LatLon::new(lat, lon).expect("the demo's city is on Earth"));
    let seed = args.seed;
    let build = move || Arc::new(City::new(frame, seed, world::DEPOTS, world::CUSTOMERS));
    let city = tokio::task::spawn_blocking(build).await.context("building the city failed")?;
    let members = world::members(args.vehicles, seed);
    let by = Actor::Program { doing: "demo".into() };
    core.catalog.edit(&by, world::catalog(&app::organisation(), &city, &members, crate::now())).await?;

    let (reports, mut batches) = mpsc::channel(8);
    let now = crate::now();
    let past = (now.plus_millis(-60_000 * i64::from(args.history)), now);
    let driving = tokio::task::spawn_blocking(move || simulate::drive_history(&city, members, past, &reports));
    while let Some(batch) = batches.recv().await {
        append(core.log.as_ref(), &batch).await?;
    }
    driving.await.context("driving failed")
}

async fn append(log: &dyn Log, positions: &[Position]) -> anyhow::Result<()> {
    let record = |p: &Position| Record::new(p.device.as_str().as_bytes().to_vec(), codec::encode_position(p));
    log.append(Topic::Positions, positions.iter().map(record).collect()).await.context("could not write the past")
}
