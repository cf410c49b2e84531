//! `GET /metrics` on its own listener: Prometheus text. What can be read from the node is read now,
//! by results policy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};

use super::Api;
use crate::metrics::{self, Reading};
use crate::reading::Gauges;

/// Everything the node counts and measures.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text, on the metrics listener", body = String, content_type = "text/plain; version=0.0.4"))
)]
pub(crate) async fn exposition(State(api): State<Arc<Api>>) -> Response {
    metrics::read(&readings(&api.node.gauges(), api.node.now().seconds().0));
    let mut response = metrics::render().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn readings(gauges: &Gauges, now: u64) -> Vec<Reading> {
    let whole = |name, value| Reading { name, labels: Vec::new(), value: value as f64 };
    let mut readings = vec![
        whole("votes_pending", gauges.votes_pending),
        whole("throttle_pairs", gauges.throttle_pairs),
    ];
    for election in &gauges.elections {
        let law = || ("law_id", election.law_id.to_string());
        let age = now.saturating_sub(election.checkpoint_at);
        for (name, value) in [
            ("queue_depth", election.queue_depth),
            ("block_height", election.block_height),
            ("log_size", election.log_size),
            ("checkpoint_age_seconds", age),
        ] {
            readings.push(Reading { name, labels: vec![law()], value: value as f64 });
        }
        for (choice, count) in &election.votes_by_choice {
            let labels = vec![law(), ("choice", choice.clone())];
            readings.push(Reading { name: "votes_by_law", labels, value: *count as f64 });
        }
    }
    readings
}
