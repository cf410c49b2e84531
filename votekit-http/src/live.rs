//! Live updates: the numbers of elections, for readers that stay connected.
//!
//! ```text
//! node ─ blocks ─▶ hub ─ at most 4 a second ─▶ channel of a topic ─▶ readers
//! ```
//!
//! The hub reads the data that the results policy shows, and the nodes for officials, and encodes
//! each message once for all readers of a channel. Readers are counted separately from the
//! connections of requests, and a reader is dropped when it reads too slowly. The routes are in
//! `api/live_events.rs` and `api/live_socket.rs`; `api/live_access.rs` decides who reads which
//! channel, and `api/live_vote.rs` follows one vote, which has no channel.

pub(crate) mod topic;
pub(crate) mod message;
pub(crate) mod channel;
pub(crate) mod pacer;
pub(crate) mod reader_thread;
pub(crate) mod readers;
pub(crate) mod hub;
pub(crate) mod subscriptions;

/// The path of the WebSocket.
pub(crate) const SOCKET_PATH: &str = "/api/v1/ws";

/// The end of the paths of event streams.
const EVENTS_SUFFIX: &str = "/events";

/// Whether requests for a path become readers.
pub(crate) fn is_live_path(path: &str) -> bool {
    path == SOCKET_PATH || path.ends_with(EVENTS_SUFFIX)
}

/// An extension of an answer that continues until the reader disconnects: its connection counts as
/// a reader, and releases its slot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StaysOpen;
