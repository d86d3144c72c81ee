//! The system under test in the benchmarks of the live map: embedded log and gateway, with a simulated fleet in the dataflow's place.

use crate::fleet::{Fleet, Sizes, fleet_id};
use crate::past::{self, Past};
use anyhow::{Context, Result};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_domain::catalog::{Device, Organisation, Role, User};
use waystream_domain::codec::{encode_snapshot, encode_state};
use waystream_domain::{Actor, CatalogEdit, CatalogEntry, DeviceState, OrganisationId, Timestamp, UserId};
use waystream_gateway::{Gateway, GatewayConfig, GatewayParts};
use waystream_log::catalog::CatalogFollower;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Record, Topic};
use waystream_sql::{SqlEngine, SqlOptions};
use waystream_store::parquet::{ParquetOptions, ParquetStore};

/// Catalog entries and states written at a time.
const BATCH: usize = 10_000;

/// Runs until standard input ends. Prints the address first; then for each line read a sign-in link of a user who sees all. `parked`:
/// nobody moves, so what it comes to need is its sockets'.
pub async fn serve(dir: &Path, listen: SocketAddr, sizes: Sizes, history: Past, parked: bool) -> Result<()> {
    let log = EmbeddedLog::open(&dir.join("log"), EmbeddedOptions::default())?;
    let store = ParquetStore::open(&dir.join("store"), ParquetOptions::default())?;
    past::fill(store.as_ref(), sizes, history, now()).await.context("history")?;
    let (catalog, follower) = CatalogFollower::start(log.clone()).await?;
    let stop = CancellationToken::new();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let of_follower = stop.clone();
    tasks.spawn(async move { Ok(follower.run(of_follower).await?) });

    let mut fleet = Fleet::new(sizes);
    let (organisation, user) = (OrganisationId::new("ours")?, UserId::new("admin")?);
    let mut edits = vec![
        CatalogEntry::Organisation(Organisation { id: organisation.clone(), name: "Ours".into() }),
        CatalogEntry::User(User {
            id: user.clone(),
            organisation: organisation.clone(),
            role: Role::Owner,
            password_hash: None,
            preferences: None,
        }),
    ];
    edits.extend((0..sizes.fleets).map(|f| {
        let name = format!("Fleet {f}");
        CatalogEntry::Fleet(waystream_domain::catalog::Fleet {
            id: fleet_id(f),
            organisation: organisation.clone(),
            name,
            rules: Default::default(),
        })
    }));
    edits.extend(fleet.devices().map(|(device, fleet)| {
        CatalogEntry::Device(Device { id: device.clone(), fleet: fleet.clone(), name: device.as_str().to_uppercase() })
    }));
    let by = Actor::Program { doing: "benchmark".into() };
    for batch in edits.chunks(BATCH) {
        catalog.edit(&by, batch.iter().cloned().map(CatalogEdit::Put).collect()).await?;
    }
    for _ in 0..sizes.round() {
        let live = fleet.tick(now()).into_iter().flat_map(|s| s.live);
        let states = live.map(|live| {
            let (device, fleet) = (live.position.device.clone(), live.position.fleet.clone());
            let key = device.as_str().to_owned();
            let mut state = DeviceState::new(device, fleet);
            state.latest = Some(live.into());
            Record::new(key, encode_state(&state))
        });
        for batch in states.collect::<Vec<_>>().chunks(BATCH) {
            log.append(Topic::States, batch.to_vec()).await?;
        }
    }

    let sql = Arc::new(SqlEngine::new(store, catalog.shared(), SqlOptions::default())?);
    let parts = GatewayParts { log: log.clone(), catalog, sql, ready: Vec::new(), metrics: None, exports: Vec::new() };
    let gateway = Gateway::bind(GatewayConfig { listen, tiles: None, ..GatewayConfig::default() }, parts).await?;
    let (address, links) = (gateway.local_addr(), gateway.sign_in_links());
    let (of_gateway, of_fleet, into) = (stop.clone(), stop.clone(), log.clone());
    tasks.spawn(async move { Ok(gateway.run(of_gateway).await?) });
    let moving = async move {
        let mut tick = tokio::time::interval(Duration::from_secs(1) / u32::try_from(sizes.hz)?);
        while !of_fleet.is_cancelled() {
            tick.tick().await;
            let snapshots = fleet.tick(now());
            let records = snapshots.iter().map(|s| Record::new(s.fleet.as_str().to_owned(), encode_snapshot(s)));
            into.append(Topic::Snapshots, records.collect()).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    if !parked {
        tasks.spawn(moving);
    }

    writeln!(std::io::stdout(), "http://{address}")?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            order = orders.next_line() => match order? {
                Some(_) => writeln!(std::io::stdout(), "{}", links.link(&user).await?)?,
                None => break,
            },
            Some(ended) = tasks.join_next() => ended?.context("a part ended")?,
        }
    }
    stop.cancel();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    log.close().await;
    Ok(())
}

fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::default().plus_millis(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}
