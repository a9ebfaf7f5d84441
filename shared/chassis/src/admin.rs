//! The admin listener: what kubelet and Prometheus ask, and nothing else.

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use telemetry::Metrics;

use crate::Health;

/// Its routes.
pub(crate) fn routes(health: &Health, metrics: Metrics) -> Router {
    let (whole, ready) = (health.clone(), health.clone());
    Router::new()
        .route("/health", get(async move || readiness(&whole)))
        .route("/health/ready", get(async move || readiness(&ready)))
        // Nothing is looked at: a process that can answer is not helped by being killed.
        .route("/health/live", get(async || StatusCode::OK))
        .route("/metrics", get(async move || render(&metrics)))
}

fn readiness(health: &Health) -> Response {
    let report = health.report();
    let status = if report.is_ready() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report)).into_response()
}

fn render(metrics: &Metrics) -> Response {
    ([(CONTENT_TYPE, Metrics::CONTENT_TYPE)], metrics.render()).into_response()
}
