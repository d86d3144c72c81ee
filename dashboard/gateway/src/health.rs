//! For operators: `/healthz` (the process lives), `/readyz` (its parts are ready, by name), `/metrics` (Prometheus).

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value};
use std::sync::Arc;

/// One part's answer to the question whether it is ready. Cheap: asked on every `/readyz`.
#[derive(Clone)]
pub struct ReadyCheck {
    /// Of the part.
    pub name: &'static str,
    /// `Err`: why not.
    pub check: Arc<dyn Fn() -> Result<(), String> + Send + Sync>,
}

/// The three routes, for a process without a dashboard too. Without a recorder there are no metrics.
pub fn operator_routes(checks: Vec<ReadyCheck>, metrics: Option<PrometheusHandle>) -> Router {
    let checks = Arc::new(checks);
    let mut router =
        Router::new().route("/healthz", get(|| async { "alive" })).route("/readyz", get(move || async move { ready(&checks) }));
    if let Some(metrics) = metrics {
        let text = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
        router = router.route("/metrics", get(move || async move { (text, metrics.render()) }));
    }
    router
}

fn ready(checks: &[ReadyCheck]) -> Response {
    let mut all = Map::new();
    let mut status = StatusCode::OK;
    for part in checks {
        let answer = match (part.check)() {
            Ok(()) => "ready".to_owned(),
            Err(reason) => {
                status = StatusCode::SERVICE_UNAVAILABLE;
                reason
            }
        };
        all.insert(part.name.to_owned(), Value::String(answer));
    }
    (status, Json(all)).into_response()
}
