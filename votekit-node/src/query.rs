//! What readers ask: status, receipts, results, tiles, health.

pub(crate) mod reading;
