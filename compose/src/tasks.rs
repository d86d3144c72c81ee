//! The parts that run: each has a name and an end; the first that ends too early stops the program.

use anyhow::Context;
use std::future::Future;
use std::time::{Duration, Instant};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// From the signal to the end: trackers get their last answers, and what is in memory gets to disk.
pub const GRACE: Duration = Duration::from_secs(5);
/// What the second group has at least, however long the first took.
const LEAST_GRACE: Duration = Duration::from_millis(800);

/// Two groups: what takes reports in and shows them stops first, what they rely on afterwards.
#[derive(Default)]
pub struct Tasks {
    edge: Group,
    core: Group,
}

#[derive(Default)]
struct Group {
    stop: CancellationToken,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Tasks {
    /// Starts a part that talks to the outside.
    pub fn edge<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.edge.start(name, part);
    }

    /// Starts a part that others rely on until they have ended.
    pub fn core<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        self.core.start(name, part);
    }

    /// Runs until `stop` is done, then ends all parts within [`GRACE`]. An error if a part failed, or ended by itself.
    pub async fn run_until(mut self, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
        let early = tokio::select! {
            () = stop => Ok(()),
            ended = self.edge.too_early() => ended,
            ended = self.core.too_early() => ended,
        };
        let stopping = Instant::now();
        let edge = self.edge.end(GRACE).await;
        let core = self.core.end(GRACE.saturating_sub(stopping.elapsed()).max(LEAST_GRACE)).await;
        early.and(edge).and(core)
    }
}

impl Group {
    fn start<F>(&mut self, name: &'static str, part: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let run = part(self.stop.clone());
        self.running.spawn(async move { (name, run.await) });
    }

    async fn too_early(&mut self) -> anyhow::Result<()> {
        match self.running.join_next().await {
            Some(ended) => {
                let name = result(ended)?;
                anyhow::bail!("the {name} ended unexpectedly")
            }
            None => std::future::pending().await,
        }
    }

    async fn end(&mut self, grace: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let all = async {
            let mut first = Ok(());
            while let Some(ended) = self.running.join_next().await {
                first = first.and(result(ended).map(drop));
            }
            first
        };
        match timeout(grace, all).await {
            Ok(ended) => ended,
            // Nothing acknowledged is lost: it is in the log, and whoever was cut off goes on from there at the next start.
            Err(_) => {
                tracing::warn!("some parts did not end in time and are cut off");
                self.running.shutdown().await;
                Ok(())
            }
        }
    }
}

fn result(ended: Result<(&'static str, anyhow::Result<()>), JoinError>) -> anyhow::Result<&'static str> {
    let (name, result) = ended.context("a part of the program panicked")?;
    result.with_context(|| format!("the {name} failed"))?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_fails_stops_the_others_and_says_who_it_was() {
        let mut tasks = Tasks::default();
        tasks.core("archive", |_| async { anyhow::bail!("disk is full") });
        tasks.edge("gateway", |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        let error = tasks.run_until(std::future::pending()).await.expect_err("a part failed");
        assert_eq!(format!("{error:#}"), "the archive failed: disk is full");
    }

    #[tokio::test]
    async fn the_edge_ends_before_the_core_is_told() {
        let mut tasks = Tasks::default();
        let (ended, mut edge_ended) = tokio::sync::oneshot::channel();
        tasks.edge("connectors", |stop| async move {
            stop.cancelled().await;
            tokio::task::yield_now().await;
            ended.send(()).expect("somebody waits for it");
            Ok(())
        });
        tasks.core("log", |stop| async move {
            stop.cancelled().await;
            edge_ended.try_recv().context("the edge still runs")
        });
        tasks.run_until(std::future::ready(())).await.expect("an orderly end");
    }
}
