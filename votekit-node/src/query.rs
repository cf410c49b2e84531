//! Queries: status, receipts, results, tiles, health.

pub(crate) mod reading;
