//! The HTTP interface of a votekit node: one resource a file, all problems in one module, every
//! route with its permission in one table, three listeners. `web` has the pages on which people
//! vote and read results, `sessions` the cookie of a voter, `accounts` officials and members.
//!
//! ```text
//! listener ─▶ gate ─▶ routes ─▶ guard ─▶ api, web ─▶ node
//!              │                            │
//!              └──── problem: RFC 9457 ─────┘   (a page shows it in its language)
//! ```
//!
//! The modules below are in the order of the flow, from its end: each uses those above it.

mod drafts;

mod live;

mod problem;
mod support_code;

mod guard;

mod sessions;

mod accounts;

mod download_slots;

mod context;

mod members;
mod published;
mod zip;

mod bundle_download;

mod api;
mod web;

mod routes;

mod gate;

pub mod listener;

pub use api::openapi::openapi_json_text;

#[cfg(test)]
#[path = "../../votekit-node/tests/support/mod.rs"]
mod test_support;
