//! The port where operators ask how this process is, whatever its roles.

use anyhow::Context;
use axum::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waystream_gateway::{ReadyCheck, operator_routes};
use waystream_tls::Encryption;

/// `/healthz`, `/readyz` and `/metrics` on a port of their own.
pub struct Health {
    listener: TcpListener,
    router: Router,
}

impl Health {
    /// Opens the port: it has no TLS, so where others can reach it only if they may (`insecure`).
    pub async fn bind(
        address: SocketAddr,
        insecure: bool,
        ready: Vec<ReadyCheck>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<Self> {
        let is_fine = Encryption { files: None, insecure }.suffices(address).is_ok();
        anyhow::ensure!(is_fine, "health: others can reach {address}: set insecure = true, if only operators are among them");
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
