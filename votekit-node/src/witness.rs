//! Outside witnesses: an authority sends the heads of all logs to each witness and stores its
//! cosignatures in the ledger, where every node reads them.
//!
//! ```text
//! head appended ─▶ pusher ──add-checkpoint──▶ client ─▶ the witness
//!                    │ cosignature, verified
//!                    ▼
//!                  ledger ─▶ certify, export, the served checkpoint
//! ```
//!
//! Nothing waits for a witness but the certification of a result.

mod client;
pub(crate) mod pusher;
