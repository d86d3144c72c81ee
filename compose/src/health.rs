//! The port where operators ask how this process is, whatever its roles.

use anyhow::Context;
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waystream_gateway::{ReadyCheck, operator_routes};

/// `/healthz`, `/readyz` and `/metrics` on a port of their own.
pub struct Health {
    listener: TcpListener,
    router: Router,
}

impl Health {
    /// Opens the port.
    pub async fn bind(address: SocketAddr, ready: Vec<ReadyCheck>, metrics: Option<PrometheusHandle>) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address).await;
        let listener = listener.with_context(|| format!("could not listen on health.address {address}"))?;
        Ok(Self { listener, router: operator_routes(ready, metrics) })
    }

    /// Where it listens.
    pub fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Serves until cancelled.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let served = axum::serve(self.listener, self.router).with_graceful_shutdown(stop.cancelled_owned());
        served.await.context("health port failed")
    }
}
