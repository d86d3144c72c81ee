//! The system under test in the connectors' benchmark: embedded log, Teltonika listener, archive and store; no gateway.

use anyhow::{Context, Result};
use datafusion::prelude::SessionContext;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use waystream_connectors::{Connectors, ConnectorsConfig, Listen, ListenerName};
use waystream_dataflow::{Dataflow, DataflowConfig};
use waystream_log::catalog::CatalogFollower;
use waystream_log::embedded::{EmbeddedLog, EmbeddedOptions};
use waystream_log::{Log, Topic};
use waystream_store::parquet::{ParquetOptions, ParquetStore};
use waystream_store::{Archive, ArchiveConfig, Store};

/// Runs until standard input ends. The first line written is the listener's address; then for each line `history` the number
/// of positions in history, once all that are in the log are there.
pub async fn serve(dir: &Path, dataflow: bool) -> Result<()> {
    let log = EmbeddedLog::open(&dir.join("log"), EmbeddedOptions::default())?;
    let store = ParquetStore::open(&dir.join("store"), ParquetOptions::default())?;
    let (catalog, follower) = CatalogFollower::start(log.clone()).await?;
    let listeners = ListenerName::all().map(|name| (name, listen(name))).collect::<BTreeMap<_, _>>();
    let bound = Connectors::new(ConnectorsConfig { listeners, ..ConnectorsConfig::default() }).bind().await?;
    let address = bound.address_of("teltonika").context("no Teltonika listener")?;

    let stop = CancellationToken::new();
    let mut tasks: JoinSet<Result<()>> = JoinSet::new();
    let (of_follower, of_archive, of_connectors) = (stop.clone(), stop.clone(), stop.clone());
    tasks.spawn(async move { Ok(follower.run(of_follower).await?) });
    let archive = Archive::new(ArchiveConfig::default());
    let (from, to) = (log.clone() as Arc<dyn Log>, store.clone() as Arc<dyn Store>);
    tasks.spawn(async move { Ok(archive.run(from, to, of_archive).await?) });
    if dataflow {
        let (log, stop) = (log.clone(), stop.clone());
        tasks.spawn(async move { Ok(Dataflow::new(DataflowConfig::default()).run(log, stop).await?) });
    }
    let into = log.clone();
    tasks.spawn(async move { Ok(bound.run(into, catalog, of_connectors).await?) });

    writeln!(std::io::stdout(), "{address}")?;
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    loop {
        tokio::select! {
            order = orders.next_line() => match order? {
                Some(_) => writeln!(std::io::stdout(), "{}", history(&*log, &*store).await?)?,
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

/// Only Teltonika, on a free port.
fn listen(name: ListenerName) -> Listen {
    if name.as_str() == "teltonika" { Listen::Port(0) } else { Listen::Switch(false) }
}

async fn history(log: &dyn Log, store: &dyn Store) -> Result<usize> {
    let ends = log.bounds(Topic::Positions).await?;
    let mut look = tokio::time::interval(Duration::from_millis(10));
    let complete = |readable: &waystream_log::Offsets| {
        (0..).zip(&ends).all(|(p, end)| end.first == end.next || readable.get(&(Topic::Positions, p)) >= Some(&end.next))
    };
    while !complete(&store.readable()) {
        look.tick().await;
    }
    Ok(SessionContext::new().read_table(store.positions())?.count().await?)
}
