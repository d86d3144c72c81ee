//! For operators: `/healthz` (the process lives), `/readyz` (its parts are ready, by name), `/metrics` (Prometheus).

use crate::listener::Connection;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::{Map, Value};
use std::sync::Arc;
use waystream_tls::is_local;

/// What proxies say of whom they ask for.
const FORWARDED: [&str; 3] = ["x-forwarded-for", "forwarded", "x-real-ip"];

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
    alive().merge(details(checks, metrics))
}

/// The same on the dashboard's port, which may be a public one: the world may know that the process lives, this machine the rest.
pub(crate) fn operator_routes_for_this_machine(checks: Vec<ReadyCheck>, metrics: Option<PrometheusHandle>) -> Router {
    alive().merge(details(checks, metrics).route_layer(from_fn(this_machine)))
}

/// That the process lives.
pub(crate) fn alive() -> Router {
    Router::new().route("/healthz", get(|| async { "alive" }))
}

/// Whoever comes through a proxy on this machine is not on this machine.
async fn this_machine(request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<Connection>().map(|connection| connection.peer.ip());
    let is_passed_on = FORWARDED.iter().any(|name| request.headers().contains_key(*name));
    match peer.is_some_and(is_local) && !is_passed_on {
        true => next.run(request).await,
        false => StatusCode::NOT_FOUND.into_response(),
    }
}

fn details(checks: Vec<ReadyCheck>, metrics: Option<PrometheusHandle>) -> Router {
    let checks = Arc::new(checks);
    let mut router = Router::new().route("/readyz", get(move || async move { ready(&checks) }));
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
