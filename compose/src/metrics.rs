//! The recorder behind every counter of every part; the gateway shows it as `/metrics`.

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use std::sync::LazyLock;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often samples of histograms are folded together; otherwise they would pile up until somebody asks.
const UPKEEP: Duration = Duration::from_secs(5);

static RECORDER: LazyLock<Option<PrometheusHandle>> = LazyLock::new(|| {
    PrometheusBuilder::new().install_recorder().inspect_err(|error| tracing::warn!(%error, "there are no metrics")).ok()
});

/// The recorder of this process, installed at the first call; none if another one was there.
pub fn recorder() -> Option<PrometheusHandle> {
    RECORDER.clone()
}

/// Keeps the recorder small until cancelled.
pub async fn upkeep(stop: CancellationToken) {
    let Some(recorder) = recorder() else { return stop.cancelled().await };
    let mut ticks = tokio::time::interval(UPKEEP);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        recorder.run_upkeep();
    }
}
