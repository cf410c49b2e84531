//! Queries: status, receipts, results, tiles, health.

pub(crate) mod election_watch;
pub(crate) mod reading;
