//! The engine of many machines: Redis Cluster, RabbitMQ and PostgreSQL.
//!
//! ```text
//! ingest ──publish──▶ votes.validation-0 … ──▶ validate ──▶ votes.aggregation ──▶ stage ──▶ PostgreSQL ◀──commit── seal
//!                                                 │  ▲
//!                                                 ▼  │ labels
//!                                           Redis Cluster
//! ```

pub mod ledger;
pub mod url;
