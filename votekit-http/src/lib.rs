//! The HTTP interface of a votekit node: one resource a file, problems in one place, every route
//! with its permission in one table, three listeners.
//!
//! ```text
//! listener ─▶ gate ─▶ routes ─▶ guard ─▶ api ─▶ node
//!              │                          │
//!              └──── problem: RFC 9457 ───┘
//! ```

mod live;

mod log_summary;
mod problem;

mod guard;

mod context;

mod gate;

mod api;
mod routes;

pub mod listener;

pub use api::openapi::openapi_json_text;
