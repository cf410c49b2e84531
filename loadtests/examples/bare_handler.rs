//! The baseline a node is compared with: an axum handler that parses a vote, hashes its credential,
//! answers 202 and stores nothing.
//!
//! `cargo run --release --package votekit-loadtests --example bare_handler 127.0.0.1:8090` serves
//! `POST /api/v1/vote` until it is killed. The difference to a node's rate is the cost of storing
//! votes: encryption, disk, decision and log.

use std::error::Error;

use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use tikv_jemallocator::Jemalloc;
use zeroizing_alloc::ZeroAlloc;

/// The same allocator as votekit, so that the ratio does not depend on it.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<Jemalloc> = ZeroAlloc(Jemalloc);

#[derive(Deserialize)]
struct Vote {
    nas: String,
    code: String,
    law_id: String,
    vote: String,
}

async fn vote(Json(vote): Json<Vote>) -> impl IntoResponse {
    let hash = Sha256::digest(format!("{}|{}|{}", vote.nas, vote.code, vote.law_id));
    let request = const_hex::encode(&hash[..16]);
    let body = format!(
        "{{\"request_id\":\"{request}\",\"status\":\"{}\"}}",
        if vote.vote.is_empty() { "empty" } else { "pending" }
    );
    (StatusCode::ACCEPTED, [(CONTENT_TYPE, "application/json")], body)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8090".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    Ok(axum::serve(listener, Router::new().route("/api/v1/vote", post(vote))).await?)
}
