//! `GET /metrics` on its own listener, in the Prometheus text format. Gauges are read from the node
//! at each request; counts are subject to the results policy.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use votekit_node::Gauges;
use votekit_node::metrics::{self, Reading};

use crate::context::Api;

/// Returns all metrics of the node.
#[utoipa::path(
    get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "Prometheus text, on the metrics listener", body = String, content_type = "text/plain; version=0.0.4"))
)]
pub(crate) async fn exposition(State(api): State<Arc<Api>>) -> Response {
    let mut readings = readings(&api.node.gauges(), api.node.now().seconds().0);
    let healthy = if api.node.health().await.healthy { 1.0 } else { 0.0 };
    readings.push(Reading { name: "node_healthy", labels: Vec::new(), value: healthy });
    metrics::read(&readings);
    let mut response = metrics::render().into_response();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"));
    response
}

fn readings(gauges: &Gauges, now: u64) -> Vec<Reading> {
    let (free, size) = gauges.data_bytes.unzip();
    let of_the_node = [
        ("votes_pending", Some(gauges.votes_pending as f64)),
        ("throttle_pairs", Some(gauges.throttle_pairs as f64)),
        ("elections_halted", Some(gauges.elections_halted as f64)),
        ("clock_behind_seconds", Some(gauges.clock_behind.as_secs_f64())),
        ("clock_offset_seconds", gauges.clock_offset_seconds),
        ("data_free_bytes", free.map(|bytes| bytes as f64)),
        ("data_size_bytes", size.map(|bytes| bytes as f64)),
    ];
    let mut readings: Vec<Reading> = of_the_node
        .into_iter()
        .filter_map(|(name, value)| Some(Reading { name, labels: Vec::new(), value: value? }))
        .collect();
    for authority in &gauges.authorities {
        for (name, value) in [
            ("authority_up", Some(if authority.is_up { 1.0 } else { 0.0 })),
            ("authority_clock_offset_seconds", authority.clock_offset_seconds),
            ("authority_elections_halted", authority.elections_halted.map(|count| count as f64)),
        ] {
            let labels = vec![("authority", authority.name.clone())];
            readings.extend(value.map(|value| Reading { name, labels, value }));
        }
    }
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
